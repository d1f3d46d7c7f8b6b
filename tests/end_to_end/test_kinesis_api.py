"""The Kinesis API as boto3 and the AWS CLI speak it: every operation, its limits, and its errors by name and text.

Expiry of iterators and tokens is not here: it takes five minutes, and is tested with a clock of its own. Nor is a put
of which some records fail: embedded streams put all of a call or nothing.
"""

import base64
import itertools
import json
import random
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
import urllib3

from baikonur_server import REGION, Baikonur, put_all, read_shard, read_stream
from kinesis_terms import ACCOUNT, HASH_KEYS, SHARD, arn, hash_key, invalid, not_found, refusal, shard_not_there

MIB = 1 << 20
# From the reference: where each of four shards starts.
STARTS_OF_FOUR = (
    0, 85070591730234615865843651857942052864, 170141183460469231731687303715884105728,
    255211775190703847597530955573826158592,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Baikonur(tmp_path_factory.mktemp("kinesis_api"), {}) as server:
        yield server


@pytest.fixture(scope="module")
def kinesis(server):
    return server.client()


@pytest.fixture(scope="module")
def unchecked(server):
    """A client that sends what boto3 itself would refuse, and sends nothing twice."""
    return server.client(parameter_validation=False, retries={"total_max_attempts": 1})


@pytest.fixture
def make_stream(kinesis, request):
    """Makes streams with names of their own."""
    numbers = itertools.count()

    def make(shards=1):
        name = f"{request.node.originalname[5:100]}-{next(numbers)}"
        kinesis.create_stream(StreamName=name, ShardCount=shards)
        return name

    return make


def iterator(kinesis, stream, kind="TRIM_HORIZON", shard=0, **position):
    answer = kinesis.get_shard_iterator(
        StreamName=stream, ShardId=SHARD(shard), ShardIteratorType=kind, **position
    )
    return answer["ShardIterator"]


def data_from(kinesis, stream, kind, **position):
    """The payloads from a position of the only shard on."""
    position = {"ShardIteratorType": kind, **position}
    return [record["Data"] for record in read_shard(kinesis, stream, SHARD(0), **position)]


def shard_of(key, shards):
    """Where the MD5 of a partition key leads to, as the reference says it."""
    return min(hash_key(key) // (HASH_KEYS // shards), shards - 1)


# Streams.

def test_a_created_stream_is_there_at_once_and_described_in_full(kinesis):
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    kinesis.create_stream(StreamName="described", ShardCount=4)
    kinesis.get_waiter("stream_exists").wait(StreamName="described", WaiterConfig={"Delay": 1, "MaxAttempts": 1})
    stream = kinesis.describe_stream(StreamName="described")["StreamDescription"]
    shards, created = stream.pop("Shards"), stream.pop("StreamCreationTimestamp")
    assert before.replace(microsecond=0) <= created <= datetime.now(timezone.utc)
    assert stream == {
        "StreamName": "described", "StreamARN": arn("described"), "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"}, "HasMoreShards": False, "RetentionPeriodHours": 24,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}], "EncryptionType": "NONE",
    }
    numbers = []
    for place, shard in enumerate(shards):
        end = STARTS_OF_FOUR[place + 1] - 1 if place < 3 else HASH_KEYS - 1
        assert shard["ShardId"] == SHARD(place) and shard.keys() == {"ShardId", "HashKeyRange", "SequenceNumberRange"}
        assert shard["HashKeyRange"] == {"StartingHashKey": str(STARTS_OF_FOUR[place]), "EndingHashKey": str(end)}
        assert shard["SequenceNumberRange"].keys() == {"StartingSequenceNumber"}, "the shard is open"
        numbers.append(int(shard["SequenceNumberRange"]["StartingSequenceNumber"]))
    steps = {after - one for one, after in zip(numbers, numbers[1:])}
    assert steps == {22300745198530623141535718272648361505980432}, "numbers have the shape of the service's"
    summary = kinesis.describe_stream_summary(StreamName="described")["StreamDescriptionSummary"]
    del stream["HasMoreShards"]
    assert summary == stream | {
        "StreamCreationTimestamp": created, "OpenShardCount": 4, "ConsumerCount": 0, "MaxRecordSizeInKiB": 1024,
    }


def test_a_stream_without_a_shard_count_has_four_unless_it_is_provisioned(kinesis):
    kinesis.create_stream(StreamName="on-demand", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert len(kinesis.list_shards(StreamName="on-demand")["Shards"]) == 4
    details = {"StreamMode": "PROVISIONED"}
    assert refusal(kinesis.create_stream, StreamName="provisioned", StreamModeDetails=details) == invalid(
        ("null", "shardCount", "must not be null"),
    )


def test_a_stream_that_cannot_be_made_says_why(kinesis, unchecked, make_stream):
    name = make_stream()
    assert refusal(kinesis.create_stream, StreamName=name, ShardCount=7) == (
        "ResourceInUseException", f"Stream {name} under account {ACCOUNT} already exists.",
    )
    code, message = refusal(unchecked.create_stream, StreamName="vast", ShardCount=20_000)
    assert code == "LimitExceededException"
    assert message.startswith(f"This request would exceed the shard limit for the account {ACCOUNT} in {REGION}.")
    assert refusal(unchecked.create_stream, StreamName="a/b", ShardCount=0) == invalid(
        ("'a/b'", "streamName", "must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
        ("'0'", "shardCount", "must have value greater than or equal to 1"),
    )
    assert refusal(unchecked.create_stream, StreamName="n" * 129, ShardCount=1) == invalid(
        (f"'{'n' * 129}'", "streamName", "must have length less than or equal to 128"),
    )
    assert refusal(unchecked.create_stream, ShardCount=1) == invalid(("null", "streamName", "must not be null"))
    assert refusal(unchecked.create_stream, StreamName="x", ShardCount="1") == (
        "SerializationException", "class java.lang.String can not be converted to an Integer",
    )
    for missing in ("vast", "provisioned", "x"):
        assert refusal(kinesis.describe_stream, StreamName=missing) == not_found(missing)


def test_describe_stream_pages_by_limit_and_last_shard(kinesis, unchecked, make_stream):
    name = make_stream(120)

    def page(**parameters):
        description = kinesis.describe_stream(StreamName=name, **parameters)["StreamDescription"]
        return [shard["ShardId"] for shard in description["Shards"]], description["HasMoreShards"]

    everything = [SHARD(number) for number in range(120)]
    assert page() == (everything[:100], True)
    assert page(Limit=10_000) == (everything[:100], True)
    assert page(Limit=7) == (everything[:7], True)
    assert page(Limit=7, ExclusiveStartShardId=everything[6]) == (everything[7:14], True)
    assert page(ExclusiveStartShardId=everything[19]) == (everything[20:], False)
    assert page(ExclusiveStartShardId=everything[-1]) == ([], False)
    pages = list(kinesis.get_paginator("describe_stream").paginate(StreamName=name, PaginationConfig={"PageSize": 50}))
    assert [len(page["StreamDescription"]["Shards"]) for page in pages] == [50, 50, 20]
    found = [shard["ShardId"] for page in pages for shard in page["StreamDescription"]["Shards"]]
    assert found == everything
    assert refusal(unchecked.describe_stream, StreamName=name, Limit=10_001) == invalid(
        ("'10001'", "limit", "must have value less than or equal to 10000"),
    )
    assert refusal(kinesis.describe_stream, StreamName=name, ExclusiveStartShardId="shard-x") == (
        "ResourceNotFoundException", f"Could not find shard shard-x in stream {name} under account {ACCOUNT}.",
    )
    assert refusal(kinesis.describe_stream_summary, StreamName="missing") == not_found("missing")


def test_list_streams_pages_in_the_order_of_names(kinesis):
    names = [f"zz-{number}" for number in range(7)]
    for name in random.Random(7).sample(names, 7):
        kinesis.create_stream(StreamName=name, ShardCount=1)
    first = kinesis.list_streams(ExclusiveStartStreamName="zz-", Limit=3)
    assert (first["StreamNames"], first["HasMoreStreams"]) == (names[:3], True)
    second = kinesis.list_streams(NextToken=first["NextToken"], Limit=3)
    assert (second["StreamNames"], second["HasMoreStreams"]) == (names[3:6], True)
    third = kinesis.list_streams(NextToken=second["NextToken"])
    assert (third["StreamNames"], third["HasMoreStreams"]) == (names[6:], False)
    assert "NextToken" not in third
    [summary] = third["StreamSummaries"]
    assert isinstance(summary.pop("StreamCreationTimestamp"), datetime)
    assert summary == {
        "StreamName": "zz-6", "StreamARN": arn("zz-6"), "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
    }
    pages = kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 2})
    found = [name for page in pages for name in page["StreamNames"]]
    assert found == sorted(found) and set(names) < set(found) and len(found) == len(set(found))
    assert refusal(kinesis.list_streams, NextToken="nonsense") == ("InvalidArgumentException", "Invalid NextToken.")
    assert refusal(kinesis.list_streams, NextToken=first["NextToken"], ExclusiveStartStreamName="a") == (
        "InvalidArgumentException", "NextToken and ExclusiveStartStreamName cannot be provided together.",
    )


def test_list_shards_pages_and_filters(kinesis, make_stream):
    name = make_stream(5)

    def ids(answer):
        return [int(shard["ShardId"][-12:]) for shard in answer["Shards"]]

    first = kinesis.list_shards(StreamName=name, MaxResults=2)
    second = kinesis.list_shards(NextToken=first["NextToken"], MaxResults=2)
    third = kinesis.list_shards(NextToken=second["NextToken"])
    assert [ids(first), ids(second), ids(third)] == [[0, 1], [2, 3], [4]] and "NextToken" not in third
    [page] = kinesis.get_paginator("list_shards").paginate(StreamARN=arn(name))
    assert ids(page) == [0, 1, 2, 3, 4]
    # The paginator sends name and token together from its second page on, which the service refuses as well
    # (https://github.com/boto/botocore/issues/2009).
    pages = kinesis.get_paginator("list_shards").paginate(StreamName=name, PaginationConfig={"PageSize": 2})
    assert refusal(lambda: list(pages))[1] == "NextToken and StreamName cannot be provided together."
    assert ids(kinesis.list_shards(StreamName=name, ExclusiveStartShardId=SHARD(2))) == [3, 4]
    for kind, expected in (("AFTER_SHARD_ID", [2, 3, 4]), ("AT_LATEST", [0, 1, 2, 3, 4]),
                           ("AT_TRIM_HORIZON", [0, 1, 2, 3, 4]), ("FROM_TRIM_HORIZON", [0, 1, 2, 3, 4])):
        shard = {"ShardId": SHARD(1)} if kind == "AFTER_SHARD_ID" else {}
        assert ids(kinesis.list_shards(StreamName=name, ShardFilter={"Type": kind, **shard})) == expected, kind
    for parameters, message in (
        ({}, "Either NextToken or StreamName should be provided."),
        ({"NextToken": first["NextToken"], "StreamName": name},
         "NextToken and StreamName cannot be provided together."),
        ({"NextToken": "nonsense"}, "Invalid NextToken."),
    ):
        assert refusal(kinesis.list_shards, **parameters) == ("InvalidArgumentException", message)
    assert refusal(kinesis.list_shards, StreamName="missing") == not_found("missing")


def test_retention_goes_up_and_down_within_its_limits(kinesis, make_stream):
    name = make_stream()
    up, down = kinesis.increase_stream_retention_period, kinesis.decrease_stream_retention_period

    def hours():
        return kinesis.describe_stream(StreamName=name)["StreamDescription"]["RetentionPeriodHours"]

    # What is in force is no mistake in either direction.
    for change, period in ((up, 24), (down, 24), (up, 48), (up, 48), (up, 8760), (down, 100), (down, 100), (down, 25)):
        change(StreamName=name, RetentionPeriodHours=period)
        assert hours() == period
    existing = (
        f"for stream {name} can not be {{}} than existing retention period (25 hours). Use {{}}RetentionPeriod API."
    )
    longest = "Maximum allowed retention period is 8760 hours."
    for change, period, message in (
        (up, 24, f"Requested retention period (24 hours) {existing.format('shorter', 'Decrease')}"),
        (down, 26, f"Requested retention period (26 hours) {existing.format('longer', 'Increase')}"),
        (down, 23, "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short."),
        (up, 8761, f"{longest} Requested retention period (8761 hours) is too long."),
    ):
        assert refusal(change, StreamName=name, RetentionPeriodHours=period) == ("InvalidArgumentException", message)
        assert refusal(change, StreamName="missing", RetentionPeriodHours=30) == not_found("missing")
    assert hours() == 25


def test_a_deleted_stream_is_gone_and_its_successor_is_empty(kinesis, make_stream):
    name = make_stream(2)
    kinesis.put_record(StreamName=name, Data=b"old", PartitionKey="a")
    old = iterator(kinesis, name, shard=shard_of("a", 2))
    kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)
    kinesis.get_waiter("stream_not_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 1})
    for call, parameters in (
        (kinesis.describe_stream, {}), (kinesis.describe_stream_summary, {}), (kinesis.delete_stream, {}),
        (kinesis.list_shards, {}), (kinesis.put_record, {"Data": b"", "PartitionKey": "a"}),
        (kinesis.put_records, {"Records": [{"Data": b"", "PartitionKey": "a"}]}),
    ):
        assert refusal(call, StreamName=name, **parameters) == not_found(name), call
    position = {"ShardId": SHARD(0), "ShardIteratorType": "LATEST"}
    assert refusal(kinesis.get_shard_iterator, StreamName=name, **position) == shard_not_there(name)
    assert name not in kinesis.list_streams(Limit=100)["StreamNames"]
    assert refusal(kinesis.get_records, ShardIterator=old) == shard_not_there(name, shard_of("a", 2))
    kinesis.create_stream(StreamName=name, ShardCount=2)
    assert read_stream(kinesis, name) == {SHARD(0): [], SHARD(1): []}
    assert refusal(kinesis.get_records, ShardIterator=old) == shard_not_there(name, shard_of("a", 2))


# Records in.

def test_a_record_goes_to_the_shard_of_its_keys_md5_and_is_read_back_as_it_was(kinesis, make_stream):
    name = make_stream(3)
    # Seen on the service: a → 0, b → 1, e → 2, f → 1.
    keys = ["a", "b", "e", "f", "é", "1", "\N{GRINNING FACE}", "k" * 256, "é" * 256, " \t\"\\\u2028", "\x00"]
    assert [shard_of(key, 3) for key in keys[:4]] == [0, 1, 2, 1]
    expected = defaultdict(list)
    for key in keys:
        data = bytes(range(256)) + key.encode()
        before = datetime.now(timezone.utc)
        answer = kinesis.put_record(StreamName=name, Data=data, PartitionKey=key)
        assert {field for field in answer if field != "ResponseMetadata"} == {"ShardId", "SequenceNumber"}
        assert answer["ShardId"] == SHARD(shard_of(key, 3)), key
        number = answer["SequenceNumber"]
        assert number.isdecimal() and len(number) == 56 and number.startswith("49")
        expected[answer["ShardId"]].append((number, key, data, before))
    for shard, records in read_stream(kinesis, name).items():
        found = [(record["SequenceNumber"], record["PartitionKey"], record["Data"]) for record in records]
        assert found == [entry[:3] for entry in expected[shard]], shard
        numbers = [int(number) for number, _, _ in found]
        assert numbers == sorted(set(numbers)), "numbers grow"
        for record, (*_, before) in zip(records, expected[shard]):
            late = record["ApproximateArrivalTimestamp"] - before
            assert timedelta(milliseconds=-1) <= late < timedelta(seconds=5)
            assert record.keys() == {"SequenceNumber", "PartitionKey", "Data", "ApproximateArrivalTimestamp"}


def test_an_explicit_hash_key_goes_before_the_partition_key(kinesis, make_stream):
    name = make_stream(4)
    put = kinesis.put_record
    for hash_key, shard in (
        (0, 0), (STARTS_OF_FOUR[1] - 1, 0), (STARTS_OF_FOUR[1], 1), (STARTS_OF_FOUR[3] - 1, 2),
        (STARTS_OF_FOUR[3], 3), (HASH_KEYS - 1, 3),
    ):
        answer = put(StreamName=name, Data=b"x", PartitionKey="a", ExplicitHashKey=str(hash_key))
        assert answer["ShardId"] == SHARD(shard), hash_key
    answer = kinesis.put_records(StreamName=name, Records=[
        {"Data": b"y", "PartitionKey": "a", "ExplicitHashKey": str(start)} for start in reversed(STARTS_OF_FOUR)
    ])
    assert [record["ShardId"] for record in answer["Records"]] == [SHARD(number) for number in (3, 2, 1, 0)]
    entry = {"Data": b"x", "PartitionKey": "a", "ExplicitHashKey": str(HASH_KEYS)}
    expected = (
        "InvalidArgumentException",
        f"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {HASH_KEYS}",
    )
    assert refusal(put, StreamName=name, **entry) == expected
    records = [{"Data": b"", "PartitionKey": "a"}, entry]
    assert refusal(kinesis.put_records, StreamName=name, Records=records) == expected
    code, message = refusal(put, StreamName=name, Data=b"x", PartitionKey="a", ExplicitHashKey="007")
    assert code == "ValidationException" and "Value '007' at 'explicitHashKey' failed" in message
    assert sum(map(len, read_stream(kinesis, name).values())) == 10, "nothing of what was refused was put"


def test_a_record_has_at_most_a_mebibyte_and_a_key_of_1_to_256_characters(kinesis, unchecked, make_stream):
    name = make_stream()
    for data in (b"", b"\0", b"x" * MIB):
        kinesis.put_record(StreamName=name, Data=data, PartitionKey="a")
    assert data_from(kinesis, name, "TRIM_HORIZON") == [b"", b"\0", b"x" * MIB]
    put = unchecked.put_record
    buffer = f"java.nio.HeapByteBuffer[pos=0 lim={MIB + 1} cap={MIB + 1}]"
    assert refusal(put, StreamName=name, Data=b"x" * (MIB + 1), PartitionKey="a") == invalid(
        (f"'{buffer}'", "data", f"must have length less than or equal to {MIB}"),
    )
    assert refusal(put, StreamName=name, Data=b"", PartitionKey="") == invalid(
        ("''", "partitionKey", "must have length greater than or equal to 1"),
    )
    assert refusal(put, StreamName=name, Data=b"", PartitionKey="é" * 257) == invalid(
        (f"'{'é' * 257}'", "partitionKey", "must have length less than or equal to 256"),
    )
    assert refusal(put, StreamName=name) == invalid(("null", "data", "must not be null"))
    # Since streams may place records themselves, whether there must be a key is a question to the stream.
    assert refusal(put, StreamName=name, Data=b"") == invalid(("null", "partitionKey", "must not be null"))
    assert refusal(put, Data=b"", PartitionKey="a") == invalid(("null", "streamName", "must not be null"))
    assert len(data_from(kinesis, name, "TRIM_HORIZON")) == 3


def test_a_number_of_the_past_orders_puts_and_one_of_the_future_is_refused(kinesis, make_stream):
    name = make_stream()
    number = None
    for count in range(5):
        after = {"SequenceNumberForOrdering": number} if number else {}
        answer = kinesis.put_record(StreamName=name, Data=b"%d" % count, PartitionKey="a", **after)
        assert number is None or int(answer["SequenceNumber"]) > int(number)
        number = answer["SequenceNumber"]
    assert data_from(kinesis, name, "TRIM_HORIZON") == [b"0", b"1", b"2", b"3", b"4"]
    # The second of the record stands 36 bits from the end.
    future = str(int(number) + (10**6 << 36))
    assert refusal(
        kinesis.put_record, StreamName=name, Data=b"x", PartitionKey="a", SequenceNumberForOrdering=future
    ) == (
        "InvalidArgumentException",
        f"ExclusiveMinimumSequenceNumber {future} used in PutRecord on stream {name} under account {ACCOUNT} is "
        "invalid.",
    )


def test_put_records_takes_500_and_answers_each_in_its_place(kinesis, unchecked, make_stream):
    name = make_stream(4)
    entries = [{"Data": b"%d" % number, "PartitionKey": f"key-{number % 97}"} for number in range(500)]
    answer = kinesis.put_records(StreamName=name, Records=entries)
    assert answer["FailedRecordCount"] == 0 and "EncryptionType" not in answer
    assert len(answer["Records"]) == 500
    expected = defaultdict(list)
    for entry, placed in zip(entries, answer["Records"]):
        assert placed.keys() == {"ShardId", "SequenceNumber"}, "no ErrorCode, no ErrorMessage"
        assert placed["ShardId"] == SHARD(shard_of(entry["PartitionKey"], 4))
        expected[placed["ShardId"]].append((placed["SequenceNumber"], entry["Data"]))
    for shard, records in read_stream(kinesis, name).items():
        assert [(record["SequenceNumber"], record["Data"]) for record in records] == expected[shard]
        numbers = [int(number) for number, _ in expected[shard]]
        assert numbers == sorted(set(numbers)), "within a shard, the order of the call"
    refused = refusal(unchecked.put_records, StreamName=name, Records=entries + entries[:1])
    assert refused == (
        "ValidationException",
        "1 validation error detected: Value at 'records' failed to satisfy constraint: Member must have length less "
        "than or equal to 500",
    )
    assert refusal(unchecked.put_records, StreamName=name, Records=[]) == invalid(
        ("'[]'", "records", "must have length greater than or equal to 1"),
    )
    assert sum(map(len, read_stream(kinesis, name).values())) == 500


def test_one_bad_record_of_a_put_is_named_and_nothing_of_the_call_is_put(kinesis, unchecked, make_stream):
    name = make_stream()
    good = {"Data": b"good", "PartitionKey": "a"}
    assert refusal(unchecked.put_records, StreamName=name, Records=[good, good | {"PartitionKey": ""}, {}]) == invalid(
        ("''", "records.2.member.partitionKey", "must have length greater than or equal to 1"),
        ("null", "records.3.member.data", "must not be null"),
    )
    code, message = refusal(unchecked.put_records, StreamName=name, Records=[good, good | {"Data": b"x" * (MIB + 1)}])
    assert code == "ValidationException"
    assert "at 'records.2.member.data' failed to satisfy constraint: Member must have length less than" in message
    assert data_from(kinesis, name, "TRIM_HORIZON") == []


def test_a_put_has_at_most_ten_mebibytes_keys_included(kinesis, make_stream):
    name = make_stream()
    key = "0123456789"
    entries = [{"Data": b"%d" % number * (MIB - 10), "PartitionKey": key} for number in range(10)]
    kinesis.put_records(StreamName=name, Records=entries)
    entries[9] = {"Data": b"x" * (MIB - 9), "PartitionKey": key}
    assert refusal(kinesis.put_records, StreamName=name, Records=entries) == (
        "InvalidArgumentException", "Records size exceeds 10 MB limit",
    )
    entries = [{"Data": b"last", "PartitionKey": key}]
    kinesis.put_records(StreamName=name, Records=entries)
    # So much more than an answer may have comes in several, without gap or overlap.
    position, sizes = iterator(kinesis, name), []
    while sum(sizes) < 10 * (MIB - 10) + 4:
        answer = kinesis.get_records(ShardIterator=position)
        sizes.append(sum(len(record["Data"]) for record in answer["Records"]))
        assert 0 < sizes[-1] <= 10 * MIB
        position = answer["NextShardIterator"]
    assert [data[:1] for data in data_from(kinesis, name, "TRIM_HORIZON")] == [b"%d" % n for n in range(10)] + [b"l"]


# Records out.

def test_the_five_iterator_types_find_their_places(kinesis, make_stream):
    name = make_stream()
    shard = kinesis.list_shards(StreamName=name)["Shards"][0]
    numbers, moments = [], []
    latest = iterator(kinesis, name, "LATEST")
    for data in (b"a", b"b", b"c"):
        numbers.append(kinesis.put_record(StreamName=name, Data=data, PartitionKey="a")["SequenceNumber"])
        time.sleep(0.03)
        moments.append(datetime.now(timezone.utc))
        time.sleep(0.03)
    arrivals = [record["ApproximateArrivalTimestamp"] for record in read_shard(kinesis, name, SHARD(0))]
    everything = [b"a", b"b", b"c"]
    assert data_from(kinesis, name, "TRIM_HORIZON") == everything
    assert data_from(kinesis, name, "LATEST") == []
    assert [record["Data"] for record in kinesis.get_records(ShardIterator=latest)["Records"]] == everything
    for place, number in enumerate(numbers):
        at = {"StartingSequenceNumber": number}
        assert data_from(kinesis, name, "AT_SEQUENCE_NUMBER", **at) == everything[place:]
        assert data_from(kinesis, name, "AFTER_SEQUENCE_NUMBER", **at) == everything[place + 1:]
        assert data_from(kinesis, name, "AT_TIMESTAMP", Timestamp=arrivals[place]) == everything[place:], "inclusive"
        assert data_from(kinesis, name, "AT_TIMESTAMP", Timestamp=moments[place]) == everything[place + 1:]
    first = shard["SequenceNumberRange"]["StartingSequenceNumber"]
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert data_from(kinesis, name, kind, StartingSequenceNumber=first) == everything
    before_creation = datetime(2001, 1, 1, tzinfo=timezone.utc)
    assert data_from(kinesis, name, "AT_TIMESTAMP", Timestamp=before_creation) == everything
    after = iterator(kinesis, name, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[-1])
    kinesis.put_record(StreamName=name, Data=b"d", PartitionKey="a")
    assert [record["Data"] for record in kinesis.get_records(ShardIterator=after)["Records"]] == [b"d"]


def test_positions_that_make_no_sense_are_refused_in_the_words_of_the_service(kinesis, unchecked, make_stream):
    name, other = make_stream(2), make_stream(1)
    # In shard 1 of 2, and in another stream.
    wrong_shard = kinesis.put_record(StreamName=name, Data=b"", PartitionKey="e")["SequenceNumber"]
    wrong_stream = kinesis.put_record(StreamName=other, Data=b"", PartitionKey="a")["SequenceNumber"]
    assert shard_of("e", 2) == 1
    either = (
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) "
        "TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified "
    )
    used = f"used in GetShardIterator on shard {SHARD(0)} in stream {name} under account {ACCOUNT} is invalid"
    cases = (
        ("AT_SEQUENCE_NUMBER", {}, f"{either}AT_SEQUENCE_NUMBER and no StartingSequenceNumber."),
        ("AFTER_SEQUENCE_NUMBER", {}, f"{either}AFTER_SEQUENCE_NUMBER and no StartingSequenceNumber."),
        ("LATEST", {"StartingSequenceNumber": wrong_shard}, f"{either}LATEST and also a StartingSequenceNumber."),
        ("TRIM_HORIZON", {"StartingSequenceNumber": wrong_shard},
         f"{either}TRIM_HORIZON and also a StartingSequenceNumber."),
        ("AT_TIMESTAMP", {}, "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current "
         "request has no timestamp parameter."),
        ("AT_SEQUENCE_NUMBER", {"StartingSequenceNumber": wrong_shard},
         f"Invalid StartingSequenceNumber. It encodes {SHARD(1)}, while it was used in a call to a shard with "
         f"{SHARD(0)}"),
        ("AFTER_SEQUENCE_NUMBER", {"StartingSequenceNumber": wrong_stream},
         f"StartingSequenceNumber {wrong_stream} {used} because it did not come from this stream."),
        ("AT_SEQUENCE_NUMBER", {"StartingSequenceNumber": "12345"}, f"StartingSequenceNumber 12345 {used}."),
    )
    get = unchecked.get_shard_iterator
    for kind, position, message in cases:
        refused = refusal(get, StreamName=name, ShardId=SHARD(0), ShardIteratorType=kind, **position)
        assert refused == ("InvalidArgumentException", message), kind
    future = datetime.now(timezone.utc) + timedelta(hours=1)
    code, message = refusal(get, StreamName=name, ShardId=SHARD(0), ShardIteratorType="AT_TIMESTAMP", Timestamp=future)
    assert code == "InvalidArgumentException" and message.startswith(
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: "
    )
    code, message = refusal(get, StreamName=name, ShardId=SHARD(0), ShardIteratorType="SOMEWHERE")
    assert code == "ValidationException" and message.endswith(
        "[AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]"
    )
    latest = {"ShardIteratorType": "LATEST"}
    assert refusal(get, StreamName=name, ShardId=SHARD(2), **latest) == shard_not_there(name, 2)
    assert refusal(get, StreamName="missing", ShardId=SHARD(0), **latest) == shard_not_there("missing")
    assert refusal(get, StreamName=name, ShardId="x", **latest) == (
        "ResourceNotFoundException", f"Could not find shard x in stream {name} under account {ACCOUNT}.",
    )


def test_get_records_goes_on_page_by_page_and_says_how_far_behind_it_is(kinesis, unchecked, make_stream):
    name = make_stream()
    started = time.monotonic()
    kinesis.put_record(StreamName=name, Data=b"0", PartitionKey="a")
    time.sleep(0.05)
    put_all(kinesis, name, [(b"%d" % number, "a") for number in range(1, 10)])
    time.sleep(0.05)
    position, seen, found = iterator(kinesis, name), set(), []
    for limit, behind in ((1, True), (4, True), (5, False), (5, False), (10_000, False)):
        answer = kinesis.get_records(ShardIterator=position, Limit=limit)
        elapsed = (time.monotonic() - started) * 1000
        found.append([int(record["Data"]) for record in answer["Records"]])
        assert 1 <= answer["MillisBehindLatest"] <= elapsed if behind else answer["MillisBehindLatest"] == 0
        assert "ChildShards" not in answer, "the shard is open"
        seen.add(position)
        position = answer["NextShardIterator"]
    assert found == [[0], [1, 2, 3, 4], [5, 6, 7, 8, 9], [], []]
    assert len(seen | {position}) == 6, "each iterator is another one"
    again = kinesis.get_records(ShardIterator=iterator(kinesis, name), Limit=2, StreamARN=arn(name))
    assert [record["Data"] for record in again["Records"]] == [b"0", b"1"]
    for limit, rule in ((0, "greater than or equal to 1"), (10_001, "less than or equal to 10000")):
        assert refusal(unchecked.get_records, ShardIterator=position, Limit=limit) == invalid(
            (f"'{limit}'", "limit", f"must have value {rule}"),
        )
    flipped = position[:40] + ("B" if position[40] == "A" else "A") + position[41:]
    for broken in ("nonsense", flipped, position[:-8], position + "AAAA"):
        assert refusal(kinesis.get_records, ShardIterator=broken) == (
            "InvalidArgumentException", "Invalid ShardIterator.",
        )


def test_streams_are_also_called_by_their_arn_alone(kinesis, make_stream):
    name = make_stream(1)
    at = {"StreamARN": arn(name)}
    number = kinesis.put_record(Data=b"1", PartitionKey="a", **at)["SequenceNumber"]
    kinesis.put_records(Records=[{"Data": b"2", "PartitionKey": "a"}], **at)
    position = kinesis.get_shard_iterator(
        ShardId=SHARD(0), ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=number, **at
    )["ShardIterator"]
    records = kinesis.get_records(ShardIterator=position, **at)["Records"]
    assert [record["Data"] for record in records] == [b"1", b"2"]
    assert kinesis.describe_stream(**at)["StreamDescription"]["StreamName"] == name
    assert kinesis.describe_stream_summary(**at)["StreamDescriptionSummary"]["StreamName"] == name
    kinesis.increase_stream_retention_period(RetentionPeriodHours=25, **at)
    kinesis.decrease_stream_retention_period(RetentionPeriodHours=24, **at)
    elsewhere = arn(name).replace(REGION, "eu-west-1")
    assert refusal(kinesis.describe_stream, StreamARN=elsewhere) == not_found(name)
    kinesis.delete_stream(**at)
    assert refusal(kinesis.describe_stream, **at) == not_found(name)


# Clients.

def test_operations_that_are_not_there_and_requests_without_a_signature_are_refused(server, kinesis, make_stream):
    name = make_stream(1)
    code, _ = refusal(kinesis.list_queues)
    assert code == "UnknownOperationException"
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.ListStreams"}
    signed = {
        "X-Amz-Date": "20261124T000000Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c",
    }

    def post(body, **more):
        answer = urllib3.request("POST", server.endpoint, body=body, headers=headers | more, retries=False)
        assert answer.headers["x-amzn-RequestId"] and answer.headers["Content-Type"] == "application/x-amz-json-1.1"
        return answer.status, answer.data.decode()

    missing = '{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}'
    assert post("{}") == (400, missing)
    assert post("[", **signed) == (400, '{"__type":"SerializationException"}')
    assert post("{}", **signed)[0] == 200
    # Fluent Bit looks for this text.
    target = {"X-Amz-Target": "Kinesis_20131202.PutRecords"}
    body = json.dumps({"StreamName": name, "Records": [{"Data": "YQ==", "PartitionKey": "a"}]})
    status, text = post(body, **signed, **target)
    assert status == 200 and '"FailedRecordCount":0' in text


def test_the_aws_cli_makes_fills_reads_and_deletes_a_stream(server, tmp_path):
    aws = server.aws
    stream = ("--stream-name", "from-the-cli")
    aws("create-stream", *stream, "--shard-count", 2)
    data = tmp_path / "data.bin"
    data.write_bytes(bytes(range(256)))
    records = tmp_path / "records.json"
    records.write_text(json.dumps([{"Data": f"line {n}", "PartitionKey": "b"} for n in range(3)]))
    # At the same time, since the CLI takes a while to start.
    with ThreadPoolExecutor(3) as pool:
        waited = pool.submit(aws, "wait", "stream-exists", *stream)
        described = pool.submit(aws, "describe-stream", *stream, "--page-size", 1)
        summary = pool.submit(aws, "describe-stream-summary", *stream)
        shards = pool.submit(aws, "list-shards", *stream)
        longer = pool.submit(aws, "increase-stream-retention-period", *stream, "--retention-period-hours", 48)
        refused = pool.submit(aws, "describe-stream", "--stream-name", "missing", succeeds=False)
        put = pool.submit(
            aws, "put-record", *stream, "--partition-key", "a", "--explicit-hash-key", 0, "--data", f"fileb://{data}",
        )
    assert waited.result() is None and longer.result() is None
    assert [shard["ShardId"] for shard in described.result()["StreamDescription"]["Shards"]] == [SHARD(0), SHARD(1)]
    assert summary.result()["StreamDescriptionSummary"]["OpenShardCount"] == 2
    assert [shard["ShardId"] for shard in shards.result()["Shards"]] == [SHARD(0), SHARD(1)]
    text = f"Stream missing under account {ACCOUNT} not found."
    assert f"An error occurred (ResourceNotFoundException) when calling the DescribeStream operation: {text}" in (
        refused.result()
    )
    number = put.result()["SequenceNumber"]
    assert put.result()["ShardId"] == SHARD(0) and shard_of("b", 2) == 1
    answer = aws("put-records", *stream, "--records", f"file://{records}")
    assert answer["FailedRecordCount"] == 0 and [one["ShardId"] for one in answer["Records"]] == [SHARD(1)] * 3
    with ThreadPoolExecutor(3) as pool:
        at = ("--shard-iterator-type", "AT_SEQUENCE_NUMBER", "--starting-sequence-number", number)
        first = pool.submit(aws, "get-shard-iterator", *stream, "--shard-id", SHARD(0), *at)
        from_start = ("--shard-iterator-type", "TRIM_HORIZON")
        second = pool.submit(aws, "get-shard-iterator", *stream, "--shard-id", SHARD(1), *from_start)
        shorter = pool.submit(aws, "decrease-stream-retention-period", *stream, "--retention-period-hours", 30)
    assert shorter.result() is None
    with ThreadPoolExecutor(3) as pool:
        pages = [
            pool.submit(aws, "get-records", "--shard-iterator", place.result()["ShardIterator"], "--limit", 2)
            for place in (first, second)
        ]
        hours = pool.submit(aws, "describe-stream-summary", *stream, "--query", "*.RetentionPeriodHours")
    found = [[base64.b64decode(record["Data"]) for record in page.result()["Records"]] for page in pages]
    assert found == [[bytes(range(256))], [b"line 0", b"line 1"]]
    assert hours.result() == [30]
    aws("delete-stream", *stream)
    with ThreadPoolExecutor(2) as pool:
        gone = pool.submit(aws, "wait", "stream-not-exists", *stream)
        names = pool.submit(aws, "list-streams", "--page-size", 3)
    assert gone.result() is None and "from-the-cli" not in names.result()["StreamNames"]
    assert len(names.result()["StreamNames"]) > 3, "paged by the CLI itself"


# Time and trouble.

def test_everything_survives_kill_9_and_a_restart(tmp_path):
    server = Baikonur(tmp_path, {})
    with server:
        kinesis = server.client()
        for name in ("kept", "changed", "deleted"):
            kinesis.create_stream(StreamName=name, ShardCount=3)
        kinesis.increase_stream_retention_period(StreamName="changed", RetentionPeriodHours=72)
        kinesis.put_record(StreamName="deleted", Data=b"x", PartitionKey="a")
        kinesis.delete_stream(StreamName="deleted")
        described = kinesis.describe_stream(StreamName="kept")["StreamDescription"]
        put_all(kinesis, "kept", [(b"first %d" % number, f"key-{number}") for number in range(1000)])
        position = iterator(kinesis, "kept", shard=1)
        half = kinesis.get_records(ShardIterator=position, Limit=100)
        before = read_stream(kinesis, "kept")
        number = kinesis.put_record(StreamName="kept", Data=b"just now", PartitionKey="e")["SequenceNumber"]
        server.kill()
        for end in (server.kill, server.stop):
            server.start()
            kinesis = server.client()
            assert kinesis.list_streams()["StreamNames"] == ["changed", "kept"]
            changed = kinesis.describe_stream(StreamName="changed")["StreamDescription"]
            assert changed["RetentionPeriodHours"] == 72
            assert kinesis.describe_stream(StreamName="kept")["StreamDescription"] == described
            after = read_stream(kinesis, "kept")
            assert after[SHARD(0)] == before[SHARD(0)] and after[SHARD(1)] == before[SHARD(1)]
            assert after[SHARD(2)][:-1] == before[SHARD(2)], "numbers, arrival times, keys and data"
            last = after[SHARD(2)][-1]
            assert (last["SequenceNumber"], last["Data"]) == (number, b"just now")
            # An iterator outlives the server that made it.
            rest = kinesis.get_records(ShardIterator=half["NextShardIterator"])["Records"]
            assert half["Records"] + rest == before[SHARD(1)]
            before = after
            put = kinesis.put_record(StreamName="kept", Data=b"just now", PartitionKey="e")["SequenceNumber"]
            assert int(put) > int(number)
            number = put
            assert end() in (None, 0), server.log_tail()


class Writer(threading.Thread):
    """A client that puts records of some keys, one or many at a time, and notes what each answer said."""

    KEYS = 5

    def __init__(self, number, server, stream, count):
        super().__init__(name=f"writer-{number}", daemon=True)
        self.number, self.server, self.stream, self.count = number, server, stream, count
        self.placed, self.error = [], None

    def run(self):
        try:
            client, choice = self.server.client(), random.Random(self.number)
            made = 0
            while made < self.count:
                size = choice.choice([1, 1, 3, 40])
                entries = [
                    {"Data": b"%d %d" % (self.number, count), "PartitionKey": f"w{self.number}-{count % self.KEYS}"}
                    for count in range(made, made + size)
                ]
                made += size
                if size == 1:
                    answers = [client.put_record(StreamName=self.stream, **entries[0])]
                else:
                    answers = client.put_records(StreamName=self.stream, Records=entries)["Records"]
                self.placed += [
                    (answer["ShardId"], answer["SequenceNumber"], entry["PartitionKey"], entry["Data"])
                    for answer, entry in zip(answers, entries, strict=True)
                ]
        except BaseException as error:  # shown by the main thread
            self.error = error


class Follower(threading.Thread):
    """A client that reads a shard from its beginning while it is written, until it is told that nothing more comes."""

    def __init__(self, server, stream, shard, complete):
        super().__init__(name=f"follower-{shard}", daemon=True)
        self.client, self.complete = server.client(), complete
        self.position, self.records, self.error = iterator(self.client, stream, shard=shard), [], None

    def run(self):
        try:
            while True:
                last_round = self.complete.is_set()
                answer = self.client.get_records(ShardIterator=self.position, Limit=50)
                self.records += answer["Records"]
                self.position = answer["NextShardIterator"]
                if last_round and not answer["Records"]:
                    return
                time.sleep(0.001)
        except BaseException as error:  # shown by the main thread
            self.error = error


def test_many_writers_at_once_give_each_shard_one_strict_order(server, make_stream):
    stream = make_stream(4)
    complete = threading.Event()
    writers = [Writer(number, server, stream, 800) for number in range(6)]
    followers = [Follower(server, stream, shard, complete) for shard in range(4)]
    for thread in writers + followers:
        thread.start()
    for writer in writers:
        writer.join(60)
    complete.set()
    for follower in followers:
        follower.join(60)
    for thread in writers + followers:
        assert not thread.is_alive() and thread.error is None, (thread.name, thread.error)
    shards = read_stream(server.client(), stream)
    found = {}
    for shard, records in shards.items():
        numbers = [int(record["SequenceNumber"]) for record in records]
        assert all(one < other for one, other in zip(numbers, numbers[1:])), f"{shard}: numbers grow strictly"
        arrivals = [record["ApproximateArrivalTimestamp"] for record in records]
        assert arrivals == sorted(arrivals), f"{shard}: time does not go back"
        found |= {(shard, record["SequenceNumber"], record["PartitionKey"], record["Data"]): place
                  for place, record in enumerate(records)}
    acknowledged = [entry for writer in writers for entry in writer.placed]
    assert len(acknowledged) == len(set(acknowledged)) >= 6 * 800
    assert found.keys() == set(acknowledged), "what was acknowledged is there, where and as the answer said"
    for writer in writers:
        of_key = defaultdict(list)
        for entry in writer.placed:
            of_key[entry[2]].append(found[entry])
        assert len(of_key) == Writer.KEYS
        for key, places in of_key.items():
            assert places == sorted(places), f"{key}: the order of its puts"
    for follower, (shard, records) in zip(followers, shards.items()):
        assert follower.records == records, f"{shard}: who reads along sees the same, without gap or repetition"
