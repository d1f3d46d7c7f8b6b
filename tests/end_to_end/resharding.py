"""Changing the shards of a stream while it is in use, reading it along its family tree, and what must be true of it."""

import re
import threading
import time

import botocore.exceptions

from numbered_records import ERRORS
from parts.waiting import eventually

KEY_SPACE = 1 << 128


def shards_of(client, stream):
    """Shard id → its description, closed ones too."""
    pages = client.get_paginator("list_shards").paginate(StreamName=stream)
    return {shard["ShardId"]: shard for page in pages for shard in page["Shards"]}


def hash_range(shard):
    return tuple(int(shard["HashKeyRange"][name]) for name in ("StartingHashKey", "EndingHashKey"))


def parents_of(shard):
    return [shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard]


def is_open(shard):
    return "EndingSequenceNumber" not in shard["SequenceNumberRange"]


def open_shards(shards):
    """Those that take records, in the order of the key space."""
    return sorted((shard for shard in shards.values() if is_open(shard)), key=hash_range)


def settled(client, stream):
    """The open shards, once the stream is active."""
    def active():
        described = client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
        return described["StreamStatus"] == "ACTIVE"

    eventually(active, "the stream is active", 30)
    return open_shards(shards_of(client, stream))


def check_whole(shards):
    """Open shards cover the key space once; each child has closed parents, and its place within theirs."""
    ranges = [hash_range(shard) for shard in open_shards(shards)]
    assert ranges[0][0] == 0 and ranges[-1][1] == KEY_SPACE - 1, ranges
    assert all(a[1] + 1 == b[0] for a, b in zip(ranges, ranges[1:])), ranges
    with_children = set()
    for shard in shards.values():
        parents = [shards[parent] for parent in parents_of(shard)]
        with_children.update(parents_of(shard))
        start, end = hash_range(shard)
        of_parents = sorted(hash_range(parent) for parent in parents)
        if len(parents) == 1:
            assert of_parents[0][0] <= start <= end <= of_parents[0][1], (shard, parents)
            assert start == of_parents[0][0] or end == of_parents[0][1], (shard, parents)
        elif parents:
            assert (start, end) == (of_parents[0][0], of_parents[1][1]), (shard, parents)
            assert of_parents[0][1] + 1 == of_parents[1][0], (shard, parents)
    closed = {name for name, shard in shards.items() if not is_open(shard)}
    assert with_children == closed, "shards are closed when they have children, and only then"


def check_nothing_forgotten(before, after):
    """What was told of shards stays true, but that open ones may have been closed."""
    for name, shard in before.items():
        known = after[name]
        if is_open(shard):
            known = {**known, "SequenceNumberRange": {**known["SequenceNumberRange"]}}
            known["SequenceNumberRange"].pop("EndingSequenceNumber", None)
        assert known == shard, name


def split(client, stream, shard, part=0.5):
    """Splits a shard; the lower child gets `part` of it."""
    start, end = hash_range(shard)
    at = start + max(1, int((end - start) * part))
    client.split_shard(StreamName=stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=str(at))


def merge(client, stream, lower, upper):
    client.merge_shards(StreamName=stream, ShardToMerge=lower["ShardId"], AdjacentShardToMerge=upper["ShardId"])


def scale(client, stream, count):
    client.update_shard_count(StreamName=stream, TargetShardCount=count, ScalingType="UNIFORM_SCALING")


def change_somehow(client, stream, choice, least=1, most=8):
    """A split, a merge or a scaling, within bounds; says which."""
    now = open_shards(shards_of(client, stream))
    ways = ["split"] * (len(now) < most) * 2 + ["merge"] * (len(now) > least) * 2 + ["scale"]
    way = choice.choice(ways)
    if way == "split":
        split(client, stream, choice.choice(now), choice.uniform(0.2, 0.8))
    elif way == "merge":
        at = choice.randrange(len(now) - 1)
        merge(client, stream, now[at], now[at + 1])
    else:
        scale(client, stream, choice.randint(max(least, -(-len(now) // 2)), min(most, 2 * len(now))))
    return way


class FamilyReader:
    """Reads a stream by GetRecords from its oldest shards on, and a child when all its parents have come to their end.

    It knows the first shards from ListShards, and all others from ChildShards alone.
    """

    def __init__(self, client, stream):
        self.client, self.stream = client, stream
        self.records, self.ended = [], set()
        # Shard → iterator; and child → parents, while one of them is still being read.
        self.reading, self.waiting = {}, {}
        shards = shards_of(client, stream)
        for name, shard in shards.items():
            if not any(parent in shards for parent in parents_of(shard)):
                self.begin(name)

    def begin(self, shard):
        answer = self.client.get_shard_iterator(
            StreamName=self.stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        self.reading[shard] = answer["ShardIterator"]

    def step(self):
        """Asks each shard once; gives whether there is nothing more just now."""
        at_tip = True
        for shard in list(self.reading):
            answer = self.client.get_records(ShardIterator=self.reading[shard])
            self.records += [(shard, record) for record in answer["Records"]]
            at_tip = at_tip and not answer["Records"] and answer["MillisBehindLatest"] == 0
            following = answer.get("NextShardIterator")
            children = answer.get("ChildShards", [])
            assert bool(following) != bool(children), f"{shard}: children are told at the end, and only there: {answer}"
            if following:
                self.reading[shard] = following
                continue
            self.ended.add(shard)
            del self.reading[shard]
            for child in children:
                assert shard in child["ParentShards"], (shard, child)
                self.waiting[child["ShardId"]] = set(child["ParentShards"])
            at_tip = False
        for child in [child for child, parents in self.waiting.items() if parents <= self.ended]:
            self.begin(child)
            del self.waiting[child]
        return at_tip

    def to_the_tip(self):
        while not self.step():
            pass
        shards = shards_of(self.client, self.stream)
        assert not self.waiting, self.waiting
        assert self.ended == {name for name, shard in shards.items() if not is_open(shard)}
        assert self.reading.keys() == {shard["ShardId"] for shard in open_shards(shards)}
        return self.records


class Following(threading.Thread):
    """A FamilyReader that goes on while the stream is written, over restarts of the server."""

    def __init__(self, server, stream):
        super().__init__(name=f"following-{stream}", daemon=True)
        self.reader = FamilyReader(server.client(max_pool_connections=1), stream)
        self.stop = threading.Event()
        self.error = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.join(60)

    def run(self):
        try:
            while not self.stop.is_set():
                try:
                    at_tip = self.reader.step()
                except botocore.exceptions.ClientError:
                    raise
                except ERRORS:
                    # The server is down; the same iterators are asked again.
                    at_tip = True
                time.sleep(0.1 if at_tip else 0)
        except BaseException as error:  # shown by the main thread
            self.error = error

    def finish(self):
        """All that it read, to the tip."""
        self.__exit__()
        assert not self.is_alive() and self.error is None, self.error
        return self.reader.to_the_tip()


def metric(server, name, **labels):
    """Values of a metric by shard, of those that have the labels."""
    values = {}
    for told, value in re.findall(rf"^{name}\{{(.*)\}} (\S+)$", server.metrics(), re.MULTILINE):
        told = dict(re.findall(r'(\w+)="([^"]*)"', told))
        if labels.items() <= told.items():
            values[told["shard"]] = float(value)
    return values
