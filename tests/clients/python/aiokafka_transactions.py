"""aiokafka: copies each record of one topic to another in transactions with a group's offsets.

usage: aiokafka_transactions.py BOOTSTRAP FROM TO GROUP COUNT

The same course as kafka_python_transactions.py, on one event loop.
"""

import asyncio
import sys

import copies
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from ledger import DEADLINE_SECONDS, PARTITIONS, key_of


async def transactional(bootstrap, name):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name)
    await producer.start()
    return producer


async def produce(bootstrap, topic, count):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        sent = [await producer.send(topic, key=key_of(n), value=b"%d" % n) for n in range(count)]
        await asyncio.wait_for(asyncio.gather(*sent), DEADLINE_SECONDS)


async def copy_all(bootstrap, source, target, group, count):
    """Gives how many copies were aborted."""
    consumer = AIOKafkaConsumer(
        source,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    producer = await transactional(bootstrap, f"{group}-copier")
    copied = aborted = turn = 0
    while copied < count:
        batches = await consumer.getmany(timeout_ms=1000, max_records=count // 20)
        if not batches:
            continue
        turn += 1
        await producer.begin_transaction()
        sent = [await producer.send(target, key=r.key, value=r.value) for rs in batches.values() for r in rs]
        after = {p: rs[-1].offset + 1 for p, rs in batches.items()}
        await producer.send_offsets_to_transaction(after, group)
        if turn % copies.ABORT_EVERY == 0:
            # Only what was written can be seen to be aborted.
            await asyncio.wait_for(asyncio.gather(*sent), DEADLINE_SECONDS)
            await producer.abort_transaction()
            for p, records in batches.items():
                consumer.seek(p, records[0].offset)
            aborted += len(sent)
        else:
            await producer.commit_transaction()
            copied += len(sent)
    await producer.stop()
    await consumer.stop()
    return aborted


async def read(bootstrap, topic, isolation):
    """All keys and values up to the ends that this isolation level has."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        isolation_level=isolation,
    )
    await consumer.start()
    partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    seen = []
    for p in partitions:
        while await consumer.position(p) < ends[p]:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                seen += [(r.key, r.value) for r in records]
    await consumer.stop()
    return seen


async def fence(bootstrap, topic):
    old = await transactional(bootstrap, "fenced")
    await old.begin_transaction()
    await old.send_and_wait(topic, value=b"1")
    young = await transactional(bootstrap, "fenced")
    await young.begin_transaction()
    await young.send_and_wait(topic, value=b"2")
    try:
        await old.commit_transaction()
        raise AssertionError("the first producer is not fenced")
    except ProducerFenced:
        pass
    await young.commit_transaction()
    await young.stop()
    try:
        await old.stop()
    except KafkaError:
        pass  # It may say once more that it is fenced.
    kept = [value for key, value in await read(bootstrap, topic, "read_committed") if key is None]
    assert kept == [b"2"], f"of the two producers there is {kept}"


async def main(bootstrap, source, target, group, count):
    count = int(count)
    await produce(bootstrap, source, count)
    aborted = await copy_all(bootstrap, source, target, group, count)
    committed = await read(bootstrap, target, "read_committed")
    uncommitted = await read(bootstrap, target, "read_uncommitted")
    copies.check(count, aborted, committed, uncommitted)
    await fence(bootstrap, target)


asyncio.run(main(*sys.argv[1:]))
