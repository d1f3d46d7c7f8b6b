"""Failed stores for tests, and `baikonur redrive` on them."""

import json
import os
import subprocess
from collections import Counter
from datetime import datetime, timedelta, timezone

from baikonur_server import CREDENTIALS, binary, read_stream

GOOD, BREAKS, REFUSED = "good", "breaks", "refused"


def document(kind, number, log_type="auth"):
    record = {"log_type": log_type, "log_id": f"{kind}-{number}", "time": "2015-05-17T10:05:03Z"}
    return json.dumps(record).encode()


def redrive(server, url, *words, status=0, environment=CREDENTIALS):
    """Runs it to its end; gives what it prints on its two outputs."""
    done = subprocess.run(
        [str(word) for word in (binary(), "redrive", url, "--endpoint", server.endpoint, *words)],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )
    assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    assert "panicked" not in done.stderr
    return done.stdout, done.stderr


def counts(server, url, *words, **options):
    """Reason → how many records of it are to be replayed."""
    answer = json.loads(redrive(server, url, "--dry-run", "--json", *words, **options)[0])
    assert answer["dryRun"] and answer["replayed"] == 0
    found = Counter()
    for row in answer["failed"]:
        found[row["reason"]] += row["toReplay"]
    return found


def records_of(server, stream):
    return [record for records in read_stream(server.client(), stream).values() for record in records]


def line(data, number, stream="router", module="m", key="key"):
    arrival = datetime(2025, 1, 2, tzinfo=timezone.utc) + timedelta(seconds=number)
    return json.dumps({
        "reason": "not_json", "detail": "a sentence", "consumer": module, "stream": stream,
        "shard": "shardId-000000000000", "sequence_number": str(number), "sub_sequence": 0, "event_index": 0,
        "arrival": arrival.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "partition_key": key, "data": data,
    })


def write_store(folder, stream, count, in_each=70, module="m", data="record {}".format):
    """A failed store with `count` records."""
    for first in range(0, count, in_each):
        file = folder / "unknown" / "not_json" / module / "2025-01" / "02" / f"{first:08}.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        numbers = range(first, min(first + in_each, count))
        file.write_text("".join(line(data(n), n, stream, module) + "\n" for n in numbers))
    return f"file://{folder}"
