"""`baikonur query`: over archives that baikonur has written, against Python's own counting; over Parquet of pyarrow,
against DuckDB and pyarrow."""

import csv
import datetime
import decimal
import gzip
import io
import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baikonur_server import CREDENTIALS, Baikonur, Folder, binary, put_all
from log_lines import place, plain, source_lines
from parts.waiting import eventually

BUCKET = "queried"
LINES = 4_000


def query(*words, environment=None, status=0, told=False, text=True):
    """What a query prints, or with `told` what it says on the standard error."""
    done = subprocess.run(
        [str(word) for word in (binary(), "query", *words)],
        env={**os.environ, **CREDENTIALS, **(environment or {})},
        stdin=subprocess.DEVNULL, capture_output=True, text=text, timeout=120, check=False,
    )
    assert done.returncode == status, f"{words} ended with {done.returncode}: {done.stderr}"
    return done.stderr if told else done.stdout


def rows(*words, **options):
    """The rows as lists."""
    return [list(json.loads(line).values()) for line in query(*words, **options).splitlines()]


def objects_read(*words, **options):
    said = re.search(r"^(\d+) of (\d+) objects read", query("-v", *words, told=True, **options), re.M)
    return int(said[1]), int(said[2])


@pytest.fixture(scope="module")
def archives(tmp_path_factory, s3):
    """One archive in a folder and the same one in S3, with the lines that are in them, and the configuration."""
    s3.client().create_bucket(Bucket=BUCKET)
    folder = tmp_path_factory.mktemp("query")
    # From the whole of it, so that there are several days.
    lines = source_lines()[::max(1, len(source_lines()) // LINES)]
    to = {"type": "kinesis-to-s3", "source": "router", "buffer_seconds": 1}
    config = {
        "streams": {"router": {"shards": 2}},
        "modules": {
            "to-folder": to | {"destination": f"file://{folder}/archive"},
            "to-bucket": to | {"destination": f"s3://{BUCKET}/some/archive", "endpoint": s3.endpoint},
        },
    }
    with Baikonur(folder, config, s3.environment) as server:
        put_all(server.client(), "router", plain(lines))
        archive = Folder(folder / "archive")
        eventually(lambda: len(archive.lines()) == len(lines), "every line in the folder", 120)

        def in_bucket():
            found = s3.objects(BUCKET, "some/archive/").values()
            return sum(len(gzip.decompress(body).splitlines()) for body in found) == len(lines)

        eventually(in_bucket, "every line in the bucket", 120)
        assert server.stop() == 0
    return {"folder": folder, "config": folder / "baikonur.toml", "lines": lines, "environment": s3.environment}


@pytest.fixture(params=["folder", "bucket", "module"])
def place_of(request, archives, s3):
    """Each way to name an archive."""
    words = {
        "folder": ["--archive", archives["folder"] / "archive"],
        "bucket": ["--archive", f"s3://{BUCKET}/some/archive", "--s3-endpoint", s3.endpoint],
        "module": ["--config", archives["config"], "--module", "to-bucket"],
    }[request.param]
    return words, archives["environment"], [json.loads(line) for line in archives["lines"]], archives


def test_answers_are_those_of_a_count_by_hand(place_of):
    words, environment, records, archives = place_of
    options = {"environment": environment}
    by_type = Counter(record["log_type"] for record in records)
    listed = query(*words, "--tables", **options).splitlines()
    assert [line.split()[0] for line in listed] == ["TABLE", *sorted(by_type)]
    assert dict(rows(*words, "select _log_type, count(*) from logs group by 1", **options)) == by_type

    apache = [record for record in records if record["log_type"] == "apache_access"]
    statuses = Counter(record["status"] for record in apache)
    found = rows(*words, "select status, count(*), sum(bytes) from apache_access group by 1", **options)
    sums = Counter()
    for record in apache:
        sums[record["status"]] += record["bytes"] or 0
    assert {status: (count, total or 0) for status, count, total in found} == {
        status: (count, sums[status]) for status, count in statuses.items()}

    found = rows(*words, "select log_id, remote_ip, request, agent from apache_access", **options)
    names = ("log_id", "remote_ip", "request", "agent")
    assert sorted(found) == sorted([record.get(name) for name in names] for record in apache)

    # The records themselves, byte by byte.
    found = query(*words, "select _record from logs", **options).splitlines()
    found = Counter(json.loads(line)["_record"].encode() for line in found)
    assert found == Counter(archives["lines"])


def test_conditions_leave_objects_unopened(place_of):
    words, environment, records, archives = place_of
    options = {"environment": environment}
    apache = [place(line) for line in archives["lines"] if json.loads(line)["log_type"] == "apache_access"]
    dates = Counter(f"{where.time:%Y-%m-%d}" for where in apache)
    objects = Counter(file.parent.name for file in (archives["folder"] / "archive/apache_access").glob("*/*/*.gz"))
    assert len(dates) == len(objects) == 4
    day = sorted(dates)[1]
    statement = f"select count(*) from apache_access where _date = '{day}'"
    assert rows(*words, statement, **options) == [[dates[day]]]
    assert objects_read(*words, statement, **options) == (objects[day[-2:]], objects.total())
    # By the records' own time: the days beside it may have such records, the others are left out.
    statement = f"select count(*) from apache_access where time >= '{sorted(dates)[3]}'"
    last = sum(where.time.isoformat() >= sorted(dates)[3] for where in apache)
    assert rows(*words, statement, **options) == [[last]]
    assert objects_read(*words, statement, **options) == (
        objects[sorted(dates)[2][-2:]] + objects[sorted(dates)[3][-2:]], objects.total())
    assert objects_read(*words, "--any-date", statement, **options) == (objects.total(), objects.total())
    assert objects_read(*words, "select count(*) from apache_access where _date > '2020'", **options)[0] == 0


def test_forms_of_the_answer(archives):
    words = ("--archive", archives["folder"] / "archive")
    apache = [json.loads(line) for line in archives["lines"]]
    apache = [record for record in apache if record["log_type"] == "apache_access"]
    statement = "select log_id, bytes, referrer, agent from apache_access order by log_id"
    expected = sorted([record["log_id"], record["bytes"], record["referrer"], record["agent"]] for record in apache)
    text = query(*words, statement, "--output", "csv", text=False).decode()
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found[0] == ["log_id", "bytes", "referrer", "agent"]
    assert found[1:] == [["" if value is None else str(value) for value in row] for row in expected]
    table = query(*words, statement, "--output", "table", "--limit", "3").splitlines()
    assert len(table) == 4 and table[0].split() == ["log_id", "bytes", "referrer", "agent"]
    if len(apache) > 1000:
        assert "the first 1,000 rows" in query(*words, statement, "--output", "table", told=True)
    assert len(query(*words, statement, "--output", "json", "--limit", "7").splitlines()) == 7
    done = subprocess.run(f"'{binary()}' query --archive '{words[1]}' 'select * from logs' | head -n 1", shell=True,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.count("\n") == 1 and done.stderr == "", done.stderr


def parquet_table(rows_count, start):
    """Types that a log can have."""
    utc = datetime.timezone.utc
    numbers = range(start, start + rows_count)
    moment = datetime.datetime(2015, 5, 17, 10, 5, 3, 123456, tzinfo=utc)
    return pa.table({
        "n": pa.array(numbers, pa.int64()),
        "small": pa.array([None if n % 7 == 0 else n % 100 for n in numbers], pa.int16()),
        "large": pa.array([n + (1 << 40) for n in numbers], pa.uint64()),
        "share": pa.array([n / 8 for n in numbers], pa.float64()),
        "ok": pa.array([None if n % 5 == 0 else n % 2 == 0 for n in numbers], pa.bool_()),
        "name": pa.array([f"name {n % 13} é\"" for n in numbers]).dictionary_encode(),
        "time": pa.array([moment + datetime.timedelta(seconds=n) for n in numbers], pa.timestamp("us", "UTC")),
        "local": pa.array([moment.replace(tzinfo=None) for _ in numbers], pa.timestamp("ms")),
        "day": pa.array([datetime.date(2015, 5, 1 + n % 28) for n in numbers], pa.date32()),
        "price": pa.array([decimal.Decimal(n) / 4 for n in numbers], pa.decimal128(18, 2)),
        "raw": pa.array([b"\xff\x00" if n % 2 else b"text" for n in numbers], pa.binary()),
        "tags": pa.array([None if n % 3 == 0 else [f"t{n}", None] for n in numbers], pa.list_(pa.string())),
        "agent": pa.array([{"name": f"a{n % 4}", "version": n} for n in numbers],
                          pa.struct([("name", pa.string()), ("version", pa.int32())])),
    })


def as_sql(name, value):
    """What docs/query.md says of a value of Parquet."""
    if isinstance(value, bool):
        return int(value)
    if name == "time":
        return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z"
    if name == "local":
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03}"
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, bytes):
        return "text" if value == b"text" else value.hex()
    if isinstance(value, (list, dict)):
        return json.dumps(value, separators=(",", ":"))
    return value


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_parquet_of_another_writer_is_read_with_its_types(tmp_path, compression):
    expected = []
    for number, day in enumerate(("17", "18")):
        table = parquet_table(3_000, number * 3_000)
        expected += table.to_pylist()
        folder = tmp_path / f"log_type=auth/year=2015/month=05/day={day}"
        folder.mkdir(parents=True)
        pq.write_table(table, folder / "part.parquet", compression=compression, row_group_size=1_000,
                       data_page_version="2.0" if number else "1.0")
    words = ("--archive", tmp_path)
    names = list(expected[0])
    found = rows(*words, f"select {', '.join(names)} from auth order by n")
    # `day` is a partition here, which outranks the column; the record still has it.
    expected_rows = [[as_sql(name, value) for name, value in record.items()] for record in expected]
    place_of_day = names.index("day")
    assert [row[place_of_day] for row in found] == ["17"] * 3_000 + ["18"] * 3_000
    for one, other in zip(found, expected_rows):
        one[place_of_day] = other[place_of_day]
    assert found == expected_rows
    days = rows(*words, "select _record ->> '$.day', _record ->> '$.ok' from auth order by n")
    assert days == [[record["day"].isoformat(), as_sql("ok", record["ok"])] for record in expected]

    # The same statements by DuckDB.
    source = f"read_parquet('{tmp_path}/*/*/*/*/*.parquet', hive_partitioning=true)"
    for statement in (
        "select count(*), sum(n), count(small), sum(share) from {}",
        "select name, count(*), min(n), max(n) from {} group by name order by name",
        "select small, sum(large) from {} where ok group by small order by small nulls first limit 20",
        "select n, agent ->> '$.name' from {} where small = 5 and share > 100 order by n",
        "select count(*) from {} where year = 2015 and month = '05' and n % 10 = 3",
    ):
        ours = rows(*words, statement.format("auth"))
        theirs = [[float(v) if isinstance(v, decimal.Decimal) else int(v) if isinstance(v, bool) else v for v in row]
                  for row in duckdb.sql(statement.format(source).replace("agent ->> '$.name'", "agent.name")).fetchall()]
        assert ours == theirs, statement
    assert objects_read(*words, "select sum(n) from auth where day = 18") == (1, 2)
    assert objects_read(*words, "select sum(n) from auth where _date < '2015-05-18'") == (1, 2)


ARCHIVES = [
    {"format": "parquet"},
    {"format": "parquet", "compression": "snappy", "key_layout": "{log_type}/dt={date}/{/level}"},
    {"format": "parquet", "nested_objects": "json"},
    {"compression": "zstd"},
    {"compression": "snappy", "key_layout": "hive"},
    {"compression": "hadoop-snappy", "key_layout": "{log_type}/{year}/{month}/{day}/{hour}"},
    {"compression": "none", "key_layout": "hive"},
]


@pytest.mark.parametrize("keys", ARCHIVES, ids=lambda keys: "-".join(keys.values()).replace("/", "_"))
def test_every_format_codec_and_layout_of_ours_gives_the_same_answers(tmp_path, keys):
    """Fields that change their type, and what no column of Parquet takes."""
    keys = {"key_layout": "hive", **keys}
    records = [{
        "log_type": ("web", "my/app")[n % 2], "log_id": f"id-{n}", "time": f"2015-05-{17 + n % 3}T{n % 24:02}:05:03Z",
        "level": ("info", "warn")[n % 5 == 0], "mixed": (n, f"text {n}", n / 8, n % 4 == 1, None, [n], {"a": n})[n % 7],
        "user": {"name": f"user {n % 3}", "tags": [f"t{n}"]}, "ok": n % 2 == 0, "n": n,
    } | ({"rare": n} if n % 97 == 0 else {}) | ({"N": "differs in case"} if n % 10 == 0 else {}) for n in range(2_000)]
    lines = [json.dumps(record).encode() for record in records]
    config = {"streams": {"router": {}}, "modules": {"archive": {
        "type": "kinesis-to-s3", "source": "router", "destination": f"file://{tmp_path}/archive", "buffer_seconds": 1,
        **keys}}}
    words = ("--config", tmp_path / "baikonur.toml")
    with Baikonur(tmp_path, config) as server:
        put_all(server.client(), "router", plain(lines))
        eventually(lambda: rows(*words, "select count(*) from logs") == [[len(lines)]], "every line", 60)
        assert server.stop() == 0

    def value_of(value):
        if isinstance(value, (dict, list)):
            return json.dumps(value, separators=(",", ":"))
        return int(value) if isinstance(value, bool) else value

    def compact(row):
        return [json.dumps(json.loads(value), separators=(",", ":"))
                if isinstance(value, str) and value[:1] in "{[" else value for value in row]

    for log_type in ("web", "my/app"):
        mine = [record for record in records if record["log_type"] == log_type]
        names = ("n", "log_id", "level", "mixed", "user", "ok")
        found = rows(*words, f'select {", ".join(names)} from "{log_type}" order by log_id')
        expected = sorted(([value_of(record[name]) for name in names] for record in mine), key=lambda row: row[1])
        assert [compact(row) for row in found] == expected
        found = rows(*words, f"""select _record ->> '$.rare', _record ->> '$.N', _record ->> '$.user.tags[0]'
                                 from "{log_type}" order by log_id""")
        assert found == [[record.get("rare"), record.get("N"), record["user"]["tags"][0]]
                         for record in sorted(mine, key=lambda record: record["log_id"])]
        days = Counter(record["time"][:10] for record in mine)
        assert dict(rows(*words, f'select _date, count(*) from "{log_type}" group by 1')) == days
        read, listed = objects_read(*words, f"""select count(*) from "{log_type}" where _date = '2015-05-18'""")
        assert 0 < read < listed
        statement = f"""select count(*) from "{log_type}" where time >= '2015-05-19'"""
        assert rows(*words, statement) == [[days["2015-05-19"]]]
        read, listed = objects_read(*words, statement)
        assert 0 < read < listed


def test_parquet_in_s3_is_fetched_by_columns(tmp_path, s3):
    s3.client().create_bucket(Bucket="columns")
    table = pa.table({"n": range(200_000), "noise": [os.urandom(24).hex() for _ in range(200_000)]})
    pq.write_table(table, tmp_path / "x.parquet", compression="none", use_dictionary=False)
    size = (tmp_path / "x.parquet").stat().st_size
    assert size > 8 << 20
    s3.client().upload_file(tmp_path / "x.parquet", "columns", "auth/2015-05/17/x.parquet")
    words = ("--archive", "s3://columns", "--s3-endpoint", s3.endpoint, "-v")
    options = {"environment": s3.environment}
    assert rows(*words, "select sum(n) from auth", **options) == [[sum(range(200_000))]]
    said = query(*words, "select sum(n) from auth", told=True, **options)
    assert re.search(r"1 of 1 objects read, 1\.\d+ MiB", said), said
    assert rows(*words, "select count(distinct noise) from auth", **options) == [[200_000]]


def test_mistakes_and_damage_are_told(tmp_path, archives):
    words = ("--archive", archives["folder"] / "archive")
    said = query(*words, "select * from apache_acces", status=1, told=True)
    assert "did you mean apache_access?" in said and "auth" in said
    assert "ATTACH is not allowed" in query(*words, "attach 'x.db' as x", status=1, told=True)
    assert not os.path.exists("x.db")
    assert "cannot read the folder" in query("--archive", tmp_path / "none", "--tables", status=1, told=True)
    assert "no object of an archive" in query("--archive", tmp_path, "--tables", status=1, told=True)
    assert "choose one with --module" in query("--config", archives["config"], "--tables", status=1, told=True)
    folder = tmp_path / "auth/2015-05/17"
    folder.mkdir(parents=True)
    good = b"".join(b'{"n":%d}\n' % n for n in range(50_000))
    (folder / "a.gz").write_bytes(gzip.compress(good))
    (folder / "b.gz").write_bytes(gzip.compress(good)[:50_000])
    (folder / "c.json").write_bytes(b'{"n":1}\n{"n":\n')
    statement = "select count(n) from auth"
    said = query("--archive", tmp_path, statement, status=1, told=True)
    assert re.search(r"/auth/2015-05/17/(b\.gz|c\.json), line \d+: it (cannot be decompressed|is not JSON)", said), said
    said = query("--archive", tmp_path, statement, "--skip-damaged", told=True)
    assert said.count("passed over: ") == 2 and "c.json, line 2" in said, said
    [[count]] = rows("--archive", tmp_path, statement, "--skip-damaged")
    assert 50_001 < count < 100_001


def test_ctrl_c_ends_it(archives):
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n, logs"
    process = subprocess.Popen([str(word) for word in (binary(), "query", "--archive", archives["folder"] / "archive",
                                                       endless)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130


def test_memory_is_bounded(tmp_path):
    """400,000 lines, 180 MB of them, have to be sorted."""
    folder = tmp_path / "auth/2015-05/17"
    folder.mkdir(parents=True)
    padding = "x" * 400
    for part in range(2):
        with gzip.open(folder / f"{part}.gz", "wt", compresslevel=1) as lines:
            for number in range(part * 200_000, (part + 1) * 200_000):
                lines.write(f'{{"n":{number},"key":"{number * 7919 % 400_000:06}","padding":"{padding}"}}\n')
    command = [str(word) for word in (
        binary(), "query", "--archive", tmp_path,
        "select count(*), count(distinct key), max(length(padding)) from (select * from auth order by key)")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = max([peak, *(int(kib) / 1024 for kib in re.findall(r"VmHWM:\s+(\d+)", status))])
        time.sleep(0.02)
    assert process.returncode == 0
    assert list(json.loads(process.stdout.read()).values()) == [400_000, 400_000, 400]
    print(f"peak memory {peak:.0f} MiB")
    assert 0 < peak < 128
