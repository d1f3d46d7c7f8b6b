"""CBOR 1.1 as Amazon's SDKs write it: requests in JSON's values to bytes, by the shapes of the model, and answers back.

What the two formats have different comes from the shape: blobs are byte strings instead of base64, timestamps are tag 1
with whole milliseconds instead of seconds. A value that does not fit its shape is written as what it is.
"""

import base64
import binascii
import struct

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)


def _head(major, argument):
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << 8 * size:
            return bytes([major << 5 | info]) + argument.to_bytes(size, "big")
    raise ValueError(f"{argument} is too large")


def encode(value, shape=None):
    """A value of a request; without a shape, as what it is."""
    kind = shape.type_name if shape is not None else None
    if kind == "blob" and isinstance(value, str):
        try:
            data = base64.b64decode(value, validate=True)
            return _head(BYTES, len(data)) + data
        except binascii.Error:
            pass
    if kind == "timestamp" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _head(TAG, 1) + encode(round(value * 1000))
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _head(UNSIGNED, value) if value >= 0 else _head(NEGATIVE, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return _head(TEXT, len(data)) + data
    if isinstance(value, list):
        member = shape.member if kind == "list" else None
        return _head(ARRAY, len(value)) + b"".join(encode(one, member) for one in value)
    inner = {"structure": lambda key: shape.members.get(key), "map": lambda _: shape.value}.get(kind, lambda _: None)
    return _head(MAP, len(value)) + b"".join(encode(key) + encode(one, inner(key)) for key, one in value.items())


def decode(data):
    """An answer in JSON's values; all of it is one value."""
    value, rest = _item(memoryview(data))
    assert not rest, f"{len(rest)} bytes follow"
    return value


def _item(data):
    major, info = data[0] >> 5, data[0] & 31
    data = data[1:]
    if info == 31:
        items = []
        while data[0] != 0xFF:
            one, data = _item(data)
            items.append(one)
        assert major in (ARRAY, MAP), major
        return (items if major == ARRAY else dict(zip(items[::2], items[1::2]))), data[1:]
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
    raw, data = bytes(data[:size]), data[size:]
    argument = int.from_bytes(raw, "big") if size else info
    if major == UNSIGNED:
        return argument, data
    if major == NEGATIVE:
        return -1 - argument, data
    if major == BYTES:
        return base64.b64encode(data[:argument]).decode(), data[argument:]
    if major == TEXT:
        return bytes(data[:argument]).decode(), data[argument:]
    if major in (ARRAY, MAP):
        items = []
        for _ in range(argument * (2 if major == MAP else 1)):
            one, data = _item(data)
            items.append(one)
        return (items if major == ARRAY else dict(zip(items[::2], items[1::2]))), data
    if major == TAG:
        value, data = _item(data)
        assert argument == 1 and isinstance(value, int), f"a timestamp is tag 1 of whole milliseconds: {value}"
        return value / 1000, data
    if size == 8:
        return struct.unpack(">d", raw)[0], data
    return {20: False, 21: True, 22: None}[info], data
