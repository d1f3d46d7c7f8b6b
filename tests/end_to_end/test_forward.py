"""kinesis-forward with real clients: several targets by rule, other keys, aggregates of the KPL, streams that throttle, and
streams of another account and region.
"""

import base64
import json
import subprocess
from collections import Counter, defaultdict

import boto3
import pytest
from aws_kinesis_agg.deaggregator import iter_deaggregate_records

from baikonur_server import CREDENTIALS, Baikonur, binary, failed_records, put_all, read_stream, to_toml
from parts.moto_server import REGION, MotoServer
from parts.waiting import eventually
from starting import started

SECONDS_TO_ARRIVE = 60
HOSTS = 7
COUNT = 3_000
ROLE_ACCOUNT, ROLE_REGION = "210987654321", "eu-west-1"
ROLE = f"arn:aws:iam::{ROLE_ACCOUNT}:role/log-writer"


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    with started(MotoServer, tmp_path_factory) as server:
        yield server


def event(number):
    level = "error" if number % 10 == 0 else "info"
    log_type = ("auth", "web", "db")[number % 3]
    return json.dumps({"log_type": log_type, "n": number, "level": level, "host": {"name": f"web-{number % HOSTS}"}})


EVENTS = [(event(n).encode(), f"key-{n % 50}") for n in range(COUNT)]


def records_of(client, stream):
    return [record for records in read_stream(client, stream).values() for record in records]


def numbers(records):
    """How often each event is there."""
    return Counter(json.loads(record["Data"])["n"] for record in records)


def forward(**keys):
    return {"type": "kinesis-forward", "source": "router", **keys}


def expected(takes):
    return Counter(n for n in range(COUNT) if takes(json.loads(event(n))))


def test_one_module_routes_into_several_streams_each_record_once_over_kills(tmp_path):
    targets = [
        {"target_stream_name": "auth", "log_type_field_whitelist": ["auth"]},
        {"target_stream_name": "errors", "filter_criteria": ['{"data": {"level": ["error"]}}']},
        {"target_stream_name": "by-host", "partition_key": "{host.name}"},
    ]
    config = {
        "streams": {"router": {"shards": 2}, "auth": {"shards": 1}, "errors": {"shards": 1}, "by-host": {"shards": 4}},
        "modules": {"route": forward(targets=targets, batch_size=50)},
    }
    with Baikonur(tmp_path, config) as server:
        for first in range(0, COUNT, 500):
            put_all(server.client(), "router", EVENTS[first:first + 500] + [(b"no json", "key")])
            server.kill()
            server.start()
        client = server.client()
        eventually(lambda: len(records_of(client, "by-host")) >= COUNT, "all arrive", SECONDS_TO_ARRIVE)
        assert numbers(records_of(client, "auth")) == expected(lambda one: one["log_type"] == "auth")
        assert numbers(records_of(client, "errors")) == expected(lambda one: one["level"] == "error")
        assert numbers(records_of(client, "by-host")) == expected(lambda _: True)
        keys = {json.loads(record["Data"])["n"]: record["PartitionKey"] for record in records_of(client, "by-host")}
        assert keys == {n: f"web-{n % HOSTS}" for n in range(COUNT)}
        assert {record["PartitionKey"] for record in records_of(client, "auth")} == {f"key-{n}" for n in range(50)}
        # Once, and not once for each target.
        rejected = failed_records(server.data / "failed")
        assert Counter(record["reason"] for record in rejected) == {"not_json": COUNT / 500}


def test_the_first_target_that_takes_a_record_gets_it_alone(tmp_path):
    targets = [
        {"target_stream_name": "errors", "filter_criteria": ['{"data": {"level": ["error"]}}']},
        {"target_stream_name": "auth", "log_type_field_whitelist": "auth"},
        {"target_stream_name": "rest", "log_type_field_whitelist": "!db"},
    ]
    config = {
        "streams": {name: {} for name in ("router", "errors", "auth", "rest")},
        "modules": {"route": forward(targets=targets, first_target_only=True)},
    }
    with Baikonur(tmp_path, config) as server:
        client = server.client()
        put_all(client, "router", EVENTS)
        rest = expected(lambda one: one["level"] != "error" and one["log_type"] == "web")
        eventually(lambda: len(records_of(client, "rest")) >= len(rest), "the rest arrives", SECONDS_TO_ARRIVE)
        assert numbers(records_of(client, "errors")) == expected(lambda one: one["level"] == "error")
        no_error = expected(lambda one: one["level"] != "error" and one["log_type"] == "auth")
        assert numbers(records_of(client, "auth")) == no_error
        assert numbers(records_of(client, "rest")) == rest
        lines = tmp_path / "lines"
        lines.write_text("".join(event(n) + "\n" for n in (10, 3, 1, 2)))
        command = [binary(), "explain", lines, "--json", "--config", tmp_path / "baikonur.toml"]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        streams = [json.loads(line)["events"][0]["stream"] for line in told.splitlines()]
        assert streams == ["errors", "auth", "rest", "none: no rule of a target takes it"]


def test_aggregates_are_read_by_the_library_of_amazon(tmp_path):
    config = {
        "streams": {"router": {"shards": 1}, "packed": {"shards": 3}, "unpacked": {"shards": 1}},
        "modules": {
            "pack": forward(target_stream_name="packed", partition_key="{host.name}", aggregation_enabled=True,
                            aggregation_max_size=20_000),
            "unpack": {"type": "kinesis-forward", "source": "packed", "target_stream_name": "unpacked"},
        },
    }
    with Baikonur(tmp_path, config) as server:
        client = server.client()
        put_all(client, "router", EVENTS)
        eventually(lambda: len(records_of(client, "unpacked")) >= COUNT, "all arrive", SECONDS_TO_ARRIVE)
        by_shard = read_stream(client, "packed")
        packed = [record for records in by_shard.values() for record in records]
        assert len(packed) < COUNT / 10, "a tenth of the records, and of the price"
        assert all(len(record["Data"]) + len(record["PartitionKey"]) <= 20_000 for record in packed)
        order = defaultdict(list)
        for records in by_shard.values():
            for user in iter_deaggregate_records(records, data_format="Boto3"):
                key, data = user["kinesis"]["partitionKey"], user["kinesis"]["data"]
                # What was alone is a plain record, which the library gives as it is.
                body = json.loads(data if data[:1] == b"{" else base64.b64decode(data))
                assert key == body["host"]["name"]
                order[key].append(body["n"])
        assert order == {f"web-{host}": list(range(host, COUNT, HOSTS)) for host in range(HOSTS)}
        assert numbers(records_of(client, "unpacked")) == expected(lambda _: True)


@pytest.mark.parametrize("strict_order", [False, True])
def test_order_of_a_key_is_kept_where_the_target_takes_only_a_part_of_a_call(tmp_path, strict_order):
    """The target has the limits of Amazon's shards: 1,000 records a second."""
    there = Baikonur(tmp_path / "there", {"server": {"limits": "aws"}, "streams": {"narrow": {"shards": 1}}})
    keys = {"target_stream_name": "narrow", "target_endpoint_url": there.endpoint, "strict_order": strict_order}
    config = {"streams": {"router": {"shards": 1}}, "modules": {"narrow": forward(batch_size=2_000, **keys)}}
    with there, Baikonur(tmp_path / "here", config) as here:
        put_all(here.client(), "router", EVENTS)
        def taken():
            return records_of(there.client(retries={"total_max_attempts": 20}), "narrow")

        eventually(lambda: len(numbers(taken())) == COUNT, "all arrive", 2 * SECONDS_TO_ARRIVE, 2)
        order, records = defaultdict(list), taken()
        for record in records:
            order[record["PartitionKey"]].append(json.loads(record["Data"])["n"])
        if strict_order:
            assert len(records) == COUNT, "none is there twice"
        # The last copy of each record: in order.
        last = {key: list(dict.fromkeys(reversed(counts)))[::-1] for key, counts in order.items()}
        assert last == {f"key-{key}": list(range(key, COUNT, 50)) for key in range(50)}
        print(f"{len(records) - COUNT} copies")


def test_a_role_writes_into_another_account_and_region(tmp_path, moto):
    credentials = moto.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="test")["Credentials"]
    theirs = boto3.client(
        "kinesis", endpoint_url=moto.endpoint, region_name=ROLE_REGION, aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"], aws_session_token=credentials["SessionToken"],
    )
    theirs.create_stream(StreamName="theirs", ShardCount=1)
    theirs.get_waiter("stream_exists").wait(StreamName="theirs")
    assert boto3.client(
        "kinesis", endpoint_url=moto.endpoint, region_name=REGION, aws_access_key_id="local",
        aws_secret_access_key="local").list_streams()["StreamNames"] == []
    targets = [
        {"target_stream_name": "ours"},
        {"target_stream_name": "theirs", "target_region": ROLE_REGION, "target_endpoint_url": moto.endpoint,
         "target_role_arn": ROLE, "target_external_id": "logs"},
    ]
    config = {"streams": {"router": {}, "ours": {}}, "modules": {"copy": forward(targets=targets)}}
    with Baikonur(tmp_path, config, {"AWS_ENDPOINT_URL_STS": moto.endpoint}) as server:
        put_all(server.client(), "router", EVENTS)
        eventually(lambda: len(records_of(theirs, "theirs")) >= COUNT, "all arrive there", SECONDS_TO_ARRIVE, 1)
        assert numbers(records_of(theirs, "theirs")) == expected(lambda _: True)
        assert numbers(records_of(server.client(), "ours")) == expected(lambda _: True)


def test_mistakes_are_told_with_their_line(tmp_path):
    file = tmp_path / "baikonur.toml"
    streams = {"router": {}, "a": {}}
    for keys, told in (
        ({}, "target_stream_name is missing"),
        ({"targets": [{"target_stream_name": "a"}, {"target_stream_name": "a"}]}, "targets name a twice"),
        ({"targets": [{"target_stream_name": "b"}]}, "there is no [streams.b]"),
        ({"targets": [{"target_stream_name": "router"}]}, "go round for ever"),
        ({"target_stream_name": "a", "partition_key": "host"}, "needs a field in braces"),
        ({"target_stream_name": "a", "target_role_arn": "writer"}, "target_role_arn is \"writer\""),
        ({"target_stream_name": "a", "targets": [{"target_stream_name": "b"}]}, "target_stream_name beside them"),
        ({"targets": [{"target_stream_name": "a", "log_type": "x"}]}, "unknown field `log_type`"),
    ):
        file.write_text(to_toml({"streams": streams, "modules": {"m": forward(**keys)}}))
        done = subprocess.run([binary(), "check", file], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode != 0 and told in done.stderr + done.stdout, (keys, done.stdout, done.stderr)
        assert "baikonur.toml:" in done.stderr + done.stdout or "go round" in told
    # A stream of another service need not stand in the file.
    file.write_text(to_toml({"streams": streams, "modules": {
        "m": forward(target_stream_name="b", target_region="eu-west-1")}}))
    subprocess.run([binary(), "check", file], check=True, timeout=60, env=CREDENTIALS)
