"""A destination that does not answer, and the others of the same process: they get everything meanwhile, and operators
see which one is stuck."""

import json
import re
import subprocess
import threading

from baikonur_server import Baikonur, Folder, binary, failed_records, put_all
from numbered_records import archived, check_archive, line
from parts.relay import Relay
from parts.waiting import eventually
from resharding import metric

MIB = 1 << 20
RECORDS = 2000
PADDING = 6000
SHARDS = 2


class Gate(Relay):
    """Takes connections, and passes nothing until it is opened."""

    def __init__(self, port):
        self.opened = threading.Event()
        super().__init__(port)

    def _relay(self, client):
        self.opened.wait()
        super()._relay(client)


def shown(server):
    """What `baikonur mappings` tells, for a program and for people."""
    command = [str(word) for word in (binary(), "mappings", "--data", server.data)]
    told = [subprocess.run([*command, *more], capture_output=True, text=True, timeout=60, check=True).stdout
            for more in (["--json"], [])]
    return json.loads(told[0]), told[1]


def lag(server, module):
    """In milliseconds, of the shard that has most."""
    return max(shard["iteratorAgeMillis"] for shard in shown(server)[0][module]["shards"].values())


def age(server, module):
    """In seconds, as the metrics tell it."""
    return max(metric(server, "baikonur_iterator_age_seconds", module=module).values())


def test_a_destination_that_does_not_answer_holds_up_no_other_and_is_seen(tmp_path, opensearch):
    gate = Gate(opensearch.port)
    budget = {"in_flight_bytes": MIB, "failed_store": f"file://{tmp_path}/failed"}
    with gate, Baikonur(tmp_path, {
        # Less than the half of what is put, for all of them together.
        "server": {"in_flight_bytes": 4 * MIB},
        "streams": {"router": {"shards": SHARDS}},
        "modules": {
            "stuck": {"type": "kinesis-to-es", "source": "router", "destination": gate.endpoint,
                      "index_name_prefix": "fairness", **budget},
            "archive": {"type": "kinesis-to-s3", "source": "router", "destination": f"file://{tmp_path}/archive",
                        "buffer_bytes": 256 << 10, "buffer_seconds": 1, **budget},
        },
    }) as server:
        identifiers = [f"f-k{number % 8:02}-{number:06}" for number in range(RECORDS)]
        entries = [(line(each, PADDING), each.rpartition("-")[0]) for each in identifiers]
        put_all(server.client(), "router", entries)
        archive = Folder(tmp_path / "archive")
        eventually(lambda: len(archive.lines()) >= RECORDS, "everything archived", 120, every=0.5)
        # The other one is where it was: nothing is delivered, and no more is read than it may hold.
        eventually(lambda: len(metric(server, "baikonur_polled_records_total", module="stuck")) == SHARDS, "it reads")
        assert sum(metric(server, "baikonur_delivered_records_total", module="stuck").values()) == 0
        polled = sum(metric(server, "baikonur_polled_records_total", module="stuck").values())
        size = min(len(data) for data, _ in entries)
        assert 0 < polled <= MIB // size + SHARDS, "the budget, and a record for each shard"
        assert sum(metric(server, "baikonur_polled_records_total", module="archive").values()) == RECORDS

        # Its age grows while it waits for an answer, and the other's is that of a reader at the tip.
        eventually(lambda: age(server, "archive") == 0 and lag(server, "archive") == 0, "the archive is at the tip")
        before, lag_before = age(server, "stuck"), lag(server, "stuck")
        eventually(lambda: age(server, "stuck") > before + 1, "the age of what is stuck grows")
        eventually(lambda: lag(server, "stuck") > lag_before + 1000, "and operators see it")
        report, table = shown(server)
        assert {shard["state"] for shard in report["stuck"]["shards"].values()} <= {"delivering", "retrying"}
        rows = {row.split()[0]: row for row in table.splitlines() if row.startswith(("stuck", "archive"))}
        assert re.search(r" [1-9]\d* (s|min)\b", rows["stuck"]), table

        gate.opened.set()

        def delivered():
            return sum(metric(server, "baikonur_delivered_records_total", module="stuck").values())

        eventually(lambda: delivered() == RECORDS, "everything indexed", 120, every=0.5)
        eventually(lambda: age(server, "stuck") == 0 and lag(server, "stuck") == 0, "nothing waits any more")
        assert server.stop() == 0, server.log_tail()
    check_archive(archive, identifiers)
    assert len(archived(archive)) > 1
    documents = opensearch.documents("fairness-*")
    assert {source["log_id"] for _, _, source in documents} == set(identifiers) and len(documents) == RECORDS
    assert failed_records(tmp_path / "failed") == []
