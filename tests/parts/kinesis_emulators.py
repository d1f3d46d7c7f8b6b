"""Servers of the Kinesis API that are not ours, on loopback."""

from pathlib import Path

import boto3
import botocore.exceptions
from botocore.config import Config

from .moto_server import MotoServer
from .process import Server, free_port, part

LOOPBACK = Path(__file__).parent / "loopback.cjs"


class KinesisEmulator(Server):
    """Base: a boto3 client, and ready when it lists its streams."""

    # Whether it has registered consumers and SubscribeToShard.
    fans_out = False
    # Whether the shards that were split or merged come to an end.
    closes_shards = True

    def __init__(self, folder):
        super().__init__(folder)
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def client(self, **options):
        return boto3.client(
            "kinesis", endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id="local",
            aws_secret_access_key="local", config=Config(**{"retries": {"total_max_attempts": 3}, **options}),
        )

    def __exit__(self, *_):
        # kinesis-mock takes half a minute to end by itself.
        self.stop(2)

    def is_ready(self):
        try:
            self.client(connect_timeout=2, read_timeout=5).list_streams()
            return True
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            return False


class Moto(KinesisEmulator):
    """moto's server; its sequence numbers are small integers."""

    name = "moto"
    closes_shards = False

    command = MotoServer.command


class Kinesalite(KinesisEmulator):
    name = "kinesalite"

    def command(self):
        main = part("kinesalite", "node_modules", "kinesalite", "cli.js")
        delays = ["--createStreamMs", 50, "--updateStreamMs", 50]
        return ["node", "--require", LOOPBACK, main, "--port", self.port, *delays], {}


class KinesisMock(KinesisEmulator):
    name = "kinesis-mock"
    fans_out = True

    def command(self):
        main = part("kinesis-mock", "node_modules", "kinesis-local", "main.js")
        return ["node", "--require", LOOPBACK, main], {
            "KINESIS_MOCK_PLAIN_PORT": str(self.port), "KINESIS_MOCK_TLS_PORT": str(free_port()),
            "KINESIS_MOCK_CERT_PATH": str(main.parent / "server.json"), "CREATE_STREAM_DURATION": "50ms",
            "SPLIT_SHARD_DURATION": "50ms", "MERGE_SHARDS_DURATION": "50ms",
            "REGISTER_STREAM_CONSUMER_DURATION": "50ms", "SHARD_LIMIT": "100", "LOG_LEVEL": "ERROR",
        }
