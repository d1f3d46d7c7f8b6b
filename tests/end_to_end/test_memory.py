"""Records that grow a thousandfold, hundreds at once: memory stays bounded, and what comes behind them arrives."""

import gzip

import pytest

from baikonur_server import Baikonur, Folder, put_all
from parts.waiting import eventually

MIB = 1 << 20
PEAK_MEMORY_MIB = 500

BOMBS = {
    "an event that no stream takes": b'{"log_type":"a","log_id":"1","time":0,"x":"' + b"a" * (31 * MIB) + b'"}',
    "events by the ten thousand": b'{"messageType":"DATA_MESSAGE","logEvents":['
                                  + b",".join([b'{"message":"{}"}'] * 99_000) + b"]}",
    "a line that is no JSON in a huge envelope": b'{"messageType":"DATA_MESSAGE","x":"' + b"a" * (31 * MIB)
                                                + b'","logEvents":[{"message":"plain"}]}',
    "more than may come out of a record": b"a" * (100 * MIB),
}


@pytest.mark.parametrize("what", BOMBS)
def test_memory_stays_bounded_whatever_records_grow_into(tmp_path, what):
    modules = {
        "forward": {"type": "kinesis-forward", "source": "router", "target_stream_name": "target"},
        "archive": {
            "type": "kinesis-to-s3", "source": "router", "destination": f"file://{tmp_path}/archive",
            "log_type_field_whitelist": ["last"], "buffer_seconds": 1,
        },
    }
    for module in modules.values():
        module["failed_store"] = f"file://{tmp_path}/failed"
    config = {"streams": {"router": {"shards": 1}, "target": {"shards": 1}}, "modules": modules}
    with Baikonur(tmp_path, config) as server:
        bomb = gzip.compress(BOMBS[what], 9)
        client = server.client()
        put_all(client, "router", [(bomb, "k")] * min(100, 4_000_000 // len(bomb)))
        put_all(client, "router", [(b'{"log_type":"last","log_id":"1","time":0}', "k")])
        archive = Folder(tmp_path / "archive")
        eventually(lambda: archive.lines() == [b'{"log_type":"last","log_id":"1","time":0}'], "the last record", 120)
        assert server.peak_memory_mib() < PEAK_MEMORY_MIB


def test_lines_that_are_written_as_they_are_are_not_held_as_they_are(tmp_path):
    archive = {
        "type": "kinesis-to-s3", "source": "router", "destination": f"file://{tmp_path}/archive",
        "compression": "none", "memory_bytes": 64 * MIB, "buffer_seconds": 1,
    }
    config = {"streams": {"router": {"shards": 1}}, "modules": {"archive": archive}}
    with Baikonur(tmp_path, config) as server:
        bomb = gzip.compress(BOMBS["an event that no stream takes"], 9)
        put_all(server.client(), "router", [(bomb, "k")] * 24)
        files = tmp_path / "archive"
        expected = 24 * (len(BOMBS["an event that no stream takes"]) + 1)
        eventually(
            lambda: sum(path.stat().st_size for path in files.rglob("*.ndjson")) == expected, "all lines", 120,
        )
        assert server.peak_memory_mib() < PEAK_MEMORY_MIB
