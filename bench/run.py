#!/usr/bin/env python3
"""All benchmarks with one command: builds, measures, prints tables in Markdown.

    bench/run.py                   everything, at most 25 minutes after building
    bench/run.py --quick           fewer points and shorter runs, about three minutes
    bench/run.py sweeps mixed      some of: disk cpu latency recovery modules mixed sweeps
    bench/run.py --json FILE       also every figure as JSON
    bench/run.py --peers none      without the peers, or some of: ferrokinesis, kinesalite, kinesis-mock

Needs Linux and 25 GB of disk. Servers and load generator share this machine. The peers that are measured beside are
those that `tests/parts/install.sh kinesalite kinesis-mock ferrokinesis` has installed. Progress goes to stderr.
Logs for the modules: BAIKONUR_REAL_LOGS (gzipped NDJSON), or the sample in tests/data.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import alone
import floors
import mixed
import sweeps
from report import Report
from servers import PEERS, REPO, Folders, KinesisServer, allow_many_connections, isolate

# The last two leave out what there is no time for, so they come last; what the others take is known.
PARTS = {
    "disk": floors.run_disk,
    "cpu": floors.run_cpu,
    "latency": mixed.run_one_at_a_time,
    "recovery": alone.run_recovery,
    "modules": alone.run_modules,
    "mixed": mixed.run,
    "sweeps": sweeps.run,
}
QUICK_PARTS = ("disk", "cpu", "mixed", "sweeps")
MINUTES, QUICK_MINUTES = 25, 5


class Bench:
    """What all parts need to know."""

    def __init__(self, arguments):
        self.quick = arguments.quick
        self.seconds = arguments.seconds or (1 if self.quick else 2.5)
        self.mixed_seconds = 3 * self.seconds
        self.recovery_gb = arguments.recovery_gb or (1 if self.quick else 10)
        self.report = Report(QUICK_MINUTES if self.quick else MINUTES)
        self.folders = Folders()
        self.peers = ()

    def choose_peers(self, names, isolated):
        """Those that are asked for, are installed, and can be run without listening to the world."""
        for peer in PEERS:
            if names is not None and peer.name.split()[0] not in names:
                continue
            if not peer.installed():
                self.report.cannot("everything", "any point", peer.name, "not installed")
            elif peer.listens_everywhere and not isolated:
                self.report.cannot("everything", "any point", peer.name,
                                   "listens on all addresses, and a network of its own is not allowed here")
            else:
                self.peers += (peer,)


def build():
    command = ["cargo", "build", "--release", "--locked", "--bin", "baikonur", "--bin", "baikonur-load"]
    subprocess.run(command, cwd=REPO, check=True)
    for bench in alone.MODULE_BENCHES:
        # Now, because later there is no network; with the profile that `cargo bench` takes.
        subprocess.run(["cargo", "bench", "--locked", "--no-run", "-p", "baikonur-modules", "--bench", bench],
                       cwd=REPO, check=True)


def parsed():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, []])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, help="of one load run")
    parser.add_argument("--recovery-gb", type=float, help="size of the log that is recovered")
    parser.add_argument("--peers", help="names with commas between, or none; all that are installed if not given")
    parser.add_argument("--json", metavar="FILE", help="where to write every figure")
    parser.add_argument("--binaries", metavar="FOLDER", help="measure these, and build nothing")
    return parser.parse_args()


def main():
    arguments = parsed()
    if arguments.binaries:
        KinesisServer.binaries = Path(arguments.binaries).resolve()
    else:
        build()
    bench = Bench(arguments)
    names = None if arguments.peers is None else set(arguments.peers.split(",")) - {"none"}
    unknown = (names or set()) - {peer.name for peer in PEERS}
    if unknown:
        sys.exit(f"no peer is named {', '.join(sorted(unknown))}")
    bench.choose_peers(names, isolate())
    allow_many_connections()
    parts = arguments.parts or (QUICK_PARTS if bench.quick else PARTS)
    try:
        for part in parts:
            PARTS[part](bench)
    finally:
        bench.folders.remove()
        bench.report.what_they_could_not()
        bench.report.print_targets()
        if arguments.json:
            bench.report.write_json(arguments.json, {**vars(arguments), "parts": list(parts)})


if __name__ == "__main__":
    main()
