import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * What a data directory that changes hands is filled with, and everything that can be read from
 * it, one line each: {@code create}, {@code write}, {@code transactions}, {@code read} and
 * {@code kept}, with the bootstrap server. The producer of {@code going-on} lives from a server's first call to the end
 * of the JVM.
 */
public final class Swap {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    private static final Map<String, KafkaProducer<byte[], byte[]>> GOING_ON = new ConcurrentHashMap<>();

    private Swap() {}

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[1];
        switch (arguments[0]) {
            case "create" -> create(bootstrap);
            case "write" -> write(bootstrap);
            case "transactions" -> transactions(bootstrap);
            case "read" -> read(bootstrap);
            case "kept" -> kept(bootstrap);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static void create(String bootstrap) throws Exception {
        List<NewTopic> topics = new ArrayList<>();
        for (String codec : CODECS) {
            topics.add(new NewTopic("codec-" + codec, 2, (short) 1));
        }
        topics.add(new NewTopic("going-on", 1, (short) 1));
        topics.add(new NewTopic("transactions", 1, (short) 1));
        topics.add(new NewTopic("compacted", 1, (short) 1).configs(
            Map.of("cleanup.policy", "compact", "segment.bytes", "16384", "min.cleanable.dirty.ratio", "0.01")));
        topics.add(new NewTopic("segments", 1, (short) 1).configs(
            Map.of("segment.bytes", "16384", "index.interval.bytes", "100", "retention.ms", "-1")));
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(topics).all().get();
            var scram = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096);
            admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("alice", scram, "secret")))
                .all().get();
            var entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, "alice"));
            var quota = new ClientQuotaAlteration.Op("producer_byte_rate", 1e9);
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(quota)))).all().get();
        }
    }

    /** What chiplog keeps and does not act on, so only Kafka can be asked. */
    private static void kept(String bootstrap) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            System.out.println(admin.describeUserScramCredentials(List.of("alice")).all().get());
            System.out.println(admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get());
        }
    }

    private static void write(String bootstrap) throws Exception {
        for (String codec : CODECS) {
            try (var producer = producer(bootstrap, Map.of("compression.type", codec, "enable.idempotence", "false"))) {
                for (int partition = 0; partition < 2; partition++) {
                    send(producer, "codec-" + codec, partition, 200);
                }
            }
        }
        try (var producer = producer(bootstrap, Map.of("batch.size", "1000"))) {
            send(producer, "compacted", 0, 500);
            send(producer, "segments", 0, 500);
        }
        var goingOn = GOING_ON.computeIfAbsent(bootstrap, server -> producer(server, Map.of()));
        send(goingOn, "going-on", 0, 100);
    }

    private static void transactions(String bootstrap) throws Exception {
        try (var producer = producer(bootstrap, Map.of("transactional.id", "swap"))) {
            producer.initTransactions();
            for (int number = 0; number < 5; number++) {
                producer.beginTransaction();
                send(producer, "transactions", 0, 20);
                if (number % 2 == 0) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
        }
    }

    private static KafkaProducer<byte[], byte[]> producer(String bootstrap, Map<String, String> more) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("linger.ms", "20");
        settings.putAll(more);
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String topic, int partition, int count)
        throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            byte[] key = ("key " + i % 40).getBytes(StandardCharsets.UTF_8);
            byte[] value = i % 50 == 7 ? null : ("value " + i + " ").repeat(1 + i % 9).getBytes(StandardCharsets.UTF_8);
            var record = new ProducerRecord<>(topic, partition, key, value);
            record.headers().add("number", Integer.toString(i).getBytes(StandardCharsets.UTF_8)).add("nothing", null);
            sent.add(producer.send(record));
        }
        producer.flush();
        for (Future<RecordMetadata> one : sent) {
            Check.answer(one);
        }
    }

    private static void read(String bootstrap) throws Exception {
        List<TopicPartition> all = new ArrayList<>();
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            // A broker with ZooKeeper answers before its controller has told it of topics.
            Check.reaches(true, () -> admin.listTopics().names().get().contains("transactions"), "topics are known");
            Map<String, TopicDescription> topics =
                new TreeMap<>(admin.describeTopics(admin.listTopics().names().get()).allTopicNames().get());
            for (TopicDescription topic : topics.values()) {
                int partitions = topic.partitions().size();
                System.out.println("topic " + topic.name() + " " + topic.topicId() + " " + partitions);
                var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic.name());
                var configs = admin.describeConfigs(List.of(resource)).all().get().get(resource).entries();
                configs.stream()
                    .filter(entry -> entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
                    .map(entry -> "config " + topic.name() + " " + entry.name() + "=" + entry.value())
                    .sorted()
                    .forEach(System.out::println);
                for (int partition = 0; partition < partitions; partition++) {
                    all.add(new TopicPartition(topic.name(), partition));
                }
            }
        }
        records(bootstrap, all, "read_uncommitted");
        records(bootstrap, all, "read_committed");
    }

    private static void records(String bootstrap, List<TopicPartition> all, String isolation) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("isolation.level", isolation);
        settings.put("auto.offset.reset", "none");
        Map<TopicPartition, StringBuilder> lines = new HashMap<>();
        all.forEach(partition -> lines.put(partition, new StringBuilder()));
        try (var consumer =
            new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
            while (all.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
                Check.holds(System.nanoTime() < deadline, "records arrive within a minute");
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    var partition = new TopicPartition(record.topic(), record.partition());
                    String line = isolation + " " + partition + " " + line(record) + "\n";
                    lines.get(partition).append(line);
                }
            }
            for (TopicPartition partition : all) {
                System.out.print(lines.get(partition));
                System.out.println("end " + isolation + " " + partition + " " + ends.get(partition));
            }
        }
    }

    private static String line(ConsumerRecord<byte[], byte[]> record) {
        StringBuilder line = new StringBuilder();
        line.append(record.offset()).append(' ').append(record.timestampType()).append(record.timestamp());
        line.append(" epoch ").append(record.leaderEpoch().map(Object::toString).orElse("none"));
        line.append(' ').append(text(record.key())).append('=').append(text(record.value()));
        for (Header header : record.headers()) {
            line.append(' ').append(header.key()).append(':').append(text(header.value()));
        }
        return line.toString();
    }

    private static String text(byte[] bytes) {
        return bytes == null ? "null" : new String(bytes, StandardCharsets.UTF_8);
    }
}
