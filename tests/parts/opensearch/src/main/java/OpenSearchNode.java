import java.util.concurrent.CountDownLatch;
import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One OpenSearch node on loopback: {@code OpenSearchNode FOLDER HTTP_PORT TRANSPORT_PORT WRITE_QUEUE_SIZE}. */
public final class OpenSearchNode {
    public static void main(String[] arguments) throws InterruptedException {
        String folder = arguments[0];
        int httpPort = Integer.parseInt(arguments[1]);
        int transportPort = Integer.parseInt(arguments[2]);
        int writeQueueSize = Integer.parseInt(arguments[3]);

        OpenSearchRunner runner = new OpenSearchRunner();
        runner.setMaxHttpPort(65_535);
        runner.onBuild((number, settings) -> {
            settings.put("network.host", "127.0.0.1");
            settings.put("http.port", httpPort);
            settings.put("transport.port", transportPort);
            // Alone, whatever else listens on this machine.
            settings.putList("discovery.seed_hosts");
            settings.putList("cluster.initial_cluster_manager_nodes", "Node 1");
            // The runner's own default has no ingest pipelines.
            settings.putList("node.roles", "cluster_manager", "data", "ingest");
            // A small queue is the way to real "429 Too Many Requests".
            settings.put("thread_pool.write.queue_size", writeQueueSize);
            // A developer's full disk is not what is tested.
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
        });
        runner.build(OpenSearchRunner.newConfigs()
                .clusterName("baikonur-tests-" + httpPort)
                .numOfNode(1)
                .basePath(folder)
                .baseHttpPort(httpPort - 1)
                .useLogger());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                runner.close();
            } catch (Exception error) {
                System.err.println("close: " + error);
            }
        }));
        System.out.println("started on 127.0.0.1:" + httpPort);
        new CountDownLatch(1).await();
    }
}
