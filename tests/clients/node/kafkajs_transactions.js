// kafkajs: copies each record of one topic to another in transactions with a group's offsets.
//
// usage: kafkajs_transactions.js BOOTSTRAP FROM TO GROUP COUNT
//
// Fails if a reader of committed records sees any record more or less than once, or what a producer
// wrote that another one has fenced.

const assert = require('node:assert/strict')
const { Kafka, logLevel } = require('kafkajs')

const PARTITIONS = 6
const KEYS = 24
const DEADLINE_MS = 60_000
// Every third transaction is aborted, and its records are copied again.
const ABORT_EVERY = 3

const [bootstrap, source, target, group, countText] = process.argv.slice(2)
const count = Number(countText)
const kafka = new Kafka({ brokers: [bootstrap], clientId: 'kafkajs', logLevel: logLevel.NOTHING })

const keyOf = number => `key-${number % KEYS}`

/** The value of a promise, or a failure that says what did not come. */
function withDeadline(what, promise) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`not reached: ${what}`)), DEADLINE_MS)
    promise.then(resolve, reject).finally(() => clearTimeout(late))
  })
}

async function transactional(transactionalId) {
  const producer = kafka.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  return producer
}

async function produce() {
  const producer = kafka.producer()
  await producer.connect()
  // Several batches for each partition, so that there are several transactions.
  for (let from = 0; from < count; from += count / 10) {
    const numbers = Array.from({ length: count / 10 }, (_, i) => from + i)
    await producer.send({
      topic: source,
      acks: -1,
      messages: numbers.map(n => ({ key: keyOf(n), value: String(n) })),
    })
  }
  await producer.disconnect()
}

/** Copies a batch at a time, and gives how many copies were aborted. */
async function copyAll() {
  const producer = await transactional(`${group}-copier`)
  const consumer = kafka.consumer({ groupId: group, readUncommitted: false, maxBytesPerPartition: 2048 })
  await consumer.connect()
  await consumer.subscribe({ topics: [source], fromBeginning: true })
  let copied = 0
  let aborted = 0
  let turn = 0
  await withDeadline(
    'all copies',
    new Promise((resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
      const eachBatch = async ({ batch: { partition, messages }, resolveOffset }) => {
        turn += 1
        const transaction = await producer.transaction()
        await transaction.send({
          topic: target,
          acks: -1,
          messages: messages.map(({ key, value }) => ({ key, value })),
        })
        const offset = (BigInt(messages.at(-1).offset) + 1n).toString()
        await transaction.sendOffsets({
          consumerGroupId: group,
          topics: [{ topic: source, partitions: [{ partition, offset }] }],
        })
        if (turn % ABORT_EVERY === 0) {
          await transaction.abort()
          aborted += messages.length
          consumer.seek({ topic: source, partition, offset: messages[0].offset })
          return
        }
        await transaction.commit()
        copied += messages.length
        resolveOffset(messages.at(-1).offset)
        if (copied >= count) resolve()
      }
      consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        eachBatch: batch => eachBatch(batch).catch(reject),
      })
    }),
  )
  assert.equal(copied, count, 'records taken in transactions that were committed')
  await consumer.disconnect()
  await producer.disconnect()
  return aborted
}

let readers = 0

/** Reads until a last record, which is sent to each partition for this, and gives all before it. */
async function read(readUncommitted) {
  const reader = `${group}-reader-${readers++}`
  const producer = kafka.producer()
  await producer.connect()
  const last = Array.from({ length: PARTITIONS }, (_, partition) => ({ partition, value: reader }))
  await producer.send({ topic: target, acks: -1, messages: last })
  await producer.disconnect()
  const consumer = kafka.consumer({ groupId: reader, readUncommitted })
  await consumer.connect()
  await consumer.subscribe({ topics: [target], fromBeginning: true })
  const seen = []
  let open = PARTITIONS
  await withDeadline(
    'the ends',
    new Promise((resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
      consumer.run({
        autoCommit: false,
        eachMessage: async ({ message }) => {
          const value = message.value.toString()
          if (!value.startsWith(`${group}-reader-`)) seen.push([message.key?.toString(), value])
          if (value === reader) open -= 1
          if (open === 0) resolve()
        },
      })
    }),
  )
  await consumer.disconnect()
  return seen
}

/** Each copy once, in order for each key; the aborted ones are in the log. */
async function checkCopies(aborted) {
  const committed = await read(false)
  const values = committed.map(([, value]) => Number(value)).sort((a, b) => a - b)
  assert.deepEqual(values, Array.from({ length: count }, (_, i) => i))
  const lastOfKey = new Map()
  for (const [key, text] of committed) {
    const value = Number(text)
    assert.equal(key, keyOf(value))
    assert.ok(!(lastOfKey.get(key) >= value), `${key}: ${value} after ${lastOfKey.get(key)}`)
    lastOfKey.set(key, value)
  }
  // Without aborted records the checks above would show nothing.
  assert.ok(aborted > 0)
  assert.equal((await read(true)).length, count + aborted)
}

/** A second producer with the same transactional id ends the first one's transaction. */
async function fence() {
  const old = await transactional('fenced')
  const first = await old.transaction()
  await first.send({ topic: target, acks: -1, messages: [{ value: 'first' }] })
  const young = await transactional('fenced')
  const second = await young.transaction()
  await second.send({ topic: target, acks: -1, messages: [{ value: 'second' }] })
  await assert.rejects(first.commit(), ({ type }) =>
    ['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED'].includes(type),
  )
  await second.commit()
  await young.disconnect()
  await old.disconnect()
  const kept = (await read(false)).filter(([key]) => key === undefined)
  assert.deepEqual(kept.map(([, value]) => value), ['second'])
}

async function main() {
  await produce()
  const aborted = await copyAll()
  await checkCopies(aborted)
  await fence()
}

main().catch(failure => {
  console.error(failure)
  process.exit(1)
})
