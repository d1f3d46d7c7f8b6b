"""Random kill -9 under load: what was acknowledged is there afterwards, in order, and nothing is there twice.

BAIKONUR_CRASH_ROUNDS says how often (20), BAIKONUR_CRASH_SEED repeats a run's random choices.
"""

import gzip
import json
import os
import random
import time

import pytest

from baikonur_server import Baikonur, Folder, failed_records, read_stream
from numbered_records import Writers, check_archive, check_placed, check_reading, only_once
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


def varied(choice, identifier):
    """A line of some type and day. Two lines of one id never differ, and a line is known by its id alone."""
    number = int(identifier.rpartition("-")[2])
    text = json.dumps({
        "log_type": choice.choice(LOG_TYPES),
        "log_id": identifier,
        "time": f"2026-11-{1 + number % 3:02}T12:00:00+09:00",
        "padding": "x" * choice.randrange(400),
    }).encode()
    # Some are gzipped: the archive must hold the text all the same.
    return gzip.compress(text, 1) if choice.random() < 0.2 else text


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


@pytest.mark.timeout(300 + ROUNDS * 10)
def test_after_random_kills_everything_acknowledged_is_there_once_and_in_order(tmp_path, opensearch):
    print(f"\nBAIKONUR_CRASH_SEED={SEED} BAIKONUR_CRASH_ROUNDS={ROUNDS}")
    choice = random.Random(SEED)
    server = Baikonur(tmp_path, configuration(tmp_path, opensearch))
    try:
        with server:
            with Writers(WRITERS, server, SEED, keys=KEYS_PER_WRITER, make=varied) as writers:
                for _ in range(ROUNDS):
                    crash_and_recover(server, choice)
                time.sleep(1)
            check(server, writers, opensearch)
    except BaseException:
        print(f"repeat with BAIKONUR_CRASH_SEED={SEED} BAIKONUR_CRASH_ROUNDS={ROUNDS}; data in {tmp_path}")
        print(server.log_tail())
        raise


def check(server, writers, opensearch):
    acknowledged, unknown, refused = writers.acknowledged(), writers.unknown(), writers.refused()
    print(f"{len(acknowledged)} records acknowledged, {len(unknown)} without an answer, {len(refused)} refused")
    for text in refused[:3]:
        print("refused:", text)
    assert len(acknowledged) > ROUNDS * 20, "the load was no load"

    router = in_one(read_stream(server.client(), "router"))
    stored = check_reading(router, "the router")
    check_placed(router, acknowledged)
    assert acknowledged.keys() <= stored <= acknowledged.keys() | unknown
    print(f"{len(stored & unknown)} records were stored though their answer was lost")

    archive = Folder(server.folder / "archive")
    seconds = 60 + ROUNDS
    eventually(lambda: len(archive.lines()) >= len(stored), "everything archived", seconds, every=0.5)
    eventually(lambda: opensearch.count("crash-*") >= len(stored), "everything indexed", seconds, every=0.5)
    assert server.stop() == 0, "a stop drains and succeeds"

    server.start()
    assert check_reading(in_one(read_stream(server.client(), "target")), "the target") == stored
    check_archive(archive, stored)
    for name, body in archive.files().items():
        lines = [json.loads(line) for line in body.splitlines()]
        folders = {f"{line['log_type']}/2026-11/{line['time'][8:10]}" for line in lines}
        assert folders == {name.rpartition("/")[0]}

    documents = opensearch.documents("crash-*")
    assert only_once([source["log_id"] for _, _, source in documents], "the index") == stored
    assert all(identifier == source["log_id"] for _, identifier, source in documents)
    assert failed_records(server.folder / "failed") == []


def in_one(shards):
    """The records of all shards, each with its shard."""
    return [(shard, record) for shard, records in shards.items() for record in records]
