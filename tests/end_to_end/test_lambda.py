"""The functions of AWS Lambda: `bootstrap` as each module, with events as Lambda hands them over and real destinations."""

import gzip
import json
import re
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest

from baikonur_server import Baikonur, Folder, bootstrap, failed_records, read_stream
from lambda_events import SCHEDULED, failing_from, kinesis_event, sequence_number
from log_lines import ENTRIES, FORMS, key_of, place, source_lines, with_suffix
from parts.faulty_wire import Fault, FaultyWire
from parts.lambda_runtime import TRACE_ID, LambdaFunction
from parts.process import free_port
from parts.search_cluster import SearchCluster, busy
from parts.waiting import eventually

LINES = source_lines()[:300]
# More than the 500 records that a function hands to its module at once.
MANY = [with_suffix(LINES[number % 300], str(number)) for number in range(700)]
POISON = (b"\x1f\x8b\x08\x00 this is no gzip", "poison")
NAME = "deliver"
STUCK = Fault(stuck=True)


def function(folder, module, variables, handler=None, **options):
    """A function whose handler is the module's name; or, as with the originals, another one, and a variable says it."""
    if handler:
        variables = {"BAIKONUR_MODULE": module, **variables}
    environment = {"BAIKONUR_FAILED_STORE": f"file://{folder}/failed", **variables}
    return LambdaFunction(folder, bootstrap(), NAME, handler or module, environment, **options)


def handler_of(form):
    return "main.handler" if form in ("kpl", "cw") else None


def event_of(lines, form="plain", first=0):
    return kinesis_event(ENTRIES[form](lines), first=first)


def objects_of(lines):
    """Key → lines, as the originals lay them out: by type and day, under the time and the id of the first."""
    folders = {}
    for line in lines:
        folders.setdefault(place(line).folder, []).append(line)
    return {f"{folder}/{place(found[0]).file_stem}.gz": found for folder, found in folders.items()}


def lines_of(objects):
    return {key: gzip.decompress(body).splitlines() for key, body in objects.items()}


def documents_of(lines, prefix):
    return sorted((place(line).index(prefix), place(line).log_id, line.decode()) for line in lines)


def events_of(lines, tag):
    return Counter((place(line).tag(tag), place(line).epoch_seconds, 0, line.decode()) for line in lines)


def received(receiver):
    return Counter((tag, seconds, nanoseconds, record["message"]) for tag, seconds, nanoseconds, record in receiver.events())


def fluent_at(port, **variables):
    return {"LOG_FLUENT_SINK_ENDPOINT": f"fluent://127.0.0.1:{port}", "LOG_FLUENT_TAG": "tag", **variables}


def all_arrive(receiver, expected):
    """Each event once. The receiver may be about to write what it has acknowledged."""
    eventually(lambda: received(receiver).total() >= expected.total(), "all events", seconds=10)
    assert received(receiver) == expected


def bucket_of(s3, name):
    s3.client().create_bucket(Bucket=name)
    return {"AWS_ENDPOINT_URL_S3": s3.endpoint, **s3.environment}


# Each module at its destination.


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_in_a_folder_has_each_line_under_its_type_and_day(tmp_path, form):
    archive = tmp_path / "archive"
    variables = {"BAIKONUR_DESTINATION": f"file://{archive}"}
    with function(tmp_path, "kinesis-to-s3", variables, handler_of(form)) as running:
        running.delivers(event_of(LINES, form))
        written = {file.relative_to(archive).as_posix(): file.read_bytes() for file in archive.rglob("*.gz")}
        assert lines_of(written) == objects_of(LINES)
        # Lambda hands an event over again when an answer is lost.
        running.delivers(event_of(LINES, form))
        again = {file.relative_to(archive).as_posix(): file.read_bytes() for file in archive.rglob("*.gz")}
        assert again == written
    assert failed_records(tmp_path / "failed") == []


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_in_s3_by_the_originals_variables(tmp_path, s3, form):
    bucket = f"lambda-{form}"
    variables = {"LOG_S3_BUCKET": bucket, "LOG_S3_PREFIX": "some/prefix", "BAIKONUR_FAILED_STORE": None, **bucket_of(s3, bucket)}
    with function(tmp_path, "kinesis-to-s3", variables, handler_of(form)) as running:
        running.delivers(kinesis_event([POISON, *ENTRIES[form](LINES)]))
        objects = s3.objects(bucket)
        (failed_key,) = [key for key in objects if key.startswith("some/prefix/unknown/bad_gzip/")]
        (failed,) = lines_of({failed_key: objects[failed_key]})[failed_key]
        lines = {key: body for key, body in objects.items() if key != failed_key}
        assert lines_of(lines) == {f"some/prefix/{key}": found for key, found in objects_of(LINES).items()}
        running.delivers(kinesis_event([POISON, *ENTRIES[form](LINES)]))
        assert s3.objects(bucket) == objects
    failed = json.loads(failed)
    assert (failed["reason"], failed["consumer"], failed["stream"]) == ("bad_gzip", NAME, "router")
    assert failed["sequence_number"] == sequence_number(0)


@pytest.mark.parametrize("form", FORMS)
def test_documents_come_into_daily_indices_once(tmp_path, opensearch, form):
    prefix = f"lambda-{form}"
    variables = {"ES_HOST": opensearch.endpoint, "INDEX_NAME_PREFIX": prefix}
    with function(tmp_path, "kinesis-to-es", variables, handler_of(form)) as running:
        for _ in range(2):
            running.delivers(event_of(LINES, form))
            found = opensearch.documents(f"{prefix}-*")
            assert sorted((index, name) for index, name, _ in found) == [
                (index, name) for index, name, _ in documents_of(LINES, prefix)]
        sources = {name: source for _, name, source in found}
        assert all(sources[place(line).log_id] == json.loads(line) for line in LINES)
    assert failed_records(tmp_path / "failed") == []


@pytest.mark.parametrize("form", FORMS)
def test_a_receiver_of_fluent_forward_acknowledges_every_event(tmp_path, fluent, form):
    with function(tmp_path, "kinesis-to-fluent", fluent_at(fluent.port), handler_of(form)) as running:
        running.delivers(event_of(LINES, form))
        all_arrive(fluent, events_of(LINES, "tag"))
    assert failed_records(tmp_path / "failed") == []


@pytest.mark.parametrize("form", FORMS)
def test_records_are_forwarded_into_a_stream_with_their_keys(tmp_path, form):
    with Baikonur(tmp_path / "server", {"streams": {"target": {"shards": 2}}}) as server:
        variables = {
            "TARGET_STREAM_NAME": "target", "KINESIS_MAX_RETRIES": "3", "BAIKONUR_KINESIS_ENDPOINT": server.endpoint,
        }
        with function(tmp_path, "kinesis-forward", variables, handler_of(form)) as running:
            running.delivers(event_of(LINES, form))
        found = [record for records in read_stream(server.client(), "target").values() for record in records]
        assert sorted(record["Data"] for record in found) == sorted(LINES)
        if form != "cw":
            assert all(record["PartitionKey"] == key_of(record["Data"]) for record in found)
    assert failed_records(tmp_path / "failed") == []


def test_old_indices_are_told_and_then_deleted_by_a_schedule(tmp_path, opensearch):
    today = datetime.now(timezone.utc)
    old, kept = "lambdaold-auth-20200131", f"lambdaold-auth-{today - timedelta(days=5):%Y%m%d}"
    for index in (old, kept, "lambdaother-auth-20200131"):
        opensearch.request("PUT", f"/{index}")
    variables = {"ES_HOST": opensearch.endpoint, "INDEX_NAME_PREFIX": "lambdaold", "MAX_AGE_DAYS": "7",
                 "BAIKONUR_FAILED_STORE": None}

    def left():
        return sorted(row["index"] for row in opensearch.get("/_cat/indices/lambdao*?format=json"))

    with function(tmp_path / "dry", "es-cleaner", {**variables, "DRY_RUN_ONLY": "True"}) as running:
        assert running.invoke(SCHEDULED).body == {"deleted": [], "wouldBeDeleted": [old]}
        assert len(left()) == 3
    with function(tmp_path / "wet", "es-cleaner", {**variables, "DRY_RUN_ONLY": "false"}, "main.handler") as running:
        assert running.invoke(SCHEDULED).body == {"deleted": [old], "wouldBeDeleted": []}
        assert left() == [kept, "lambdaother-auth-20200131"]
        assert running.invoke(SCHEDULED).body == {"deleted": [], "wouldBeDeleted": []}


# What cannot be delivered.


def test_a_poison_record_is_kept_and_the_rest_of_its_event_delivered(tmp_path, fluent):
    entries = ENTRIES["plain"](LINES)
    entries[7:7] = [POISON, (b"", "empty"), (b"no JSON", "text")]
    with function(tmp_path, "kinesis-to-fluent", fluent_at(fluent.port)) as running:
        for _ in range(2):
            running.delivers(kinesis_event(entries))
            failed = {(record["reason"], record["sequence_number"]) for record in failed_records(tmp_path / "failed")}
            assert failed == {("bad_gzip", sequence_number(7)), ("empty", sequence_number(8)), ("not_json", sequence_number(9))}
            assert len(failed_records(tmp_path / "failed")) == 3, "an event that comes again makes no second object"
        eventually(lambda: set(received(fluent)) == set(events_of(LINES, "tag")), "all events", seconds=10)


@pytest.mark.parametrize("module", ["kinesis-to-s3", "kinesis-to-es", "kinesis-to-fluent", "kinesis-forward"])
def test_while_its_destination_is_down_a_function_asks_for_all_of_the_event_again(tmp_path, module):
    port = free_port()
    nowhere = f"http://127.0.0.1:{port}"
    variables = {
        "LOG_S3_BUCKET": "logs", "AWS_ENDPOINT_URL_S3": nowhere, "ES_HOST": nowhere, "INDEX_NAME_PREFIX": "logs",
        "TARGET_STREAM_NAME": "target", "BAIKONUR_KINESIS_ENDPOINT": nowhere, **fluent_at(port),
    }
    with function(tmp_path, module, variables) as running:
        for _ in range(2):
            answer = running.invoke(event_of(LINES), timeout_seconds=8)
            assert answer.body == failing_from(0)
    assert failed_records(tmp_path / "failed") == []


def test_a_rejected_record_that_cannot_be_kept_comes_again(tmp_path, fluent):
    entries = ENTRIES["plain"](LINES)
    entries.insert(7, POISON)
    nowhere = {"BAIKONUR_FAILED_STORE": None, "FAILED_LOG_S3_BUCKET": "failed", "FAILED_LOG_S3_PREFIX": "logs",
               "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"}
    with function(tmp_path, "kinesis-to-fluent", fluent_at(fluent.port, **nowhere)) as running:
        assert running.invoke(kinesis_event(entries), timeout_seconds=8).body == failing_from(7)


def test_an_archive_has_no_line_twice_when_its_failed_store_was_down(tmp_path, s3):
    archive, entries = tmp_path / "archive", ENTRIES["plain"](LINES)
    entries.insert(7, POISON)
    with FaultyWire(free_port()) as wire:
        variables = {**bucket_of(s3, "lambda-failed"), "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{wire.port}",
                     "BAIKONUR_DESTINATION": f"file://{archive}", "BAIKONUR_FAILED_STORE": "s3://lambda-failed/logs"}
        with function(tmp_path, "kinesis-to-s3", variables) as running:
            assert running.invoke(kinesis_event(entries), timeout_seconds=8).body == failing_from(0)
            wire.target = s3.port
            running.delivers(kinesis_event(entries))
    assert sorted(Folder(archive).lines()) == sorted(LINES)
    (key,) = s3.objects("lambda-failed")
    assert key.startswith("logs/unknown/bad_gzip/")


def test_only_what_a_busy_cluster_did_not_take_comes_again(tmp_path):
    with SearchCluster() as cluster:
        cluster.faults = [None, *[busy] * 100]
        variables = {"ES_HOST": cluster.endpoint, "INDEX_NAME_PREFIX": "logs", "BAIKONUR_BUSY_RETRIES": "0"}
        with function(tmp_path, "kinesis-to-es", variables) as running:
            assert running.invoke(event_of(MANY)).body == failing_from(500)
            cluster.faults = []
            running.delivers(event_of(MANY[500:], first=500))
        assert sorted(cluster.documents) == [(index, name) for index, name, _ in documents_of(MANY, "logs")]
        assert set(cluster.writes.values()) == {1}


# Time.


@pytest.mark.parametrize("delivered", [0, 500])
def test_a_stuck_receiver_does_not_cost_the_answer(tmp_path, fluent, delivered):
    with FaultyWire(fluent.port, [Fault()] * (delivered // 500), always=STUCK) as wire:
        # A connection for each message, so that a later one can be stuck.
        variables = fluent_at(wire.port, BAIKONUR_KEEP_ALIVE_SECONDS="0")
        with function(tmp_path, "kinesis-to-fluent", variables) as running:
            answer = running.invoke(event_of(MANY), timeout_seconds=4)
            assert answer.body == failing_from(delivered)
            # A fifth of the time is kept for the answer.
            assert answer.milliseconds_left > 300
            all_arrive(fluent, events_of(MANY[:delivered], "tag"))
            assert any("no time is left" in line["message"] for line in running.log_lines())
            wire.always = Fault()
            running.delivers(event_of(MANY[delivered:], first=delivered))
            all_arrive(fluent, events_of(MANY, "tag"))


def test_objects_that_a_stuck_store_does_not_take_are_written_by_the_next_invocation(tmp_path, s3):
    variables = {"LOG_S3_BUCKET": "lambda-stuck", **bucket_of(s3, "lambda-stuck")}
    with FaultyWire(s3.port, always=STUCK) as wire:
        variables["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{wire.port}"
        with function(tmp_path, "kinesis-to-s3", variables) as running:
            answer = running.invoke(event_of(MANY), timeout_seconds=4)
            assert answer.body == failing_from(0)
            assert s3.objects("lambda-stuck") == {}
            wire.always = Fault()
            running.delivers(event_of(MANY))
            assert lines_of(s3.objects("lambda-stuck")) == objects_of(MANY)


def test_a_receiver_that_went_while_the_function_was_frozen_is_found_again(tmp_path, fluent):
    with function(tmp_path, "kinesis-to-fluent", fluent_at(fluent.port)) as running:
        running.delivers(event_of(LINES[:100]))
        fluent.stop()
        fluent.start()
        running.delivers(event_of(LINES[100:], first=100))
    all_arrive(fluent, events_of(LINES, "tag"))


def test_a_full_event_fits_into_the_smallest_function(tmp_path):
    # 6 MB is what Lambda hands over at most, in base64.
    line = json.dumps({"log_type": "full", "log_id": "{}", "time": "2026-01-31T00:00:00Z", "pad": "x" * 1300}).encode()
    lines = [line.replace(b"{}", b"%d" % number) for number in range(2500)]
    event = event_of(lines)
    assert 5_000_000 < len(json.dumps(event)) < 6 << 20
    variables = {"BAIKONUR_DESTINATION": f"file://{tmp_path}/archive"}
    with function(tmp_path, "kinesis-to-s3", variables, memory_mb=128) as running:
        for _ in range(3):
            running.delivers(event)
        assert running.resident_mib() < 128
    assert sorted(Folder(tmp_path / "archive").lines()) == sorted(lines)


# What it is told, and what it tells.


def test_settings_of_every_kind_are_variables(tmp_path):
    wanted = [{"kind": "a.x", "id": f"{n}", "at": 1767225600 + n, "pad": "x", "level": ["info", "error"][n % 2]} for n in range(10)]
    others = [{**line, "kind": kind} for line in wanted for kind in ("b", "a.z")]
    variables = {
        "LOG_TYPE_FIELD": "kind", "LOG_ID_FIELD": "id", "LOG_TIMESTAMP_FIELD": "at", "TZ": "Asia/Tokyo",
        "LOG_TYPE_WHITELIST": "a.*, !a.z", "LOG_TYPE_UNKNOWN_PREFIX": "",
        "BAIKONUR_DESTINATION": f"file://{tmp_path}/archive", "BAIKONUR_FIELDS": '{"drop": ["pad"]}',
        "BAIKONUR_FILTER_CRITERIA": '[{"data": {"level": ["error"]}}]', "BAIKONUR_COMPRESSION_LEVEL": "9",
        "BAIKONUR_KEY_LAYOUT": "{log_type}/{date}",
    }
    with function(tmp_path, "kinesis-to-s3", variables) as running:
        running.delivers(event_of([json.dumps(line).encode() for line in wanted + others]))
    folder = Folder(tmp_path / "archive")
    lines = [json.loads(line) for line in folder.lines()]
    assert sorted(line["id"] for line in lines) == ["1", "3", "5", "7", "9"]
    assert all("pad" not in line for line in lines)
    (key,) = folder.files()
    assert key.startswith("a.x/2026-01-01/")


def test_an_event_that_is_not_of_kinesis_is_an_error_and_the_next_one_is_delivered(tmp_path):
    variables = {"BAIKONUR_DESTINATION": f"file://{tmp_path}/archive"}
    elsewhere = event_of(LINES[:1])
    elsewhere["Records"][0]["eventSourceARN"] = "arn:aws:sqs:us-east-1:123456789012:queue"
    with function(tmp_path, "kinesis-to-s3", variables) as running:
        for event, words in [(SCHEDULED, "Records"), (elsewhere, "arn:aws:sqs")]:
            answer = running.invoke(event)
            assert answer.body is None and words in answer.error["errorMessage"], answer
            assert answer.error["errorType"]
        running.delivers(event_of(LINES))
    assert sorted(Folder(tmp_path / "archive").lines()) == sorted(LINES)


def test_log_lines_are_json_as_lambda_wants_it(tmp_path):
    with function(tmp_path, "kinesis-to-fluent", fluent_at(free_port())) as running:
        answer = running.invoke(event_of(LINES))
        lines = running.log_lines()
        of_invocation = [line for line in lines if line.get("requestId") == answer.request_id]
        assert any("were not delivered" in line["message"] for line in of_invocation), lines
        assert {line["xrayTraceId"] for line in of_invocation} == {TRACE_ID}
        for line in lines:
            assert line["level"] in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["timestamp"])
            assert isinstance(line["message"], str)


def test_log_lines_are_text_where_lambda_wants_that(tmp_path):
    with function(tmp_path, "kinesis-to-fluent", fluent_at(free_port()), log_format="Text") as running:
        answer = running.invoke(event_of(LINES))
        (line, *_) = [line for line in running.log.read_text().splitlines() if "not delivered" in line]
        assert " WARN " in line and answer.request_id in line and "\x1b" not in line


FLUENT = fluent_at(24224)
ARCHIVE = {"LOG_S3_BUCKET": "logs"}


@pytest.mark.parametrize(("handler", "variables", "words"), [
    ("main.handler", ARCHIVE, ["main.handler", "BAIKONUR_MODULE", "kinesis-to-s3"]),
    ("kinesis-to-s3", {}, ["destination"]),
    ("kinesis-to-es", {"ES_HOST": "es", "INDEX_NAME_PREFIX": "logs"}, ["FAILED_LOG_S3_BUCKET", "BAIKONUR_FAILED_STORE"]),
    ("kinesis-to-s3", {**ARCHIVE, "BAIKONUR_BUFER_BYTES": "1"}, ["BAIKONUR_BUFER_BYTES", "BAIKONUR_BUFFER_BYTES"]),
    ("kinesis-to-s3", {**ARCHIVE, "BAIKONUR_BUFFER_BYTES": "much"}, ["BAIKONUR_BUFFER_BYTES", "much"]),
    ("kinesis-to-s3", {**ARCHIVE, "BAIKONUR_ON_FAILURE_DESTINATION": "s3://b/p"}, ["event source mapping"]),
    ("kinesis-to-s3", {**ARCHIVE, "BAIKONUR_BATCH_SIZE": "5"}, ["BAIKONUR_BATCH_SIZE"]),
    ("kinesis-to-fluent", {**FLUENT, "BAIKONUR_FAILED_STORE": "ftp://x"}, ["failed_store", "ftp"]),
    ("es-cleaner", {"ES_HOST": "es", "MAX_AGE_DAYS": "7"}, ["index_name_prefix"]),
    ("es-cleaner", {"ES_HOST": "es", "INDEX_NAME_PREFIX": "logs", "DRY_RUN_ONLY": "perhaps"}, ["DRY_RUN_ONLY", "perhaps"]),
])
def test_a_function_that_is_set_up_wrong_ends_at_once_and_says_why(tmp_path, handler, variables, words):
    running = LambdaFunction(tmp_path, bootstrap(), NAME, handler, variables)
    status, log = running.fails_to_start()
    assert status not in (0, -6)
    (line,) = [json.loads(line) for line in log.splitlines()]
    assert line["level"] == "ERROR" and line["message"] == "the function cannot start"
    assert all(word in line["why"] for word in words), line
    assert not running.api.waiting.is_set()
