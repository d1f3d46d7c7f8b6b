"""Filter criteria with real clients: what they take arrives, whatever form it was put in; the rest is counted, and gone."""

import json
import re
from collections import Counter
from fnmatch import fnmatch

import pytest

from baikonur_server import Baikonur, Folder, failed_records, put_all, read_stream
from log_lines import ENTRIES, FORMS, key_of, plain, source_lines, with_suffix
from parts.waiting import eventually

SECONDS_TO_ARRIVE = 60
LINES = 400
CRITERIA = [
    {"data": {"log_type": ["apache_access"], "status": [{"numeric": [">=", 400]}]}},
    {"data": {"level": [{"anything-but": ["TRACE", "INFO"]}]}},
    {"data": {"log_type": [{"prefix": "aut"}], "message": [{"wildcard": "*session*"}]}},
    {"data": {"status": {"connections": {"active": [{"numeric": [">", 2]}]}}}},
]
# What no pattern over `data` takes, and what nobody knows the data of.
NO_JSON = [b"Nov 24 09:00:00 host sshd[1]: a session of plain text", b'[{"level":"WARN"}]', b'{"level":"\xff"}']
BROKEN_GZIP = b"\x1f\x8b\x08\x00broken"


def is_wanted(line):
    """`CRITERIA` in Python."""
    record = json.loads(line)
    kind, status, level = record["log_type"], record.get("status"), record.get("level")
    return (
        (kind == "apache_access" and status >= 400)
        or (level is not None and level not in ("TRACE", "INFO"))
        or (kind.startswith("aut") and "session" in record["message"])
        or (isinstance(status, dict) and status["connections"]["active"] > 2)
    )


@pytest.fixture(scope="module")
def lines():
    """A few of the real lines, and each of them in every form."""
    every = source_lines()
    chosen = every[:: max(1, len(every) // LINES)]
    forms = {form: [with_suffix(line, form) for line in chosen] for form in FORMS}
    wanted = sum(map(is_wanted, chosen))
    assert 10 < wanted < len(chosen) - 10, f"{wanted} of {len(chosen)}"
    return forms


@pytest.fixture(scope="module")
def keys(lines):
    """Partition keys that producers gave to some lines, also inside of aggregates."""
    return [key_of(line) for form in ("plain", "gz", "kpl") for line in lines[form][5:15]]


def configuration(folder, keys):
    def archive(name, **keys_of_module):
        return {
            "type": "kinesis-to-s3", "source": "router", "destination": f"file://{folder}/{name}", "buffer_seconds": 1,
            **keys_of_module,
        }

    patterns = [json.dumps(pattern) for pattern in CRITERIA]
    modules = {
        "all": archive("all"),
        "chosen": archive("chosen", filter_criteria=patterns),
        "nothing": archive("nothing", filter_criteria=['{"data":{"log_type":["no such type"]}}']),
        "tenant": archive("tenant", filter_criteria=[json.dumps({"partitionKey": keys})]),
        "forward": {
            "type": "kinesis-forward", "source": "router", "target_stream_name": "target",
            "log_type_field_whitelist": ["apache_*", "kafka*"], "filter_criteria": patterns,
        },
    }
    for name, module in modules.items():
        module["failed_store"] = f"file://{folder}/failed/{name}"
    return {"streams": {"router": {"shards": 2}, "target": {"shards": 1}}, "modules": modules}


def filtered(server):
    """Module → events left out since it was started."""
    found = re.findall(r'baikonur_filtered_events_total\{module="([^"]*)"\} (\d+)', server.metrics())
    return {module: int(count) for module, count in found}


def reasons(folder, module):
    return Counter(line["reason"] for line in failed_records(folder / "failed" / module))


def archived(folder, name):
    return Counter(Folder(folder / name).lines())


def contents(client, stream):
    return Counter(record["Data"] for records in read_stream(client, stream).values() for record in records)


def test_filters_choose_from_records_of_every_form(tmp_path, lines, keys):
    every = [line for form in FORMS for line in lines[form]]
    wanted = Counter(line for line in every if is_wanted(line))
    forwarded = Counter(
        line for line in wanted
        if any(fnmatch(json.loads(line)["log_type"], name) for name in ("apache_*", "kafka*"))
    )
    of_keys = Counter(line for form in ("plain", "gz", "kpl") for line in lines[form] if key_of(line) in keys)
    server = Baikonur(tmp_path, configuration(tmp_path, keys))
    with server.start():
        client = server.client()
        for form in FORMS:
            put_all(client, "router", ENTRIES[form](lines[form]))
        bad = [*NO_JSON, BROKEN_GZIP]
        put_all(client, "router", [(data, f"bad-{number}") for number, data in enumerate(bad)])

        events = len(every) + len(NO_JSON)
        left_out = {
            "chosen": events - wanted.total(),
            "nothing": events,
            "tenant": events + 1 - of_keys.total(),
            "forward": events - forwarded.total(),
        }
        eventually(lambda: left_out.items() <= filtered(server).items(), f"left out: {left_out}", SECONDS_TO_ARRIVE)
        eventually(lambda: archived(tmp_path, "all") == Counter(every), "all archived", SECONDS_TO_ARRIVE)
        eventually(lambda: archived(tmp_path, "chosen") == wanted, "the chosen archived", SECONDS_TO_ARRIVE)
        eventually(lambda: archived(tmp_path, "tenant") == of_keys, "those of the keys archived", SECONDS_TO_ARRIVE)
        eventually(lambda: contents(client, "target") == forwarded, "the chosen forwarded", SECONDS_TO_ARRIVE)
        assert server.stop() == 0

    assert not (tmp_path / "nothing").exists()
    assert reasons(tmp_path, "all") == {"not_json": 1, "not_an_object": 1, "not_utf8": 1, "bad_gzip": 1}
    for module in ("chosen", "nothing", "forward"):
        assert reasons(tmp_path, module) == {"bad_gzip": 1}, module
    assert not reasons(tmp_path, "tenant"), "the keys of the bad ones are none of its own"

    # The checkpoints have passed what was left out: only what comes now is looked at.
    news = [with_suffix(line, "again") for line in lines["plain"]]
    wanted_now = Counter(line for line in news if is_wanted(line))
    with server.start():
        put_all(server.client(), "router", plain(news))
        eventually(lambda: archived(tmp_path, "chosen") == wanted + wanted_now, "the news archived", SECONDS_TO_ARRIVE)
        expected = {"chosen": len(news) - wanted_now.total(), "nothing": len(news)}
        eventually(lambda: expected.items() <= filtered(server).items(), f"left out: {expected}", SECONDS_TO_ARRIVE)
        assert server.stop() == 0


def test_mistakes_in_filters_keep_a_pipeline_from_starting(tmp_path):
    config = configuration(tmp_path, ["key"])
    config["modules"]["chosen"]["filter_criteria"] = ['{"data":{"level":"ERROR"}}']
    server = Baikonur(tmp_path, config)
    with pytest.raises(AssertionError, match="ended with 1"):
        server.start()
    told = server.log.read_text()
    assert "filter_criteria: Invalid filter pattern definition." in told
    assert 'data: "level" must be an object or an array' in told
    assert re.search(r"baikonur\.toml:\d+: \[modules\.chosen\]", told), told
