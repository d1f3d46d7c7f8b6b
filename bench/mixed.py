"""Tail latency: puts at a fixed rate beside readers of the newest and the oldest records; and one record at a time.

Arrivals are open-loop: a put is due at its time, whatever became of the puts before it, and its latency counts from
then. The readers poll each shard five times a second, as often as Amazon Kinesis lets them.
"""

from servers import Baikonur, BaikonurOsBuffer, Cannot

# Name → PutRecords calls a second and records of a call. The first is what Amazon Kinesis takes on four shards.
RATES = {"4,000 records/s": (200, 20), "50,000 records/s": (500, 100)}
SHAPE = {"shards": 4, "record_bytes": 480}
WRITERS = 16
# What lies there before: history to read.
HISTORY = {"records": 100, "connections": 4}


def measure_mixed(bench, at, contender):
    what, (calls_per_second, records) = "mixed load", RATES[at]
    try:
        with contender(bench.folders.new()) as server:
            server.load("put", **SHAPE, **HISTORY, seconds=bench.seconds, megabytes=200)
            figures = server.load(
                "mixed", **SHAPE, records=records, calls_per_second=calls_per_second, connections=WRITERS,
                seconds=bench.mixed_seconds)
            if not figures["calls"]:
                raise Cannot(figures["first_failure"] or "no call was answered in time")
            tail, history = figures["tail"], figures["history"]
            bench.report.add(
                what, at, contender.name, **{f"{name}_ms": value for name, value in figures["latency_ms"].items()},
                answered_percent=100 * figures["calls"] / figures["offered_calls"],
                tail_records_per_second=tail["records_per_second"], tail_p99_ms=tail["latency_ms"]["p99"],
                history_records_per_second=history["records_per_second"], peak_memory_mib=server.peak_memory_mib(),
                failed_calls=figures["failed_calls"] + tail["failed_calls"] + history["failed_calls"],
                first_failure=figures["first_failure"] or tail["first_failure"] or history["first_failure"])
    except (Cannot, AssertionError, OSError) as why:
        bench.report.cannot(what, at, contender.name, str(why))


def run(bench):
    contenders = [Baikonur, *bench.peers] if bench.quick else [Baikonur, BaikonurOsBuffer, *bench.peers]
    report = bench.report
    for at in list(RATES)[:1] if bench.quick else RATES:
        for contender in contenders:
            report.progress(f"mixed load, {at}: {contender.name}")
            if report.in_time():
                measure_mixed(bench, at, contender)
            else:
                report.cannot("mixed load", at, contender.name, "no time was left")
        bench.folders.remove()
        columns = ("p50_ms", "p99_ms", "p999_ms", "max_ms", "answered_percent", "tail_records_per_second",
                   "history_records_per_second", "peak_memory_mib")
        report.table(
            f"Mixed load, {at} offered: PutRecords, ms; readers, records/s",
            ("server", "p50", "p99", "p99.9", "max", "answered %", "tail readers", "history reader", "peak memory MiB"),
            [(server, *(report.figure("mixed load", at, server, name) for name in columns))
             for server in report.servers("mixed load")])
    # Those that fell behind have only the latencies of the calls that they managed.
    report.target_over_peers(["mixed load"], "p99_ms", "p99 of puts under mixed load, with fsync", False)


def run_one_at_a_time(bench):
    """How long a put takes, and how long until a polling reader has the record."""
    rows = []
    for contender in (Baikonur, BaikonurOsBuffer, *bench.peers):
        bench.report.progress(f"one record at a time: {contender.name}")
        try:
            with contender(bench.folders.new()) as server:
                figures = server.load("latency", **SHAPE, seconds=bench.seconds)
        except (Cannot, AssertionError, OSError) as why:
            bench.report.cannot("one record at a time", "480 B", contender.name, str(why))
            continue
        puts, ends = figures["latency_ms"], figures["end_to_end_ms"]
        bench.report.add("one record at a time", "480 B", contender.name, put_ms=puts, read_ms=ends)
        rows.append((contender.name, puts["p50"], puts["p99"], ends["p50"], ends["p99"], ends["p999"]))
    bench.folders.remove()
    bench.report.table("One record at a time: until its put is answered, and until a polling reader has it, in ms",
                       ("server", "put p50", "put p99", "read p50", "read p99", "read p99.9"), rows)
