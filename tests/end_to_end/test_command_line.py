"""The commands as a user types them: up, put, tail, check and explain; what they print, and how they end."""

import base64
import gzip
import json
import math
import os
import re
import signal
import socket
import subprocess
import time
import warnings
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest
import urllib3
from dateutil import parser

from baikonur_server import Baikonur, Folder, binary, failed_records, read_stream
from log_lines import SAMPLE, place
from parts.process import REPO, free_port, part
from parts.waiting import eventually

TIMESTAMPS = REPO / "crates" / "record" / "tests" / "data" / "timestamps.json"
MIB = 1 << 20
SHARDS = {"router": 4, "stream-a": 2, "stream-b": 2, "stream-c": 1}


def baikonur(*words, status=0, text=b"", folder=None, seconds=30, **variables):
    """Runs a command to its end; gives what it prints on its two outputs."""
    done = subprocess.run(
        [str(word) for word in (binary(), *words)], input=text, capture_output=True, cwd=folder, timeout=seconds,
        env={**os.environ, **variables}, check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == status, (words, done.returncode, out, err)
    assert status == 0 or (not out and "panicked" not in err), (out, err)
    return out, err


def ndjson(text):
    return [json.loads(line) for line in text.split("\n")[:-1]]


def lines_of(*numbers, log_type="auth"):
    """Records of the Common Schema, told apart by their ids."""
    time = "2015-05-17T03:05:03+09:00"
    return [json.dumps({"log_type": log_type, "log_id": f"{n}", "time": time, "n": n}).encode() for n in numbers]


def joined(lines):
    return b"".join(line + b"\n" for line in lines)


class Up(Baikonur):
    """`baikonur up` with words of its own, in a folder with nothing else in it; its two outputs are kept apart."""

    def __init__(self, folder, *words, **variables):
        super().__init__(folder / "here", None, environment=variables)
        self.words = words
        self.log, self.printed, self.logged = folder / "both.log", folder / "stdout", folder / "stderr"
        self.data = self.folder / "baikonur-data"
        self.at = ("--endpoint", self.endpoint)

    def command(self):
        outputs = f'exec "$@" >> {self.printed} 2>> {self.logged}'
        words = self.words or ("--listen", f"127.0.0.1:{self.port}")
        return ["sh", "-c", outputs, "sh", binary(), "up", *words], self.environment

    def log_tail(self, lines=40):
        return "\n".join(self.logged.read_text().splitlines()[-lines:])

    def archived(self):
        return Folder(self.data / "archive")

    def put(self, lines, *words, stream="router"):
        return baikonur("put", stream, *words, *self.at, text=joined(lines))

    def tail(self, stream, *words):
        return baikonur("tail", stream, "--no-follow", *words, *self.at)[0]


@pytest.fixture(scope="module", autouse=True)
def without_variables():
    """Of a developer's own, which would reach into the commands. BAIKONUR_BIN has no `__` and reaches nowhere."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("AWS_") or (name.startswith("BAIKONUR_") and name != "BAIKONUR_BIN"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """The routing pattern, as it runs without a file."""
    with Up(tmp_path_factory.mktemp("up")) as up:
        yield up


@pytest.fixture
def stream(up, request):
    """A new stream of one shard, which nothing else reads."""
    name = request.node.originalname[5:100]
    up.client().create_stream(StreamName=name, ShardCount=1)
    return name


def payloads(up, stream):
    """What is in a stream, by boto3."""
    shards = read_stream(up.client(), stream)
    return [record["Data"] for records in shards.values() for record in records]


# The routing pattern.

def test_what_up_prints_can_be_typed_as_it_stands(up):
    welcome = up.printed.read_text()
    assert [entry.name for entry in up.folder.iterdir()] == ["baikonur-data"], "all is below the data directory"
    for stream, shards in SHARDS.items():
        assert re.search(rf"^stream {stream} \({shards} shards?, 24 h\)$", welcome, re.M)
    for name, taken, to in (
        ("forward-a", "apache_*, nginx_*", "stream-a"), ("forward-b", "!apache_*, !nginx_*", "stream-b"),
        ("forward-c", "everything", "stream-c"),
    ):
        assert f"└─ {name}: kinesis-forward, {taken} ─▶ stream {to}\n" in welcome
    for name in ("archive-a", "archive-b"):
        assert f"└─ {name}: kinesis-to-s3, everything ─▶ file://{up.data}/archive\n" in welcome
    for what, where in (
        ("Kinesis API", up.endpoint), ("data", up.data), ("archive", up.data / "archive"),
        ("failed records", up.data / "failed"), ("health, metrics", f"{up.endpoint}/health {up.endpoint}/metrics"),
    ):
        assert re.search(rf"^{what} +{re.escape(str(where))}$", welcome, re.M), what
    type_next = re.search(r"^Type next.*:\n  (echo .*)\n  (.* tail .*)\n  (find .*\S) +\(after", welcome, re.M)
    put, tail, find = type_next.groups()
    line = re.search(r"echo '(.*)' \|", put)[1]

    def typed(command, **variables):
        done = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, timeout=30, env={**os.environ, **variables},
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    typed(put)
    eventually(lambda: line in typed(f"{tail} --no-follow").splitlines(), "the line in stream-c", 10)
    eventually(lambda: line in typed(f"{find} 2> /dev/null || true").splitlines(), "the line in the archive", 15)
    sdk = re.search(r"^With the AWS CLI or an SDK:\n((?:  .+\n)+)", welcome, re.M)[1]
    # The CLI of the tests, and no region or account of whoever runs them.
    path = f"{part('venv', 'bin')}:{os.environ['PATH']}"
    listed = typed(sdk, PATH=path, AWS_CONFIG_FILE="/dev/null", AWS_EC2_METADATA_DISABLED="true", AWS_PAGER="")
    assert set(SHARDS) <= set(json.loads(listed)["StreamNames"])


def test_real_lines_are_routed_by_type_archived_by_date_and_counted(tmp_path):
    lines = gzip.decompress(SAMPLE.read_bytes()).splitlines()
    bad = [b"no json", b"[1]"]
    soon = {f"BAIKONUR_MODULES__ARCHIVE_{letter}__BUFFER_SECONDS": "1" for letter in "AB"}
    with Up(tmp_path, **soon) as up:
        _, told = baikonur("put", "router", SAMPLE, "-", *up.at, text=joined(bad))
        assert re.search(rf"^records +{len(lines) + 2:,}$", told, re.M), told
        web = {line for line in lines if place(line).log_type.startswith(("apache_", "nginx_"))}
        assert 0 < len(web) < len(lines)
        eventually(lambda: len(payloads(up, "stream-c")) >= len(lines), "everything in stream-c", 20)
        eventually(lambda: len(up.archived().lines()) >= len(lines), "everything archived", 30)
        assert Counter(payloads(up, "stream-a")) == Counter(web)
        assert Counter(payloads(up, "stream-b")) == Counter(set(lines) - web)
        assert Counter(payloads(up, "stream-c")) == Counter(lines)
        check_metrics(up, lines, web)
        assert up.stop() == 0
    explained = ndjson(baikonur("explain", "--json", text=joined(lines))[0])
    keys = {line: one["events"][0]["key"] for line, one in zip(lines, explained, strict=True)}
    found = Counter()
    for key, body in up.archived().files().items():
        found.update((key.rpartition("/")[0], line) for line in body.splitlines())
        first = body.splitlines()[0]
        assert key == f"{place(first).folder}/{place(first).file_stem}.gz" == keys[first]
    assert found == Counter((place(line).folder, line) for line in lines)
    failed = Counter((one["consumer"], one["reason"], one["data"]) for one in failed_records(up.data / "failed"))
    assert failed == Counter(
        (module, reason, data)
        for module in ("forward-a", "forward-b", "forward-c")
        for reason, data in (("not_json", "no json"), ("not_an_object", "[1]"))
    )


def parsed_metrics(text):
    """(name, labels) → value of the Prometheus text format, every line of which is looked at."""
    label = r'[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"'
    sample = re.compile(rf"([a-zA-Z_:][\w:]*)(?:\{{({label}(?:,{label})*)\}})? (\S+)")
    types, found = {}, {}
    for line in text.splitlines():
        if not line or line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram", "summary") and name not in types, line
            types[name] = kind
            continue
        name, labels, value = sample.fullmatch(line).groups()
        family = re.sub("_(bucket|sum|count)$", "", name) if name not in types else name
        assert family in types, f"{line} is of no type"
        key = name, tuple(re.findall(r'(\w+)="([^"]*)"', labels or ""))
        assert key not in found and not math.isnan(float(value)), line
        found[key] = float(value)
    for (name, labels), value in found.items():
        if types.get(name) == "counter":
            assert value >= 0 and name.startswith("baikonur_")
        if types.get(name.removesuffix("_count")) == "histogram":
            bucket = name.replace("_count", "_bucket")
            buckets = sorted(
                (float(dict(of)["le"]), count) for (of_name, of), count in found.items()
                if of_name == bucket and [pair for pair in of if pair[0] != "le"] == list(labels)
            )
            counts = [count for _, count in buckets]
            assert counts == sorted(counts) and buckets[-1] == (math.inf, value), name
    return found


def check_metrics(up, lines, web):
    """Records and bytes by stream and shard; what was delivered, failed and filtered by module, stream and shard."""
    answer = urllib3.request("GET", f"{up.endpoint}/metrics", retries=False)
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = parsed_metrics(answer.data.decode())

    def values(name, *by, **labels):
        """Sums over the samples with these labels, by the labels named."""
        sums = Counter()
        for (of, pairs), value in found.items():
            pairs = dict(pairs)
            if of == name and labels.items() <= pairs.items():
                sums[tuple(pairs[label] for label in by)] += value
        return dict(sums)

    shards = read_stream(up.client(), "router")
    by_shard = {(shard,): len(records) for shard, records in shards.items()}
    sizes = {
        (shard,): sum(len(record["Data"]) + len(record["PartitionKey"]) for record in records)
        for shard, records in shards.items()
    }
    assert values("baikonur_stream_records_in_total", "shard", stream="router") == by_shard
    assert values("baikonur_stream_bytes_in_total", "shard", stream="router") == sizes
    assert values("baikonur_stream_records_in_total", "stream") == {
        ("router",): len(lines) + 2, ("stream-a",): len(web), ("stream-b",): len(lines) - len(web),
        ("stream-c",): len(lines),
    }
    # Three modules have read all of it, and the archive's two all of theirs.
    read = values("baikonur_stream_records_out_total", "stream")
    assert read["router",] >= 3 * (len(lines) + 2) and read["stream-a",] >= len(web)
    for module in ("forward-a", "forward-b", "forward-c"):
        assert values("baikonur_delivered_records_total", "shard", module=module, stream="router") == by_shard
        assert values("baikonur_failed_records_total", "reason", module=module, stream="router") == {
            ("not_json",): 1, ("not_an_object",): 1,
        }
        assert values("baikonur_retries_total", module=module) == {(): 0}
        assert values("baikonur_batch_seconds_count", module=module)[()] >= 1
    assert values("baikonur_delivered_records_total", "module", "stream") == {
        ("forward-a", "router"): len(lines) + 2, ("forward-b", "router"): len(lines) + 2,
        ("forward-c", "router"): len(lines) + 2, ("archive-a", "stream-a"): len(web),
        ("archive-b", "stream-b"): len(lines) - len(web),
    }
    assert values("baikonur_filtered_events_total", module="forward-a") == {(): len(lines) - len(web)}
    assert values("baikonur_filtered_events_total", module="forward-b") == {(): len(web)}
    ages = values("baikonur_iterator_age_seconds", "module", "stream", "shard")
    shards_read = {("forward-" + letter, "router", shard) for letter in "abc" for shard in shards}
    assert shards_read <= ages.keys() and all(0 <= age < 60 for age in ages.values())
    assert values("baikonur_api_requests_total", "outcome", operation="PutRecords")["ok",] >= 1
    assert values("baikonur_commit_seconds_count")[()] >= 1 and values("baikonur_log_bytes")[()] > sum(map(len, lines))


def test_health_is_json_and_other_paths_are_refused(up):
    answer = urllib3.request("GET", f"{up.endpoint}/health", retries=False)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert json.loads(answer.data) == {"status": "ok", "writes_closed": None, "damaged": []}
    assert urllib3.request("GET", f"{up.endpoint}/nothing", retries=False).status == 403


# put.

def test_put_sends_lines_from_stdin_from_files_and_from_gzipped_files(up, stream, tmp_path):
    plain, packed = tmp_path / "plain.ndjson", tmp_path / "packed"
    plain.write_bytes(joined(lines_of(0, 1)) + b"\n\n" + lines_of(2)[0])
    # Two members, as `cat a.gz b.gz` makes them; it is not the name that tells.
    packed.write_bytes(gzip.compress(joined(lines_of(3))) + gzip.compress(joined(lines_of(4, 5))))
    out, told = baikonur(
        "put", stream, plain, packed, "-", "--partition-key", "k", *up.at, text=b"\xff\xfe\x00\r\n{}\n",
    )
    expected = [*lines_of(0, 1, 2, 3, 4, 5), b"\xff\xfe\x00", b"{}"]
    assert payloads(up, stream) == expected, "in their order, with one key"
    [records] = read_stream(up.client(), stream).values()
    assert {record["PartitionKey"] for record in records} == {"k"}
    size = sum(map(len, expected))
    assert out == "", "the summary goes to the standard error"
    rows = dict(re.findall(r"^(\S.*?)  +(.*)$", told, re.M))
    assert (rows["stream"], rows["records"], rows["bytes"]) == (stream, "8", f"{size} B"), told
    assert rows["empty lines passed over"] == "2" and "sent again" not in rows
    _, told = baikonur("put", stream, *up.at)
    assert re.search(r"^records +0$", told, re.M), "no input is no mistake"


def test_put_spreads_lines_over_all_shards_unless_they_have_one_key(up):
    client = up.client()
    client.create_stream(StreamName="spread", ShardCount=4)
    lines = lines_of(*range(3000))
    _, told = up.put(lines, stream="spread")
    assert re.search(r"^records +3,000$", told, re.M), told
    shards = read_stream(client, "spread")
    assert all(600 < len(records) < 900 for records in shards.values()), {s: len(r) for s, r in shards.items()}
    assert Counter(payloads(up, "spread")) == Counter(lines)


def test_put_passes_over_a_line_that_no_record_can_be_and_says_so_in_its_status(up, stream):
    long = b"x" * (2 * MIB)
    _, told = baikonur("put", stream, *up.at, text=joined([b"before", long, b"behind"]), status=1)
    assert f"-: line 2 has {2 * MIB} bytes, more than a record may have" in told
    assert re.search(r"^lines over 1 MiB passed over +1$", told, re.M)
    assert sorted(payloads(up, stream)) == [b"before", b"behind"]


def test_put_explains_what_is_not_there(up, tmp_path):
    _, told = baikonur("put", "rooter", *up.at, text=b"{}\n", status=1)
    assert told.startswith("error: there is no stream rooter") and "ResourceNotFoundException" in told
    missing = tmp_path / "missing.ndjson"
    _, told = baikonur("put", "router", missing, *up.at, status=1)
    assert told == f"error: cannot read {missing}: No such file or directory (os error 2)\n"
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(joined(lines_of(1)))[:-12])
    _, told = baikonur("put", "router", broken, *up.at, status=1)
    assert told.startswith(f"error: cannot read {broken}: ")
    _, told = baikonur("put", "a stream", *up.at, status=2)
    assert '"a stream" is not a stream name' in told
    _, told = baikonur("put", "router", "--endpoint", "nowhere", status=2)
    assert "--endpoint <URL>" in told


def test_put_to_a_server_that_is_not_there_fails_soon_and_says_what_to_do():
    """Nobody has ever listened there: who mistyped a port is not to wait for a minute."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    _, told = baikonur("put", "router", "--endpoint", endpoint, text=b"{}\n", status=1, seconds=10)
    assert f"no answer from {endpoint}/" in told and "is `baikonur up` running there?" in told


# tail.

def test_tail_prints_what_is_in_a_stream_decoded_and_in_order(up, stream):
    lines = lines_of(*range(20))
    client = up.client()
    for line in lines[:10]:
        client.put_record(StreamName=stream, Data=gzip.compress(line), PartitionKey="a")
    between = datetime.now(timezone.utc) + timedelta(milliseconds=20)
    time.sleep(0.05)
    client.put_records(StreamName=stream, Records=[{"Data": line, "PartitionKey": "b"} for line in lines[10:]])
    assert up.tail(stream, "--from", "trim-horizon").encode() == joined(lines)
    assert up.tail(stream, "--from", "TRIM_HORIZON").encode() == joined(lines)
    assert up.tail(stream, "--from", between.isoformat()).encode() == joined(lines[10:])
    assert up.tail(stream, "--from", "1970-01-01").encode() == joined(lines)
    assert up.tail(stream) == up.tail(stream, "--from", "latest") == ""


def test_tail_prints_records_as_they_are_in_json(up, stream):
    client = up.client()
    datas = [lines_of(1)[0], "Köln \u2028\n".encode(), b"\xff\x00", gzip.compress(b"{}"), b""]
    for data in datas:
        client.put_record(StreamName=stream, Data=data, PartitionKey="\u00e9\"")
    [(shard, records)] = read_stream(client, stream).items()
    told = ndjson(up.tail(stream, "--from", "trim-horizon", "--json"))
    for line, record, data in zip(told, records, datas, strict=True):
        if data[:1] in (b"\xff", b"\x1f"):
            assert base64.b64decode(line.pop("data_base64")) == data
        else:
            assert line.pop("data").encode() == data
        arrival = datetime.fromtimestamp(line.pop("arrival"), timezone.utc)
        assert abs(arrival - record["ApproximateArrivalTimestamp"]) < timedelta(milliseconds=1)
        assert line == {"shard": shard, "sequence_number": record["SequenceNumber"], "partition_key": "\u00e9\""}


def test_tail_follows_all_shards_until_it_is_told_to_stop(up):
    client = up.client()
    client.create_stream(StreamName="followed", ShardCount=3)
    up.put(lines_of(1, 2, 3), stream="followed")
    with subprocess.Popen(
        [str(word) for word in (binary(), "tail", "followed", *up.at)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as tail:
        os.set_blocking(tail.stdout.fileno(), False)
        seen = []

        def read():
            seen.extend((tail.stdout.read() or b"").splitlines())
            return seen

        def knock():
            """Until it has found the newest record of each shard, there is nothing to wait for."""
            up.put([b"knock"] * 20, stream="followed")
            return read()

        eventually(knock, "the first line", 10, every=0.3)
        time.sleep(0.5)
        lines = lines_of(*range(100, 160))
        up.put(lines, stream="followed")
        eventually(lambda: set(lines) <= set(read()), "all lines", 10)
        assert Counter(line for line in seen if line != b"knock") == Counter(lines), "and none from before"
        tail.send_signal(signal.SIGINT)
        assert tail.wait(5) in (0, 130, -signal.SIGINT)
        assert tail.stderr.read() == b""


def test_tail_is_content_when_its_reader_has_seen_enough(up, stream):
    up.put(lines_of(*range(5000)), "--partition-key", "k", stream=stream)
    command = f"{binary()} tail {stream} --from trim-horizon --endpoint {up.endpoint} | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=20, check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, joined(lines_of(0)), b"")


def test_tail_explains_what_is_not_there(up):
    _, told = baikonur("tail", "rooter", *up.at, status=1)
    assert "Stream rooter under account 000000000000 not found." in told
    endpoint = f"http://127.0.0.1:{free_port()}"
    _, told = baikonur("tail", "router", "--endpoint", endpoint, status=1, seconds=10)
    assert told == (
        f"error: no answer from {endpoint}/: Connection refused (os error 111); is `baikonur up` running there?\n"
    )
    _, told = baikonur("tail", "router", "--from", "soon", *up.at, status=2)
    assert "not latest or trim-horizon" in told


# check.

def test_check_explains_every_mistake_with_its_line(tmp_path):
    file = tmp_path / "mistakes.toml"
    file.write_text(
        """[server]
region = "us-east-1"
durabilty = "fsync"

[streams.router]
shard = 2

[streams."a b"]

[modules.archive]
type = "kinesis-to-s3"
source = "ruoter"
destination = "s4://bucket"
batch_size = 0
bufer_seconds = 5

[modules.index]
type = "kinesis-to-elastic"
source = "router"

[modules.events]
type = "kinesis-to-fluent"
source = "router"
destination = "fluent://${NOBODY_SETS_THIS}"
fluent_tag = "a tag"
timezone = "Mars/Olympus"

[modul.x]
"""
    )
    _, told = baikonur("check", file, status=1)
    found = dict(re.findall(rf"^{re.escape(str(file))}:(\d+): (.*)$", told, re.M))
    for line, words in (
        (3, ("durabilty", "did you mean durability?")),
        (6, ("[streams.router]", "no key shard", "did you mean shards?")), (8, ("a b",)),
        (12, ("source is ruoter", "did you mean router?")), (13, ("s4://bucket", "neither s3:// nor file://")),
        (14, ("batch_size is 0", "1 to 10000")), (15, ("bufer_seconds", "did you mean buffer_seconds?")),
        (18, ("kinesis-to-elastic", "is none of kinesis-forward")), (24, ("NOBODY_SETS_THIS is not set",)),
        (28, ("modul", "did you mean modules?")),
    ):
        assert all(word in found.get(str(line), "") for word in words), f"line {line}: {words}\n{told}"
    shown = '  13 | destination = "s4://bucket"\n     | ^^^^^^^^^^^\n'
    assert shown in told, "the line itself, and what of it is wrong"
    assert re.search(r"^\d+ mistakes$", told, re.M)
    for text, line in (("[streams.a]\nshards = \n", 2), ("[streams.a]\n[streams.a]\n", 2), ("x\n", 1)):
        file.write_text(text)
        _, told = baikonur("check", file, status=1)
        assert told.startswith(f"{file}:{line}: ") and told.endswith("1 mistake\n"), told
    _, told = baikonur("check", tmp_path / "missing.toml", status=1)
    assert told.startswith("error: cannot read the configuration ")


def test_a_mistake_in_the_server_section_neither_hides_nor_makes_others(tmp_path):
    file = tmp_path / "server.toml"
    file.write_text(
        '[server]\nlisten = "somewhere"\n[streams.router]\n[modules.archive]\ntype = "kinesis-to-s3"\n'
        'source = "router"\ndestination = "${DESTINATION}"\nfailed_store = "${NOBODY_SETS_THIS}"\n'
    )
    _, told = baikonur("check", file, DESTINATION="s3://bucket", status=1)
    assert re.findall(rf"^{re.escape(str(file))}:(\d+): ", told, re.M) == ["2", "8"], told
    assert "NOBODY_SETS_THIS is not set" in told


def test_the_built_in_configuration_passes_its_own_check_also_through_a_pipe(tmp_path):
    text, _ = baikonur("check", "--print-default")
    built_in, _ = baikonur("check", folder=tmp_path)
    piped, _ = baikonur("check", "/dev/stdin", text=text.encode(), folder=tmp_path)
    assert piped == built_in
    assert [line for line in piped.splitlines() if line.startswith("stream ")] == [
        f"stream {name} ({shards} shard{'s' if shards > 1 else ''}, 24 h)" for name, shards in SHARDS.items()
    ]
    wrong = text.replace('source = "router"', 'source = "rooter"', 1)
    _, told = baikonur("check", "/dev/stdin", text=wrong.encode(), status=1)
    number = 1 + wrong[:wrong.index("rooter")].count("\n")
    assert told.startswith(f"/dev/stdin:{number}: [modules.forward-a] source is rooter, but there is no [streams.roo")
    assert not list(tmp_path.iterdir()), "nothing is made by checking"


def test_the_environment_goes_before_the_file_and_is_checked_as_well(tmp_path):
    file = tmp_path / "archive.toml"
    file.write_text(
        '[streams.router]\n[modules.archive]\ntype = "kinesis-to-s3"\nsource = "router"\n'
        'destination = "s3://${BUCKET}/logs"\n'
    )
    shown, _ = baikonur("check", file, BUCKET="mine", BAIKONUR_STREAMS__ROUTER__SHARDS="7")
    assert shown == "stream router (7 shards, 24 h)\n  └─ archive: kinesis-to-s3, everything ─▶ s3://mine/logs\n"
    _, told = baikonur("check", file, BUCKET="mine", BAIKONUR_MODULES__ARCHIVE__BATCH_SIZE="0", status=1)
    assert "batch_size is 0: it can be 1 to 10000" in told
    _, told = baikonur("check", file, BUCKET="mine", BAIKONUR_MODULES__ARCHIV__BATCH_SIZE="1", status=1)
    assert "BAIKONUR_MODULES__ARCHIV__BATCH_SIZE" in told
    # A whole URL is no line of the file: the mistake shows which variable lacks.
    _, told = baikonur("check", file, status=1)
    assert f"{file}:5: the environment variable BUCKET is not set" in told


# explain.

RECORDS = (
    b'{"log_type":"AUTH/x","log_id":"1","time":"2026-11-24T09:00:00.5+09:00"}',
    b"no json",
    b"[]",
    b'{"log_type":"auth","log_id":"2","time":"yesterday"}',
    b'{"messageType":"DATA_MESSAGE","logEvents":[{"message":"{\\"log_id\\":\\"3\\",\\"time\\":0}"},{"message":"x"},'
    b'{}]}',
    b'{"messageType":"CONTROL_MESSAGE","logEvents":[]}',
)


def check_explained(explained):
    """What is said in JSON of `RECORDS`."""
    assert [one["record"] for one in explained] == [1, 2, 3, 4, 5, 6]
    assert all(one.keys() == {"record", "events", "filtered", "rejected"} for one in explained)
    [event] = explained[0]["events"]
    assert event == {
        "log_type": "AUTH/x", "log_id": "1", "time": "2026-11-24T09:00:00.500000+09:00",
        "key": "AUTH%2Fx/2026-11/24/2026-11-24-09:00:00-1.gz", "index": event["index"], "tag": "AUTH%2Fx.baikonur",
    }
    assert re.fullmatch("logs-auth_x-[0-9a-f]{16}-20261124", event["index"])
    for place_, reason in ((1, "not_json"), (2, "not_an_object")):
        assert explained[place_]["events"] == []
        [rejected] = explained[place_]["rejected"]
        assert rejected["reason"] == reason and rejected["detail"]
    [event] = explained[3]["events"]
    assert event["log_type"] == "unknown/auth/bad_timestamp"
    assert abs(datetime.fromisoformat(event["time"]) - datetime.now(timezone.utc)) < timedelta(seconds=60)
    [event] = explained[4]["events"]
    assert (event["log_type"], event["log_id"]) == ("unknown/unknown_type", "3")
    assert event["time"] == "1970-01-01T00:00:00+00:00"
    assert [(one["reason"], one["event_index"]) for one in explained[4]["rejected"]] == [
        ("not_json", 1), ("bad_envelope", 2),
    ]
    assert explained[5]["events"] == explained[5]["rejected"] == []


def test_explain_says_what_becomes_of_each_record_in_json_and_rejections_are_no_failure(tmp_path):
    out, told = baikonur("explain", "--json", text=joined(RECORDS))
    assert told == ""
    check_explained(ndjson(out))
    file = tmp_path / "records.gz"
    file.write_bytes(gzip.compress(joined(RECORDS)))
    check_explained(ndjson(baikonur("explain", "--json", file)[0]))
    encoded = joined(base64.b64encode(gzip.compress(record)) for record in RECORDS)
    out, _ = baikonur("explain", "--json", "--base64", text=encoded)
    check_explained(ndjson(out))
    out, _ = baikonur("explain", "--json", "--base64", text=b"!!!\n" + encoded)
    assert ndjson(out)[0] == {"record": 1, "error": "the line is no base64"} and len(ndjson(out)) == 7
    _, told = baikonur("explain", tmp_path / "missing", status=1)
    assert told.startswith(f"error: cannot read {tmp_path / 'missing'}: ")


def test_explain_says_it_in_words_as_well():
    out, _ = baikonur("explain", "--index-name-prefix", "mine", "--fluent-tag", "tag", text=joined(RECORDS))
    parts = re.split(r"^record \d+: ", out, flags=re.M)[1:]
    assert [part.splitlines()[0] for part in parts] == [
        "1 taken", "1 rejected", "1 rejected", "1 taken", "1 taken, 2 rejected",
        "nothing in it (a CloudWatch Logs control message, or an empty aggregate)",
    ]
    facts = dict(re.findall(r"^  [- ] (\w+) +(\S.*)$", parts[0], re.M))
    assert facts.pop("index").startswith("mine-auth_x-")
    assert facts == {
        "log_type": "AUTH/x", "log_id": "1", "time": "2026-11-24T09:00:00.500000+09:00",
        "key": "AUTH%2Fx/2026-11/24/2026-11-24-09:00:00-1.gz", "tag": "AUTH%2Fx.tag",
    }
    assert "  - not_json: not JSON at byte 0" in parts[1] and "failed store: unknown/not_json/" in parts[1]


def test_explain_looks_through_the_eyes_of_each_module_of_a_configuration(tmp_path):
    file = tmp_path / "modules.toml"
    file.write_text("""
[server]
data = "/data"
[streams.router]
[streams.web]
[modules.forward]
type = "kinesis-forward"
source = "router"
target_stream_name = "web"
log_type_field = "kind"
log_type_field_whitelist = ["nginx_*"]
[modules.archive]
type = "kinesis-to-s3"
source = "router"
destination = "s3://bucket/prefix"
log_type_field = "meta.type"
log_id_field = "/meta/ids/1"
timezone = "Asia/Tokyo"
log_type_unknown_prefix = "strange"
[modules.index]
type = "kinesis-to-es"
source = "web"
destination = "http://127.0.0.1:9200"
index_name_prefix = "logs"
document_id = "origin"
[modules.events]
type = "kinesis-to-fluent"
source = "web"
destination = "127.0.0.1"
fluent_tag = "tag"
""")
    record = b'{"kind":"nginx_access","meta":{"type":"deep","ids":["a","b"]},"time":"May 17 10:05:03 2015"}'
    out, _ = baikonur("explain", "--config", file, "--json", text=record)
    by_module = {one["module"]: one for one in ndjson(out)}
    assert {module: one["type"] for module, one in by_module.items()} == {
        "archive": "kinesis-to-s3", "events": "kinesis-to-fluent", "forward": "kinesis-forward",
        "index": "kinesis-to-es",
    }
    [event] = by_module["forward"]["events"]
    assert (event["log_type"], event["stream"]) == ("nginx_access", "web")
    [event] = by_module["archive"]["events"]
    assert event == {
        "log_type": "deep", "log_id": "b", "time": "2015-05-17T10:05:03+09:00",
        "key": "s3://bucket/prefix/deep/2015-05/17/2015-05-17-10:05:03-b.gz",
    }
    [event] = by_module["index"]["events"]
    assert re.fullmatch(r"explain/shardId-000000000000/\d{56}/0/0", event["id"])
    assert re.fullmatch("logs-unknown_unknown_type-[0-9a-f]{16}-20150517", event["index"])
    [event] = by_module["events"]["events"]
    assert event["tag"] == "unknown/unknown_type.tag"
    out, _ = baikonur("explain", "--config", file, "--json", text=b'{"kind":"auth"}')
    by_module = {one["module"]: one for one in ndjson(out)}
    assert (by_module["forward"]["events"], by_module["forward"]["filtered"]) == ([], 1)
    [event] = by_module["archive"]["events"]
    assert event["log_type"] == "strange/unknown_type/no_timestamp" and event["time"].endswith("+09:00")
    words, _ = baikonur("explain", "--config", file, text=b'{"kind":"auth"}')
    assert "record 1, forward (kinesis-forward): 1 left out by the whitelist or a filter" in words.splitlines()


def test_timestamps_are_read_as_dateutil_reads_them():
    """All strings that the decoder is tested with; what a stamp does not say is that of today, at midnight in UTC."""
    stamps = [entry["in"] for entry in json.loads(TIMESTAMPS.read_text())]
    assert len(stamps) > 300
    records = [json.dumps({"log_type": "stamp", "log_id": "1", "time": stamp}).encode() for stamp in stamps]

    def today():
        return datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)

    day = today()
    explained = ndjson(baikonur("explain", "--json", text=joined(records))[0])
    if today() != day:
        day = today()
        explained = ndjson(baikonur("explain", "--json", text=joined(records))[0])
    differing, rejected = [], 0
    for stamp, one in zip(stamps, explained, strict=True):
        expected = by_dateutil(stamp, day)
        rejected += expected is None
        [event] = one["events"]
        found = None
        if event["log_type"] != "unknown/stamp/bad_timestamp":
            assert event["log_type"] == "stamp"
            found = event["time"]
        if found != expected:
            differing.append((stamp, expected, found))
    assert not differing, f"{len(differing)} of {len(stamps)}: {differing[:10]}"
    assert 0 < rejected < len(stamps) / 2


def by_dateutil(stamp, default):
    """RFC 3339 as `explain` writes it; none when dateutil refuses the stamp."""
    with warnings.catch_warnings():
        # Names of zones other than UTC say nothing here: such a stamp is in the zone of the settings.
        warnings.simplefilter("ignore", parser.UnknownTimezoneWarning)
        try:
            moment = parser.parse(stamp, default=default)
            offset = moment.utcoffset() or timedelta()
        except (ValueError, OverflowError):
            return None
    sign = "-" if offset < timedelta() else "+"
    hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
    return f"{moment.replace(tzinfo=None).isoformat()}{sign}{hours:02}:{minutes:02}"


# Starting and stopping.

@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_what_is_held_and_ends_with_success(tmp_path, end):
    config = tmp_path / "archive.toml"
    config.write_text(
        '[streams.router]\nshards = 2\n[modules.archive]\ntype = "kinesis-to-s3"\nsource = "router"\n'
        'destination = "file://${data}/archive"\nbuffer_seconds = 300\n'
    )
    data = tmp_path / "data"
    port = free_port()
    up = Up(tmp_path, config, BAIKONUR_LISTEN=f"127.0.0.1:{port}", BAIKONUR_DATA=str(data))
    up.port, up.endpoint, up.at = port, f"http://127.0.0.1:{port}", ("--endpoint", f"http://127.0.0.1:{port}")
    with up:
        lines = lines_of(*range(200))
        up.put(lines)
        eventually(lambda: delivered(up) == 200, "all taken", 10)
        assert not list(data.rglob("*.gz")), "held: five minutes are not over"
        up.process.send_signal(end)
        assert up.process.wait(20) == 0, up.log_tail()
        assert Counter(Folder(data / "archive").lines()) == Counter(lines)
        assert up.printed.read_text() == "", "with a file there is no tutorial where nobody sees it"
        # Every position was stored: nothing comes again.
        up.start()
        up.put(lines_of(200, 201))
        eventually(lambda: delivered(up) == 2, "the new ones alone", 10)
        assert up.stop() == 0
    assert Counter(Folder(data / "archive").lines()) == Counter([*lines, *lines_of(200, 201)])
    logged = ndjson(up.logged.read_text())
    assert [one["message"] for one in logged].count("stopped") == 2
    assert [one["closed_cleanly"] for one in logged if one["message"] == "streams are open"][1] is True


def delivered(up):
    counts = re.findall(r"baikonur_delivered_records_total\{.*\} (\d+)", up.metrics())
    return sum(map(int, counts))


def test_log_lines_are_json_objects_and_text_on_request(up, tmp_path):
    logged = up.logged.read_text()
    for line in logged.splitlines():
        entry = json.loads(line)
        assert isinstance(entry, dict)
        assert entry["level"] in ("INFO", "WARN", "ERROR") and entry["message"] and entry["target"]
        assert datetime.fromisoformat(entry["timestamp"]).tzinfo is not None
    assert {"streams are open", "stream made", "module starts"} <= {one["message"] for one in ndjson(logged)}
    text = Up(tmp_path, "--listen", "127.0.0.1:0", "--log-format", "text", "--log", "warn,baikonur=info")
    text.is_ready = lambda: text.printed.exists() and "Ctrl-C" in text.printed.read_text()
    with text:
        assert text.stop() == 0
    lines = text.logged.read_text().splitlines()
    assert lines and all(re.match(r"\d{4}-\d\d-\d\dT\S+ +(INFO|WARN) ", line) for line in lines), lines


def test_up_refuses_to_start_where_it_cannot_run_and_says_why(up, tmp_path):
    port = f"127.0.0.1:{free_port()}"
    before = sorted(up.data.rglob("*.segment"))
    _, told = baikonur("up", "--listen", port, "--data", up.data, status=1)
    assert told.startswith(f"error: another process has the data directory {up.data} open"), told
    assert sorted(up.data.rglob("*.segment")) == before
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        address = "127.0.0.1:%d" % busy.getsockname()[1]
        _, told = baikonur("up", "--listen", address, folder=tmp_path, status=1)
    assert told == f"error: cannot listen on {address}: Address already in use (os error 98)\n"
    for address in (f"0.0.0.0:{free_port()}", f"[::]:{free_port()}", f"192.0.2.1:{free_port()}"):
        _, told = baikonur("up", "--listen", address, folder=tmp_path, status=1)
        assert told.startswith(f"error: {address} is not a loopback address: signatures are not verified"), told
    _, told = baikonur("up", folder=tmp_path, BAIKONUR_LISTEN="0.0.0.0:4567", status=1)
    assert "0.0.0.0:4567 is not a loopback address" in told
    _, told = baikonur("up", "missing.toml", "--listen", port, folder=tmp_path, status=1)
    assert "cannot read the configuration missing.toml: No such file or directory" in told
    assert not list(tmp_path.iterdir()), "nothing was made"
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[streams.a]\nshard = 1\n")
    _, told = baikonur("up", wrong, "--listen", port, folder=tmp_path, status=1)
    assert f"{wrong}:2: [streams.a] there is no key shard here; did you mean shards?" in told
    wrong.write_text("[streams.a]\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "FORMAT").write_text("baikonur streams, format 999\n")
    _, told = baikonur("up", wrong, "--listen", port, "--data", "data", folder=tmp_path, status=1)
    assert told.count("error: ") == 1 and "format 999" in told, told
    assert urllib3.request("GET", f"{up.endpoint}/health", retries=False).status == 200


def test_help_teaches_and_names_every_option():
    text, _ = baikonur("--help")
    for command in ("up", "put", "tail", "check", "explain", "redrive"):
        assert re.search(rf"^  {command} +\S", text, re.M)
        of_command, _ = baikonur(command, "--help")
        assert of_command.count("\n") > 8 and "Usage: baikonur" in of_command
    assert "baikonur check --print-default > baikonur.toml" in text
    for command, options in (
        ("up", ("--listen", "--data")), ("put", ("--partition-key", "--endpoint")), ("check", ("--print-default",)),
        ("tail", ("--no-follow", "--from", "--json")), ("explain", ("--base64", "--json", "--config")),
        ("redrive", ("--into", "--module", "--reason", "--type", "--since", "--until", "--dry-run", "--in-doubt")),
    ):
        assert all(option in baikonur(command, "--help")[0] for option in options), command
    assert re.fullmatch(r"baikonur \d+\.\d+\.\d+\n", baikonur("--version")[0])
    _, told = baikonur("putt", status=2)
    assert "put" in told and "Usage" in told
