"""kinesis-to-es and the cleaning of indices against real nodes: OpenSearch 3 and 2, Elasticsearch 7 and 9."""

import json
import subprocess
import time
from datetime import datetime, timedelta, timezone

import pytest

from baikonur_server import Baikonur, binary, failed_records, put_all
from parts.opensearch_node import Elasticsearch7Node, Elasticsearch9Node, OpenSearch2Node, OpenSearchNode
from parts.process import free_port
from parts.waiting import eventually
from starting import started

RECORDS = 2000


NODES = (OpenSearchNode, OpenSearch2Node, Elasticsearch7Node, Elasticsearch9Node)


@pytest.fixture(scope="module", params=NODES, ids=lambda kind: kind.name)
def node(request, tmp_path_factory):
    if request.param is OpenSearchNode:
        yield request.getfixturevalue("opensearch")
        return
    with started(request.param, tmp_path_factory) as node:
        yield node


def configuration(node, prefix, **keys):
    module = {
        "type": "kinesis-to-es", "source": "router", "destination": node.endpoint, "index_name_prefix": prefix,
        **keys,
    }
    return {"streams": {"router": {"shards": 2}}, "modules": {"index": module}}


def record(number, **fields):
    return json.dumps({
        "log_type": "auth" if number % 2 else "web", "log_id": f"id-{number}",
        "time": f"2025-01-0{1 + number % 3}T03:04:05.678Z", "tenant": f"t{number % 5}", **fields,
    }).encode()


def put(server, count=RECORDS, **fields):
    put_all(server.client(), "router", [(record(number, **fields), str(number)) for number in range(count)])


def arrive(node, pattern, count=RECORDS, seconds=90):
    eventually(lambda: node.count(pattern) >= count, "all documents", seconds, every=0.3)
    documents = node.documents(pattern)
    assert sorted(identifier for _, identifier, _ in documents) == sorted(f"id-{number}" for number in range(count))
    return documents


def deliver_again(server):
    """Every record is delivered a second time; gives what was stored before."""
    before = stored(server)
    command = [binary(), "mappings", "reset", "index", "--to", "trim-horizon", "--data", server.data]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    eventually(lambda: stored(server) >= before + RECORDS, "all delivered again")


def stored(server):
    line = 'baikonur_to_es_documents_total{module="index",outcome="stored"}'
    counts = [float(text.split()[-1]) for text in server.metrics().splitlines() if text.startswith(line)]
    return sum(counts)


def test_documents_are_routed_and_go_through_a_pipeline_by_whichever_node_is_there(tmp_path, node):
    marks = [{"set": {"field": "marked", "value": True}}] if node.has_processors else []
    node.request("PUT", "/_ingest/pipeline/mark", {"processors": marks})
    config = configuration(node, "routed", routing_field="tenant", pipeline="mark", gzip=True)
    config["modules"]["index"]["destination"] = f"http://127.0.0.1:{free_port()},{node.endpoint}"
    with Baikonur(tmp_path, config) as server:
        put(server)
        documents = arrive(node, "routed-*")
        assert all("marked" in source for _, _, source in documents) or not node.has_processors
        found = node.request("POST", "/routed-*/_search?routing=t3", {"query": {"term": {"tenant.keyword": "t3"}}})
        hits = found["hits"]["hits"]
        assert hits and {hit["_routing"] for hit in hits} == {"t3"}
        deliver_again(server)
        arrive(node, "routed-*")
    assert failed_records(server.data / "failed") == []


def test_a_pipeline_that_is_missing_costs_no_document(tmp_path, node):
    with Baikonur(tmp_path, configuration(node, "later", pipeline="later")) as server:
        put(server, 10)
        eventually(lambda: "pipeline with id [later] does not exist" in server.log_tail(200), "the reason in the log")
        node.request("PUT", "/_ingest/pipeline/later", {"processors": []})
        arrive(node, "later-*", 10)
    assert failed_records(server.data / "failed") == []


def test_a_mapping_conflict_goes_to_the_failed_store_with_the_words_of_the_server(tmp_path, node):
    with Baikonur(tmp_path, configuration(node, "strict")) as server:
        put(server, 1, size=1)
        arrive(node, "strict-*", 1)
        put_all(server.client(), "router", [(record(0, log_id="bad", size="large"), "k"), (record(0, log_id="id-1"), "k")])
        arrive(node, "strict-*", 2)
        (kept,) = eventually(lambda: failed_records(server.data / "failed"), "the record in the failed store")
    assert kept["reason"] == "refused_by_elasticsearch"
    assert "failed to parse field [size] of type [long]" in kept["detail"], kept["detail"]


def test_a_data_stream_takes_each_record_once_however_often_it_comes(tmp_path, node):
    keys = {"write_to": "data_streams", "data_stream_namespace": "prod", "install_templates": True}
    with Baikonur(tmp_path, configuration(node, "stream", **keys)) as server:
        put(server)
        if not node.has_data_streams:
            words = "has no data streams" if node.tells_version else "install_templates needs to know the cluster"
            eventually(lambda: words in server.log_tail(200), "the reason in the log")
            return
        documents = arrive(node, "stream-*-prod")
        streams = node.get("/_data_stream/stream-*")["data_streams"]
        assert sorted(stream["name"] for stream in streams) == ["stream-auth-prod", "stream-web-prod"]
        stamps = {(source["@timestamp"], source["time"][:19]) for _, _, source in documents}
        assert stamps == {(f"2025-01-0{day}T03:04:05.678000+00:00", f"2025-01-0{day}T03:04:05") for day in (1, 2, 3)}
        # 409 for each of them.
        deliver_again(server)
        arrive(node, "stream-*-prod")
        put_all(server.client(), "router", [(record(7, **{"@timestamp": "2020-02-02T00:00:00Z", "log_id": "own"}), "k")])
        own = {"query": {"ids": {"values": ["own"]}}}
        found = lambda: node.request("POST", "/stream-*/_search", own)["hits"]["hits"]
        (hit,) = eventually(lambda: node.count("stream-*-prod") > RECORDS and found(), "a record with a stamp of its own")
        assert hit["_source"]["@timestamp"] == "2020-02-02T00:00:00Z"
    assert failed_records(server.data / "failed") == []


def test_a_template_is_installed_once_changed_with_the_settings_and_never_over_a_foreign_one(tmp_path, node):
    if not node.tells_version:
        return
    name, file = "/_index_template/baikonur-shaped", tmp_path / "template.json"
    file.write_text(json.dumps({"template": {"mappings": {"properties": {"tenant": {"type": "keyword"}}}}}))
    keys = {"install_templates": True, "template_file": str(file)}

    def template():
        return node.get(name)["index_templates"][0]["index_template"]

    node.request("PUT", name, {"index_patterns": ["shaped-*"], "priority": 150})
    server = Baikonur(tmp_path, configuration(node, "shaped", **keys))
    with server:
        put(server, 10)
        eventually(lambda: "overwrite_templates" in server.log_tail(200), "the reason in the log")
        assert template()["priority"] == 150 and node.count("shaped-*") == 0
    server.config = configuration(node, "shaped", overwrite_templates=True, **keys)
    with server.start():
        arrive(node, "shaped-*", 10)
    installed = template()
    assert (installed["index_patterns"], installed["priority"]) == (["shaped-*"], 200)
    mappings = node.get("/shaped-auth-20250102/_mapping")["shaped-auth-20250102"]["mappings"]
    assert mappings["properties"]["tenant"] == {"type": "keyword"}
    # The same again changes nothing; other settings do, now that it is ours.
    for priority, log in ((200, 0), (201, 1)):
        server.config = configuration(node, "shaped", template_priority=priority, **keys)
        seen = server.log.stat().st_size
        with server.start():
            before = stored(server)
            put(server, 10)
            eventually(lambda: stored(server) >= before + 10, "delivered")
        told = server.log.read_bytes()[seen:].decode()
        assert told.count("is installed") == log, told
        assert template()["priority"] == priority


def test_a_policy_that_the_cluster_does_not_know_is_told_and_costs_nothing(tmp_path, node):
    """The nodes of the tests have no index state management."""
    words = "cannot see the ISM policy" if node.tells_version else "install_templates needs to know the cluster"
    server = Baikonur(tmp_path, configuration(node, "kept", install_templates=True, retention_days=30))
    with server:
        put(server, 10)
        eventually(lambda: words in server.log_tail(200), "the reason in the log")
    server.config = configuration(node, "kept", install_templates=node.tells_version)
    with server.start():
        arrive(node, "kept-*", 10)


def test_real_429s_of_a_tiny_queue_lose_and_double_nothing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    with started(OpenSearchNode, tmp_path_factory, 1) as node:
        config = configuration(node, "tiny", bulk_records=20, batch_size=500, parallelization_factor=5)
        config["streams"]["router"]["shards"] = 4
        with Baikonur(folder, config) as server:
            put(server, 4000)
            # Each refusal waits, so a slow machine needs its time.
            documents = arrive(node, "tiny-*", 4000, seconds=240)
            assert len({index for index, _, _ in documents}) == 6
            line = 'baikonur_to_es_documents_total{module="index",outcome="retried"}'
            retried = [text for text in server.metrics().splitlines() if text.startswith(line)]
            assert retried and float(retried[0].split()[-1]) > 0, "the node was never too busy: make its queue smaller"
        assert failed_records(server.data / "failed") == []


def clean(node, *words, stdin=None):
    command = [binary(), "es", "clean", "--destination", node.endpoint, *words]
    return subprocess.run(
        [str(word) for word in command], input=stdin, capture_output=True, text=True, timeout=60, check=False)


def make_indices(node, prefix):
    """Indices of many dates; those that must stay, those that are older than 30 days."""
    today = datetime.now(timezone.utc).date()
    day = lambda days: f"{today - timedelta(days=days):%Y%m%d}"
    old = {f"{prefix}-auth-{day(31)}", f"{prefix}-web-{day(400)}"}
    kept = {
        f"{prefix}-auth-{day(30)}", f"{prefix}-auth-{day(0)}", f"{prefix}-auth-{day(-5)}", f"{prefix}-audit-{day(99)}",
        f"{prefix}2-auth-{day(99)}", f"{prefix}-auth", f"{prefix}-auth-{day(99)}-reload", f"{prefix}-auth-20251399",
        f".{prefix}-auth-{day(99)}",
    }
    for name in old | kept:
        node.request("PUT", f"/{name}", {})
    node.request("PUT", f"/{prefix}-auth-{day(31)}/_doc/1?refresh=true", {"a": 1})
    return old, kept


def there(node, prefix):
    names = node.get("/_all/_settings?expand_wildcards=all")
    return {name for name in names if name.lstrip(".").startswith(prefix)}


def test_old_indices_are_shown_and_deleted_when_meant_and_all_others_stay(node):
    old, kept = make_indices(node, "cleaned")
    words = ("--prefix", "cleaned", "--older-than", 30, "--exclude", "*-audit-*")
    shown = clean(node, *words, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    for name in old:
        assert name in shown.stdout
    assert "2 indices older than 30 days, 1 documents" in shown.stdout and "nothing was deleted" in shown.stdout
    assert not any(f"{name} " in shown.stdout for name in kept)
    asked = clean(node, *words)
    assert asked.returncode == 1 and "add --yes" in asked.stderr
    assert there(node, "cleaned") == old | kept
    done = clean(node, *words, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["index"] for row in rows} == old and all(row["deleted"] for row in rows)
    assert [row["ageDays"] for row in rows] == [400, 31]
    assert there(node, "cleaned") == kept
    again = clean(node, *words, "--yes")
    assert again.returncode == 0 and "no index is older than 30 days" in again.stdout
    without = clean(node, "--older-than", 30)
    assert without.returncode == 1 and "--prefix" in without.stderr


def test_a_cleaner_beside_the_modules_deletes_at_its_start(tmp_path, node):
    old, kept = make_indices(node, "swept")
    cleaner = {
        "type": "es-cleaner", "destination": node.endpoint, "index_name_prefix": ["swept"], "max_age_days": 30,
        "exclude": "*-audit-*", "dry_run_only": True, "schedule_expression": "rate(1 minute)",
    }
    server = Baikonur(tmp_path, {"streams": {"router": {}}, "modules": {"sweep": cleaner}})
    with server:
        eventually(lambda: server.log_tail(200).count("would be deleted") == 2, "both are told")
        assert there(node, "swept") == old | kept
        described = subprocess.run(
            [binary(), "check", tmp_path / "baikonur.toml"], capture_output=True, text=True, check=True)
        assert "sweep: es-cleaner, swept older than 30 days, told only" in described.stdout
    cleaner["dry_run_only"] = False
    with server.start():
        eventually(lambda: there(node, "swept") == kept, "the old ones are gone")
        time.sleep(0.5)
        assert 'baikonur_es_cleaner_indices_total{module="sweep",outcome="deleted"} 2' in server.metrics()
    assert server.process.returncode == 0
