"""What changes streams, as boto3 and the AWS CLI ask for it: shards, consumers, tags, policies, modes and settings.

The order and number of records across all that is here as well, and that all of it outlives a kill.
"""

import base64
import itertools
import json
import threading
import time
from collections import defaultdict
from datetime import datetime, timezone

import pytest
from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import iter_deaggregate_records

from baikonur_server import Baikonur, put_all, read_stream
from kinesis_terms import ACCOUNT, HASH_KEYS, SHARD, arn, hash_key, not_found, refusal
from parts.waiting import eventually

HALF = HASH_KEYS // 2
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{
    "Sid": "read", "Effect": "Allow", "Principal": {"AWS": "111111111111"}, "Action": ["kinesis:GetRecords"],
    "Resource": "*",
}]})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Baikonur(tmp_path_factory.mktemp("kinesis_administration"), {}) as server:
        yield server


@pytest.fixture(scope="module")
def kinesis(server):
    return server.client()


@pytest.fixture
def make_stream(kinesis, request):
    """Makes streams with names of their own."""
    numbers = itertools.count()

    def make(shards=1, **parameters):
        name = f"{request.node.originalname[5:100]}-{next(numbers)}"
        if shards:
            parameters["ShardCount"] = shards
        kinesis.create_stream(StreamName=name, **parameters)
        summary(kinesis, name)
        return name

    return make


def summary(kinesis, name):
    """The stream's summary, once it is active."""
    def active():
        described = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        return described if described["StreamStatus"] == "ACTIVE" else None

    return eventually(active, f"{name} is active", seconds=30, every=0.02)


def split(kinesis, name, shard, at):
    kinesis.split_shard(StreamName=name, ShardToSplit=SHARD(shard), NewStartingHashKey=str(at))
    summary(kinesis, name)


def merge(kinesis, name, shard, adjacent):
    kinesis.merge_shards(StreamName=name, ShardToMerge=SHARD(shard), AdjacentShardToMerge=SHARD(adjacent))
    summary(kinesis, name)


def iterator(kinesis, name, shard, kind):
    """From the beginning, or from the end, of a shard."""
    return kinesis.get_shard_iterator(StreamName=name, ShardId=SHARD(shard), ShardIteratorType=kind)["ShardIterator"]


def shards(kinesis, name, kind=None, **companion):
    """Number → start, end, parent and adjacent parent of the shards that a filter gives."""
    shard_filter = {"ShardFilter": {"Type": kind, **companion}} if kind else {}

    def number(shard):
        return shard and int(shard.removeprefix("shardId-"))

    return {
        number(shard["ShardId"]): (
            int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"]),
            number(shard.get("ParentShardId")), number(shard.get("AdjacentParentShardId")),
        )
        for shard in kinesis.list_shards(StreamName=name, **shard_filter)["Shards"]
    }


def consumer(kinesis, name, called="reader"):
    """The ARN of a new consumer, once it is active."""
    at = {"StreamARN": arn(name), "ConsumerName": called}
    registered = kinesis.register_stream_consumer(**at)["Consumer"]
    assert registered.keys() == {"ConsumerName", "ConsumerARN", "ConsumerStatus", "ConsumerCreationTimestamp"}
    eventually(
        lambda: kinesis.describe_stream_consumer(**at)["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE",
        "an active consumer", seconds=30, every=0.02,
    )
    return registered["ConsumerARN"]


# Shards.

def test_a_split_shard_ends_and_its_halves_go_on(kinesis, make_stream):
    name = make_stream(2)
    before = put_all(kinesis, name, [(b"%d" % number, f"key-{number}") for number in range(100)])
    split(kinesis, name, 0, 1 << 126)
    other = (HALF, HASH_KEYS - 1, None, None)
    children = {2: (0, (1 << 126) - 1, 0, None), 3: (1 << 126, HALF - 1, 0, None)}
    assert shards(kinesis, name, "AT_LATEST") == {1: other, **children}
    assert shards(kinesis, name, "AT_TRIM_HORIZON").keys() == {0, 1}
    assert shards(kinesis, name) == {0: (0, HALF - 1, None, None), 1: other, **children}
    parent, *_ = kinesis.describe_stream(StreamName=name)["StreamDescription"]["Shards"]
    numbers = parent["SequenceNumberRange"]
    assert int(numbers["StartingSequenceNumber"]) < int(numbers["EndingSequenceNumber"])
    assert max(int(number) for shard, number in before if shard == SHARD(0)) < int(numbers["EndingSequenceNumber"])
    after = put_all(kinesis, name, [(b"%d" % number, f"key-{number}") for number in range(100)])
    assert {shard for shard, _ in after} == {SHARD(1), SHARD(2), SHARD(3)}
    found = read_stream(kinesis, name)
    assert {shard: len(records) for shard, records in found.items()} == {
        SHARD(number): sum(shard == SHARD(number) for shard, _ in before + after) for number in range(4)
    }


def test_reading_a_closed_shard_to_its_end_names_its_children(kinesis, make_stream):
    name = make_stream(1)
    put_all(kinesis, name, [(b"%d" % number, "a") for number in range(10)])
    latest = iterator(kinesis, name, 0, "LATEST")
    split(kinesis, name, 0, HALF)
    merge(kinesis, name, 1, 2)

    def end(position):
        """What the last answer says, and how many records came before."""
        count = 0
        while True:
            answer = kinesis.get_records(ShardIterator=position, Limit=4)
            count += len(answer["Records"])
            position = answer.get("NextShardIterator")
            assert (position is None) == bool(answer.get("ChildShards")), "no next iterator if and only if children"
            if position is None:
                return count, {child["ShardId"]: child["ParentShards"] for child in answer["ChildShards"]}

    children = {SHARD(1): [SHARD(0)], SHARD(2): [SHARD(0)]}
    assert end(iterator(kinesis, name, 0, "TRIM_HORIZON")) == (10, children)
    assert end(latest) == (0, children)
    assert end(iterator(kinesis, name, 0, "LATEST")) == (0, children)
    for shard in (1, 2):
        count, merged = end(iterator(kinesis, name, shard, "TRIM_HORIZON"))
        assert count == 0 and {child: sorted(parents) for child, parents in merged.items()} == {
            SHARD(3): [SHARD(1), SHARD(2)],
        }


def test_a_split_or_a_merge_that_cannot_be_says_why(kinesis, make_stream):
    name = make_stream(3)
    in_stream = f"in stream {name} under account {ACCOUNT}"

    def splitting(shard, at, **stream):
        return refusal(
            kinesis.split_shard, ShardToSplit=shard, NewStartingHashKey=str(at), **(stream or {"StreamName": name}),
        )

    def merging(shard, adjacent):
        return refusal(kinesis.merge_shards, StreamName=name, ShardToMerge=shard, AdjacentShardToMerge=adjacent)

    start, end, *_ = shards(kinesis, name)[1]
    for at in (start, start + 1, end, end + 1, 0):
        assert splitting(SHARD(1), at) == (
            "InvalidArgumentException",
            f"NewStartingHashKey {at} used in SplitShard() on shard {SHARD(1)} {in_stream} is not both greater than "
            f"one plus the shard's StartingHashKey {start} and less than the shard's EndingHashKey {end}.",
        )
    assert splitting(SHARD(7), start + 2) == (
        "ResourceNotFoundException", f"Could not find shard {SHARD(7)} {in_stream}.",
    )
    assert splitting(SHARD(0), 100, StreamName="missing") == not_found("missing")
    not_adjacent = "Shards {} and {} " + in_stream + " are not an adjacent pair of shards eligible for merging"
    for one, other in ((0, 2), (1, 0)):
        assert merging(SHARD(one), SHARD(other)) == (
            "InvalidArgumentException", not_adjacent.format(SHARD(one), SHARD(other)),
        )
    split(kinesis, name, 1, start + 2)
    for refused in (splitting(SHARD(1), start + 10), merging(SHARD(0), SHARD(1))):
        assert refused[0] == "InvalidArgumentException" and "has already been merged or split" in refused[1]
    merge(kinesis, name, 3, 4)
    assert shards(kinesis, name, "AT_LATEST")[5] == (start, end, 3, 4)


def test_the_shard_count_is_doubled_halved_and_kept_even(kinesis, make_stream):
    name = make_stream(4)

    def scale(target):
        return kinesis.update_shard_count(StreamName=name, TargetShardCount=target, ScalingType="UNIFORM_SCALING")

    def widths():
        ranges = sorted(value[:2] for value in shards(kinesis, name, "AT_LATEST").values())
        assert ranges[0][0] == 0 and ranges[-1][1] == HASH_KEYS - 1
        assert all(one[1] + 1 == other[0] for one, other in zip(ranges, ranges[1:]))
        return [end - start + 1 for start, end in ranges]

    answer = scale(3)
    assert answer.items() >= {
        "StreamName": name, "StreamARN": arn(name), "CurrentShardCount": 4, "TargetShardCount": 3,
    }.items()
    assert summary(kinesis, name)["OpenShardCount"] == 3
    # Seen on the service: the middle shards split, and the halves merge with the outer ones.
    assert shards(kinesis, name, "AT_LATEST").keys() == {6, 9, 10}
    assert all(abs(width - HASH_KEYS / 3) < HASH_KEYS / 1e6 for width in widths())
    scale(6)
    summary(kinesis, name)
    assert len(widths()) == 6 and all(abs(width - HASH_KEYS / 6) < HASH_KEYS / 1e6 for width in widths())
    for target, text in (
        (13, "UpdateShardCount cannot scale up over double your current open shard count."),
        (2, "UpdateShardCount cannot scale down below half your current open shard count."),
    ):
        with pytest.raises(kinesis.exceptions.LimitExceededException, match=text):
            scale(target)
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
        kinesis.update_shard_count(StreamName="missing", TargetShardCount=2, ScalingType="UNIFORM_SCALING")


def test_filters_know_when_shards_were_open(kinesis, make_stream):
    name = make_stream(1)
    made = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamCreationTimestamp"]
    # Streams made quickly one after another are a second apart, so this one may be of the near future.
    eventually(lambda: (datetime.now(timezone.utc) - made).total_seconds() > 1.1, "the stream is a second old")
    before = datetime.now(timezone.utc)
    time.sleep(0.1)
    split(kinesis, name, 0, HALF)
    # A child begins a second after its parent's end.
    time.sleep(2.1)
    after = datetime.now(timezone.utc)
    assert shards(kinesis, name, "AT_TIMESTAMP", Timestamp=before).keys() == {0}
    assert shards(kinesis, name, "FROM_TIMESTAMP", Timestamp=before).keys() == {0, 1, 2}
    assert shards(kinesis, name, "AT_TIMESTAMP", Timestamp=after).keys() == {1, 2}
    assert shards(kinesis, name, "FROM_TIMESTAMP", Timestamp=after).keys() == {1, 2}
    assert shards(kinesis, name, "FROM_TIMESTAMP", Timestamp=datetime(2001, 1, 1)).keys() == {0, 1, 2}
    assert shards(kinesis, name, "AFTER_SHARD_ID", ShardId=SHARD(1)).keys() == {2}
    assert shards(kinesis, name, "FROM_TRIM_HORIZON").keys() == {0, 1, 2}
    for kind in ("AT_TIMESTAMP", "FROM_TIMESTAMP", "AFTER_SHARD_ID"):
        code, _ = refusal(kinesis.list_shards, StreamName=name, ShardFilter={"Type": kind})
        assert code == "InvalidArgumentException"


# Consumers.

class Subscription(threading.Thread):
    """Follows a shard by SubscribeToShard from the trim horizon to its end."""

    def __init__(self, server, consumer_arn, shard):
        super().__init__(daemon=True)
        self.client, self.consumer_arn, self.shard = server.client(), consumer_arn, shard
        self.records, self.end, self.error = [], None, None
        self.start()

    def run(self):
        try:
            answer = self.client.subscribe_to_shard(
                ConsumerARN=self.consumer_arn, ShardId=SHARD(self.shard), StartingPosition={"Type": "TRIM_HORIZON"},
            )
            for event in answer["EventStream"]:
                event = event["SubscribeToShardEvent"]
                self.records += event["Records"]
                if event.get("ChildShards"):
                    assert not event.get("ContinuationSequenceNumber"), event
                    self.end = {child["ShardId"]: child["ParentShards"] for child in event["ChildShards"]}
                else:
                    assert event["ContinuationSequenceNumber"].isdecimal() and event["MillisBehindLatest"] >= 0
        except BaseException as error:  # shown by the main thread
            self.error = error

    def wait_for(self, count):
        eventually(lambda: self.error or len(self.records) >= count, f"{count} records of {self.shard}", seconds=30)
        assert self.error is None, self.error

    def wait_for_end(self):
        self.join(30)
        assert not self.is_alive() and self.error is None, self.error
        return self.end


def test_subscriptions_follow_a_stream_through_a_split_and_a_merge(server, kinesis, make_stream):
    name = make_stream(1)
    reader = consumer(kinesis, name)
    entries = [(b"%d" % number, f"key-{number % 5}") for number in range(100)]
    first = Subscription(server, reader, 0)
    placed = put_all(kinesis, name, entries[:40])
    first.wait_for(40)
    split(kinesis, name, 0, HALF)
    assert first.wait_for_end() == {SHARD(1): [SHARD(0)], SHARD(2): [SHARD(0)]}
    placed += put_all(kinesis, name, entries[40:70])
    halves = [Subscription(server, reader, shard) for shard in (1, 2)]
    for half in halves:
        half.wait_for(sum(shard == SHARD(half.shard) for shard, _ in placed))
    merge(kinesis, name, 1, 2)
    for half in halves:
        [(child, parents)] = half.wait_for_end().items()
        assert child == SHARD(3) and sorted(parents) == [SHARD(1), SHARD(2)]
    placed += put_all(kinesis, name, entries[70:])
    last = Subscription(server, reader, 3)
    last.wait_for(30)
    of_shard = read_stream(kinesis, name)
    for subscription in (first, *halves, last):
        assert subscription.records == of_shard[SHARD(subscription.shard)], "as GetRecords gives them"
    found = sorted(int(record["Data"]) for one in (first, *halves, last) for record in one.records)
    assert found == list(range(100))


def test_consumers_come_are_listed_and_go(kinesis, make_stream):
    name = make_stream(1)
    arns = {called: consumer(kinesis, name, called) for called in ("one", "two", "three")}
    pages = kinesis.get_paginator("list_stream_consumers").paginate(
        StreamARN=arn(name), PaginationConfig={"PageSize": 2}
    )
    listed = [one for page in pages for one in page["Consumers"]]
    assert {one["ConsumerName"]: one["ConsumerARN"] for one in listed} == arns
    assert all("StreamARN" not in one and one["ConsumerStatus"] == "ACTIVE" for one in listed)
    assert summary(kinesis, name)["ConsumerCount"] == 3
    described = kinesis.describe_stream_consumer(ConsumerARN=arns["one"])["ConsumerDescription"]
    assert described["StreamARN"] == arn(name) and described["ConsumerName"] == "one"
    assert isinstance(described["ConsumerCreationTimestamp"], datetime)
    code, _ = refusal(kinesis.register_stream_consumer, StreamARN=arn(name), ConsumerName="one")
    assert code == "ResourceInUseException"
    code, _ = refusal(kinesis.delete_stream, StreamName=name)
    assert code == "ResourceInUseException"
    kinesis.deregister_stream_consumer(ConsumerARN=arns["one"])
    kinesis.deregister_stream_consumer(StreamARN=arn(name), ConsumerName="two")
    eventually(lambda: summary(kinesis, name)["ConsumerCount"] == 1, "one consumer", seconds=30)
    missing = refusal(kinesis.describe_stream_consumer, StreamARN=arn(name), ConsumerName="two")
    assert missing == ("ResourceNotFoundException", f"Consumer two, account {ACCOUNT} not found.")
    subscribing = {"ShardId": SHARD(0), "StartingPosition": {"Type": "LATEST"}}
    code, _ = refusal(kinesis.subscribe_to_shard, ConsumerARN=arns["two"], **subscribing)
    assert code == "ResourceNotFoundException"
    code, _ = refusal(kinesis.subscribe_to_shard, ConsumerARN=arns["three"], **subscribing | {"ShardId": SHARD(5)})
    assert code == "ResourceNotFoundException"
    kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)
    kinesis.get_waiter("stream_not_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def test_a_second_subscription_must_wait_five_seconds(kinesis, make_stream):
    name = make_stream(1)
    at = {"ConsumerARN": consumer(kinesis, name), "ShardId": SHARD(0), "StartingPosition": {"Type": "TRIM_HORIZON"}}
    put_all(kinesis, name, [(b"1", "a")])
    first = kinesis.subscribe_to_shard(**at)["EventStream"]
    assert [record["Data"] for record in next(iter(first))["SubscribeToShardEvent"]["Records"]] == [b"1"]
    code, message = refusal(kinesis.subscribe_to_shard, **at)
    assert code == "ResourceInUseException" and message.startswith("Another active subscription exists")
    time.sleep(5.2)
    second = kinesis.subscribe_to_shard(**at)["EventStream"]
    assert [record["Data"] for record in next(iter(second))["SubscribeToShardEvent"]["Records"]] == [b"1"]
    first.close()
    second.close()


# The producer library.

def test_a_producer_with_an_old_map_of_shards_finds_the_new_one_and_loses_nothing(kinesis, make_stream):
    """The Kinesis Producer Library predicts the shard of each user record from ListShards, puts what goes to one shard
    into one record with an explicit hash key of that shard, and when an answer names another shard than predicted, puts
    again what does not belong there, since readers drop user records outside of their shard's range.
    """
    name = make_stream(2)
    numbers = itertools.count()

    def shard_map():
        """Following pages as the library does: with the token alone."""
        page = kinesis.list_shards(StreamName=name, MaxResults=1000, ShardFilter={"Type": "AT_LATEST"})
        found = page["Shards"]
        while "NextToken" in page:
            page = kinesis.list_shards(NextToken=page["NextToken"])
            found += page["Shards"]
        return {
            shard["ShardId"]: range(*(int(shard["HashKeyRange"][end]) + last for end, last in (
                ("StartingHashKey", 0), ("EndingHashKey", 1),
            )))
            for shard in found
        }

    def put(known, keys):
        """Puts user records until each is in the shard of its key; gives the map, and how often it was wrong."""
        waiting = [(key, b"%d" % next(numbers)) for key in keys]
        again = 0
        while waiting:
            groups = defaultdict(list)
            for key, data in waiting:
                [shard] = [shard for shard, keys in known.items() if hash_key(key) in keys]
                groups[shard].append((key, data))
            entries = []
            for shard, records in groups.items():
                aggregator = RecordAggregator()
                for key, data in records:
                    aggregator.add_user_record(key, data)
                key, _, data = aggregator.clear_and_get().get_contents()
                # Its start, so that after a split it is the lower child that an old map leads to.
                entries.append({"Data": data, "PartitionKey": key, "ExplicitHashKey": str(known[shard].start)})
            answer = kinesis.put_records(StreamName=name, Records=entries)["Records"]
            waiting = []
            for (predicted, records), placed in zip(groups.items(), answer):
                if placed["ShardId"] != predicted:
                    known = shard_map()
                    real = known[placed["ShardId"]]
                    waiting += [(key, data) for key, data in records if hash_key(key) not in real]
                    again += 1
        return known, again

    keys = [f"key-{number}" for number in range(60)]
    known, again = put(shard_map(), keys)
    assert again == 0
    split(kinesis, name, 0, 1 << 126)
    known, again = put(known, keys)
    assert again == 1, "the old map was wrong for the shard that was split"
    assert known.keys() == {SHARD(1), SHARD(2), SHARD(3)}
    merge(kinesis, name, 3, 1)
    known, again = put(known, keys)
    assert again == 2, "and for both that were merged"
    assert known.keys() == {SHARD(2), SHARD(4)}
    ranges = {SHARD(number): (start, end) for number, (start, end, *_) in shards(kinesis, name).items()}
    found = defaultdict(list)
    # The order of shard numbers is one in which parents come before children.
    for shard, records in sorted(read_stream(kinesis, name).items()):
        for record in records:
            for user in iter_deaggregate_records([record], data_format="Boto3"):
                key = user["kinesis"]["partitionKey"]
                if ranges[shard][0] <= hash_key(key) <= ranges[shard][1]:
                    found[key].append(int(base64.b64decode(user["kinesis"]["data"])))
    assert found.keys() == set(keys)
    for place, key in enumerate(keys):
        assert found[key] == [place, place + 60, place + 120], key


# Tags, policies and settings.

def test_tags_are_those_of_the_stream_by_name_and_by_arn(kinesis, make_stream):
    name = make_stream(1, Tags={"made": "with it"})
    reader = consumer(kinesis, name)
    kinesis.add_tags_to_stream(StreamName=name, Tags={"team": "logs", "größe": ""})
    kinesis.tag_resource(ResourceARN=arn(name), Tags={"team": "space", "a:b": "c"})
    kinesis.tag_resource(ResourceARN=reader, Tags={"reader": "yes"})

    def of(resource):
        return {tag["Key"]: tag["Value"] for tag in kinesis.list_tags_for_resource(ResourceARN=resource)["Tags"]}

    together = {"made": "with it", "team": "space", "größe": "", "a:b": "c"}
    assert of(arn(name)) == together and of(reader) == {"reader": "yes"}
    answer = kinesis.list_tags_for_stream(StreamName=name)
    keys = [tag["Key"] for tag in answer["Tags"]]
    assert keys == sorted(together) and answer["HasMoreTags"] is False
    first = kinesis.list_tags_for_stream(StreamName=name, Limit=3)
    rest = kinesis.list_tags_for_stream(StreamName=name, ExclusiveStartTagKey=first["Tags"][-1]["Key"])
    assert first["HasMoreTags"] is True and rest["HasMoreTags"] is False
    assert first["Tags"] + rest["Tags"] == answer["Tags"]
    kinesis.remove_tags_from_stream(StreamName=name, TagKeys=["team", "unknown"])
    kinesis.untag_resource(ResourceARN=arn(name), TagKeys=["a:b"])
    assert of(arn(name)) == {"made": "with it", "größe": ""}
    kinesis.untag_resource(ResourceARN=reader, TagKeys=["reader"])
    assert of(reader) == {}
    code, message = refusal(kinesis.add_tags_to_stream, StreamName=name, Tags={"a;b": "c"})
    assert code == "InvalidArgumentException" and message.startswith("Some tags contain invalid characters.")
    many = {f"key-{number}": "" for number in range(51)}
    code, _ = refusal(kinesis.tag_resource, ResourceARN=arn(name), Tags=many)
    assert code in ("InvalidArgumentException", "LimitExceededException")
    assert len(of(arn(name))) == 2
    assert refusal(kinesis.list_tags_for_stream, StreamName="missing") == not_found("missing")
    assert refusal(kinesis.tag_resource, ResourceARN=arn("missing"), Tags={"a": "b"})[0] == "ResourceNotFoundException"


def test_a_policy_is_kept_until_it_is_deleted(kinesis, make_stream):
    name = make_stream(1)
    for resource in (arn(name), consumer(kinesis, name)):
        assert kinesis.get_resource_policy(ResourceARN=resource)["Policy"] == "{}"
        kinesis.put_resource_policy(ResourceARN=resource, Policy=POLICY)
        assert json.loads(kinesis.get_resource_policy(ResourceARN=resource)["Policy"]) == json.loads(POLICY)
        kinesis.delete_resource_policy(ResourceARN=resource)
        assert kinesis.get_resource_policy(ResourceARN=resource)["Policy"] == "{}"
        assert refusal(kinesis.delete_resource_policy, ResourceARN=resource)[0] == "ResourceNotFoundException"
    for call in (kinesis.get_resource_policy, kinesis.delete_resource_policy):
        assert refusal(call, ResourceARN=arn("missing"))[0] == "ResourceNotFoundException"


def test_encryption_is_reported_by_the_stream_its_puts_and_its_records(kinesis, make_stream):
    name = make_stream(1)
    key = {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    entry = {"Data": b"x", "PartitionKey": "a"}

    def put():
        one = kinesis.put_record(StreamName=name, **entry)
        many = kinesis.put_records(StreamName=name, Records=[entry])
        assert one.get("EncryptionType") == many.get("EncryptionType")
        return one.get("EncryptionType")

    assert put() is None
    kinesis.start_stream_encryption(StreamName=name, **key)
    assert summary(kinesis, name).items() >= key.items()
    assert put() == "KMS"
    kinesis.stop_stream_encryption(StreamName=name, **key)
    described = summary(kinesis, name)
    assert described["EncryptionType"] == "NONE" and "KeyId" not in described
    assert put() is None
    types = [record.get("EncryptionType") for record in read_stream(kinesis, name)[SHARD(0)]]
    assert types == [None, None, "KMS", "KMS", None, None]


def test_enhanced_monitoring_adds_and_takes_metrics(kinesis, make_stream):
    name = make_stream(1)
    seven = {
        "IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords", "WriteProvisionedThroughputExceeded",
        "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds",
    }
    two = {"IncomingBytes", "OutgoingBytes"}
    for call, metrics, before, after in (
        (kinesis.enable_enhanced_monitoring, two, set(), two),
        (kinesis.enable_enhanced_monitoring, {"ALL"}, two, seven),
        (kinesis.disable_enhanced_monitoring, two, seven, seven - two),
        (kinesis.disable_enhanced_monitoring, {"ALL"}, seven - two, set()),
    ):
        answer = call(StreamName=name, ShardLevelMetrics=sorted(metrics))
        assert (answer["StreamName"], answer["StreamARN"]) == (name, arn(name))
        assert set(answer["CurrentShardLevelMetrics"]) == before
        assert set(answer["DesiredShardLevelMetrics"]) == after
        [monitoring] = summary(kinesis, name)["EnhancedMonitoring"]
        assert set(monitoring["ShardLevelMetrics"]) == after


def test_modes_and_the_settings_of_streams_and_account_are_kept(kinesis, make_stream):
    name = make_stream(2)
    at = {"StreamARN": arn(name)}
    details = {"StreamMode": "ON_DEMAND"}
    kinesis.update_stream_mode(StreamModeDetails=details, **at)
    described = summary(kinesis, name)
    assert described["StreamModeDetails"] == details and described["OpenShardCount"] == 2, "the shards stay"
    with pytest.raises(kinesis.exceptions.ClientError, match=f"Request is invalid. Stream {name} under account"):
        kinesis.update_shard_count(StreamName=name, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    commitment = kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    assert commitment["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED"
    assert kinesis.describe_account_settings()["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED"
    answer = kinesis.update_stream_warm_throughput(WarmThroughputMiBps=10, **at)
    assert answer["StreamName"] == name and answer["WarmThroughput"]["TargetMiBps"] == 10
    assert summary(kinesis, name)["WarmThroughput"]["TargetMiBps"] == 10
    # Under AUTO a record needs no key, and has none when it is read.
    kinesis.update_stream_record_distribution_strategy(RecordDistributionStrategy="AUTO", **at)
    summary(kinesis, name)
    kinesis.put_record(Data=b"keyless", **at)
    kinesis.update_stream_record_distribution_strategy(RecordDistributionStrategy="USER_PARTITION_KEY", **at)
    summary(kinesis, name)
    [record] = [record for records in read_stream(kinesis, name).values() for record in records]
    assert record["Data"] == b"keyless" and "PartitionKey" not in record
    kinesis.update_max_record_size(MaxRecordSizeInKiB=10240, **at)
    assert summary(kinesis, name)["MaxRecordSizeInKiB"] == 10240
    large = b"x" * (10 * 1024 * 1024 - 1)
    kinesis.put_record(Data=large, PartitionKey="a", **at)
    read = [record["Data"] for records in read_stream(kinesis, name).values() for record in records]
    assert large in read and len(read) == 2
    limits = kinesis.describe_limits()
    assert limits["OnDemandStreamCount"] >= 1 and limits["OpenShardCount"] <= limits["ShardLimit"]


def test_a_dry_run_says_that_it_would_have_been_done_and_does_nothing(kinesis, make_stream):
    name = make_stream(1)
    reader = consumer(kinesis, name)
    position = iterator(kinesis, name, 0, "LATEST")
    entry = {"Data": b"x", "PartitionKey": "a"}
    for call, parameters in (
        (kinesis.put_record, {"StreamName": name, **entry}),
        (kinesis.put_records, {"StreamName": name, "Records": [entry]}),
        (kinesis.get_records, {"ShardIterator": position}),
        (kinesis.get_shard_iterator, {"StreamName": name, "ShardId": SHARD(0), "ShardIteratorType": "LATEST"}),
        (kinesis.subscribe_to_shard, {
            "ConsumerARN": reader, "ShardId": SHARD(0), "StartingPosition": {"Type": "LATEST"},
        }),
    ):
        assert refusal(call, DryRun=True, **parameters)[0] == "DryRunOperationException", call
    assert refusal(kinesis.put_record, StreamName="missing", DryRun=True, **entry) == not_found("missing")
    assert read_stream(kinesis, name) == {SHARD(0): []}


# The AWS CLI.

def test_the_aws_cli_administers_a_stream(server):
    name = "administered-by-the-cli"
    stream = ("--stream-name", name)

    with server.aws_session() as aws:
        def active():
            eventually(
                lambda: aws("describe-stream-summary", *stream)["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE",
                "an active stream", seconds=30,
            )

        aws("create-stream", *stream, "--shard-count", 2)
        active()
        aws("add-tags-to-stream", *stream, "--tags", "team=logs,kind=a b")
        aws("tag-resource", "--resource-arn", arn(name), "--tags", json.dumps({"größe": "10 @"}))
        aws("remove-tags-from-stream", *stream, "--tag-keys", "kind")
        tags = aws("list-tags-for-stream", *stream)["Tags"]
        assert tags == [{"Key": "größe", "Value": "10 @"}, {"Key": "team", "Value": "logs"}]
        assert aws("list-tags-for-resource", "--resource-arn", arn(name))["Tags"] == tags
        aws("untag-resource", "--resource-arn", arn(name), "--tag-keys", "größe")
        assert aws("list-tags-for-stream", *stream)["Tags"] == tags[1:]
        at = ("--stream-arn", arn(name), "--consumer-name", "cli")
        reader = aws("register-stream-consumer", *at)["Consumer"]["ConsumerARN"]
        described = aws("describe-stream-consumer", "--consumer-arn", reader)["ConsumerDescription"]
        assert described["ConsumerName"] == "cli" and described["StreamARN"] == arn(name)
        [listed] = aws("list-stream-consumers", "--stream-arn", arn(name))["Consumers"]
        assert listed["ConsumerARN"] == reader
        refused = aws("delete-stream", *stream, succeeds=False)
        assert "An error occurred (ResourceInUseException) when calling the DeleteStream operation" in refused
        aws("split-shard", *stream, "--shard-to-split", SHARD(0), "--new-starting-hash-key", 1 << 126)
        active()
        aws("merge-shards", *stream, "--shard-to-merge", SHARD(2), "--adjacent-shard-to-merge", SHARD(3))
        active()
        scaled = aws(
            "update-shard-count", *stream, "--target-shard-count", 4, "--scaling-type", "UNIFORM_SCALING",
        )
        assert (scaled["CurrentShardCount"], scaled["TargetShardCount"]) == (2, 4)
        active()
        shown = aws("list-shards", *stream, "--shard-filter", "Type=AT_LATEST")["Shards"]
        starts = sorted(int(shard["HashKeyRange"]["StartingHashKey"]) for shard in shown)
        assert starts == [quarter << 126 for quarter in range(4)]
        aws("update-max-record-size", "--stream-arn", arn(name), "--max-record-size-in-ki-b", 2048)
        active()
        aws("enable-enhanced-monitoring", *stream, "--shard-level-metrics", "ALL")
        aws("put-resource-policy", "--resource-arn", arn(name), "--policy", POLICY)
        assert json.loads(aws("get-resource-policy", "--resource-arn", arn(name))["Policy"]) == json.loads(POLICY)
        assert "OpenShardCount" in aws("describe-limits")
        aws("deregister-stream-consumer", "--consumer-arn", reader)
        active()
        aws("delete-stream", *stream, "--enforce-consumer-deletion")
        aws("wait", "stream-not-exists", *stream)


# All of it outlives the process, and is limited where that is asked for.

def test_everything_that_is_set_survives_a_kill(tmp_path):
    server = Baikonur(tmp_path, {})
    with server:
        kinesis = server.client()
        kinesis.create_stream(StreamName="s", StreamModeDetails={"StreamMode": "ON_DEMAND"}, Tags={"a": "1"})
        kinesis.create_stream(StreamName="p", ShardCount=2)
        stream = arn("s")
        kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
        kinesis.update_stream_warm_throughput(StreamARN=stream, WarmThroughputMiBps=6)
        kinesis.update_stream_record_distribution_strategy(StreamARN=stream, RecordDistributionStrategy="AUTO")
        kinesis.update_max_record_size(StreamARN=stream, MaxRecordSizeInKiB=2048)
        kinesis.start_stream_encryption(StreamName="p", EncryptionType="KMS", KeyId="alias/aws/kinesis")
        kinesis.put_record(StreamName="p", Data=b"sealed", PartitionKey="a")
        kinesis.stop_stream_encryption(StreamName="p", EncryptionType="KMS", KeyId="alias/aws/kinesis")
        kinesis.put_record(StreamName="p", Data=b"open", PartitionKey="a")
        kinesis.start_stream_encryption(StreamName="p", EncryptionType="KMS", KeyId="another")
        kinesis.enable_enhanced_monitoring(StreamName="p", ShardLevelMetrics=["IncomingBytes", "OutgoingBytes"])
        kinesis.put_resource_policy(ResourceARN=stream, Policy='{"Version":"2012-10-17"}')
        reader = kinesis.register_stream_consumer(StreamARN=stream, ConsumerName="reader", Tags={"b": "2"})["Consumer"]
        kinesis.put_resource_policy(ResourceARN=reader["ConsumerARN"], Policy='{"Id":"of-consumer"}')
        split(kinesis, "p", 0, 1000)

        def everything():
            kinesis = server.client()
            resources = (stream, arn("p"), reader["ConsumerARN"])
            answers = [
                kinesis.describe_account_settings(), kinesis.list_shards(StreamName="s"), kinesis.list_shards(StreamName="p"),
                kinesis.describe_stream_summary(StreamName="s"), kinesis.describe_stream_summary(StreamName="p"),
                kinesis.describe_stream_consumer(ConsumerARN=reader["ConsumerARN"]), kinesis.describe_limits(),
                *(kinesis.list_tags_for_resource(ResourceARN=one) for one in resources),
                *(kinesis.get_resource_policy(ResourceARN=one) for one in resources),
            ]
            for answer in answers:
                del answer["ResponseMetadata"]
            return answers, {
                record["Data"]: record.get("EncryptionType") for records in read_stream(kinesis, "p").values() for record in records
            }

        before, records = everything()
        assert records == {b"sealed": "KMS", b"open": None}
        text = json.dumps(before, default=str)
        for expected in ("ENABLED", "AUTO", "2048", "another", "OutgoingBytes", "2012-10-17", "of-consumer", '"TargetMiBps": 6'):
            assert expected in text, expected
        for _ in range(2):
            server.kill()
            server.start()
            assert everything() == (before, records)


def test_shards_take_and_give_what_amazons_do_where_that_is_asked_for(tmp_path):
    with Baikonur(tmp_path, {"server": {"limits": "aws"}, "streams": {"s": {"shards": 1}, "large": {"shards": 1}}}) as server:
        # It would wait out what it is told.
        kinesis = server.client(retries={"total_max_attempts": 1})
        rate = "Rate exceeded for shard shardId-000000000000 in stream {} under account 000000000000."
        # 4,000 records are more than two seconds admit, so some are refused unless putting them takes three.
        refused = []
        for batch in range(8):
            entries = [{"Data": b"x", "PartitionKey": str(number)} for number in range(500)]
            answer = kinesis.put_records(StreamName="s", Records=entries)
            failed = [record for record in answer["Records"] if "ErrorCode" in record]
            assert answer["FailedRecordCount"] == len(failed)
            refused += failed
        codes = {(record["ErrorCode"], record["ErrorMessage"]) for record in refused}
        assert codes == {("ProvisionedThroughputExceededException", rate.format("s"))}
        taken = 4000 - len(refused)
        assert 1000 <= taken < 4000
        with pytest.raises(kinesis.exceptions.ProvisionedThroughputExceededException):
            for _ in range(100):
                kinesis.put_record(StreamName="large", Data=b"x" * 500_000, PartitionKey="a")
        place = iterator(kinesis, "s", 0, "TRIM_HORIZON")
        with pytest.raises(kinesis.exceptions.ProvisionedThroughputExceededException, match="Rate exceeded for shard"):
            for _ in range(100):
                kinesis.get_records(ShardIterator=place)
        # Only throttled: what was acknowledged is there.
        eventually(lambda: len(read(kinesis, place)) == taken, "all that was taken")


def test_operations_of_a_day_are_counted_where_that_is_asked_for_and_over_a_kill(tmp_path):
    config = {"server": {"limits": "aws"}, "streams": {"s": {"shards": 2}}}
    with Baikonur(tmp_path, config) as server:
        # It would try again what is refused as a limit.
        kinesis = server.client(retries={"total_max_attempts": 1})
        scale = lambda count: kinesis.update_shard_count(
            StreamName="s", TargetShardCount=count, ScalingType="UNIFORM_SCALING")
        for number in range(9):
            assert scale(3 + number % 2)["TargetShardCount"] == 3 + number % 2
        scale(3)  # There are three: nothing changes.
        server.kill()
        server.start()
        scale(4)
        with pytest.raises(kinesis.exceptions.LimitExceededException, match="UpdateShardCount was called 10 times in 24 hours"):
            scale(3)
        key = {"StreamName": "s", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
        with pytest.raises(kinesis.exceptions.LimitExceededException, match="StartStreamEncryption was called 25 times"):
            for _ in range(26):
                kinesis.start_stream_encryption(**key)
                kinesis.stop_stream_encryption(**key)
        # Shards by hand have no such quota.
        (lowest, *_) = kinesis.list_shards(StreamName="s", ShardFilter={"Type": "AT_LATEST"})["Shards"]
        middle = int(lowest["HashKeyRange"]["StartingHashKey"]) // 2 + int(lowest["HashKeyRange"]["EndingHashKey"]) // 2
        kinesis.split_shard(StreamName="s", ShardToSplit=lowest["ShardId"], NewStartingHashKey=str(middle))
        assert kinesis.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]["OpenShardCount"] == 5
    with Baikonur(tmp_path, {"streams": {"s": {"shards": 2}}}) as server:
        kinesis = server.client()
        for number in range(12):
            kinesis.update_shard_count(StreamName="s", TargetShardCount=4 + number % 2, ScalingType="UNIFORM_SCALING")


def read(kinesis, place):
    try:
        return kinesis.get_records(ShardIterator=place)["Records"]
    except kinesis.exceptions.ProvisionedThroughputExceededException:
        return []
