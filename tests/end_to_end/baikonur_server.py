"""The binary under test, and the public clients that talk to it."""

import gzip
import json
import os
import subprocess
from pathlib import Path

import boto3
import urllib3
from botocore.config import Config

from parts.process import REPO, Server, part

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": REGION}


def to_value(value):
    """A value of TOML: JSON writes texts, numbers, booleans and lists of them as TOML does."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {to_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(to_value, value)) + "]"
    return json.dumps(value)


def to_toml(tables):
    """Tables of tables of values."""
    lines = []
    for outer, entries in tables.items():
        plain = {key: value for key, value in entries.items() if not isinstance(value, dict)}
        if plain:
            lines.append(f"[{outer}]")
            lines += [f"{key} = {to_value(value)}" for key, value in plain.items()]
        for name, entry in entries.items():
            if isinstance(entry, dict):
                lines.append(f"[{outer}.{name}]")
                lines += [f"{key} = {to_value(value)}" for key, value in entry.items()]
    return "\n".join(lines) + "\n"


def binary():
    given = os.environ.get("BAIKONUR_BIN")
    path = Path(given) if given else REPO / "target" / "release" / "baikonur"
    assert path.exists(), f"{path} is missing: cargo build --release --bin baikonur"
    return path.resolve()


def bootstrap():
    """The binary of the AWS Lambda functions: beside the other one, unless BAIKONUR_BOOTSTRAP says where."""
    given = os.environ.get("BAIKONUR_BOOTSTRAP")
    built = REPO / "target" / "release" / "bootstrap"
    beside = binary().with_name("bootstrap")
    path = Path(given) if given else beside if beside.exists() else built
    assert path.exists(), f"{path} is missing: cargo build --release --bin bootstrap"
    return path.resolve()


class Baikonur(Server):
    """`baikonur up`; keeps its port and its data directory over restarts."""

    name = "baikonur"
    ready_seconds = 60

    def __init__(self, folder, config, environment=None):
        super().__init__(folder)
        self.config = config
        self.environment = environment or {}
        self.data = self.folder / "data"
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def command(self):
        file = self.folder / "baikonur.toml"
        file.write_text(to_toml(self.config))
        command = [binary(), "up", file, "--listen", f"127.0.0.1:{self.port}", "--data", self.data]
        return command, {**CREDENTIALS, **self.environment}

    def is_ready(self):
        try:
            return urllib3.request("GET", f"{self.endpoint}/health", retries=False, timeout=2).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def metrics(self):
        return urllib3.request("GET", f"{self.endpoint}/metrics", retries=False, timeout=5).data.decode()

    def peak_memory_mib(self):
        """The largest resident set so far (Linux)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmHWM in /proc")

    def client(self, **options):
        """A boto3 client; `options` go to botocore's Config."""
        return boto3.client(
            "kinesis",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(**{"retries": {"total_max_attempts": 3}, **options}),
        )

    def aws(self, *words, succeeds=True):
        """The AWS CLI: its JSON answer, or what it says on stderr when it is to fail."""
        command = [part("venv", "bin", "aws"), "--endpoint-url", self.endpoint, "--output", "json", "kinesis", *words]
        done = subprocess.run(
            [str(word) for word in command],
            env={**os.environ, **CREDENTIALS, "AWS_PAGER": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if not succeeds:
            assert done.returncode != 0, f"aws {words} should have failed: {done.stdout}"
            return done.stderr
        assert done.returncode == 0, f"aws {words}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def aws_session(self):
        """As `aws`, for many commands one after the other."""
        return AwsSession(self.endpoint)


class AwsSession:
    """The AWS CLI in one process: called with words it gives the JSON answer, or None."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.process = subprocess.Popen(
            [part("venv", "bin", "python"), REPO / "tests" / "parts" / "aws_session.py"],
            env={**os.environ, **CREDENTIALS, "AWS_PAGER": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words, succeeds=True):
        """With `succeeds=False`, what it says on stderr when it fails, as it must."""
        command = ["--endpoint-url", self.endpoint, "--output", "json", "kinesis", *map(str, words)]
        print("aws", *command)
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        status, out, complaints = json.loads(self.process.stdout.readline())
        assert (status == 0) == succeeds, f"aws {words} ended with {status}: {out}{complaints}"
        if not succeeds:
            return complaints
        return json.loads(out) if out.strip() else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)


def put_all(client, stream, entries):
    """Puts (data, partition key) pairs in their order, as large as requests may be; gives (shard, sequence number)s."""
    placed = []
    batch, size = [], 0

    def flush():
        nonlocal batch, size
        if batch:
            answer = client.put_records(StreamName=stream, Records=batch)
            assert answer["FailedRecordCount"] == 0, answer
            placed.extend((record["ShardId"], record["SequenceNumber"]) for record in answer["Records"])
        batch, size = [], 0

    for data, key in entries:
        if len(batch) == 500 or size + len(data) + len(key) > 4_500_000:
            flush()
        batch.append({"Data": data, "PartitionKey": key})
        size += len(data) + len(key)
    flush()
    return placed


def read_shard(client, stream, shard, **position):
    """All records from a position (default: the trim horizon) to the tip of a shard."""
    position = position or {"ShardIteratorType": "TRIM_HORIZON"}
    iterator = client.get_shard_iterator(StreamName=stream, ShardId=shard, **position)["ShardIterator"]
    records = []
    while iterator:
        answer = client.get_records(ShardIterator=iterator)
        records += answer["Records"]
        iterator = answer.get("NextShardIterator")
        if not answer["Records"] and answer["MillisBehindLatest"] == 0:
            break
    return records


def read_stream(client, stream):
    """Shard id → all its records."""
    pages = client.get_paginator("list_shards").paginate(StreamName=stream)
    shards = [shard["ShardId"] for page in pages for shard in page["Shards"]]
    return {shard: read_shard(client, stream, shard) for shard in shards}


class Folder:
    """Gzipped files below a folder, each read once: objects are never changed."""

    def __init__(self, path):
        self.path = Path(path)
        self._read = {}

    def files(self):
        """Path below the folder → bytes, decompressed; fails on a file that is not whole."""
        if self.path.exists():
            for file in self.path.rglob("*.gz"):
                key = file.relative_to(self.path).as_posix()
                if key not in self._read:
                    self._read[key] = gzip.decompress(file.read_bytes())
        return self._read

    def lines(self):
        """All lines of all files."""
        return [line for body in self.files().values() for line in body.splitlines()]


def failed_records(path):
    """What a failed store holds."""
    return [json.loads(line) for line in Folder(path).lines()]
