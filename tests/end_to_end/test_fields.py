"""`fields` with real clients and real destinations: each gets the same changed events, whatever they were wrapped up in."""

import gzip
import hashlib
import hmac
import json
import os
import re
import socket
import subprocess
from datetime import timezone

from baikonur_server import Baikonur, Folder, binary, failed_records, put_all, read_shard, read_stream, to_toml
from parts.waiting import eventually

SECONDS_TO_ARRIVE = 120
SALT = "a salt from the environment"
CARD = "4929-1234-5678-9012"
SECRETS = (CARD, "hunter2", "ada@example.com", "user-17", "ada lovelace")
FIELDS = {
    "parse": ["cloudwatch", "container", "json"],
    "drop": ["debug", "kubernetes.labels"],
    "rename": {"msg": "message", "user.mail": "email"},
    "redact": [
        "password",
        {"key": "user.email", "with": "***"},
        {"pattern": r"\b\d{4}-\d{4}-\d{4}-\d{4}\b", "with": "[card]"},
        {"key": "user.id", "hash": "${FIELDS_SALT}"},
        {"key": "message", "pattern": "(?i)ada lovelace", "with": "A. L."},
    ],
    "add": {
        "stream": "{stream}", "shard": "{shard}", "arrived": "{arrival_time}", "number": "{sequence_number}",
        "host": "{host}", "environment": "prod", "version": 2,
    },
}
TIME = "2015-05-17T10:05:03Z"


def hashed(text):
    return hmac.new(SALT.encode(), text.encode(), hashlib.sha256).hexdigest()


def app(log_id, **fields):
    return {"log_type": "app", "log_id": log_id, "time": TIME, **fields}


def envelope(*messages):
    """As a CloudWatch Logs subscription delivers them."""
    events = [{"id": f"e{n}", "timestamp": 1431857103000 + n, "message": text} for n, text in enumerate(messages)]
    return gzip.compress(json.dumps({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/lambda/f",
        "logStream": "2015/05/17/[$LATEST]0", "subscriptionFilters": ["all"], "logEvents": events,
    }).encode())


def cloudwatch(number):
    return {
        "owner": "123456789012", "logGroup": "/aws/lambda/f", "logStream": "2015/05/17/[$LATEST]0",
        "id": f"e{number}", "timestamp": 1431857103000 + number,
    }


def docker(text):
    """A line of Docker's json-file."""
    return json.dumps({"log": text + "\n", "stream": "stdout", "time": TIME}).encode()


# What is put, and what of the events in it arrives, added fields aside.
RECORDS = [
    (
        json.dumps(app("1", msg=f"Ada Lovelace paid with {CARD}", password="hunter2", debug={"x": 1})).encode(),
        [app("1", message="A. L. paid with [card]", password="[redacted]")],
    ),
    (
        # Escapes hide nothing, and what is not touched keeps its spelling.
        rb'{"log_type":"app","log_id":"2","time":"' + TIME.encode()
        + rb'","\u0070assword":["hunter2"],"card":"\u0034929-1234-5678-9012!\u00e9","n":12345678901234567890.10}',
        [app("2", password="[redacted]", card="[card]!é", n=12345678901234567890.10)],
    ),
    (
        json.dumps(app("3", user={"mail": "ada@example.com", "id": "user-17", "name": "A"})).encode(),
        [app("3", user={"email": "***", "id": hashed("user-17"), "name": "A"})],
    ),
    (
        json.dumps(app("4", users=[], user=[{"id": 7}, [{"email": ["ada@example.com"]}]], stream="mine")).encode(),
        [app("4", users=[], user=[{"id": hashed("7")}, [{"email": "***"}]], stream="mine")],
    ),
    (
        envelope("START RequestId: 1", json.dumps(app("5", msg="in an envelope", password="hunter2"))),
        [
            {"message": "START RequestId: 1", "cloudwatch": cloudwatch(0), "time": "2015-05-17T10:05:03.000Z"},
            app("5", message="in an envelope", password="[redacted]", cloudwatch=cloudwatch(1)),
        ],
    ),
    (
        docker(json.dumps(app("6", msg="in a container", password="hunter2"))),
        [app("6", message="in a container", password="[redacted]", container={"stream": "stdout", "time": TIME})],
    ),
    (
        docker("plain text"),
        [{"message": "plain text", "time": TIME, "container": {"stream": "stdout", "time": TIME}}],
    ),
    (
        b"2015-05-17T10:05:03Z stderr F a line of containerd",
        [{"message": "a line of containerd", "time": TIME, "container": {"stream": "stderr", "time": TIME}}],
    ),
    (
        json.dumps({
            "log": json.dumps(app("7")), "source": "stdout", "container_id": "43-0", "container_name": "/app",
            "ecs_cluster": "c", "ecs_task_arn": "arn:aws:ecs:task/c/1", "ecs_task_definition": "t:1",
            "kubernetes": {"pod_name": "p", "labels": {"a": "b"}},
        }).encode(),
        [app(
            "7", container={"id": "43-0", "name": "/app", "stream": "stdout"}, kubernetes={"pod_name": "p"},
            ecs={"cluster": "c", "task_arn": "arn:aws:ecs:task/c/1", "task_definition": "t:1"},
        )],
    ),
]


def configuration(folder, opensearch, fluent):
    modules = {
        "archive": {"type": "kinesis-to-s3", "destination": f"file://{folder}/archive", "buffer_seconds": 1},
        "index": {"type": "kinesis-to-es", "destination": opensearch.endpoint, "index_name_prefix": "fields"},
        "fluent": {
            "type": "kinesis-to-fluent", "destination": f"fluent://127.0.0.1:{fluent.port}", "fluent_tag": "baikonur",
        },
        "forward": {"type": "kinesis-forward", "target_stream_name": "target"},
    }
    for name, module in modules.items():
        module |= {"source": "router", "failed_store": f"file://{folder}/failed/{name}", "fields": FIELDS}
    return {"streams": {"router": {"shards": 1}, "target": {"shards": 1}}, "modules": modules}


def sorted_events(events):
    return sorted(events, key=lambda event: json.dumps(event, sort_keys=True))


def test_every_destination_gets_the_changed_events(tmp_path, opensearch, fluent):
    server = Baikonur(tmp_path, configuration(tmp_path, opensearch, fluent), {"FIELDS_SALT": SALT})
    with server.start():
        client = server.client()
        placed = put_all(client, "router", [(data, "key") for data, _ in RECORDS])
        arrivals = {
            record["SequenceNumber"]: record["ApproximateArrivalTimestamp"]
            for record in read_shard(client, "router", placed[0][0])
        }
        expected = []
        for (_, events), (shard, number) in zip(RECORDS, placed):
            arrived = arrivals[number].astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
            added = {
                "stream": "router", "shard": shard, "arrived": arrived, "number": number,
                "host": socket.gethostname(), "environment": "prod", "version": 2,
            }
            # A field that is there already stays.
            expected += [{**added, **event} for event in events]
        expected = sorted_events(expected)

        archive = Folder(tmp_path / "archive")
        eventually(lambda: len(archive.lines()) >= len(expected), "all archived", SECONDS_TO_ARRIVE)
        lines = archive.lines()
        assert sorted_events(map(json.loads, lines)) == expected
        assert any(rb'!\u00e9","n":12345678901234567890.10,' in line for line in lines), "bytes are kept"
        # What decides is what was read, before it was changed.
        assert any(key.startswith("app/2015-05/17/2015-05-17-10:05:03-") for key in archive.files())

        def forwarded():
            records = [record["Data"] for shard in read_stream(client, "target").values() for record in shard]
            return records if len(records) >= len(expected) else None

        records = eventually(forwarded, "all forwarded", SECONDS_TO_ARRIVE)
        assert sorted_events(map(json.loads, records)) == expected
        assert sorted(records) == sorted(lines), "the same bytes, whoever delivers them"

        eventually(lambda: fluent.count() >= len(expected), "all received", SECONDS_TO_ARRIVE)
        messages = {record["message"] for _, _, _, record in fluent.events()}
        assert sorted(messages) == sorted(line.decode() for line in lines)

        eventually(lambda: opensearch.count("fields-*") >= len(expected), "all indexed", SECONDS_TO_ARRIVE)
        documents = opensearch.documents("fields-*")
        assert sorted_events(source for _, _, source in documents) == expected
        own = {json.loads(line).get("log_id") for line in lines} - {None}
        assert own <= {identifier for _, identifier, _ in documents}, "documents keep the ids of their events"

        shown = b"".join(lines) + b"".join(records) + json.dumps([*messages, *documents]).encode()
        for secret in SECRETS:
            assert secret.encode() not in shown.lower(), secret
        assert server.stop() == 0
    for name in ("archive", "index", "fluent", "forward"):
        assert failed_records(tmp_path / "failed" / name) == []
    assert SALT not in server.log.read_text()


def test_what_a_destination_refuses_is_kept_as_it_came(tmp_path, opensearch):
    config = {"streams": {"router": {"shards": 1}}, "modules": {"index": {
        "type": "kinesis-to-es", "source": "router", "destination": opensearch.endpoint, "index_name_prefix": "refused",
        "failed_store": f"file://{tmp_path}/failed", "fields": {"parse": ["cloudwatch"], "redact": ["password"]},
    }}}
    conflict = json.dumps({"log_type": "conflict", "time": TIME, "n": {"not": "a number"}, "password": "hunter2"})
    server = Baikonur(tmp_path, config)
    with server.start():
        client = server.client()
        put_all(client, "router", [(json.dumps({"log_type": "conflict", "time": TIME, "n": 1}).encode(), "key")])
        eventually(lambda: opensearch.count("refused-*") == 1, "the first is indexed", SECONDS_TO_ARRIVE)
        put_all(client, "router", [(conflict.encode(), "key"), (envelope(conflict), "key")])
        kept = eventually(
            lambda: (found := failed_records(tmp_path / "failed")) and len(found) == 2 and found, "both kept", SECONDS_TO_ARRIVE,
        )
        assert server.stop() == 0
    assert {line["reason"] for line in kept} == {"refused_by_elasticsearch"}
    assert all("hunter2" not in line["detail"] for line in kept)
    datas = [line["data"] for line in kept]
    assert conflict in datas
    alone = json.loads(next(data for data in datas if data != conflict))
    assert [event["message"] for event in alone["logEvents"]] == [conflict], "a log event keeps its envelope"
    assert (alone["messageType"], alone["logGroup"]) == ("DATA_MESSAGE", "/aws/lambda/f")


def test_a_check_names_the_line_of_each_mistake(tmp_path):
    def check(fields, status):
        config = {"streams": {"router": {}}, "modules": {"archive": {
            "type": "kinesis-to-s3", "source": "router", "destination": f"file://{tmp_path}/archive",
        }}}
        config["streams"]["router"]["shards"] = 1
        file = tmp_path / "fields.toml"
        file.write_text(to_toml(config) + "[modules.archive.fields]\n" + fields)
        done = subprocess.run([binary(), "check", file], capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "FIELDS_SALT": SALT})
        assert done.returncode == status, done.stdout + done.stderr
        first = next(n for n, line in enumerate(file.read_text().splitlines(), 1) if "WRONG" in line) if status else None
        return done.stdout + done.stderr, first

    for fields, words in [
        ("redact = [\n  { pattern = 'fine' },\n  { pattern = '(' }, # WRONG\n]\n", "is no pattern: unclosed group"),
        ("drop = ['a', 'b']\nredact = [\n  'c',\n  'b.d', # WRONG\n]\n", "b.d is below b, which is dropped"),
        ("[modules.archive.fields.rename]\na = 'x'\nb = 'x' # WRONG\n", "a and b would both become x"),
        ("add = { at = '{now}' } # WRONG\n", "there is no {now}; what is known of a record is {stream}, {shard}"),
        ("redact = ['log_id'] # WRONG\n", "log_id_field says that log_id decides"),
        ("remove = ['a'] # WRONG\n", "unknown field `remove`"),
    ]:
        told, line = check(fields, 1)
        assert words in told, told
        place = re.search(r"fields\.toml:(\d+): \[modules\.archive\]", told)
        # A mistake that lies between two settings is told with the line of `fields`.
        assert place and (int(place[1]) == line or "log_id_field" in words), told

    told, _ = check("drop = ['debug']\nredact = ['password', { key = 'user', hash = '${FIELDS_SALT}' }]\n", 0)
    assert "fields: drop debug; redact password, user" in told
    assert SALT not in told
