import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The Java consumer in a group of two members that share, leave, commit, and go on where it was
 * committed: BOOTSTRAP TOPIC GROUP ASSIGNOR FIRST COUNT.
 *
 * <p>Produces the numbers from FIRST on, three times COUNT of them, and consumes them with one
 * member, with two, and with one again. All members are polled by this one thread.
 */
public final class Groups {
    private static final int PARTITIONS = 6;
    private static final int KEYS = 24;

    private final Properties settings = new Properties();
    private final String topic;
    private final List<ConsumerRecord<String, String>> records = new ArrayList<>();
    private final Set<String> tookPart = new HashSet<>();

    private Groups(String bootstrap, String topic, String group, String assignor) {
        this.topic = topic;
        settings.put("bootstrap.servers", bootstrap);
        settings.put("group.id", group);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor);
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", StringSerializer.class.getName());
    }

    public static void main(String[] words) throws Exception {
        Groups groups = new Groups(words[0], words[1], words[2], words[3]);
        groups.run(words[2], Integer.parseInt(words[4]), Integer.parseInt(words[5]));
    }

    private void run(String group, int first, int count) throws Exception {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(of("enable.idempotence", "true"));
            Member late = new Member("late")) {
            try (Member early = new Member("early")) {
                early.join();
                produce(producer, first, count);
                until("the first share", List.of(early), () -> shares(early).equals(List.of(PARTITIONS)));
                until("the first part", List.of(early), () -> records.size() >= count);
                tookPart.clear();
                late.join();
                List<Member> both = List.of(early, late);
                List<Integer> halves = List.of(PARTITIONS / 2, PARTITIONS / 2);
                until("two shares", both, () -> shares(early, late).equals(halves));
                produce(producer, first + count, count);
                until("the second part", both, () -> records.size() >= 2 * count);
                Check.equal(Set.of("early", "late"), tookPart, "who took part");
            }
            produce(producer, first + 2 * count, count);
            until("the last share", List.of(late), () -> shares(late).equals(List.of(PARTITIONS)));
            until("the third part", List.of(late), () -> records.size() >= 3 * count);
        }
        checkRecords(first, 3 * count);
        checkCommitted(group);
    }

    private Properties of(String key, String value) {
        Properties more = new Properties();
        more.putAll(settings);
        more.put(key, value);
        return more;
    }

    private static String keyOf(int number) {
        return "key-" + number % KEYS;
    }

    private void produce(KafkaProducer<String, String> producer, int first, int count) throws Exception {
        var sent = IntStream.range(first, first + count)
            .mapToObj(n -> producer.send(new ProducerRecord<>(topic, keyOf(n), Integer.toString(n))))
            .toList();
        for (var acknowledgement : sent) {
            Check.answer(acknowledgement);
        }
    }

    /** Polls the members in turn until the state is there. */
    private void until(String what, List<Member> members, BooleanSupplier holds) {
        long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        while (!holds.getAsBoolean()) {
            Check.holds(System.nanoTime() < deadline, what + " is not reached, " + records.size() + " records");
            members.forEach(Member::poll);
        }
    }

    /** How many partitions each member owns; together all, each once. */
    private static List<Integer> shares(Member... members) {
        Set<Integer> owned = new TreeSet<>();
        List<Integer> sizes = new ArrayList<>();
        for (Member member : members) {
            owned.addAll(member.owned);
            sizes.add(member.owned.size());
        }
        return owned.size() == PARTITIONS ? sizes : List.of();
    }

    private void checkRecords(int first, int count) {
        Map<String, Integer> lastOfKey = new HashMap<>();
        Map<Integer, Long> lastOfPartition = new HashMap<>();
        Set<Integer> values = new TreeSet<>();
        for (ConsumerRecord<String, String> record : records) {
            int value = Integer.parseInt(record.value());
            Check.equal(keyOf(value), record.key(), "key of " + value);
            Check.holds(values.add(value), value + " was seen twice");
            Integer before = lastOfKey.put(record.key(), value);
            Check.holds(before == null || before < value, value + " after " + before);
            Long last = lastOfPartition.put(record.partition(), record.offset());
            Check.holds(last == null || last + 1 == record.offset(), record.offset() + " after offset " + last);
        }
        List<Integer> wanted = IntStream.range(first, first + count).boxed().toList();
        Check.equal(wanted, List.copyOf(values), "numbers seen");
    }

    private void checkCommitted(String group) throws Exception {
        try (KafkaConsumer<String, String> reader = new KafkaConsumer<>(settings);
            Admin admin = Admin.create(settings)) {
            List<TopicPartition> all = IntStream.range(0, PARTITIONS).mapToObj(this::at).toList();
            Map<TopicPartition, Long> ends = reader.endOffsets(all);
            Map<TopicPartition, OffsetAndMetadata> committed = reader.committed(new HashSet<>(all));
            for (TopicPartition partition : all) {
                OffsetAndMetadata found = committed.get(partition);
                Check.equal(ends.get(partition), found.offset(), "committed offset of " + partition);
                Check.holds(found.metadata().matches("early|late"), "metadata of " + partition);
            }
            var description = Check.answer(admin.describeConsumerGroups(List.of(group)).all()).get(group);
            Check.equal(0, description.members().size(), "members that are left");
            // The method that gives the state has one name in 3.9 and another in 4.1.
            Check.holds(description.toString().contains("tate=Empty"), "the group is empty: " + description);
        }
    }

    private TopicPartition at(int partition) {
        return new TopicPartition(topic, partition);
    }

    /** Commits what it has seen before it asks for more. */
    private final class Member implements AutoCloseable, ConsumerRebalanceListener {
        final String name;
        final Set<Integer> owned = new TreeSet<>();
        private final KafkaConsumer<String, String> consumer;

        Member(String name) {
            this.name = name;
            this.consumer = new KafkaConsumer<>(of("client.id", name));
        }

        void join() {
            consumer.subscribe(List.of(topic), this);
        }

        void poll() {
            ConsumerRecords<String, String> batch = consumer.poll(Duration.ofMillis(50));
            if (batch.isEmpty()) {
                return;
            }
            Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
            for (ConsumerRecord<String, String> record : batch) {
                records.add(record);
                next.put(at(record.partition()), new OffsetAndMetadata(record.offset() + 1, name));
            }
            tookPart.add(name);
            consumer.commitSync(next);
        }

        @Override
        public void close() {
            consumer.close();
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            partitions.forEach(partition -> owned.add(partition.partition()));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            partitions.forEach(partition -> owned.remove(partition.partition()));
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            throw new AssertionError(name + " lost " + partitions);
        }
    }
}
