// Writes messages.txt: every message of Kafka 3.9.1 in every version, filled with arbitrary values
// and serialised by Kafka's own code. See README.md for how to run it.

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Random;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.metadata.MetadataRecordType;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.BaseRecords;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.SimpleRecord;

public final class GoldenMessages {
    private static final String[] DATA = {
        "org.apache.kafka.common.message.RequestHeaderData",
        "org.apache.kafka.common.message.ResponseHeaderData",
        "org.apache.kafka.common.message.ConsumerProtocolAssignment",
        "org.apache.kafka.common.message.ConsumerProtocolSubscription",
        "org.apache.kafka.common.message.DefaultPrincipalData",
        "org.apache.kafka.common.message.KRaftVersionRecord",
        "org.apache.kafka.common.message.LeaderChangeMessage",
        "org.apache.kafka.common.message.SnapshotFooterRecord",
        "org.apache.kafka.common.message.SnapshotHeaderRecord",
        "org.apache.kafka.common.message.VotersRecord",
        "org.apache.kafka.raft.generated.QuorumStateData",
        "org.apache.kafka.coordinator.group.generated.ConsumerGroupCurrentMemberAssignmentKey",
        "org.apache.kafka.coordinator.group.generated.ConsumerGroupCurrentMemberAssignmentValue",
        "org.apache.kafka.coordinator.group.generated.ConsumerGroupMemberMetadataKey",
        "org.apache.kafka.coordinator.group.generated.ConsumerGroupMemberMetadataValue",
        "org.apache.kafka.coordinator.group.generated.ConsumerGroupMetadataKey",
        "org.apache.kafka.coordinator.group.generated.ConsumerGroupMetadataValue",
        "org.apache.kafka.coordinator.group.generated.ConsumerGroupPartitionMetadataKey",
        "org.apache.kafka.coordinator.group.generated.ConsumerGroupPartitionMetadataValue",
        "org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMemberKey",
        "org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMemberValue",
        "org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMetadataKey",
        "org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMetadataValue",
        "org.apache.kafka.coordinator.group.generated.GroupMetadataKey",
        "org.apache.kafka.coordinator.group.generated.GroupMetadataValue",
        "org.apache.kafka.coordinator.group.generated.OffsetCommitKey",
        "org.apache.kafka.coordinator.group.generated.OffsetCommitValue",
        "org.apache.kafka.coordinator.group.generated.ShareGroupMemberMetadataKey",
        "org.apache.kafka.coordinator.group.generated.ShareGroupMemberMetadataValue",
        "org.apache.kafka.coordinator.group.generated.ShareGroupMetadataKey",
        "org.apache.kafka.coordinator.group.generated.ShareGroupMetadataValue",
        "org.apache.kafka.coordinator.group.generated.ShareGroupPartitionMetadataKey",
        "org.apache.kafka.coordinator.group.generated.ShareGroupPartitionMetadataValue",
        "org.apache.kafka.coordinator.transaction.generated.TransactionLogKey",
        "org.apache.kafka.coordinator.transaction.generated.TransactionLogValue",
    };

    private final Random random;
    private final short version;

    private GoldenMessages(long seed, short version) {
        this.random = new Random(seed);
        this.version = version;
    }

    public static void main(String[] arguments) throws Exception {
        for (ApiMessageType api : ApiMessageType.values()) {
            for (short v = api.lowestSupportedVersion(); v <= api.highestSupportedVersion(true); v++) {
                print("request", Integer.toString(api.apiKey()), api.newRequest(), v);
                print("response", Integer.toString(api.apiKey()), api.newResponse(), v);
            }
        }
        for (MetadataRecordType type : MetadataRecordType.values()) {
            for (short v = type.lowestSupportedVersion(); v <= type.highestSupportedVersion(); v++) {
                print("metadata", Integer.toString(type.id()), type.newMetadataRecord(), v);
            }
        }
        for (String name : DATA) {
            Class<?> type = Class.forName(name);
            ApiMessage first = (ApiMessage) type.getDeclaredConstructor().newInstance();
            for (short v = first.lowestSupportedVersion(); v <= first.highestSupportedVersion(); v++) {
                ApiMessage message = (ApiMessage) type.getDeclaredConstructor().newInstance();
                print("data", type.getSimpleName(), message, v);
            }
        }
    }

    private static void print(String kind, String key, ApiMessage message, short version)
            throws Exception {
        if (kind.equals("request") || version == message.highestSupportedVersion()) {
            printOne(kind, key, message, version);
        }
        new GoldenMessages(31L * key.hashCode() + version, version).fill(message);
        printOne(kind, key, message, version);
    }

    private static void printOne(String kind, String key, ApiMessage message, short version) {
        ByteBuffer bytes;
        try {
            bytes = MessageUtil.toByteBuffer(message, version);
        } catch (NullPointerException e) {
            // Left empty, some messages lack records that they must have.
            return;
        }
        StringBuilder line = new StringBuilder();
        line.append(kind).append(' ').append(key).append(' ').append(version).append(' ');
        while (bytes.hasRemaining()) {
            line.append(String.format("%02x", bytes.get()));
        }
        System.out.println(line);
    }

    /** Sets every field that the version has. */
    private void fill(Message message) throws Exception {
        List<Method> setters = new ArrayList<>();
        for (Method method : message.getClass().getMethods()) {
            if (method.getName().startsWith("set") && method.getParameterCount() == 1
                    && !method.getName().equals("setNext") && !method.getName().equals("setPrev")) {
                setters.add(method);
            }
        }
        setters.sort(Comparator.comparing(Method::getName));
        for (Method setter : setters) {
            String field = setter.getName().substring(3);
            Method getter =
                message.getClass().getMethod(Character.toLowerCase(field.charAt(0)) + field.substring(1));
            Object before = getter.invoke(message);
            set(message, setter);
            try {
                MessageUtil.toByteBuffer(message, version);
            } catch (UnsupportedVersionException e) {
                setter.invoke(message, before);
            } catch (NullPointerException e) {
                // Another field is missing still.
            }
        }
    }

    private void set(Message message, Method setter) throws Exception {
        while (true) {
            try {
                setter.invoke(message, value(setter.getGenericParameterTypes()[0]));
                return;
            } catch (InvocationTargetException e) {
                // The value does not fit an unsigned field: try another.
            }
        }
    }

    private Object value(Type type) throws Exception {
        if (type instanceof ParameterizedType) {
            Type element = ((ParameterizedType) type).getActualTypeArguments()[0];
            List<Object> list = new ArrayList<>();
            int count = 1 + random.nextInt(2);
            for (int i = 0; i < count; i++) {
                list.add(value(element));
            }
            return list;
        }
        Class<?> raw = (Class<?>) type;
        if (raw == boolean.class || raw == Boolean.class) return random.nextBoolean();
        if (raw == byte.class || raw == Byte.class) return (byte) random.nextInt();
        if (raw == short.class || raw == Short.class) return (short) random.nextInt();
        if (raw == int.class || raw == Integer.class) return random.nextInt() >> random.nextInt(32);
        if (raw == long.class || raw == Long.class) return random.nextLong() >> random.nextInt(64);
        if (raw == double.class) return random.nextInt() / 16.0;
        if (raw == String.class) return string();
        if (raw == Uuid.class) return new Uuid(random.nextLong(), random.nextLong());
        if (raw == byte[].class) return bytes();
        if (raw == ByteBuffer.class) return ByteBuffer.wrap(bytes());
        if (raw == BaseRecords.class) {
            return MemoryRecords.withRecords(
                Compression.NONE, new SimpleRecord(random.nextInt(1000), bytes(), bytes()));
        }
        Object nested = raw.getDeclaredConstructor().newInstance();
        if (nested instanceof Collection) {
            Class<?> element =
                (Class<?>) ((ParameterizedType) raw.getGenericSuperclass()).getActualTypeArguments()[0];
            @SuppressWarnings("unchecked")
            Collection<Object> collection = (Collection<Object>) nested;
            int count = 1 + random.nextInt(2);
            for (int i = 0; i < count; i++) {
                collection.add(value(element));
            }
        } else {
            fill((Message) nested);
        }
        return nested;
    }

    private String string() {
        String letters = "abcxyz-_.019 \u00e9\u4e16";
        StringBuilder text = new StringBuilder();
        int length = random.nextInt(8) == 0 ? 150 : random.nextInt(12);
        for (int i = 0; i < length; i++) {
            text.append(letters.charAt(random.nextInt(letters.length())));
        }
        return text.toString();
    }

    private byte[] bytes() {
        byte[] bytes = new byte[random.nextInt(12)];
        random.nextBytes(bytes);
        return bytes;
    }
}
