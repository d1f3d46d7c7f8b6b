"""The log lines that the tests send, and where each has to arrive, worked out with json and dateutil alone."""

import gzip
import hashlib
import json
import os
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from urllib.parse import quote

from aws_kinesis_agg.aggregator import RecordAggregator
from dateutil import parser

from parts.process import REPO

SAMPLE = REPO / "tests" / "data" / "sample-logs.ndjson.gz"
FORMS = ("plain", "gz", "kpl", "cw")


@cache
def source_lines():
    """Real log lines as bytes: all of the shared file if it is there, else the sample in this repository."""
    shared = Path(os.environ.get("BAIKONUR_SHARED", REPO.parent / "shared"))
    file = shared / "data" / "real-logs.ndjson.gz"
    with gzip.open(file if file.exists() else SAMPLE) as lines:
        return [line.rstrip(b"\n") for line in lines]


def with_suffix(line, suffix):
    """The line with something appended to its log id, every other byte as it was."""
    changed, count = re.subn(rb'("log_id":"[^"]*)"', rb"\1-" + suffix.encode() + b'"', line, count=1)
    assert count == 1
    return changed


@dataclass(frozen=True)
class Place:
    """Where a line belongs."""

    log_type: str
    log_id: str
    time: datetime

    @property
    def folder(self):
        return f"{self.log_type}/{self.time:%Y-%m}/{self.time:%d}"

    @property
    def file_stem(self):
        return f"{self.time:%Y-%m-%d-%H:%M:%S}-{quote(self.log_id, safe='')}"

    def index(self, prefix):
        return f"{prefix}-{self.log_type.lower()}-{self.time:%Y%m%d}"

    def tag(self, fluent_tag):
        return f"{self.log_type}.{fluent_tag}"

    @property
    def epoch_seconds(self):
        aware = self.time if self.time.tzinfo else self.time.replace(tzinfo=timezone.utc)
        return int(aware.timestamp() // 1)


def place(line):
    record = json.loads(line)
    return Place(record["log_type"], record["log_id"], parser.parse(record["time"]))


def key_of(line):
    """A partition key that spreads lines over shards."""
    return hashlib.sha256(line).hexdigest()[:8]


def plain(lines):
    return [(line, key_of(line)) for line in lines]


def gzipped(lines):
    return [(gzip.compress(line, 6), key_of(line)) for line in lines]


def aggregated(lines):
    """As the KPL sends them: many user records in one record of about 50 kB."""
    aggregator = RecordAggregator(50_000)
    made = []
    for line in lines:
        full = aggregator.add_user_record(key_of(line), line)
        if full:
            made.append(full)
    made.append(aggregator.clear_and_get())
    entries = []
    for record in made:
        partition_key, _explicit_hash_key, data = record.get_contents()
        entries.append((data, partition_key))
    return entries


def cloudwatch(lines, events_per_envelope=50):
    """As a CloudWatch Logs subscription delivers them: gzipped envelopes, and the control message that comes first."""
    control = {"messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "", "logStream": "",
               "subscriptionFilters": [], "logEvents": [{"id": "", "timestamp": 1, "message":
               "CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."}]}
    envelopes = [control]
    for start in range(0, len(lines), events_per_envelope):
        events = [
            {"id": f"{start + number:056}", "timestamp": 1431857103000, "message": line.decode()}
            for number, line in enumerate(lines[start:start + events_per_envelope])
        ]
        envelopes.append({"messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "group",
                          "logStream": "stream", "subscriptionFilters": ["all"], "logEvents": events})
    bodies = [json.dumps(envelope).encode() for envelope in envelopes]
    return [(gzip.compress(body, 6), key_of(body)) for body in bodies]


ENTRIES = {"plain": plain, "gz": gzipped, "kpl": aggregated, "cw": cloudwatch}
