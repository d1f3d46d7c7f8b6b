"""Disks that are full or damaged, as a client sees them."""

import os
import subprocess
from pathlib import Path

import botocore.exceptions
import pytest
import urllib3

from baikonur_server import Baikonur, read_shard

SHARD = "shardId-000000000000"
CONFIG = {"streams": {"a": {"shards": 1}}}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MiB; needs root, which most machines that run tests in containers have."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"NOT TESTED: a full file system; `mount` cannot be run: {error}")
    if mounted.returncode != 0:
        pytest.skip(f"NOT TESTED: a full file system; a tmpfs cannot be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


class OnDisk(Baikonur):
    def __init__(self, folder, data, config):
        super().__init__(folder, config)
        self.data = Path(data) / "data"


def test_a_full_file_system_refuses_puts_loses_nothing_and_is_used_again_when_there_is_space(tmp_path, small_disk):
    with OnDisk(tmp_path / "server", small_disk, CONFIG) as server:
        client = server.client(retries={"total_max_attempts": 1})
        put = lambda number: client.put_record(
            StreamName="a", Data=f"{number:04}".encode() + os.urandom(500_000), PartitionKey="k")
        acknowledged = 0
        with pytest.raises(client.exceptions.ProvisionedThroughputExceededException) as full:
            for number in range(100):
                put(number)
                acknowledged += 1
        assert 10 < acknowledged < 60 and "no space left" in str(full.value), (acknowledged, full.value)
        with pytest.raises(client.exceptions.ProvisionedThroughputExceededException):
            put(9999)
        numbers = lambda: [int(record["Data"][:4]) for record in read_shard(client, "a", SHARD)]
        assert numbers() == list(range(acknowledged))
        health = urllib3.request("GET", f"{server.endpoint}/health", retries=False, timeout=5)
        assert health.status == 200, "a full disk passes, and the server goes on"
        # What frees nothing may be refused, and what was is the same as before.
        try:
            client.create_stream(StreamName="b", ShardCount=1)
        except client.exceptions.LimitExceededException as refused:
            assert "no space left" in str(refused)
        assert "a" in client.list_streams()["StreamNames"]
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        for number in range(acknowledged, acknowledged + 5):
            put(number)
        assert numbers() == list(range(acknowledged + 5))
        server.kill()
        server.start()
        assert numbers() == list(range(acknowledged + 5))


def test_a_damaged_block_is_told_by_name_and_everything_else_is_read(tmp_path):
    with Baikonur(tmp_path, CONFIG) as server:
        client = server.client()
        for number in range(20):
            client.put_record(StreamName="a", Data=f"record {number:03}".encode(), PartitionKey="k")
    (segment,) = (server.data / "log").iterdir()
    stored = bytearray(segment.read_bytes())
    stored[stored.index(b"record 007")] ^= 1
    segment.write_bytes(stored)
    with server.start():
        client = server.client(retries={"total_max_attempts": 1})
        health = urllib3.request("GET", f"{server.endpoint}/health", retries=False, timeout=5)
        assert health.status == 200 and health.json()["status"] == "damaged"
        iterator = client.get_shard_iterator(
            StreamName="a", ShardId=SHARD, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        found, damages = [], []
        while True:
            try:
                answer = client.get_records(ShardIterator=iterator)
            except botocore.exceptions.ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500
                assert error.response["Error"]["Code"] == "InternalFailure"
                message = error.response["Error"]["Message"]
                damages.append(message)
                number = message.rsplit("AT_SEQUENCE_NUMBER ", 1)[1]
                iterator = client.get_shard_iterator(
                    StreamName="a", ShardId=SHARD, ShardIteratorType="AT_SEQUENCE_NUMBER",
                    StartingSequenceNumber=number)["ShardIterator"]
                continue
            found += [record["Data"].decode() for record in answer["Records"]]
            iterator = answer["NextShardIterator"]
            if not answer["Records"] and answer["MillisBehindLatest"] == 0:
                break
        (damage,) = damages
        assert f"log/{segment.name} at offset " in damage and "records 8 to 8 of shardId-000000000000" in damage
        assert found == [f"record {number:03}" for number in range(20) if number != 7]
        put = client.put_record(StreamName="a", Data=b"fresh", PartitionKey="k")
        assert put["ShardId"] == SHARD
