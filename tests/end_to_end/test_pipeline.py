"""The routing pattern with real clients and real destinations: every line arrives everywhere, once, in its place."""

import gzip
import json
from collections import Counter, defaultdict

import pytest

from baikonur_server import Baikonur, Folder, failed_records, put_all, read_stream
from log_lines import ENTRIES, FORMS, key_of, place, source_lines, with_suffix
from parts.fluent_receiver import FluentReceiver, OtelCollector
from parts.s3_server import REGION
from parts.waiting import eventually
from starting import started

WEB_TYPES = ("apache_", "nginx_")
BUCKET = "logs"


def configuration(folder, s3, opensearch, receivers):
    """router → stream-a (web servers), stream-b (all others); each stream into S3, OpenSearch and a Fluent receiver."""
    modules = {
        "forward-a": {
            "type": "kinesis-forward", "source": "router", "target_stream_name": "stream-a",
            "log_type_field_whitelist": ["apache_*", "nginx_*"],
        },
        "forward-b": {
            "type": "kinesis-forward", "source": "router", "target_stream_name": "stream-b",
            "log_type_field_whitelist": ["!apache_*", "!nginx_*"],
        },
        "archive": {
            "type": "kinesis-to-s3", "source": "router", "destination": f"file://{folder}/archive",
            "buffer_bytes": 8 << 20, "buffer_seconds": 5,
        },
    }
    for letter in "ab":
        source = f"stream-{letter}"
        modules[f"s3-{letter}"] = {
            "type": "kinesis-to-s3", "source": source, "destination": f"s3://{BUCKET}/{letter}",
            "endpoint": s3.endpoint, "region": REGION, "allow_http": True,
            "buffer_bytes": 8 << 20, "buffer_seconds": 5,
        }
        modules[f"index-{letter}"] = {
            "type": "kinesis-to-es", "source": source, "destination": opensearch.endpoint,
            "index_name_prefix": f"pipeline-{letter}",
        }
        modules[f"fluent-{letter}"] = {
            "type": "kinesis-to-fluent", "source": source,
            "destination": f"fluent://127.0.0.1:{receivers[letter].port}", "fluent_tag": "baikonur",
        }
    for module in modules.values():
        module["failed_store"] = f"file://{folder}/failed"
    streams = {"router": {"shards": 4}, "stream-a": {"shards": 2}, "stream-b": {"shards": 2}}
    return {"streams": streams, "modules": modules}


class Bucket:
    """The objects of a bucket, each read once; fails when one changes after it was seen."""

    def __init__(self, s3, name):
        self.client, self.name = s3.client(), name
        self._read, self._tags = {}, {}

    def files(self):
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name):
            for entry in page.get("Contents", []):
                key, tag = entry["Key"], entry["ETag"]
                assert self._tags.setdefault(key, tag) == tag, f"{key} was written again with other bytes"
                if key not in self._read:
                    body = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
                    self._read[key] = gzip.decompress(body)
        return self._read


def line_count(files):
    return sum(body.count(b"\n") for body in files.values())


def check_objects(files, expected_folders):
    """Every line once, below its type and date; every object named after its first line."""
    found = defaultdict(Counter)
    for key, body in files.items():
        folder, _, name = key.rpartition("/")
        assert body.endswith(b"\n"), key
        lines = body.splitlines()
        found[folder].update(lines)
        first = place(lines[0])
        assert name.startswith(first.file_stem) and name.endswith(".gz"), (name, first.file_stem)
    differing = {
        folder for folder in found.keys() | expected_folders.keys()
        if found.get(folder) != expected_folders.get(folder)
    }
    for folder in sorted(differing):
        missing = expected_folders.get(folder, Counter()) - found.get(folder, Counter())
        surplus = found.get(folder, Counter()) - expected_folders.get(folder, Counter())
        print(f"{folder}: {missing.total()} missing, {surplus.total()} too many",
              list(missing)[:2], list(surplus)[:2])
    assert not differing


def put_by_aws_cli(server, entries, folder):
    """The AWS CLI's put-record, and its put-records for the rest."""
    single, rest = entries[:2], entries[2:]
    for number, (data, key) in enumerate(single):
        file = folder / f"record-{number}"
        file.write_bytes(data)
        answer = server.aws("put-record", "--stream-name", "router", "--partition-key", key, "--data", f"fileb://{file}")
        assert answer["ShardId"].startswith("shardId-")
    file = folder / "records.json"
    file.write_text(json.dumps([{"Data": data.decode(), "PartitionKey": key} for data, key in rest]))
    answer = server.aws("put-records", "--stream-name", "router", "--records", f"file://{file}")
    assert answer["FailedRecordCount"] == 0 and len(answer["Records"]) == len(rest)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory, s3, opensearch):
    folder = tmp_path_factory.mktemp("pipeline")
    receivers = {"a": started(FluentReceiver, tmp_path_factory), "b": started(OtelCollector, tmp_path_factory)}
    s3.client().create_bucket(Bucket=BUCKET)
    server = Baikonur(folder, configuration(folder, s3, opensearch, receivers), s3.environment)
    with server:
        yield Run(folder, server, s3, opensearch, receivers)
    for receiver in receivers.values():
        receiver.stop()


class Run:
    """One run of the pipeline; the tests below look at it one destination after the other."""

    def __init__(self, folder, server, s3, opensearch, receivers):
        self.folder, self.server, self.opensearch, self.receivers = folder, server, opensearch, receivers
        self.archive, self.bucket = Folder(folder / "archive"), Bucket(s3, BUCKET)
        self.lines = {form: [with_suffix(line, form) for line in source_lines()] for form in FORMS}
        self.all_lines = [line for form in FORMS for line in self.lines[form]]
        self.places = {line: place(line) for line in self.all_lines}
        assert len(self.places) == len(self.all_lines), "log ids tell the lines apart"

    def letter(self, line):
        return "a" if self.places[line].log_type.startswith(WEB_TYPES) else "b"

    def put(self):
        client = self.server.client()
        for form in FORMS:
            entries = ENTRIES[form](self.lines[form])
            if form == "plain":
                put_by_aws_cli(self.server, entries[:302], self.folder)
                entries = entries[302:]
            put_all(client, "router", entries)


@pytest.fixture(scope="module")
def run(pipeline):
    pipeline.put()
    return pipeline


def test_the_file_archive_holds_every_line_once_below_its_type_and_date(run):
    eventually(lambda: line_count(run.archive.files()) >= len(run.all_lines), "all lines archived", 120, every=1)
    expected = defaultdict(Counter)
    for line, where in run.places.items():
        expected[where.folder][line] += 1
    check_objects(run.archive.files(), expected)


def test_a_subscriber_of_the_target_streams_reads_every_line_once_under_its_own_key(run):
    client = run.server.client()

    def read():
        records = {letter: read_stream(client, f"stream-{letter}") for letter in "ab"}
        total = sum(len(shard) for stream in records.values() for shard in stream.values())
        return records if total >= len(run.all_lines) else None

    streams = eventually(read, "all lines forwarded", 120, every=1)
    for letter, shards in streams.items():
        expected = {line for line in run.all_lines if run.letter(line) == letter}
        found = Counter(record["Data"] for shard in shards.values() for record in shard)
        assert found == Counter(expected), f"stream-{letter}"
        for shard in shards.values():
            numbers = [int(record["SequenceNumber"]) for record in shard]
            assert all(a < b for a, b in zip(numbers, numbers[1:])), "sequence numbers rise"
            for record in shard:
                if not json.loads(record["Data"])["log_id"].endswith("-cw"):
                    assert record["PartitionKey"] == key_of(record["Data"])


def test_the_s3_server_holds_every_line_once_below_its_type_and_date(run):
    eventually(lambda: line_count(run.bucket.files()) >= len(run.all_lines), "all lines in S3", 180, every=1)
    expected = defaultdict(Counter)
    for line, where in run.places.items():
        expected[f"{run.letter(line)}/{where.folder}"][line] += 1
    check_objects(run.bucket.files(), expected)


@pytest.mark.parametrize("letter", ["a", "b"])
def test_a_fluent_receiver_got_every_line_under_its_tag_and_time(run, letter):
    expected = {
        (where.tag("baikonur"), where.epoch_seconds, line.decode())
        for line, where in run.places.items() if run.letter(line) == letter
    }
    receiver = run.receivers[letter]
    eventually(lambda: receiver.count() >= len(expected), "all lines received", 180, every=1)
    found = Counter()
    for tag, seconds, _nanoseconds, record in receiver.events():
        assert record.keys() == {"message"}, record
        found[tag, seconds, record["message"]] += 1
    missing, surplus = expected - found.keys(), found.keys() - expected
    assert not missing and not surplus, (len(missing), sorted(missing)[:2], len(surplus), sorted(surplus)[:2])
    print(f"{found.total() - len(expected)} of {len(expected)} were sent more than once")


def test_opensearch_holds_every_line_once_in_the_index_of_its_type_and_date(run):
    eventually(lambda: run.opensearch.count("pipeline-*") >= len(run.all_lines), "all lines indexed", 240, every=1)
    expected = {
        (where.index(f"pipeline-{run.letter(line)}"), where.log_id): line for line, where in run.places.items()
    }
    documents = run.opensearch.documents("pipeline-*")
    assert len(documents) == len(expected)
    for index, identifier, source in documents:
        assert source == json.loads(expected.pop((index, identifier)))
    assert not expected


def test_nothing_failed_and_a_stop_leaves_every_line_written_once(run):
    assert failed_records(run.folder / "failed") == []
    assert run.server.stop() == 0, run.server.log_tail()
    assert line_count(Folder(run.folder / "archive").files()) == len(run.all_lines)
    assert line_count(run.bucket.files()) == len(run.all_lines)
