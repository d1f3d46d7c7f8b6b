"""Workers that share a stream by leases in a DynamoDB table: of our own, killed again and again, and beside one on the
Kinesis Client Library in Java.

The streams are behind our own API in another process, the table is moto's. Times are short, as every worker's are here.
"""

import contextlib
import itertools
import random
import time
from collections import Counter

import boto3
import pytest
from aws_kinesis_agg.aggregator import RecordAggregator

from baikonur_server import CREDENTIALS, REGION, Baikonur, Folder, failed_records
from numbered_records import Writers, archived, check_archive, identifier_of, line, only_once
from parts.kinesis_clients import Told, java
from parts.moto_server import MotoServer
from parts.waiting import eventually
from resharding import merge, settled, split
from starting import available, started

FAILOVER_MILLIS = 2000
KILLS = 5


@pytest.fixture
def dynamo(tmp_path_factory):
    with started(MotoServer, tmp_path_factory) as server:
        yield server


class Table:
    """The rows of a lease table."""

    def __init__(self, dynamo, name):
        self.name = name
        self.client = boto3.client(
            "dynamodb", endpoint_url=dynamo.endpoint, region_name=REGION, aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def rows(self):
        """Key → its row, values without their types."""
        try:
            items = self.client.scan(TableName=self.name, ConsistentRead=True)["Items"]
        except self.client.exceptions.ResourceNotFoundException:
            return {}
        return {
            item["leaseKey"]["S"]: {name: next(iter(value.values())) for name, value in item.items()} for item in items
        }

    def leases(self):
        """Shard → its lease."""
        return {key: row for key, row in self.rows().items() if row.get("entityType", "LEASE") == "LEASE"}

    def owners(self):
        """Shard → the owner of its lease, of shards that have not ended."""
        return {
            shard: lease.get("leaseOwner") for shard, lease in self.leases().items()
            if lease["checkpoint"] != "SHARD_END"
        }


def worker(folder, name, home, dynamo, table="shared", more_modules=None, consumption="polling"):
    """A worker that archives the stream into a folder of all workers."""
    return Baikonur(folder / name, {
        "server": {"streams": "kinesis"},
        "kinesis": {"endpoint_url": home.endpoint},
        "leases": {
            "endpoint_url": dynamo.endpoint, "region": REGION, "table_name": table,
            "failover_time_millis": FAILOVER_MILLIS, "shard_sync_interval_millis": 1000,
        },
        "streams": {"router": {"shards": 4}},
        "modules": {"archive": {
            "type": "kinesis-to-s3", "source": "router", "destination": f"file://{folder}/archive",
            "failed_store": f"file://{folder}/failed", "buffer_bytes": 256 << 10, "buffer_seconds": 1,
            "consumption": consumption,
        }, **(more_modules or {})},
    }, CREDENTIALS)


@pytest.mark.parametrize("consumption", ["polling", "enhanced-fan-out"])
def test_three_workers_archive_and_index_each_record_once_over_kills_a_split_and_a_merge(
        tmp_path, dynamo, opensearch, consumption):
    choice, prefix = random.Random("three workers"), f"workers-{consumption}"
    tables = [Table(dynamo, "workers-archive"), Table(dynamo, "workers-index")]
    archive = Folder(tmp_path / "archive")
    index = {"index": {
        "type": "kinesis-to-es", "source": "router", "destination": opensearch.endpoint, "index_name_prefix": prefix,
        "failed_store": f"file://{tmp_path}/failed", "consumption": consumption,
    }}

    def all_workers_share(table):
        return len(set(table.owners().values()) - {None}) == 3

    with contextlib.ExitStack() as stack:
        home = stack.enter_context(Baikonur(tmp_path / "home", {"streams": {"router": {"shards": 4}}}))
        client = home.client()
        workers = [
            stack.enter_context(
                worker(tmp_path, f"worker-{number}", home, dynamo, "workers-{module}", index, consumption=consumption))
            for number in range(3)
        ]
        eventually(lambda: all(all_workers_share(table) for table in tables), "each worker has a lease", 60)
        writers = stack.enter_context(Writers(3, home, "leases"))
        for kill in range(KILLS):
            count = writers.count()
            eventually(lambda: writers.count() > count + 200, "writers go on")
            if kill == 1:
                split(client, "router", settled(client, "router")[0])
            if kill == 2:
                merge(client, "router", *settled(client, "router")[:2])
            time.sleep(choice.uniform(2, 4))
            victim = choice.choice(workers)
            victim.kill()
            victim.start()
        writers.end()
        assert writers.refused() == [] and writers.unknown() == set()
        acknowledged = writers.acknowledged()
        eventually(lambda: len(archive.lines()) >= len(acknowledged), "everything archived", 90, every=0.5)
        eventually(lambda: opensearch.count(f"{prefix}-*") >= len(acknowledged), "everything indexed", 90, every=0.5)
        # The ended shards' leases go, once their children have begun, and the others are shared.
        open_now = {shard["ShardId"] for shard in settled(client, "router")}
        for table in tables:
            eventually(lambda: table.leases().keys() == open_now, "leases of open shards alone", 60)
            eventually(lambda: set(Counter(table.owners().values()).values()) <= {1, 2}, "a fair share for each", 60)
        assert [one.stop() for one in workers] == [0, 0, 0]
        for table in tables:
            left = table.owners()
            assert set(left.values()) == {None}, f"whoever stops gives up what it has: {left}"
    check_archive(archive, acknowledged)
    documents = opensearch.documents(f"{prefix}-*")
    assert only_once([source["log_id"] for _, _, source in documents], "the index") == acknowledged.keys()
    assert failed_records(tmp_path / "failed") == []
    for table in tables:
        check_schema(table.leases())


def check_schema(leases):
    """Attributes are as the KCL writes them."""
    for shard, lease in leases.items():
        for name in ("leaseCounter", "ownerSwitchesSinceCheckpoint", "checkpointSubSequenceNumber"):
            assert lease[name].isdigit(), (shard, name)
        assert lease["checkpoint"].isdigit() or lease["checkpoint"] in ("TRIM_HORIZON", "SHARD_END"), shard
        assert isinstance(lease.get("parentShardId", []), list), "a string set"
        assert int(lease["startingHashKey"]) < int(lease["endingHashKey"])


class Lines:
    """Puts numbered lines, plain ones and such as the Kinesis Producer Library aggregates."""

    def __init__(self, client):
        self.client, self.count = client, 0

    def take(self, count):
        first, self.count = self.count, self.count + count
        return range(first, self.count)

    def put(self, count):
        entries = [
            {"Data": line(f"plain-{number:06}"), "PartitionKey": f"key-{number % 50}"} for number in self.take(count)
        ]
        assert self.client.put_records(StreamName="router", Records=entries)["FailedRecordCount"] == 0
        for key in range(4):
            aggregator = RecordAggregator()
            for number in self.take(5):
                aggregator.add_user_record(f"aggregate-{key}", line(f"aggregated-{number:06}"))
            _, _, data = aggregator.clear_and_get().get_contents()
            self.client.put_record(StreamName="router", Data=data, PartitionKey=f"aggregate-{key}")


def test_a_worker_of_the_kcl_in_java_and_one_of_ours_hand_shards_over_in_both_directions(tmp_path, dynamo):
    table, archive = Table(dynamo, "shared"), Folder(tmp_path / "archive")
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(Baikonur(tmp_path / "home", {"streams": {"router": {"shards": 4}}}))
        lines = Lines(home.client())
        told = []

        def java_worker():
            name = f"java-{len(told)}"
            command = available(
                java, "kcl", "Application", "polling", "router", "shared", home.endpoint, dynamo.endpoint, name,
                FAILOVER_MILLIS,
            )
            told.append(stack.enter_context(Told([str(word) for word in command], tmp_path / name, name)))
            return told[-1]

        def seen():
            """What came, by whomever: each line as often as it came."""
            by_java = (identifier_of(one["text"]) for program in told for one in program.of("record"))
            ours = itertools.chain.from_iterable(archived(archive).values())
            return Counter(itertools.chain(by_java, ours))

        def all_came():
            for program in told:
                if not program.process.stdin.closed:
                    program.check()
            return len(seen()) >= lines.count

        def owned(by_java, by_ours):
            owners = [owner or "" for owner in table.owners().values()]
            of_java = sum(owner.startswith("java") for owner in owners)
            return "" not in owners and (of_java, len(owners) - of_java) == (by_java, by_ours)

        def goes_on(by_java, by_ours, what):
            """Lines are put until the shards are owned so, and all of them come."""
            def settled_so():
                lines.put(10)
                return owned(by_java, by_ours)

            eventually(settled_so, what, 60, every=0.5)
            eventually(all_came, f"all lines come: {what}", 60)

        one = java_worker()
        goes_on(4, 0, "Java alone")
        # The leader, which is Java's, gives ours its share, and Java hands it off.
        ours = stack.enter_context(worker(tmp_path, "ours", home, dynamo))
        goes_on(2, 2, "Java and ours")
        live = [key for key, row in table.rows().items() if row.get("entityType") == "WORKER_METRIC_STATS"]
        assert len(live) == 2, f"ours tells the leader that it lives: {live}"
        # There is no leader any more: ours takes the rest by itself.
        one.finish(60)
        goes_on(0, 4, "ours alone")
        # A new leader, and it is ours that hands off.
        two = java_worker()
        goes_on(2, 2, "Java again and ours")
        assert ours.log.read_text().count("the lease is given up") == 2, "asked for, not stolen"
        assert ours.stop() == 0, ours.log_tail()
        goes_on(4, 0, "Java alone again")
        two.finish(60)
        for program in told:
            program.show()
        counts = seen()
    again = {text: count for text, count in counts.items() if count > 1}
    assert again == {}, "each line came once"
    assert len(counts) == lines.count
    assert failed_records(tmp_path / "failed") == []
