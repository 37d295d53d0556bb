import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.TreeSet;
import org.apache.kafka.clients.ApiVersions;
import org.apache.kafka.clients.ClientUtils;
import org.apache.kafka.clients.GroupRebalanceConfig;
import org.apache.kafka.clients.Metadata;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.internals.AbstractCoordinator;
import org.apache.kafka.clients.consumer.internals.ConsumerNetworkClient;
import org.apache.kafka.common.errors.InconsistentGroupProtocolException;
import org.apache.kafka.common.internals.ClusterResourceListeners;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocol;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocolCollection;
import org.apache.kafka.common.message.JoinGroupResponseData.JoinGroupResponseMember;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Timer;

/**
 * A group that elects one of its members and consumes nothing, as a schema registry does with the
 * protocol type {@code sr}: BOOTSTRAP.
 *
 * <p>Each member tells its name, and the group's leader tells all who is elected: the first by name.
 */
public final class LeaderElection {
    private static final String GROUP = "registries";

    private LeaderElection() {}

    public static void main(String[] words) throws Exception {
        Member beta = new Member(words[0], "beta", Leaves.IN_ORDER);
        elected("beta", beta);
        Member alpha = new Member(words[0], "alpha", Leaves.WITHOUT_A_WORD);
        elected("alpha", alpha, beta);
        Member gamma = new Member(words[0], "gamma", Leaves.IN_ORDER);
        elected("alpha", alpha, beta, gamma);
        // What alpha was told before it heard of gamma was the same name.
        Check.reaches(gamma.generation, () -> alpha.generation, "generation of all");
        noConsumersMayJoin(words[0]);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", words[0]))) {
            Check.fails(IllegalArgumentException.class, admin.describeConsumerGroups(List.of(GROUP)).all());
        }
        elected("alpha", alpha, beta, gamma);
        alpha.end();
        elected("beta", beta, gamma);
        beta.end();
        elected("gamma", gamma);
        gamma.end();
    }

    /** Waits until these members know that the one of this name is elected. */
    private static void elected(String name, Member... members) throws Exception {
        for (Member member : members) {
            Check.reaches(name, () -> {
                Check.holds(member.failure == null, member.name + ": " + member.failure);
                return member.elected;
            }, "who is elected, for " + member.name);
        }
    }

    private static void noConsumersMayJoin(String bootstrap) {
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings(bootstrap))) {
            consumer.subscribe(List.of("none"));
            long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
            while (System.nanoTime() < deadline) {
                consumer.poll(Duration.ofMillis(50));
            }
        } catch (InconsistentGroupProtocolException refused) {
            return;
        }
        throw new AssertionError("a consumer joins a group of another type");
    }

    private static Properties settings(String bootstrap) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("group.id", GROUP);
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        return settings;
    }

    private enum Leaves { IN_ORDER, WITHOUT_A_WORD }

    /** A member with a thread of its own, because joining waits for the other members. */
    private static final class Member extends Thread {
        private final String name;
        private final Coordinator coordinator;
        private final ConsumerNetworkClient client;
        private volatile boolean ending;
        private volatile String elected;
        private volatile int generation;
        private volatile Throwable failure;

        Member(String bootstrap, String name, Leaves leaves) {
            this.name = name;
            LogContext logs = new LogContext("[" + name + "] ");
            Metadata metadata = new Metadata(100, 1000, 300_000, logs, new ClusterResourceListeners());
            String[] address = bootstrap.split(":");
            metadata.bootstrap(List.of(new InetSocketAddress(address[0], Integer.parseInt(address[1]))));
            Metrics metrics = new Metrics();
            ConsumerConfig config = new ConsumerConfig(settings(bootstrap));
            var network = ClientUtils.createNetworkClient(
                config, metrics, "sr", logs, new ApiVersions(), Time.SYSTEM, 100, metadata, null, null);
            client = new ConsumerNetworkClient(logs, network, metadata, Time.SYSTEM, 100, 30_000, Integer.MAX_VALUE);
            GroupRebalanceConfig rebalance = new GroupRebalanceConfig(
                6000, 30_000, 1000, GROUP, Optional.empty(), 100, 1000, leaves == Leaves.IN_ORDER);
            coordinator = new Coordinator(rebalance, logs, metrics);
            setDaemon(true);
            start();
        }

        @Override
        public void run() {
            try {
                while (!ending) {
                    coordinator.poll();
                }
                coordinator.close();
                client.close();
            } catch (Exception | Error failed) {
                failure = failed;
            }
        }

        void end() throws InterruptedException {
            ending = true;
            join(60_000);
            Check.holds(!isAlive() && failure == null, name + " ends: " + failure);
        }

        private final class Coordinator extends AbstractCoordinator {
            Coordinator(GroupRebalanceConfig rebalance, LogContext logs, Metrics metrics) {
                super(rebalance, logs, Member.this.client, metrics, "sr", Time.SYSTEM);
            }

            void poll() {
                if (coordinatorUnknown()) {
                    ensureCoordinatorReady(time.timer(1000));
                } else {
                    if (rejoinNeededOrPending()) {
                        ensureActiveGroup();
                    }
                    pollHeartbeat(time.milliseconds());
                    client.poll(time.timer(50));
                }
            }

            @Override
            protected String protocolType() {
                return "sr";
            }

            @Override
            protected JoinGroupRequestProtocolCollection metadata() {
                JoinGroupRequestProtocol v0 =
                    new JoinGroupRequestProtocol().setName("v0").setMetadata(name.getBytes(StandardCharsets.UTF_8));
                return new JoinGroupRequestProtocolCollection(List.of(v0).iterator());
            }

            @Override
            protected Map<String, ByteBuffer> onLeaderElected(
                    String leader, String protocol, List<JoinGroupResponseMember> members, boolean skips) {
                TreeSet<String> names = new TreeSet<>();
                members.forEach(member -> names.add(new String(member.metadata(), StandardCharsets.UTF_8)));
                Map<String, ByteBuffer> told = new HashMap<>();
                ByteBuffer first = StandardCharsets.UTF_8.encode(names.first());
                members.forEach(member -> told.put(member.memberId(), first.duplicate()));
                return told;
            }

            @Override
            protected boolean onJoinPrepare(Timer timer, int before, String member) {
                elected = null;
                return true;
            }

            @Override
            protected void onJoinComplete(int now, String member, String protocol, ByteBuffer told) {
                generation = now;
                elected = StandardCharsets.UTF_8.decode(told).toString();
            }
        }
    }
}
