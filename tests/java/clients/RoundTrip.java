import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The Java producer (idempotent, as is its default) and the Java consumer with assigned partitions
 * against one broker, once for each codec.
 */
public final class RoundTrip {
    private static final long FIRST_TIMESTAMP_MS = 1_700_000_000_000L;
    private static final int RECORDS = 2_000;

    private RoundTrip() {}

    public static void main(String[] arguments) throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String topic = "java-" + codec;
            produce(arguments[0], topic, codec);
            try (KafkaConsumer<byte[], byte[]> consumer = consumer(arguments[0])) {
                TopicPartition partition = new TopicPartition(topic, 0);
                consumer.assign(List.of(partition));
                everything(consumer, partition);
                seeking(consumer, partition);
                times(consumer, partition);
            }
        }
        tooLarge(arguments[0]);
    }

    private static byte[] value(int number) {
        byte[] value = ("value " + number + " ").repeat(1 + number % 17).getBytes(StandardCharsets.UTF_8);
        // A delete marker now and then, and an empty value.
        return number % 100 == 7 ? null : number % 100 == 8 ? new byte[0] : value;
    }

    private static byte[] key(int number) {
        return number % 3 == 0 ? null : ("key " + number).getBytes(StandardCharsets.UTF_8);
    }

    private static void produce(String bootstrap, String topic, String codec) throws Exception {
        Properties settings = new Properties();
        settings.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, codec);
        settings.put(ProducerConfig.LINGER_MS_CONFIG, "5");
        try (var producer =
            new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < RECORDS; i++) {
                var record = new ProducerRecord<>(topic, 0, FIRST_TIMESTAMP_MS + i, key(i), value(i));
                record.headers().add(new RecordHeader("number", Integer.toString(i).getBytes(StandardCharsets.UTF_8)));
                record.headers().add(new RecordHeader("nothing", null));
                sent.add(producer.send(record));
            }
            for (int i = 0; i < RECORDS; i++) {
                RecordMetadata metadata = Check.answer(sent.get(i));
                Check.equal((long) i, metadata.offset(), "offset of a produced record");
                Check.equal(FIRST_TIMESTAMP_MS + i, metadata.timestamp(), "timestamp of a produced record");
            }
        }
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String bootstrap) {
        Properties settings = new Properties();
        settings.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        // Small fetches, so that incremental fetch sessions go through many rounds.
        settings.put(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG, "8192");
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static void everything(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition) {
        consumer.seekToBeginning(List.of(partition));
        int next = 0;
        while (next < RECORDS) {
            for (ConsumerRecord<byte[], byte[]> record : poll(consumer)) {
                Check.equal((long) next, record.offset(), "offset");
                Check.equal(FIRST_TIMESTAMP_MS + next, record.timestamp(), "timestamp");
                Check.holds(Arrays.equals(key(next), record.key()), "key of " + next);
                Check.holds(Arrays.equals(value(next), record.value()), "value of " + next);
                String number = new String(record.headers().lastHeader("number").value(), StandardCharsets.UTF_8);
                Check.equal(Integer.toString(next), number, "header");
                Check.equal(null, record.headers().lastHeader("nothing").value(), "null header");
                next++;
            }
        }
        Check.equal((long) RECORDS, consumer.endOffsets(List.of(partition)).get(partition), "end offset");
        Check.equal(0L, consumer.beginningOffsets(List.of(partition)).get(partition), "first offset");
        Check.equal((long) RECORDS, consumer.position(partition), "position");
    }

    private static void seeking(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition) {
        for (long offset : new long[] {RECORDS - 1, 0, 777}) {
            consumer.seek(partition, offset);
            Check.equal(offset, poll(consumer).get(0).offset(), "first offset after seek");
        }
        // Out of range: auto.offset.reset decides.
        consumer.seek(partition, RECORDS + 1_000);
        Check.equal(0L, poll(consumer).get(0).offset(), "offset after a seek out of range");
    }

    private static void times(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition) {
        OffsetAndTimestamp found =
            consumer.offsetsForTimes(Map.of(partition, FIRST_TIMESTAMP_MS + 1_234)).get(partition);
        Check.equal(1_234L, found.offset(), "offset for a time");
        Check.equal(FIRST_TIMESTAMP_MS + 1_234, found.timestamp(), "timestamp found for a time");
        Check.equal(0L, consumer.offsetsForTimes(Map.of(partition, 1L)).get(partition).offset(), "offset for the past");
        Check.equal(null, consumer.offsetsForTimes(Map.of(partition, FIRST_TIMESTAMP_MS + RECORDS)).get(partition),
            "offset for the future");
    }

    private static List<ConsumerRecord<byte[], byte[]>> poll(KafkaConsumer<byte[], byte[]> consumer) {
        long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        while (records.isEmpty()) {
            Check.holds(System.nanoTime() < deadline, "records arrive within a minute");
            consumer.poll(Duration.ofSeconds(1)).forEach(records::add);
        }
        return records;
    }

    private static void tooLarge(String bootstrap) throws Exception {
        Properties settings = new Properties();
        settings.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(ProducerConfig.MAX_REQUEST_SIZE_CONFIG, "4000000");
        try (var producer =
            new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            var record = new ProducerRecord<byte[], byte[]>("java-none", 0, null, new byte[2_000_000]);
            Check.fails(RecordTooLargeException.class, producer.send(record));
        }
    }
}
