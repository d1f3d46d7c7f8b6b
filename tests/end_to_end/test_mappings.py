"""Operators and mappings: shown, paused, resumed, moved to another position, and changed while they run."""

import json
import signal
import subprocess
import time
from collections import Counter

import pytest

from baikonur_server import Baikonur, Folder, binary, put_all, read_stream, to_toml
from parts.waiting import eventually as eventually_so


def eventually(condition):
    eventually_so(condition, "the pipeline is where the line above wants it")


def lines(start, stop):
    return [json.dumps({"log_type": f"type_{n % 3}", "log_id": f"id-{n}", "time": "2026-01-01T00:00:00Z"}).encode()
            for n in range(start, stop)]


def put(server, start, stop):
    put_all(server.client(), "router", [(line, f"key-{n}") for n, line in enumerate(lines(start, stop))])


def configuration(folder):
    modules = {
        "forward": {"type": "kinesis-forward", "source": "router", "target_stream_name": "target"},
        "archive": {"type": "kinesis-to-s3", "source": "router", "destination": f"file://{folder}/archive",
                    "buffer_seconds": 1},
    }
    return {"streams": {"router": {"shards": 2}, "target": {"shards": 1}}, "modules": modules}


class Pipeline:
    """A running pipeline and its operator."""

    def __init__(self, folder):
        self.folder = folder
        self.server = Baikonur(folder, configuration(folder)).start()
        self.archive = Folder(folder / "archive")

    def operator(self, *words, succeeds=True):
        command = [binary(), "mappings", *words, "--data", self.server.data]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode == 0) == succeeds, done
        return done.stdout if succeeds else done.stderr

    def report(self):
        return json.loads(self.operator("--json"))

    def restart(self):
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait(10)
        self.server.start()

    def forwarded(self):
        records = [record for shard in read_stream(self.server.client(), "target").values() for record in shard]
        return Counter(record["Data"] for record in records)

    def archived(self):
        return Counter(self.archive.lines())

    def write_configuration(self):
        (self.folder / "baikonur.toml").write_text(to_toml(self.server.config))


@pytest.fixture
def pipeline(tmp_path):
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.server.stop()


def once(start, stop):
    return Counter(lines(start, stop))


def test_a_mapping_shows_its_shards_and_what_went_wrong_last(pipeline):
    put(pipeline.server, 0, 100)
    eventually(lambda: pipeline.forwarded() == once(0, 100))

    def at_tip():
        shards = pipeline.report()["forward"]["shards"]
        states = {shard["state"] for shard in shards.values()}
        return len(shards) == 2 and states == {"at_tip"} and all(shard["checkpoint"] for shard in shards.values())

    eventually(at_tip)
    report = pipeline.report()
    assert set(report) == {"forward", "archive"}
    assert report["forward"]["state"] == "Enabled" and report["forward"]["source"] == "router"
    table = pipeline.operator()
    assert "forward" in table and "Enabled" in table
    assert "shardId-000000000001" in pipeline.operator("ls", "forward")
    # Its target goes away: the reason is told, and the shards are tried again.
    pipeline.server.client().delete_stream(StreamName="target")
    put(pipeline.server, 100, 110)
    eventually(lambda: any("target" in (shard["lastError"] or "") and shard["state"] == "retrying"
                           for shard in pipeline.report()["forward"]["shards"].values()))
    assert "not found" in pipeline.operator("ls", "forward")
    assert "there is no module nobody" in pipeline.operator("pause", "nobody", succeeds=False)


def test_a_paused_mapping_stays_paused_over_a_kill_and_goes_on_where_it_stopped(pipeline):
    put(pipeline.server, 0, 50)
    eventually(lambda: pipeline.forwarded() == once(0, 50))
    pipeline.operator("pause", "forward")
    assert pipeline.report()["forward"]["state"] == "Disabled"
    put(pipeline.server, 50, 100)
    eventually(lambda: pipeline.archived() == once(0, 100))
    pipeline.restart()
    eventually(lambda: pipeline.report()["archive"]["state"] == "Enabled")
    assert pipeline.report()["forward"]["state"] == "Disabled"
    assert pipeline.forwarded() == once(0, 50), "the others went on, this one did not"
    pipeline.operator("resume", "forward")
    eventually(lambda: pipeline.forwarded() == once(0, 100))
    assert pipeline.report()["forward"]["state"] == "Enabled"


def test_a_reset_delivers_again_from_there_also_where_the_target_remembers(pipeline):
    put(pipeline.server, 0, 60)
    eventually(lambda: pipeline.forwarded() == once(0, 60))
    pipeline.operator("reset", "forward", "--to", "trim-horizon")
    eventually(lambda: pipeline.forwarded() == once(0, 60) + once(0, 60))
    # From the moment on, and with a paused mapping.
    pipeline.operator("pause", "forward")
    time.sleep(0.01)
    put(pipeline.server, 60, 70)
    pipeline.operator("reset", "forward", "--to", "latest")
    assert pipeline.report()["forward"]["state"] == "Disabled", "a reset does not resume"
    put(pipeline.server, 70, 80)
    pipeline.operator("resume", "forward")
    eventually(lambda: pipeline.forwarded() == once(0, 60) + once(0, 60) + once(70, 80))
    # One shard from one record on.
    shard, records = next((s, r) for s, r in read_stream(pipeline.server.client(), "router").items() if len(r) > 5)
    number = records[-3]["SequenceNumber"]
    error = pipeline.operator("reset", "forward", "--to", number, succeeds=False)
    assert "--shard" in error
    pipeline.operator("reset", "forward", "--to", number, "--shard", shard)
    again = Counter(record["Data"] for record in records[-3:])
    expected = once(0, 60) + once(0, 60) + once(70, 80) + again
    eventually(lambda: pipeline.forwarded() == expected)
    assert "has no shard" in pipeline.operator("reset", "forward", "--to", number, "--shard", "9", succeeds=False)
    pipeline.restart()
    put(pipeline.server, 80, 90)
    eventually(lambda: pipeline.forwarded() == expected + once(80, 90))


def test_a_changed_file_is_applied_without_losing_a_position(pipeline):
    put(pipeline.server, 0, 30)
    eventually(lambda: pipeline.forwarded() == once(0, 30) and pipeline.archived() == once(0, 30))
    modules, streams = pipeline.server.config["modules"], pipeline.server.config["streams"]

    # Changed: the whitelist. New: a stream and a module. By SIGHUP.
    modules["forward"]["log_type_field_whitelist"] = ["type_0"]
    streams["second"] = {"shards": 1}
    modules["forward-second"] = {"type": "kinesis-forward", "source": "router", "target_stream_name": "second"}
    pipeline.write_configuration()
    pipeline.server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "forward-second" in pipeline.report())
    put(pipeline.server, 30, 60)
    only_0 = Counter({line: 1 for line in lines(30, 60) if b"type_0" in line})
    eventually(lambda: pipeline.forwarded() == once(0, 30) + only_0)
    eventually(lambda: pipeline.archived() == once(0, 60))

    # A file with a mistake changes nothing, and says so.
    (pipeline.folder / "baikonur.toml").write_text("[modules.forward]\ntype = 'nonsense'\n")
    assert "nothing was changed" in pipeline.operator("reload", succeeds=False)
    assert set(pipeline.report()) == {"forward", "archive", "forward-second"}

    # Gone: a module. Noticed by itself.
    del modules["forward-second"]
    modules["forward"].pop("log_type_field_whitelist")
    pipeline.write_configuration()
    eventually(lambda: set(pipeline.report()) == {"forward", "archive"})
    # And there again: it goes on where it was.
    put(pipeline.server, 60, 70)
    eventually(lambda: pipeline.forwarded() == once(0, 30) + only_0 + once(60, 70))
    modules["forward-second"] = {"type": "kinesis-forward", "source": "router", "target_stream_name": "second"}
    pipeline.write_configuration()
    eventually(lambda: "forward-second" in pipeline.report())

    def second():
        records = [r for shard in read_stream(pipeline.server.client(), "second").values() for r in shard]
        return Counter(record["Data"] for record in records)

    eventually(lambda: second() == once(0, 70))
    # Disabled in the file: stopped, and no command starts it.
    modules["archive"]["enabled"] = False
    pipeline.write_configuration()
    eventually(lambda: pipeline.report()["archive"]["state"] == "Disabled")
    assert "enabled = false" in pipeline.operator("resume", "archive", succeeds=False)


def test_without_a_pipeline_the_command_says_so(tmp_path):
    done = subprocess.run([binary(), "mappings", "--data", tmp_path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "no pipeline runs" in done.stderr
