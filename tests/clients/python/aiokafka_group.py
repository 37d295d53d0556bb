"""aiokafka: a group of two members that share, leave, commit, and go on where it was committed.

usage: aiokafka_group.py BOOTSTRAP TOPIC GROUP FIRST COUNT

The same course as kafka_python_group.py, on one event loop.
"""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from ledger import DEADLINE_SECONDS, PARTITIONS, Ledger, key_of


class Member(ConsumerRebalanceListener):
    """Commits what it has seen before it asks for more; rebalances wait for the commit."""

    def __init__(self, name, bootstrap, topic, group, ledger):
        self.name = name
        self.ledger = ledger
        self.leave = False
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            client_id=name,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        self.consumer.subscribe([topic], listener=self)
        self.at_rest = asyncio.Lock()

    # A rebalance runs beside the loop below here, unlike in other clients: revoking waits for the
    # commit of what was seen, and no record is taken until the new assignment is there.
    async def on_partitions_revoked(self, revoked):
        await self.at_rest.acquire()
        self.ledger.assigned(self.name, [])

    async def on_partitions_assigned(self, assigned):
        self.ledger.assigned(self.name, [p.partition for p in assigned])
        if self.at_rest.locked():
            self.at_rest.release()

    async def run(self):
        while not self.leave:
            async with self.at_rest:
                batches = await self.consumer.getmany(timeout_ms=50)
                for records in batches.values():
                    for r in records:
                        self.ledger.saw(self.name, r.partition, r.offset, r.key, r.value)
                if batches:
                    await self.consumer.commit()
            await asyncio.sleep(0)
        await self.consumer.stop()
        self.ledger.assigned(self.name, [])

    async def begin(self):
        await self.consumer.start()
        self.task = asyncio.create_task(self.run())

    async def end(self):
        self.leave = True
        await asyncio.wait_for(self.task, DEADLINE_SECONDS)


async def reached(member_tasks, wait):
    """Waits on the ledger without stopping the loop; a member that failed ends the wait."""
    waiting = asyncio.ensure_future(asyncio.to_thread(wait))
    done, _ = await asyncio.wait({waiting, *member_tasks}, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    await waiting


async def produce(producer, topic, numbers):
    sent = [await producer.send(topic, key=key_of(n), value=b"%d" % n) for n in numbers]
    await asyncio.wait_for(asyncio.gather(*sent), DEADLINE_SECONDS)


async def check_committed(bootstrap, topic, group):
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    ends = await consumer.end_offsets(partitions)
    committed = {p: await consumer.committed(p) for p in partitions}
    assert committed == ends, f"committed {committed}, ends {ends}"
    await consumer.stop()


async def main(bootstrap, topic, group, first, count):
    first, count = int(first), int(count)
    parts = [range(first + i * count, first + (i + 1) * count) for i in range(3)]
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    ledger = Ledger()
    early = Member("early", bootstrap, topic, group, ledger)
    await early.begin()
    await produce(producer, topic, parts[0])
    await reached([early.task], lambda: ledger.wait_for_shares(PARTITIONS))
    await reached([early.task], lambda: ledger.wait_for_records(count))
    late = Member("late", bootstrap, topic, group, ledger)
    await late.begin()
    both = [early.task, late.task]
    await reached(both, lambda: ledger.wait_for_shares(PARTITIONS // 2, PARTITIONS // 2))
    await produce(producer, topic, parts[1])
    await reached(both, lambda: ledger.wait_for_records(2 * count))
    assert ledger.members_that_saw_some_after(count) == {"early", "late"}, "both took part"
    await early.end()
    await reached([late.task], lambda: ledger.wait_for_shares(PARTITIONS))
    await produce(producer, topic, parts[2])
    await reached([late.task], lambda: ledger.wait_for_records(3 * count))
    await late.end()
    await producer.stop()
    ledger.check(range(first, first + 3 * count))
    await check_committed(bootstrap, topic, group)


asyncio.run(main(*sys.argv[1:]))
