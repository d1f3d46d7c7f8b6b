import java.util.ArrayDeque;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.ChildShard;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ShardFilterType;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StartingPosition;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardRequest;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;

/** Reading a stream whole, from parents to children: by SubscribeToShard and by GetRecords. */
final class Follow {
    private final KinesisAsyncClient client;
    private final String consumer;
    private final AtomicInteger pushed = new AtomicInteger();
    private final Set<String> subscribed = ConcurrentHashMap.newKeySet();
    private final Set<String> ended = ConcurrentHashMap.newKeySet();
    private final AtomicReference<Throwable> failure = new AtomicReference<>();

    Follow(KinesisAsyncClient client, String consumer) {
        this.client = client;
        this.consumer = consumer;
    }

    /** Whether so many records, and the ends of so many shards, have come. */
    boolean has(int records, long ends) {
        if (failure.get() != null) {
            throw new IllegalStateException("a subscription failed: " + failure.get(), failure.get());
        }
        return pushed.get() >= records && ended.size() >= ends;
    }

    /** Subscribes to a shard, once. */
    void follow(String shard) {
        if (subscribed.add(shard)) {
            subscribe(shard, StartingPosition.builder().type(ShardIteratorType.TRIM_HORIZON).build());
        }
    }

    private void subscribe(String shard, StartingPosition position) {
        var request = SubscribeToShardRequest.builder()
                .consumerARN(consumer).shardId(shard).startingPosition(position).build();
        var next = new AtomicReference<>(position);
        var handler = SubscribeToShardResponseHandler.builder()
                .onResponse(response -> Say.say("subscribed", "shard", shard))
                .subscriber(event -> {
                    try {
                        event((SubscribeToShardEvent) event, shard, next);
                    } catch (RuntimeException error) {
                        failure.compareAndSet(null, error);
                    }
                })
                .build();
        client.subscribeToShard(request, handler).whenComplete((nothing, error) -> {
            if (error != null) {
                failure.compareAndSet(null, error);
            } else if (next.get() != null) {
                subscribe(shard, next.get());
            }
        });
    }

    private void event(SubscribeToShardEvent event, String shard, AtomicReference<StartingPosition> next) {
        event.records().forEach(record -> sayRecord("pushed", shard, record));
        pushed.addAndGet(event.records().size());
        var number = event.continuationSequenceNumber();
        next.set(number == null ? null : StartingPosition.builder()
                .type(ShardIteratorType.AFTER_SEQUENCE_NUMBER).sequenceNumber(number).build());
        if (event.childShards().isEmpty()) {
            return;
        }
        ended.add(shard);
        Say.say("pushed_end", "shard", shard, "continuation", number, "children", family(event.childShards()));
        for (var child : event.childShards()) {
            if (ended.containsAll(child.parentShards())) {
                follow(child.shardId());
            }
        }
    }

    /** Reads the whole stream by GetRecords. */
    static void readAll(KinesisClient client, Scenario scenario) {
        var open = new HashSet<>(Scenario.ids(scenario.shards(ShardFilterType.AT_LATEST)));
        var waiting = new ArrayDeque<>(Scenario.ids(scenario.shards(ShardFilterType.AT_TRIM_HORIZON)));
        var seen = new HashSet<>(waiting);
        var ended = new HashSet<String>();
        while (!waiting.isEmpty()) {
            var shard = waiting.removeFirst();
            var iterator = client.getShardIterator(request -> request.streamName(scenario.stream).shardId(shard)
                    .shardIteratorType(ShardIteratorType.TRIM_HORIZON)).shardIterator();
            while (iterator != null) {
                var position = iterator;
                var answer = client.getRecords(request -> request.shardIterator(position).limit(60));
                answer.records().forEach(record -> sayRecord("read", shard, record));
                iterator = answer.nextShardIterator();
                if (iterator == null) {
                    ended.add(shard);
                    Say.say("read_end", "shard", shard, "children", family(answer.childShards()));
                    for (var child : answer.childShards()) {
                        if (ended.containsAll(child.parentShards()) && seen.add(child.shardId())) {
                            waiting.addLast(child.shardId());
                        }
                    }
                } else if (open.contains(shard) && answer.records().isEmpty() && answer.millisBehindLatest() == 0) {
                    break;
                }
            }
        }
    }

    private static void sayRecord(String step, String shard, Record record) {
        var data = record.data().asByteArray();
        Say.say(step, "shard", shard, "key", record.partitionKey(), "number", record.sequenceNumber(),
                "size", data.length, "md5", Say.md5(data),
                "arrived", record.approximateArrivalTimestamp().toEpochMilli() / 1000.0);
    }

    private static List<Map<String, Object>> family(List<ChildShard> children) {
        return children.stream().map(child -> Say.map("id", child.shardId(), "parents", child.parentShards())).toList();
    }
}
