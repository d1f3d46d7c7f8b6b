"""What failed is replayed into modules, past their stream, and what a real OpenSearch refuses arrives once it is mended."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter

import pytest
from aws_kinesis_agg.aggregator import RecordAggregator

from baikonur_server import CREDENTIALS, Baikonur, Folder, binary, put_all, to_toml
from parts.waiting import eventually
from redriving import GOOD, REFUSED, counts, document, records_of, redrive, write_store

CONFLICT = "failed to parse field [value] of type [long]"


def conflicting(number, value):
    record = {"log_type": "conflict", "log_id": f"{REFUSED}-{number}", "time": "2015-05-17T10:05:03Z", "value": value}
    return json.dumps(record).encode()


def aggregate(events, key):
    aggregator = RecordAggregator()
    for event in events:
        assert not aggregator.add_user_record(key, event)
    return aggregator.clear_and_get().get_contents()[2]


class Conflict:
    """An index of OpenSearch that takes whole numbers alone, until it is mended; and a pipeline before it."""

    def __init__(self, folder, opensearch, prefix):
        self.opensearch, self.prefix = opensearch, prefix
        self.map_value_to({"type": "long"})
        index = {"type": "kinesis-to-es", "source": "router", "destination": opensearch.endpoint,
                 "index_name_prefix": prefix, "failed_store": f"file://{folder}/failed"}
        # Reads the same stream: what is put into it comes here as well.
        archive = {"type": "kinesis-to-s3", "source": "router", "destination": f"file://{folder}/archive",
                   "buffer_seconds": 1, "failed_store": f"file://{folder}/failed-archive"}
        self.config = {"streams": {"router": {"shards": 2}}, "modules": {"index": index, "archive": archive}}
        (folder / "failed").mkdir()
        self.url, self.archive = f"file://{folder}/failed", Folder(folder / "archive")

    def map_value_to(self, mapping):
        self.opensearch.request("PUT", f"/_index_template/{self.prefix}", {
            "index_patterns": [f"{self.prefix}-conflict*"], "priority": 5,
            "template": {
                "settings": {"number_of_replicas": 0, "number_of_shards": 1},
                "mappings": {"properties": {"value": mapping}},
            },
        })

    def mend(self):
        """Makes the index anew; it stores any value and looks at none."""
        self.map_value_to({"type": "object", "enabled": False})
        self.opensearch.request("DELETE", f"/{self.prefix}-conflict*")

    def ids(self):
        documents = self.opensearch.documents(f"{self.prefix}-*")
        return Counter(source["log_id"] for _, _, source in documents)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A server with a stream and no modules."""
    with Baikonur(tmp_path_factory.mktemp("plain"), {"streams": {"router": {}}}) as server:
        yield server


@pytest.mark.parametrize("way", ["stream", "module"])
def test_what_a_real_index_refuses_arrives_once_when_it_is_mended(tmp_path, opensearch, way):
    conflict = Conflict(tmp_path, opensearch, f"redrive-{way}")
    with Baikonur(tmp_path / "up", conflict.config) as server:
        sent = [(document(GOOD, n), f"key-{n}") for n in range(10)]
        sent += [(conflicting(n, {"a": n}), f"key-{n}") for n in range(30)]
        # Three events of an aggregate are refused; their sequence number is that of their neighbours, too.
        sent.append((aggregate([conflicting(100 + n, n if n % 2 else "many") for n in range(6)], "packed"), "packed"))
        sent.append((b"no json", "key"))
        put_all(server.client(), "router", sent)
        expected = {"refused_by_elasticsearch": 33, "not_json": 1}
        eventually(lambda: counts(server, conflict.url) == expected, "what is refused is kept", 60, 0.5)
        eventually(lambda: len(conflict.archive.lines()) == 46, "the archive has all but what is no JSON", 30)
        assert {f"{REFUSED}-{n}" for n in (101, 103, 105)} <= set(conflict.ids())
        words = ["--reason", "refused_by_elasticsearch"]
        if way == "module":
            words += ["--into-module", "index", "--config", server.folder / "baikonur.toml"]
            # Nothing was mended: all of it is refused again, is told, and is not marked.
            _, told = redrive(server, conflict.url, *words, status=1)
            assert re.search(r"^refused +33$", told, re.M) and CONFLICT in told, told
            assert counts(server, conflict.url) == expected
        conflict.mend()
        _, told = redrive(server, conflict.url, *words)
        assert re.search(r"^replayed +33$", told, re.M) and "twice" not in told, told
        ids = {f"{REFUSED}-{n}" for n in (*range(30), 100, 102, 104)}
        eventually(lambda: ids <= set(conflict.ids()), "the index has them", 60, 0.5)
        assert set(conflict.ids().values()) == {1}
        assert "nothing to replay" in redrive(server, conflict.url, *words)[0]
        # The archive gets what is in the stream: once more what went through it, and nothing that did not.
        again = 33 if way == "stream" else 0
        assert len(records_of(server, "router")) == len(sent) + again
        eventually(lambda: len(conflict.archive.lines()) >= 46 + again, "the archive goes on", 30)
        assert len(conflict.archive.lines()) == 46 + again


def test_a_kill_amid_a_replay_into_an_index_doubles_nothing(tmp_path, plain, opensearch):
    many, store = 6_000, tmp_path / "failed"
    # Without ids of their own: their numbers stand for them.
    url = write_store(store, "router", many, 100, "index", lambda n: json.dumps({"log_type": "killed", "n": n}))
    config = tmp_path / "baikonur.toml"
    config.write_text(to_toml({"streams": {"router": {}}, "modules": {"index": {
        "type": "kinesis-to-es", "source": "router", "destination": opensearch.endpoint,
        "index_name_prefix": "redrive-killed"}}}))
    words, claim, kills = ("--into-module", "index", "--config", config), store / "redrive" / "claim.json", 0
    for seconds in (0.0, 0.2, 0.5):
        command = [str(word) for word in (binary(), "redrive", url, *words)]
        process = subprocess.Popen(command, env={**os.environ, **CREDENTIALS}, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        eventually(lambda: process.poll() is not None or claim.exists() and b"object" in claim.read_bytes(),
                   "it works", 30, 0.005)
        time.sleep(seconds)
        process.kill()
        kills += process.wait(30) == -signal.SIGKILL
    assert kills >= 1, "it was too fast to be killed"
    redrive(plain, url, *words)
    assert "nothing to replay" in redrive(plain, url, *words)[0]
    documents = opensearch.documents("redrive-killed-*")
    assert Counter(source["n"] for _, _, source in documents) == Counter(range(many))


def test_a_replay_into_an_archive_is_the_same_objects_each_time(tmp_path, plain):
    store, marks = tmp_path / "failed", tmp_path / "failed" / "redrive" / "marks"
    url = write_store(store, "router", 300, data=lambda n: json.dumps({"log_type": "late", "n": n}))
    config = tmp_path / "baikonur.toml"
    config.write_text(to_toml({"streams": {"router": {}}, "modules": {
        "m": {"type": "kinesis-to-s3", "source": "router", "destination": f"file://{tmp_path}/archive"},
        "copy": {"type": "kinesis-forward", "source": "router", "target_stream_name": "other",
                 "target_endpoint_url": plain.endpoint}}}))
    words = ("--into-module", "m", "--config", config)
    assert re.search(r"^replayed +300$", redrive(plain, url, *words)[1], re.M)
    archive = Folder(tmp_path / "archive")
    assert Counter(json.loads(line)["n"] for line in archive.lines()) == Counter(range(300))
    first = dict(archive.files())
    assert "nothing to replay" in redrive(plain, url, *words)[0]
    # All of it once more, on purpose.
    shutil.rmtree(marks)
    assert re.search(r"^replayed +300$", redrive(plain, url, *words)[1], re.M)
    assert Folder(tmp_path / "archive").files() == first
    shutil.rmtree(marks)
    for module, told in (("n", "there is no module n"), ("copy", "replay with --into")):
        wrong = ("--into-module", module, "--config", config, "--module", "m")
        assert told in redrive(plain, url, *wrong, status=1)[1]
