#!/usr/bin/env python3
"""What grows with use, with one command: many streams and shards, a long fill, and history read beside writing.

    bench/strain.py                    1,000 streams of 10 shards, a fill of 20 GB, then readers beside a writer
    bench/strain.py --gb 2             a shorter fill
    bench/strain.py streams fill       some of: streams fill history (which needs fill)
    bench/strain.py --binaries FOLDER  measure these, and build nothing

Needs Linux, and 6 GB of disk beside the fill. Server and clients share this machine. Ends by itself after --minutes, with
what was measured until then; a run in full takes about five. Tables go to stdout, progress to stderr.
"""

import argparse
import http.client
import json
import math
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from report import Report, machine, shown
from servers import REPO, Baikonur, Cannot, Folders, KinesisServer, allow_many_connections, load

PARTS = ("streams", "fill", "history")
CLIENTS = 4
# Of the puts over random streams: a log line each.
DATA_BYTES = 480
SPLITS = 20
STEPS = 10
# Of the fill; also of the writer beside readers.
FILL = {"stream": "fill", "shards": 4, "record_bytes": 1024, "records": 100, "connections": 16}
# More than any writer can do: its calls are always due.
AT_ONCE = 1_000_000
# What each of the four writers of `history` puts at most; and the room for them and for what is not records.
WRITER_MEGABYTES = 1000
SPARE_GB = 6


class Client:
    """Calls on one connection; raises Cannot for any answer but 200."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def call(self, operation, **members):
        headers = {
            "X-Amz-Target": f"Kinesis_20131202.{operation}", "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Date": "20260101T000000Z",
            "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/kinesis/aws4_request, "
                             "SignedHeaders=host, Signature=0",
        }
        self.connection.request("POST", "/", json.dumps(members), headers)
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise Cannot(f"{operation}: {answer.status} {body[:200]!r}")
        return json.loads(body) if body else None

    def timed(self, operation, **members):
        """Milliseconds of a call."""
        began = time.monotonic()
        self.call(operation, **members)
        return (time.monotonic() - began) * 1000


class Strain:
    """What all parts need to know."""

    def __init__(self, arguments):
        self.arguments, self.report, self.folders = arguments, Report(arguments.minutes), Folders()

    def check_time(self):
        if not self.report.in_time():
            raise Cannot("no time was left")

    def together(self, server, work):
        """Runs `work(client, number)` with each number of a client at once; the milliseconds that they gave."""
        took, failures = [], []

        def run(number):
            try:
                for milliseconds in work(Client(server), number):
                    took.append(milliseconds)
                    self.check_time()
                    if failures:
                        return
            except Exception as failure:
                failures.append(failure)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return took


def percentile(values, part):
    """As baikonur-load computes it."""
    values = sorted(values)
    return values[math.floor((len(values) - 1) * part + 0.5)]


def memory_mib(server, name="VmRSS"):
    """What is resident now; RssAnon is the part of it that is no file."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024


def disk_gb(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9


def restart(server, end):
    """Seconds from the start of the process to its first answer."""
    server.process.send_signal(end)
    server.process.wait(60)
    began = time.monotonic()
    server.start()
    return time.monotonic() - began


def run_streams(strain):
    """Many streams: made, put into at random, resharded, started again."""
    streams, shards = strain.arguments.streams, strain.arguments.shards // strain.arguments.streams
    rows, times = [], []

    def latencies(what, took):
        rows.append((what, f"{len(took):,}", percentile(took, 0.5), percentile(took, 0.99), max(took)))

    def create(client, number):
        for stream in range(number, streams, CLIENTS):
            yield client.timed("CreateStream", StreamName=f"s{stream}", ShardCount=shards)

    def put(client, number):
        choice = random.Random(number)
        end = time.monotonic() + strain.arguments.seconds
        while time.monotonic() < end:
            stream, key = choice.randrange(streams), str(choice.random())
            yield client.timed("PutRecord", StreamName=f"s{stream}", PartitionKey=key, Data="QUFB" * (DATA_BYTES // 3))

    splits = []

    def split_beside_puts(client, number):
        if number:
            yield from put(client, number)
        # The others go on meanwhile: a split is made by the one that writes.
        end = time.monotonic() + strain.arguments.seconds
        for stream in range(min(SPLITS, streams) if number == 0 else 0):
            if time.monotonic() < end:
                splits.append(client.timed("SplitShard", StreamName=f"s{stream}", ShardToSplit="shardId-000000000000",
                                           NewStartingHashKey="1000"))
                time.sleep(strain.arguments.seconds / SPLITS / 2)

    def all_of_it(server):
        times.append(("empty", None, memory_mib(server)))
        strain.report.progress(f"{streams} streams of {shards} shards")
        began = time.monotonic()
        latencies("CreateStream", strain.together(server, create))
        times.append(("all made", time.monotonic() - began, memory_mib(server)))
        strain.report.progress("puts over random streams")
        latencies("PutRecord, a random stream", strain.together(server, put))
        times.append(("after the puts", None, memory_mib(server)))
        strain.report.progress("splits")
        latencies("PutRecord, beside SplitShard", strain.together(server, split_beside_puts))
        latencies("SplitShard", splits)
        for how, end in (("started after kill -9", signal.SIGKILL), ("started after a clean end", signal.SIGTERM)):
            strain.check_time()
            times.append((how, restart(server, end), memory_mib(server)))
        latencies("PutRecord, after the restarts", strain.together(server, put))

    try:
        with Baikonur(strain.folders.new()) as server:
            all_of_it(server)
    finally:
        title = f"{streams:,} streams of {shards} shards"
        strain.report.table(f"{title}: {CLIENTS} clients, ms", ("call", "calls", "p50", "p99", "max"), rows)
        strain.report.table(f"{title}: time and memory", ("", "seconds", "VmRSS MiB"), times)


def fill(strain, server):
    """A step of the fill after the other: neither latency nor memory may grow."""
    rows, stored = [], 0
    megabytes = math.ceil(strain.arguments.gb * 1000 / STEPS)
    try:
        for step in range(1, STEPS + 1):
            strain.check_time()
            strain.report.progress(f"fill: {stored / 1e9:.1f} GB of {strain.arguments.gb:g} GB")
            # A step ends with its megabytes; the time only bounds it.
            left = strain.report.deadline - time.monotonic()
            figures = server.load("put", **FILL, megabytes=megabytes, seconds=math.ceil(left))
            failed = figures["failed_calls"]
            stored += figures["records"] * FILL["record_bytes"]
            rows.append((f"{step}/{STEPS}", stored / 1e9, figures["records_per_second"] * FILL["record_bytes"] / 1e6,
                         figures["latency_ms"]["p50"], figures["latency_ms"]["p99"], figures["latency_ms"]["max"],
                         memory_mib(server), memory_mib(server, "RssAnon"), disk_gb(server.folder), f"{failed}"))
            if figures["first_failure"]:
                strain.report.progress(figures["first_failure"])
    finally:
        strain.report.table(
            f"A fill: {FILL['shards']} shards, records of 1 KiB, {FILL['connections']} connections",
            ("step", "GB put", "MB/s", "p50 ms", "p99 ms", "max ms", "VmRSS MiB", "RssAnon MiB", "GB on disk", "failed"),
            rows)


def history(strain, server):
    """A writer as fast as it can, alone and with readers of what lies there."""
    seconds, rows = strain.arguments.seconds, []
    writer = {**FILL, "seconds": seconds, "megabytes": WRITER_MEGABYTES}

    def write(beside, mode="put", **more):
        strain.check_time()
        strain.report.progress(f"a writer, {beside}")
        figures = server.load(mode, **{**writer, **more})
        return figures, [beside, figures["records_per_second"] * FILL["record_bytes"] / 1e6]

    def row(figures, cells, read):
        latency = figures["latency_ms"]
        # Beside readers at Amazon's pace calls are due at once, and wait for each other: no latency of the server.
        told = (latency["p50"], latency["p99"]) if "offered_calls" not in figures else (None, None)
        speed = None if read is None else read["records_per_second"] * FILL["record_bytes"] / 1e6
        rows.append((*cells, *told, speed, memory_mib(server)))

    try:
        row(*write("alone"), None)
        figures, cells = write("beside a history reader at Amazon's pace, and tail readers", "mixed",
                               calls_per_second=AT_ONCE)
        row(figures, cells, figures["history"])
        reading = {}
        # A little longer than the writer, so that all of its time is shared.
        reader = threading.Thread(target=lambda: reading.update(read_history(server, seconds + 2)))
        reader.start()
        time.sleep(1)
        try:
            figures, cells = write("beside a history reader as fast as it goes")
        finally:
            reader.join()
        row(figures, cells, reading or None)
        row(*write("alone again"), None)
    finally:
        strain.report.table("A writer, and readers from the oldest record on",
                            ("writer", "writes MB/s", "p50 ms", "p99 ms", "history is read, MB/s", "VmRSS MiB"), rows)


def read_history(server, seconds):
    try:
        return load("get", endpoint=f"127.0.0.1:{server.port}", stream=FILL["stream"], connections=1, seconds=seconds)
    except Cannot as why:
        print(why, file=sys.stderr)
        return {}


def run_fill(strain, with_history):
    with Baikonur(strain.folders.new()) as server:
        fill(strain, server)
        if with_history:
            history(strain, server)
        rows = [(how, restart(server, end), memory_mib(server))
                for how, end in (("kill -9", signal.SIGKILL), ("a clean end", signal.SIGTERM))]
        strain.report.table("From the start of the process to its first answer, with all of that in the log",
                            ("after", "seconds", "VmRSS MiB"), rows)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, []])
    parser.add_argument("--gb", type=float, default=20, help="of the fill, in 10^9 bytes of records")
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--shards", type=int, default=10_000, help="of all streams together")
    parser.add_argument("--seconds", type=float, default=15, help="of each run of puts")
    parser.add_argument("--minutes", type=float, default=20, help="after which nothing more is begun")
    parser.add_argument("--binaries", metavar="FOLDER", help="measure these, and build nothing")
    return parser.parse_args()


def main():
    arguments = parsed()
    parts = arguments.parts or PARTS
    (REPO / "target").mkdir(exist_ok=True)
    free, needed = shutil.disk_usage(REPO / "target").free / 1e9, arguments.gb + SPARE_GB
    if free < needed:
        sys.exit(f"{needed:.0f} GB of disk are needed, {free:.0f} GB are free")
    if arguments.binaries:
        KinesisServer.binaries = Path(arguments.binaries).resolve()
    else:
        command = ["cargo", "build", "--release", "--locked", "--bin", "baikonur", "--bin", "baikonur-load"]
        subprocess.run(command, cwd=REPO, check=True)
    allow_many_connections()
    strain = Strain(arguments)
    print(", ".join(f"{name} {shown(value)}" for name, value in machine().items()))
    try:
        if "streams" in parts:
            run_streams(strain)
        strain.folders.remove()
        if "fill" in parts:
            run_fill(strain, "history" in parts)
    except Cannot as why:
        sys.exit(f"broken off: {why}")
    finally:
        strain.folders.remove()


if __name__ == "__main__":
    main()
