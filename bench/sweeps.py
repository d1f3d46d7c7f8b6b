"""Throughput side by side: connections, record sizes and shards, for PutRecords, GetRecords and SubscribeToShard.

At each point each server starts anew, with an empty stream. Reads have the same amount of records to read from each
server that stored at least so many. All servers get the same calls. The calls stay within the limits of before 2025
(5 MiB a call), which the peers still have.
"""

from servers import Baikonur, BaikonurOsBuffer, Cannot

CONNECTIONS = (1, 4, 16, 64, 256)
SHARDS = (1, 10, 100, 1000)
# The call of the other sweeps: log lines.
CALL = {"records": 100, "record_bytes": 480}
# Point → records of a call, bytes of a record.
SIZES = {
    "100 B": (500, 100),
    "1 KiB": (500, 1024),
    "10 KiB": (100, 10 * 1024),
    "100 KiB": (40, 100 * 1024),
    # Some count the partition key into the limit of 1 MiB.
    "1 MiB": (4, 1024 * 1024 - 64),
}
QUICK = {"connections": (1, 64), "sizes": ("1 KiB", "1 MiB"), "shards": (100,)}
# Most records of a GetRecords answer where many connections read log lines: they all keep one in memory.
PAGE = {"limit": 1000}
# What a put run stores at most: bounds the memory of the peers and the disk.
MEGABYTES = 1200
# What is read, again and again: a stream of its own, unless the puts have stored less than this.
READ_MEGABYTES = 96
FILL = {"stream": "reads", "megabytes": READ_MEGABYTES, "seconds": 4}
# A subscription ends when it has all; kinesis-mock lets more than a second pass before the first event.
SUBSCRIPTION_SECONDS = 5
WARM_UP = {"seconds": 0.5, "megabytes": 100}


def points(sweep, quick):
    """Point of a sweep → the options of its load runs."""
    if sweep == "connections":
        every = {f"{count}": {"connections": count, "shards": 4, **CALL, **PAGE} for count in CONNECTIONS}
    elif sweep == "sizes":
        every = {size: {"connections": 4, "shards": 4, "records": records, "record_bytes": record_bytes}
                 for size, (records, record_bytes) in SIZES.items()}
    else:
        every = {f"{count}": {"connections": 16, "shards": count, **CALL, **PAGE} for count in SHARDS}
    kept = {str(point) for point in QUICK[sweep]} if quick else every
    return {at: options for at, options in every.items() if at in kept}


def put_figures(server, options):
    """Figures of a put run, with what it cost the server."""
    user, system = server.cpu_seconds()
    figures = server.load("put", **options)
    user_after, system_after = server.cpu_seconds()
    gigabytes = figures["records"] * options["record_bytes"] / 1e9
    if not gigabytes:
        raise Cannot(figures["first_failure"] or "no call was answered in time")
    return {
        **rates(figures, options),
        "cpu_user_s_per_gb": (user_after - user) / gigabytes,
        "cpu_system_s_per_gb": (system_after - system) / gigabytes,
        "cpu_s_per_gb": (user_after - user + system_after - system) / gigabytes,
        "peak_memory_mib": server.peak_memory_mib(),
    }


def rates(figures, options):
    return {
        "records_per_second": figures["records_per_second"],
        "payload_mb_per_second": figures["records_per_second"] * options["record_bytes"] / 1e6,
        **{f"{name}_ms": value for name, value in figures["latency_ms"].items()},
        "records": figures["records"],
        "failed_calls": figures["failed_calls"], "unfinished_calls": figures["unfinished_calls"],
        "first_failure": figures["first_failure"],
    }


def measure_point(bench, sweep, at, options, contender):
    """Put, then get, then subscribe, on one fresh server."""
    def attempt(what, figures):
        try:
            bench.report.add(f"{what}, {sweep}", at, contender.name, **figures())
        except (Cannot, AssertionError, OSError) as why:
            bench.report.cannot(f"{what}, {sweep}", at, contender.name, str(why))
            return False
        return True

    def read(mode, seconds):
        figures = server.load(mode, **{**options, **read_from, "seconds": seconds})
        if not figures["records"]:
            raise Cannot(figures["first_failure"] or "no record came in time")
        return {**rates(figures, options), "peak_memory_mib": server.peak_memory_mib()}

    def puts():
        server.load("put", **{**options, **WARM_UP, "connections": min(4, options["connections"])})
        return put_figures(server, {**options, "seconds": bench.seconds, "megabytes": MEGABYTES})

    def prepare_reads():
        stored = bench.report.figure(f"PutRecords, {sweep}", at, contender.name, "records") * options["record_bytes"]
        if stored <= READ_MEGABYTES * 1e6:
            return {}
        server.load("put", **{**options, **FILL, "connections": min(16, options["connections"])})
        return {"stream": FILL["stream"]}

    server = contender(bench.folders.new())
    try:
        server.start()
        if attempt("PutRecords", puts) and contender.reads:
            read_from = prepare_reads()
            attempt("GetRecords", lambda: read("get", bench.seconds * 2 / 3))
            if sweep != "connections" and server.process.poll() is None:
                attempt("SubscribeToShard", lambda: read("subscribe", SUBSCRIPTION_SECONDS))
    except (Cannot, AssertionError, OSError) as why:
        bench.report.cannot(f"all, {sweep}", at, contender.name, str(why))
    finally:
        if server.process:
            server.stop(5)


def run(bench):
    for sweep in ("connections", "sizes", "shards"):
        # What the sync costs is seen in the first sweep.
        with_os_buffer = sweep == "connections" and not bench.quick
        contenders = [Baikonur, *([BaikonurOsBuffer] if with_os_buffer else []), *bench.peers]
        for at, options in points(sweep, bench.quick).items():
            for contender in contenders:
                if bench.report.in_time():
                    bench.report.progress(f"{sweep} {at}: {contender.name}")
                    measure_point(bench, sweep, at, options, contender)
                else:
                    bench.report.cannot(f"PutRecords, {sweep}", at, contender.name, "no time was left")
            bench.folders.remove()
    tables(bench.report)


def tables(report):
    calls = {
        "connections": ("connections", "100 records of 480 bytes a call, 4 shards"),
        "sizes": ("record", "500 to 4 records a call, 4 connections, 4 shards"),
        "shards": ("shards", "100 records of 480 bytes a call, 16 connections"),
    }
    for sweep, (heading, call) in calls.items():
        pages = "pages of 10,000 records at most" if sweep == "sizes" else f"pages of {PAGE['limit']} records at most"
        unit, name = ("MB/s", "payload_mb_per_second") if sweep == "sizes" else ("records/s", "records_per_second")
        puts, gets, subscribes = (f"{what}, {sweep}" for what in ("PutRecords", "GetRecords", "SubscribeToShard"))
        report.side_by_side(f"PutRecords, {unit}: {call}", puts, heading, name)
        report.side_by_side("The same: 99 % of calls were answered in, ms", puts, heading, "p99_ms", ratio=False)
        report.side_by_side(f"GetRecords, {unit}: {pages}", gets, heading, name)
        report.side_by_side("Peak memory after the puts, MiB", puts, heading, "peak_memory_mib", ratio=False)
        report.side_by_side("Peak memory after the puts and gets, MiB", gets, heading, "peak_memory_mib", ratio=False)
        report.side_by_side(f"SubscribeToShard, all shards at once, {unit}", subscribes, heading, name)
    puts, gets, subscribes = ([f"{what}, {sweep}" for sweep in calls]
                              for what in ("PutRecords", "GetRecords", "SubscribeToShard"))
    report.target_over_peers(puts, "records_per_second", "PutRecords with fsync against each peer, records/s")
    report.target_over_peers(gets, "records_per_second", "GetRecords against each peer, records/s")
    report.target_over_peers(subscribes, "records_per_second", "SubscribeToShard against each peer, records/s")
