"""What has no peer: recovery of a large log, and the modules against their originals."""

import os
import re
import signal
import subprocess
import time

from servers import REPO, Baikonur

# Measured on the same kind of machine with network calls stubbed out: MB/s of one core.
ORIGINALS_MB_PER_SECOND = {
    "kinesis-to-s3": 9.0, "kinesis-to-es": 3.8, "kinesis-forward": 10.6, "kinesis-to-fluent": 11.7,
}
MODULE_BENCHES = ("modules", "search_and_fluent")


def restart(server):
    """Seconds from the start of the process to its first answer."""
    started = time.monotonic()
    server.start()
    return time.monotonic() - started


def run_recovery(bench):
    rows, record_bytes = [], 4000
    with Baikonur(bench.folders.new()) as server:
        stored = 0
        while stored < bench.recovery_gb * 1e9:
            bench.report.progress(f"recovery: {stored / 1e9:.1f} GB of {bench.recovery_gb:g} GB are there")
            # 10^6 bytes more than is missing end the loop.
            missing = int((bench.recovery_gb * 1e9 - stored) / 1e6) + 1
            figures = server.load("put", connections=8, seconds=5, record_bytes=record_bytes, megabytes=missing)
            stored += figures["records"] * record_bytes
        for how, end in (("after kill -9", signal.SIGKILL), ("after a clean end", signal.SIGTERM)):
            server.process.send_signal(end)
            server.process.wait(60)
            seconds = restart(server)
            rows.append((how, stored / 1e9, seconds, server.peak_memory_mib()))
            bench.report.add("recovery", how, Baikonur.name, gigabytes=stored / 1e9, seconds=seconds,
                             peak_memory_mib=server.peak_memory_mib())
    bench.folders.remove()
    bench.report.table("From the start of the process to its first answer",
                       ("start", "GB in the log", "seconds", "peak memory MiB"), rows)


def run_modules(bench):
    logs = os.environ.get("BAIKONUR_REAL_LOGS", str(REPO / "tests" / "data" / "sample-logs.ndjson.gz"))
    rows = []
    for name in MODULE_BENCHES:
        bench.report.progress(f"modules: {name}")
        command = ["cargo", "bench", "--locked", "--offline", "-p", "baikonur-modules", "--bench", name]
        printed = subprocess.run(command, cwd=REPO, env={**os.environ, "BAIKONUR_REAL_LOGS": logs},
                                 check=True, stdout=subprocess.PIPE, text=True).stdout
        for module, speed in re.findall(r"^(\S.*?)\s+(\d+) MB/s", printed, re.MULTILINE):
            original = ORIGINALS_MB_PER_SECOND.get(module.split(",")[0])
            times = int(speed) / original if original else ""
            rows.append((module, float(speed), original or "", times))
            bench.report.add("modules", module, Baikonur.name, mb_per_second=int(speed), original_mb_per_second=original)
    bench.report.table("Modules: log text a second of one core's time, batches of 500, the network left out",
                       ("module", "MB/s", "original MB/s", "times"), rows)
