"""Records that are numbered within their partition key, the clients that put them, and what must be true of them."""

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
    return json.loads(data)["log_id"]


class Writer(threading.Thread):
    """A client that puts, remembers what was acknowledged, and never sends a record twice."""

    def __init__(self, number, server, stop, seed, stream="router", name="w", keys=16):
        super().__init__(name=f"writer-{number}", daemon=True)
        self.server, self.stop, self.stream = server, stop, stream
        self.random = random.Random(f"{seed}-writer-{number}")
        self.next = {f"{name}{number}-k{key:02}": 0 for key in range(keys)}
        # (identifier, shard, sequence number) in the order of the answers.
        self.acknowledged, self.unknown, self.refused = [], set(), []
        self.error = None

    def record(self):
        key = self.random.choice(list(self.next))
        identifier = f"{key}-{self.next[key]:06}"
        self.next[key] += 1
        return identifier, {"Data": line(identifier, self.random.randrange(300)), "PartitionKey": key}

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
