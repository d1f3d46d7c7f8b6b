"""kinesis-to-s3 in every format, codec and layout: read by others, through faults at the wire and kills, each record once."""

import json
import random
import threading
import time
from collections import Counter, defaultdict
from datetime import datetime, timezone
from urllib.parse import unquote

import duckdb
import pyarrow
import pyarrow.parquet
import pytest

from archives import files_of, record_count, records_of, table_of
from baikonur_server import Baikonur, failed_records, put_all
from log_lines import key_of, place, source_lines
from parts.s3_faults import FaultyGateway
from parts.s3_server import KMS_KEY, REGION
from parts.waiting import eventually

CODECS = {
    "gzip": {"compression": "gzip"},
    "zstd": {"compression": "zstd"},
    "snappy": {"compression": "snappy"},
    "hadoop": {"compression": "hadoop-snappy"},
    "plain": {"compression": "none"},
    "hive": {"key_layout": "hive"},
    "parquet": {"format": "parquet", "key_layout": "hive"},
    "parquet-snappy": {"format": "parquet", "compression": "snappy"},
    "fields": {"format": "parquet", "key_layout": "type={log_type}/level={level}/{stream}-{shard}"},
}
BUFFERS = {"buffer_bytes": 8 << 20, "buffer_seconds": 3}

TYPED = [
    {"log_type": "typed", "log_id": f"typed-{n}", "time": f"2026-01-31T23:59:{n % 60:02}.{n:06}+09:00", "number": n,
     "ratio": n / 8, "ok": n % 2 == 0, "tags": [f"t{n % 3}"] * (n % 3), "user": {"id": n, "name": f"Ñ{n}\n"},
     "level": ["info", "warn/1", None][n % 3], "mixed": n if n % 2 else str(n), "big": 1 << 70, "spans": [{"a": n}, {}]}
    for n in range(200)
]


def configuration(folder, modules):
    for name, module in modules.items():
        module.update({"type": "kinesis-to-s3", "source": "logs", "failed_store": f"file://{folder}/failed", **{
            key: value for key, value in BUFFERS.items() if key not in module
        }})
        module.setdefault("destination", f"file://{folder}/{name}")
    return {"streams": {"logs": {"shards": 2}}, "modules": modules}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """All sorts of archives of the same lines, in folders; and the lines."""
    folder = tmp_path_factory.mktemp("archives")
    lines = source_lines()[:4000] + [json.dumps(line).encode() for line in TYPED]
    with Baikonur(folder, configuration(folder, {name: dict(extra) for name, extra in CODECS.items()})) as server:
        put_all(server.client(), "logs", [(line, key_of(line)) for line in lines])

        def complete():
            return all(record_count(files_of(folder / name)) >= len(lines) for name in CODECS)

        try:
            eventually(complete, "all lines in all archives", 180, every=1)
        except BaseException:
            print(server.log_tail())
            raise
        assert server.stop() == 0
    assert failed_records(folder / "failed") == []
    return folder, lines


def by_id(records):
    found = {record["log_id"]: record for record in records}
    assert len(found) == len(records), "a record is there more than once"
    return found


@pytest.mark.parametrize("name", CODECS)
def test_every_record_is_there_once(archives, name):
    folder, lines = archives
    counted = Counter(
        record["log_id"] for key, body in files_of(folder / name).items() for record in records_of(key, body)
    )
    assert counted == Counter(json.loads(line)["log_id"] for line in lines)


@pytest.mark.parametrize("name", [name for name, extra in CODECS.items() if "format" not in extra])
def test_lines_are_as_they_came(archives, name):
    folder, lines = archives
    found = by_id([record for key, body in files_of(folder / name).items() for record in records_of(key, body)])
    for line in lines:
        record = json.loads(line)
        assert found[record["log_id"]] == record


def test_keys_are_those_of_their_layout(archives):
    folder, _ = archives
    for name, extra in CODECS.items():
        for key, body in files_of(folder / name).items():
            records = records_of(key, body)
            if extra.get("format") == "parquet" and "key_layout" not in extra:
                assert key.startswith(f"{records[0]['log_type']}/")
            for record in records if "format" not in extra else []:
                at = place(json.dumps(record).encode())
                if "key_layout" in extra:
                    expected = f"log_type={at.log_type}/year={at.time:%Y}/month={at.time:%m}/day={at.time:%d}/hour={at.time:%H}"
                else:
                    expected = at.folder
                assert key.rsplit("/", 1)[0] == expected
            if name == "fields":
                kind, level, source, _ = key.split("/")
                assert source.startswith("logs-shardId-"), key
                for record in records:
                    assert kind == f"type={record['log_type']}"
                    value = unquote(level.removeprefix("level="))
                    assert value == str(record.get("level", "__HIVE_DEFAULT_PARTITION__")), key


def test_parquet_has_the_types_of_the_records(archives):
    folder, _ = archives
    tables = [table_of(body) for key, body in files_of(folder / "parquet").items() if "log_type=typed/" in key]
    for table in tables:
        types = {field.name: field.type for field in table.schema}
        assert types["time"] == pyarrow.timestamp("us", tz="UTC")
        assert types["number"] == pyarrow.int64() and types["ratio"] == pyarrow.float64()
        assert types["ok"] == pyarrow.bool_() and types["log_id"] == pyarrow.string()
        assert types["tags"].value_type == pyarrow.string()
        assert types["user"].field("id").type == pyarrow.int64() and types["user"].field("name").type == pyarrow.string()
        assert types["spans"].value_type.field("a").type == pyarrow.int64()
    rows = by_id([row for table in tables for row in table.to_pylist()])
    assert len(rows) == len(TYPED)
    for line in TYPED:
        row = rows[line["log_id"]]
        assert row["time"] == datetime.fromisoformat(line["time"]).astimezone(timezone.utc)
        for name in ("number", "ok", "tags", "user", "level", "log_type"):
            assert row[name] == line[name], name
        assert row["ratio"] == line["ratio"] and row["spans"] == [{"a": line["number"]}, {"a": None}]
        # Fields of several types, or too large for one, are JSON.
        assert json.loads(row["mixed"]) == line["mixed"] and json.loads(row["big"]) == line["big"]


def test_parquet_has_statistics_dictionaries_and_its_origin(archives):
    folder, _ = archives
    for path in (folder / "parquet-snappy").rglob("*.parquet"):
        metadata = pyarrow.parquet.ParquetFile(path).metadata
        assert metadata.metadata[b"baikonur.origin"].startswith(b"baikonur parquet-snappy logs/shardId-")
        time_column = metadata.row_group(0).column(0)
        assert time_column.path_in_schema == "time" and time_column.statistics.has_min_max
        assert time_column.compression == "SNAPPY"
        columns = [metadata.row_group(0).column(n) for n in range(metadata.num_columns)]
        assert any(column.has_dictionary_page for column in columns)


def test_duckdb_finds_the_partitions(archives):
    folder, lines = archives
    places = [place(line) for line in lines]
    expected = Counter((at.log_type, f"{at.time:%Y-%m-%d}") for at in places)
    with duckdb.connect() as database:
        for source in (
            f"read_parquet('{folder}/parquet/**/*.parquet', hive_partitioning = true, union_by_name = true, "
            "hive_types_autocast = false)",
            f"read_json('{folder}/hive/**/*.ndjson.gz', hive_partitioning = true, hive_types_autocast = false, "
            "format = 'newline_delimited', columns = {log_id: 'VARCHAR'})",
        ):
            query = (
                "select log_type, year || '-' || month || '-' || day as day, count(*), count(distinct log_id) "
                f"from {source} group by all"
            )
            rows = database.sql(query).fetchall()
            assert {(kind, day): count for kind, day, count, _ in rows} == dict(expected)
            assert all(count == distinct for *_, count, distinct in rows)
        total = database.sql(
            f"select sum(number), max(time), sum(\"user\".id) from read_parquet('{folder}/parquet/log_type=typed/**/*.parquet')"
        ).fetchall()[0]
        assert total[0] == total[2] == sum(range(200))
        for codec, suffix in (("zstd", "zst"), ("gzip", "gz")):
            count = database.sql(
                f"select count(distinct log_id) from read_json('{folder}/{codec}/**/*.{suffix}', "
                "format = 'newline_delimited', columns = {log_id: 'VARCHAR'})"
            ).fetchall()
            assert count == [(len(lines),)], codec


def s3_module(s3, bucket, endpoint=None, **extra):
    return {
        "destination": f"s3://{bucket}/logs", "endpoint": endpoint or s3.endpoint, "region": REGION, "allow_http": True,
        **extra,
    }


def big_lines(count, size, seed):
    generator = random.Random(seed)
    return [
        json.dumps({
            "log_type": "big", "log_id": f"big-{n}", "time": "2026-02-01T10:00:00Z", "text": generator.randbytes(size // 2).hex(),
        }).encode()
        for n in range(count)
    ]


def test_large_objects_go_in_parts_with_all_that_was_asked_for(s3, tmp_path):
    bucket = "large"
    s3.client().create_bucket(Bucket=bucket)
    lines = big_lines(60, 800_000, 1)
    modules = {
        "plain": s3_module(
            s3, bucket, compression="none", buffer_bytes=256 << 20, buffer_seconds=20, checksum="sha256",
            storage_class="STANDARD", tags={"team": "logs / more"},
        ),
    }
    config = configuration(tmp_path, modules)
    config["streams"]["logs"]["shards"] = 1
    with Baikonur(tmp_path, config, s3.environment) as server:
        put_all(server.client(), "logs", [(line, key_of(line)) for line in lines])
        eventually(lambda: record_count(s3.objects(bucket)) >= len(lines), "all lines in S3", 120, every=1)
        assert server.stop() == 0
    client = s3.client()
    sizes = {}
    for key, body in s3.objects(bucket).items():
        head = client.head_object(Bucket=bucket, Key=key)
        sizes[head["ETag"].strip('"')] = len(body)
        assert head["ContentType"] == "application/x-ndjson" and "ContentEncoding" not in head
        tags = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        assert tags == [{"Key": "team", "Value": "logs / more"}]
    in_parts = [size for tag, size in sizes.items() if "-" in tag]
    assert in_parts and max(in_parts) > 32 << 20, sizes
    uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    assert uploads == [], "nothing half done is left"
    found = by_id([record for key, body in s3.objects(bucket).items() for record in records_of(key, body)])
    assert set(found) == {json.loads(line)["log_id"] for line in lines}


def test_the_server_encrypts_as_it_is_told(s3, tmp_path):
    wishes = {
        "own": {"server_side_encryption": "AES256"},
        "kms": {"server_side_encryption": "aws:kms", "kms_key_id": KMS_KEY, "compression": "zstd"},
    }
    client = s3.client()
    for name in wishes:
        client.create_bucket(Bucket=f"encrypted-{name}")
    modules = {
        name: s3_module(s3, f"encrypted-{name}", content_encoding=True, buffer_seconds=1, **wish)
        for name, wish in wishes.items()
    }
    line = json.dumps(TYPED[1]).encode()
    with Baikonur(tmp_path, configuration(tmp_path, modules), s3.environment) as server:
        put_all(server.client(), "logs", [(line, "key")])
        for name in wishes:
            eventually(lambda name=name: record_count(s3.objects(f"encrypted-{name}")) == 1, f"the line in {name}")
        assert server.stop() == 0
    for name, wish in wishes.items():
        (key,) = s3.objects(f"encrypted-{name}")
        head = client.head_object(Bucket=f"encrypted-{name}", Key=key)
        assert head["ServerSideEncryption"] == wish["server_side_encryption"]
        assert head.get("SSEKMSKeyId", "").endswith(wish.get("kms_key_id", ""))
        assert (head["ContentType"], head["ContentEncoding"]) == (
            "application/x-ndjson", "zstd" if "compression" in wish else "gzip"
        )


FAULTY = {
    "gzip": {},
    "parquet": {"format": "parquet", "key_layout": "hive", "checksum": "crc64nvme"},
    "large": {"compression": "none", "buffer_bytes": 48 << 20, "buffer_seconds": 8, "log_type_field_whitelist": ["big"]},
}


@pytest.mark.timeout(600)
def test_through_faults_at_the_wire_every_record_arrives_once(s3, tmp_path):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    for name in FAULTY:
        s3.client().create_bucket(Bucket=f"faulty-{name}")
    big = big_lines(60, 800_000, seed)
    small = source_lines()[:3000]
    expected = {
        "gzip": [*small, *big], "parquet": [*small, *big], "large": big,
    }
    with FaultyGateway(s3.port, seed) as gateway:
        modules = {
            name: s3_module(s3, f"faulty-{name}", gateway.endpoint, **{"buffer_seconds": 2, **extra})
            for name, extra in FAULTY.items()
        }
        with Baikonur(tmp_path, configuration(tmp_path, modules), s3.environment) as server:
            gateway.outage = "throttled"
            client = server.client()
            put_all(client, "logs", [(line, key_of(line)) for line in small[:1000]])
            time.sleep(4)
            gateway.outage = "expired"
            put_all(client, "logs", [(line, key_of(line)) for line in small[1000:2000]])
            time.sleep(4)
            gateway.outage = None
            put_all(client, "logs", [(line, key_of(line)) for line in [*small[2000:], *big]])

            def complete():
                return all(
                    record_count(s3.objects(f"faulty-{name}")) >= len(expected[name]) for name in FAULTY
                )

            try:
                eventually(complete, "all lines in S3", 360, every=2)
            except BaseException:
                print(gateway.done, server.log_tail())
                raise
            gateway.faulty = False
            assert server.stop() == 0
        print(gateway.done)
        assert all(gateway.done[fault] for fault in ("throttled", "expired", "reset", "lost", "500 applied", "503", "slow"))
    assert failed_records(tmp_path / "failed") == []
    for name, lines in expected.items():
        counted = Counter(
            record["log_id"] for key, body in s3.objects(f"faulty-{name}").items() for record in records_of(key, body)
        )
        assert counted == Counter(json.loads(line)["log_id"] for line in lines), name


@pytest.mark.timeout(300)
def test_kills_neither_lose_nor_double_a_record_of_a_table(s3, tmp_path):
    bucket = "killed"
    s3.client().create_bucket(Bucket=bucket)
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    choice = random.Random(seed)
    modules = {
        "parquet": s3_module(s3, bucket, format="parquet", buffer_bytes=256 << 10, buffer_seconds=1),
        "zstd": {"compression": "zstd", "buffer_bytes": 256 << 10, "buffer_seconds": 1},
    }
    server = Baikonur(tmp_path, configuration(tmp_path, modules), s3.environment)
    acknowledged, stop = [], threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            lines = [
                json.dumps({"log_type": f"t{n % 3}", "log_id": str(n), "time": f"2026-03-0{1 + n % 2}T00:00:00Z",
                            "padding": "x" * choice.randrange(300)}).encode()
                for n in range(number, number + 50)
            ]
            number += 50
            try:
                put_all(server.client(retries={"total_max_attempts": 1}), "logs", [(line, key_of(line)) for line in lines])
            except Exception:  # it was killed
                time.sleep(0.05)
                continue
            acknowledged.extend(json.loads(line)["log_id"] for line in lines)

    with server:
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        for _ in range(6):
            time.sleep(choice.uniform(0.5, 2.5))
            server.kill()
            server.start()
        time.sleep(1)
        stop.set()
        writer.join(60)
        places = {"parquet": lambda: s3.objects(bucket), "zstd": lambda: files_of(tmp_path / "zstd")}

        def stored(name):
            return Counter(
                record["log_id"] for key, body in places[name]().items() if "#" not in key
                for record in records_of(key, body)
            )

        for name in places:
            eventually(lambda name=name: set(acknowledged) <= set(stored(name)), f"all of {name}", 120, every=1)
        assert server.stop() == 0
    assert len(acknowledged) > 500
    for name in places:
        counted = stored(name)
        assert set(acknowledged) <= set(counted), name
        twice = [identifier for identifier, count in counted.items() if count > 1]
        assert not twice, f"{name}: {twice[:5]}"


def test_given_columns_keep_their_types_and_lose_nothing(tmp_path):
    columns = {"web": {"status": "int", "seen": "timestamp", "user": {"id": "int"}, "tags": ["string"]}}
    modules = {"given": {"format": "parquet", "columns": columns, "buffer_seconds": 1}}
    lines = [
        {"log_type": "web", "log_id": "1", "time": "2026-01-01T00:00:00Z", "status": 200, "seen": "2026-01-01T01:00:00Z",
         "user": {"id": 7}, "tags": ["a"]},
        {"log_type": "web", "log_id": "2", "time": "never", "status": "broken", "user": {"id": 7, "new": 1}},
    ]
    with Baikonur(tmp_path, configuration(tmp_path, modules)) as server:
        put_all(server.client(), "logs", [(json.dumps(line).encode(), "key") for line in lines])
        eventually(lambda: record_count(files_of(tmp_path / "given")) == len(lines), "both records")
        assert server.stop() == 0
    rows, kinds = {}, defaultdict(set)
    for body in files_of(tmp_path / "given").values():
        table = table_of(body)
        for field in table.schema:
            kinds[field.name].add(str(field.type))
        for row in table.to_pylist():
            rest = json.loads(row["_rest"] or "{}")
            rows[rest["log_id"]] = (row, rest)
    good, rest = rows["1"]
    assert (good["status"], good["user"], good["tags"]) == (200, {"id": 7}, ["a"])
    assert good["seen"] == datetime(2026, 1, 1, 1, tzinfo=timezone.utc)
    assert good["time"] == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert rest == {"log_type": "web", "log_id": "1"}
    bad, rest = rows["2"]
    assert (bad["status"], bad["user"], bad["time"]) == (None, None, None)
    assert rest == lines[1]
    assert kinds["seen"] == kinds["time"] == {"timestamp[us, tz=UTC]"} and kinds["status"] == {"int64"}
