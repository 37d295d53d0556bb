import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * The two protocols that a Java consumer may have for its group: the classic one, by default or asked
 * for, and that of KIP-848, which a broker of 3.9 refuses unless it is switched on: BOOTSTRAP REFUSAL,
 * the text that the client has for it.
 */
public final class GroupProtocols {
    private GroupProtocols() {}

    public static void main(String[] words) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", words[0]))) {
            Check.answer(admin.createTopics(List.of(new NewTopic("lots", 3, (short) 1))).all());
            try (KafkaConsumer<String, String> silent = subscribed(words[0], "by-default", null);
                    KafkaConsumer<String, String> classic = subscribed(words[0], "asked-for", "classic")) {
                ownsAll(silent);
                ownsAll(classic);
            }
            try (KafkaConsumer<String, String> refused = subscribed(words[0], "refused", "consumer")) {
                Check.equal(words[1], refusal(refused), "what the new protocol is refused with");
            }
        }
    }

    private static KafkaConsumer<String, String> subscribed(String bootstrap, String group, String protocol) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("group.id", group);
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        if (protocol != null) {
            settings.put("group.protocol", protocol);
        }
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings);
        consumer.subscribe(List.of("lots"));
        return consumer;
    }

    private static void ownsAll(KafkaConsumer<String, String> consumer) throws Exception {
        Set<TopicPartition> all = Set.of(
            new TopicPartition("lots", 0), new TopicPartition("lots", 1), new TopicPartition("lots", 2));
        Check.reaches(all, () -> {
            consumer.poll(Duration.ofMillis(50));
            return consumer.assignment();
        }, "what the only member owns");
        ConsumerGroupMetadata member = consumer.groupMetadata();
        Check.equal(1, member.generationId(), "generation of the only member");
    }

    /** What the first poll after the broker's answer tells the user. */
    private static String refusal(KafkaConsumer<String, String> consumer) {
        long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        while (System.nanoTime() < deadline) {
            try {
                consumer.poll(Duration.ofMillis(50));
            } catch (UnsupportedVersionException refused) {
                return refused.getMessage();
            }
        }
        throw new AssertionError("the new protocol is not refused");
    }
}
