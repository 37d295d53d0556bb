"""kafka-python: copies each record of one topic to another in transactions with a group's offsets.

usage: kafka_python_transactions.py BOOTSTRAP FROM TO GROUP COUNT

Fails if a reader of committed records sees any record more or less than once, or what a producer
wrote that another one has fenced.
"""

import sys

import copies
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import InvalidProducerEpochError, ProducerFencedError
from ledger import DEADLINE_SECONDS, PARTITIONS, key_of


def transactional(bootstrap, name):
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=name)
    producer.init_transactions()
    return producer


def produce(bootstrap, topic, count):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
    sent = [producer.send(topic, key=key_of(n), value=b"%d" % n) for n in range(count)]
    for future in sent:
        future.get(timeout=DEADLINE_SECONDS)
    producer.close()


def copy_all(bootstrap, source, target, group, count):
    """Gives how many copies were aborted."""
    consumer = KafkaConsumer(
        source,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_poll_records=count // 20,
    )
    producer = transactional(bootstrap, f"{group}-copier")
    copied = aborted = turn = 0
    while copied < count:
        batches = consumer.poll(timeout_ms=1000)
        if not batches:
            continue
        turn += 1
        producer.begin_transaction()
        for records in batches.values():
            for r in records:
                producer.send(target, key=r.key, value=r.value)
        taken = sum(len(records) for records in batches.values())
        after = {p: OffsetAndMetadata(rs[-1].offset + 1, "", -1) for p, rs in batches.items()}
        producer.send_offsets_to_transaction(after, consumer.group_metadata())
        if turn % copies.ABORT_EVERY == 0:
            # Only what was written can be seen to be aborted.
            producer.flush()
            producer.abort_transaction()
            for p, records in batches.items():
                consumer.seek(p, records[0].offset)
            aborted += taken
        else:
            producer.commit_transaction()
            copied += taken
    producer.close()
    consumer.close()
    return aborted


def read(bootstrap, topic, isolation):
    """All keys and values up to the ends that this isolation level has."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        auto_offset_reset="earliest",
        isolation_level=isolation,
    )
    partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    seen = []
    while any(consumer.position(p) < ends[p] for p in partitions):
        for records in consumer.poll(timeout_ms=100).values():
            seen += [(r.key, r.value) for r in records]
    consumer.close()
    return seen


def fence(bootstrap, topic):
    old = transactional(bootstrap, "fenced")
    old.begin_transaction()
    old.send(topic, value=b"1").get(timeout=DEADLINE_SECONDS)
    young = transactional(bootstrap, "fenced")
    young.begin_transaction()
    young.send(topic, value=b"2").get(timeout=DEADLINE_SECONDS)
    try:
        old.commit_transaction()
        raise AssertionError("the first producer is not fenced")
    except (ProducerFencedError, InvalidProducerEpochError):
        pass
    young.commit_transaction()
    young.close()
    kept = [value for key, value in read(bootstrap, topic, "read_committed") if key is None]
    assert kept == [b"2"], f"of the two producers there is {kept}"


def main(bootstrap, source, target, group, count):
    count = int(count)
    produce(bootstrap, source, count)
    aborted = copy_all(bootstrap, source, target, group, count)
    committed = read(bootstrap, target, "read_committed")
    uncommitted = read(bootstrap, target, "read_uncommitted")
    copies.check(count, aborted, committed, uncommitted)
    fence(bootstrap, target)


main(*sys.argv[1:])
