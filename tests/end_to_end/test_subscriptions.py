"""SubscribeToShard with boto3 (event streams over HTTP/1.1): through splits and merges, over restarts, and who wins."""

import threading
import time

import botocore.exceptions
import urllib3

from baikonur_server import Baikonur
from numbered_records import ERRORS, Writers, check_order_per_key, identifier_of, line, only_once
from parts.waiting import eventually
from resharding import is_open, merge, open_shards, parents_of, scale, shards_of, split

CONFIG = {"streams": {"s": {"shards": 2}}}
# Between two subscriptions of a consumer to a shard, in the service.
HOLD_SECONDS = 5
# How a subscription breaks off when the server goes.
BROKEN = (*ERRORS, botocore.exceptions.EventStreamError, urllib3.exceptions.HTTPError, OSError)


def register(client, name):
    arn = client.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]["StreamARN"]
    consumer = client.register_stream_consumer(StreamARN=arn, ConsumerName=name)["Consumer"]
    eventually(
        lambda: client.describe_stream_consumer(ConsumerARN=consumer["ConsumerARN"])
        ["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE",
        "the consumer active",
    )
    return consumer["ConsumerARN"]


class Subscriber:
    """A consumer that follows a stream along its shards' children, a thread for each shard, over restarts."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        client = server.client()
        self.consumer = register(client, name)
        self.lock, self.stop, self.errors = threading.Lock(), threading.Event(), []
        # In the order in which they came, over all shards.
        self.records, self.ended, self.again, self.threads, self.parents = [], set(), 0, {}, {}
        for shard in shards_of(client, "s").values():
            assert not parents_of(shard), "it begins with the first shards"
            self.begin(shard["ShardId"])

    def begin(self, shard):
        self.threads[shard] = threading.Thread(target=self.run, args=(shard,), daemon=True)
        self.threads[shard].start()

    def run(self, shard):
        try:
            # One attempt: the loop below tries again, and knows from where.
            client = self.server.client(
                retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=30, max_pool_connections=1)
            position = {"Type": "TRIM_HORIZON"}
            while not self.stop.is_set():
                try:
                    answer = client.subscribe_to_shard(
                        ConsumerARN=self.consumer, ShardId=shard, StartingPosition=position)
                    for event in answer["EventStream"]:
                        event = event["SubscribeToShardEvent"]
                        if self.take(shard, event):
                            return
                        position = {
                            "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": event["ContinuationSequenceNumber"]}
                        if self.stop.is_set():
                            answer["EventStream"].close()
                            return
                except BROKEN as error:
                    if isinstance(error, botocore.exceptions.ClientError) and "ResourceInUse" not in str(error):
                        raise
                with self.lock:
                    self.again += 1
                time.sleep(0.2)
        except BaseException as error:  # shown by the main thread
            self.errors.append((shard, error))

    def take(self, shard, event):
        """Keeps what an event brings; whether it is the last one of its shard."""
        with self.lock:
            self.records += [(shard, record) for record in event["Records"]]
            children = event.get("ChildShards", [])
            assert bool(children) != bool(event.get("ContinuationSequenceNumber")), event
            if not children:
                return False
            self.ended.add(shard)
            for child in children:
                assert shard in child["ParentShards"], event
                self.parents[child["ShardId"]] = set(child["ParentShards"])
            for child, parents in self.parents.items():
                if parents <= self.ended and child not in self.threads:
                    self.begin(child)
            return True

    def count(self):
        assert not self.errors, self.errors
        with self.lock:
            return len(self.records)

    def finish(self):
        """What came, in its order. Idle subscriptions look up at the next event, which comes within seconds."""
        self.stop.set()
        for thread in list(self.threads.values()):
            thread.join(60)
            assert not thread.is_alive()
        assert not self.errors, self.errors
        return self.records


def check(subscriber, client, acknowledged):
    records = subscriber.finish()
    found = [identifier_of(record["Data"]) for _, record in records]
    check_order_per_key(found, subscriber.name)
    assert only_once(found, subscriber.name) == acknowledged.keys()
    for (shard, record), identifier in zip(records, found):
        assert acknowledged[identifier] == (shard, int(record["SequenceNumber"])), identifier
    shards = shards_of(client, "s")
    assert subscriber.threads.keys() == shards.keys(), "each shard was subscribed to"
    assert subscriber.ended == {name for name, shard in shards.items() if not is_open(shard)}


def some_more(writers, least=100):
    count = writers.count()
    eventually(lambda: writers.count() > count + least, "writers go on")


def test_a_consumer_follows_children_through_splits_merges_and_scaling(tmp_path):
    with Baikonur(tmp_path, CONFIG) as server, Writers(3, server, "subscription", stream="s") as writers:
        client = server.client()
        subscribers = [Subscriber(server, name) for name in ("one", "other")]

        def now():
            return open_shards(shards_of(client, "s"))

        some_more(writers)
        split(client, "s", now()[0], 0.3)
        some_more(writers)
        merge(client, "s", *now()[1:3])
        some_more(writers)
        scale(client, "s", 4)
        some_more(writers)
        scale(client, "s", 2)
        some_more(writers)
        writers.end()
        acknowledged = writers.acknowledged()
        for subscriber in subscribers:
            eventually(lambda: subscriber.count() >= len(acknowledged), f"all records came to {subscriber.name}")
            check(subscriber, client, acknowledged)


def test_a_consumer_goes_on_where_it_was_when_the_server_ends_or_is_killed_between_changes(tmp_path):
    server = Baikonur(tmp_path, CONFIG)
    with server:
        subscriber = Subscriber(server, "persistent")
        written = {}
        for number, end in enumerate((server.stop, server.kill, server.kill, None)):
            client = server.client()
            with Writers(2, server, f"round-{number}", stream="s", name=f"round{number}") as writers:
                some_more(writers)
                now = open_shards(shards_of(client, "s"))
                if end:
                    split(client, "s", now[number])
                else:
                    merge(client, "s", *now[:2])
                some_more(writers)
            assert writers.refused() == [] and not writers.unknown()
            written |= writers.acknowledged()
            if end:
                # The consumer has some of it, not all for sure.
                end()
                server.start()
        eventually(lambda: subscriber.count() >= len(written), "all records came", 90)
        check(subscriber, client, written)
        assert subscriber.again >= 3, "restarts broke subscriptions off"


def test_the_later_subscription_wins_but_not_within_five_seconds(tmp_path):
    with Baikonur(tmp_path, CONFIG) as server:
        client = server.client(retries={"total_max_attempts": 1}, read_timeout=30)
        consumer, other = register(client, "one"), register(client, "other")
        shard = open_shards(shards_of(client, "s"))[0]["ShardId"]

        def subscribe(consumer):
            return client.subscribe_to_shard(
                ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": "LATEST"})["EventStream"]

        refusals = []

        def subscribe_when_allowed():
            try:
                return subscribe(consumer)
            except client.exceptions.ResourceInUseException as refused:
                refusals.append(refused)
                return None

        # Before the first call, so that what is asserted below holds however slow the machine is.
        began = time.monotonic()
        first = subscribe(consumer)
        beside = subscribe(other)
        second = eventually(subscribe_when_allowed, "the second subscription", 30, every=0.2)
        assert time.monotonic() - began >= HOLD_SECONDS and refusals
        answer = client.put_record(
            StreamName="s", Data=line("k-000000"), PartitionKey="k",
            ExplicitHashKey=shards_of(client, "s")[shard]["HashKeyRange"]["StartingHashKey"])
        for stream in (second, beside):
            assert first_record(stream)["SequenceNumber"] == answer["SequenceNumber"]
            stream.close()
        assert first_record(first) is None, "the first one has ended, without the record"
        first.close()


def first_record(stream):
    """The first record of a subscription; none when it ends before."""
    try:
        for event in stream:
            for record in event["SubscribeToShardEvent"]["Records"]:
                return record
    except botocore.exceptions.EventStreamError as error:
        assert "ResourceInUseException" in str(error), error
    return None
