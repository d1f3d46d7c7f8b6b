"""The Kinesis Client Library consumes a stream through a split and a merge, by polling and by enhanced fan-out at once.

Its leases lie in moto's DynamoDB. It reads records through two applications, each of which must see everything.
"""

import contextlib
from collections import Counter, defaultdict

import pytest
from aws_kinesis_agg.aggregator import RecordAggregator

from baikonur_server import Baikonur
from parts.kinesis_clients import Told, java
from parts.moto_server import MotoServer
from parts.relay import Relay
from parts.waiting import eventually
from starting import available, started

SHARD = "shardId-{:012}".format
STREAM = "kcl"
WAYS = ("polling", "fan-out")
KEYS = 10
AGGREGATED = 5


class Producer:
    """Puts numbered records, of some keys by turns."""

    def __init__(self, client):
        self.client, self.count = client, 0

    def put(self, count):
        numbers = range(self.count, self.count + count)
        answer = self.client.put_records(StreamName=STREAM, Records=[
            {"Data": b"%d" % number, "PartitionKey": f"key-{number % KEYS}"} for number in numbers
        ])
        assert answer["FailedRecordCount"] == 0
        self.count += count

    def put_aggregated(self, count):
        """As the Kinesis Producer Library does: several user records in one, here of one key."""
        aggregator = RecordAggregator()
        for number in range(self.count, self.count + count):
            aggregator.add_user_record("aggregate", b"%d" % number)
        _, _, data = aggregator.clear_and_get().get_contents()
        self.client.put_record(StreamName=STREAM, Data=data, PartitionKey="aggregate")
        self.count += count

    def change(self, call, **parameters):
        """Makes or changes the stream, and waits until that is done."""
        call(StreamName=STREAM, **parameters)
        eventually(
            lambda: self.client.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]["StreamStatus"]
            == "ACTIVE", "an active stream", seconds=30,
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Way → what the application told; and the stream's shards."""
    folder = tmp_path_factory.mktemp("kcl")
    with contextlib.ExitStack() as stack:
        aws = stack.enter_context(started(MotoServer, tmp_path_factory))
        server = stack.enter_context(Baikonur(folder, {}))
        relay = stack.enter_context(Relay(server.port))
        client = server.client()
        producer = Producer(client)
        producer.change(client.create_stream, ShardCount=2)
        producer.put(200)
        producer.put_aggregated(AGGREGATED)
        applications = {}
        for way in WAYS:
            command = available(java, "kcl", "Application", way, STREAM, f"app-{way}", relay.endpoint, aws.endpoint)
            applications[way] = stack.enter_context(Told(command, folder / way, way))

        def all_came():
            for application in applications.values():
                application.check()
            return all(len(told.of("record")) >= producer.count for told in applications.values())

        try:
            eventually(all_came, "the first records", seconds=100)
            # Records come before, between and after the changes, so that parents have what children must wait for.
            producer.change(client.split_shard, ShardToSplit=SHARD(0), NewStartingHashKey=str(1 << 126))
            producer.put(200)
            producer.change(client.merge_shards, ShardToMerge=SHARD(2), AdjacentShardToMerge=SHARD(3))
            producer.put(200)
            eventually(all_came, "the records of the children", seconds=60)
            producer.put(100)
            eventually(all_came, "the last records", seconds=30)
        except AssertionError as late:
            raise AssertionError("\n".join([str(late), *(told.tail() for told in applications.values())])) from None
        finally:
            for told in applications.values():
                told.show()
        for told in applications.values():
            told.finish(90)
        yield applications, producer.count, client.list_shards(StreamName=STREAM)["Shards"], relay.protocols()


@pytest.mark.parametrize("way", WAYS)
def test_each_record_comes_once_and_in_the_order_of_its_key(run, way):
    applications, count, _, _ = run
    records = applications[way].of("record")
    assert Counter(int(record["text"]) for record in records) == Counter(range(count))
    of_key, of_shard = defaultdict(list), defaultdict(list)
    for record in records:
        of_key[record["key"]].append(int(record["text"]))
        of_shard[record["shard"]].append((int(record["number"]), record["sub"]))
    for key, numbers in of_key.items():
        assert numbers == sorted(numbers), key
    for shard, numbers in of_shard.items():
        assert numbers == sorted(numbers), shard
    aggregated = [record for record in records if record["key"] == "aggregate"]
    assert [record["sub"] for record in aggregated] == list(range(AGGREGATED))
    assert len({record["number"] for record in aggregated}) == 1
    plain = [record for record in records if record["key"] != "aggregate"]
    assert {record["sub"] for record in plain} == {0}
    assert {record["key"] for record in plain} == {f"key-{number}" for number in range(KEYS)}


@pytest.mark.parametrize("way", WAYS)
def test_children_come_after_all_of_their_parents(run, way):
    applications, _, shards, _ = run
    told = applications[way]
    parents = {
        shard["ShardId"]: {shard[key] for key in ("ParentShardId", "AdjacentParentShardId") if key in shard}
        for shard in shards
    }
    assert parents == {
        SHARD(0): set(), SHARD(1): set(), SHARD(2): {SHARD(0)}, SHARD(3): {SHARD(0)}, SHARD(4): {SHARD(2), SHARD(3)},
    }
    ended, begun = [], []
    for line in told.of("shard_started", "record", "shard_ended"):
        assert parents[line["shard"]] <= set(ended), f"before its parents' end: {line}"
        assert line["shard"] not in ended, f"after its end: {line}"
        if line["step"] == "shard_ended":
            ended.append(line["shard"])
        elif line["step"] == "shard_started":
            begun.append(line["shard"])
    assert sorted(begun) == sorted(parents), "each shard was begun once"
    assert sorted(ended) == [SHARD(0), SHARD(2), SHARD(3)]


@pytest.mark.parametrize("way", WAYS)
def test_the_application_checkpoints_and_ends_in_good_order(run, way):
    told = run[0][way]
    assert told.lines[-1] == {"step": "stopped", "graceful": True}
    assert told.of("not_checkpointed") == []
    assert {line["shard"] for line in told.of("lease_lost")} <= {SHARD(1), SHARD(4)}


def test_the_library_speaks_http_2(run):
    assert run[3] == {"http2"}
