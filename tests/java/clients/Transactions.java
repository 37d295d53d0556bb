import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The Java clients in transactions: BOOTSTRAP FROM TO GROUP COUNT.
 *
 * <p>COUNT records are copied from one topic to another together with the group's offsets; every
 * third transaction is aborted and done again. A reader of committed records sees each once.
 */
public final class Transactions {
    private static final int PARTITIONS = 6;
    private static final int KEYS = 24;
    private static final int ABORT_EVERY = 3;

    private final Properties settings = new Properties();
    private final String from;
    private final String to;
    private int aborted;

    private Transactions(String bootstrap, String from, String to, String group) {
        this.from = from;
        this.to = to;
        settings.put("bootstrap.servers", bootstrap);
        settings.put("group.id", group);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", StringSerializer.class.getName());
    }

    public static void main(String[] words) throws Exception {
        Transactions transactions = new Transactions(words[0], words[1], words[2], words[3]);
        int count = Integer.parseInt(words[4]);
        transactions.fill(count);
        transactions.copy(count);
        transactions.checkCopies(count);
        transactions.checkCommitted();
        transactions.fence();
    }

    private Properties with(String key, String value) {
        Properties more = new Properties();
        more.putAll(settings);
        more.put(key, value);
        return more;
    }

    private static String keyOf(int number) {
        return "key-" + number % KEYS;
    }

    private void fill(int count) throws Exception {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            for (int number = 0; number < count; number++) {
                producer.send(new ProducerRecord<>(from, keyOf(number), Integer.toString(number)));
            }
        }
    }

    private void copy(int count) {
        Properties reading = with("isolation.level", "read_committed");
        reading.put("max.poll.records", Integer.toString(count / 20));
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(reading);
            KafkaProducer<String, String> producer = new KafkaProducer<>(with("transactional.id", "copier"))) {
            producer.initTransactions();
            consumer.subscribe(List.of(from));
            int copied = 0;
            for (int turn = 1; copied < count; turn++) {
                ConsumerRecords<String, String> batch = pollSome(consumer);
                producer.beginTransaction();
                for (ConsumerRecord<String, String> record : batch) {
                    producer.send(new ProducerRecord<>(to, record.key(), record.value()));
                }
                producer.sendOffsetsToTransaction(next(batch), consumer.groupMetadata());
                if (turn % ABORT_EVERY == 0) {
                    // Only what was written can be seen to be aborted.
                    producer.flush();
                    producer.abortTransaction();
                    aborted += batch.count();
                    back(consumer, batch);
                } else {
                    producer.commitTransaction();
                    copied += batch.count();
                }
            }
        }
    }

    private static ConsumerRecords<String, String> pollSome(KafkaConsumer<String, String> consumer) {
        long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        while (true) {
            ConsumerRecords<String, String> batch = consumer.poll(Duration.ofSeconds(1));
            if (!batch.isEmpty()) {
                return batch;
            }
            Check.holds(System.nanoTime() < deadline, "no record within a minute");
        }
    }

    private static Map<TopicPartition, OffsetAndMetadata> next(ConsumerRecords<String, String> batch) {
        Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
        for (ConsumerRecord<String, String> record : batch) {
            TopicPartition partition = new TopicPartition(record.topic(), record.partition());
            next.put(partition, new OffsetAndMetadata(record.offset() + 1));
        }
        return next;
    }

    /** To where each partition of the batch began. */
    private static void back(KafkaConsumer<String, String> consumer, ConsumerRecords<String, String> batch) {
        for (TopicPartition partition : batch.partitions()) {
            consumer.seek(partition, batch.records(partition).get(0).offset());
        }
    }

    private void checkCopies(int count) {
        Map<String, Integer> lastOfKey = new HashMap<>();
        Set<Integer> values = new TreeSet<>();
        for (ConsumerRecord<String, String> record : readAll("read_committed")) {
            int value = Integer.parseInt(record.value());
            Check.equal(keyOf(value), record.key(), "key of " + value);
            Check.holds(values.add(value), value + " is there twice");
            Integer before = lastOfKey.put(record.key(), value);
            Check.holds(before == null || before < value, value + " after " + before);
        }
        Check.equal(IntStream.range(0, count).boxed().toList(), List.copyOf(values), "copies");
        // Without aborted records in the log this would show nothing.
        Check.holds(aborted > 0, "transactions were aborted");
        Check.equal(count + aborted, readAll("read_uncommitted").size(), "records in the log");
    }

    private List<TopicPartition> partitions(String topic) {
        return IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(topic, p)).toList();
    }

    private List<ConsumerRecord<String, String>> readAll(String isolation) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        try (KafkaConsumer<String, String> reader = new KafkaConsumer<>(with("isolation.level", isolation))) {
            List<TopicPartition> all = partitions(to);
            reader.assign(all);
            reader.seekToBeginning(all);
            Map<TopicPartition, Long> ends = reader.endOffsets(all);
            long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
            while (all.stream().anyMatch(partition -> reader.position(partition) < ends.get(partition))) {
                Check.holds(System.nanoTime() < deadline, isolation + " does not reach the ends " + ends);
                reader.poll(Duration.ofMillis(100)).forEach(records::add);
            }
        }
        return records;
    }

    private void checkCommitted() {
        try (KafkaConsumer<String, String> reader = new KafkaConsumer<>(settings)) {
            List<TopicPartition> all = partitions(from);
            Map<TopicPartition, Long> ends = reader.endOffsets(all);
            Map<TopicPartition, OffsetAndMetadata> committed = reader.committed(new HashSet<>(all));
            for (TopicPartition partition : all) {
                Check.equal(ends.get(partition), committed.get(partition).offset(), "committed of " + partition);
            }
        }
    }

    /** A second producer with the same transactional id ends the first one's transaction. */
    private void fence() throws Exception {
        Properties fenced = with("transactional.id", "fenced");
        try (KafkaProducer<String, String> old = new KafkaProducer<>(fenced);
            KafkaProducer<String, String> young = new KafkaProducer<>(fenced)) {
            old.initTransactions();
            old.beginTransaction();
            Check.answer(old.send(new ProducerRecord<>(to, 0, "fence", "old")));
            young.initTransactions();
            young.beginTransaction();
            Check.answer(young.send(new ProducerRecord<>(to, 0, "fence", "young")));
            try {
                old.send(new ProducerRecord<>(to, 0, "fence", "too late"));
                old.commitTransaction();
                throw new AssertionError("the first producer is not fenced");
            } catch (ProducerFencedException wanted) {
                // The usual way.
            } catch (KafkaException failed) {
                Check.holds(isFencing(failed), "the first producer is fenced, not: " + failed);
            }
            young.commitTransaction();
        }
        List<String> left = readAll("read_committed").stream()
            .filter(record -> record.key().equals("fence")).map(ConsumerRecord::value).toList();
        Check.equal(List.of("young"), left, "what is left of the two producers");
    }

    private static boolean isFencing(Throwable failure) {
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            String name = cause.getClass().getSimpleName();
            if (name.equals("ProducerFencedException") || name.equals("InvalidProducerEpochException")) {
                return true;
            }
        }
        return false;
    }
}
