// The scenario of tests/parts/clients/README.md, with the AWS SDK for JavaScript v3.
//
//   node scenario.mjs FOLDER ENDPOINT STREAM http2|http1
//
// FOLDER has the node_modules. `http2` is what the SDK takes by itself; `http1` is its other handler.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const [folder, endpoint, stream, protocol] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const kinesis = require("@aws-sdk/client-kinesis");
const { NodeHttpHandler } = require("@smithy/node-http-handler");

const client = new kinesis.KinesisClient({
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "local", secretAccessKey: "local" },
  ...(protocol === "http1" ? { requestHandler: new NodeHttpHandler() } : {}),
});

const call = (operation, input = {}) => client.send(new kinesis[`${operation}Command`](input));
const say = (step, told) => console.log(JSON.stringify({ step, ...told }));
const md5 = (data) => createHash("md5").update(data).digest("hex");
const ids = (shards) => shards.map((shard) => shard.ShardId);

async function eventually(what, condition) {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(100)) {
    const found = await condition();
    if (found) return found;
  }
  throw new Error(`not in 60 s: ${what}`);
}

const active = () =>
  eventually("an active stream", async () => {
    const { StreamDescriptionSummary: summary } = await call("DescribeStreamSummary", { StreamName: stream });
    return summary.StreamStatus === "ACTIVE" && summary;
  });

const shardsOf = async (filter) =>
  (await call("ListShards", { StreamName: stream, ...(filter ? { ShardFilter: filter } : {}) })).Shards;

function sayShards(step, shards) {
  say(step, {
    shards: shards.map((shard) => ({
      id: shard.ShardId,
      start: shard.HashKeyRange.StartingHashKey,
      end: shard.HashKeyRange.EndingHashKey,
      parent: shard.ParentShardId ?? null,
      adjacent: shard.AdjacentParentShardId ?? null,
      closed: shard.SequenceNumberRange.EndingSequenceNumber !== undefined,
    })),
  });
}

const sayRecord = (step, shard, record) =>
  say(step, {
    shard,
    key: record.PartitionKey,
    number: record.SequenceNumber,
    size: record.Data.length,
    md5: md5(record.Data),
    arrived: record.ApproximateArrivalTimestamp.getTime() / 1000,
  });

let put = 0;

async function putOne(key, data, more = {}) {
  const answer = await call("PutRecord", { StreamName: stream, PartitionKey: key, Data: data, ...more });
  put += 1;
  say("put", { key, shard: answer.ShardId, number: answer.SequenceNumber, size: data.length, md5: md5(data) });
}

async function putMany(phase, count) {
  const records = Array.from({ length: count }, (_, place) => ({
    PartitionKey: `key-${place % 20}`,
    Data: Buffer.from(`${phase} ${place}`),
  }));
  const answer = await call("PutRecords", { StreamName: stream, Records: records });
  put += count;
  say("batch", { failed: answer.FailedRecordCount });
  answer.Records.forEach((placed, place) => {
    const { PartitionKey: key, Data: data } = records[place];
    say("put", { key, shard: placed.ShardId, number: placed.SequenceNumber, size: data.length, md5: md5(data) });
  });
}

async function refused(operation, input) {
  try {
    await call(operation, input);
    say("refused", { operation, error: null, message: null });
  } catch (error) {
    say("refused", { operation, error: error.name, message: error.message, status: error.$metadata?.httpStatusCode });
  }
}

/** Follows the stream by SubscribeToShard, from parents to children. */
class Subscriber {
  pushed = 0;
  ended = new Set();
  subscribed = new Set();
  failure = null;

  constructor(consumer) {
    this.consumer = consumer;
  }

  follow(shard) {
    if (this.subscribed.has(shard)) return;
    this.subscribed.add(shard);
    this.read(shard).catch((error) => {
      this.failure ??= error;
    });
  }

  async read(shard) {
    let position = { Type: "TRIM_HORIZON" };
    while (position) {
      const answer = await call("SubscribeToShard", {
        ConsumerARN: this.consumer,
        ShardId: shard,
        StartingPosition: position,
      });
      say("subscribed", { shard });
      for await (const event of answer.EventStream) {
        const pushed = event.SubscribeToShardEvent;
        if (!pushed) throw new Error(`an event that is none: ${JSON.stringify(event)}`);
        for (const record of pushed.Records) sayRecord("pushed", shard, record);
        this.pushed += pushed.Records.length;
        const next = pushed.ContinuationSequenceNumber;
        position = next ? { Type: "AFTER_SEQUENCE_NUMBER", SequenceNumber: next } : null;
        if (pushed.ChildShards?.length) this.end(shard, next, pushed.ChildShards);
      }
    }
  }

  end(shard, next, children) {
    this.ended.add(shard);
    say("pushed_end", {
      shard,
      continuation: next ?? null,
      children: children.map((child) => ({ id: child.ShardId, parents: child.ParentShards })),
    });
    for (const child of children) {
      if (child.ParentShards.every((parent) => this.ended.has(parent))) this.follow(child.ShardId);
    }
  }
}

/** Reads the whole stream by GetRecords, from parents to children. */
async function readAll() {
  const open = new Set(ids(await shardsOf({ Type: "AT_LATEST" })));
  const waiting = ids(await shardsOf({ Type: "AT_TRIM_HORIZON" }));
  const seen = new Set(waiting);
  const ended = new Set();
  while (waiting.length > 0) {
    const shard = waiting.shift();
    let { ShardIterator: iterator } = await call("GetShardIterator", {
      StreamName: stream,
      ShardId: shard,
      ShardIteratorType: "TRIM_HORIZON",
    });
    while (iterator) {
      const answer = await call("GetRecords", { ShardIterator: iterator, Limit: 60 });
      for (const record of answer.Records) sayRecord("read", shard, record);
      iterator = answer.NextShardIterator;
      if (!iterator) {
        ended.add(shard);
        const children = answer.ChildShards ?? [];
        say("read_end", {
          shard,
          children: children.map((child) => ({ id: child.ShardId, parents: child.ParentShards })),
        });
        for (const child of children) {
          if (!seen.has(child.ShardId) && child.ParentShards.every((parent) => ended.has(parent))) {
            seen.add(child.ShardId);
            waiting.push(child.ShardId);
          }
        }
      } else if (open.has(shard) && answer.Records.length === 0 && answer.MillisBehindLatest === 0) {
        break;
      }
    }
  }
}

async function tags(arn, consumer) {
  const ofStream = async () =>
    Object.fromEntries(
      (await call("ListTagsForStream", { StreamName: stream })).Tags.map(({ Key, Value }) => [Key, Value]),
    );
  const ofResource = async (resource) =>
    Object.fromEntries(
      (await call("ListTagsForResource", { ResourceARN: resource })).Tags.map(({ Key, Value }) => [Key, Value]),
    );
  await call("AddTagsToStream", { StreamName: stream, Tags: { team: "logs", "größe": "" } });
  await call("TagResource", { ResourceARN: arn, Tags: { team: "space", "a:b": "c" } });
  await call("TagResource", { ResourceARN: consumer, Tags: { reader: "yes" } });
  say("tags", { of: "stream", tags: await ofStream() });
  say("tags", { of: "resource", tags: await ofResource(arn) });
  say("tags", { of: "consumer", tags: await ofResource(consumer) });
  await call("RemoveTagsFromStream", { StreamName: stream, TagKeys: ["team", "missing"] });
  await call("UntagResource", { ResourceARN: arn, TagKeys: ["a:b"] });
  say("tags", { of: "rest", tags: await ofStream() });
}

async function retention() {
  const hours = async () => (await active()).RetentionPeriodHours;
  await call("IncreaseStreamRetentionPeriod", { StreamName: stream, RetentionPeriodHours: 48 });
  const raised = await hours();
  await call("DecreaseStreamRetentionPeriod", { StreamName: stream, RetentionPeriodHours: 30 });
  say("retention", { raised, lowered: await hours() });
}

// Streams and records.
await call("CreateStream", { StreamName: stream, ShardCount: 2 });
await kinesis.waitUntilStreamExists({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { StreamName: stream });
const { StreamARN: arn, OpenShardCount: count, StreamStatus: status } = await active();
say("created", { arn, count, status });
sayShards("shards", await shardsOf());
const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
for (const key of ["a", "é", "\u{1F680} 発射", "k".repeat(256)]) await putOne(key, everyByte);
await putOne("empty", Buffer.alloc(0));
await putOne("large", Buffer.alloc(1 << 20, 0xa5));
await putOne("explicit", Buffer.from("text"), { ExplicitHashKey: "0" });
await putMany("first", 500);

// Lists.
const now = new Date();
for (const filter of [
  { Type: "AT_LATEST" },
  { Type: "AT_TRIM_HORIZON" },
  { Type: "FROM_TRIM_HORIZON" },
  { Type: "AFTER_SHARD_ID", ShardId: "shardId-000000000000" },
  { Type: "AT_TIMESTAMP", Timestamp: now },
  { Type: "FROM_TIMESTAMP", Timestamp: now },
]) {
  say("filtered", { filter: filter.Type, shards: ids(await shardsOf(filter)) });
}
const pages = [];
let page = await call("ListShards", { StreamName: stream, MaxResults: 1 });
for (; page.NextToken; page = await call("ListShards", { NextToken: page.NextToken, MaxResults: 1 })) {
  pages.push(ids(page.Shards));
}
say("pages", { pages: [...pages, ids(page.Shards)] });
let listed = false;
for await (const { StreamNames } of kinesis.paginateListStreams({ client, pageSize: 1 }, {})) {
  listed ||= StreamNames.includes(stream);
}
say("listed", { listed });

// A consumer that follows all that comes now.
await call("RegisterStreamConsumer", { StreamARN: arn, ConsumerName: "follower" });
const consumer = await eventually("an active consumer", async () => {
  const named = { StreamARN: arn, ConsumerName: "follower" };
  const { ConsumerDescription: described } = await call("DescribeStreamConsumer", named);
  return described.ConsumerStatus === "ACTIVE" && described.ConsumerARN;
});
const consumers = (await call("ListStreamConsumers", { StreamARN: arn })).Consumers.map((one) => one.ConsumerName);
say("consumer", { arn: consumer, consumers });
const subscriber = new Subscriber(consumer);
for (const shard of ids(await shardsOf({ Type: "AT_TRIM_HORIZON" }))) subscriber.follow(shard);
await eventually("the first records", () => subscriber.failure || subscriber.pushed >= put);

// Shards change below it.
const [{ HashKeyRange: range }] = await shardsOf();
const middle = (BigInt(range.StartingHashKey) + BigInt(range.EndingHashKey)) / 2n + 1n;
const place = { StreamName: stream };
await call("SplitShard", { ...place, ShardToSplit: "shardId-000000000000", NewStartingHashKey: `${middle}` });
await active();
sayShards("split", await shardsOf({ Type: "AT_LATEST" }));
await putMany("split", 100);
await call("MergeShards", {
  ...place,
  ShardToMerge: "shardId-000000000002",
  AdjacentShardToMerge: "shardId-000000000003",
});
await active();
sayShards("merged", await shardsOf({ Type: "AT_LATEST" }));
await putMany("merged", 100);
const scaled = await call("UpdateShardCount", { ...place, TargetShardCount: 4, ScalingType: "UNIFORM_SCALING" });
say("scaling", { current: scaled.CurrentShardCount, target: scaled.TargetShardCount });
await active();
sayShards("scaled", await shardsOf({ Type: "AT_LATEST" }));
await putMany("scaled", 100);
const all = await shardsOf();
sayShards("all", all);
const closed = all.filter((shard) => shard.SequenceNumberRange.EndingSequenceNumber !== undefined).length;
await eventually(
  "all records and all ends",
  () => subscriber.failure || (subscriber.pushed >= put && subscriber.ended.size >= closed),
);
if (subscriber.failure) throw subscriber.failure;

// The rest.
await readAll();
await tags(arn, consumer);
await retention();
await refused("DescribeStream", { StreamName: `${stream}-missing` });
await refused("PutRecord", { StreamName: stream, PartitionKey: "k".repeat(257), Data: everyByte });
await refused("GetRecords", { ShardIterator: "nonsense" });
await refused("CreateStream", { StreamName: stream, ShardCount: 1 });
await refused("DeleteStream", { StreamName: stream });
await call("DeregisterStreamConsumer", { ConsumerARN: consumer });
await call("DeleteStream", { StreamName: stream, EnforceConsumerDeletion: true });
await kinesis.waitUntilStreamNotExists({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { StreamName: stream });
say("deleted");
process.exit(0);
