"""Records that are numbered within their partition key, the clients that put them, and what must be true of them."""

import gzip
import json
import random
import threading
import time
from collections import Counter

import botocore.exceptions

# What a client gets instead of an answer.
ERRORS = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


def key_of(identifier):
    """The partition key that an identifier was put under."""
    return identifier.rpartition("-")[0]


def line(identifier, padding=0):
    """A log line that is known by its identifier."""
    return json.dumps({
        "log_type": "auth", "log_id": identifier, "time": "2026-11-24T12:00:00Z", "padding": "x" * padding,
    }).encode()


def identifier_of(data):
    text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return json.loads(text)["log_id"]


def padded(choice, identifier):
    """A line of some length."""
    return line(identifier, choice.randrange(300))


class Writer(threading.Thread):
    """A client that puts, remembers what was acknowledged, and never sends a record twice.

    `make` makes a line of a source of random choices and an identifier.
    """

    def __init__(self, number, server, stop, seed, stream="router", name="w", keys=16, make=padded):
        super().__init__(name=f"writer-{number}", daemon=True)
        self.server, self.stop, self.stream, self.make = server, stop, stream, make
        self.random = random.Random(f"{seed}-writer-{number}")
        self.next = {f"{name}{number}-k{key:02}": 0 for key in range(keys)}
        # (identifier, shard, sequence number) in the order of the answers.
        self.acknowledged, self.unknown, self.refused = [], set(), []
        self.error = None

    def record(self):
        key = self.random.choice(list(self.next))
        identifier = f"{key}-{self.next[key]:06}"
        self.next[key] += 1
        return identifier, {"Data": self.make(self.random, identifier), "PartitionKey": key}

    def run(self):
        try:
            client = self.server.client(
                retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=20, max_pool_connections=1,
            )
            while not self.stop.is_set():
                self.put(client)
                time.sleep(self.random.uniform(0, 0.05))
        except BaseException as error:  # shown by the main thread
            self.error = error

    def put(self, client):
        batch = [self.record() for _ in range(self.random.randint(1, 30))]
        try:
            if len(batch) == 1:
                answers = [client.put_record(StreamName=self.stream, **batch[0][1])]
            else:
                records = [entry for _, entry in batch]
                answers = client.put_records(StreamName=self.stream, Records=records)["Records"]
        except ERRORS as error:
            # No answer: each may have been taken, or not.
            self.unknown.update(identifier for identifier, _ in batch)
            if isinstance(error, botocore.exceptions.ClientError):
                self.refused.append(str(error))
            return
        for (identifier, _), answer in zip(batch, answers, strict=True):
            if "SequenceNumber" in answer:
                self.acknowledged.append((identifier, answer["ShardId"], int(answer["SequenceNumber"])))
            else:
                self.unknown.add(identifier)
                self.refused.append(str(answer))


class Writers:
    """Several of them: `with` starts and stops them."""

    def __init__(self, count, server, seed, **options):
        self.stop = threading.Event()
        self.all = [Writer(number, server, self.stop, seed, **options) for number in range(count)]

    def __enter__(self):
        for writer in self.all:
            writer.start()
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """No more is put after this."""
        self.stop.set()
        for writer in self.all:
            writer.join(60)
            assert not writer.is_alive() and writer.error is None, writer.error

    def count(self):
        return sum(len(writer.acknowledged) for writer in self.all)

    def acknowledged(self):
        """Identifier → shard and sequence number, as the answers said."""
        return {entry[0]: entry[1:] for writer in self.all for entry in writer.acknowledged}

    def unknown(self):
        return set().union(*(writer.unknown for writer in self.all))

    def refused(self):
        return [text for writer in self.all for text in writer.refused]


def only_once(identifiers, where):
    """The set of them; fails when one is there twice."""
    twice = [identifier for identifier, count in Counter(identifiers).items() if count > 1]
    assert not twice, f"{len(twice)} records are in {where} more than once: {sorted(twice)[:5]}"
    return set(identifiers)


def check_order_per_key(identifiers, where):
    """Records of one partition key come in the order of their numbers."""
    last = {}
    for identifier in identifiers:
        key = key_of(identifier)
        assert last.get(key, "") < identifier, f"{where}: {identifier} comes after {last[key]}"
        last[key] = identifier


def check_numbers_rise(records, where):
    """Sequence numbers rise in each shard."""
    last = {}
    for shard, record in records:
        number = int(record["SequenceNumber"])
        assert last.get(shard, -1) < number, f"{where}, {shard}: {number} comes after {last[shard]}"
        last[shard] = number


def check_reading(records, where):
    """Each record once, in order; gives their identifiers."""
    found = [identifier_of(record["Data"]) for _, record in records]
    check_numbers_rise(records, where)
    check_order_per_key(found, where)
    for (_, record), identifier in zip(records, found):
        assert record["PartitionKey"] == key_of(identifier)
    return only_once(found, where)


def check_placed(records, acknowledged):
    """What was acknowledged is where the answer said, under the number that it said."""
    place = {identifier_of(record["Data"]): (shard, int(record["SequenceNumber"])) for shard, record in records}
    for identifier, told in acknowledged.items():
        assert place.get(identifier) == told, f"{identifier} was acknowledged at {told}, found at {place.get(identifier)}"


def archived(archive):
    """The identifiers in an archive, file by file, in the order of each."""
    return {name: [identifier_of(text) for text in body.splitlines()] for name, body in archive.files().items()}


def check_archive(archive, expected):
    """Each of the records once, in order."""
    found = archived(archive)
    for name, identifiers in found.items():
        check_order_per_key(identifiers, name)
    assert only_once([one for identifiers in found.values() for one in identifiers], "the archive") == set(expected)
