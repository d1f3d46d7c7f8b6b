"""What tests of the Kinesis API say often: names, and refusals in the words of the service."""

import hashlib

import pytest
from botocore.exceptions import ClientError

from baikonur_server import REGION

ACCOUNT = "000000000000"
HASH_KEYS = 1 << 128
SHARD = "shardId-{:012}".format


def arn(stream):
    return f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{stream}"


def hash_key(partition_key):
    """The MD5 of a partition key, which decides the shard."""
    return int.from_bytes(hashlib.md5(partition_key.encode()).digest(), "big")


def refusal(call, **parameters):
    """The exception and the message with which a call is refused."""
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    response = refused.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["ResponseMetadata"]["RequestId"]
    return response["Error"]["Code"], response["Error"]["Message"]


def invalid(*faults):
    """What is said of members that do not keep to their constraints."""
    errors = "1 validation error" if len(faults) == 1 else f"{len(faults)} validation errors"
    text = "; ".join(f"Value {value} at '{member}' failed to satisfy constraint: Member {rule}"
                     for value, member, rule in faults)
    return "ValidationException", f"{errors} detected: {text}"


def not_found(stream):
    return "ResourceNotFoundException", f"Stream {stream} under account {ACCOUNT} not found."


def shard_not_there(stream, shard=0):
    text = f"Shard {SHARD(shard)} in stream {stream} under account {ACCOUNT} does not exist"
    return "ResourceNotFoundException", text
