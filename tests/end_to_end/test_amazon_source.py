"""A worker on streams that are elsewhere: behind our own API in another process, and on emulators that are not ours.

The worker is killed again and again while the stream is split and merged; the archive holds each record once.
"""

import random
import re
import time

import pytest

from baikonur_server import Baikonur, Folder, failed_records
from numbered_records import Writers, check_archive, key_of, line
from parts.kinesis_emulators import Kinesalite, KinesisMock, Moto
from parts.waiting import eventually
from resharding import merge, metric, settled, split
from starting import available

KILLS = 4


def archiving(folder, source, **more):
    """A module that archives a stream into a folder."""
    return {
        "type": "kinesis-to-s3", "source": source, "destination": f"file://{folder}/archive",
        "buffer_bytes": 256 << 10, "buffer_seconds": 1, **more,
    }


def worker_on(folder, endpoint, streams=("router",), **consumption):
    """A worker that archives the last of `streams`, and forwards the first into it if there are two."""
    last = streams[-1]
    modules = {"archive": archiving(folder, last, **consumption)}
    if len(streams) == 2:
        modules["forward"] = {
            "type": "kinesis-forward", "source": streams[0], "target_stream_name": last, **consumption,
        }
    return Baikonur(folder / "worker", {
        "server": {"streams": "kinesis"},
        "kinesis": {"endpoint_url": endpoint},
        "streams": {name: {"shards": 2} for name in streams},
        "modules": modules,
    })


@pytest.mark.parametrize("consumption", ["polling", "enhanced-fan-out"])
def test_each_record_is_archived_once_over_kills_of_the_worker_a_split_and_a_merge(tmp_path, consumption):
    choice = random.Random(consumption)
    server = Baikonur(tmp_path / "server", {"streams": {"router": {"shards": 2}}})
    with server:
        client = server.client()
        worker = worker_on(tmp_path, server.endpoint, consumption=consumption)
        archive = Folder(tmp_path / "archive")
        with worker, Writers(3, server, f"source-{consumption}") as writers:
            for kill in range(KILLS):
                count = writers.count()
                eventually(lambda: writers.count() > count + 200, "writers go on")
                if kill == 1:
                    split(client, "router", settled(client, "router")[0])
                if kill == 2:
                    merge(client, "router", *settled(client, "router")[:2])
                time.sleep(choice.uniform(0, 1.5))
                worker.kill()
                worker.start()
            writers.end()
            assert writers.refused() == [] and writers.unknown() == set()
            acknowledged = writers.acknowledged()
            eventually(lambda: len(archive.lines()) >= len(acknowledged), "everything archived", 120, every=0.5)
            assert worker.stop() == 0, worker.log_tail()
        check_archive(archive, acknowledged.keys())
        assert failed_records(worker.data / "failed") == []
        consumers = client.list_stream_consumers(
            StreamARN=client.describe_stream_summary(StreamName="router")["StreamDescriptionSummary"]["StreamARN"])
        names = [consumer["ConsumerName"] for consumer in consumers["Consumers"]]
        assert names == (["archive"] if consumption == "enhanced-fan-out" else [])
        assert "enhanced fan-out is refused" not in worker.log.read_text()


def test_records_are_forwarded_from_stream_to_stream_elsewhere(tmp_path):
    with Baikonur(tmp_path / "server", {"streams": {"router": {"shards": 2}, "target": {}}}) as server:
        archive = Folder(tmp_path / "archive")
        with worker_on(tmp_path, server.endpoint, streams=("router", "target")):
            with Writers(2, server, "forwarded") as writers:
                eventually(lambda: writers.count() > 1000, "writers go on")
                writers.end()
            acknowledged = writers.acknowledged()
            eventually(lambda: len(archive.lines()) >= len(acknowledged), "everything archived", 60, every=0.5)
        check_archive(archive, acknowledged.keys())


def emulator(kind, folder):
    return available(lambda: kind(folder).start())


def put_numbered(client, stream, first, count):
    """Puts records, which have numbers of their own; gives their identifiers."""
    identifiers = [f"e-k{number % 8:02}-{number:06}" for number in range(first, first + count)]
    for start in range(0, count, 100):
        records = [{"Data": line(each, 50), "PartitionKey": key_of(each)} for each in identifiers[start:start + 100]]
        assert client.put_records(StreamName=stream, Records=records)["FailedRecordCount"] == 0
    return set(identifiers)


@pytest.mark.parametrize("kind, consumption", [
    (Moto, "polling"), (Moto, "enhanced-fan-out"), (Kinesalite, "polling"), (Kinesalite, "enhanced-fan-out"),
    (KinesisMock, "polling"), (KinesisMock, "enhanced-fan-out"),
], ids=lambda value: value if isinstance(value, str) else value.name)
def test_a_stream_of_an_emulator_that_is_not_ours_is_read_through_a_split_and_a_merge(tmp_path, kind, consumption):
    with emulator(kind, tmp_path / "emulator") as server:
        client = server.client()
        client.create_stream(StreamName="router", ShardCount=2)
        settled(client, "router")
        archive = Folder(tmp_path / "archive")
        with worker_on(tmp_path, server.endpoint, consumption=consumption) as worker:
            put = put_numbered(client, "router", 0, 500)
            if kind.closes_shards:
                split(client, "router", settled(client, "router")[0])
                settled(client, "router")
            put |= put_numbered(client, "router", 500, 500)
            worker.kill()
            worker.start()
            if kind.closes_shards:
                merge(client, "router", *settled(client, "router")[:2])
                settled(client, "router")
            put |= put_numbered(client, "router", 1000, 500)
            eventually(lambda: len(archive.lines()) >= len(put), f"all archived\n{worker.log_tail()}", 90, every=0.5)
            assert worker.stop() == 0, worker.log_tail()
        check_archive(archive, put)
        refused = "enhanced fan-out is refused" in worker.log.read_text()
        assert refused == (consumption == "enhanced-fan-out" and not kind.fans_out)


@pytest.mark.parametrize("consumption", ["polling", "enhanced-fan-out"])
def test_latest_is_kept_over_a_kill_before_the_first_record(tmp_path, consumption):
    with Baikonur(tmp_path / "server", {"streams": {"router": {"shards": 2}}}) as server:
        client = server.client()
        put_numbered(client, "router", 0, 100)
        # Arrival times are in milliseconds.
        time.sleep(0.05)
        archive = Folder(tmp_path / "archive")
        with worker_on(tmp_path, server.endpoint, consumption=consumption, starting_position="LATEST") as worker:
            positions = worker.data / "progress"
            eventually(lambda: len(list(positions.rglob("shardId-*.json"))) == 2, "both shards have a position", 30)
            worker.kill()
            put = put_numbered(client, "router", 100, 100)
            worker.start()
            eventually(lambda: len(archive.lines()) >= len(put), "everything since then archived", 60, every=0.5)
            assert worker.stop() == 0, worker.log_tail()
        check_archive(archive, put)


@pytest.mark.parametrize("source", ["embedded", "polling", "enhanced-fan-out"])
def test_a_start_at_a_moment_takes_what_arrived_then_or_later_and_stays_over_a_kill(tmp_path, source):
    server = Baikonur(tmp_path / "server", {"streams": {"router": {"shards": 2}}})
    with server:
        client = server.client()
        put_numbered(client, "router", 0, 100)
        # Arrival times are in milliseconds.
        time.sleep(0.05)
        start = {"starting_position": "AT_TIMESTAMP", "starting_position_timestamp": time.time()}
        time.sleep(0.05)
        # One shard ends before the mapping starts.
        put = put_numbered(client, "router", 100, 100)
        split(client, "router", settled(client, "router")[0])
        settled(client, "router")
        put |= put_numbered(client, "router", 200, 100)
        if source == "embedded":
            assert server.stop() == 0
            server.config["modules"] = {"archive": archiving(tmp_path, "router", **start)}
            worker = server.start()
        else:
            worker = worker_on(tmp_path, server.endpoint, consumption=source, **start)
        archive = Folder(tmp_path / "archive")
        with worker:
            eventually(lambda: len(archive.lines()) >= len(put), "everything since then archived", 60, every=0.5)
            worker.kill()
            worker.start()
            put |= put_numbered(server.client(), "router", 300, 100)
            eventually(lambda: len(archive.lines()) >= len(put), "and what came later", 60, every=0.5)
            assert worker.stop() == 0, worker.log_tail()
        check_archive(archive, put)


def test_a_stream_that_was_deleted_and_made_again_is_read_from_its_beginning(tmp_path):
    with Baikonur(tmp_path / "server", {"streams": {"router": {"shards": 2}}}) as server:
        client = server.client()
        archive = Folder(tmp_path / "archive")
        with worker_on(tmp_path, server.endpoint) as worker:
            put = put_numbered(client, "router", 0, 100)
            eventually(lambda: len(archive.lines()) >= len(put), "the first stream archived", 60, every=0.5)
            split(client, "router", settled(client, "router")[0])
            put |= put_numbered(client, "router", 100, 100)
            eventually(lambda: len(archive.lines()) >= len(put), "its children archived", 60, every=0.5)
            client.delete_stream(StreamName="router")
            # Numbers tell streams apart by the second in which they were made.
            time.sleep(1.1)
            client.create_stream(StreamName="router", ShardCount=2)
            settled(client, "router")
            put |= put_numbered(client, "router", 200, 100)
            eventually(lambda: len(archive.lines()) >= len(put), f"the second one archived\n{worker.log_tail()}", 60,
                       every=0.5)
        check_archive(archive, put)


def test_more_modules_than_a_shard_gives_calls_to_are_throttled_and_get_everything(tmp_path):
    server = Baikonur(tmp_path / "server", {"server": {"limits": "aws"}, "streams": {"router": {}}})
    modules = 8
    with server:
        worker = worker_on(tmp_path, server.endpoint)
        module = worker.config["modules"].pop("archive")
        for number in range(modules):
            destination = f"file://{tmp_path}/archive/{number}"
            worker.config["modules"][f"archive-{number}"] = {**module, "destination": destination}
        archives = [Folder(tmp_path / "archive" / str(number)) for number in range(modules)]
        with worker:
            put = set()
            for number in range(10):
                put |= put_numbered(server.client(), "router", 50 * number, 50)
                time.sleep(0.3)
            eventually(
                lambda: all(len(archive.lines()) >= len(put) for archive in archives), "all archives whole", 90,
                every=0.5)
            throttled = metric(worker, "baikonur_source_throttled_total", stream="router")
            assert sum(throttled.values()) > 0, "eight polls a second are more than five"
            retries = re.findall(r"^baikonur_retries_total.* (\S+)$", worker.metrics(), re.MULTILINE)
            assert len(retries) == modules and set(retries) == {"0"}, "which is no failure"
        for archive in archives:
            check_archive(archive, put)


def test_a_missing_stream_is_made_only_when_that_is_asked_for(tmp_path):
    with Baikonur(tmp_path / "server", {}) as server:
        worker = worker_on(tmp_path, server.endpoint)
        with pytest.raises(AssertionError, match="create_streams = true"):
            worker.start()
        assert server.client().list_streams()["StreamNames"] == []
        worker.config["kinesis"]["create_streams"] = True
        worker.config["streams"]["router"]["retention_hours"] = 48
        with worker.start():
            made = server.client().describe_stream_summary(StreamName="router")["StreamDescriptionSummary"]
            assert (made["OpenShardCount"], made["RetentionPeriodHours"]) == (2, 48)


def test_no_api_is_served_where_the_streams_are_elsewhere_but_pages_are(tmp_path):
    with Baikonur(tmp_path / "server", {"streams": {"router": {"shards": 2}}}) as server, \
            worker_on(tmp_path, server.endpoint) as worker:
        with pytest.raises(Exception, match="UnknownOperation"):
            worker.client(retries={"total_max_attempts": 1}).list_streams()
        put_numbered(server.client(), "router", 0, 100)
        eventually(lambda: "baikonur_delivered_records_total" in worker.metrics(), "metrics tell of delivery", 30)
        second = worker_on(tmp_path, server.endpoint)
        with pytest.raises(AssertionError, match="another process keeps its positions"):
            second.start()
