"""Every operation of botocore's API model with valid, boundary and invalid input, in JSON and in CBOR, sent as it is: no
client checks it.

What the model says must hold: of the answers' shapes, of each constraint of each member, and of JSON types. Nothing that
is known of the service differs from the model there, but for two things that it does not list: COMMON_ERRORS, and that
the data of a record has the limit of its stream, for which puts go to a stream that allows what the model allows.
"""

import contextlib
import json
import time

import pytest
import urllib3
from botocore import parsers
from botocore.eventstream import EventStreamBuffer

import cbor
from api_model import ARN, OPERATIONS, OUT_OF_SCOPE, WRONG, beyond, boundary, misfits, places
from baikonur_server import Baikonur

HEADERS = {
    "X-Amz-Date": "20261124T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=local/20261124/us-east-1/kinesis/aws4_request, "
                     "SignedHeaders=host, Signature=0",
}
SHARD = "shardId-{:012}".format
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{
    "Sid": "read", "Effect": "Allow", "Principal": {"AWS": "111111111111"}, "Action": ["kinesis:GetRecords"],
    "Resource": "*",
}]})
# Any operation may answer these, whatever the model lists for it.
COMMON_ERRORS = {"ValidationException", "SerializationException"}


# A format's content type, what writes a request of a shape in it, and what reads an answer.
FORMATS = {
    "json": ("application/x-amz-json-1.1", lambda value, _: json.dumps(value).encode(), json.loads),
    "cbor": ("application/x-amz-cbor-1.1", cbor.encode, cbor.decode),
}


class World:
    """A server, and the streams and consumers that calls need; what a call may change is made for it alone."""

    def __init__(self, server, format_name):
        self.format = format_name
        self.content_type, self.encode, self.decode = FORMATS[format_name]
        self.server, self.client, self.http = server, server.client(), urllib3.PoolManager(retries=False, timeout=60)
        self.made, self.count = [], 0
        self.shared = self.stream()
        self.large = self.stream(MaxRecordSizeInKiB=10240)
        self.on_demand = self.stream(StreamModeDetails={"StreamMode": "ON_DEMAND"}, ShardCount=None)
        self.client.tag_resource(ResourceARN=ARN + self.shared, Tags={"team": "logs"})
        self.client.put_record(StreamName=self.shared, Data=b"some", PartitionKey="a")
        self.made.clear()

    def name(self):
        self.count += 1
        self.made.append(f"model-{self.count}")
        return self.made[-1]

    def stream(self, **parameters):
        name = self.name()
        parameters = {"ShardCount": 1, **parameters}
        self.client.create_stream(StreamName=name, **{k: v for k, v in parameters.items() if v is not None})
        return self.active(name)

    def active(self, name):
        deadline = time.monotonic() + 30
        while True:
            summary = self.client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
            if summary["StreamStatus"] == "ACTIVE":
                return name
            assert time.monotonic() < deadline, f"{name} does not become active"
            time.sleep(0.02)

    def consumer(self):
        name = self.stream()
        # So that a subscription has something to begin with.
        self.client.put_record(StreamName=name, Data=b"some", PartitionKey="a")
        at = {"StreamARN": ARN + name, "ConsumerName": "reader"}
        arn = self.client.register_stream_consumer(**at)["Consumer"]["ConsumerARN"]
        deadline = time.monotonic() + 30
        while self.client.describe_stream_consumer(**at)["ConsumerDescription"]["ConsumerStatus"] != "ACTIVE":
            assert time.monotonic() < deadline, f"{arn} does not become active"
            time.sleep(0.02)
        return arn

    def with_policy(self):
        arn = ARN + self.stream()
        self.client.put_resource_policy(ResourceARN=arn, Policy=POLICY)
        return arn

    def encrypted(self):
        name = self.stream()
        self.client.start_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
        return self.active(name)

    def on_demand_with_commitment(self):
        """What warm throughput needs; a test of the account's settings may have ended the commitment."""
        self.client.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
        return ARN + self.on_demand

    def iterator(self):
        return self.client.get_shard_iterator(
            StreamName=self.shared, ShardId=SHARD(0), ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]

    @contextlib.contextmanager
    def request(self, operation):
        """A valid request; what was made for it is deleted afterwards."""
        try:
            yield VALID[operation](self)
        finally:
            for name in self.made:
                with contextlib.suppress(self.client.exceptions.ResourceNotFoundException):
                    self.active(name)
                    self.client.delete_stream(StreamName=name, EnforceConsumerDeletion=True)
            self.made.clear()

    def send(self, operation, request, **options):
        """The answer, as it is."""
        return self.http.request(
            "POST", self.server.endpoint, body=self.encode(request, OPERATIONS[operation].input_shape),
            headers=HEADERS | {"Content-Type": self.content_type, "X-Amz-Target": f"Kinesis_20131202.{operation}"},
            **options,
        )

    def call(self, operation, request):
        """Status, error or None, message or answer; an answer of any kind must have the shape that the model says."""
        shape = OPERATIONS[operation].output_shape
        answer = self.send(operation, request, preload_content=False)
        try:
            assert answer.headers["x-amzn-RequestId"]
            if answer.headers.get("Content-Type") == "application/vnd.amazon.eventstream":
                check_event_stream(answer, shape)
                return answer.status, None, None
            body = answer.read()
        finally:
            # What follows in an event stream is for nobody.
            answer.close() if answer.headers.get("Content-Type", "").endswith("eventstream") else answer.release_conn()
        assert answer.headers["Content-Type"] == self.content_type
        if answer.status != 200:
            error = self.decode(body)
            assert error.keys() <= {"__type", "message", "Message"}, error
            known = {shape.name for shape in OPERATIONS[operation].error_shapes} | COMMON_ERRORS
            assert answer.status == 400 and error["__type"] in known, f"{operation}: {answer.status} {error}"
            return answer.status, error["__type"], error.get("message", error.get("Message", ""))
        if operation == "CreateStream":
            self.made.append(request["StreamName"])
        if shape is None:
            assert body == b"", f"{operation} has no output: {body}"
            return 200, None, None
        answered = self.decode(body)
        assert misfits(answered, shape) == [], operation
        response = {"status_code": 200, "headers": dict(answer.headers), "body": json.dumps(answered).encode()}
        return 200, None, parsers.create_parser("json").parse(response, shape)


def check_event_stream(answer, shape):
    """The stream begins with what botocore insists on, and its events fit."""
    buffer, messages = EventStreamBuffer(), []
    while len(messages) < 2:
        data = answer.read1(1 << 16)
        assert data, "the event stream ended"
        buffer.add_data(data)
        messages += list(buffer)
    kinds = [message.headers[":event-type"] for message in messages]
    assert kinds[0] == "initial-response" and set(kinds[1:]) == {"SubscribeToShardEvent"}
    assert json.loads(messages[0].payload or b"{}") == {}
    event = shape.members["EventStream"].members["SubscribeToShardEvent"]
    for message in messages[1:]:
        assert misfits(json.loads(message.payload), event) == []


VALID = {
    "AddTagsToStream": lambda world: {"StreamName": world.stream(), "Tags": {"team": "logs"}},
    "CreateStream": lambda world: {"StreamName": world.name(), "ShardCount": 1},
    "DecreaseStreamRetentionPeriod": lambda world: {"StreamName": world.stream(), "RetentionPeriodHours": 24},
    "DeleteResourcePolicy": lambda world: {"ResourceARN": world.with_policy()},
    "DeleteStream": lambda world: {"StreamName": world.stream(), "EnforceConsumerDeletion": True},
    "DeregisterStreamConsumer": lambda world: {"ConsumerARN": world.consumer()},
    "DescribeAccountSettings": lambda world: {},
    "DescribeLimits": lambda world: {},
    "DescribeStream": lambda world: {"StreamName": world.shared},
    "DescribeStreamConsumer": lambda world: {"ConsumerARN": world.consumer()},
    "DescribeStreamSummary": lambda world: {"StreamName": world.shared},
    "DisableEnhancedMonitoring": lambda world: {"StreamName": world.stream(), "ShardLevelMetrics": ["ALL"]},
    "EnableEnhancedMonitoring": lambda world: {"StreamName": world.stream(), "ShardLevelMetrics": ["IncomingBytes"]},
    "GetRecords": lambda world: {"ShardIterator": world.iterator()},
    "GetResourcePolicy": lambda world: {"ResourceARN": world.with_policy()},
    "GetShardIterator": lambda world: {
        "StreamName": world.shared, "ShardId": SHARD(0), "ShardIteratorType": "TRIM_HORIZON",
    },
    "IncreaseStreamRetentionPeriod": lambda world: {"StreamName": world.stream(), "RetentionPeriodHours": 48},
    "ListShards": lambda world: {"StreamName": world.shared},
    "ListStreamConsumers": lambda world: {"StreamARN": world.consumer().split("/consumer/")[0]},
    "ListStreams": lambda world: {},
    "ListTagsForResource": lambda world: {"ResourceARN": ARN + world.shared},
    "ListTagsForStream": lambda world: {"StreamName": world.shared},
    "MergeShards": lambda world: {
        "StreamName": world.stream(ShardCount=2), "ShardToMerge": SHARD(0), "AdjacentShardToMerge": SHARD(1),
    },
    "PutRecord": lambda world: {"StreamName": world.large, "Data": "YQ==", "PartitionKey": "a"},
    "PutRecords": lambda world: {"StreamName": world.large, "Records": [
        {"Data": "YQ==", "PartitionKey": "a"}, {"Data": "", "PartitionKey": "b", "ExplicitHashKey": "7"},
    ]},
    "PutResourcePolicy": lambda world: {"ResourceARN": ARN + world.stream(), "Policy": POLICY},
    "RegisterStreamConsumer": lambda world: {"StreamARN": ARN + world.stream(), "ConsumerName": "reader"},
    "RemoveTagsFromStream": lambda world: {"StreamName": world.stream(), "TagKeys": ["team"]},
    "SplitShard": lambda world: {
        "StreamName": world.stream(), "ShardToSplit": SHARD(0), "NewStartingHashKey": str(1 << 127),
    },
    "StartStreamEncryption": lambda world: {
        "StreamName": world.stream(), "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis",
    },
    "StopStreamEncryption": lambda world: {
        "StreamName": world.encrypted(), "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis",
    },
    "SubscribeToShard": lambda world: {
        "ConsumerARN": world.consumer(), "ShardId": SHARD(0), "StartingPosition": {"Type": "TRIM_HORIZON"},
    },
    "TagResource": lambda world: {"ResourceARN": ARN + world.stream(), "Tags": {"team": "logs"}},
    "UntagResource": lambda world: {"ResourceARN": ARN + world.stream(), "TagKeys": ["team"]},
    "UpdateAccountSettings": lambda world: {"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}},
    "UpdateMaxRecordSize": lambda world: {"StreamARN": ARN + world.stream(), "MaxRecordSizeInKiB": 2048},
    "UpdateShardCount": lambda world: {
        "StreamName": world.stream(), "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING",
    },
    "UpdateStreamMode": lambda world: {
        "StreamARN": ARN + world.stream(), "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
    },
    "UpdateStreamRecordDistributionStrategy": lambda world: {
        "StreamARN": ARN + world.on_demand, "RecordDistributionStrategy": "AUTO",
    },
    "UpdateStreamWarmThroughput": lambda world: {
        "StreamARN": world.on_demand_with_commitment(), "WarmThroughputMiBps": 10,
    },
}


NOT_FOUND, INVALID = "ResourceNotFoundException", "InvalidArgumentException"
# What is answered to a value at a limit of its member, where it is not taken. Nobody has such streams, shards and consumers,
# made such tokens, or gave such numbers.
ANYWHERE = {
    "streamName": NOT_FOUND, "streamId": NOT_FOUND, "resourceARN": NOT_FOUND, "consumerARN": NOT_FOUND,
    "shardId": NOT_FOUND, "shardToSplit": NOT_FOUND, "shardToMerge": NOT_FOUND, "adjacentShardToMerge": NOT_FOUND,
    "nextToken": INVALID, "shardIterator": INVALID, "sequenceNumberForOrdering": INVALID,
    # It names another stream than the member beside it, if there is one.
    "streamARN": lambda request, _: INVALID if {"StreamName", "ConsumerARN"} & request.keys() else NOT_FOUND,
    # More than a resource may have.
    "tags": lambda _, value: INVALID if len(value) > 50 else None,
}
# Of a position: what it needs, or must not have, beside it.
POSITIONS = {"AT_SEQUENCE_NUMBER": INVALID, "AFTER_SEQUENCE_NUMBER": INVALID, "AT_TIMESTAMP": INVALID}
# The same of single operations.
AT_LIMIT = {
    "CreateStream": {
        "streamName": None,
        # For streams on demand; this one is provisioned.
        "warmThroughputMiBps": INVALID, "recordDistributionStrategy": {"AUTO": INVALID},
    },
    "DeregisterStreamConsumer": {"streamARN": lambda _, arn: contradicts(arn), "consumerName": INVALID},
    "DescribeStream": {"exclusiveStartShardId": NOT_FOUND},
    "DescribeStreamConsumer": {"streamARN": lambda _, arn: contradicts(arn), "consumerName": INVALID},
    "GetRecords": {"streamARN": lambda _, arn: contradicts(arn)},
    "GetShardIterator": {"shardIteratorType": POSITIONS, "startingSequenceNumber": INVALID},
    "ListShards": {
        "shardFilter.type": {"AFTER_SHARD_ID": INVALID, "AT_TIMESTAMP": INVALID, "FROM_TIMESTAMP": INVALID},
    },
    # With another record the call is above ten megabytes.
    "PutRecords": {"records.1.member.data": lambda _, value: INVALID if value else None},
    "SplitShard": {"newStartingHashKey": {"0": INVALID}},
    "StartStreamEncryption": {"encryptionType": {"NONE": INVALID}},
    "StopStreamEncryption": {"encryptionType": {"NONE": INVALID}},
    "SubscribeToShard": {"startingPosition.type": POSITIONS, "startingPosition.sequenceNumber": INVALID},
    # It names another stream than StreamARN.
    "UpdateStreamWarmThroughput": {"streamName": INVALID},
}


def contradicts(arn):
    """The error for a StreamARN that is not of the stream that the request names by other means."""
    return INVALID if len(arn.split("/")[1]) <= 128 else NOT_FOUND


def expected(operation, place, request, value):
    """The error that a value at a limit of its member is answered with; none if it is taken."""
    if len(place.way) > 1 and place.way[-2][1].type_name in ("list", "map"):
        return None
    found = (ANYWHERE | AT_LIMIT.get(operation, {})).get(place.name)
    if callable(found):
        return found(request, value)
    return found.get(value) if isinstance(found, dict) else found


@pytest.fixture(scope="module", params=FORMATS)
def world(request, tmp_path_factory):
    with Baikonur(tmp_path_factory.mktemp("api_model"), {}) as server:
        yield World(server, request.param)


def test_every_operation_of_the_model_has_a_valid_request():
    assert VALID.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_valid_request_is_answered_in_the_shape_of_the_model(operation, world):
    if (operation, world.format) == ("SubscribeToShard", "cbor"):
        # As the service has it: SDKs that speak CBOR speak JSON here.
        with world.request(operation) as request:
            answer = world.send(operation, request)
            assert (answer.status, world.decode(answer.data)["__type"]) == (500, "InternalFailure")
        return
    with world.request(operation) as request:
        status, error, message = world.call(operation, request)
        assert status == 200, f"{request} → {error}: {message}"
    with world.request(operation) as request:
        # What the model does not know is ignored.
        status, error, message = world.call(operation, request | {"Nonsense": {"a": [1, None]}})
        assert status == 200, f"{request} → {error}: {message}"


def complains(error, message, name):
    """Whether an error is that of a member's constraint."""
    return error == "ValidationException" and f"at '{name}' failed to satisfy constraint: " in message


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_value_at_its_limit_is_taken_or_refused_for_another_reason(operation, world):
    if (operation, world.format) == ("SubscribeToShard", "cbor"):
        # There is none, as the test of valid requests shows.
        return
    wrong = []
    with world.request(operation) as request:
        cases = [(place, value) for place in places(OPERATIONS[operation], request) for value in boundary(place.shape)]
    for place, value in cases:
        with world.request(operation) as request:
            _, error, message = world.call(operation, place.put(request, value))
            wanted = expected(operation, place, request, value)
        if error != wanted:
            wrong.append(f"{place.name} = {value!r:.60} → {error} instead of {wanted}: {message!s:.200}")
    print(f"{operation}: {len(cases)} values at a limit")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_value_beyond_its_limit_is_refused_by_the_members_name(operation, world):
    wrong, count = [], 0
    with world.request(operation) as request:
        for place in places(OPERATIONS[operation], request):
            cases = [(f"{place.name} = {value!r:.60}", place.put(request, value)) for value in beyond(place.shape)]
            if place.required:
                cases.append((f"no {place.name}", place.without(request)))
                cases.append((f"null {place.name}", place.put(request, None)))
            for about, bad in cases:
                count += 1
                _, error, message = world.call(operation, bad)
                if not complains(error, message, place.name):
                    wrong.append(f"{about} → {error}: {message!s:.200}")
    print(f"{operation}: {count} values beyond a limit")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_value_of_a_wrong_type_cannot_be_read(operation, world):
    wrong, count = [], 0
    with world.request(operation) as request:
        for place in places(OPERATIONS[operation], request):
            for value in WRONG[place.shape.type_name]:
                count += 1
                _, error, message = world.call(operation, place.put(request, value))
                if error != "SerializationException":
                    wrong.append(f"{place.name} = {value!r} → {error}: {message!s:.200}")
    print(f"{operation}: {count} values of a wrong type")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("operation", [operation.name for operation in OUT_OF_SCOPE])
def test_queues_and_channels_are_unknown_operations(operation, world):
    answer = world.http.request(
        "POST", world.server.endpoint, body=world.encode({}, None),
        headers=HEADERS | {"Content-Type": world.content_type, "X-Amz-Target": f"Kinesis_20131202.{operation}"},
    )
    assert (answer.status, world.decode(answer.data)["__type"]) == (400, "UnknownOperationException")
