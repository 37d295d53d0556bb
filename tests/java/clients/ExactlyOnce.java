import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

/** The Java transactional producer, and the Java consumer of committed records. */
public final class ExactlyOnce {
    private static final int RECORDS = 500;

    private ExactlyOnce() {}

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(
                    new NewTopic("input", 2, (short) 1),
                    new NewTopic("output", 2, (short) 1),
                    new NewTopic("fence", 1, (short) 1))).all().get();
            exactlyOnce(bootstrap);
            fencing(bootstrap, admin);
        }
    }

    private static KafkaProducer<String, String> producer(String bootstrap, String id) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        settings.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        if (id != null) {
            settings.put("transactional.id", id);
        }
        return new KafkaProducer<>(settings);
    }

    private static KafkaConsumer<String, String> consumer(String bootstrap, String group) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("group.id", group);
        settings.put("isolation.level", "read_committed");
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("max.poll.records", "50");
        settings.put("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        settings.put("value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        return new KafkaConsumer<>(settings);
    }

    /** Copies the input, with every third attempt aborted: each record is in the output once. */
    private static void exactlyOnce(String bootstrap) throws Exception {
        try (KafkaProducer<String, String> producer = producer(bootstrap, null)) {
            for (int number = 0; number < RECORDS; number++) {
                producer.send(new ProducerRecord<>("input", number % 2, null, "record " + number));
            }
        }
        List<TopicPartition> input = List.of(new TopicPartition("input", 0), new TopicPartition("input", 1));
        try (KafkaConsumer<String, String> consumer = consumer(bootstrap, "copier");
                KafkaProducer<String, String> producer = producer(bootstrap, "copier")) {
            consumer.assign(input);
            producer.initTransactions();
            int attempt = 0;
            while (committed(consumer, input) < RECORDS) {
                producer.beginTransaction();
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
                    producer.send(new ProducerRecord<>("output", record.partition(), null, record.value()));
                    offsets.put(new TopicPartition(record.topic(), record.partition()),
                            new OffsetAndMetadata(record.offset() + 1, "so far"));
                }
                producer.sendOffsetsToTransaction(offsets, new ConsumerGroupMetadata("copier"));
                if (attempt++ % 3 == 1) {
                    producer.abortTransaction();
                    for (TopicPartition partition : input) {
                        OffsetAndMetadata at = consumer.committed(Set.of(partition)).get(partition);
                        consumer.seek(partition, at == null ? 0 : at.offset());
                    }
                } else {
                    producer.commitTransaction();
                }
            }
        }
        List<String> expected = new ArrayList<>();
        List<String> seen = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = consumer(bootstrap, "reader")) {
            consumer.assign(List.of(new TopicPartition("output", 0), new TopicPartition("output", 1)));
            long patience = System.currentTimeMillis() + 60_000;
            while (seen.size() < RECORDS && System.currentTimeMillis() < patience) {
                consumer.poll(Duration.ofMillis(200)).forEach(record -> seen.add(record.value()));
            }
            consumer.poll(Duration.ofMillis(500)).forEach(record -> seen.add(record.value()));
        }
        for (int number = 0; number < RECORDS; number++) {
            expected.add("record " + number);
        }
        seen.sort(null);
        expected.sort(null);
        Check.equal(expected, seen, "records in the output");
    }

    private static long committed(KafkaConsumer<String, String> consumer, List<TopicPartition> partitions) {
        long sum = 0;
        for (OffsetAndMetadata offset : consumer.committed(Set.copyOf(partitions)).values()) {
            sum += offset == null ? 0 : offset.offset();
        }
        return sum;
    }

    private static void fencing(String bootstrap, Admin admin) throws Exception {
        try (KafkaProducer<String, String> first = producer(bootstrap, "fenced");
                KafkaProducer<String, String> second = producer(bootstrap, "fenced")) {
            first.initTransactions();
            first.beginTransaction();
            first.send(new ProducerRecord<>("fence", "lost")).get();
            TransactionDescription open =
                    admin.describeTransactions(List.of("fenced")).description("fenced").get();
            Check.equal(TransactionState.ONGOING, open.state(), "its state");
            Check.equal(Set.of(new TopicPartition("fence", 0)), open.topicPartitions(), "its partitions");
            second.initTransactions();
            second.beginTransaction();
            second.send(new ProducerRecord<>("fence", "kept")).get();
            refused(first);
            second.commitTransaction();

            KafkaProducer<String, String> third = producer(bootstrap, "fenced");
            third.initTransactions();
            third.beginTransaction();
            third.send(new ProducerRecord<>("fence", "fenced by the administrator")).get();
            admin.fenceProducers(List.of("fenced")).all().get();
            refused(third);
            third.close(Duration.ZERO);
        }
        ListTransactionsOptions complete =
                new ListTransactionsOptions().filterStates(Set.of(TransactionState.COMPLETE_COMMIT));
        List<String> ids = new ArrayList<>();
        for (TransactionListing listing : admin.listTransactions(complete).all().get()) {
            ids.add(listing.transactionalId());
        }
        Check.equal(List.of("copier"), ids, "ids that were committed last");
    }

    private static void refused(KafkaProducer<String, String> producer) throws Exception {
        try {
            producer.send(new ProducerRecord<>("fence", "too late")).get();
            producer.commitTransaction();
        } catch (ProducerFencedException | InvalidProducerEpochException expected) {
            return;
        } catch (ExecutionException | KafkaException wrapped) {
            Throwable cause = wrapped.getCause();
            if (cause instanceof ProducerFencedException || cause instanceof InvalidProducerEpochException) {
                return;
            }
            throw wrapped;
        }
        throw new AssertionError("a producer that was replaced has committed");
    }
}
