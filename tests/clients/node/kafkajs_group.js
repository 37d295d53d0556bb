// kafkajs: a group of two members that share, leave, commit, and go on where it was committed.
//
// usage: kafkajs_group.js BOOTSTRAP TOPIC GROUP FIRST COUNT
//
// The same course as that of the Python clients: three times COUNT numbers from FIRST on, consumed
// by one member, by two, and by one again. Fails if any record is missed, seen twice or out of
// order for its key, and if the offsets committed at the end are not the ends of the partitions.

const assert = require('node:assert/strict')
const { EventEmitter } = require('node:events')
const { Kafka, logLevel } = require('kafkajs')

const PARTITIONS = 6
const KEYS = 24
const DEADLINE_MS = 60_000

const [bootstrap, topic, group, firstText, countText] = process.argv.slice(2)
const first = Number(firstText)
const count = Number(countText)
const kafka = new Kafka({ brokers: [bootstrap], clientId: 'kafkajs', logLevel: logLevel.ERROR })

const keyOf = number => `key-${number % KEYS}`
const changed = new EventEmitter()
const records = [] // {member, partition, offset, key, value} in order of arrival
const shares = new Map() // member -> partitions

function reached(what, condition) {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (!condition()) return
      clearTimeout(late)
      changed.off('change', look)
      resolve()
    }
    const late = setTimeout(
      () => reject(new Error(`${what}: ${records.length} records, ${JSON.stringify([...shares])}`)),
      DEADLINE_MS,
    )
    changed.on('change', look)
    look()
  })
}

const recordsReach = wanted => reached(`${wanted} records`, () => records.length >= wanted)

/** Until the members' shares have these sizes and cover every partition once. */
function sharesReach(...sizes) {
  return reached(`shares of ${sizes}`, () => {
    const owned = [...shares.values()].flat().sort((a, b) => a - b)
    const found = [...shares.values()].map(share => share.length).filter(size => size > 0)
    const whole = Array.from({ length: PARTITIONS }, (_, partition) => partition)
    return String(owned) === String(whole) && String(found.sort()) === String(sizes.sort())
  })
}

async function join(member) {
  const consumer = kafka.consumer({ groupId: group })
  const { GROUP_JOIN, REBALANCING, CRASH } = consumer.events
  const share = partitions => {
    shares.set(member, partitions)
    changed.emit('change')
  }
  consumer.on(GROUP_JOIN, ({ payload }) => share(payload.memberAssignment[topic] ?? []))
  consumer.on(REBALANCING, () => share([]))
  consumer.on(CRASH, ({ payload }) => {
    throw payload.error
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset }) => {
      for (const message of batch.messages) {
        const value = Number(message.value)
        const key = message.key.toString()
        records.push({ member, partition: batch.partition, offset: Number(message.offset), key, value })
        resolveOffset(message.offset)
      }
      const next = (BigInt(batch.lastOffset()) + 1n).toString()
      await consumer.commitOffsets([
        { topic, partition: batch.partition, offset: next, metadata: member },
      ])
      changed.emit('change')
    },
  })
  return {
    leave: async () => {
      await consumer.disconnect()
      share([])
    },
  }
}

async function produce(producer, from) {
  const messages = Array.from({ length: count }, (_, i) => from + i)
  await producer.send({
    topic,
    acks: -1,
    messages: messages.map(n => ({ key: keyOf(n), value: String(n) })),
  })
}

/** Each number once, in order for each key, without a gap in any partition. */
function checkRecords() {
  const values = records.map(({ value }) => value).sort((a, b) => a - b)
  assert.deepEqual(values, Array.from({ length: 3 * count }, (_, i) => first + i))
  const lastOfKey = new Map()
  const lastOfPartition = new Map()
  for (const { partition, offset, key, value } of records) {
    assert.equal(key, keyOf(value))
    assert.ok(!(lastOfKey.get(key) >= value), `${key}: ${value} after ${lastOfKey.get(key)}`)
    lastOfKey.set(key, value)
    assert.equal(offset, (lastOfPartition.get(partition) ?? offset - 1) + 1)
    lastOfPartition.set(partition, offset)
  }
}

async function checkCommitted() {
  const admin = kafka.admin()
  await admin.connect()
  const byPartition = (a, b) => a.partition - b.partition
  const ends = (await admin.fetchTopicOffsets(topic)).sort(byPartition)
  const [fetched] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
  const committed = fetched.partitions.sort(byPartition)
  assert.deepEqual(
    committed.map(({ partition, offset }) => [partition, offset]),
    ends.map(({ partition, high }) => [partition, high]),
  )
  for (const { metadata } of committed) assert.match(metadata, /^(early|late)$/)
  const { groups } = await admin.describeGroups([group])
  assert.deepEqual([groups[0].state, groups[0].members.length], ['Empty', 0])
  await admin.disconnect()
}

async function main() {
  const producer = kafka.producer({ idempotent: true })
  await producer.connect()
  const early = await join('early')
  await produce(producer, first)
  await sharesReach(PARTITIONS)
  await recordsReach(count)
  const late = await join('late')
  await sharesReach(PARTITIONS / 2, PARTITIONS / 2)
  await produce(producer, first + count)
  await recordsReach(2 * count)
  const tookPart = new Set(records.slice(count).map(({ member }) => member))
  assert.equal(tookPart.size, 2, 'both took part')
  await early.leave()
  await sharesReach(PARTITIONS)
  await produce(producer, first + 2 * count)
  await recordsReach(3 * count)
  await late.leave()
  await producer.disconnect()
  checkRecords()
  await checkCommitted()
}

main().catch(failure => {
  console.error(failure)
  process.exit(1)
})
