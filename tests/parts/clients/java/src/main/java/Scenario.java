import java.math.BigInteger;
import java.net.URI;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.ConsumerStatus;
import software.amazon.awssdk.services.kinesis.model.KinesisException;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.ScalingType;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardFilterType;
import software.amazon.awssdk.services.kinesis.model.StreamDescriptionSummary;
import software.amazon.awssdk.services.kinesis.model.StreamStatus;
import software.amazon.awssdk.services.kinesis.model.Tag;

/**
 * The scenario of tests/parts/clients/README.md, with the AWS SDK for Java v2: {@code Scenario ENDPOINT STREAM PROTOCOL}.
 * With {@code http2} all goes through the asynchronous client over HTTP/2, with {@code http1} through the blocking client,
 * and subscriptions through the asynchronous one, over HTTP/1.1.
 */
final class Scenario {
    final String stream;
    private final KinesisClient client;
    private final KinesisAsyncClient async;
    private int put;

    private Scenario(KinesisClient client, KinesisAsyncClient async, String stream) {
        this.client = client;
        this.async = async;
        this.stream = stream;
    }

    public static void main(String[] arguments) {
        var endpoint = URI.create(arguments[0]);
        var http2 = arguments[2].equals("http2");
        var async = Clients.async(endpoint, http2 ? Protocol.HTTP2 : Protocol.HTTP1_1);
        var client = http2 ? Clients.blocking(async) : Clients.blocking(endpoint);
        try {
            new Scenario(client, async, arguments[1]).run();
        } catch (RuntimeException error) {
            error.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }

    private void run() {
        streamAndRecords();
        lists();
        var arn = active().streamARN();
        var consumer = consumer(arn);
        var follow = new Follow(async, consumer);
        ids(shards(ShardFilterType.AT_TRIM_HORIZON)).forEach(follow::follow);
        eventually("the first records", () -> follow.has(put, 0));
        reshard();
        var all = shards(null);
        sayShards("all", all);
        var closed = all.stream().filter(Scenario::isClosed).count();
        eventually("all records and all ends", () -> follow.has(put, closed));
        Follow.readAll(client, this);
        tags(arn, consumer);
        retention();
        refusals();
        client.deregisterStreamConsumer(request -> request.consumerARN(consumer));
        client.deleteStream(request -> request.streamName(stream).enforceConsumerDeletion(true));
        eventually("no stream", () -> {
            try {
                client.describeStream(request -> request.streamName(stream));
                return false;
            } catch (ResourceNotFoundException gone) {
                return true;
            }
        });
        Say.say("content_types", "types", new TreeMap<>(Clients.CONTENT_TYPES));
        Say.say("deleted");
    }

    private void streamAndRecords() {
        client.createStream(request -> request.streamName(stream).shardCount(2));
        var summary = active();
        Say.say("created", "arn", summary.streamARN(), "count", summary.openShardCount(),
                "status", summary.streamStatusAsString());
        sayShards("shards", shards(null));
        var everyByte = new byte[256];
        IntStream.range(0, 256).forEach(place -> everyByte[place] = (byte) place);
        for (var key : List.of("a", "é", "\uD83D\uDE80 発射", "k".repeat(256))) {
            putOne(key, everyByte, null);
        }
        putOne("empty", new byte[0], null);
        var large = new byte[1 << 20];
        Arrays.fill(large, (byte) 0xa5);
        putOne("large", large, null);
        putOne("explicit", "text".getBytes(), "0");
        putMany("first", 500);
    }

    private void lists() {
        for (var type : List.of(ShardFilterType.AT_LATEST, ShardFilterType.AT_TRIM_HORIZON,
                ShardFilterType.FROM_TRIM_HORIZON, ShardFilterType.AFTER_SHARD_ID, ShardFilterType.AT_TIMESTAMP,
                ShardFilterType.FROM_TIMESTAMP)) {
            Say.say("filtered", "filter", type, "shards", ids(shards(type)));
        }
        var pages = new ArrayList<List<String>>();
        var page = client.listShards(request -> request.streamName(stream).maxResults(1));
        while (page.nextToken() != null) {
            pages.add(ids(page.shards()));
            var token = page.nextToken();
            page = client.listShards(request -> request.nextToken(token).maxResults(1));
        }
        pages.add(ids(page.shards()));
        Say.say("pages", "pages", pages);
        var listed = client.listStreamsPaginator(request -> request.limit(1)).streamNames().stream()
                .anyMatch(stream::equals);
        Say.say("listed", "listed", listed);
    }

    private String consumer(String arn) {
        client.registerStreamConsumer(request -> request.streamARN(arn).consumerName("follower"));
        var consumer = eventually("an active consumer", () -> {
            var described = client.describeStreamConsumer(request -> request.streamARN(arn).consumerName("follower"))
                    .consumerDescription();
            return described.consumerStatus() == ConsumerStatus.ACTIVE ? described.consumerARN() : null;
        });
        var consumers = client.listStreamConsumers(request -> request.streamARN(arn)).consumers();
        Say.say("consumer", "arn", consumer, "consumers", Say.names(consumers, one -> one.consumerName()));
        return consumer;
    }

    private void reshard() {
        var range = shards(null).getFirst().hashKeyRange();
        var middle = new BigInteger(range.startingHashKey()).add(new BigInteger(range.endingHashKey())).shiftRight(1)
                .add(BigInteger.ONE).toString();
        client.splitShard(request -> request.streamName(stream).shardToSplit("shardId-000000000000")
                .newStartingHashKey(middle));
        putBetween("split");
        client.mergeShards(request -> request.streamName(stream).shardToMerge("shardId-000000000002")
                .adjacentShardToMerge("shardId-000000000003"));
        putBetween("merged");
        var scaled = client.updateShardCount(request -> request.streamName(stream).targetShardCount(4)
                .scalingType(ScalingType.UNIFORM_SCALING));
        Say.say("scaling", "current", scaled.currentShardCount(), "target", scaled.targetShardCount());
        putBetween("scaled");
    }

    private void putBetween(String phase) {
        active();
        sayShards(phase, shards(ShardFilterType.AT_LATEST));
        putMany(phase, 100);
    }

    private void tags(String arn, String consumer) {
        client.addTagsToStream(request -> request.streamName(stream).tags(Map.of("team", "logs", "größe", "")));
        client.tagResource(request -> request.resourceARN(arn).tags(Map.of("team", "space", "a:b", "c")));
        client.tagResource(request -> request.resourceARN(consumer).tags(Map.of("reader", "yes")));
        Supplier<Object> ofStream = () -> object(client.listTagsForStream(request -> request.streamName(stream)).tags());
        Say.say("tags", "of", "stream", "tags", ofStream.get());
        Say.say("tags", "of", "resource",
                "tags", object(client.listTagsForResource(request -> request.resourceARN(arn)).tags()));
        Say.say("tags", "of", "consumer",
                "tags", object(client.listTagsForResource(request -> request.resourceARN(consumer)).tags()));
        client.removeTagsFromStream(request -> request.streamName(stream).tagKeys("team", "missing"));
        client.untagResource(request -> request.resourceARN(arn).tagKeys("a:b"));
        Say.say("tags", "of", "rest", "tags", ofStream.get());
    }

    private void retention() {
        client.increaseStreamRetentionPeriod(request -> request.streamName(stream).retentionPeriodHours(48));
        var raised = active().retentionPeriodHours();
        client.decreaseStreamRetentionPeriod(request -> request.streamName(stream).retentionPeriodHours(30));
        Say.say("retention", "raised", raised, "lowered", active().retentionPeriodHours());
    }

    private void refusals() {
        refused("DescribeStream", () -> client.describeStream(request -> request.streamName(stream + "-missing")));
        refused("PutRecord", () -> client.putRecord(request -> request.streamName(stream)
                .partitionKey("k".repeat(257)).data(SdkBytes.fromByteArray(new byte[256]))));
        refused("GetRecords", () -> client.getRecords(request -> request.shardIterator("nonsense")));
        refused("CreateStream", () -> client.createStream(request -> request.streamName(stream).shardCount(1)));
        refused("DeleteStream", () -> client.deleteStream(request -> request.streamName(stream)));
    }

    private static void refused(String operation, Runnable call) {
        try {
            call.run();
            Say.say("refused", "operation", operation, "error", null, "message", null);
        } catch (KinesisException error) {
            var details = error.awsErrorDetails();
            Say.say("refused", "operation", operation, "error", details.errorCode(),
                    "message", details.errorMessage(), "class", error.getClass().getSimpleName());
        }
    }

    private StreamDescriptionSummary active() {
        return eventually("an active stream", () -> {
            var summary = client.describeStreamSummary(request -> request.streamName(stream)).streamDescriptionSummary();
            return summary.streamStatus() == StreamStatus.ACTIVE ? summary : null;
        });
    }

    /** The shards that a filter gives, with the companions that its type asks for. */
    List<Shard> shards(ShardFilterType type) {
        return client.listShards(request -> {
            request.streamName(stream);
            if (type != null) {
                request.shardFilter(filter -> {
                    filter.type(type);
                    switch (type) {
                        case AFTER_SHARD_ID -> filter.shardId("shardId-000000000000");
                        case AT_TIMESTAMP, FROM_TIMESTAMP -> filter.timestamp(Instant.now());
                        default -> { }
                    }
                });
            }
        }).shards();
    }

    private void putOne(String key, byte[] data, String hashKey) {
        var answer = client.putRecord(request -> request.streamName(stream).partitionKey(key)
                .data(SdkBytes.fromByteArray(data)).explicitHashKey(hashKey));
        sayPut(key, answer.shardId(), answer.sequenceNumber(), data);
    }

    private void putMany(String phase, int count) {
        var entries = IntStream.range(0, count).mapToObj(place -> PutRecordsRequestEntry.builder()
                .partitionKey("key-" + place % 20).data(SdkBytes.fromUtf8String(phase + " " + place)).build()).toList();
        var answer = client.putRecords(request -> request.streamName(stream).records(entries));
        Say.say("batch", "failed", answer.failedRecordCount());
        for (int place = 0; place < count; place++) {
            var placed = answer.records().get(place);
            var entry = entries.get(place);
            sayPut(entry.partitionKey(), placed.shardId(), placed.sequenceNumber(), entry.data().asByteArray());
        }
    }

    private void sayPut(String key, String shard, String number, byte[] data) {
        put++;
        Say.say("put", "key", key, "shard", shard, "number", number, "size", data.length, "md5", Say.md5(data));
    }

    private static void sayShards(String step, List<Shard> shards) {
        Say.say(step, "shards", shards.stream().map(shard -> Say.map(
                "id", shard.shardId(),
                "start", shard.hashKeyRange().startingHashKey(),
                "end", shard.hashKeyRange().endingHashKey(),
                "parent", shard.parentShardId(),
                "adjacent", shard.adjacentParentShardId(),
                "closed", isClosed(shard))).toList());
    }

    static List<String> ids(List<Shard> shards) {
        return Say.names(shards, Shard::shardId);
    }

    private static boolean isClosed(Shard shard) {
        return shard.sequenceNumberRange().endingSequenceNumber() != null;
    }

    private static Map<String, String> object(List<Tag> tags) {
        return tags.stream().collect(Collectors.toMap(Tag::key, Tag::value));
    }

    private static void eventually(String what, BooleanSupplier condition) {
        eventually(what, () -> condition.getAsBoolean() ? Boolean.TRUE : null);
    }

    /** Asks until there is an answer. */
    private static <T> T eventually(String what, Supplier<T> ask) {
        for (int attempt = 0; attempt < 600; attempt++) {
            var found = ask.get();
            if (found != null) {
                return found;
            }
            try {
                Thread.sleep(100);
            } catch (InterruptedException error) {
                throw new IllegalStateException(error);
            }
        }
        throw new IllegalStateException("not in 60 s: " + what);
    }
}
