"""Shards that follow the load: by thresholds, with CloudWatch and SNS behind public SDKs, and on demand under a real load."""

import json
import os
import shutil
import signal
import subprocess
import threading
from datetime import datetime, timedelta, timezone

import boto3
import pytest

from baikonur_server import CREDENTIALS, Baikonur, binary
from parts.cloud_watch_gateway import CloudWatchGateway
from parts.moto_server import MotoServer
from parts.process import REPO
from parts.tunnel import Tunnel
from parts.waiting import eventually
from starting import started
from test_tls import Secured

MIB = 1 << 20
AMAZON = "kinesis.us-east-1.amazonaws.com"
# A stream `s` of two shards, made in 2023: old enough to be judged at once.
OLD_STREAM = REPO / "crates" / "engine" / "tests" / "fixtures" / "format-1"


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory):
    with started(MotoServer, tmp_path_factory) as server, CloudWatchGateway(server) as gateway:
        yield server, gateway


@pytest.fixture
def server(tmp_path):
    shutil.copytree(OLD_STREAM, tmp_path / "data")
    with Secured(tmp_path, tls_host=AMAZON) as running:
        yield running


@pytest.fixture
def topic(monitoring):
    """A topic, and what was sent to it so far."""
    moto, _ = monitoring
    sns, sqs = moto.client("sns"), moto.client("sqs")
    arn = sns.create_topic(Name="scaling")["TopicArn"]
    queue = sqs.create_queue(QueueName="scaling")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)
    told = []

    def messages():
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            told.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return told

    yield arn, messages
    sqs.delete_queue(QueueUrl=queue)
    sns.delete_topic(TopicArn=arn)


class Autoscale:
    """`baikonur streams autoscale --aws` alone, led to stand-ins by the SDK's own variables.

    Which server of Kinesis it calls is not one of them: Amazon's, by name, over TLS. A tunnel leads there to the embedded one.
    """

    def __init__(self, folder, server, monitoring, monitors):
        moto, gateway = monitoring
        file = folder / "autoscale.json"
        file.write_text(json.dumps(monitors))
        self.log = folder / "autoscale.log"
        self.tunnel = Tunnel(server.port)
        environment = {
            **os.environ, **CREDENTIALS, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
            "HTTPS_PROXY": self.tunnel.endpoint, "NO_PROXY": "127.0.0.1", "SSL_CERT_FILE": str(server.authority),
            "AWS_ENDPOINT_URL_CLOUDWATCH": gateway.endpoint, "AWS_ENDPOINT_URL_SNS": moto.endpoint,
            "BAIKONUR_LOG": "info,baikonur_scaling=debug",
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [binary(), "streams", "autoscale", file, "--aws", "--region", "us-east-1"],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(30) == 0, self.log.read_text()
        finally:
            self.process.kill()


def put_minutes(monitoring, name, value):
    """A sum for each minute from a while ago to a while ahead: the test may take some."""
    now = datetime.now(timezone.utc).replace(second=0, microsecond=0)
    monitoring[0].client("cloudwatch").put_metric_data(Namespace="AWS/Kinesis", MetricData=[
        {
            "MetricName": name, "Dimensions": [{"Name": "StreamName", "Value": "s"}], "Value": value, "Unit": "None",
            "Timestamp": now + timedelta(minutes=minutes),
        }
        for minutes in range(-10, 8)
    ])


def open_shards(client, stream):
    shards = client.list_shards(StreamName=stream, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    return [shard["ShardId"] for shard in shards]


def test_thresholds_over_cloudwatch_scale_a_stream_and_tell_a_topic(tmp_path, server, monitoring, topic):
    client = server.client(server.authority)
    arn, messages = topic
    assert len(open_shards(client, "s")) == 2
    # 90 percent of what two shards take: part by PutRecord, part by PutRecords, which are summed.
    put_minutes(monitoring, "PutRecord.Bytes", 0.5 * 2 * MIB * 60)
    put_minutes(monitoring, "PutRecords.Bytes", 0.4 * 2 * MIB * 60)
    put_minutes(monitoring, "PutRecords.Records", 60)
    monitor = {
        "streamName": "s", "region": "us-east-1", "scaleOnOperation": ["PUT"], "checkInterval": 1, "maxShards": 8,
        "scaleUp": {"scaleThresholdPct": 75, "scaleAfterMins": 1, "scaleCount": 1, "coolOffMins": 60,
                    "notificationARN": arn},
    }
    with Autoscale(tmp_path, server, monitoring, [monitor]) as autoscale:
        eventually(lambda: len(open_shards(client, "s")) == 3, "a third shard", 60)
        (told,) = eventually(messages, "a message of the topic", 60)
        # It looks again: three shards at 60 percent are enough.
        looked = len(monitoring[1].calls)
        eventually(lambda: len(monitoring[1].calls) >= looked + 3, "three more looks", 60)
    assert told["Subject"] == "Kinesis Autoscaling - Scale Up"
    message = json.loads(told["Message"])
    assert (message["streamName"], message["judgements"][0]["operation"]) == ("s", "PUT"), message
    assert len(open_shards(client, "s")) == 3 and len(messages()) == 1
    assert set(monitoring[1].calls) == {"GetMetricData"} and autoscale.tunnel.hosts == {f"{AMAZON}:443"}


def test_a_metric_service_that_fails_changes_nothing_and_is_told(tmp_path, server, monitoring):
    monitor = {
        "streamName": "s", "scaleOnOperation": ["PUT"], "checkInterval": 1,
        "scaleUp": {"scaleThresholdPct": 75, "scaleAfterMins": 1, "scaleCount": 1},
        "scaleDown": {"scaleThresholdPct": 25, "scaleAfterMins": 1, "scaleCount": 1},
    }
    nowhere = type("Nowhere", (), {"endpoint": "http://127.0.0.1:9"})
    with Autoscale(tmp_path, server, (monitoring[0], nowhere), [monitor]) as autoscale:
        eventually(lambda: "could not look at the stream" in autoscale.log.read_text(), "a warning", 60)
        assert "Connection refused" in autoscale.log.read_text() and autoscale.tunnel.hosts == {f"{AMAZON}:443"}
    assert len(open_shards(server.client(server.authority), "s")) == 2


class Load(threading.Thread):
    """Puts into one shard a little more than half of what a shard takes, and remembers what was placed where."""

    def __init__(self, client, stream):
        super().__init__(daemon=True)
        self.client, self.stream, self.stop, self.placed, self.error = client, stream, threading.Event(), [], None

    def run(self):
        # 700 KiB a second; hash key 5 is in the lowest shard, whatever it is called.
        record = {"Data": b"x" * (350 << 10), "PartitionKey": "k", "ExplicitHashKey": "5"}
        try:
            while not self.stop.wait(0.5):
                answer = self.client.put_records(StreamName=self.stream, Records=[record])
                assert answer["FailedRecordCount"] == 0, answer
                self.placed.append(answer["Records"][0]["ShardId"])
        except BaseException as error:  # shown by the test
            self.error = error


def test_an_on_demand_stream_splits_where_the_load_is(tmp_path):
    """A minute of load is what the server wants to have seen. A stream of another account follows its load as well."""
    secret = {"access_key_id": "AKIDOTHER", "secret_access_key": "other", "account": "222222222222"}
    own = {"access_key_id": "local", "secret_access_key": "local"}
    config = tmp_path / "credentials"
    config.write_text("".join(
        f"[{name}]\naws_access_key_id = {key['access_key_id']}\naws_secret_access_key = {key['secret_access_key']}\n"
        + (f"aws_account_id = {key['account']}\n" if "account" in key else "")
        for name, key in (("own", own), ("other", secret))
    ))
    with Baikonur(tmp_path, {"server": {"credentials_file": str(config)}}) as server:
        clients = [server.client(), boto3.client(
            "kinesis", endpoint_url=server.endpoint, region_name="us-east-1",
            aws_access_key_id=secret["access_key_id"], aws_secret_access_key=secret["secret_access_key"])]
        loads = []
        for client in clients:
            client.create_stream(StreamName="hot", StreamModeDetails={"StreamMode": "ON_DEMAND"})
            assert len(open_shards(client, "hot")) == 4
            loads.append(Load(client, "hot"))
            loads[-1].start()
        try:
            for client in clients:
                eventually(lambda: len(open_shards(client, "hot")) > 4, "a split", 150, every=0.5)
            placed = [len(load.placed) for load in loads]
            eventually(lambda: all(len(load.placed) > before for load, before in zip(loads, placed)), "puts go on", 30)
        finally:
            for load in loads:
                load.stop.set()
                load.join(30)
        for client, load in zip(clients, loads):
            assert load.error is None, load.error
            assert open_shards(client, "hot") == [f"shardId-{n:012}" for n in (1, 2, 3, 4, 5)]
            # Its records came into the lowest shard, and then into its lower child.
            assert sorted(set(load.placed)) == ["shardId-000000000000", "shardId-000000000004"]
        text = server.metrics()
        for stream in ("hot", "222222222222/us-east-1/hot"):
            assert f'baikonur_stream_shards{{stream="{stream}"}} 6' in text
