"""Archives of kinesis-to-s3, read by others: Python's gzip, zstandard, cramjam, python-snappy and pyarrow."""

import gzip
import io
import json
from pathlib import Path

import cramjam
import pyarrow.parquet
import snappy
import zstandard


def text_of(key, body):
    """The lines of an object, by the ending of its key; fails on one that is not whole."""
    if key.endswith(".gz"):
        return gzip.decompress(body)
    if key.endswith(".zst"):
        return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body), read_across_frames=True).read()
    if key.endswith(".sz"):
        return bytes(cramjam.snappy.decompress(body))
    if key.endswith(".snappy"):
        reader = snappy.HadoopStreamDecompressor()
        text = reader.decompress(body)
        assert not reader.remains, f"{key} is not whole"
        return text
    assert key.endswith(".ndjson"), key
    return body


def table_of(body):
    return pyarrow.parquet.read_table(io.BytesIO(body))


def records_of(key, body):
    """The records of an object; those of Parquet without what is null, and with what stands in the last column."""
    if not key.endswith(".parquet"):
        return [json.loads(line) for line in text_of(key, body).splitlines()]
    records = []
    for row in table_of(body).to_pylist():
        rest = json.loads(row.pop("_rest") or "{}")
        records.append({**{name: value for name, value in row.items() if value is not None}, **rest})
    return records


def files_of(folder):
    """Key → bytes, of all files below a folder."""
    folder = Path(folder)
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def record_count(files):
    """How many records there are; for waiting, while files are still being written."""
    count = 0
    for key, body in files.items():
        if key.endswith(".parquet"):
            count += pyarrow.parquet.ParquetFile(io.BytesIO(body)).metadata.num_rows
        elif "#" not in key:
            count += text_of(key, body).count(b"\n")
    return count
