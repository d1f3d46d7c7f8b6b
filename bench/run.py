#!/usr/bin/env python3
"""All benchmarks with one command: builds, measures, prints tables in Markdown.

    bench/run.py                   everything, about fifteen minutes; needs 25 GB of disk
    bench/run.py put get           some of: put get latency recovery modules
    bench/run.py --seconds 3       shorter measurements
    bench/run.py --recovery-gb 1   a smaller log to recover

Server and load generator share this machine. Logs: BAIKONUR_REAL_LOGS (gzipped NDJSON), or the sample in tests/data.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
RELEASE = REPO / "target" / "release"
PARTS = ("put", "get", "latency", "recovery", "modules")
# Measured on the same kind of machine with network calls stubbed out: MB/s of one core.
ORIGINALS_MB_PER_SECOND = {
    "kinesis-to-s3": 9.0, "kinesis-to-es": 3.8, "kinesis-forward": 10.6, "kinesis-to-fluent": 11.7,
}


def build():
    command = ["cargo", "build", "--release", "--locked", "--bin", "baikonur", "--bin", "baikonur-load"]
    subprocess.run(command, cwd=REPO, check=True)


class Server:
    """`baikonur up` with one stream and no modules."""

    def __init__(self, folder, durability, extra=""):
        self.folder = Path(folder)
        self.config = self.folder / "bench.toml"
        self.config.write_text(f'[server]\ndurability = "{durability}"\n[streams.load]\nshards = 4\n{extra}')
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.process = None

    def start(self):
        """Starts it; gives the seconds until it answers."""
        command = [RELEASE / "baikonur", "up", self.config, "--listen", self.address, "--data", self.folder / "data"]
        started = time.monotonic()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        while time.monotonic() - started < 300:
            try:
                urllib.request.urlopen(f"http://{self.address}/health", timeout=1).close()
                return time.monotonic() - started
            except OSError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.005)
        raise AssertionError("the server does not answer")

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(60)

    def peak_memory_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024

    def load(self, *words):
        command = [RELEASE / "baikonur-load", "--endpoint", self.address, *map(str, words)]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


def server(durability="fsync", extra=""):
    # Beside the repository's own files, not in a temporary file system that may live in memory.
    folder = tempfile.mkdtemp(prefix="baikonur-bench-", dir=REPO / "target")
    return Server(folder, durability, extra)


def remove(servers):
    # At the end: where deleted blocks are discarded at once, a deletion slows the syncs after it.
    for one in servers:
        shutil.rmtree(one.folder, ignore_errors=True)


def table(title, heads, rows):
    print(f"\n### {title}\n\n| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |", flush=True)


def put(arguments):
    rows, servers = [], []
    for durability in ("fsync", "os-buffer"):
        for connections in (1, 4, 16):
            with server(durability) as one:
                servers.append(one)
                one.load("--connections", connections, "--seconds", 1)
                best = max(
                    (one.load("--connections", connections, "--seconds", arguments.seconds) for _ in range(3)),
                    key=lambda figures: figures["records_per_second"])
                latency = best["latency_ms"]
                rows.append((durability, connections, f"{best['records_per_second']:,.0f}",
                             f"{best['records_per_second'] * 480 / 1e6:.0f}", latency["p50"], latency["p99"],
                             one.peak_memory_mib()))
    table("PutRecords, 100 records of 480 bytes a call, 4 shards, best of three",
          ("durability", "connections", "records/s", "payload MB/s", "p50 ms", "p99 ms", "peak memory MiB"), rows)
    remove(servers)


def get(arguments):
    rows = []
    with server() as one:
        one.load("--connections", 4, "--seconds", arguments.seconds)
        for connections in (1, 4):
            figures = one.load("--mode", "get", "--connections", connections, "--seconds", arguments.seconds)
            rows.append((connections, f"{figures['records_per_second']:,.0f}",
                         f"{figures['records_per_second'] * 480 / 1e6:.0f}",
                         figures["latency_ms"]["p50"], figures["latency_ms"]["p99"]))
    table("GetRecords, from the oldest record on, again and again",
          ("connections", "records/s", "payload MB/s", "p50 ms", "p99 ms"), rows)
    remove([one])


def latency(arguments):
    rows = []
    for durability in ("fsync", "os-buffer"):
        with server(durability) as one:
            figures = one.load("--mode", "latency", "--seconds", arguments.seconds)
            puts, ends = figures["latency_ms"], figures["end_to_end_ms"]
            rows.append((durability, puts["p50"], puts["p99"], ends["p50"], ends["p99"], ends["p999"]))
        remove([one])
    table("One record at a time: until its put is answered, and until a polling reader has it, in ms",
          ("durability", "put p50", "put p99", "read p50", "read p99", "read p999"), rows)


def recovery(arguments):
    rows = []
    with server() as one:
        stored = 0
        while stored < arguments.recovery_gb * 1e9:
            stored += one.load("--connections", 8, "--seconds", 5, "--record-bytes", 4000)["records"] * 4000
        one.stop(signal.SIGKILL)
        rows.append(("after kill -9", f"{stored / 1e9:.1f}", f"{one.start():.2f}", one.peak_memory_mib()))
        one.stop()
        rows.append(("after a clean end", f"{stored / 1e9:.1f}", f"{one.start():.2f}", one.peak_memory_mib()))
    table("From the start of the process to its first answer",
          ("start", "GB in the log", "seconds", "peak memory MiB"), rows)
    remove([one])


def modules(_):
    logs = os.environ.get("BAIKONUR_REAL_LOGS", str(REPO / "tests" / "data" / "sample-logs.ndjson.gz"))
    rows = []
    for bench in ("modules", "search_and_fluent"):
        command = ["cargo", "bench", "--locked", "-p", "baikonur-modules", "--bench", bench]
        printed = subprocess.run(command, cwd=REPO, env={**os.environ, "BAIKONUR_REAL_LOGS": logs},
                                 check=True, stdout=subprocess.PIPE, text=True).stdout
        for name, speed in re.findall(r"^(\S.*?)\s+(\d+) MB/s", printed, re.MULTILINE):
            original = ORIGINALS_MB_PER_SECOND.get(name.split(",")[0])
            times = f"{int(speed) / original:.0f}" if original else ""
            rows.append((name, speed, original or "", times))
    table("Modules: log text a second of one core's time, batches of 500, the network left out",
          ("module", "MB/s", "original MB/s", "times"), rows)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, []])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--recovery-gb", type=float, default=10)
    arguments = parser.parse_args()
    build()
    for part in arguments.parts or PARTS:
        globals()[part](arguments)


if __name__ == "__main__":
    main()
