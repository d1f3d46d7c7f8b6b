"""Random kill -9 under load: what was acknowledged is there afterwards, in order, and nothing is there twice.

BAIKONUR_CRASH_ROUNDS says how often (20), BAIKONUR_CRASH_SEED repeats a run's random choices.
"""

import gzip
import json
import os
import random
import threading
import time
from collections import Counter, defaultdict

import botocore.exceptions
import pytest

from baikonur_server import Baikonur, Folder, failed_records, read_stream
from parts.waiting import eventually

ROUNDS = int(os.environ.get("BAIKONUR_CRASH_ROUNDS", "20"))
SEED = int(os.environ.get("BAIKONUR_CRASH_SEED", random.SystemRandom().randrange(1 << 32)))
WRITERS = 4
KEYS_PER_WRITER = 3
LOG_TYPES = ("apache_access", "auth", "kafka_broker")


def configuration(folder, opensearch):
    modules = {
        "forward": {"type": "kinesis-forward", "source": "router", "target_stream_name": "target"},
        "archive": {
            "type": "kinesis-to-s3", "source": "target", "destination": f"file://{folder}/archive",
            # Small, so that a kill often falls into the writing of objects.
            "buffer_bytes": 256 << 10, "buffer_seconds": 1,
        },
        "index": {
            "type": "kinesis-to-es", "source": "target", "destination": opensearch.endpoint,
            "index_name_prefix": "crash", "parallelization_factor": 3,
        },
    }
    for module in modules.values():
        module["failed_store"] = f"file://{folder}/failed"
    return {"streams": {"router": {"shards": 3}, "target": {"shards": 2}}, "modules": modules}


class Writer(threading.Thread):
    """A client that puts, remembers what was acknowledged, and never sends a record twice."""

    def __init__(self, number, server, stop):
        super().__init__(name=f"writer-{number}", daemon=True)
        self.number, self.server, self.stop = number, server, stop
        self.acknowledged, self.unknown, self.refused = [], set(), []
        self.error = None
        self.random = random.Random(f"{SEED}-writer-{number}")
        self.next = 0

    def record(self):
        identifier = f"w{self.number}-{self.next:07}"
        # Two lines of one id never differ, and a line is known by its id alone.
        line = {
            "log_type": self.random.choice(LOG_TYPES),
            "log_id": identifier,
            "time": f"2026-11-{1 + self.next % 3:02}T12:00:00+09:00",
            "number": self.next,
            "padding": "x" * self.random.randrange(400),
        }
        data = json.dumps(line).encode()
        # Some are gzipped: the archive must hold the text all the same.
        data = gzip.compress(data, 1) if self.random.random() < 0.2 else data
        key = f"w{self.number}-k{self.next % KEYS_PER_WRITER}"
        self.next += 1
        return identifier, {"Data": data, "PartitionKey": key}

    def run(self):
        try:
            client = self.server.client(
                retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=20, max_pool_connections=1,
            )
            while not self.stop.is_set():
                self.put(client)
        except BaseException as error:  # shown by the main thread
            self.error = error

    def put(self, client):
        batch = [self.record() for _ in range(self.random.randint(1, 30))]
        identifiers = [identifier for identifier, _ in batch]
        try:
            if len(batch) == 1:
                answers = [client.put_record(StreamName="router", **batch[0][1])]
            else:
                answers = client.put_records(StreamName="router", Records=[entry for _, entry in batch])["Records"]
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            # No answer: each may have been taken, or not.
            self.unknown.update(identifiers)
            if isinstance(error, botocore.exceptions.ClientError):
                self.refused.append(str(error))
            time.sleep(0.03)
            return
        for (identifier, entry), answer in zip(batch, answers, strict=True):
            if "SequenceNumber" in answer:
                self.acknowledged.append(
                    (identifier, entry["PartitionKey"], answer["ShardId"], int(answer["SequenceNumber"]))
                )
            else:
                self.unknown.add(identifier)
                self.refused.append(str(answer))
        time.sleep(self.random.uniform(0, 0.05))


def identifier_of(data):
    text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return json.loads(text)["log_id"]


def crash_and_recover(server, choice):
    """One round: the load runs for a while, the server is killed, and started again on the same data."""
    time.sleep(choice.choice([0.05, 0.3, 1.0]) + choice.uniform(0, 0.5))
    server.kill()
    # Nothing may come twice when lanes are ahead of the checkpoint, also where their number is another afterwards.
    server.config["modules"]["forward"]["parallelization_factor"] = choice.choice([1, 2, 5])
    server.spawn()
    if choice.random() < 0.25:
        # Once more, perhaps within recovery.
        time.sleep(choice.uniform(0, 0.15))
        server.kill()
        server.spawn()
    server.wait_until_ready()


def only_once(identifiers, where):
    twice = [identifier for identifier, count in Counter(identifiers).items() if count > 1]
    assert not twice, f"{len(twice)} records are in {where} more than once: {sorted(twice)[:5]}"
    return set(identifiers)


def check_order_of_reading(shards, writers):
    """The router holds what was acknowledged, where and under the number that the answer said."""
    position = {}
    for shard, records in shards.items():
        numbers = [int(record["SequenceNumber"]) for record in records]
        assert all(a < b for a, b in zip(numbers, numbers[1:])), f"{shard}: sequence numbers rise"
        for place, record in enumerate(records):
            position[identifier_of(record["Data"])] = (shard, place, int(record["SequenceNumber"]))
    for writer in writers:
        last = defaultdict(lambda: ("", -1, -1))
        for identifier, key, shard, number in writer.acknowledged:
            assert identifier in position, f"{identifier} was acknowledged as {number} of {shard} and is gone"
            found = position[identifier]
            assert (found[0], found[2]) == (shard, number), (identifier, found, shard, number)
            assert found[1] > last[key][1] and number > last[key][2], f"order of {key} at {identifier}"
            last[key] = found


def check_order_per_key(records, where):
    """Each writer numbers its records: those of one partition key come in this order."""
    last = {}
    for identifier, key in records:
        assert last.get(key, "") < identifier, f"{where}: {identifier} of {key} comes after {last[key]}"
        last[key] = identifier


@pytest.mark.timeout(300 + ROUNDS * 10)
def test_after_random_kills_everything_acknowledged_is_there_once_and_in_order(tmp_path, opensearch):
    print(f"\nBAIKONUR_CRASH_SEED={SEED} BAIKONUR_CRASH_ROUNDS={ROUNDS}")
    choice = random.Random(SEED)
    server = Baikonur(tmp_path, configuration(tmp_path, opensearch))
    stop = threading.Event()
    writers = [Writer(number, server, stop) for number in range(WRITERS)]
    try:
        with server:
            for writer in writers:
                writer.start()
            for _ in range(ROUNDS):
                crash_and_recover(server, choice)
            time.sleep(1)
            stop.set()
            for writer in writers:
                writer.join(60)
                assert not writer.is_alive() and writer.error is None, writer.error
            check(server, writers, opensearch)
    except BaseException:
        print(f"repeat with BAIKONUR_CRASH_SEED={SEED} BAIKONUR_CRASH_ROUNDS={ROUNDS}; data in {tmp_path}")
        print(server.log_tail())
        raise
    finally:
        stop.set()


def check(server, writers, opensearch):
    acknowledged = {entry[0] for writer in writers for entry in writer.acknowledged}
    unknown = {identifier for writer in writers for identifier in writer.unknown}
    refused = [text for writer in writers for text in writer.refused]
    print(f"{len(acknowledged)} records acknowledged, {len(unknown)} without an answer, {len(refused)} refused")
    for text in refused[:3]:
        print("refused:", text)
    assert len(acknowledged) > ROUNDS * 20, "the load was no load"

    client = server.client()
    router = read_stream(client, "router")
    check_order_of_reading(router, writers)
    stored = only_once([identifier_of(r["Data"]) for shard in router.values() for r in shard], "the router")
    assert acknowledged <= stored <= acknowledged | unknown
    print(f"{len(stored & unknown)} records were stored though their answer was lost")

    archive = Folder(server.folder / "archive")
    seconds = 60 + ROUNDS
    eventually(lambda: archive_lines(archive) >= len(stored), "everything archived", seconds, every=0.5)
    eventually(lambda: opensearch.count("crash-*") >= len(stored), "everything indexed", seconds, every=0.5)
    assert server.stop() == 0, "a stop drains and succeeds"

    server.start()
    target = read_stream(server.client(), "target")
    assert only_once([identifier_of(r["Data"]) for shard in target.values() for r in shard], "the target") == stored
    for shard, records in target.items():
        check_order_per_key([(identifier_of(r["Data"]), r["PartitionKey"]) for r in records], f"target {shard}")

    files = archive.files()
    lines = [json.loads(line) for body in files.values() for line in body.splitlines()]
    assert only_once([line["log_id"] for line in lines], "the archive") == stored
    for name, body in files.items():
        in_file = [json.loads(line) for line in body.splitlines()]
        keys = [f"{line['log_id'].split('-')[0]}-k{line['number'] % KEYS_PER_WRITER}" for line in in_file]
        check_order_per_key([(line["log_id"], key) for line, key in zip(in_file, keys)], name)
        folders = {f"{line['log_type']}/2026-11/{line['time'][8:10]}" for line in in_file}
        assert folders == {name.rpartition("/")[0]}

    documents = opensearch.documents("crash-*")
    assert only_once([source["log_id"] for _, _, source in documents], "the index") == stored
    assert all(identifier == source["log_id"] for _, identifier, source in documents)
    assert failed_records(server.folder / "failed") == []


def archive_lines(archive):
    return sum(body.count(b"\n") for body in archive.files().values())
