import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.KinesisClientUtil;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.leases.LeaseAssignmentStrategy;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * A KCL application that says each record as a JSON line:
 * {@code Application polling|fan-out STREAM NAME KINESIS AWS [WORKER [FAILOVER-MILLIS]]}, KINESIS and AWS being the
 * endpoints of Kinesis and of DynamoDB. It reads from the trim horizon, checkpoints after each batch, and shuts down
 * gracefully when its standard input ends.
 */
final class Application {
    private Application() {}

    public static void main(String[] arguments) throws Exception {
        var fanOut = arguments[0].equals("fan-out");
        var stream = arguments[1];
        var name = arguments[2];
        var kinesisEndpoint = URI.create(arguments[3]);
        var aws = URI.create(arguments[4]);
        var workerName = arguments.length > 5 ? arguments[5] : "worker";
        // Its defaults are minutes: as short as a test wants them.
        var failoverMillis = arguments.length > 6 ? Long.parseLong(arguments[6]) : 20_000;
        var kinesis = KinesisClientUtil.createKinesisAsyncClient(with(kinesisEndpoint, KinesisAsyncClient.builder()));
        var dynamo = with(aws, DynamoDbAsyncClient.builder()).build();
        var cloudWatch = with(aws, CloudWatchAsyncClient.builder()).build();
        var configs = new ConfigsBuilder(stream, name, kinesis, dynamo, cloudWatch, workerName, Processor::new);
        var retrieval = configs.retrievalConfig()
                .initialPositionInStreamExtended(
                        InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON))
                .retrievalSpecificConfig(fanOut
                        ? new FanOutConfig(kinesis).streamName(stream).applicationName(name)
                        : new PollingConfig(stream, kinesis).idleTimeBetweenReadsInMillis(200));
        var leases = configs.leaseManagementConfig()
                .failoverTimeMillis(failoverMillis)
                // By throughput, of which tests have none to speak of, a leader would balance nothing.
                .leaseAssignmentStrategy(LeaseAssignmentStrategy.LEASE_COUNT_BASED)
                .leaseAssignmentIntervalMillis(500L)
                .shardSyncIntervalMillis(1_000);
        leases.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true);
        var coordinator = configs.coordinatorConfig()
                .parentShardPollIntervalMillis(300)
                .shardConsumerDispatchPollIntervalMillis(100)
                .schedulerInitializationBackoffTimeMillis(200);
        // The emulator's CloudWatch does not speak the SDK's newest protocol.
        var metrics = configs.metricsConfig().metricsFactory(new NullMetricsFactory());
        var scheduler = new Scheduler(configs.checkpointConfig(), coordinator, leases, configs.lifecycleConfig(),
                metrics, configs.processorConfig(), retrieval);
        var worker = new Thread(scheduler, "scheduler");
        worker.setDaemon(true);
        worker.start();
        while (System.in.read() >= 0) {
            // Only its end says anything.
        }
        var graceful = scheduler.startGracefulShutdown().get(60, TimeUnit.SECONDS);
        Say.say("stopped", "graceful", graceful);
        System.exit(0);
    }

    private static <B extends AwsClientBuilder<B, C>, C> B with(URI endpoint, B builder) {
        return builder.endpointOverride(endpoint)
                .region(Region.US_EAST_1)
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local")));
    }

    private static final class Processor implements ShardRecordProcessor {
        private String shard;

        @Override
        public void initialize(InitializationInput input) {
            shard = input.shardId();
            Say.say("shard_started", "shard", shard, "from", input.extendedSequenceNumber().sequenceNumber());
        }

        @Override
        public void processRecords(ProcessRecordsInput input) {
            for (var record : input.records()) {
                Say.say("record", "shard", shard, "key", record.partitionKey(), "number", record.sequenceNumber(),
                        "sub", record.subSequenceNumber(), "text", StandardCharsets.UTF_8.decode(record.data()).toString());
            }
            if (!input.records().isEmpty()) {
                checkpoint("records", input.checkpointer());
            }
        }

        @Override
        public void leaseLost(LeaseLostInput input) {
            Say.say("lease_lost", "shard", shard);
        }

        @Override
        public void shardEnded(ShardEndedInput input) {
            Say.say("shard_ended", "shard", shard);
            checkpoint("the end", input.checkpointer());
        }

        @Override
        public void shutdownRequested(ShutdownRequestedInput input) {
            checkpoint("the shutdown", input.checkpointer());
        }

        private void checkpoint(String at, RecordProcessorCheckpointer checkpointer) {
            try {
                checkpointer.checkpoint();
            } catch (InvalidStateException | ShutdownException error) {
                Say.say("not_checkpointed", "shard", shard, "at", at, "error", error.toString());
            }
        }
    }
}
