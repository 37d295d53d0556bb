import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.kafka.common.message.AddOffsetsToTxnRequestData;
import org.apache.kafka.common.message.AddPartitionsToTxnRequestData;
import org.apache.kafka.common.message.AddPartitionsToTxnRequestData.AddPartitionsToTxnTopic;
import org.apache.kafka.common.message.AddPartitionsToTxnRequestData.AddPartitionsToTxnTransaction;
import org.apache.kafka.common.message.DescribeProducersRequestData;
import org.apache.kafka.common.message.DescribeProducersRequestData.TopicRequest;
import org.apache.kafka.common.message.DescribeTransactionsRequestData;
import org.apache.kafka.common.message.DescribeTransactionsResponseData;
import org.apache.kafka.common.message.EndTxnRequestData;
import org.apache.kafka.common.message.FindCoordinatorRequestData;
import org.apache.kafka.common.message.InitProducerIdRequestData;
import org.apache.kafka.common.message.InitProducerIdResponseData;
import org.apache.kafka.common.message.ListTransactionsRequestData;
import org.apache.kafka.common.message.ListTransactionsResponseData;
import org.apache.kafka.common.message.OffsetFetchRequestData;
import org.apache.kafka.common.message.TxnOffsetCommitRequestData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.Errors;

/**
 * What a broker answers to the requests of transactions, version by version, right and wrong ones: a
 * line an answer, so that two brokers can be compared. BOOTSTRAP; there is a topic t.
 */
public final class TransactionAnswers {
    private static final int TIMEOUT_MS = 60_000;

    private final Wire wire;
    private String scenario;

    private TransactionAnswers(Wire wire) {
        this.wire = wire;
    }

    public static void main(String[] words) throws Exception {
        try (Wire wire = new Wire(words[0])) {
            TransactionAnswers answers = new TransactionAnswers(wire);
            answers.beginning();
            for (int version = 0; version <= ApiKeys.INIT_PRODUCER_ID.latestVersion(); version++) {
                answers.refusals(version);
                answers.transaction(version);
                answers.successors(version);
            }
            answers.lists();
        }
    }

    private void say(String step, Object answer) {
        String text = answer instanceof ApiMessage ? Wire.told((ApiMessage) answer) : "" + answer;
        System.out.println(scenario + ", " + step + ": " + text);
    }

    private ApiMessage ask(ApiKeys api, int version, ApiMessage request) throws Exception {
        return wire.ask(api, version, request);
    }

    /** Before there is a coordinator, and until there are both and producer ids. */
    private void beginning() throws Exception {
        scenario = "beginning";
        for (String id : new String[] {"", "none"}) {
            say("init", ask(ApiKeys.INIT_PRODUCER_ID, 4, init(id, TIMEOUT_MS)));
            say("init without time", ask(ApiKeys.INIT_PRODUCER_ID, 4, init(id, 0)));
            say("end", ask(ApiKeys.END_TXN, 3, end(id, 1, 0, true)));
            say("add", ask(ApiKeys.ADD_PARTITIONS_TO_TXN, 3, add(id, 1, 0, "t", 0)));
            say("describe", ask(ApiKeys.DESCRIBE_TRANSACTIONS, 0, describe(id)));
        }
        Check.reaches(
            (short) 0,
            () -> {
                for (byte type : new byte[] {0, 1}) {
                    FindCoordinatorRequestData find = new FindCoordinatorRequestData().setKey("any");
                    ask(ApiKeys.FIND_COORDINATOR, 3, find.setKeyType(type));
                }
                ApiMessage told = ask(ApiKeys.INIT_PRODUCER_ID, 4, init("first", TIMEOUT_MS));
                return ((InitProducerIdResponseData) told).errorCode();
            },
            "the coordinator is ready");
    }

    private void refusals(int version) throws Exception {
        scenario = "refusals " + version;
        String id = "refused" + version;
        int add = Math.min(version, 3);
        say("no id", ask(ApiKeys.INIT_PRODUCER_ID, version, init(null, TIMEOUT_MS)));
        for (int timeoutMs : new int[] {0, -1, 900_000, 900_001}) {
            say("within " + timeoutMs, ask(ApiKeys.INIT_PRODUCER_ID, version, init(id, timeoutMs)));
        }
        if (version >= 3) {
            for (long[] of : new long[][] {{5, -1}, {-1, 5}, {77, 5}}) {
                InitProducerIdRequestData half = init(id + "half", TIMEOUT_MS);
                half.setProducerId(of[0]).setProducerEpoch((short) of[1]);
                say("of " + of[0], ask(ApiKeys.INIT_PRODUCER_ID, version, half));
            }
        }
        InitProducerIdResponseData given = initialised(id);
        long producer = given.producerId();
        int epoch = given.producerEpoch();
        say("nothing to end", ask(ApiKeys.END_TXN, add, end(id, producer, epoch, true)));
        Object[][] strangers = {{id, producer + 1, epoch}, {id, producer, epoch + 1}, {"unknown", producer, epoch}};
        for (Object[] of : strangers) {
            String as = (String) of[0];
            long by = (Long) of[1];
            int in = (Integer) of[2];
            say("end", ask(ApiKeys.END_TXN, add, end(as, by, in, true)));
            say("add", ask(ApiKeys.ADD_PARTITIONS_TO_TXN, add, add(as, by, in, "t", 0)));
            say("add offsets", ask(ApiKeys.ADD_OFFSETS_TO_TXN, add, addOffsets(as, by, in)));
            say("verify", ask(ApiKeys.ADD_PARTITIONS_TO_TXN, 4, verify(as, by, in, "t", 0)));
            say("commit", ask(ApiKeys.TXN_OFFSET_COMMIT, add, commit(as, by, in, "t", "")));
        }
        for (String topic : new String[] {"unknown", "__consumer_offsets", "__transaction_state"}) {
            ApiMessage both = add(id, producer, epoch, topic, 0, 1);
            say("add " + topic, ask(ApiKeys.ADD_PARTITIONS_TO_TXN, add, both));
        }
        say("add what is not there", ask(ApiKeys.ADD_PARTITIONS_TO_TXN, add, add(id, producer, epoch, "t", 0, 9)));
        say("still empty", ask(ApiKeys.DESCRIBE_TRANSACTIONS, 0, describe(id)));
    }

    /** A transaction from its first partition to its end, and its offsets. */
    private void transaction(int version) throws Exception {
        scenario = "transaction " + version;
        String id = "whole" + version;
        int of = Math.min(version, 3);
        InitProducerIdResponseData given = initialised(id);
        long producer = given.producerId();
        int epoch = given.producerEpoch();
        say("add", ask(ApiKeys.ADD_PARTITIONS_TO_TXN, of, add(id, producer, epoch, "t", 0, 1)));
        say("add again", ask(ApiKeys.ADD_PARTITIONS_TO_TXN, of, add(id, producer, epoch, "t", 1)));
        say("ongoing", ask(ApiKeys.DESCRIBE_TRANSACTIONS, 0, describe(id)));
        say("verify", ask(ApiKeys.ADD_PARTITIONS_TO_TXN, 4, verify(id, producer, epoch, "t", 0, 2)));
        say("commit too early", ask(ApiKeys.TXN_OFFSET_COMMIT, of, commit(id, producer, epoch, "t", "")));
        say("add offsets", ask(ApiKeys.ADD_OFFSETS_TO_TXN, of, addOffsets(id, producer, epoch)));
        String tooLong = String.join("", Collections.nCopies(4097, "x"));
        for (String metadata : new String[] {tooLong, "kept"}) {
            ApiMessage commit = commit(id, producer, epoch, "t", metadata);
            say("commit", ask(ApiKeys.TXN_OFFSET_COMMIT, of, commit));
        }
        ApiMessage unknown = commit(id, producer, epoch, "unknown", "");
        say("commit for nothing", ask(ApiKeys.TXN_OFFSET_COMMIT, of, unknown));
        if (version >= 3) {
            TxnOffsetCommitRequestData member = commit(id, producer, epoch, "t", "kept");
            say("commit of a member", ask(ApiKeys.TXN_OFFSET_COMMIT, 3, member.setMemberId("m")));
            say("of a generation", ask(ApiKeys.TXN_OFFSET_COMMIT, 3, member.setMemberId("").setGenerationId(4)));
        }
        for (boolean stable : new boolean[] {true, false}) {
            say("fetch", ask(ApiKeys.OFFSET_FETCH, 7, fetch("group of " + id, stable)));
        }
        say("end", ask(ApiKeys.END_TXN, of, end(id, producer, epoch, true)));
        Check.reaches("CompleteCommit", () -> state(id), "the transaction is complete");
        say("complete", ask(ApiKeys.DESCRIBE_TRANSACTIONS, 0, describe(id)));
        say("end again", ask(ApiKeys.END_TXN, of, end(id, producer, epoch, true)));
        say("another end", ask(ApiKeys.END_TXN, of, end(id, producer, epoch, false)));
        say("verify too late", ask(ApiKeys.ADD_PARTITIONS_TO_TXN, 4, verify(id, producer, epoch, "t", 0)));
        Check.reaches(
            true,
            () -> Wire.told(ask(ApiKeys.OFFSET_FETCH, 7, fetch("group of " + id, true))).contains("kept"),
            "the offset holds");
    }

    /** Producers that take the place of others, and those that go on after an error. */
    private void successors(int version) throws Exception {
        scenario = "successors " + version;
        String id = "handed on" + version;
        int of = Math.min(version, 3);
        InitProducerIdResponseData given = initialised(id);
        long producer = given.producerId();
        int epoch = given.producerEpoch();
        ask(ApiKeys.ADD_PARTITIONS_TO_TXN, of, add(id, producer, epoch, "t", 0));
        say("fences", ask(ApiKeys.INIT_PRODUCER_ID, version, init(id, TIMEOUT_MS)));
        int next = initialised(id).producerEpoch();
        say("the next epoch", next - epoch);
        say("begun again", ask(ApiKeys.DESCRIBE_TRANSACTIONS, 0, describe(id, id, "unknown", "unknown")));
        for (int error = 0; error <= 3; error++) {
            say("end", ask(ApiKeys.END_TXN, error, end(id, producer, epoch, true)));
            say("add", ask(ApiKeys.ADD_PARTITIONS_TO_TXN, error, add(id, producer, epoch, "t", 0)));
            say("add offsets", ask(ApiKeys.ADD_OFFSETS_TO_TXN, error, addOffsets(id, producer, epoch)));
        }
        if (version < 3) {
            return;
        }
        long[][] expected = {{producer, epoch}, {producer + 100_000, next}, {producer, next}, {producer, next}};
        for (long[] said : expected) {
            InitProducerIdRequestData init = init(id, TIMEOUT_MS);
            init.setProducerId(said[0]).setProducerEpoch((short) said[1]);
            say("goes on", ask(ApiKeys.INIT_PRODUCER_ID, version, init));
        }
        ask(ApiKeys.ADD_PARTITIONS_TO_TXN, of, add(id, producer, next + 1, "t", 0));
        InitProducerIdRequestData init = init(id, TIMEOUT_MS);
        init.setProducerId(producer).setProducerEpoch((short) (next + 1));
        say("goes on with a transaction", ask(ApiKeys.INIT_PRODUCER_ID, version, init));
        Check.reaches("CompleteAbort", () -> state(id), "the transaction is aborted");
        say("and once more", ask(ApiKeys.INIT_PRODUCER_ID, version, init));
    }

    private void lists() throws Exception {
        scenario = "lists";
        DescribeProducersRequestData producers = new DescribeProducersRequestData();
        for (String topic : new String[] {"u", "unknown", "u"}) {
            TopicRequest twice = new TopicRequest().setName(topic).setPartitionIndexes(Arrays.asList(0, 9, 0));
            producers.topics().add(twice);
        }
        say("producers", ask(ApiKeys.DESCRIBE_PRODUCERS, 0, producers));
        initialised("listed");
        for (String state : new String[] {"Empty", "empty", "Ongoing", "Dead", "Nowhere"}) {
            ListTransactionsRequestData list = new ListTransactionsRequestData();
            sayListed(state, 0, list.setStateFilters(Collections.singletonList(state)));
        }
        for (long durationMs : new long[] {-1, 0, 1_000, Long.MAX_VALUE}) {
            ListTransactionsRequestData list = new ListTransactionsRequestData();
            sayListed("for " + durationMs, 1, list.setDurationFilter(durationMs));
        }
    }

    private void sayListed(String step, int version, ListTransactionsRequestData list) throws Exception {
        ListTransactionsResponseData told =
            (ListTransactionsResponseData) ask(ApiKeys.LIST_TRANSACTIONS, version, list);
        boolean listed =
            told.transactionStates().stream().anyMatch(of -> of.transactionalId().equals("listed"));
        say(step, told.errorCode() + " " + told.unknownStateFilters() + " " + listed);
    }

    private String state(String id) throws Exception {
        ApiMessage told = ask(ApiKeys.DESCRIBE_TRANSACTIONS, 0, describe(id));
        return ((DescribeTransactionsResponseData) told).transactionStates().get(0).transactionState();
    }

    /** Asks again while markers are on their way. */
    private InitProducerIdResponseData initialised(String id) throws Exception {
        while (true) {
            ApiMessage told = ask(ApiKeys.INIT_PRODUCER_ID, 4, init(id, TIMEOUT_MS));
            InitProducerIdResponseData given = (InitProducerIdResponseData) told;
            if (given.errorCode() != Errors.CONCURRENT_TRANSACTIONS.code()) {
                Check.equal((short) 0, given.errorCode(), "InitProducerId");
                return given;
            }
        }
    }

    private static InitProducerIdRequestData init(String id, int timeoutMs) {
        return new InitProducerIdRequestData().setTransactionalId(id).setTransactionTimeoutMs(timeoutMs);
    }

    private static EndTxnRequestData end(String id, long producer, int epoch, boolean commit) {
        EndTxnRequestData end = new EndTxnRequestData().setTransactionalId(id).setCommitted(commit);
        return end.setProducerId(producer).setProducerEpoch((short) epoch);
    }

    private static AddPartitionsToTxnTopic topic(String name, int... partitions) {
        List<Integer> indexes = new ArrayList<>();
        Arrays.stream(partitions).forEach(indexes::add);
        return new AddPartitionsToTxnTopic().setName(name).setPartitions(indexes);
    }

    private static AddPartitionsToTxnRequestData add(
        String id, long producer, int epoch, String topic, int... partitions) {
        AddPartitionsToTxnRequestData add = new AddPartitionsToTxnRequestData();
        add.setV3AndBelowTransactionalId(id).setV3AndBelowProducerId(producer);
        add.setV3AndBelowProducerEpoch((short) epoch).v3AndBelowTopics().add(topic(topic, partitions));
        return add;
    }

    private static AddPartitionsToTxnRequestData verify(
        String id, long producer, int epoch, String topic, int... partitions) {
        AddPartitionsToTxnTransaction one = new AddPartitionsToTxnTransaction().setVerifyOnly(true);
        one.setTransactionalId(id).setProducerId(producer).setProducerEpoch((short) epoch);
        one.topics().add(topic(topic, partitions));
        AddPartitionsToTxnRequestData verify = new AddPartitionsToTxnRequestData();
        verify.transactions().add(one);
        return verify;
    }

    private static AddOffsetsToTxnRequestData addOffsets(String id, long producer, int epoch) {
        AddOffsetsToTxnRequestData add = new AddOffsetsToTxnRequestData().setTransactionalId(id);
        return add.setGroupId("group of " + id).setProducerId(producer).setProducerEpoch((short) epoch);
    }

    private static TxnOffsetCommitRequestData commit(
        String id, long producer, int epoch, String topic, String metadata) {
        TxnOffsetCommitRequestData.TxnOffsetCommitRequestPartition one =
            new TxnOffsetCommitRequestData.TxnOffsetCommitRequestPartition();
        one.setPartitionIndex(0).setCommittedOffset(11).setCommittedMetadata(metadata);
        TxnOffsetCommitRequestData.TxnOffsetCommitRequestTopic of =
            new TxnOffsetCommitRequestData.TxnOffsetCommitRequestTopic();
        of.setName(topic).setPartitions(Collections.singletonList(one));
        TxnOffsetCommitRequestData commit = new TxnOffsetCommitRequestData().setTransactionalId(id);
        commit.setGroupId("group of " + id).setProducerId(producer).setProducerEpoch((short) epoch);
        return commit.setTopics(Collections.singletonList(of));
    }

    private static OffsetFetchRequestData fetch(String group, boolean requireStable) {
        OffsetFetchRequestData.OffsetFetchRequestTopic of =
            new OffsetFetchRequestData.OffsetFetchRequestTopic().setName("t");
        of.setPartitionIndexes(Arrays.asList(0, 1));
        OffsetFetchRequestData fetch = new OffsetFetchRequestData().setGroupId(group);
        return fetch.setTopics(Collections.singletonList(of)).setRequireStable(requireStable);
    }

    private static DescribeTransactionsRequestData describe(String... ids) {
        return new DescribeTransactionsRequestData().setTransactionalIds(Arrays.asList(ids));
    }
}
