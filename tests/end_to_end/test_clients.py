"""AWS SDKs for JavaScript, Java and Rust go through one scenario (tests/parts/clients/README.md) with the same outcome.

They speak JSON and CBOR, HTTP/1.1 and HTTP/2, and follow a stream by SubscribeToShard and by GetRecords while its
shards split and merge.
"""

import hashlib
import re
import time
from collections import defaultdict

import pytest

from baikonur_server import Baikonur
from parts.kinesis_clients import Told, java_sdk, javascript, rust, trusting
from parts.process import Server
from parts.relay import Relay
from starting import available

SHARD = "shardId-{:012}".format
HALF, QUARTER, ALL = 1 << 127, 1 << 126, 1 << 128
# Client → its command, and the HTTP that it must speak.
CLIENTS = {
    "javascript-http2": (javascript("http2"), "http2"),
    "javascript-http1": (javascript("http1"), "http1"),
    "java-http2": (java_sdk("http2"), "http2"),
    "java-http1": (java_sdk("http1"), "http1"),
    "rust-http1": (rust, "http1"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Baikonur(tmp_path_factory.mktemp("clients"), {}) as server:
        yield server


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_does_everything_and_sees_each_record_once(client, server, tmp_path):
    program, protocol = CLIENTS[client]
    with Relay(server.port) as relay:
        check_all(client, available(program, relay.endpoint, client), tmp_path)
        assert relay.protocols() == {protocol}


class Secured(Baikonur):
    """With TLS, a certificate of its own making, and signatures that are verified."""

    is_ready = Server.is_ready

    def __init__(self, folder):
        # What all clients sign with: here it is verified.
        credentials = folder / "credentials"
        credentials.write_text("[default]\naws_access_key_id = local\naws_secret_access_key = local\n")
        super().__init__(folder, {"server": {"tls": "generated", "credentials_file": str(credentials)}})
        self.endpoint = f"https://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    with Secured(tmp_path_factory.mktemp("clients_secured")) as server:
        yield server


@pytest.mark.parametrize("client", ["javascript-http2", "java-http2", "java-http1"])
def test_a_client_does_the_same_over_tls(client, secured, tmp_path):
    """HTTP/2 is agreed upon by ALPN: neither client goes on without it when told to speak HTTP/2."""
    program, _ = CLIENTS[client]
    environment = available(trusting, secured.data / "tls" / "ca.pem", tmp_path)
    check_all(client, available(program, secured.endpoint, client), tmp_path, environment)


def check_all(client, command, folder, environment=None):
    before = time.time()
    with Told(command, folder, client, environment) as told:
        told.finish(120)
        told.show()
    assert told.lines[-1]["step"] == "deleted"
    check_streams_and_shards(told, client)
    placed = check_puts(told)
    for step in ("pushed", "read"):
        check_records(told, step, placed, before)
        check_ends(told, f"{step}_end")
    check_the_rest(told, client)
    if client.startswith("java-"):
        check_content_types(told.one("content_types")["types"])


def check_streams_and_shards(told, stream):
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"
    created = told.one("created")
    assert (created["arn"], created["count"], created["status"]) == (arn, 2, "ACTIVE")
    consumer = told.one("consumer")
    assert re.fullmatch(rf"{arn}/consumer/follower:\d{{10}}", consumer["arn"]) and consumer["consumers"] == ["follower"]
    for line in told.of("filtered"):
        # The companion of AFTER_SHARD_ID is shard 0.
        expected = [SHARD(1)] if line["filter"] == "AFTER_SHARD_ID" else [SHARD(0), SHARD(1)]
        assert line["shards"] == expected, line["filter"]
    assert len(told.of("filtered")) == 6
    assert told.one("pages")["pages"] == [[SHARD(0)], [SHARD(1)]]
    assert told.one("listed")["listed"]

    def shards(step):
        """Shard → start, end, parent and adjacent parent, as numbers."""
        def number(shard):
            return shard and int(shard.removeprefix("shardId-"))

        return {
            number(one["id"]): (int(one["start"]), int(one["end"]), number(one["parent"]), number(one["adjacent"]))
            for one in told.one(step)["shards"]
        }

    other = (HALF, ALL - 1, None, None)
    assert shards("shards") == {0: (0, HALF - 1, None, None), 1: other}
    assert shards("split") == {1: other, 2: (0, QUARTER - 1, 0, None), 3: (QUARTER, HALF - 1, 0, None)}
    assert shards("merged") == {1: other, 4: (0, HALF - 1, 2, 3)}
    assert (told.one("scaling")["current"], told.one("scaling")["target"]) == (2, 4)
    scaled = shards("scaled")
    ranges = sorted((start, end) for start, end, _, _ in scaled.values())
    assert ranges == [(quarter * QUARTER, (quarter + 1) * QUARTER - 1) for quarter in range(4)]
    assert {parent for _, _, parent, _ in scaled.values()} == {1, 4}
    closed = {one["id"] for one in told.one("all")["shards"] if one["closed"]}
    assert closed == {SHARD(number) for number in range(5)}
    assert shards("all").keys() == {0, 1, 2, 3, 4} | scaled.keys()


def check_puts(told):
    """Each put went to the open shard of its hash key, with a number that grows; gives what was put, in its order."""
    assert [line["failed"] for line in told.of("batch")] == [0, 0, 0, 0]
    placed, last, ranges = [], defaultdict(int), []
    for line in told.of("shards", "split", "merged", "scaled", "put"):
        if line["step"] != "put":
            ranges = [(int(one["start"]), int(one["end"]), one["id"]) for one in line["shards"]]
            continue
        hashed = int.from_bytes(hashlib.md5(line["key"].encode()).digest(), "big") if line["key"] != "explicit" else 0
        assert [shard for start, end, shard in ranges if start <= hashed <= end] == [line["shard"]], line
        assert int(line["number"]) > last[line["shard"]], line
        last[line["shard"]] = int(line["number"])
        placed.append(line)
    assert len(placed) == 7 + 500 + 3 * 100
    sizes = [(line["key"], line["size"]) for line in placed[:7]]
    assert sizes == [
        ("a", 256), ("é", 256), ("\N{ROCKET} 発射", 256), ("k" * 256, 256), ("empty", 0), ("large", 1 << 20),
        ("explicit", 4),
    ]
    return placed


def check_records(told, step, placed, before):
    """Each record exactly once, as it was put, in the order of its shard; keys in theirs across shards."""
    def identity(line):
        return line["shard"], line["number"], line["key"], line["size"], line["md5"]

    found = told.of(step)
    assert sorted(map(identity, found)) == sorted(map(identity, placed))
    of_shard, of_key = defaultdict(list), defaultdict(list)
    for line in found:
        assert before - 1 < line["arrived"] < time.time() + 1
        of_shard[line["shard"]].append(int(line["number"]))
        of_key[line["key"]].append(line["md5"])
    for shard, numbers in of_shard.items():
        assert numbers == sorted(numbers), shard
    for key, order in of_key.items():
        assert order == [line["md5"] for line in placed if line["key"] == key], key


def check_ends(told, step):
    """The end of each closed shard came once, after its records, and named its children with all their parents."""
    family = defaultdict(dict)
    for shard in told.one("all")["shards"]:
        parents = [parent for parent in (shard["parent"], shard["adjacent"]) if parent]
        for parent in parents:
            family[parent][shard["id"]] = sorted(parents)
    ended = {}
    for line in told.of(step, step.removesuffix("_end")):
        if line["step"] == step:
            assert line["shard"] not in ended and line.get("continuation") is None, line
            ended[line["shard"]] = {child["id"]: sorted(child["parents"]) for child in line["children"]}
        else:
            assert line["shard"] not in ended, f"a record after the end: {line}"
    assert ended == family


def check_the_rest(told, stream):
    tags = {line["of"]: line["tags"] for line in told.of("tags")}
    together = {"team": "space", "größe": "", "a:b": "c"}
    assert tags == {"stream": together, "resource": together, "consumer": {"reader": "yes"}, "rest": {"größe": ""}}
    assert (told.one("retention")["raised"], told.one("retention")["lowered"]) == (48, 30)
    refused = {line["operation"]: (line["error"], line["message"]) for line in told.of("refused")}
    account = "under account 000000000000"
    code, text = refused.pop("PutRecord")
    assert code == "ValidationException" and "at 'partitionKey' failed to satisfy constraint: Member must have" in text
    code, text = refused.pop("DeleteStream")
    assert code == "ResourceInUseException" and "consumers" in text
    assert refused == {
        "DescribeStream": ("ResourceNotFoundException", f"Stream {stream}-missing {account} not found."),
        "GetRecords": ("InvalidArgumentException", "Invalid ShardIterator."),
        "CreateStream": ("ResourceInUseException", f"Stream {stream} {account} already exists."),
    }


def check_content_types(types):
    """The SDK for Java speaks CBOR, but for SubscribeToShard, and so do the answers."""
    cbor = set(types["request application/x-amz-cbor-1.1"])
    assert {"PutRecords", "GetRecords", "ListShards", "CreateStream", "DescribeStreamSummary"} < cbor
    assert types["request application/x-amz-json-1.1"] == ["SubscribeToShard"]
    assert types["response application/vnd.amazon.eventstream"] == ["SubscribeToShard"]
    assert set(types["response application/x-amz-cbor-1.1"]) >= {"PutRecords", "GetRecords", "ListShards"}
    assert types.keys() <= {
        "request application/x-amz-cbor-1.1", "request application/x-amz-json-1.1",
        "response application/vnd.amazon.eventstream", "response application/x-amz-cbor-1.1",
    }
