"""confluent-kafka: what its AdminClient can ask, each on what is there afterwards.

usage: confluent_kafka_admin.py BOOTSTRAP
"""

import sys
import time

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ElectionType,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

DEADLINE_SECONDS = 60
TOPIC = "voyages"
GROUP = "sailors"
TIMESTAMPS = [1_700_000_000_000 + 1000 * n for n in range(10)]


def answers(futures):
    return {asked: future.result(DEADLINE_SECONDS) for asked, future in futures.items()}


def answer(futures):
    ((_, told),) = answers(futures).items()
    return told


def fails(code, futures):
    try:
        told = answer(futures)
    except KafkaException as failure:
        assert failure.args[0].code() == code, failure
        return
    raise AssertionError(f"wanted the error {code}, found {told}")


def topics(admin):
    answer(admin.create_topics([NewTopic(TOPIC, 2, 1, config={"retention.ms": "-1"})]))
    fails(KafkaError.TOPIC_ALREADY_EXISTS, admin.create_topics([NewTopic(TOPIC, 2, 1)]))
    fails(KafkaError.INVALID_CONFIG, admin.create_topics([NewTopic("odd", 1, 1, config={"odd": "1"})]))
    fails(KafkaError.TOPIC_EXCEPTION, admin.create_topics([NewTopic("a/b", 1, 1)]))
    answer(admin.create_topics([NewTopic("tried", 1, 1)], validate_only=True))
    answer(admin.create_partitions([NewPartitions(TOPIC, 3)]))
    fails(KafkaError.INVALID_PARTITIONS, admin.create_partitions([NewPartitions(TOPIC, 3)]))
    fails(KafkaError.UNKNOWN_TOPIC_OR_PART, admin.create_partitions([NewPartitions("tried", 3)]))
    described = answer(admin.describe_topics(TopicCollection([TOPIC])))
    assert [p.id for p in described.partitions] == [0, 1, 2], described.partitions
    assert all(p.leader.id == p.isr[0].id for p in described.partitions)
    assert TOPIC in admin.list_topics(timeout=DEADLINE_SECONDS).topics


def configs(admin):
    topic = ConfigResource(ResourceType.TOPIC, TOPIC)

    def described():
        return answer(admin.describe_configs([topic]))

    def altered(name, value, operation):
        entry = ConfigEntry(name, value, incremental_operation=operation)
        resource = ConfigResource(ResourceType.TOPIC, TOPIC, incremental_configs=[entry])
        return admin.incremental_alter_configs([resource])

    def source(entry):
        return ConfigSource(entry.source)

    assert described()["retention.ms"].value == "-1"
    assert source(described()["retention.ms"]) == ConfigSource.DYNAMIC_TOPIC_CONFIG
    assert source(described()["segment.bytes"]) == ConfigSource.DEFAULT_CONFIG
    answer(altered("cleanup.policy", "compact", AlterConfigOpType.APPEND))
    assert described()["cleanup.policy"].value == "delete,compact"
    answer(altered("cleanup.policy", "compact", AlterConfigOpType.SUBTRACT))
    answer(altered("retention.ms", None, AlterConfigOpType.DELETE))
    assert described()["cleanup.policy"].value == "delete"
    assert described()["retention.ms"].value == "604800000"
    fails(KafkaError.INVALID_CONFIG, altered("segment.bytes", "few", AlterConfigOpType.SET))
    answer(altered("retention.ms", "-1", AlterConfigOpType.SET))
    node = answer_of_cluster(admin).controller.id
    broker = answer(admin.describe_configs([ConfigResource(ResourceType.BROKER, str(node))]))
    assert broker["socket.request.max.bytes"].value == "104857600"
    assert broker["socket.request.max.bytes"].is_read_only


def answer_of_cluster(admin):
    return admin.describe_cluster().result(DEADLINE_SECONDS)


def cluster(admin):
    told = answer_of_cluster(admin)
    assert [node.id for node in told.nodes] == [told.controller.id], told.nodes
    assert told.cluster_id
    elected = admin.elect_leaders(ElectionType.PREFERRED, [TopicPartition(TOPIC, 0)]).result(DEADLINE_SECONDS)
    ((_, error),) = elected.items()
    assert error.code() == KafkaError.ELECTION_NOT_NEEDED, error


def fill(bootstrap):
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for n, timestamp in enumerate(TIMESTAMPS):
        producer.produce(TOPIC, value=b"%d" % n, partition=0, timestamp=timestamp)
    assert producer.flush(DEADLINE_SECONDS) == 0


def offsets(admin):
    def offset(spec, isolation=IsolationLevel.READ_UNCOMMITTED):
        asked = {TopicPartition(TOPIC, 0): spec}
        return answer(admin.list_offsets(asked, isolation_level=isolation))

    assert offset(OffsetSpec.earliest()).offset == 0
    assert offset(OffsetSpec.latest()).offset == 10
    assert offset(OffsetSpec.latest(), IsolationLevel.READ_COMMITTED).offset == 10
    newest = offset(OffsetSpec.max_timestamp())
    assert (newest.offset, newest.timestamp) == (9, TIMESTAMPS[9]), newest
    between = offset(OffsetSpec.for_timestamp(TIMESTAMPS[4] - 1))
    assert (between.offset, between.timestamp) == (4, TIMESTAMPS[4]), between
    assert offset(OffsetSpec.for_timestamp(TIMESTAMPS[9] + 1)).offset == -1

    assert answer(admin.delete_records([TopicPartition(TOPIC, 0, 3)])).low_watermark == 3
    assert offset(OffsetSpec.earliest()).offset == 3
    fails(KafkaError.OFFSET_OUT_OF_RANGE, admin.delete_records([TopicPartition(TOPIC, 0, 11)]))


def groups(admin, bootstrap):
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": GROUP,
            "client.id": "deckhand",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([TOPIC])
    for n in range(3, 10):
        record = consumer.poll(DEADLINE_SECONDS)
        assert record and not record.error() and record.value() == b"%d" % n, record
    committed = TopicPartition(TOPIC, 0, 10, metadata="seven of ten")
    consumer.commit(offsets=[committed], asynchronous=False)
    described = answer(admin.describe_consumer_groups([GROUP]))
    assert described.state == ConsumerGroupState.STABLE, described.state
    (member,) = described.members
    assert member.client_id == "deckhand"
    assert len(member.assignment.topic_partitions) == 3, member.assignment.topic_partitions
    fails(KafkaError.NON_EMPTY_GROUP, admin.delete_consumer_groups([GROUP]))
    consumer.close()

    listed = admin.list_consumer_groups(states={ConsumerGroupState.EMPTY}).result(DEADLINE_SECONDS)
    assert [group.group_id for group in listed.valid] == [GROUP] and not listed.errors, listed.valid
    asked = [ConsumerGroupTopicPartitions(GROUP)]
    (at,) = answer(admin.list_consumer_group_offsets(asked)).topic_partitions
    assert (at.partition, at.offset, at.metadata) == (0, 10, "seven of ten"), at
    moved = ConsumerGroupTopicPartitions(GROUP, [TopicPartition(TOPIC, 0, 5)])
    answer(admin.alter_consumer_group_offsets([moved]))
    (at,) = answer(admin.list_consumer_group_offsets(asked)).topic_partitions
    assert at.offset == 5, at
    answer(admin.delete_consumer_groups([GROUP]))
    fails(KafkaError.GROUP_ID_NOT_FOUND, admin.delete_consumer_groups([GROUP]))


def credentials(admin):
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
    answer(admin.alter_user_scram_credentials([UserScramCredentialUpsertion("ann", info, b"secret")]))
    reach("the credential", lambda: "ann" in admin.describe_user_scram_credentials().result(DEADLINE_SECONDS))
    (kept,) = answer(admin.describe_user_scram_credentials(["ann"])).scram_credential_infos
    assert (kept.mechanism, kept.iterations) == (ScramMechanism.SCRAM_SHA_256, 4096)
    answer(admin.alter_user_scram_credentials([UserScramCredentialDeletion("ann", ScramMechanism.SCRAM_SHA_256)]))


def deletion(admin):
    answer(admin.delete_topics([TOPIC]))
    fails(KafkaError.UNKNOWN_TOPIC_OR_PART, admin.delete_topics([TOPIC]))
    reach("no topic", lambda: TOPIC not in admin.list_topics(timeout=DEADLINE_SECONDS).topics)


def reach(what, holds):
    """A broker may learn late of a change."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() < begin + DEADLINE_SECONDS, f"not reached: {what}"


def main(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics(admin)
    configs(admin)
    cluster(admin)
    fill(bootstrap)
    offsets(admin)
    groups(admin, bootstrap)
    credentials(admin)
    deletion(admin)


main(*sys.argv[1:])
