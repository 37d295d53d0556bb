import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** The Java Admin client against one broker: topics, partitions, configs, the cluster. */
public final class Administration {
    private Administration() {}

    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        settings.put(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        try (Admin admin = Admin.create(settings)) {
            cluster(admin, arguments[0]);
            topics(admin);
            refusals(admin);
            configs(admin);
            deletion(admin);
        }
    }

    private static void cluster(Admin admin, String bootstrap) throws Exception {
        DescribeClusterResult cluster = admin.describeCluster();
        Check.equal(1, Check.answer(cluster.nodes()).size(), "brokers");
        String address = Check.answer(cluster.controller()).host() + ":" + Check.answer(cluster.controller()).port();
        Check.equal(bootstrap, address, "the controller's address");
        Check.equal(22, Check.answer(cluster.clusterId()).length(), "length of the cluster's id");
    }

    private static void topics(Admin admin) throws Exception {
        NewTopic ships = new NewTopic("ships", 3, (short) 1).configs(Map.of("retention.ms", "1000000"));
        NewTopic harbours = new NewTopic("harbours", Optional.empty(), Optional.empty());
        var created = admin.createTopics(List.of(ships, harbours));
        Check.answer(created.all());
        Check.equal(3, Check.answer(created.numPartitions("ships")), "partitions in the answer");
        Check.equal(1, Check.answer(created.replicationFactor("ships")), "replicas in the answer");
        Check.equal("1000000", Check.answer(created.config("ships")).get("retention.ms").value(), "config in the answer");
        Uuid id = Check.answer(created.topicId("ships"));
        Check.reaches(Set.of("ships", "harbours"), () -> Check.answer(admin.listTopics().names()), "topics");

        TopicDescription description = described(admin, "ships");
        Check.equal(id, description.topicId(), "topic id");
        Check.equal(3, description.partitions().size(), "partitions");
        for (TopicPartitionInfo partition : description.partitions()) {
            Check.holds(partition.leader() != null, "partition " + partition.partition() + " has a leader");
            Check.equal(List.of(partition.leader()), partition.replicas(), "replicas");
            Check.equal(List.of(partition.leader()), partition.isr(), "in-sync replicas");
        }
        var byId = admin.describeTopics(org.apache.kafka.common.TopicCollection.ofTopicIds(List.of(id)));
        Check.equal("ships", Check.answer(byId.allTopicIds()).get(id).name(), "name of the topic id");

        Check.answer(admin.createPartitions(Map.of("ships", NewPartitions.increaseTo(5))).all());
        Check.reaches(5, () -> described(admin, "ships").partitions().size(), "partitions after createPartitions");
        var end = admin.listOffsets(Map.of(new TopicPartition("ships", 4), OffsetSpec.latest()));
        Check.equal(0L, Check.answer(end.all()).get(new TopicPartition("ships", 4)).offset(), "offset of a new partition");
    }

    private static void refusals(Admin admin) throws Exception {
        Check.fails(TopicExistsException.class, create(admin, new NewTopic("ships", 1, (short) 1)));
        Check.fails(InvalidTopicException.class, create(admin, new NewTopic("a/b", 1, (short) 1)));
        Check.fails(InvalidPartitionsException.class, create(admin, new NewTopic("none", 0, (short) 1)));
        Check.fails(InvalidReplicationFactorException.class, create(admin, new NewTopic("two", 1, (short) 2)));
        NewTopic unknown = new NewTopic("odd", 1, (short) 1).configs(Map.of("no.such.key", "1"));
        Check.fails(InvalidConfigurationException.class, create(admin, unknown));
        NewTopic wrong = new NewTopic("odd", 1, (short) 1).configs(Map.of("retention.ms", "soon"));
        Check.fails(InvalidConfigurationException.class, create(admin, wrong));
        var fewer = admin.createPartitions(Map.of("ships", NewPartitions.increaseTo(2)));
        Check.fails(InvalidPartitionsException.class, fewer.all());
        var missing = admin.createPartitions(Map.of("missing", NewPartitions.increaseTo(2)));
        Check.fails(UnknownTopicOrPartitionException.class, missing.all());
        var unknownId = admin.describeTopics(
            org.apache.kafka.common.TopicCollection.ofTopicIds(List.of(Uuid.randomUuid())));
        Check.fails(UnknownTopicIdException.class, unknownId.allTopicIds());

        NewTopic tried = new NewTopic("tried", 1, (short) 1);
        Check.answer(admin.createTopics(List.of(tried), new CreateTopicsOptions().validateOnly(true)).all());
        Check.equal(Set.of("ships", "harbours"), Check.answer(admin.listTopics().names()), "topics");
    }

    private static void configs(Admin admin) throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "ships");
        Config config = Check.answer(admin.describeConfigs(List.of(topic)).all()).get(topic);
        ConfigEntry retention = config.get("retention.ms");
        Check.equal("1000000", retention.value(), "retention.ms");
        Check.equal(ConfigSource.DYNAMIC_TOPIC_CONFIG, retention.source(), "source of retention.ms");
        Check.equal("1048588", config.get("max.message.bytes").value(), "max.message.bytes");
        Check.equal("delete", config.get("cleanup.policy").value(), "cleanup.policy");
        Check.equal("producer", config.get("compression.type").value(), "compression.type");
        Check.equal(ConfigSource.DEFAULT_CONFIG, config.get("cleanup.policy").source(), "source of cleanup.policy");

        String id = Check.answer(admin.describeCluster().nodes()).iterator().next().idString();
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, id);
        Config of = Check.answer(admin.describeConfigs(List.of(broker)).all()).get(broker);
        Check.equal("1", of.get("num.partitions").value(), "num.partitions");
        Check.equal("104857600", of.get("socket.request.max.bytes").value(), "socket.request.max.bytes");
    }

    private static void deletion(Admin admin) throws Exception {
        Uuid id = described(admin, "harbours").topicId();
        Check.answer(admin.deleteTopics(List.of("ships")).all());
        Check.answer(admin.deleteTopics(org.apache.kafka.common.TopicCollection.ofTopicIds(List.of(id))).all());
        Check.reaches(Set.of(), () -> Check.answer(admin.listTopics().names()), "topics after deletion");
        Check.fails(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of("ships")).all());
        Check.answer(create(admin, new NewTopic("harbours", 1, (short) 1)));
        Check.reaches(Set.of("harbours"), () -> Check.answer(admin.listTopics().names()), "topics");
        Check.holds(!id.equals(described(admin, "harbours").topicId()), "a topic made anew has a new id");
    }

    private static Future<Void> create(Admin admin, NewTopic topic) {
        return admin.createTopics(List.of(topic)).all();
    }

    private static TopicDescription described(Admin admin, String topic) throws Exception {
        return Check.answer(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
    }
}
