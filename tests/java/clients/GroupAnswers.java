import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Subscription;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.common.message.DeleteGroupsRequestData;
import org.apache.kafka.common.message.DescribeGroupsRequestData;
import org.apache.kafka.common.message.DescribeGroupsResponseData;
import org.apache.kafka.common.message.FindCoordinatorRequestData;
import org.apache.kafka.common.message.HeartbeatRequestData;
import org.apache.kafka.common.message.JoinGroupRequestData;
import org.apache.kafka.common.message.JoinGroupResponseData;
import org.apache.kafka.common.message.LeaveGroupRequestData;
import org.apache.kafka.common.message.LeaveGroupRequestData.MemberIdentity;
import org.apache.kafka.common.message.ListGroupsRequestData;
import org.apache.kafka.common.message.OffsetCommitRequestData;
import org.apache.kafka.common.message.OffsetCommitRequestData.OffsetCommitRequestPartition;
import org.apache.kafka.common.message.OffsetCommitRequestData.OffsetCommitRequestTopic;
import org.apache.kafka.common.message.OffsetDeleteRequestData;
import org.apache.kafka.common.message.OffsetFetchRequestData;
import org.apache.kafka.common.message.SyncGroupRequestData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.utils.Utils;

/**
 * What a broker answers to the requests of groups, version by version, right and wrong ones: a line
 * an answer, so that two brokers can be compared. BOOTSTRAP; there are topics t and u.
 */
public final class GroupAnswers {
    /** Longer than a busy machine keeps anything waiting. */
    private static final int SESSION_MS = 30_000;
    /** How long a member that does not come back is waited for. */
    private static final int BRIEF_MS = 5_000;
    private static final int STATIC_SINCE = 5;
    private static final String[] ALL = {"range", "roundrobin"};

    private final String bootstrap;
    private String scenario;

    private GroupAnswers(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    public static void main(String[] words) throws Exception {
        GroupAnswers answers = new GroupAnswers(words[0]);
        answers.beginning();
        for (int version = 0; version <= ApiKeys.JOIN_GROUP.latestVersion(); version++) {
            answers.life(version);
            if (version >= STATIC_SINCE) {
                answers.staticMembers(version);
            }
        }
        answers.rebalances();
        answers.offsets();
    }

    private void say(String step, Object answer) {
        String text = answer instanceof ApiMessage ? Wire.told((ApiMessage) answer) : "" + answer;
        System.out.println(scenario + ", " + step + ": " + text);
    }

    /** Before there is a coordinator, and until there is one. */
    private void beginning() throws Exception {
        scenario = "beginning";
        try (Wire wire = new Wire(bootstrap)) {
            for (String group : new String[] {"", "none"}) {
                say("sync", wire.ask(ApiKeys.SYNC_GROUP, 5, sync(group, 1, "m", 5)));
                say("heartbeat", wire.ask(ApiKeys.HEARTBEAT, 4, heartbeat(group, 1, "m")));
                say("leave", wire.ask(ApiKeys.LEAVE_GROUP, 1, leave(group, "m")));
                say("join", wire.ask(ApiKeys.JOIN_GROUP, 9, join(group, "m", 9, ALL)));
                say("delete", wire.ask(ApiKeys.DELETE_GROUPS, 2, delete(group)));
                say("delete offset", wire.ask(ApiKeys.OFFSET_DELETE, 0, deleteOffset(group, "t")));
                say("describe", wire.ask(ApiKeys.DESCRIBE_GROUPS, 5, describe(group)));
            }
            say("list", wire.ask(ApiKeys.LIST_GROUPS, 5, new ListGroupsRequestData()));
            Check.reaches(
                (short) 0,
                () -> {
                    FindCoordinatorRequestData find = new FindCoordinatorRequestData();
                    wire.ask(ApiKeys.FIND_COORDINATOR, 3, find.setKey("any"));
                    ApiMessage told = wire.ask(ApiKeys.DESCRIBE_GROUPS, 5, describe("life0"));
                    return ((DescribeGroupsResponseData) told).groups().get(0).errorCode();
                },
                "the coordinator is ready");
        }
    }

    /** A group from its first member to its deletion. */
    private void life(int version) throws Exception {
        scenario = "life " + version;
        String group = "life" + version;
        int sync = Math.min(version, 5);
        try (Wire wire = new Wire(bootstrap);
            Wire other = new Wire(bootstrap)) {
            JoinGroupRequestData brief = join(group, "", version, ALL).setSessionTimeoutMs(1);
            say("a session too short", wire.ask(ApiKeys.JOIN_GROUP, version, brief));
            say("no protocol", wire.ask(ApiKeys.JOIN_GROUP, version, join(group, "", version)));
            JoinGroupRequestData nobody = join(group, "nobody", version, ALL);
            say("an unknown id", wire.ask(ApiKeys.JOIN_GROUP, version, nobody));
            JoinGroupResponseData joined = joinWhole(wire, group, version, ALL);
            say("joined", joined);
            String member = joined.memberId();
            int generation = joined.generationId();
            inBetween(wire, group, generation, member, version);
            SyncGroupRequestData share = sync(group, generation, member, sync, member, "stranger");
            say("sync", wire.ask(ApiKeys.SYNC_GROUP, sync, share));
            say("stable", wire.ask(ApiKeys.DESCRIBE_GROUPS, 5, describe(group)));
            String[] twice = {group, "none", group, "none"};
            say("named twice", wire.ask(ApiKeys.DESCRIBE_GROUPS, 5, describe(twice)));
            whileStable(wire, group, generation, member, version);
            other.send(ApiKeys.JOIN_GROUP, Math.min(version, 3), join(group, "", 3, "roundrobin"));
            Check.reaches(
                "PreparingRebalance", () -> state(wire, group), "the other's join has come");
            say("beat", wire.ask(ApiKeys.HEARTBEAT, 3, heartbeat(group, generation, member)));
            ApiMessage commit = commit(group, generation, member, 7, "t", 0, "");
            say("commit", wire.ask(ApiKeys.OFFSET_COMMIT, 7, commit));
            share = sync(group, generation, member, sync, member);
            say("sync too late", wire.ask(ApiKeys.SYNC_GROUP, sync, share));
            say("preparing", wire.ask(ApiKeys.DESCRIBE_GROUPS, 5, describe(group)));
            JoinGroupRequestData again = join(group, member, version, ALL);
            joined = (JoinGroupResponseData) wire.ask(ApiKeys.JOIN_GROUP, version, again);
            say("joined again", joined.protocolName() + joined.members().size());
            JoinGroupResponseData second = (JoinGroupResponseData) other.receive();
            generation = joined.generationId();
            other.send(ApiKeys.SYNC_GROUP, 3, sync(group, generation, second.memberId(), 3));
            share = sync(group, generation, member, 3, member, second.memberId());
            say("shared", wire.ask(ApiKeys.SYNC_GROUP, 3, share));
            say("shared with the other", other.receive());
            leaveAndDelete(wire, group, generation, member, second.memberId());
        }
    }

    /** What is refused while the leader has not said who gets what. */
    private void inBetween(Wire wire, String group, int generation, String member, int version)
        throws Exception {
        int sync = Math.min(version, 5);
        say("completing", wire.ask(ApiKeys.DESCRIBE_GROUPS, 5, describe(group)));
        say("beat", wire.ask(ApiKeys.HEARTBEAT, 4, heartbeat(group, generation, member)));
        ApiMessage commit = commit(group, generation, member, 7, "t", 0, "");
        say("commit", wire.ask(ApiKeys.OFFSET_COMMIT, 7, commit));
        JoinGroupRequestData again = join(group, member, version, ALL);
        say("join again", wire.ask(ApiKeys.JOIN_GROUP, version, again));
        SyncGroupRequestData later = sync(group, generation + 1, member, sync, member);
        say("sync of a later generation", wire.ask(ApiKeys.SYNC_GROUP, sync, later));
        SyncGroupRequestData other = sync(group, generation, "other", sync, member);
        say("sync of another", wire.ask(ApiKeys.SYNC_GROUP, sync, other));
        if (sync >= 5) {
            SyncGroupRequestData wrong = sync(group, generation, member, sync, member);
            wrong.setProtocolName("roundrobin");
            say("sync of another protocol", wire.ask(ApiKeys.SYNC_GROUP, sync, wrong));
            wrong.setProtocolName(null);
            say("sync of no protocol", wire.ask(ApiKeys.SYNC_GROUP, sync, wrong));
        }
    }

    /** What members and others may do in a group at rest. */
    private void whileStable(Wire wire, String group, int generation, String member, int version)
        throws Exception {
        say("beat", wire.ask(ApiKeys.HEARTBEAT, 4, heartbeat(group, generation, member)));
        say("late beat", wire.ask(ApiKeys.HEARTBEAT, 4, heartbeat(group, generation - 1, member)));
        say("beat of another", wire.ask(ApiKeys.HEARTBEAT, 4, heartbeat(group, generation, "x")));
        JoinGroupRequestData other = join(group, "", version, ALL).setProtocolType("connect");
        say("another type", wire.ask(ApiKeys.JOIN_GROUP, version, other));
        other = join(group, "", version, "another");
        say("another protocol", wire.ask(ApiKeys.JOIN_GROUP, version, other));
        for (String topic : new String[] {"t", "u", "unknown"}) {
            OffsetDeleteRequestData delete = deleteOffset(group, topic);
            say("delete offset of " + topic, wire.ask(ApiKeys.OFFSET_DELETE, 0, delete));
        }
        say("delete", wire.ask(ApiKeys.DELETE_GROUPS, 2, delete(group)));
        Object[][] committers = {{-1, ""}, {generation, "x"}, {-1, member}, {generation + 1, member}};
        for (Object[] of : committers) {
            ApiMessage commit = commit(group, (Integer) of[0], (String) of[1], 7, "t", 0, "");
            say("commit of another", wire.ask(ApiKeys.OFFSET_COMMIT, 7, commit));
        }
        for (int of = 1; of <= ApiKeys.OFFSET_COMMIT.latestVersion(); of++) {
            ApiMessage commit = commit(group, generation, member, of, "t", of % 4, "by " + of);
            say("commit " + of, wire.ask(ApiKeys.OFFSET_COMMIT, of, commit));
        }
    }

    private void leaveAndDelete(Wire wire, String group, int generation, String first, String second)
        throws Exception {
        LeaveGroupRequestData all = new LeaveGroupRequestData().setGroupId(group);
        MemberIdentity instance = new MemberIdentity().setGroupInstanceId("instance");
        all.setMembers(Arrays.asList(id(second), id(second), id("who"), instance));
        say("leave", wire.ask(ApiKeys.LEAVE_GROUP, 5, all));
        say("beat", wire.ask(ApiKeys.HEARTBEAT, 4, heartbeat(group, generation, first)));
        say("leave alone", wire.ask(ApiKeys.LEAVE_GROUP, 1, leave(group, first)));
        say("leave again", wire.ask(ApiKeys.LEAVE_GROUP, 1, leave(group, first)));
        say("empty", wire.ask(ApiKeys.DESCRIBE_GROUPS, 5, describe(group)));
        ApiMessage commit = commit(group, generation, first, 7, "t", 3, "");
        say("commit of the past", wire.ask(ApiKeys.OFFSET_COMMIT, 7, commit));
        commit = commit(group, -1, "", 7, "t", 3, null);
        say("commit of a stranger", wire.ask(ApiKeys.OFFSET_COMMIT, 7, commit));
        for (int version = 1; version <= ApiKeys.OFFSET_FETCH.latestVersion(); version++) {
            say("fetch " + version, wire.ask(ApiKeys.OFFSET_FETCH, version, fetch(group, version, "t")));
        }
        for (String topic : new String[] {"t", null}) {
            OffsetFetchRequestData.OffsetFetchRequestGroup of = fetch(group, 8, topic).groups().get(0);
            OffsetFetchRequestData twice = new OffsetFetchRequestData().setGroups(Arrays.asList(of, of));
            say("fetch twice " + topic, wire.ask(ApiKeys.OFFSET_FETCH, 8, twice));
        }
        say("delete offset", wire.ask(ApiKeys.OFFSET_DELETE, 0, deleteOffset(group, "t")));
        say("fetch all", wire.ask(ApiKeys.OFFSET_FETCH, 8, fetch(group, 8, null)));
        say("delete", wire.ask(ApiKeys.DELETE_GROUPS, 2, delete(group)));
        say("delete again", wire.ask(ApiKeys.DELETE_GROUPS, 2, delete(group)));
        say("gone", wire.ask(ApiKeys.DESCRIBE_GROUPS, 5, describe(group)));
    }

    /** Static members: replaced while the group is stable, and while it is completing. */
    private void staticMembers(int version) throws Exception {
        scenario = "static " + version;
        String group = "static" + version;
        try (Wire wire = new Wire(bootstrap);
            Wire other = new Wire(bootstrap)) {
            JoinGroupRequestData join = join(group, "", version, ALL).setGroupInstanceId("one");
            JoinGroupResponseData joined = (JoinGroupResponseData) wire.ask(ApiKeys.JOIN_GROUP, version, join);
            say("joined", joined);
            String old = joined.memberId();
            int generation = joined.generationId();
            SyncGroupRequestData share = sync(group, generation, old, 5, old).setGroupInstanceId("one");
            say("sync", wire.ask(ApiKeys.SYNC_GROUP, 5, share));
            joined = (JoinGroupResponseData) wire.ask(ApiKeys.JOIN_GROUP, version, join);
            String member = joined.memberId();
            say("the leader is its former self", joined.leader().equals(old));
            say("replaced", joined.setLeader(""));
            for (String of : new String[] {old, member}) {
                HeartbeatRequestData beat = heartbeat(group, generation, of);
                say("beat", wire.ask(ApiKeys.HEARTBEAT, 4, beat.setGroupInstanceId("one")));
                say("beat as another", wire.ask(ApiKeys.HEARTBEAT, 4, beat.setGroupInstanceId("x")));
                OffsetCommitRequestData commit = commit(group, generation, of, 8, "t", 0, "");
                say("commit", wire.ask(ApiKeys.OFFSET_COMMIT, 8, commit.setGroupInstanceId("one")));
                share = sync(group, generation, of, 5).setGroupInstanceId("one");
                say("sync", wire.ask(ApiKeys.SYNC_GROUP, 5, share));
            }
            OffsetCommitRequestData commit = commit(group, -1, "", 8, "t", 0, "");
            say("commit by name", wire.ask(ApiKeys.OFFSET_COMMIT, 8, commit.setGroupInstanceId("one")));
            JoinGroupRequestData late = join(group, old, version, ALL).setGroupInstanceId("one");
            say("join with the old id", wire.ask(ApiKeys.JOIN_GROUP, version, late));
            LeaveGroupRequestData leave = new LeaveGroupRequestData().setGroupId(group);
            leave.setMembers(Arrays.asList(id(old).setGroupInstanceId("one")));
            say("leave with the old id", wire.ask(ApiKeys.LEAVE_GROUP, 4, leave));
            say("stable", wire.ask(ApiKeys.DESCRIBE_GROUPS, 5, describe(group)));
            JoinGroupRequestData second = join(group, "", version, "roundrobin");
            other.send(ApiKeys.JOIN_GROUP, version, second.setGroupInstanceId("two"));
            Check.reaches("PreparingRebalance", () -> state(wire, group), "the second has come");
            JoinGroupRequestData again = join(group, member, version, ALL).setGroupInstanceId("one");
            joined = (JoinGroupResponseData) wire.ask(ApiKeys.JOIN_GROUP, version, again);
            String replaced = ((JoinGroupResponseData) other.receive()).memberId();
            other.send(ApiKeys.JOIN_GROUP, version, second);
            Check.reaches("PreparingRebalance", () -> state(wire, group), "the second is back");
            share = sync(group, joined.generationId(), replaced, 5).setGroupInstanceId("two");
            say("sync of the replaced", wire.ask(ApiKeys.SYNC_GROUP, 5, share));
            leave.setMembers(Arrays.asList(id("").setGroupInstanceId("one"), id("").setGroupInstanceId("x")));
            say("leave by name", wire.ask(ApiKeys.LEAVE_GROUP, 5, leave));
            joined = (JoinGroupResponseData) other.receive();
            say("joined alone", joined.setLeader(""));
        }
    }

    /** What members in the middle of a rebalance are told when it changes. */
    private void rebalances() throws Exception {
        scenario = "rebalances";
        String group = "rebalances";
        try (Wire wire = new Wire(bootstrap);
            Wire other = new Wire(bootstrap);
            Wire third = new Wire(bootstrap)) {
            JoinGroupRequestData anew = join(group, "", 3, ALL).setRebalanceTimeoutMs(BRIEF_MS);
            ApiMessage first = wire.ask(ApiKeys.JOIN_GROUP, 3, anew);
            String member = ((JoinGroupResponseData) first).memberId();
            JoinGroupRequestData again = anew.duplicate().setMemberId(member);
            other.send(ApiKeys.JOIN_GROUP, 3, anew);
            Check.reaches("PreparingRebalance", () -> state(wire, group), "the other has come");
            wire.ask(ApiKeys.JOIN_GROUP, 3, again);
            JoinGroupResponseData joined = (JoinGroupResponseData) other.receive();
            int generation = joined.generationId();
            other.send(ApiKeys.SYNC_GROUP, 3, sync(group, generation, joined.memberId(), 3));
            third.send(ApiKeys.JOIN_GROUP, 3, anew);
            say("a sync that waited", other.receive());
            ApiMessage gone = wire.ask(ApiKeys.JOIN_GROUP, 3, again);
            say("without who did not come back", ((JoinGroupResponseData) gone).members().size());
            say("its beat", other.ask(ApiKeys.HEARTBEAT, 3, heartbeat(group, generation, joined.memberId())));
            third.receive();
            say("the leader leaves", wire.ask(ApiKeys.LEAVE_GROUP, 1, leave(group, member)));
            ApiMessage pending = other.ask(ApiKeys.JOIN_GROUP, 5, join(group, "", 5, ALL));
            say("pending", pending);
            String id = ((JoinGroupResponseData) pending).memberId();
            JoinGroupRequestData named = join(group, id, 5, ALL).setGroupInstanceId("name");
            say("pending with a name", other.ask(ApiKeys.JOIN_GROUP, 5, named));
            say("its beat", other.ask(ApiKeys.HEARTBEAT, 3, heartbeat(group, 0, id)));
            say("it leaves", other.ask(ApiKeys.LEAVE_GROUP, 1, leave(group, id)));
            say("and joins", other.ask(ApiKeys.JOIN_GROUP, 5, join(group, id, 5, ALL)));
        }
    }

    /** Offsets without members, version by version. */
    private void offsets() throws Exception {
        scenario = "offsets";
        try (Wire wire = new Wire(bootstrap)) {
            for (int version = 0; version <= ApiKeys.OFFSET_COMMIT.latestVersion(); version++) {
                for (String topic : new String[] {"t", "unknown"}) {
                    ApiMessage commit = commit("offsets", -1, "", version, topic, version % 4, "m" + version);
                    say("commit " + version, wire.ask(ApiKeys.OFFSET_COMMIT, version, commit));
                }
                say("fetch " + version, wire.ask(ApiKeys.OFFSET_FETCH, version, fetch("offsets", version, "t")));
                say("fetch of none " + version, wire.ask(ApiKeys.OFFSET_FETCH, version, fetch("nobody", version, "t")));
            }
            Object[][] refused = {{3, ""}, {-1, "someone"}};
            for (Object[] of : refused) {
                ApiMessage commit = commit("new", (Integer) of[0], (String) of[1], 8, "t", 0, "");
                say("commit into nothing", wire.ask(ApiKeys.OFFSET_COMMIT, 8, commit));
            }
            for (int length : new int[] {4096, 4097}) {
                String long_ = String.join("", Collections.nCopies(length, "\u00e4"));
                ApiMessage commit = commit("offsets", -1, "", 8, "t", 0, long_);
                say("metadata of " + length, wire.ask(ApiKeys.OFFSET_COMMIT, 8, commit));
            }
            JoinGroupRequestData join = join("prefix", "", 3, "range");
            byte[] metadata = join.protocols().find("range").metadata();
            metadata[1] = 3; // A later version, without what it adds.
            JoinGroupResponseData joined = (JoinGroupResponseData) wire.ask(ApiKeys.JOIN_GROUP, 3, join);
            say("joined", joined.generationId());
            for (String topic : new String[] {"t", "u"}) {
                say("delete offset of " + topic, wire.ask(ApiKeys.OFFSET_DELETE, 0, deleteOffset("prefix", topic)));
            }
        }
    }

    /** Joins, in two steps if the version asks for it. */
    private static JoinGroupResponseData joinWhole(Wire wire, String group, int version, String... protocols)
        throws Exception {
        JoinGroupRequestData join = join(group, "", version, protocols);
        JoinGroupResponseData joined = (JoinGroupResponseData) wire.ask(ApiKeys.JOIN_GROUP, version, join);
        if (version < 4) {
            return joined;
        }
        join.setMemberId(joined.memberId());
        return (JoinGroupResponseData) wire.ask(ApiKeys.JOIN_GROUP, version, join);
    }

    private static String state(Wire wire, String group) throws Exception {
        ApiMessage told = wire.ask(ApiKeys.DESCRIBE_GROUPS, 5, describe(group));
        return ((DescribeGroupsResponseData) told).groups().get(0).groupState();
    }

    private static JoinGroupRequestData join(String group, String member, int version, String... protocols) {
        JoinGroupRequestData join = new JoinGroupRequestData();
        join.setGroupId(group).setMemberId(member).setProtocolType("consumer").setSessionTimeoutMs(SESSION_MS);
        if (version >= 1) {
            join.setRebalanceTimeoutMs(SESSION_MS);
        }
        for (String name : protocols) {
            Subscription topics = new Subscription(Collections.singletonList("t"));
            byte[] metadata = Utils.toArray(ConsumerProtocol.serializeSubscription(topics, (short) 0));
            join.protocols()
                .add(new JoinGroupRequestData.JoinGroupRequestProtocol().setName(name).setMetadata(metadata));
        }
        return join;
    }

    private static SyncGroupRequestData sync(
        String group, int generation, String member, int version, String... assigned) {
        SyncGroupRequestData sync = new SyncGroupRequestData();
        sync.setGroupId(group).setGenerationId(generation).setMemberId(member);
        if (version >= 5) {
            sync.setProtocolType("consumer").setProtocolName("range");
        }
        for (String to : assigned) {
            sync.assignments()
                .add(
                    new SyncGroupRequestData.SyncGroupRequestAssignment()
                        .setMemberId(to)
                        .setAssignment(new byte[] {1, 2}));
        }
        return sync;
    }

    private static HeartbeatRequestData heartbeat(String group, int generation, String member) {
        HeartbeatRequestData beat = new HeartbeatRequestData().setGroupId(group);
        return beat.setGenerationId(generation).setMemberId(member);
    }

    private static LeaveGroupRequestData leave(String group, String member) {
        return new LeaveGroupRequestData().setGroupId(group).setMemberId(member);
    }

    private static MemberIdentity id(String member) {
        return new MemberIdentity().setMemberId(member);
    }

    private static DescribeGroupsRequestData describe(String... groups) {
        DescribeGroupsRequestData describe = new DescribeGroupsRequestData();
        return describe.setGroups(Arrays.asList(groups)).setIncludeAuthorizedOperations(true);
    }

    private static DeleteGroupsRequestData delete(String group) {
        return new DeleteGroupsRequestData().setGroupsNames(Arrays.asList(group, group));
    }

    private static OffsetDeleteRequestData deleteOffset(String group, String topic) {
        OffsetDeleteRequestData.OffsetDeleteRequestTopic of =
            new OffsetDeleteRequestData.OffsetDeleteRequestTopic().setName(topic);
        for (int partition : new int[] {0, 1, 99}) {
            of.partitions()
                .add(new OffsetDeleteRequestData.OffsetDeleteRequestPartition().setPartitionIndex(partition));
        }
        OffsetDeleteRequestData delete = new OffsetDeleteRequestData().setGroupId(group);
        delete.topics().add(of);
        return delete;
    }

    private static OffsetCommitRequestData commit(
        String group, int generation, String member, int version, String topic, int partition, String metadata) {
        OffsetCommitRequestData commit = new OffsetCommitRequestData().setGroupId(group);
        if (version >= 1) {
            commit.setGenerationIdOrMemberEpoch(generation).setMemberId(member);
        }
        OffsetCommitRequestPartition of = new OffsetCommitRequestPartition().setPartitionIndex(partition);
        of.setCommittedOffset(100 + version).setCommittedMetadata(metadata);
        List<OffsetCommitRequestPartition> partitions = Collections.singletonList(of);
        return commit.setTopics(
            Collections.singletonList(new OffsetCommitRequestTopic().setName(topic).setPartitions(partitions)));
    }

    /** Of all partitions of a topic, or of all there are. */
    private static OffsetFetchRequestData fetch(String group, int version, String topic) {
        List<Integer> partitions = new ArrayList<>(Arrays.asList(0, 1, 2, 3));
        OffsetFetchRequestData fetch = new OffsetFetchRequestData();
        if (version < 8) {
            OffsetFetchRequestData.OffsetFetchRequestTopic of = new OffsetFetchRequestData.OffsetFetchRequestTopic();
            of.setName(topic).setPartitionIndexes(partitions);
            return fetch.setGroupId(group).setTopics(Collections.singletonList(of));
        }
        OffsetFetchRequestData.OffsetFetchRequestTopics of = new OffsetFetchRequestData.OffsetFetchRequestTopics();
        of.setName(topic).setPartitionIndexes(partitions);
        OffsetFetchRequestData.OffsetFetchRequestGroup one = new OffsetFetchRequestData.OffsetFetchRequestGroup();
        one.setGroupId(group).setTopics(topic == null ? null : Collections.singletonList(of));
        return fetch.setGroups(Collections.singletonList(one));
    }
}
