"""A pipeline whose streams are split, merged and scaled while it runs, without a crash and with random kill -9.

BAIKONUR_KILLS says how often the server is killed (6), BAIKONUR_KILLS_SEED repeats a run's random choices.
"""

import json
import os
import random
import subprocess
import threading
import time

import botocore.exceptions
import pytest

from baikonur_server import CREDENTIALS, Baikonur, Folder, binary, failed_records
from numbered_records import (
    ERRORS,
    Writers,
    check_archive,
    check_numbers_rise,
    check_placed,
    check_reading,
    identifier_of,
    line,
    only_once,
)
from parts.waiting import eventually
from resharding import (
    FamilyReader,
    Following,
    change_somehow,
    check_nothing_forgotten,
    check_whole,
    is_open,
    merge,
    metric,
    open_shards,
    scale,
    shards_of,
    split,
)

KILLS = int(os.environ.get("BAIKONUR_KILLS", "6"))
SEED = int(os.environ.get("BAIKONUR_KILLS_SEED", random.SystemRandom().randrange(1 << 32)))
STREAMS = ("router", "target")


def configuration(folder):
    """router → target → files."""
    modules = {
        "forward": {"type": "kinesis-forward", "source": "router", "target_stream_name": "target"},
        "archive": {
            "type": "kinesis-to-s3", "source": "target", "destination": f"file://{folder}/archive",
            "buffer_bytes": 256 << 10, "buffer_seconds": 1,
        },
    }
    for module in modules.values():
        module["failed_store"] = f"file://{folder}/failed"
    return {"streams": {"router": {"shards": 3}, "target": {"shards": 2}}, "modules": modules}


class Tail:
    """`baikonur tail` of the router, from its oldest record on, into a file."""

    def __init__(self, server):
        self.path = server.folder / "tail.json"
        with self.path.open("wb") as out:
            self.process = subprocess.Popen(
                [binary(), "tail", "router", "--json", "--from", "trim-horizon", "--endpoint", server.endpoint],
                env={**os.environ, **CREDENTIALS}, stdin=subprocess.DEVNULL, stdout=out,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def count(self):
        return self.path.read_bytes().count(b"\n")

    def records(self):
        assert self.process.poll() is None, "tail goes on until it is stopped"
        return [json.loads(text) for text in self.path.read_text().splitlines()]


def script(client):
    """Changes one after the other, each a step of a generator."""
    for stream in STREAMS:
        def now(stream=stream):
            return open_shards(shards_of(client, stream))

        split(client, stream, now()[0])
        yield
        split(client, stream, now()[-1], 0.1)
        yield
        merge(client, stream, *now()[1:3])
        yield
        scale(client, stream, 2 * len(now()))
        yield
        scale(client, stream, len(now()) - 1)
        yield
        scale(client, stream, -(-len(now()) // 2))
        yield
        merge(client, stream, *now()[:2])
        yield
        # Both parents of a merge just made by a split, and a child split again before anybody has read it.
        split(client, stream, now()[0])
        merge(client, stream, *now()[:2])
        split(client, stream, now()[0], 0.3)
        yield


def test_every_record_comes_once_and_in_order_while_streams_are_split_merged_and_scaled(tmp_path):
    server = Baikonur(tmp_path, configuration(tmp_path))
    archive = Folder(tmp_path / "archive")
    with server:
        client = server.client()
        following = {stream: Following(server, stream) for stream in STREAMS}
        with Writers(4, server, "resharding") as writers, Tail(server) as tail, \
                following["router"], following["target"]:
            before = {stream: shards_of(client, stream) for stream in STREAMS}
            for _ in script(client):
                for stream in STREAMS:
                    after = shards_of(client, stream)
                    check_whole(after)
                    check_nothing_forgotten(before[stream], after)
                    before[stream] = after
                count = writers.count()
                eventually(lambda: writers.count() > count + 100, "writers go on")
            writers.end()
            assert writers.refused() == [] and writers.unknown() == set(), "resharding disturbs no writer"
            acknowledged = writers.acknowledged()
            assert {shard for shard, _ in acknowledged.values()} > {"shardId-000000000000", "shardId-000000000003"}
            eventually(lambda: len(archive.lines()) >= len(acknowledged), "everything archived", 120, every=0.5)
            eventually(lambda: tail.count() >= len(acknowledged), "everything shown by tail", 60)
            tailed = tail.records()
            read = {stream: reader.finish() for stream, reader in following.items()}

        for stream in STREAMS:
            assert check_reading(read[stream], f"{stream}, followed") == acknowledged.keys()
            again = FamilyReader(client, stream).to_the_tip()
            assert check_reading(again, f"{stream}, read later") == acknowledged.keys()
        check_placed(read["router"], acknowledged)
        check_archive(archive, acknowledged.keys())
        assert only_once([identifier_of(record["data"]) for record in tailed], "tail") == acknowledged.keys()
        check_numbers_rise(
            [(record["shard"], {"SequenceNumber": record["sequence_number"]}) for record in tailed], "tail")
        assert server.stop() == 0, server.log_tail()

        server.start()
        check_only_new_records_are_read(server, archive, acknowledged.keys())
        assert failed_records(tmp_path / "failed") == []


def check_only_new_records_are_read(server, archive, stored):
    """After a restart modules begin at the ends of closed shards, and behind what they had of the open ones."""
    client = server.client()
    new = set()
    router = shards_of(client, "router")
    for number, shard in enumerate(open_shards(router)):
        identifier = f"new-k{number:02}-000000"
        client.put_record(
            StreamName="router", Data=line(identifier), PartitionKey=f"new-k{number:02}",
            ExplicitHashKey=shard["HashKeyRange"]["StartingHashKey"],
        )
        new.add(identifier)
    eventually(lambda: len(archive.lines()) >= len(stored | new), "what is new archived", 60, every=0.2)
    check_archive(archive, stored | new)
    for module, stream in (("forward", "router"), ("archive", "target")):
        delivered = eventually(
            lambda: _all(metric(server, "baikonur_delivered_records_total", module=module), len(new)),
            f"{module}: {len(new)} delivered", 30)
        assert sum(delivered.values()) == len(new), (module, delivered)
        read = metric(server, "baikonur_stream_records_out_total", stream=stream)
        assert sum(read.values()) == len(new), (stream, read)
    closed = {name for name, shard in router.items() if not is_open(shard)}
    assert not any(metric(server, "baikonur_stream_records_out_total", stream="router").get(name) for name in closed)


def _all(values, count):
    return values if sum(values.values()) >= count else None


class Resharder(threading.Thread):
    """Changes a stream again and again, over crashes, and remembers the last shards that it was told."""

    def __init__(self, server, stream):
        super().__init__(name=f"resharder-{stream}", daemon=True)
        self.server, self.stream = server, stream
        self.random = random.Random(f"{SEED}-{stream}")
        self.stop = threading.Event()
        self.told, self.changes, self.error = {}, 0, None

    def run(self):
        client = self.server.client(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=20)
        try:
            while not self.stop.is_set():
                try:
                    change_somehow(client, self.stream, self.random)
                    self.changes += 1
                    self.told = shards_of(client, self.stream)
                except botocore.exceptions.ClientError:
                    raise
                except ERRORS:
                    pass
                time.sleep(self.random.choice([0, 0.05, 0.3, 1]))
        except BaseException as error:  # shown by the main thread
            self.error = error

    def end(self):
        self.stop.set()
        self.join(60)
        assert not self.is_alive() and self.error is None, self.error


def verify(server):
    """`baikonur streams verify` of the directory of a server that does not run."""
    done = subprocess.run(
        [binary(), "streams", "verify", server.data], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kill_and_restart(server, choice):
    server.kill()
    if choice.random() < 0.4:
        verify(server)
    server.spawn()
    if choice.random() < 0.25:
        # Once more, perhaps within recovery.
        time.sleep(choice.uniform(0, 0.3))
        server.kill()
        server.spawn()
    server.wait_until_ready()


def check_shards(server, resharders):
    """Each stream is whole, and nothing that was told before is forgotten."""
    for resharder in resharders:
        told = resharder.told
        now = shards_of(server.client(), resharder.stream)
        check_whole(now)
        check_nothing_forgotten(told, now)


@pytest.mark.timeout(300 + KILLS * 15)
def test_nothing_is_lost_or_doubled_by_kills_while_streams_are_resharded(tmp_path):
    print(f"\nBAIKONUR_KILLS_SEED={SEED} BAIKONUR_KILLS={KILLS}")
    choice = random.Random(SEED)
    server = Baikonur(tmp_path, configuration(tmp_path))
    try:
        with server:
            resharders = [Resharder(server, stream) for stream in STREAMS]
            with Writers(3, server, SEED) as writers, Following(server, "router") as following:
                for resharder in resharders:
                    resharder.start()
                for _ in range(KILLS):
                    time.sleep(choice.choice([0.3, 1.5, 3]) + choice.uniform(0, 0.5))
                    kill_and_restart(server, choice)
                    check_shards(server, resharders)
                time.sleep(1)
                for resharder in resharders:
                    resharder.end()
                writers.end()
                check_after_kills(server, writers, following.finish(), resharders)
    except BaseException:
        print(f"repeat with BAIKONUR_KILLS_SEED={SEED} BAIKONUR_KILLS={KILLS}; data in {tmp_path}")
        print(server.log_tail())
        raise


def check_after_kills(server, writers, followed, resharders):
    acknowledged, unknown = writers.acknowledged(), writers.unknown()
    changes = {resharder.stream: resharder.changes for resharder in resharders}
    print(f"{len(acknowledged)} records acknowledged, {len(unknown)} without an answer, changes: {changes}")
    assert writers.refused() == []
    assert len(acknowledged) > KILLS * 50 and all(count >= KILLS for count in changes.values()), "that was no strain"
    check_shards(server, resharders)

    router = FamilyReader(server.client(), "router").to_the_tip()
    stored = check_reading(router, "the router")
    assert acknowledged.keys() <= stored <= acknowledged.keys() | unknown
    check_placed(router, acknowledged)
    assert check_reading(followed, "the router, followed over the kills") == stored

    archive = Folder(server.folder / "archive")
    eventually(lambda: len(archive.lines()) >= len(stored), "everything archived", 120 + 2 * KILLS, every=0.5)
    assert server.stop() == 0, "a stop drains and succeeds"
    print(verify(server))
    server.start()
    check_shards(server, resharders)
    target = FamilyReader(server.client(), "target").to_the_tip()
    assert check_reading(target, "the target") == stored
    check_archive(archive, stored)
    assert failed_records(server.folder / "failed") == []
