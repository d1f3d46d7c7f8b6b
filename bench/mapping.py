#!/usr/bin/env python3
"""The event source mapping with one command: what it costs, and how fast it makes good a day's delay.

    bench/mapping.py                  both parts, about six minutes after building
    bench/mapping.py cost --mb 500    a mapping whose module does nothing: embedded, by polling, by enhanced fan-out
    bench/mapping.py backlog --gb 2   modules of `baikonur up` on a backlog of real log lines
    bench/mapping.py --binaries DIR   measure these, and build nothing

Needs Linux, and disk for twice the backlog. Servers and workers share this machine. Tables go to stdout, progress to stderr.
Log lines: BAIKONUR_REAL_LOGS (gzipped NDJSON), or the sample in tests/data.
"""

import argparse
import gzip
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from report import Report, machine, shown
from servers import REPO, Baikonur, Cannot, Folders, KinesisServer, allow_many_connections

LOGS = os.environ.get("BAIKONUR_REAL_LOGS", str(REPO / "tests" / "data" / "sample-logs.ndjson.gz"))
PARTS = ("cost", "backlog")
SHARDS = (1, 64)
RECORD = {"records": 100, "record_bytes": 480}
# A run ends by itself much earlier.
PATIENCE_SECONDS = 300
# Modules of the backlog.
FORWARD, ARCHIVE = "kinesis-forward", "kinesis-to-s3, gzip, level 3"
MODULES = {
    FORWARD: {"target_stream_name": "target"},
    ARCHIVE: {"destination": "file://{folder}/archive", "compression_level": 3},
}
BACKLOG_SHARDS = 4


def deliver(*words, **options):
    """Runs baikonur-deliver and gives its figures."""
    flags = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    done = subprocess.run([KinesisServer.binaries / "baikonur-deliver", *words, *flags],
                          capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    if done.returncode != 0:
        raise Cannot(" ".join(done.stderr.split())[:300])
    return json.loads(done.stdout)


def run_cost(bench):
    rows = []

    def row(what, shards, figures):
        rows.append((what, f"{shards}", figures["records_per_second"], figures["payload_mb_per_second"],
                     figures["processor_seconds_per_gb"]))

    for shards in SHARDS:
        bench.report.progress(f"embedded, {shards} shards")
        for factor in (1, 4):
            figures = deliver("embedded", folder=bench.folders.new(), shards=shards, megabytes=bench.megabytes,
                              parallelization_factor=factor)
            lanes = "" if factor == 1 else f", parallelization factor {factor}"
            row(f"embedded{lanes}", shards, figures)
        with Baikonur(bench.folders.new()) as server:
            put = server.load("put", shards=shards, connections=8, megabytes=bench.megabytes, seconds=60, **RECORD)
            for way in ("polling", "fan-out"):
                bench.report.progress(f"{way}, {shards} shards")
                try:
                    figures = deliver(way, endpoint=f"http://127.0.0.1:{server.port}", stream="load",
                                      records=put["records"], folder=bench.folders.new())
                    row(f"{way}, over HTTP", shards, figures)
                except Cannot as why:
                    bench.report.cannot(way, f"{shards} shards", "baikonur", str(why))
        bench.folders.remove()
    bench.report.table(
        f"A mapping whose module does nothing: {bench.megabytes} MB of records of {RECORD['record_bytes']} bytes, batches of 500",
        ("source", "shards", "records/s", "MB/s", "worker: processor s/GB"), rows)


class WithModule(Baikonur):
    """`baikonur up` with one module, which can be left out."""

    module = None

    def command(self):
        command, environment = super().command()
        config = self.folder / "bench.toml"
        text = "".join(f"[streams.{name}]\nshards = {BACKLOG_SHARDS}\n" for name in ("load", "target"))
        if self.module:
            keys = {"source": "load", **self.module}
            lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
            text += f"[modules.module]\n{lines}\n"
        config.write_text(text)
        return command, environment

    def delivered(self):
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5).read().decode()
        found = re.findall(r"^baikonur_delivered_records_total\{[^}]*\} (\d+)", text, re.MULTILINE)
        return sum(int(value) for value in found)


def archive_alone(bench, _lines):
    """MB/s of one core, as the modules' benchmark prints it: the module compresses, and its folder takes no time."""
    command = ["cargo", "bench", "--locked", "--offline", "-p", "baikonur-modules", "--bench", "modules"]
    printed = subprocess.run(command, cwd=REPO, env={**os.environ, "BAIKONUR_REAL_LOGS": LOGS},
                             check=True, stdout=subprocess.PIPE, text=True).stdout
    return int(re.search(rf"^{ARCHIVE}\s+(\d+) MB/s", printed, re.MULTILINE)[1])


def forward_alone(bench, lines):
    """MB/s by the clock: as many bytes in prepared batches of the same size, of as many shards at once, into a store of
    its own that is as durable as that of `baikonur up`."""
    figures = deliver("forward", folder=bench.folders.new(), shards=BACKLOG_SHARDS, lines=lines,
                      megabytes=int(bench.gigabytes * 1000), batch_size=bench.batch_size)
    return figures["payload_mb_per_second"]


def run_backlog(bench):
    rows = []
    text = gzip.open(LOGS).read()
    line_bytes = len(text.replace(b"\n", b"")) / text.count(b"\n")
    for name, keys in MODULES.items():
        folder = bench.folders.new()
        lines = folder / "lines"
        lines.write_bytes(text)
        bench.report.progress(f"{name}: alone")
        alone = {FORWARD: forward_alone, ARCHIVE: archive_alone}[name](bench, lines)
        bench.folders.remove()
        folder = bench.folders.new()
        lines = folder / "lines"
        lines.write_bytes(text)
        server = WithModule(folder)
        server.start()
        bench.report.progress(f"{name}: a backlog of {bench.gigabytes:g} GB")
        put = server.load("put", connections=8, seconds=120, megabytes=int(bench.gigabytes * 1000), lines=lines,
                          records=500)
        server.stop(5)
        gigabytes = put["records"] * line_bytes / 1e9
        server.module = {"type": name.split(",")[0],
                         **{key: value.format(folder=folder) if isinstance(value, str) else value
                            for key, value in keys.items()}}
        if name == FORWARD:
            server.module["batch_size"] = bench.batch_size
        server.start()
        started, before = time.monotonic(), server.cpu_seconds()
        while server.delivered() < put["records"]:
            time.sleep(0.1)
            if time.monotonic() - started > PATIENCE_SECONDS:
                raise Cannot(f"{name}: {server.delivered()} of {put['records']} records after {PATIENCE_SECONDS} s")
        seconds, after = time.monotonic() - started, server.cpu_seconds()
        speed, by_processor = gigabytes * 1000 / seconds, gigabytes * 1000 / (sum(after) - sum(before))
        # What is measured on one core is compared with what a second of a core did.
        like, measure = (speed, "by the clock") if name == FORWARD else (by_processor, "of one core")
        rows.append((name, gigabytes, speed, by_processor, f"{alone:,.0f} {measure}", like / alone,
                     server.peak_memory_mib()))
        server.stop(30)
        bench.folders.remove()
    bench.report.table(f"A backlog of real log lines, {BACKLOG_SHARDS} shards, made good by `baikonur up`",
                       ("module", "GB", "MB/s", "MB for each second of processor time", "module alone, MB/s",
                        "of the module alone", "peak memory MiB"), rows)


class Bench:
    def __init__(self, arguments):
        self.megabytes, self.gigabytes = arguments.mb, arguments.gb
        self.batch_size = arguments.batch_size
        self.report, self.folders = Report(30), Folders()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, []])
    parser.add_argument("--mb", type=int, default=1000, help="of the stream in `cost`")
    parser.add_argument("--gb", type=float, default=10, help="of the backlog")
    parser.add_argument("--batch-size", type=int, default=10_000, help="of the forwarding module; its default is the same")
    parser.add_argument("--binaries", metavar="FOLDER", help="measure these, and build nothing")
    arguments = parser.parse_args()
    if arguments.binaries:
        KinesisServer.binaries = Path(arguments.binaries).resolve()
    else:
        command = ["cargo", "build", "--release", "--locked"]
        bins = [word for name in ("baikonur", "baikonur-load", "baikonur-deliver") for word in ("--bin", name)]
        subprocess.run([*command, *bins], cwd=REPO, check=True)
    allow_many_connections()
    bench = Bench(arguments)
    print(", ".join(f"{name} {shown(value)}" for name, value in machine().items()))
    try:
        for part in arguments.parts or PARTS:
            {"cost": run_cost, "backlog": run_backlog}[part](bench)
    except Cannot as why:
        sys.exit(f"broken off: {why}")
    finally:
        bench.folders.remove()
        bench.report.what_they_could_not()


if __name__ == "__main__":
    main()
