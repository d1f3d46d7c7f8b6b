"""Bad and strange records between good ones: each is kept with its reason, or delivered to a safely named place.

Each kind is put once on each of four partition keys, two on either shard, with a good record before and behind it. All
that arrives anywhere is compared with what is expected, so that nothing is missing, altered, misplaced or there twice.
"""

import base64
import gzip
import hashlib
import json
import random
import re
import time
import uuid
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cache, partial
from pathlib import Path
from urllib.parse import quote

import pytest
from aws_kinesis_agg.aggregator import messages_pb2

from baikonur_server import Baikonur, Folder, put_all, read_stream
from parts.fluent_receiver import FluentReceiver
from parts.s3_server import REGION
from parts.waiting import eventually
from starting import started

BUCKET = "bad-input"
PREFIX = "badinput"
MODULES = ("archive", "bucket", "index", "events", "forward")
PEAK_MEMORY_MIB = 700
MIB = 1 << 20
SECONDS_TO_ARRIVE = 60
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
JST = timezone(timedelta(hours=9))
# At nine hours east of UTC: the UTC date is another one.
GOOD_TIME = datetime(2015, 5, 17, 3, 5, 3, tzinfo=JST)
# The shard of two that the MD5 of each key leads to.
KEYS = {
    "key-1": "shardId-000000000000", "key-3": "shardId-000000000000",
    "key-0": "shardId-000000000001", "key-2": "shardId-000000000001",
}


@dataclass(frozen=True)
class Kept:
    """A line of the failed store."""

    reason: str
    data: bytes
    detail: str = ""
    sub_sequence: int = 0
    event_index: int = 0


@dataclass(frozen=True)
class Event:
    """An event that is delivered: its bytes, and the parts of its place."""

    text: bytes
    folder: str = "auth"
    index: str = "auth"
    time: datetime | None = GOOD_TIME  # none: that of arrival
    log_id: str | None = None  # none: derived, a UUID
    refused: str | None = None  # what OpenSearch says of it, where it refuses it
    sub_sequence: int = 0
    event_index: int = 0

    @property
    def line(self):
        """On one line. Inside of strings JSON has no raw line ends."""
        return self.text.strip(b" \t\r\n").replace(b"\n", b"").replace(b"\r", b"")


@dataclass(frozen=True)
class Sent:
    """A record and what becomes of it."""

    data: bytes
    kept: tuple = ()
    events: tuple = ()


KINDS = {}


def kind(make):
    """Registers a function that makes a record for a mark and a time, which no record of another kind has."""
    KINDS[make.__name__] = make
    return make


def kinds(group, make, *rows):
    """Registers a kind for each row: its name, and the values that `make` takes before the mark and the time."""
    for name, *values in rows:
        KINDS[f"{group}_{name}" if group else name] = partial(make, *values)


def document(mark, time=GOOD_TIME, **members):
    """A record of the Common Schema as bytes; a member that is None is left out."""
    stamp = time.isoformat() if isinstance(time, datetime) else time
    record = {"log_type": "auth", "log_id": mark, "time": stamp, "mark": mark} | members
    return json.dumps({key: value for key, value in record.items() if value is not None}).encode()


def good(mark):
    text = document(mark)
    return Sent(text, events=(Event(text, log_id=mark),))


def delivered(text, mark, time, **event):
    """Plain text that is delivered, by default below `auth` under the mark as its id."""
    return Sent(text, events=(Event(text, time=time, **{"log_id": mark} | event),))


def rejected(reason, data, detail="", kept=None):
    """A record that is kept as it came, or as the bytes `kept`."""
    return Sent(data, kept=(Kept(reason, data if kept is None else kept, detail),))


def refused(text, mark, time, reason):
    """A record that OpenSearch alone refuses, with these words among its own."""
    return delivered(text, mark, time, refused=reason)


def hashed(start, name):
    """An index name's part that is more than the lower-cased name: 16 digits of its SHA-256 are appended."""
    return f"{start}-{hashlib.sha256(name.lower().encode()).hexdigest()[:16]}"


# What is no JSON object.

kinds(
    "", lambda reason, data, detail, mark, time: rejected(reason, data, detail),
    ("no_bytes", "empty", b"", "no bytes"),
    ("one_letter", "not_json", b"x", "not JSON at byte 0"),
    ("one_brace", "not_json", b"{", "not JSON at byte 1"),
    ("one_byte_of_gzip", "not_json", b"\x1f", "not JSON at byte 0"),
    ("one_byte_of_no_utf8", "not_utf8", b"\xff", "not UTF-8 from byte 0 on"),
    ("one_space", "not_json", b" ", "not JSON at byte 1"),
    ("one_digit", "not_an_object", b"7", "the JSON root is not an object"),
    ("words", "not_json", b"Nov 24 09:00:00 host sshd[1]: Failed password", "not JSON at byte 0"),
    ("array", "not_an_object", b'[{"log_type":"auth","log_id":"1"}]', "the JSON root is not an object"),
    ("number", "not_an_object", b"-12.5e3", "the JSON root is not an object"),
    ("string", "not_an_object", b'"text \\" in quotes"', "the JSON root is not an object"),
    ("literal", "not_an_object", b"null", "the JSON root is not an object"),
    ("two_objects", "not_json", b'{"log_type":"auth"}\n{"log_type":"auth"}', "not JSON at byte 20"),
    ("trailing_comma", "not_json", b'{"log_type":"auth",}', "a key in quotes"),
    ("single_quotes", "not_json", b"{'log_type':'auth'}", "a key in quotes"),
    ("not_a_number", "not_json", b'{"log_type":"auth","value":NaN}', "a value"),
    ("leading_zero", "not_json", b'{"log_type":"auth","value":01}', "not JSON at byte 28"),
    ("raw_control_character", "not_json", b'{"log_type":"a\x01b"}', "a control character"),
    ("byte_order_mark", "not_json", b'\xef\xbb\xbf{"log_type":"auth"}', "not JSON at byte 0"),
    ("cut_short", "not_json", document("cut")[:-10], "a closing quote"),
    ("latin1", "not_utf8", '{"log_type":"auth","city":"Köln"}'.encode("latin-1"), "not UTF-8 from byte 28 on"),
    ("overlong_utf8", "not_utf8", b'{"log_type":"\xc0\xaf"}', "not UTF-8 from byte 13 on"),
    ("surrogate_in_utf8", "not_utf8", b'{"log_type":"\xed\xa0\x80"}', "not UTF-8 from byte 13 on"),
    ("utf16", "not_utf8", '{"log_type":"auth"}'.encode("utf-16"), "not UTF-8 from byte 0 on"),
    ("nested_too_deep", "not_json", b'{"deep":' + b"[" * 513 + b"]" * 513 + b"}", "less nesting"),
    ("megabyte_of_noise", "not_utf8", b"\xff" + bytes(range(256)) * 4095 + b"x" * 255, "not UTF-8 from byte 0 on"),
    ("megabyte_of_text", "not_json", b"all work and no play " * 49932 + b"full", "not JSON at byte 0"),
)


# gzip.

@cache
def bomb(size, byte=b"\0", before=b"", behind=b""):
    """`size` bytes, gzipped."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    block, rest = byte * (8 * MIB), size
    parts = [deflate.compress(before)]
    while rest:
        parts.append(deflate.compress(block[:rest]))
        rest -= min(rest, len(block))
    return b"".join([*parts, deflate.compress(behind), deflate.flush()])


@kind
def gzip_of_a_good_one(mark, time):
    text = document(mark, time)
    return replace(delivered(text, mark, time), data=gzip.compress(text))


@kind
def gzip_of_two_members(mark, time):
    text = document(mark, time)
    return replace(delivered(text, mark, time), data=gzip.compress(text[:20]) + gzip.compress(text[20:]))


@kind
def gzip_truncated(mark, time):
    return rejected("bad_gzip", gzip.compress(document(mark, time))[:-20], "cut short")


@kind
def gzip_without_its_trailer(mark, time):
    return rejected("bad_gzip", gzip.compress(document(mark, time))[:-8], "cut short")


@kind
def gzip_of_two_bytes(mark, time):
    return rejected("bad_gzip", b"\x1f\x8b", "no gzip header")


@kind
def gzip_with_a_wrong_checksum(mark, time):
    data = bytearray(gzip.compress(document(mark, time)))
    data[-5] ^= 1
    return rejected("bad_gzip", bytes(data), "checksum or size differs")


@kind
def gzip_with_garbage_behind(mark, time):
    return rejected("bad_gzip", gzip.compress(document(mark, time)) + b"garbage", "no gzip header")


@kind
def gzip_of_nothing(mark, time):
    return rejected("empty", gzip.compress(b""), "no bytes")


@kind
def gzip_of_words(mark, time):
    """Decompressed, what is bad is kept decompressed."""
    return rejected("not_json", gzip.compress(mark.encode()), kept=mark.encode())


@kind
def gzip_in_gzip(mark, time):
    inner = gzip.compress(document(mark, time))
    return rejected("not_utf8", gzip.compress(inner), "from byte 1 on", kept=inner)


@kind
def bomb_of_a_gigabyte_of_zeros(mark, time):
    return rejected("too_large", bomb(10**9), "more than 33554432 bytes after decompression")


@kind
def bomb_of_valid_json(mark, time):
    text = document("bomb")
    return rejected("too_large", bomb(34 * MIB, b"a", text[:-1] + b',"a":"', b'"}'), "more than 33554432 bytes")


@kind
def bomb_within_the_limit(mark, time):
    """Far larger decompressed: it is kept as it came."""
    return rejected("not_json", bomb(20 * MIB), "kept as the record came")


@kind
def grows_beyond_what_a_stream_takes(mark, time):
    """Good for all but a stream, whose records have at most a mebibyte: there it is kept decompressed."""
    text = document(mark, time, padding=random.Random(7).randbytes(600_000).hex())
    return replace(delivered(text, mark, time), data=gzip.compress(text))


@kind
def grows_far_beyond_what_a_stream_takes(mark, time):
    """So far that it is kept as it came."""
    text = document(mark, time, padding="word " * (2 * MIB // 5))
    return replace(delivered(text, mark, time), data=gzip.compress(text))


@kind
def a_mebibyte_of_json(mark, time):
    text = document(mark, time, padding="")
    return delivered(text[:-2] + b"x" * (MIB - len(text)) + text[-2:], mark, time)


# KPL aggregates.

def aggregate(records, partition_keys, checksum=None):
    """An aggregate of user records: pairs of the partition key's index and data."""
    message = messages_pb2.AggregatedRecord(partition_key_table=partition_keys)
    for index, data in records:
        message.records.add(partition_key_index=index, data=data)
    body = message.SerializeToString()
    return b"\xf3\x89\x9a\xc2" + body + (checksum or hashlib.md5(body).digest())


def key_of(mark):
    return mark.rpartition(".")[2]


@kind
def aggregate_with_a_wrong_checksum(mark, time):
    """Not an aggregate then: a record that is no text."""
    data = aggregate([(0, document(mark, time))], [key_of(mark)], checksum=bytes(16))
    return rejected("not_utf8", data, "from byte 0 on")


@kind
def aggregate_cut_short(mark, time):
    data = aggregate([(0, document(mark, time))], [key_of(mark)])[:-30]
    return rejected("not_utf8", data, "from byte 0 on")


@kind
def aggregate_of_nothing_but_magic(mark, time):
    return rejected("not_utf8", b"\xf3\x89\x9a\xc2", "from byte 0 on")


@kind
def aggregate_of_no_records(mark, time):
    return Sent(aggregate([], [key_of(mark)]))


@kind
def aggregate_of_good_and_bad_ones(mark, time):
    texts = [document(f"{mark}-{number}", time) for number in range(3)]
    packed = gzip.compress(texts[1])
    parts = [texts[0], b"no json", packed, b"", b"\xff", packed[:-9], texts[2]]
    return Sent(
        aggregate([(0, part) for part in parts], [key_of(mark)]),
        kept=(
            Kept("not_json", b"no json", sub_sequence=1), Kept("empty", b"", sub_sequence=3),
            Kept("not_utf8", b"\xff", sub_sequence=4), Kept("bad_gzip", packed[:-9], sub_sequence=5),
        ),
        events=tuple(
            Event(text, time=time, log_id=f"{mark}-{number}", sub_sequence=place)
            for number, (place, text) in enumerate(zip((0, 2, 6), texts))
        ),
    )


@kind
def aggregate_that_points_outside_of_its_keys(mark, time):
    """The whole is kept once, beside its good records."""
    texts = [document(f"{mark}-{number}", time) for number in range(2)]
    data = aggregate([(0, texts[0]), (1, b"{}"), (7, b"{}"), (0, texts[1])], [key_of(mark)])
    return Sent(
        data,
        kept=(Kept("bad_aggregate", data, "user record 1 of the KPL aggregate", sub_sequence=1),),
        events=(
            Event(texts[0], time=time, log_id=f"{mark}-0"),
            Event(texts[1], time=time, log_id=f"{mark}-1", sub_sequence=3),
        ),
    )


# CloudWatch Logs envelopes.

def envelope(events, message_type="DATA_MESSAGE", **members):
    return json.dumps({
        "messageType": message_type, "owner": "123456789012", "logGroup": "group", "logStream": "stream",
        "subscriptionFilters": ["all"], "logEvents": events, **members,
    }).encode()


@kind
def envelope_with_strange_messages(mark, time):
    texts = [document(f"{mark}-{number}", time, text="\u00e9\n\"\\") for number in range(2)]
    events = [
        {"id": "1", "timestamp": 1, "message": texts[0].decode()},
        {"id": "2", "timestamp": 2, "message": "START RequestId: 1 Version: $LATEST\n"},
        {"id": "3", "timestamp": 3, "message": 5},
        {"id": "4", "timestamp": 4},
        {"id": "5", "timestamp": 5, "message": ""},
        "no object",
        {"id": "7", "timestamp": 7, "message": "[]"},
        {"id": "8", "timestamp": 8, "message": json.dumps({"log_type": "\ud83d\ude00"})[:-1]},
        {"id": "9", "timestamp": 9, "message": texts[1].decode()},
    ]
    raw = [json.dumps(event).encode() for event in events]
    return Sent(
        gzip.compress(envelope(events)),
        kept=(
            Kept("not_json", events[1]["message"].encode(), event_index=1),
            Kept("bad_envelope", raw[2], "whose message is no text", event_index=2),
            Kept("bad_envelope", raw[3], "without a message", event_index=3),
            Kept("bad_envelope", raw[4], "with an empty message", event_index=4),
            Kept("bad_envelope", raw[5], "without a message", event_index=5),
            Kept("not_an_object", b"[]", event_index=6),
            Kept("not_json", events[7]["message"].encode(), event_index=7),
        ),
        events=(
            Event(texts[0], time=time, log_id=f"{mark}-0", event_index=0),
            Event(texts[1], time=time, log_id=f"{mark}-1", event_index=8),
        ),
    )


@kind
def envelope_of_far_more_bad_messages_than_the_record_has_bytes(mark, time):
    """Kept once, as it came, beside its good message."""
    text = document(mark, time)
    events = [{"id": "", "timestamp": 1, "message": "no json"}] * 2000
    data = gzip.compress(envelope([*events, {"message": text.decode()}]))
    event = Event(text, time=time, log_id=mark, event_index=2000)
    return Sent(data, kept=(Kept("not_json", data, "kept as the record came"),), events=(event,))


@kind
def envelope_of_a_control_message(mark, time):
    return Sent(gzip.compress(envelope([{"id": "", "timestamp": 1, "message": "CWL CONTROL"}], "CONTROL_MESSAGE")))


@kind
def envelope_of_no_events(mark, time):
    return Sent(envelope([]))


@kind
def envelope_that_is_no_json(mark, time):
    data = envelope([])[:-1]
    return rejected("not_json", data)


@kind
def envelope_of_another_type(mark, time):
    """An ordinary record."""
    text = document(mark, time, messageType="OTHER_MESSAGE", logEvents=[{"message": "x"}])
    return delivered(text, mark, time)


@kind
def envelope_without_log_events(mark, time):
    return delivered(document(mark, time, messageType="DATA_MESSAGE"), mark, time)


# Missing and strange fields.

UNKNOWN_TYPE = {"folder": "unknown/unknown_type", "index": hashed("unknown_unknown_type", "unknown/unknown_type")}


@kind
def no_log_type(mark, time):
    return delivered(document(mark, time, log_type=None), mark, time, **UNKNOWN_TYPE)


def log_type_is(value, mark, time):
    return delivered(document(mark, time).replace(b'"auth"', value), mark, time, **UNKNOWN_TYPE)


kinds("log_type_is", log_type_is, ("null", b"null"), ("object", b'{"a":1}'), ("array", b'["auth"]'), ("true", b"true"))


@kind
def log_type_is_a_number(mark, time):
    return delivered(document(mark, time, log_type=-4.5), mark, time, folder="-4.5", index=hashed("x4.5", "-4.5"))


@kind
def no_log_id(mark, time):
    return delivered(document(mark, time, log_id=None), mark, time, log_id=None)


def log_id_is(value, mark, time):
    text = document(mark, time).replace(f'"log_id": "{mark}"'.encode(), b'"log_id": ' + value)
    return delivered(text, mark, time, log_id=None)


kinds("log_id_is", log_id_is, ("null", b"null"), ("object", b'{"a":1}'), ("empty", b'""'), ("false", b"false"))


@kind
def log_id_is_a_number(mark, time):
    number = zlib.crc32(mark.encode())
    return delivered(document(mark, time, log_id=number), mark, time, log_id=str(number))


@kind
def log_id_of_600_bytes(mark, time):
    """More than OpenSearch takes for an id: there its hash stands for it."""
    log_id = mark + "x" * (600 - len(mark))
    return delivered(document(mark, time, log_id=log_id), mark, time, log_id=log_id)


@kind
def log_id_of_a_path(mark, time):
    log_id = f'../../../{mark}"\\\n\u0000\u2028\N{GRINNING FACE}'
    return delivered(document(mark, time, log_id=log_id), mark, time, log_id=log_id)


@kind
def no_time(mark, time):
    index = hashed("unknown_auth_no_timestamp", "unknown/auth/no_timestamp")
    text = document(mark, None)
    return delivered(text, mark, None, folder="unknown/auth/no_timestamp", index=index)


@kind
def no_fields_at_all(mark, time):
    name = "unknown/unknown_type/no_timestamp"
    return delivered(b"{}", mark, None, folder=name, index=hashed(name.replace("/", "_"), name), log_id=None)


def time_is(log_type, value, mark, time):
    name = f"unknown/{log_type}/bad_timestamp"
    text = document(mark, "STAMP", log_type=log_type).replace(b'"STAMP"', value.encode())
    return delivered(text, mark, None, folder=name, index=hashed(name.replace("/", "_"), name))


def time_in(log_type, value, moment, mark, time):
    text = document(mark, "STAMP", log_type=log_type).replace(b'"STAMP"', value.encode())
    return delivered(text, mark, datetime(*moment, tzinfo=timezone.utc), folder=log_type, index=log_type)


kinds("time_is", time_is, *((name, f"time_{name}", value) for name, value in (
    ("a_word", '"yesterday"'), ("empty", '""'), ("no_such_day", '"2015-02-30T00:00:00Z"'), ("no_such_hour", '"25:61"'),
    ("too_long", f'"{"2015-05-17 " * 30}"'), ("null", "null"), ("object", '{"$date":1}'), ("array", "[2015,5,17]"),
    ("truth_value", "true"), ("of_no_calendar", "1e30"),
)))


kinds("time_in", time_in, *((name, f"epoch_{name}", value, moment) for name, value, moment in (
    ("seconds", "1431857103", (2015, 5, 17, 10, 5, 3)), ("milliseconds", "1431857103123", (2015, 5, 17, 10, 5, 3)),
    ("microseconds", "1431857103123456", (2015, 5, 17, 10, 5, 3)), ("a_fraction", "1.5e9", (2017, 7, 14, 2, 40, 0)),
    ("zero", "0", (1970, 1, 1)), ("before_1970", "-86400.5", (1969, 12, 30, 23, 59, 59)),
)))


@kind
def time_at_the_ends_of_the_calendar(mark, time):
    first, last = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999+00:00"
    stamp, moment = (first, datetime(1, 1, 1, tzinfo=timezone.utc)) if key_of(mark) in ("key-0", "key-3") else (
        last, datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc))
    return delivered(document(mark, stamp, log_type="ends"), mark, moment, folder="ends", index="ends")


# Log types that would lead elsewhere.

LONG = "x" * 500
LONG_HASH = hashlib.sha256(LONG.encode()).hexdigest()[:16]
WIDE = "\u65e5" * 120
WIDE_HASH = hashlib.sha256(WIDE.encode()).hexdigest()[:16]

def log_type_of(log_type, folder, index, mark, time):
    return delivered(document(mark, time, log_type=log_type), mark, time, folder=folder, index=index)


kinds(
    "log_type_of", log_type_of,
    ("path", "../../etc", "..%2F..%2Fetc", hashed("x._.._etc", "../../etc")),
    ("absolute_path", "/etc/passwd", "%2Fetc%2Fpasswd", hashed("xetc_passwd", "/etc/passwd")),
    ("dot", ".", "%2E", hashed("x", ".")),
    ("dots", "..", "%2E%2E", hashed("x.", "..")),
    ("encoded_path", "%2e%2e%2f", "%252e%252e%252f", "%2e%2e%2f"),
    ("backslashes", "..\\..\\etc", "..%5C..%5Cetc", hashed("x._.._etc", "..\\..\\etc")),
    ("upper_case", "AUTH-Upper_Case", "AUTH-Upper_Case", "auth-upper_case"),
    ("500_characters", LONG, f"{LONG[:238]}~{LONG_HASH}", f"{LONG[:183]}-{LONG_HASH}"),
    ("wide_characters", WIDE, f"{'%E6%97%A5' * 26}%E6~{WIDE_HASH}", f"{WIDE[:61]}-{WIDE_HASH}"),
    ("emoji", "\N{GRINNING FACE}", "%F0%9F%98%80", "\N{GRINNING FACE}"),
    ("empty", "", "%empty", hashed("empty", "")),
    ("white_space", " a\tb\n", "%20a%09b%0A", hashed("xa_b_", " a\tb\n")),
    ("nul", "a\0b", "a%00b", hashed("a_b", "a\0b")),
    ("illegal_in_an_index", '-*?"<>|,#:', "-%2A%3F%22%3C%3E%7C%2C%23%3A", hashed("x" + "_" * 9, '-*?"<>|,#:')),
    ("name_of_the_unknown", "unknown/auth/no_timestamp", "unknown%2Fauth%2Fno_timestamp",
     hashed("unknown_auth_no_timestamp", "unknown/auth/no_timestamp")),
    ("comma_and_quotes", "a','b\"", "a%27%2C%27b%22", hashed("a'_'b_", "a','b\"")),
    ("right_to_left", "\u202egnp.exe", "%E2%80%AEgnp.exe", "\u202egnp.exe"),
)


@kind
def log_type_of_half_a_character(mark, time):
    """An escape that stands for no character: U+FFFD in its place."""
    text = document(mark, time).replace(b'"auth"', rb'"a\ud800"')
    return delivered(text, mark, time, folder="a%EF%BF%BD", index="a\ufffd")


# JSON that is hard on those who read it.

@kind
def pretty_printed(mark, time):
    text = json.dumps(json.loads(document(mark, time, list=[1, 2], a={"b": "c d"})), indent=2).replace("\n", "\r\n")
    return delivered(f" \n{text}\r\n\n ".encode(), mark, time)


@kind
def duplicate_keys(mark, time):
    text = document(mark, time)[:-1] + b', "log_type": "dup", "mark": "again"}'
    return delivered(text, mark, time, folder="dup", index="dup", refused="Duplicate field")


@kind
def nested_100_objects_deep(mark, time):
    text = document(mark, time)[:-1] + b', "deep": ' + b'{"a":' * 100 + b"1" + b"}" * 101
    return refused(text, mark, time, "depth")


@kind
def nested_512_arrays_deep(mark, time):
    text = document(mark, time)[:-1] + b', "deep": ' + b"[" * 512 + b"]" * 512 + b"}"
    return refused(text, mark, time, "depth of the nested array")


@kind
def number_beyond_a_double(mark, time):
    text = document(mark, time)[:-1] + b', "value": 1e400}'
    return refused(text, mark, time, "finite")


@kind
def number_of_300_digits(mark, time):
    text = document(mark, time)[:-1] + b', "value": ' + b"9" * 300 + b"}"
    return refused(text, mark, time, "out of range")


@kind
def escapes_of_nul_and_line_ends(mark, time):
    return delivered(document(mark, time, text="\0 \r\n \u2028 \N{GRINNING FACE}"), mark, time)


@kind
def object_where_a_number_was(mark, time):
    """A mapping conflict of OpenSearch, behind a record that fixes the mapping."""
    log_type = f"conflict-{key_of(mark)}"
    texts = [document(f"{mark}-{number}", time, log_type=log_type, value=value)
             for number, value in enumerate((1, {"a": 1}, 2))]
    conflict = (None, "failed to parse field [value] of type [long]", None)
    return Sent(
        aggregate([(0, text) for text in texts], [key_of(mark)]),
        events=tuple(
            Event(text, time=time, log_id=f"{mark}-{place}", folder=log_type, index=log_type, sub_sequence=place,
                  refused=conflict[place])
            for place, text in enumerate(texts)
        ),
    )


def field(reason, members, mark, time):
    return refused(document(mark, time, **members), mark, time, reason)


kinds(
    "field", field,
    ("of_metadata", "metadata field", {"_id": "x"}),
    ("without_a_name", "empty", {"": 1}),
    ("of_dots", "only the character [.]", {"..": 1}),
    ("a_thousand_times", "total fields", {f"field_{number}": number for number in range(1100)}),
)


# The run.

def configuration(folder, s3, opensearch, fluent):
    at_s3 = {"endpoint": s3.endpoint, "region": REGION, "allow_http": True}
    short = {"buffer_seconds": 1}
    modules = {
        "archive": {"type": "kinesis-to-s3", "destination": f"file://{folder}/archive", **short},
        "bucket": {"type": "kinesis-to-s3", "destination": f"s3://{BUCKET}/archive", **at_s3, **short},
        "index": {"type": "kinesis-to-es", "destination": opensearch.endpoint, "index_name_prefix": PREFIX},
        "events": {"type": "kinesis-to-fluent", "destination": f"127.0.0.1:{fluent.port}", "fluent_tag": "tag"},
        "forward": {"type": "kinesis-forward", "target_stream_name": "target"},
    }
    for name, module in modules.items():
        place = f"s3://{BUCKET}/failed" if name == "bucket" else f"file://{folder}/failed"
        module |= {"source": "router", "failed_store": place}
    return {"streams": {"router": {"shards": 2}, "target": {"shards": 2}}, "modules": modules}


@dataclass(frozen=True)
class Record:
    """A record in the router, and what becomes of it."""

    sequence_number: str
    shard: str
    key: str
    arrival: datetime
    sent: Sent


class Run:
    """Everything put, waited for, and stopped; the tests below look at one destination after the other."""

    def __init__(self, folder, s3, opensearch, fluent):
        self.folder, self.s3, self.opensearch, self.fluent = folder, s3, opensearch, fluent
        self.server = Baikonur(folder, configuration(folder, s3, opensearch, fluent), s3.environment)

    def put(self):
        """The kinds one after the other on every key, each between good records."""
        sent = []
        for number, (name, make) in enumerate(KINDS.items()):
            time = datetime(2016, 1, 1, 2, 3, 4, tzinfo=JST) + timedelta(days=number)
            for key in KEYS:
                sent += [(key, good(f"good-{number:03}.{key}")), (key, make(f"{name}.{key}", time))]
        sent += [(key, good(f"good-last.{key}")) for key in KEYS]
        client = self.server.client()
        placed = put_all(client, "router", [(one.data, key) for key, one in sent])
        self.router = read_stream(client, "router")
        arrivals = {
            record["SequenceNumber"]: record["ApproximateArrivalTimestamp"].astimezone(timezone.utc)
            for records in self.router.values() for record in records
        }
        self.records = [
            Record(number, shard, key, arrivals[number], one)
            for (key, one), (shard, number) in zip(sent, placed, strict=True)
        ]
        # An event without a time of its own has that of its arrival.
        self.events = [
            (record, replace(event, time=event.time or record.arrival))
            for record in self.records for event in record.sent.events
        ]

    def expected_failures(self, module):
        """(sequence number, sub-sequence, event index) → record and line of the failed store."""
        failures = [(record, kept) for record in self.records for kept in record.sent.kept]
        for record, event in self.events:
            place = {"sub_sequence": event.sub_sequence, "event_index": event.event_index}
            if module == "index" and event.refused:
                failures.append((record, Kept("refused_by_elasticsearch", event.text, event.refused, **place)))
            if module == "forward" and len(event.text) > MIB:
                # Far larger than its record, it is kept as it came.
                kept = event.text if len(event.text) <= 4096 + 16 * len(record.sent.data) else record.sent.data
                failures.append((record, Kept("too_large_for_stream", kept, "MaxRecordSizeInKiB", **place)))
        found = {(record.sequence_number, kept.sub_sequence, kept.event_index): (record, kept)
                 for record, kept in failures}
        assert len(found) == len(failures)
        return found

    def failed_objects(self, module):
        """Key below the failed store → lines, of one module."""
        if module == "bucket":
            objects = self.s3.objects(BUCKET, "failed/")
            files = {key.removeprefix("failed/"): gzip.decompress(body) for key, body in objects.items()}
        else:
            files = Folder(self.folder / "failed").files()
        objects = {key: [json.loads(line) for line in body.splitlines()] for key, body in files.items()}
        return {key: lines for key, lines in objects.items() if lines[0]["consumer"] == module}

    def archived(self, module):
        """Key below the destination → bytes."""
        if module == "archive":
            return Folder(self.folder / "archive").files()
        objects = self.s3.objects(BUCKET, "archive/")
        return {key.removeprefix("archive/"): gzip.decompress(body) for key, body in objects.items()}

    def target(self):
        return read_stream(self.server.client(), "target")

    def late(self):
        """What has not arrived yet: place → how many."""
        in_stream = sum(len(event.text) <= MIB for _, event in self.events)
        indexed = sum(not event.refused for _, event in self.events)
        counts = {
            "target": in_stream - sum(map(len, self.target().values())),
            "index": indexed - self.opensearch.count(f"{PREFIX}-*"),
            "events": len(self.events) - self.fluent.count(),
        }
        for module in ("archive", "bucket"):
            lines = sum(body.count(b"\n") for body in self.archived(module).values())
            counts[module] = len(self.events) - lines
        for module in MODULES:
            lines = sum(map(len, self.failed_objects(module).values()))
            counts[f"failed {module}"] = len(self.expected_failures(module)) - lines
        return {place: count for place, count in counts.items() if count > 0}


@pytest.fixture(scope="module")
def run(tmp_path_factory, s3, opensearch):
    s3.client().create_bucket(Bucket=BUCKET)
    with started(FluentReceiver, tmp_path_factory) as fluent:
        run = Run(tmp_path_factory.mktemp("bad_input"), s3, opensearch, fluent)
        run.indices_before = set(opensearch.get("/_all/_settings"))
        with run.server:
            run.put()
            deadline = time.monotonic() + SECONDS_TO_ARRIVE
            while run.late() and time.monotonic() < deadline:
                time.sleep(0.5)
            run.late_at_the_end, run.streams = run.late(), run.target()
            run.peak_memory_mib, run.metrics = run.server.peak_memory_mib(), run.server.metrics()
            # Nothing more can come, so that what follows sees all that was delivered too often as well.
            run.exit_status = run.server.stop()
            yield run


def assert_same(found, expected):
    """Both are Counters; a difference is shown in part."""
    missing, surplus = expected - found, found - expected
    shown = [f"{text[:300]}…" for text in map(repr, [*list(missing)[:4], "surplus:", *list(surplus)[:4]])]
    assert not missing and not surplus, f"{missing.total()} missing, {surplus.total()} too many: {shown}"


def test_the_router_takes_all_of_it_as_it_is(run):
    for shard, records in run.router.items():
        expected = [(one.sequence_number, one.key, one.sent.data) for one in run.records if one.shard == shard]
        assert {key for _, key, _ in expected} == {key for key, of_shard in KEYS.items() if of_shard == shard}
        found = [(one["SequenceNumber"], one["PartitionKey"], one["Data"]) for one in records]
        assert found == expected, shard


def test_no_shard_stands_still(run):
    assert run.late_at_the_end == {}, run.server.log_tail(10)
    assert run.exit_status == 0
    for module in MODULES:
        for shard, records in run.router.items():
            delivered = rf'baikonur_delivered_records_total{{module="{module}",stream="router",shard="{shard}"}} (\d+)'
            assert re.findall(delivered, run.metrics) == [str(len(records))]


def test_memory_stays_bounded(run):
    print(f"peak of the resident set: {run.peak_memory_mib:.0f} MiB")
    assert run.peak_memory_mib < PEAK_MEMORY_MIB


@pytest.mark.parametrize("module", ["archive", "bucket"])
def test_an_archive_holds_every_event_once_below_its_own_folder(run, module):
    expected = Counter((f"{event.folder}/{day(event.time, '-', '/')}", event.line) for _, event in run.events)
    by_line = {event.line: event for _, event in run.events}
    found = Counter()
    for key, body in run.archived(module).items():
        lines = body.splitlines()
        place, _, name = key.rpartition("/")
        found.update((place, line) for line in lines)
        assert len(name.encode()) <= 255
        first = by_line[lines[0]]
        stem = f"{day(first.time, '-', '-')}-{first.time:%H:%M:%S}-"
        assert name.startswith(stem) and name.endswith(".gz"), name
        log_id = name[len(stem):-len(".gz")]
        if first.log_id is None:
            assert uuid.UUID(log_id).version == 8
        elif len(quote(first.log_id, safe="")) <= 200:
            assert log_id == quote(first.log_id, safe="")
        else:
            assert re.fullmatch(re.escape(quote(first.log_id, safe="")[:183]) + "~[0-9a-f]{16}", log_id)
    assert_same(found, expected)


def test_nothing_is_written_anywhere_else(run):
    assert {entry.name for entry in run.folder.iterdir()} == {
        "archive", "failed", "data", "baikonur.toml", "baikonur.log",
    }
    top_folders = {event.folder.partition("/")[0] for _, event in run.events}
    assert {entry.name for entry in (run.folder / "archive").iterdir()} == top_folders
    for outside in (run.folder / "etc", run.folder.parent / "etc", Path("/etc/2015-05"), Path("/etc/passwd/2015-05")):
        assert not outside.exists()
    assert {key.partition("/")[0] for key in run.s3.objects(BUCKET)} == {"archive", "failed"}


def test_the_index_holds_every_document_once_but_those_refused(run):
    expected, expected_indices = Counter(), set()
    for _, event in run.events:
        index = f"{PREFIX}-{event.index}-{day(event.time, '', '')}"
        # OpenSearch makes the index before it refuses the document.
        expected_indices.add(index)
        if event.refused:
            continue
        log_id = event.log_id
        if log_id is not None and len(log_id.encode()) > 512:
            log_id = f"sha256-{hashlib.sha256(log_id.encode()).hexdigest()}"
        expected[index, log_id, canonical(json.loads(event.text))] += 1
    found, derived = Counter(), set()
    for index, identifier, source in run.opensearch.documents(f"{PREFIX}-*"):
        if re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", identifier):
            derived.add(identifier)
            identifier = None
        found[index, identifier, canonical(source)] += 1
    assert_same(found, expected)
    assert len(derived) == sum(event.log_id is None and not event.refused for _, event in run.events)
    indices = set(run.opensearch.get("/_all/_settings")) - run.indices_before
    assert indices == expected_indices


def test_the_fluent_receiver_got_every_event_under_a_safe_tag(run):
    expected = Counter(
        (f"{event.folder}.tag", int((event.time - EPOCH).total_seconds() // 1), event.line.decode())
        for _, event in run.events
    )
    found = Counter((tag, seconds, record["message"]) for tag, seconds, _, record in run.fluent.events())
    assert_same(found, expected)


def test_the_target_stream_holds_every_event_that_fits_in_the_order_of_its_key(run):
    expected, found = defaultdict(list), defaultdict(list)
    for record, event in run.events:
        if len(event.text) <= MIB:
            expected[record.key].append(event.text)
    for records in run.streams.values():
        for record in records:
            found[record["PartitionKey"]].append(record["Data"])
    assert found.keys() == expected.keys()
    for key, texts in expected.items():
        assert_same(Counter(found[key]), Counter(texts))
        assert found[key] == texts, f"order of {key}"


@pytest.mark.parametrize("module", MODULES)
def test_the_failed_store_holds_what_could_not_be_delivered_with_its_reason_and_bytes(run, module):
    expected = run.expected_failures(module)
    for key, lines in run.failed_objects(module).items():
        check_key(key, module, lines)
        for line in lines:
            place = line["sequence_number"], line["sub_sequence"], line["event_index"]
            assert place in expected, f"not expected, or there twice: {line}"
            record, kept = expected.pop(place)
            check_line(line, module, record, kept)
    assert not expected, [(record.key, kept.reason, kept.data[:100]) for record, kept in expected.values()]


def test_failed_records_are_counted_by_module_shard_and_reason(run):
    expected = Counter(
        (module, "router", record.shard, kept.reason)
        for module in MODULES for record, kept in run.expected_failures(module).values()
    )
    found = Counter()
    for labels, count in re.findall(r"baikonur_failed_records_total\{(.*)\} (\d+)", run.metrics):
        label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        found[label["module"], label.get("stream"), label.get("shard"), label["reason"]] += int(count)
    assert_same(found, expected)


def check_line(line, module, record, kept):
    data = base64.b64decode(line["data_base64"]) if "data_base64" in line else line["data"].encode()
    assert data == kept.data, (line["reason"], data[:100], kept.data[:100])
    assert ("data" in line) == is_utf8(kept.data) and ("data" in line) != ("data_base64" in line)
    assert kept.detail in line["detail"], line
    told = {key: value for key, value in line.items() if key not in ("data", "data_base64", "detail")}
    assert told == {
        "reason": kept.reason, "consumer": module, "stream": "router", "shard": record.shard,
        "sequence_number": record.sequence_number, "sub_sequence": kept.sub_sequence,
        "event_index": kept.event_index, "partition_key": record.key,
        "arrival": record.arrival.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def check_key(key, module, lines):
    """The place of the first line and those of all, as docs/failed-store.md has it; all lines have its reason."""
    first = lines[0]
    assert {line["reason"] for line in lines} == {first["reason"]}
    arrival = datetime.fromisoformat(first["arrival"])
    delivering = ("refused_by_elasticsearch", "too_large_for_stream")
    folder = first["reason"] if first["reason"] in delivering else f"unknown/{first['reason']}"
    place = f"{first['sequence_number']}-{first['sub_sequence']}-{first['event_index']}"
    places = hashlib.sha256(b"".join(
        line["sequence_number"].encode() + line["sub_sequence"].to_bytes(8) + line["event_index"].to_bytes(4)
        for line in lines
    ))
    assert key == (
        f"{folder}/{module}/{arrival:%Y-%m/%d}/{arrival:%Y-%m-%d-%H:%M:%S}-router-{int(first['shard'][-12:])}-"
        f"{place}-{len(lines)}-{places.hexdigest()[:8]}.gz"
    )


def is_utf8(data):
    try:
        return data.decode() is not None
    except UnicodeDecodeError:
        return False


def canonical(document):
    return json.dumps(document, sort_keys=True)


def day(time, before_month, before_day):
    """The date with four digits of a year, which strftime does not give to every one."""
    return f"{time.year:04}{before_month}{time.month:02}{before_day}{time.day:02}"


def test_after_a_restart_the_bad_ones_do_not_come_again(run):
    """The checkpoints are behind them: only what is put now is delivered."""
    failed = {module: run.failed_objects(module) for module in MODULES}
    with run.server.start():
        client = run.server.client()
        news = [(good(f"good-again.{key}"), key) for key in KEYS]
        put_all(client, "router", [(one.data, key) for one, key in news])
        texts = {one.data for one, _ in news}
        before = sum(map(len, run.streams.values()))
        eventually(lambda: sum(map(len, run.target().values())) >= before + len(texts), "forwarded", 30)
        eventually(lambda: run.fluent.count() >= len(run.events) + len(texts), "received", 30)
        eventually(lambda: texts <= set(Folder(run.folder / "archive").lines()), "archived", 30)
        eventually(lambda: all(
            f'module="{module}",stream="router",shard="{shard}"}} 2\n' in run.server.metrics()
            for module in MODULES for shard in run.router
        ), "delivered by all", 30)
        assert run.server.stop() == 0
    assert {module: run.failed_objects(module) for module in MODULES} == failed
    assert run.fluent.count() == len(run.events) + len(texts)
    assert sum(body.count(b"\n") for body in run.archived("bucket").values()) == len(run.events) + len(texts)
