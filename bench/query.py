#!/usr/bin/env python3
"""`baikonur query` beside DuckDB, on the same archives: JSON lines in gzip and zstd, and Parquet.

    bench/query.py                    about two minutes after building
    bench/query.py --mb 100           a smaller archive
    bench/query.py --binaries DIR     measure this baikonur, and build nothing

Needs the part `python` of tests/parts/install.sh (DuckDB, pyarrow). Every run is a process of its own, from its start to its
end, with the archive in the page cache; the fastest of three counts. Tables go to stdout, progress to stderr.
Log lines: BAIKONUR_REAL_LOGS (gzipped NDJSON), or the sample in tests/data.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

from report import Report, machine, shown
from servers import REPO, Cannot, Folders

LOGS = os.environ.get("BAIKONUR_REAL_LOGS", str(REPO / "tests" / "data" / "sample-logs.ndjson.gz"))
PYTHON = REPO / ".parts" / "venv" / "bin" / "python"
TABLE = "apache_access"
OBJECTS = 8
RUNS = 3
PATIENCE_SECONDS = 300

# The columns of the answers are compared.
STATEMENTS = {
    "count(*)": "select count(*) from {}",
    "a filter": "select count(*), sum(bytes) from {} where status = 404",
    "group by": "select remote_ip, count(*), sum(bytes) from {} group by remote_ip order by 2 desc, 1 limit 10",
    "text": "select count(*) from {} where agent like '%Googlebot%'",
}

DUCKDB = """
import duckdb, json, sys
for row in duckdb.sql(sys.argv[1]).fetchall():
    print(json.dumps([int(value) if hasattr(value, "numerator") else value for value in row]))
"""

PARQUET = """
import pyarrow.json, pyarrow.parquet, sys
table = pyarrow.json.read_json(sys.argv[1], pyarrow.json.ReadOptions(block_size=64 << 20))
pyarrow.parquet.write_table(table, sys.argv[2], compression="zstd", row_group_size=128 << 10)
"""

ZSTD = "import pyarrow, sys; sys.stdout.buffer.write(pyarrow.Codec('zstd', 3).compress(sys.stdin.buffer.read(), asbytes=True))"


def lines(megabytes):
    """Real lines again and again, each with an id of its own."""
    with gzip.open(LOGS) as file:
        some = [line for line in file if json.loads(line)["log_type"] == TABLE]
    size, number = 0, 0
    while size < megabytes * 1_000_000:
        head, tail = some[number % len(some)].split(b'"log_id":"', 1)
        line = b'%b"log_id":"%d-%b' % (head, number, tail)
        yield line
        size, number = size + len(line), number + 1


def make(folder, megabytes):
    """The same lines in three archives; gives how many there are, and their bytes."""
    count, size = 0, 0
    parts = [[] for _ in range(OBJECTS)]
    for line in lines(megabytes):
        parts[min(size * OBJECTS // (megabytes * 1_000_000), OBJECTS - 1)].append(line)
        count, size = count + 1, size + len(line)
    for kind in ("gz", "zst", "parquet"):
        (folder / kind / TABLE / "2015-05" / "17").mkdir(parents=True)
    for number, part in enumerate(parts):
        text = b"".join(part)

        def place(kind):
            return folder / kind / TABLE / "2015-05" / "17" / f"{number}.{kind}"

        place("gz").write_bytes(gzip.compress(text, 3))
        done = subprocess.run([PYTHON, "-c", ZSTD], input=text, capture_output=True, check=True)
        place("zst").write_bytes(done.stdout)
        plain = folder / "plain.json"
        plain.write_bytes(text)
        subprocess.run([PYTHON, "-c", PARQUET, plain, place("parquet")], check=True)
        plain.unlink()
    return count, size


# A process that this one starts would begin with the memory of this one as its peak.
MEASURE = """
import json, os, subprocess, sys, time
started = time.monotonic()
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
with open(sys.argv[1], "w") as figures:
    json.dump([time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024], figures)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measured(command, figures):
    """Its answer; seconds, processor seconds and peak memory in MiB."""
    command = [PYTHON, "-c", MEASURE, figures, *command]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    if done.returncode != 0:
        raise Cannot(" ".join(done.stderr.split())[:300])
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    rows = [list(row.values()) if isinstance(row, dict) else row for row in rows]
    return rows, json.loads(figures.read_text())


def ask(report, folder, kind, name, binaries):
    statement = STATEMENTS[name]
    place = f"{folder}/{kind}/{TABLE}/*/*/*.{kind}"
    source = f"read_parquet('{place}')" if kind == "parquet" else f"read_json('{place}', format='newline_delimited')"
    commands = {
        "baikonur": [binaries / "baikonur", "query", "--archive", folder / kind, statement.format(TABLE)],
        "DuckDB": [PYTHON, "-c", DUCKDB, statement.format(source)],
    }
    figures, answers = {}, {}
    for who, command in commands.items():
        report.progress(f"{name}, {kind}, {who}")
        runs = [measured(command, folder / "figures.json") for _ in range(RUNS)]
        answers[who] = runs[0][0]
        figures[who] = min(figures for _, figures in runs)
    if answers["baikonur"] != answers["DuckDB"]:
        raise Cannot(f"{name}, {kind}: the answers differ: {answers}")
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1000, help="of lines in each archive")
    parser.add_argument("--binaries", metavar="FOLDER", help="measure this, and build nothing")
    arguments = parser.parse_args()
    binaries = Path(arguments.binaries or REPO / "target" / "release").resolve()
    if not arguments.binaries:
        subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "baikonur"], cwd=REPO, check=True)
    report, folders = Report(30), Folders()
    print(", ".join(f"{name} {shown(value)}" for name, value in machine().items()))
    try:
        folder = folders.new()
        report.progress(f"writing {arguments.mb} MB of lines, three times")
        count, size = make(folder, arguments.mb)
        for kind in ("gz", "zst", "parquet"):
            rows = []
            for name in STATEMENTS:
                figures = ask(report, folder, kind, name, binaries)
                (ours, ours_cpu, ours_memory), (theirs, theirs_cpu, theirs_memory) = figures["baikonur"], figures["DuckDB"]
                rows.append((name, count / ours, size / 1e6 / ours, ours_cpu, ours_memory,
                             count / theirs, size / 1e6 / theirs, theirs_cpu, theirs_memory, theirs / ours))
            stored = sum(file.stat().st_size for file in (folder / kind).rglob(f"*.{kind}"))
            report.table(
                f"{kind}: {count:,} records, {size / 1e6:,.0f} MB of lines in {OBJECTS} objects of {stored / 1e6:,.0f} MB",
                ("statement", "rows/s", "MB/s of lines", "processor s", "peak MiB",
                 "DuckDB: rows/s", "MB/s of lines", "processor s", "peak MiB", "ours ÷ DuckDB"), rows)
    except Cannot as why:
        sys.exit(f"broken off: {why}")
    finally:
        folders.remove()


if __name__ == "__main__":
    main()
