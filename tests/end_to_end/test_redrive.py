"""What failed is replayed: from a folder and from S3, once, over kills and side by side; and queues and topics are told.

The cluster is a double that breaks on documents and refuses others, until it is mended; what a real one refuses is in
test_redrive_into_modules.py.
"""

import base64
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from baikonur_server import CREDENTIALS, Baikonur, binary, failed_records, put_all
from parts.moto_server import MotoServer
from parts.waiting import eventually
from redriving import BREAKS, GOOD, REFUSED, counts, document, line, records_of, redrive, write_store
from starting import started

NOT_JSON = [b"no json 1", b"no json 2", b"\xff\xfe no text"]
CALL_RECORDS = 500
MANY = 20_000


class Cluster:
    """Answers bulk requests of Elasticsearch."""

    def __init__(self):
        self.mended, self.stored = False, Counter()
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                items = [cluster.judge(json.loads(line)["log_id"]) for line in body.splitlines()[1::2]]
                answer = json.dumps({"errors": any("error" in item for item in items),
                                     "items": [{"index": item} for item in items]}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def judge(self, log_id):
        if not self.mended and log_id.startswith(BREAKS):
            return {"status": 500, "error": {"type": "null_pointer_exception", "reason": "broken"}}
        if not self.mended and log_id.startswith(REFUSED):
            return {"status": 400, "error": {"type": "mapper_parsing_exception", "reason": "refused"}}
        self.stored[log_id] += 1
        return {"status": 201}

    def close(self):
        self._server.shutdown()


@pytest.fixture
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    with started(MotoServer, tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A server with streams and no modules."""
    config = {"streams": {name: {"shards": 2} for name in ("router", "killed", "beside", "claimed", "lambda", "strange")}}
    with Baikonur(tmp_path_factory.mktemp("plain"), config) as server:
        yield server


def config(cluster, **keys):
    module = {
        "type": "kinesis-to-es", "source": "router", "destination": cluster.endpoint, "index_name_prefix": "l",
        "busy_retries": 1, "maximum_retry_attempts": 1, "bisect_batch_on_function_error": True, **keys,
    }
    return {"streams": {"router": {"shards": 2}, "repair": {"shards": 1}}, "modules": {"index": module}}


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_what_failed_is_listed_replayed_once_and_arrives(tmp_path, cluster, place, request):
    environment, words = CREDENTIALS, ()
    if place == "folder":
        url, keys = f"file://{tmp_path}/failed", {}
    else:
        s3 = request.getfixturevalue("s3")
        s3.client().create_bucket(Bucket="redrive")
        url, environment = "s3://redrive/failed", {**CREDENTIALS, **s3.environment}
        words, keys = ("--s3-endpoint", s3.endpoint), {"endpoint": s3.endpoint}
    server = Baikonur(tmp_path / "up", config(cluster, failed_store=url, **keys), environment)
    options = {"environment": environment}
    with server:
        sent = [(document(GOOD, n), f"key-{n}") for n in range(20)]
        sent += [(data, f"bad-{n}") for n, data in enumerate(NOT_JSON)]
        sent += [(document(REFUSED, n, "access"), f"refused-{n}") for n in range(2)]
        put_all(server.client(), "router", sent)
        eventually(lambda: len(cluster.stored) == 20, "what is good arrives", 30)
        # Documents that a cluster breaks on beside others that it takes are refused: these come alone.
        broken = [(document(BREAKS, n), f"broken-{n}") for n in range(4)]
        put_all(server.client(), "router", broken)
        sent += broken
        expected = {"not_json": 2, "not_utf8": 1, "retry_attempts_exhausted": 4, "refused_by_elasticsearch": 2}
        eventually(lambda: 'reason="retry_attempts_exhausted"' in server.metrics(), "batches are given up", 30)
        eventually(lambda: counts(server, url, *words, **options) == expected, "all that fails is kept", 30, 0.5)

        # What there is, in words; and chosen by each flag.
        table, _ = redrive(server, url, "--dry-run", *words, **options)
        assert re.search(r"^MODULE +REASON +TYPE +TO REPLAY", table), table
        assert re.search(r"^index +retry_attempts_exhausted +auth +4 ", table, re.M), table
        assert re.search(r"^index +not_utf8 +- +1 ", table, re.M), table
        assert counts(server, url, "--type", "acc*", *words, **options) == {"refused_by_elasticsearch": 2}
        assert counts(server, url, "--reason", "not_json,not_utf8", *words, **options) == {"not_json": 2, "not_utf8": 1}
        assert counts(server, url, "--module", "other", *words, **options) == {}
        assert counts(server, url, "--until", "1h", *words, **options) == {}
        assert counts(server, url, "--since", "1h", *words, **options) == expected
        by_shard = [counts(server, url, "--shard", shard, *words, **options) for shard in "01"]
        assert sum((Counter(one) for one in by_shard), Counter()) == expected

        # Into the stream that they were in, once the cluster is mended.
        cluster.mended = True
        chosen = ("--reason", "retry_attempts_exhausted,refused_by_elasticsearch")
        _, told = redrive(server, url, *chosen, *words, **options)
        assert re.search(r"^replayed +6$", told, re.M), told
        ids = {f"{BREAKS}-{n}" for n in range(4)} | {f"{REFUSED}-{n}" for n in range(2)}
        eventually(lambda: ids <= set(cluster.stored), "the cluster has them", 30)
        table, _ = redrive(server, url, *chosen, *words, **options)
        assert table.endswith("nothing to replay\n"), table

        # The rest into another stream, as it came.
        answer, _ = redrive(server, url, "--into", "repair", "--json", *words, **options)
        answer = json.loads(answer)
        assert (answer["replayed"], answer["mayBeTwice"], answer["refused"]) == (3, 0, 0)
        repaired = {record["PartitionKey"]: record["Data"] for record in records_of(server, "repair")}
        assert repaired == {f"bad-{n}": data for n, data in enumerate(NOT_JSON)}
        assert sum(counts(server, url, *words, **options).values()) == 0
        redrive(server, url, "--into", "repair", *words, **options)
        assert len(records_of(server, "repair")) == 3
        assert len(records_of(server, "router")) == len(sent) + 6
        assert all(cluster.stored[log_id] == 1 for log_id in ids)
        assert server.stop() == 0


def test_a_kill_doubles_at_most_one_call(tmp_path, plain):
    url, marks = write_store(tmp_path, "killed", MANY), tmp_path / "redrive" / "marks"
    command = [str(word) for word in (binary(), "redrive", url, "--endpoint", plain.endpoint)]
    kills = 0
    for seconds in (0.0, 0.02, 0.1, 0.3):
        process = subprocess.Popen(command, env={**os.environ, **CREDENTIALS}, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        before = len(list(marks.glob("*/*")))
        eventually(lambda: process.poll() is not None or len(list(marks.glob("*/*"))) > before, "it works", 30, 0.005)
        time.sleep(seconds)
        process.kill()
        kills += process.wait(30) == -signal.SIGKILL
    assert kills >= 2, "it was too fast to be killed"
    answer = json.loads(redrive(plain, url, "--json")[0])
    found = Counter(record["Data"] for record in records_of(plain, "killed"))
    assert len(found) == MANY
    twice = found.total() - MANY
    print(f"{kills} kills, {twice} records twice, {answer['mayBeTwice']} of the last in doubt")
    assert twice <= kills * CALL_RECORDS
    assert redrive(plain, url)[0].endswith("nothing to replay\n")
    assert len(records_of(plain, "killed")) == found.total()


def test_of_redrives_side_by_side_one_works(tmp_path, plain):
    url = write_store(tmp_path, "beside", 5_000)
    command = [str(word) for word in (binary(), "redrive", url, "--endpoint", plain.endpoint)]
    both = [subprocess.Popen(command, env={**os.environ, **CREDENTIALS}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True) for _ in range(4)]
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in both]
    assert [status for _, status in ended].count(0) >= 1, ended
    assert all(status == 0 or "another redrive of this store is running" in told for told, status in ended), ended
    found = Counter(record["Data"] for record in records_of(plain, "beside"))
    assert len(found) == 5_000 and found.total() == 5_000


def test_a_bucket_is_not_redriven_while_another_one_may_be_at_it_and_its_call_is_in_doubt(plain, s3):
    s3.client().create_bucket(Bucket="claimed")
    key = "unknown/not_json/m/2025-01/02/x.gz"
    body = "\n".join(line(f"record {n}", n, "claimed") for n in range(3))
    s3.client().put_object(Bucket="claimed", Key=key, Body=body)
    claim = {"run": "another", "renewed": int(time.time() * 1000), "released": False,
             "in_flight": [{"object": key, "places": [[0, 1]]}]}
    s3.client().put_object(Bucket="claimed", Key="redrive/claim.json", Body=json.dumps(claim))
    words = ("--s3-endpoint", s3.endpoint)
    options = {"environment": {**CREDENTIALS, **s3.environment}}
    _, told = redrive(plain, "s3://claimed", *words, status=1, **options)
    assert "another redrive of this store is running" in told
    assert records_of(plain, "claimed") == []
    # It died.
    claim["renewed"] -= 121_000
    s3.client().put_object(Bucket="claimed", Key="redrive/claim.json", Body=json.dumps(claim))
    _, told = redrive(plain, "s3://claimed", "--in-doubt", "leave", *words, **options)
    assert "in flight when the last redrive was killed: 2" in told and re.search(r"^replayed +1$", told, re.M), told
    assert [record["Data"] for record in records_of(plain, "claimed")] == [b"record 2"]
    table, _ = redrive(plain, "s3://claimed", "--dry-run", *words, **options)
    assert "\n2 of them may have been replayed by a redrive that was killed" in table, table
    answer, _ = redrive(plain, "s3://claimed", "--json", *words, **options)
    assert (json.loads(answer)["replayed"], json.loads(answer)["mayBeTwice"]) == (2, 2)
    assert len(records_of(plain, "claimed")) == 3


def test_documents_of_lambda_are_replayed(plain, s3):
    """A bucket that an event source mapping of AWS Lambda has filled."""
    s3.client().create_bucket(Bucket="lambda")
    arrival = datetime(2025, 1, 2, 3, 4, 5, 678_000, tzinfo=timezone.utc)

    def event(*numbers):
        return {"Records": [{
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": f"key-{n}", "sequenceNumber": f"4959{n}",
                "data": base64.b64encode(b"\xff%d" % n).decode(), "approximateArrivalTimestamp": arrival.timestamp(),
            },
            "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": f"shardId-000000000006:4959{n}",
        } for n in numbers]}

    def document(payload):
        return {
            "requestContext": {
                "requestId": "c9b8fa9f-5a7f-4c39-af9c-0c604cde93a5", "condition": "RetryAttemptsExhausted",
                "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:to-archive", "approximateInvokeCount": 1,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "version": "1.0", "timestamp": "2025-01-02T03:04:06.021Z",
            "KinesisBatchInfo": {
                "shardId": "shardId-000000000006", "startSequenceNumber": "49590", "endSequenceNumber": "49591",
                "approximateArrivalOfFirstRecord": "2025-01-02T03:04:05.678Z", "batchSize": 2,
                "approximateArrivalOfLastRecord": "2025-01-02T03:04:05.678Z",
                "streamArn": "arn:aws:kinesis:us-east-2:123456789012:stream/lambda",
            },
        } | ({} if payload is None else {"payload": payload})

    place = "aws/lambda/{}/shardId-000000000006/2025/01/02/2025-01-02T03.04.06-{}".format
    for name, payload in (("text", json.dumps(event(0, 1))), ("object", event(2)), ("without", None)):
        s3.client().put_object(Bucket="lambda", Key=place("6d9bce8e", name), Body=json.dumps(document(payload)))
    words = ("--s3-endpoint", s3.endpoint)
    environment = {**CREDENTIALS, **s3.environment}
    table, told = redrive(plain, "s3://lambda", *words, environment=environment)
    assert re.search(r"^to-archive +retry_attempts_exhausted +- +3 ", table, re.M), table
    assert "has not its records" in told
    found = {record["PartitionKey"]: record["Data"] for record in records_of(plain, "lambda")}
    assert found == {f"key-{n}": b"\xff%d" % n for n in range(3)}
    assert "nothing to replay" in redrive(plain, "s3://lambda", *words, environment=environment)[0]


def test_strange_objects_and_many_modules_are_told(tmp_path, plain):
    store = tmp_path / "store"
    url = write_store(store, "strange", 3)
    (store / "README.md").write_text("# not of a failed store")
    (store / "strange.gz").write_bytes(b"\x1f\x8b broken")
    folder = store / "unknown" / "not_json" / "m" / "2025-01" / "02"
    (folder / "broken.gz").write_bytes(b"\x1f\x8b\x08 broken")
    (folder / "half.gz").write_text(line("good", 7, "strange") + "\nbroken\n" + line("x" * (2 << 20), 8, "strange"))
    _, told = redrive(plain, url, status=1)
    assert re.search(r"^refused +1$", told, re.M) and "not replayed: unknown/not_json/m/" in told, told
    assert "README.md" in told and "broken.gz" in told and "half.gz: line 2" in told, told
    assert re.search(r"^replayed +4$", told, re.M), told
    # The same record was kept by two modules.
    for module in "mn":
        file = store / "unknown" / "not_json" / module / "2025-01" / "02" / "x.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(line("x", 8, "strange", module) + "\n")
    _, told = redrive(plain, url, status=1)
    assert "failures of 2 modules" in told and "--module" in told, told
    redrive(plain, url, "--module", "n")
    assert Counter(record["Data"] for record in records_of(plain, "strange")) == Counter(
        [b"record 0", b"record 1", b"record 2", b"good", b"x"])


def test_mistakes_are_explained(tmp_path, plain):
    for words, told in (
        (("https://bucket",), "neither s3:// nor file://"),
        ((f"file://{tmp_path}/none",), "cannot list"),
        ((write_store(tmp_path / "a", "none", 1),), "there is no stream none"),
        ((write_store(tmp_path / "b", "none", 1), "--since", "soon"), "--since"),
    ):
        assert told in redrive(plain, *words, status=1)[1]
    assert not (tmp_path / "none").exists()


def message_of(body, condition, count, records):
    """Checks a message against what Lambda sends; `records` are (shard, sequence number)s."""
    message = json.loads(body)
    context = message["requestContext"]
    assert context["functionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:index"
    assert (context["condition"], context["approximateInvokeCount"]) == (condition, count)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", context["requestId"])
    assert message["responseContext"] == {
        "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    batch = message["KinesisBatchInfo"]
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    for time_of in (message["timestamp"], batch.pop("approximateArrivalOfFirstRecord"),
                    batch.pop("approximateArrivalOfLastRecord")):
        assert re.fullmatch(stamp, time_of), time_of
    assert batch == {
        "shardId": records[0][0], "startSequenceNumber": records[0][1], "endSequenceNumber": records[-1][1],
        "batchSize": len(records), "streamArn": "arn:aws:kinesis:us-east-1:000000000000:stream/router",
    }
    assert list(message) == ["requestContext", "responseContext", "version", "timestamp", "KinesisBatchInfo"]


@pytest.mark.parametrize("kind", ["queue", "topic"])
def test_a_queue_and_a_topic_are_told_of_batches_that_were_given_up(tmp_path, cluster, moto, kind):
    if kind == "queue":
        destination = url = moto.queue("failed")
    else:
        destination, url = moto.topic("failed")
    keys = {"on_failure_destination": destination, "bisect_batch_on_function_error": False,
            "maximum_retry_attempts": 2, "failed_store": f"file://{tmp_path}/failed"}
    environment = {"AWS_ENDPOINT_URL_SNS": moto.endpoint}
    with Baikonur(tmp_path / "up", config(cluster, **keys), environment) as server:
        put_all(server.client(), "router", [(b"no json", "key")])
        placed = put_all(server.client(), "router", [(document(BREAKS, n), "key") for n in range(3)])
        bodies = []
        eventually(lambda: bodies.extend(moto.bodies(url)) or bodies, "a message", 60)
        time.sleep(1)
        bodies += moto.bodies(url)
        # What was rejected is not told of: Lambda's function would have to do that itself.
        assert len(bodies) == 1
        body = json.loads(bodies[0])["Message"] if kind == "topic" else bodies[0]
        message_of(body, "RetryAttemptsExhausted", 3, placed)
        reasons = Counter(record["reason"] for record in failed_records(tmp_path / "failed"))
        assert reasons == {"retry_attempts_exhausted": 3, "not_json": 1}
        assert 'baikonur_destination_delivered_records_total{module="index"} 3\n' in server.metrics()


def test_documents_of_batches_that_were_given_up_can_be_redriven(tmp_path, cluster):
    url = f"file://{tmp_path}/told"
    keys = {"on_failure_destination": url, "failed_store": f"file://{tmp_path}/failed"}
    with Baikonur(tmp_path / "up", config(cluster, **keys)) as server:
        put_all(server.client(), "router", [(document(BREAKS, n), f"key-{n}") for n in range(4)])
        eventually(lambda: len(list(tmp_path.glob("told/aws/lambda/*/shardId-*/*/*/*/*"))) == 4, "documents", 30)
        for file in tmp_path.glob("told/aws/lambda/*/shardId-*/*/*/*/*"):
            text = json.loads(file.read_text())
            event = json.loads(text.pop("payload"))["Records"]
            message_of(json.dumps(text), "RetryAttemptsExhausted", 2,
                       [(file.parts[-5], record["kinesis"]["sequenceNumber"]) for record in event])
        assert re.search(r"^replayed +4$", redrive(server, url, "--into", "repair")[1], re.M)
        found = {record["PartitionKey"]: record["Data"] for record in records_of(server, "repair")}
        assert found == {f"key-{n}": document(BREAKS, n) for n in range(4)}


def test_a_queue_that_is_down_stops_nothing(tmp_path, cluster):
    keys = {"on_failure_destination": "http://127.0.0.1:9/123456789012/failed", "failed_store": f"file://{tmp_path}/failed"}
    with Baikonur(tmp_path / "up", config(cluster, **keys)) as server:
        put_all(server.client(), "router", [(document(BREAKS, 1), "key")])
        eventually(lambda: 'baikonur_destination_delivery_failures_total{module="index"} 1\n' in server.metrics(),
                   "the failure is counted", 60)
        put_all(server.client(), "router", [(document(GOOD, 1), "key")])
        eventually(lambda: cluster.stored[f"{GOOD}-1"], "the shard goes on", 30)
        assert [record["reason"] for record in failed_records(tmp_path / "failed")] == ["retry_attempts_exhausted"]
