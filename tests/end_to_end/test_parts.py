"""Each counterpart is the real thing and does what the other tests rely on."""

import json
import socket

import botocore.exceptions
import msgpack
import pytest

from parts.waiting import eventually


def test_the_s3_server_refuses_a_conditional_put_over_an_existing_object(s3):
    client = s3.client()
    client.create_bucket(Bucket="smoke")
    client.put_object(Bucket="smoke", Key="a/b:c%20.gz", Body=b"first", IfNoneMatch="*")
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        client.put_object(Bucket="smoke", Key="a/b:c%20.gz", Body=b"second", IfNoneMatch="*")
    assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
    assert s3.objects("smoke") == {"a/b:c%20.gz": b"first"}


def test_opensearch_indexes_a_bulk_request_and_refuses_an_illegal_index_name(opensearch):
    assert opensearch.get("/")["version"]["distribution"] == "opensearch"
    lines = []
    for number in range(3):
        lines += [{"index": {"_index": "smoke-20150517", "_id": f"id-{number % 2}"}}, {"number": number}]
    lines += [{"index": {"_index": "Smoke", "_id": "x"}}, {"number": 9}]
    body = "".join(json.dumps(line) + "\n" for line in lines)
    answer = opensearch.request("POST", "/_bulk", body, "application/x-ndjson")
    assert [item["index"]["status"] for item in answer["items"]] == [201, 201, 200, 400]
    found = sorted((identifier, source["number"]) for _, identifier, source in opensearch.documents("smoke-*"))
    assert found == [("id-0", 2), ("id-1", 1)]
    assert opensearch.count("smoke-*") == 2
    assert opensearch.count("no-such-index-*") == 0


@pytest.mark.parametrize("receiver", ["fluent", "otel_collector"])
def test_a_fluent_receiver_acknowledges_and_keeps_what_it_received(receiver, request):
    receiver = request.getfixturevalue(receiver)
    event_time = msgpack.ExtType(0, (1431857103).to_bytes(4, "big") + (5).to_bytes(4, "big"))
    entries = [[event_time, {"message": f"{{\"n\":{n}}}"}] for n in range(3)]
    message = ["auth.baikonur", entries, {"chunk": "Y2h1bms=", "size": len(entries)}]
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as connection:
        connection.sendall(msgpack.packb(message))
        assert msgpack.unpackb(connection.recv(1000)) == {"ack": "Y2h1bms="}
    expected = [("auth.baikonur", 1431857103, 5, {"message": f"{{\"n\":{n}}}"}) for n in range(3)]
    eventually(lambda: sorted(receiver.events(), key=str) == expected, "all three events", seconds=10)


def test_a_fluent_receiver_with_a_shared_key_greets_first(tmp_path):
    from parts.fluent_receiver import FluentReceiver

    with FluentReceiver(tmp_path, "key") as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as connection:
            assert msgpack.unpackb(connection.recv(1000))[0] == "HELO"
