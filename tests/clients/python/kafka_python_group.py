"""kafka-python: a group of two members that share, leave, commit, and go on where it was committed.

usage: kafka_python_group.py BOOTSTRAP TOPIC GROUP FIRST COUNT

Produces the numbers from FIRST on, three times COUNT of them, and consumes them with one member,
with two, and with one again. Fails if any record is missed, seen twice, or out of order for its
key, and if the offsets committed at the end are not the ends of the partitions.
"""

import sys
import threading

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from ledger import DEADLINE_SECONDS, PARTITIONS, Ledger, key_of


class Listener(ConsumerRebalanceListener):
    def __init__(self, ledger, member):
        self.ledger = ledger
        self.member = member

    def on_partitions_revoked(self, revoked):
        self.ledger.assigned(self.member, [])

    def on_partitions_assigned(self, assigned):
        self.ledger.assigned(self.member, [p.partition for p in assigned])


class Member(threading.Thread):
    """Commits what it has seen before it asks for more."""

    def __init__(self, name, bootstrap, topic, group, ledger):
        super().__init__(name=name)
        self.leave = threading.Event()
        self.failure = None
        self.ledger = ledger
        self.settings = dict(
            bootstrap_servers=bootstrap,
            group_id=group,
            client_id=name,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        self.topic = topic

    def run(self):
        try:
            consumer = KafkaConsumer(**self.settings)
            consumer.subscribe([self.topic], listener=Listener(self.ledger, self.name))
            while not self.leave.is_set():
                batches = consumer.poll(timeout_ms=100)
                for records in batches.values():
                    for r in records:
                        self.ledger.saw(self.name, r.partition, r.offset, r.key, r.value)
                if batches:
                    consumer.commit()
            consumer.close()
            self.ledger.assigned(self.name, [])
        except BaseException as failure:
            self.failure = failure
            raise

    def end(self):
        self.leave.set()
        self.join(DEADLINE_SECONDS)
        assert not self.is_alive() and self.failure is None, f"{self.name}: {self.failure}"


def produce(producer, topic, numbers):
    sent = [producer.send(topic, key=key_of(n), value=b"%d" % n) for n in numbers]
    for future in sent:
        future.get(timeout=DEADLINE_SECONDS)


def check_committed(bootstrap, topic, group):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    ends = consumer.end_offsets(partitions)
    committed = {p: consumer.committed(p) for p in partitions}
    assert committed == ends, f"committed {committed}, ends {ends}"
    consumer.close()


def main(bootstrap, topic, group, first, count):
    first, count = int(first), int(count)
    parts = [range(first + i * count, first + (i + 1) * count) for i in range(3)]
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
    ledger = Ledger()
    early = Member("early", bootstrap, topic, group, ledger)
    early.start()
    produce(producer, topic, parts[0])
    ledger.wait_for_shares(PARTITIONS)
    ledger.wait_for_records(count)
    late = Member("late", bootstrap, topic, group, ledger)
    late.start()
    ledger.wait_for_shares(PARTITIONS // 2, PARTITIONS // 2)
    produce(producer, topic, parts[1])
    ledger.wait_for_records(2 * count)
    assert ledger.members_that_saw_some_after(count) == {"early", "late"}, "both took part"
    early.end()
    ledger.wait_for_shares(PARTITIONS)
    produce(producer, topic, parts[2])
    ledger.wait_for_records(3 * count)
    late.end()
    producer.close()
    ledger.check(range(first, first + 3 * count))
    check_committed(bootstrap, topic, group)


main(*sys.argv[1:])
