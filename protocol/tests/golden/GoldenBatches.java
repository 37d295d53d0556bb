// Writes batches.txt: record sets of every format and compression, built by Kafka's own code, and
// after each the records in it. See README.md for how to run it.

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.EndTransactionMarker;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.SimpleRecord;
import org.apache.kafka.common.record.TimestampType;

public final class GoldenBatches {
    private static final long BASE_OFFSET = 1_000_000_007L;
    private static final long LOG_APPEND_TIME = 1_700_000_000_123L;

    public static void main(String[] arguments) {
        for (byte magic = 0; magic <= 2; magic++) {
            for (CompressionType type : CompressionType.values()) {
                if (type == CompressionType.ZSTD && magic < 2) {
                    continue;
                }
                for (TimestampType time : new TimestampType[] {
                        TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME}) {
                    if (magic == 0 && time == TimestampType.LOG_APPEND_TIME) {
                        continue;
                    }
                    MemoryRecords set = build(magic, type, time);
                    print("magic-" + magic + "-" + type.name + "-" + time.name, set);
                }
            }
        }
        print("idempotent", MemoryRecords.withIdempotentRecords(
            RecordBatch.MAGIC_VALUE_V2, 5L, Compression.NONE, 77L, (short) 3, 2147483646, 9,
            records().toArray(new SimpleRecord[0])));
        print("transactional", MemoryRecords.withTransactionalRecords(
            Compression.gzip().build(), 77L, (short) 3, 0, records().toArray(new SimpleRecord[0])));
        print("commit", MemoryRecords.withEndTransactionMarker(
            8L, 1_600_000_000_000L, 2, 77L, (short) 3,
            new EndTransactionMarker(ControlRecordType.COMMIT, 19)));
        print("abort", MemoryRecords.withEndTransactionMarker(
            9L, 1_600_000_000_000L, 2, 77L, (short) 3,
            new EndTransactionMarker(ControlRecordType.ABORT, 20)));
    }

    private static MemoryRecords build(byte magic, CompressionType type, TimestampType time) {
        MemoryRecordsBuilder builder = MemoryRecords.builder(
            ByteBuffer.allocate(1024), magic, Compression.of(type).build(), time, BASE_OFFSET,
            LOG_APPEND_TIME);
        for (SimpleRecord record : records()) {
            if (magic == 2) {
                builder.append(record);
            } else {
                long timestamp = magic == 0 ? RecordBatch.NO_TIMESTAMP : record.timestamp();
                builder.append(timestamp, record.key(), record.value());
            }
        }
        return builder.build();
    }

    private static List<SimpleRecord> records() {
        List<SimpleRecord> records = new ArrayList<>();
        long now = 1_650_000_000_000L;
        records.add(new SimpleRecord(now, bytes("key"), bytes("value")));
        records.add(new SimpleRecord(now - 5_000_000_000L, null, bytes("before")));
        records.add(new SimpleRecord(now + 1, bytes("tombstone"), null));
        records.add(new SimpleRecord(now + 2, bytes(""), bytes("")));
        records.add(new SimpleRecord(now + 3, bytes("h"), bytes("with headers"), new Header[] {
            new RecordHeader("name", bytes("x")),
            new RecordHeader("name", null),
            new RecordHeader("", bytes(""))}));
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 40; i++) {
            text.append("line ").append(i * i).append('\n');
        }
        records.add(new SimpleRecord(now + 4, null, bytes(text.toString())));
        return records;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void print(String name, MemoryRecords set) {
        System.out.println("set " + name + " " + hex(set.buffer()));
        for (RecordBatch batch : set.batches()) {
            for (Record record : batch) {
                StringBuilder line = new StringBuilder("record");
                line.append(' ').append(record.offset());
                line.append(' ').append(record.timestamp());
                line.append(' ').append(hex(record.key()));
                line.append(' ').append(hex(record.value()));
                for (Header header : record.headers()) {
                    line.append(' ').append(hex(ByteBuffer.wrap(bytes(header.key()))));
                    line.append('=');
                    byte[] value = header.value();
                    line.append(hex(value == null ? null : ByteBuffer.wrap(value)));
                }
                System.out.println(line);
            }
        }
    }

    private static String hex(ByteBuffer buffer) {
        if (buffer == null) {
            return "null";
        }
        ByteBuffer bytes = buffer.duplicate();
        StringBuilder text = new StringBuilder("x");
        while (bytes.hasRemaining()) {
            text.append(String.format("%02x", bytes.get()));
        }
        return text.toString();
    }
}
