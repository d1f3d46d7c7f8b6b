import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * One Elasticsearch 9 node on loopback: {@code Elasticsearch9Node FOLDER HTTP_PORT TRANSPORT_PORT WRITE_QUEUE_SIZE HOME};
 * HOME has {@code modules/}, with the jars of each in a folder of its own, as the distribution has them.
 */
public final class Elasticsearch9Node {
    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        Path config = folder.resolve("config");
        Files.createDirectories(config);
        Settings settings = Settings.builder()
                .put("path.home", arguments[4])
                .put("path.data", folder.resolve("data").toString())
                .put("path.logs", folder.resolve("logs").toString())
                .put("cluster.name", "baikonur-tests-" + arguments[1])
                .put("node.name", "Node 1")
                .put("network.host", "127.0.0.1")
                .put("http.port", arguments[1])
                .put("transport.port", arguments[2])
                // Alone, whatever else listens on this machine.
                .putList("discovery.seed_hosts")
                .putList("cluster.initial_master_nodes", "Node 1")
                // A small queue is the way to real "429 Too Many Requests".
                .put("thread_pool.write.queue_size", arguments[3])
                // A developer's full disk is not what is tested.
                .put("cluster.routing.allocation.disk.threshold_enabled", false)
                .build();
        LogConfigurator.configureESLogging();
        Environment environment = InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), config, () -> "Node 1");
        LogConfigurator.configureWithoutConfig(environment.settings());
        PluginsLoader modules = PluginsLoader.createPluginsLoader(
                PluginsLoader.loadModulesBundles(environment.modulesDir()),
                PluginsLoader.loadPluginsBundles(environment.pluginsDir()),
                Map.of(),
                false);
        Node node = new Node(environment, modules);
        node.start();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception error) {
                System.err.println("close: " + error);
            }
        }));
        System.out.println("started on 127.0.0.1:" + arguments[1]);
        new CountDownLatch(1).await();
    }
}
