"""Botocore's model of the Kinesis API: values at and beyond each constraint, values of wrong types, and what fits."""

import base64
import copy
import re
from dataclasses import dataclass

import botocore.session

MODEL = botocore.session.get_session().get_service_model("kinesis")
_ALL = [MODEL.operation_model(name) for name in MODEL.operation_names]
# Families of 2026 that embedded streams do not have.
OUT_OF_SCOPE = [one for one in _ALL if re.search("Queue|Channel", one.name)]
OPERATIONS = {one.name: one for one in _ALL if one not in OUT_OF_SCOPE}

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
# Shape → what comes before and after as many letters as make the length.
AROUND = {
    "StreamARN": (ARN, ""),
    "ResourceARN": (ARN, ""),
    "ConsumerARN": (f"{ARN}a/consumer/", ":1"),
}
# Shapes whose pattern leaves no choice of length: values that match it, and values that do not.
BY_PATTERN = {
    "HashKey": (("0", "1" + "0" * 38), ("", "00", "01", "-1", "1" * 40, "x")),
    "SequenceNumber": (("0", "1" + "0" * 128), ("", "00", "01", "-1", "1" * 130, "x")),
    "StreamId": (("a1b2c3d4e5a1b2c3d4e5-x1z",), ("", "a" * 24, "A" * 20 + "-abc", "a" * 21 + "-abc")),
}
# Lengths are counted in characters, not bytes.
UNICODE = ("PartitionKey", "TagKey", "TagValue")
# Structures that a request need not have, with the least that they must have.
DEFAULTS = {
    "ShardFilter": {"Type": "AT_LATEST"},
    "StreamModeDetails": {"StreamMode": "PROVISIONED"},
    "TagMap": {"team": "logs"},
}
WRONG = {
    "string": (5, True, [], {}),
    "integer": ("x", True, [], {}),
    "boolean": (5, "x", [], {}),
    "timestamp": ("x", True, [], {}),
    "blob": (5, True, "!!!!", "YWI", [], {}),
    "list": ("x", 5, True, {}),
    "map": ("x", 5, True, []),
    "structure": ("x", 5, True, []),
}


@dataclass(frozen=True)
class Place:
    """A member of a request: the way to it, the name that errors give it, and its shape."""

    way: tuple
    name: str
    shape: object
    required: bool

    def put(self, request, value):
        """The request with another value there; what it stands in is made when the request does not have it."""
        request = copy.deepcopy(request)
        here, shape = request, None
        for step, shape in self.way[:-1]:
            if isinstance(here, dict):
                here.setdefault(step, copy.deepcopy(DEFAULTS.get(shape.name, {})))
            here = here[step]
        step, _ = self.way[-1]
        here[step] = value
        return request

    def without(self, request):
        """The request without it, but with what it should stand in."""
        here = request = self.put(request, None)
        for step, _ in self.way[:-1]:
            here = here[step]
        del here[self.way[-1][0]]
        return request


def places(operation, request):
    """All members of an operation's input; of lists and maps, the first element that the request has."""
    def walk(shape, way, name, value):
        if shape.type_name == "structure":
            for member, inner in shape.members.items():
                lower = member[0].lower() + member[1:]
                inner_name = f"{name}.{lower}" if name else lower
                inner_way = (*way, (member, inner))
                yield Place(inner_way, inner_name, inner, member in shape.required_members)
                default = DEFAULTS.get(inner.name) if inner.type_name in ("structure", "map") else None
                yield from walk(inner, inner_way, inner_name, (value or {}).get(member, default))
        elif shape.type_name == "list" and value:
            # Of a list of structures, errors name the element's member; of other lists, the list.
            inner_way = (*way, (0, shape.member))
            if shape.member.type_name == "structure":
                yield Place(inner_way, f"{name}.1.member", shape.member, False)
                yield from walk(shape.member, inner_way, f"{name}.1.member", value[0])
            else:
                yield Place(inner_way, name, shape.member, False)
        elif shape.type_name == "map" and value:
            yield Place((*way, (next(iter(value)), shape.value)), name, shape.value, False)

    return list(walk(operation.input_shape, (), "", request))


def _text(shape, length):
    before, after = AROUND.get(shape.name, ("", ""))
    letter = "é" if shape.name in UNICODE else "a"
    return before + letter * max(length - len(before) - len(after), 1) + after


def _items(shape, count):
    """A list or a map of so many elements."""
    if shape.type_name == "map":
        return {f"key-{place}": "value" for place in range(count)}
    if shape.member.type_name == "structure":
        return [{"Data": "YQ==", "PartitionKey": "a"}] * count
    if shape.member.enum:
        return (list(shape.member.enum) * count)[:count]
    return [f"key-{place}" for place in range(count)]


def boundary(shape):
    """Values that are just within the constraints of a shape."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name == "string":
        if shape.name in BY_PATTERN:
            values = BY_PATTERN[shape.name][0]
        elif shape.enum:
            values = shape.enum
        else:
            values = [_text(shape, bound) if bound else "" for bound in (least, most) if bound is not None]
        for value in values:
            pattern = shape.metadata.get("pattern")
            assert not pattern or re.fullmatch(pattern, value), f"{value} does not match {pattern}"
        return list(values)
    bounds = [bound for bound in (least, most) if bound is not None]
    if shape.type_name == "blob":
        return [base64.b64encode(b"x" * bound).decode() for bound in bounds]
    if shape.type_name in ("list", "map"):
        return [_items(shape, bound) for bound in bounds]
    return bounds


def beyond(shape):
    """Values that break one of the constraints of a shape."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    kind, values = shape.type_name, []
    if kind == "string":
        if shape.name in BY_PATTERN:
            return list(BY_PATTERN[shape.name][1])
        if shape.enum:
            return ["", "NONSENSE", shape.enum[0].lower()]
        if shape.metadata.get("pattern"):
            values = ["!", _text(shape, 60) + " b"]
        if least:
            values.append("")
        if most is not None:
            values.append(_text(shape, most + 1))
    elif kind == "blob" and most is not None:
        values = [base64.b64encode(b"x" * (most + 1)).decode()]
    elif kind in ("list", "map"):
        values = [_items(shape, count) for count in ((least or 0) - 1, (most or -2) + 1) if count >= 0]
        if kind == "map":
            values += [{"": "value"}, {_text(shape.key, shape.key.metadata["max"] + 1): "value"}]
    elif kind == "integer":
        values = [least - 1] if least is not None else []
        values += [most + 1] if most is not None else []
    return values


def misfits(value, shape, path="answer"):
    """What of a JSON answer the model does not know, or misses."""
    kind = shape.type_name
    expected = {
        "structure": dict, "map": dict, "list": list, "string": str, "boolean": bool, "blob": str,
        "integer": int, "long": int, "timestamp": (int, float), "double": (int, float),
    }[kind]
    if not isinstance(value, expected) or (isinstance(value, bool) and kind != "boolean"):
        return [f"{path} is no {kind}: {value!r:.100}"]
    found = []
    if kind == "structure":
        found += [f"{path}.{member} is unknown" for member in value.keys() - shape.members.keys()]
        found += [f"{path}.{member} is missing" for member in shape.required_members if member not in value]
        for member in value.keys() & shape.members.keys():
            found += misfits(value[member], shape.members[member], f"{path}.{member}")
    elif kind == "list":
        for place, element in enumerate(value):
            found += misfits(element, shape.member, f"{path}[{place}]")
    elif kind == "map":
        for key, element in value.items():
            found += misfits(element, shape.value, f"{path}[{key}]")
    elif kind == "string":
        if shape.enum and value not in shape.enum:
            found.append(f"{path} is none of {shape.enum}: {value}")
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            found.append(f"{path} does not match {pattern}: {value}")
        if not shape.metadata.get("min", 0) <= len(value) <= shape.metadata.get("max", len(value)):
            found.append(f"{path} is too short or too long: {value!r:.100}")
    return found
