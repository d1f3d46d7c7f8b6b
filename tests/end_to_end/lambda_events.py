"""Events as AWS Lambda hands them to a function: those of a mapping to a Kinesis stream, and that of a schedule."""

import base64

from parts.lambda_runtime import ACCOUNT, REGION

FIRST_NUMBER = 49590338271490256608559692538361571095921575989136588898
ARRIVAL = 1767225600.98

# Of EventBridge, "Scheduled Event".
SCHEDULED = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": ACCOUNT,
    "time": "2026-01-31T00:00:00Z",
    "region": REGION,
    "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/nightly"],
    "detail": {},
}


def sequence_number(place):
    """Of the record at a place of a shard; those of Kinesis have gaps."""
    return str(FIRST_NUMBER + 3 * place)


def kinesis_event(entries, stream="router", shard=0, first=0):
    """The event of (data, partition key) pairs, which begins at a place of its shard."""
    records = []
    for place, (data, partition_key) in enumerate(entries, first):
        records.append({
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": partition_key,
                "sequenceNumber": sequence_number(place),
                "data": base64.b64encode(data).decode(),
                "approximateArrivalTimestamp": ARRIVAL + place / 1000,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"shardId-{shard:012}:{sequence_number(place)}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": f"arn:aws:iam::{ACCOUNT}:role/function",
            "awsRegion": REGION,
            "eventSourceARN": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{stream}",
        })
    return {"Records": records}


def failing_from(place):
    """The answer that hands a shard over again from the record at a place."""
    return {"batchItemFailures": [{"itemIdentifier": sequence_number(place)}]}
