//! Shows: ListOffsets by timestamp gives the first record that is as late as asked, exactly: inside a
//! batch, compressed or not, among equal timestamps and such that go back, across segments, after a
//! restart, after compaction, and for a read_committed consumer below the last stable offset only.

use std::io;

use chiplog_tests::batch::{Batch, Record};
use chiplog_tests::node::{Node, Setup};
use chiplog_tests::raw::{Body, Connection, LIST_OFFSETS, PRODUCE, produce_to, try_end_offset};
use chiplog_tests::state::{SOON, reach};
use chiplog_tests::transactional::TransactionalProducer;

use crate::transactions::setup;

const FIRST_MS: i64 = 1_600_000_000_000;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const UNKNOWN: (i64, i64) = (-1, -1);

/// Timestamp and offset that a timestamp is answered with.
fn ask(client: &mut Connection, topic: &str, committed: bool, timestamp_ms: i64) -> (i64, i64) {
    // Version 7 is flexible: compact strings and arrays, and tagged fields, here none, after the
    // header and after each struct.
    let name = u32::try_from(topic.len() + 1).expect("short");
    let body = Body::new().raw(&[0]).i32(-1).i8(i8::from(committed));
    let body = body.varint_unsigned(2).varint_unsigned(name);
    let body = body.raw(topic.as_bytes()).varint_unsigned(2);
    let body = body.i32(0).i32(-1).i64(timestamp_ms);
    let body = body.raw(&[0, 0, 0]);
    let mut answer = client.ask(LIST_OFFSETS, 7, &body);
    answer.i8(); // tagged fields of the header
    answer.i32(); // throttle time
    assert_eq!(answer.varint_unsigned(), 2, "one topic");
    assert_eq!(answer.compact_string().as_deref(), Some(topic));
    assert_eq!(answer.varint_unsigned(), 2, "one partition");
    assert_eq!(
        (answer.i32(), answer.i16()),
        (0, 0),
        "partition 0, no error"
    );
    (answer.i64(), answer.i64())
}

/// What was written: the timestamp at each offset.
#[derive(Default)]
struct Written {
    times: Vec<i64>,
}

impl Written {
    /// A batch with these milliseconds after the first time.
    fn write(
        &mut self,
        client: &mut Connection,
        topic: &str,
        later_ms: &[i64],
        compressed: bool,
    ) -> io::Result<()> {
        let records = self.records(later_ms);
        let batch = Batch {
            compressed,
            ..Batch::PLAIN
        };
        let base = self.times.len() as i64;
        let produced = produce_to(client, topic, &batch.of(&records))?;
        assert_eq!(produced, (0, base));
        self.times
            .extend(records.iter().map(|one| one.timestamp_ms));
        Ok(())
    }

    fn records(&self, later_ms: &[i64]) -> Vec<Record<'static>> {
        let record = |later_ms: &i64| Record {
            key: Some(b"key"),
            value: Some(&[b'v'; 30]),
            timestamp_ms: FIRST_MS + later_ms,
        };
        later_ms.iter().map(record).collect()
    }

    /// The first record as late as that, of those below `end`.
    fn since(&self, timestamp_ms: i64, end: i64) -> (i64, i64) {
        let mut all = self.times.iter().zip(0..);
        let found = all.find(|(at_ms, _)| **at_ms >= timestamp_ms);
        match found {
            Some((at_ms, offset)) if offset < end => (*at_ms, offset),
            _ => UNKNOWN,
        }
    }

    /// Every time there is, and those next to it.
    fn check(&self, client: &mut Connection, topic: &str, committed: bool, end: i64) {
        reach("the partition can be read", SOON, || {
            try_end_offset(client, topic, 0).ok()
        });
        let last_ms = self.times.iter().max().expect("something is written");
        for timestamp_ms in FIRST_MS - 1..=last_ms + 1 {
            let found = ask(client, topic, committed, timestamp_ms);
            let later_ms = timestamp_ms - FIRST_MS;
            assert_eq!(found, self.since(timestamp_ms, end), "{later_ms} ms after");
        }
        assert_eq!(ask(client, topic, committed, 0), self.since(0, end));
        let largest = ask(client, topic, committed, MAX_TIMESTAMP);
        assert_eq!(largest, self.since(*last_ms, end), "the largest");
        assert_eq!(ask(client, topic, committed, EARLIEST), (-1, 0));
        assert_eq!(ask(client, topic, committed, LATEST), (-1, end));
    }
}

/// Times of records, batch by batch: rising, equal, going back within a batch and between batches.
const BATCHES: [&[i64]; 12] = [
    &[0, 1, 2, 3],
    &[10, 10, 10],
    &[10, 12, 12],
    &[30, 20, 25, 40, 15],
    &[5, 6],
    &[41],
    &[40, 40],
    &[60, 50, 60],
    &[55],
    &[70, 71, 70, 71],
    &[65, 72, 66],
    &[72, 72],
];

#[test]
fn every_time_is_found_exactly() -> io::Result<()> {
    let mut node = Node::start();
    let settings = [("segment.bytes", "600"), ("index.interval.bytes", "100")];
    for (topic, compressed) in [("times", false), ("compressed-times", true)] {
        node.create_topic_with(topic, 1, &settings);
        let mut written = Written::default();
        let mut client = node.connect();
        for times in BATCHES {
            written.write(&mut client, topic, times, compressed)?;
        }
        let end = written.times.len() as i64;
        written.check(&mut client, topic, false, end);
        written.check(&mut client, topic, true, end);
        node.stop();
        node.start_again();
        written.check(&mut node.connect(), topic, false, end);
        node.kill();
        node.start_again();
        written.check(&mut node.connect(), topic, false, end);
    }
    Ok(())
}

#[test]
fn times_of_what_may_still_be_aborted_are_not_found_by_read_committed() -> io::Result<()> {
    let node = Node::start_with(setup());
    node.create_topic("open-times", 1);
    let mut client = node.connect();
    let mut written = Written::default();
    written.write(&mut client, "open-times", &[0, 10], false)?;
    let producer = TransactionalProducer::initialise(&node, "open-times");
    producer.add(&mut client, "open-times", &[0]);
    let records = written.records(&[5, 20, 30]);
    let batch = producer.uncompressed(0).of(&records);
    let body = producer.produce("open-times", &[(0, batch)]);
    let mut answer = client.try_ask(PRODUCE, 7, &body)?;
    assert_eq!(answer.i32(), 1, "one topic");
    answer.string();
    assert_eq!((answer.i32(), answer.i32(), answer.i16()), (1, 0, 0));
    written
        .times
        .extend(records.iter().map(|one| one.timestamp_ms));
    written.write(&mut client, "open-times", &[25, 40], false)?;
    // What lies behind the open transaction is not found either.
    written.check(&mut client, "open-times", true, 2);
    written.check(&mut client, "open-times", false, 7);
    producer.end(&mut client, false);
    reach("the marker is there", SOON, || {
        let latest = ask(&mut client, "open-times", true, LATEST);
        (latest == (-1, 8)).then_some(())
    });
    // As in Kafka, a record is found whatever became of its transaction.
    let found = ask(&mut client, "open-times", true, FIRST_MS + 20);
    assert_eq!(found, (FIRST_MS + 20, 3));
    Ok(())
}

#[test]
fn times_are_found_among_what_compaction_left() -> io::Result<()> {
    let mut node = Node::start_with(
        Setup::new()
            .set("log.cleaner.backoff.ms", "50")
            .set("log.cleaner.dedupe.buffer.size", "2000000")
            .set("log.segment.delete.delay.ms", "100"),
    );
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "300"),
        ("index.interval.bytes", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    node.create_topic_with("kept-times", 1, &settings);
    let mut client = node.connect();
    // Every batch has a key of its own, and one that all have: of each batch one record stays.
    let mut kept = Vec::new();
    let mut offset = 0;
    for (number, times) in (0_u8..).zip(BATCHES) {
        let keys: Vec<[u8; 1]> = (0..times.len())
            .map(|at| {
                if at == times.len() / 2 {
                    [number]
                } else {
                    [200]
                }
            })
            .collect();
        let records: Vec<_> = times
            .iter()
            .zip(&keys)
            .map(|(later_ms, key)| Record {
                key: Some(key),
                value: Some(&[b'v'; 30]),
                timestamp_ms: FIRST_MS + later_ms,
            })
            .collect();
        let batch = Batch::PLAIN.of(&records);
        assert_eq!(produce_to(&mut client, "kept-times", &batch)?, (0, offset));
        kept.push((
            records[times.len() / 2].timestamp_ms,
            offset + times.len() as i64 / 2,
        ));
        offset += times.len() as i64;
    }
    // What is in the active segment is not compacted: push all of it out.
    for number in 100..110_u8 {
        let key = [number];
        let record = Record {
            key: Some(&key),
            value: Some(&[b'v'; 200]),
            timestamp_ms: FIRST_MS + 1_000 + i64::from(number),
        };
        let produced = produce_to(&mut client, "kept-times", &Batch::PLAIN.of(&[record]))?;
        assert_eq!(produced, (0, offset));
        kept.push((record.timestamp_ms, offset));
        offset += 1;
    }
    let since = |timestamp_ms: i64| {
        let mut all = kept.iter().copied();
        all.find(|(at_ms, _)| *at_ms >= timestamp_ms)
            .unwrap_or(UNKNOWN)
    };
    let is_compacted = |client: &mut Connection| {
        let times = FIRST_MS - 1..FIRST_MS + 75;
        let wrong = times.filter(|at| ask(client, "kept-times", false, *at) != since(*at));
        wrong.count() == 0
    };
    reach("every time is that of a record that was kept", SOON, || {
        is_compacted(&mut client).then_some(())
    });
    node.kill();
    node.start_again();
    let mut client = node.connect();
    reach("the partition can be read", SOON, || {
        try_end_offset(&mut client, "kept-times", 0).ok()
    });
    assert!(
        is_compacted(&mut client),
        "nothing else is found after a kill"
    );
    Ok(())
}
