"""`baikonur streams verify`: of a server's directory, of a copy, and of one with a flipped bit."""

import json
import os
import shutil
import subprocess

from baikonur_server import Baikonur, binary

CONFIG = {"streams": {"a": {"shards": 2}}}


def verify(*words, status):
    done = subprocess.run(
        [binary(), "streams", "verify", *words], capture_output=True, text=True, timeout=60, check=False, env={**os.environ}
    )
    assert done.returncode == status, done
    return done.stdout, done.stderr


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_directory_is_checked_and_not_changed(tmp_path):
    with Baikonur(tmp_path, CONFIG) as server:
        records = [{"Data": f"record {n:03}".encode(), "PartitionKey": f"{n}"} for n in range(200)]
        server.client().put_records(StreamName="a", Records=records)
        told = verify(server.data, status=1)[1]
        assert "a process has the data directory" in told and "stop it, or check a copy" in told
        copy = tmp_path / "copy"
        shutil.copytree(server.data, copy, ignore=shutil.ignore_patterns("control.sock"))
    before = contents(server.data)
    assert "stream a: 200 records" in verify(server.data, status=0)[0]
    report = json.loads(verify("--copy", "--json", copy, status=0)[0])
    assert (report["records"], report["damage"]) == (200, 0)
    assert contents(server.data) == before

    (segment,) = (server.data / "log").iterdir()
    stored = bytearray(segment.read_bytes())
    stored[stored.index(b"record 007")] ^= 1
    segment.write_bytes(stored)
    told = verify(server.data, status=1)[0]
    assert f"damage: log/{segment.name} at " in told and "of stream a are lost" in told
