"""Ours beside what cannot be beaten: the synchronous bandwidth of the disk, and the bare work on the same bytes.

Disk: `dd oflag=dsync` in blocks of 1 MiB, in turn with PutRecords calls of 1 MiB of payload, on the same file system.
Processor: time of the server for each 10^9 bytes of payload, against base64 decoding, MD5 of the partition keys, a
checksum and one copy, measured alone on the same records (`baikonur-load floor`). What the kernel takes to move the
bytes in through a socket (4/3 of the payload) and out to the disk is measured alone as well, and shown apart: it is not
in the floor that the target speaks of.
"""

import os
import subprocess
import tempfile
from pathlib import Path

from servers import REPO, Baikonur, load
from sweeps import put_figures

MIB = 1024 * 1024
# Batches of 1 MiB: connections, records of a call, bytes of a record.
BATCHES = {
    "1 record of 1 MiB, 1 connection": (1, 1, MIB),
    "16 records of 64 KiB, 1 connection": (1, 16, MIB // 16),
    "16 records of 64 KiB, 4 connections": (4, 16, MIB // 16),
}
ROUNDS = 3
# What dd and each kind of batch write in a round, as much as the other: who writes little gets the same warm pages of
# memory again and again, and on a virtual machine pages that the host has to find first are several times as slow.
ROUND_MB = 1000
# Shapes whose processor time is taken: records of a call, bytes of a record.
SHAPES = {"100 × 480 B": (100, 480), "500 × 1 KiB": (500, 1024), "4 × 1 MiB": (4, MIB - 64)}
DISK_TARGET, CPU_TARGET = 0.5, 2.0


def dd_mb_per_second(source, folder):
    """Once through dd with O_DSYNC; the file is new each time, as a segment is."""
    target = folder / "dd"
    done = subprocess.run(
        ["dd", f"if={source}", f"of={target}", "bs=1M", "oflag=dsync"],
        env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=True, timeout=120)
    target.unlink()
    copied, _, seconds = done.stderr.splitlines()[-1].partition(" copied, ")
    return int(copied.split()[0]) / 1e6 / float(seconds.split()[0])


def run_disk(bench):
    megabytes = ROUND_MB // (2 if bench.quick else 1)
    disk, ours = [], {batch: [] for batch in BATCHES}
    rounds = 2 if bench.quick else ROUNDS
    with tempfile.TemporaryDirectory(dir=REPO / "target") as source_folder:
        # Random bytes: some virtual disks have a short cut for zeros. They are in the page cache, so reading is free.
        source = Path(source_folder) / "random"
        with source.open("wb") as file:
            for _ in range(megabytes * 1_000_000 // MIB):
                file.write(os.urandom(MIB))
        os.sync()
        for turn in range(rounds):
            bench.report.progress(f"disk, round {turn + 1} of {rounds}")
            disk.append(dd_mb_per_second(source, Path(source_folder)))
            for batch, (connections, records, record_bytes) in BATCHES.items():
                with Baikonur(bench.folders.new()) as server:
                    options = {"connections": connections, "records": records, "record_bytes": record_bytes}
                    server.load("put", **options, seconds=0.3, megabytes=50)
                    # As many bytes as dd, however long they take.
                    figures = server.load("put", **options, seconds=60, megabytes=megabytes)
                ours[batch].append(figures["records_per_second"] * record_bytes / 1e6)
                bench.folders.remove()
    best = max(disk)
    bench.report.add("disk", "dd oflag=dsync", "dd", mb_per_second=best, rounds=disk)
    rows = [("dd bs=1M oflag=dsync", best, "")]
    for batch, speeds in ours.items():
        ratio = max(speeds) / best
        bench.report.add("disk", batch, Baikonur.name, mb_per_second=max(speeds), of_disk=ratio, rounds=speeds)
        rows.append((batch, max(speeds), ratio))
    bench.report.table(f"Batches of 1 MiB with fsync, best of {rounds}", ("", "payload MB/s", "of dd"), rows)
    for who, chosen in (("several connections", lambda connections: connections > 1),
                        ("one connection, a call after the other", lambda connections: connections == 1)):
        ratios = [ratio for (batch, _, ratio) in rows[1:] if chosen(BATCHES[batch][0])]
        bench.report.target(f"1 MiB batches with fsync, of the disk's synchronous bandwidth, {who}",
                            f"≥ {DISK_TARGET}", f"{min(ratios):.2f}", min(ratios) >= DISK_TARGET)


def run_cpu(bench):
    rows, of_floor, of_all = [], [], []
    for shape, (records, record_bytes) in SHAPES.items():
        bench.report.progress(f"processor time, {shape}")
        options = {"records": records, "record_bytes": record_bytes}
        floor = load("floor", **options, seconds=2 if bench.quick else 4, folder=bench.folders.new())
        with Baikonur(bench.folders.new()) as server:
            server.load("put", **options, seconds=0.5, megabytes=100)
            ours = put_figures(server, {**options, "connections": 4, "seconds": bench.seconds, "megabytes": 2000})
        bench.folders.remove()
        # Nanoseconds for each byte are seconds for each 10^9 bytes.
        parts, least, all_of_it = floor["ns_per_byte"], floor["floor_ns_per_byte"], floor["floor_with_kernel_ns_per_byte"]
        user, system, both = (ours[f"cpu_{kind}s_per_gb"] for kind in ("user_", "system_", ""))
        of_floor.append(both / least)
        of_all.append(both / all_of_it)
        bench.report.add("processor", shape, Baikonur.name, **ours, floor=floor, of_floor=both / least,
                         user_of_floor=user / least, of_floor_with_kernel=both / all_of_it)
        rows.append((shape, user, system, parts["base64"], parts["key_md5"], parts["crc32c"], parts["copy"], least,
                     parts["kernel_receive"], parts["kernel_write"], user / least, both / least, both / all_of_it,
                     parts["body_sha256"]))
    bench.report.table(
        "Processor time of PutRecords with fsync, 4 connections: seconds for each GB of payload",
        ("call", "server: user", "server: system", "base64", "MD5 of keys", "crc32c", "copy", "floor",
         "kernel: receive", "kernel: write", "user ÷ floor", "all ÷ floor", "all ÷ (floor + kernel)",
         "SHA-256 of the body, only with signatures"), rows)
    kinds = f"worst of {len(SHAPES)} kinds of call"
    bench.report.target("processor time for each GB written, of base64, hashing and copying alone", f"≤ {CPU_TARGET}",
                        f"{max(of_floor):.2f} ({kinds})", max(of_floor) <= CPU_TARGET)
    bench.report.target("the same, of these and the kernel's part of moving the bytes alone", f"≤ {CPU_TARGET}",
                        f"{max(of_all):.2f} ({kinds})", max(of_all) <= CPU_TARGET)
