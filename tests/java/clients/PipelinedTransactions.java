import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A transactional producer with five requests in flight: BOOTSTRAP TOPIC PARTITIONS TRANSACTIONS.
 *
 * <p>Each record is a batch of its own, so that requests hold partitions that the transaction has
 * written to beside ones that it has not. Fails if a request overtakes another.
 */
public final class PipelinedTransactions {
    private static final int RECORDS = 60;

    private PipelinedTransactions() {}

    public static void main(String[] words) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", words[0]);
        settings.put("transactional.id", "pipelined");
        settings.put("batch.size", "1");
        settings.put("max.in.flight.requests.per.connection", "5");
        int partitions = Integer.parseInt(words[2]);
        StringSerializer text = new StringSerializer();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, text, text)) {
            producer.initTransactions();
            for (int transaction = 0; transaction < Integer.parseInt(words[3]); transaction++) {
                producer.beginTransaction();
                List<Future<RecordMetadata>> sent = new ArrayList<>();
                for (int number = 0; number < RECORDS; number++) {
                    // Partitions join the transaction one after the other.
                    int partition = number % (1 + number * partitions / RECORDS);
                    sent.add(producer.send(new ProducerRecord<>(words[1], partition, null, "record")));
                }
                for (Future<RecordMetadata> acknowledgement : sent) {
                    Check.answer(acknowledgement);
                }
                producer.commitTransaction();
            }
        }
    }
}
