import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import java.util.stream.Stream;
import kafka.log.Cleaner;
import kafka.log.LogCleanerManager;
import kafka.log.LogToClean;
import kafka.log.OffsetsToClean;
import kafka.log.UnifiedLog;
import kafka.server.BrokerTopicStats;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.FileLogInputStream.FileChannelRecordBatch;
import org.apache.kafka.common.record.FileRecords;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.AbortedTxn;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogOffsetsListener;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.SkimpyOffsetMap;
import org.apache.kafka.storage.internals.log.TransactionIndex;
import org.apache.kafka.storage.internals.utils.Throttler;
import scala.Option;
import scala.runtime.BoxedUnit;

/**
 * Runs Kafka's own cleaner on the directory of a partition, and says what the files there hold.
 *
 * <p>{@code dump DIRECTORY} only says it. {@code clean DIRECTORY SETTING=VALUE.. NOW..} runs one
 * pass for each time, in milliseconds, and says it after each; a pass goes on where the one before
 * ended, as the cleaner's checkpoint has it. The settings are those of a topic, two of the broker,
 * {@code log.cleaner.dedupe.buffer.size} and {@code producer.id.expiration.ms}, and
 * {@code log.start.offset}, below which records were deleted.
 *
 * <p>A line before the files' content tells of the pass: where it began, which offset it could not
 * go beyond, and where the next one begins.
 */
public final class KafkaCleaner {
    private static final String DEDUPE_BUFFER = "log.cleaner.dedupe.buffer.size";
    private static final String PRODUCER_EXPIRATION = "producer.id.expiration.ms";
    private static final String LOG_START = "log.start.offset";

    /** Defaults of Kafka 3.9: half of log.cleaner.io.buffer.size, and the load factor. */
    private static final int IO_BUFFER_BYTES = 256 * 1024;
    private static final int IO_BUFFER_BYTES_MAX = 1024 * 1024 + 12;
    private static final double LOAD_FACTOR = 0.9;

    private static final HexFormat HEX = HexFormat.of();

    private KafkaCleaner() {}

    public static void main(String[] arguments) throws Exception {
        Path directory = Path.of(arguments[1]);
        StringBuilder out = new StringBuilder();
        if (arguments[0].equals("clean")) {
            clean(directory, arguments, out);
        } else {
            dump(directory, out);
        }
        System.out.print(out);
    }

    private static void clean(Path directory, String[] arguments, StringBuilder out) throws Exception {
        Map<String, String> settings = new HashMap<>();
        List<Long> passes = new ArrayList<>();
        for (int i = 2; i < arguments.length; i++) {
            String[] setting = arguments[i].split("=", 2);
            if (setting.length == 2) {
                settings.put(setting[0], setting[1]);
            } else {
                passes.add(Long.parseLong(arguments[i]));
            }
        }
        SetTime time = new SetTime(passes.get(0));
        KafkaScheduler scheduler = new KafkaScheduler(1);
        scheduler.startup();
        int dedupeBytes = Integer.parseInt(settings.remove(DEDUPE_BUFFER));
        UnifiedLog log = open(directory, settings, time, scheduler);
        try {
            log.updateHighWatermark(log.logEndOffset());
            Option<Object> firstDirty = Option.empty();
            for (long now : passes) {
                time.nowMs = now;
                firstDirty = Option.apply(pass(log, firstDirty, dedupeBytes, time, out));
                dump(directory, out);
            }
        } finally {
            log.close();
            scheduler.shutdown();
        }
    }

    private static UnifiedLog open(
        Path directory, Map<String, String> settings, Time time, KafkaScheduler scheduler) {
        int expirationMs = Integer.parseInt(settings.remove(PRODUCER_EXPIRATION));
        long logStart = Long.parseLong(settings.remove(LOG_START));
        return UnifiedLog.apply(
            directory.toFile(),
            new LogConfig(settings),
            logStart,
            logStart,
            scheduler,
            new BrokerTopicStats(false),
            time,
            15 * 60 * 1000,
            new ProducerStateManagerConfig(expirationMs, false),
            // Nobody forgets a producer in between: a pass says when.
            Integer.MAX_VALUE,
            new LogDirFailureChannel(1),
            true,
            Option.empty(),
            false,
            new ConcurrentHashMap<>(),
            false,
            LogOffsetsListener.NO_OP_OFFSETS_LISTENER);
    }

    private static Long pass(
        UnifiedLog log, Option<Object> lastClean, int dedupeBytes, SetTime time, StringBuilder out)
        throws Exception {
        log.removeExpiredProducers(time.nowMs);
        OffsetsToClean range = LogCleanerManager.cleanableOffsets(log, lastClean, time.nowMs);
        LogToClean cleanable = new LogToClean(
            log.topicPartition(), log, range.firstDirtyOffset(), range.firstUncleanableDirtyOffset(), false);
        Long end = range.firstDirtyOffset();
        if (cleanable.cleanableBytes() > 0) {
            Cleaner cleaner = new Cleaner(
                0,
                new SkimpyOffsetMap(dedupeBytes),
                IO_BUFFER_BYTES,
                IO_BUFFER_BYTES_MAX,
                LOAD_FACTOR,
                new Throttler(Double.MAX_VALUE, Long.MAX_VALUE, "cleaner-io", "bytes", time),
                time,
                (TopicPartition partition) -> BoxedUnit.UNIT);
            end = (Long) cleaner.clean(cleanable)._1();
        }
        out.append("pass from=").append(range.firstDirtyOffset())
            .append(" uncleanable=").append(cleanable.firstUncleanableOffset())
            .append(" next=").append(end).append('\n');
        return end;
    }

    /** Everything that the segments and the transaction indexes in a directory hold. */
    private static void dump(Path directory, StringBuilder out) throws IOException {
        List<File> segments;
        try (Stream<Path> files = Files.list(directory)) {
            segments = files.filter(file -> file.toString().endsWith(".log")).sorted().map(Path::toFile).toList();
        }
        for (File segment : segments) {
            String stem = segment.getName().substring(0, segment.getName().length() - ".log".length());
            out.append("segment ").append(stem).append('\n');
            try (FileRecords records = FileRecords.open(segment, false)) {
                for (FileChannelRecordBatch batch : records.batches()) {
                    batch.ensureValid();
                    dump(batch, out);
                }
            }
            dumpAborted(new File(segment.getParentFile(), stem + ".txnindex"), Long.parseLong(stem), out);
        }
    }

    private static void dump(FileChannelRecordBatch batch, StringBuilder out) {
        out.append("batch base=").append(batch.baseOffset())
            .append(" last=").append(batch.lastOffset())
            .append(" magic=").append(batch.magic())
            .append(" epoch=").append(batch.partitionLeaderEpoch())
            .append(" producer=").append(batch.producerId())
            .append(':').append(batch.producerEpoch())
            .append(':').append(batch.baseSequence())
            .append(" control=").append(batch.isControlBatch())
            .append(" transactional=").append(batch.isTransactional())
            .append(" codec=").append(batch.compressionType().name)
            .append(" time=").append(batch.timestampType().name)
            .append(" max=").append(batch.maxTimestamp())
            .append(" horizon=").append(text(batch.deleteHorizonMs()));
        if (batch.compressionType() == CompressionType.NONE) {
            // Covers every byte after it; compressors may differ.
            out.append(" crc=").append(checksum(batch));
        }
        out.append('\n');
        for (Record record : batch) {
            out.append("record ").append(record.offset())
                .append(' ').append(record.timestamp())
                .append(' ').append(text(record.hasKey() ? record.key() : null))
                .append(' ').append(text(record.hasValue() ? record.value() : null));
            for (Header header : record.headers()) {
                byte[] value = header.value();
                out.append(' ').append(header.key())
                    .append('=').append(text(value == null ? null : ByteBuffer.wrap(value)));
            }
            out.append('\n');
        }
    }

    /** The checksum that stands in the batch's header. */
    private static long checksum(FileChannelRecordBatch batch) {
        ByteBuffer bytes = ByteBuffer.allocate(batch.sizeInBytes());
        batch.writeTo(bytes);
        return Integer.toUnsignedLong(bytes.getInt(batch.magic() < 2 ? 12 : 17));
    }

    private static void dumpAborted(File file, long baseOffset, StringBuilder out) throws IOException {
        if (!file.exists()) {
            return;
        }
        TransactionIndex index = new TransactionIndex(baseOffset, file);
        try {
            for (AbortedTxn aborted : index.allAbortedTxns()) {
                out.append("aborted ").append(aborted.producerId())
                    .append(' ').append(aborted.firstOffset())
                    .append(' ').append(aborted.lastOffset())
                    .append(' ').append(aborted.lastStableOffset()).append('\n');
            }
        } finally {
            index.close();
        }
    }

    private static String text(OptionalLong number) {
        return number.isPresent() ? Long.toString(number.getAsLong()) : "none";
    }

    private static String text(ByteBuffer bytes) {
        if (bytes == null) {
            return "null";
        }
        byte[] copy = new byte[bytes.remaining()];
        bytes.get(copy);
        return '"' + HEX.formatHex(copy) + '"';
    }

    /** A clock that stands still until it is set. */
    private static final class SetTime implements Time {
        volatile long nowMs;

        SetTime(long nowMs) {
            this.nowMs = nowMs;
        }

        @Override
        public long milliseconds() {
            return nowMs;
        }

        @Override
        public long nanoseconds() {
            return nowMs * 1_000_000;
        }

        @Override
        public void sleep(long ms) {
            throw new UnsupportedOperationException("nothing here waits");
        }

        @Override
        public void waitObject(Object object, Supplier<Boolean> condition, long deadlineMs) {
            throw new UnsupportedOperationException("nothing here waits");
        }
    }
}
