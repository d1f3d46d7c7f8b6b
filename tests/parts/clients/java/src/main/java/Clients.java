import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.net.URI;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.interceptor.SdkExecutionAttribute;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.apache.ApacheHttpClient;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.KinesisRequest;

/** The SDK's two clients, behind one interface, and a note of the content types that they send and are answered. */
final class Clients {
    /** "request" or "response", and a content type → the operations that had it. */
    static final Map<String, Set<String>> CONTENT_TYPES = new ConcurrentHashMap<>();

    private Clients() {}

    /** HTTP/1.1, one call at a time. */
    static KinesisClient blocking(URI endpoint) {
        return with(endpoint, KinesisClient.builder().httpClientBuilder(ApacheHttpClient.builder())).build();
    }

    static KinesisAsyncClient async(URI endpoint, Protocol protocol) {
        var http = NettyNioAsyncHttpClient.builder().protocol(protocol);
        return with(endpoint, KinesisAsyncClient.builder().httpClientBuilder(http)).build();
    }

    /** The asynchronous client as if it were the blocking one: operations have the same names and requests in both. */
    static KinesisClient blocking(KinesisAsyncClient async) {
        InvocationHandler handler = (proxy, method, arguments) -> {
            if (method.getName().equals("close")) {
                async.close();
                return null;
            }
            // What takes a function, and what pages, is made of the operations themselves.
            var isOperation = arguments != null && arguments[0] instanceof KinesisRequest
                    && !method.getName().endsWith("Paginator");
            if (!isOperation) {
                return InvocationHandler.invokeDefault(proxy, method, arguments);
            }
            try {
                var same = KinesisAsyncClient.class.getMethod(method.getName(), method.getParameterTypes());
                return ((CompletableFuture<?>) same.invoke(async, arguments)).join();
            } catch (CompletionException | InvocationTargetException error) {
                throw error.getCause();
            }
        };
        var loader = KinesisClient.class.getClassLoader();
        return (KinesisClient) Proxy.newProxyInstance(loader, new Class<?>[] {KinesisClient.class}, handler);
    }

    private static <B extends AwsClientBuilder<B, C>, C> B with(URI endpoint, B builder) {
        return builder.endpointOverride(endpoint)
                .region(Region.US_EAST_1)
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local")))
                .overrideConfiguration(configuration -> configuration.addExecutionInterceptor(new Note()));
    }

    private static final class Note implements ExecutionInterceptor {
        @Override
        public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes attributes) {
            note("request", context.httpRequest().firstMatchingHeader("Content-Type").orElse("none"), attributes);
        }

        @Override
        public void afterTransmission(Context.AfterTransmission context, ExecutionAttributes attributes) {
            note("response", context.httpResponse().firstMatchingHeader("Content-Type").orElse("none"), attributes);
        }

        private static void note(String side, String type, ExecutionAttributes attributes) {
            var operations = CONTENT_TYPES.computeIfAbsent(side + " " + type, any -> new TreeSet<>());
            synchronized (operations) {
                operations.add(attributes.getAttribute(SdkExecutionAttribute.OPERATION_NAME));
            }
        }
    }
}
