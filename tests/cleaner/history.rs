//! Random histories of one partition, written as segment files by the engine's own append.
//!
//! A history is that of a follower, because a leader's log may hold anything: offsets with gaps,
//! batches of every codec and of either kind of timestamp, producers of every kind, and
//! transactions that were committed, aborted, empty, or still open at the end. Everything follows
//! from the seed. What was written stays in memory for the model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::TopicPartition;
use engine::append::{Append, Origin};
use engine::config::{Cleanup, LogConfig};
use engine::directory::LogDirectory;
use engine::log::Log;
use protocol::batch::control::{ControlType, EndMarker, TransactionResult};
use protocol::batch::{BatchBuilder, BatchOptions, Compression, NewRecord};
use protocol::ids::{
    BrokerEpoch, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TimestampMs, Uuid,
};

use crate::chance::Chance;
use crate::old_messages;

/// When the first record was written.
pub const BEGIN_MS: i64 = 1_700_000_000_000;

const KEYS: usize = 1_000;
const PRODUCERS: usize = 10;
/// A transaction is ended after so many batches at the latest: an open one holds up the cleaner.
const TRANSACTION_BATCHES_MAX: usize = 150;

/// How much of a history there is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// At least so many records that are not control records.
    pub records: usize,
    /// Size at which segments are rolled.
    pub segment_bytes: u32,
}

/// What was written, and where.
#[derive(Debug)]
pub struct History {
    /// The partition's directory.
    pub directory: PathBuf,
    /// All records that have been written, without control records, in order of offsets.
    pub records: Vec<Written>,
    /// The highest timestamp.
    pub end_ms: i64,
    /// The offset after the last.
    pub log_end: i64,
}

/// One record of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; none for a tombstone.
    pub value: Option<Vec<u8>>,
    /// It was part of a transaction.
    pub transactional: bool,
    /// It was part of a transaction that was aborted.
    pub aborted: bool,
    /// It is a message of format 0 or 1.
    pub old: bool,
}

/// What a log begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// With batches.
    New,
    /// With so many messages of formats 0 and 1, as a broker of before 0.11 left them.
    Old(usize),
}

impl History {
    /// Writes the history of a seed into a new directory below `parent`.
    pub fn write(seed: u64, size: Size, begins: Begins, parent: &Path) -> History {
        let mut writer = Writer::open(seed, size, begins, parent);
        while writer.records.len() < size.records {
            writer.step();
        }
        writer.finish()
    }
}

/// The configuration that the partition has on our side, as far as files depend on it.
pub fn config(segment_bytes: u32) -> LogConfig {
    LogConfig {
        segment_bytes_max: segment_bytes,
        segment_age_ms_max: i64::MAX,
        cleanup: Cleanup {
            delete: false,
            compact: true,
        },
        ..LogConfig::default()
    }
}

/// The one partition of every history.
pub fn topic_partition() -> TopicPartition {
    TopicPartition::new("t", PartitionIndex(0))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Idempotent,
    Transactional,
}

#[derive(Clone, Debug)]
struct Producer {
    kind: Kind,
    id: i64,
    epoch: i16,
    sequence: i32,
    open: Option<Transaction>,
}

/// A transaction under way: which records are in it, and for how many batches it goes on.
#[derive(Clone, Debug)]
struct Transaction {
    records: Vec<usize>,
    batches_left: usize,
}

struct Writer {
    chance: Chance,
    log: Log,
    parent: LogDirectory,
    producers: Vec<Producer>,
    next_producer_id: i64,
    leader_epoch: i32,
    next_offset: i64,
    now_ms: i64,
    end_ms: i64,
    records: Vec<Written>,
}

impl Writer {
    fn open(seed: u64, size: Size, begins: Begins, parent: &Path) -> Writer {
        let mut directory = LogDirectory::open(parent).expect("the directory is ours");
        let config = Arc::new(config(size.segment_bytes));
        let (id, now) = (Uuid::default(), TimestampMs(BEGIN_MS));
        let mut log = directory
            .create_log(&topic_partition(), id, config.clone(), now)
            .expect("the directory is empty");
        let mut chance = Chance::new(seed);
        let mut records = Vec::new();
        if let Begins::Old(count) = begins {
            let place = log.directory().to_path_buf();
            log.close().expect("the disk works");
            records = old_messages::write(&mut chance, count, size.segment_bytes, &place);
            directory
                .mark_clean(BrokerEpoch(1))
                .expect("the disk works");
            drop(directory);
            directory = LogDirectory::open(parent).expect("the directory is ours");
            let opened = directory.open_log(&topic_partition(), config, now);
            log = opened.expect("the log is sound").expect("the log is there");
        }
        let mut writer = Writer {
            chance,
            next_offset: log.log_end_offset().0,
            log,
            parent: directory,
            producers: Vec::new(),
            next_producer_id: 1_000,
            leader_epoch: 0,
            now_ms: BEGIN_MS,
            end_ms: BEGIN_MS,
            records,
        };
        for _ in 0..PRODUCERS {
            let producer = writer.new_producer();
            writer.producers.push(producer);
        }
        writer
    }

    fn new_producer(&mut self) -> Producer {
        self.next_producer_id += 1;
        let kind = match self.chance.below(10) {
            0..3 => Kind::Plain,
            3..6 => Kind::Idempotent,
            _ => Kind::Transactional,
        };
        Producer {
            kind,
            id: self.next_producer_id,
            epoch: 0,
            sequence: 0,
            open: None,
        }
    }

    /// One batch of some producer, or the end of its transaction.
    fn step(&mut self) {
        self.now_ms += i64::try_from(self.chance.below(200)).expect("small");
        if self.chance.permille(2) {
            self.leader_epoch += 1;
        }
        if self.chance.permille(30) {
            self.next_offset += i64::try_from(1 + self.chance.below(20)).expect("small");
        }
        let at = self.chance.below(PRODUCERS);
        let ends = match &self.producers[at].open {
            Some(transaction) => transaction.batches_left == 0,
            // A transaction without a record on this partition.
            None => self.producers[at].kind == Kind::Transactional && self.chance.permille(20),
        };
        if ends {
            self.end_transaction(at);
        } else {
            self.write_batch(at);
        }
        if self.producers[at].open.is_none() && self.chance.permille(15) {
            // The old one is never heard of again: what it wrote last outlives its records.
            self.producers[at] = self.new_producer();
        }
    }

    fn write_batch(&mut self, at: usize) {
        let mut producer = self.producers[at].clone();
        let options = self.options(&producer);
        let mut builder = BatchBuilder::new(options);
        let first = self.records.len();
        let count = match self.chance.below(3) {
            0 => 1,
            1 => 1 + self.chance.below(10),
            _ => 1 + self.chance.below(50),
        };
        let has_gaps = self.chance.permille(50);
        let mut offset = options.base_offset.0;
        for _ in 0..count {
            if has_gaps {
                offset += i64::try_from(self.chance.below(3)).expect("small");
            }
            let record = self.append_record(&mut builder, offset);
            self.records.push(Written {
                transactional: options.transactional,
                ..record
            });
            offset += 1;
        }
        if has_gaps && self.chance.permille(500) {
            builder.extend_to(Offset(offset));
            offset += 1;
        }
        self.append(builder.finish(), offset);
        if producer.kind != Kind::Plain {
            let span = offset - options.base_offset.0;
            producer.sequence += i32::try_from(span).expect("a batch is small");
        }
        if producer.kind == Kind::Transactional {
            let batches_left = self.chance.below(TRANSACTION_BATCHES_MAX / PRODUCERS);
            let transaction = producer.open.get_or_insert(Transaction {
                records: Vec::new(),
                batches_left: batches_left + 1,
            });
            transaction.records.extend(first..self.records.len());
            transaction.batches_left -= 1;
        }
        self.producers[at] = producer;
    }

    fn options(&mut self, producer: &Producer) -> BatchOptions {
        let is_plain = producer.kind == Kind::Plain;
        let stamped = self.chance.permille(100);
        let compression = match self.chance.below(10) {
            0..6 => Compression::None,
            other => Compression::ALL[other - 5],
        };
        BatchOptions {
            base_offset: Offset(self.next_offset),
            leader_epoch: LeaderEpoch(self.leader_epoch),
            compression,
            log_append_time: stamped.then_some(TimestampMs(self.now_ms)),
            producer_id: ProducerId(if is_plain { -1 } else { producer.id }),
            producer_epoch: ProducerEpoch(if is_plain { -1 } else { producer.epoch }),
            base_sequence: if is_plain { -1 } else { producer.sequence },
            transactional: producer.kind == Kind::Transactional,
            ..BatchOptions::default()
        }
    }

    fn append_record(&mut self, builder: &mut BatchBuilder, offset: i64) -> Written {
        let chance = &mut self.chance;
        let timestamp = self.now_ms - i64::try_from(chance.below(1_000)).expect("small");
        let (key, value) = key_and_value(chance);
        let name = chance.next().to_le_bytes();
        let headers = [("name", Some(&name[..])), ("nothing", None)];
        builder.append_at(
            Offset(offset),
            &NewRecord {
                timestamp: TimestampMs(timestamp),
                key: key.as_deref(),
                value: value.as_deref(),
                headers: &headers[..chance.below(3)],
            },
        );
        Written {
            offset,
            key,
            value,
            transactional: false,
            aborted: false,
            old: false,
        }
    }

    fn end_transaction(&mut self, at: usize) {
        let transaction = self.producers[at].open.take();
        let is_aborted = self.chance.permille(400);
        for record in transaction.iter().flat_map(|open| &open.records) {
            self.records[*record].aborted = is_aborted;
        }
        let (result, control) = if is_aborted {
            (TransactionResult::Abort, ControlType::Abort)
        } else {
            (TransactionResult::Commit, ControlType::Commit)
        };
        let producer = &self.producers[at];
        let mut builder = BatchBuilder::new(BatchOptions {
            base_offset: Offset(self.next_offset),
            leader_epoch: LeaderEpoch(self.leader_epoch),
            producer_id: ProducerId(producer.id),
            producer_epoch: ProducerEpoch(producer.epoch),
            transactional: true,
            control: true,
            ..BatchOptions::default()
        });
        let marker = EndMarker {
            result,
            coordinator_epoch: 3,
        };
        builder.append(&NewRecord {
            timestamp: TimestampMs(self.now_ms),
            key: Some(&control.key()),
            value: Some(&marker.value()),
            headers: &[],
        });
        self.append(builder.finish(), self.next_offset + 1);
        if self.chance.permille(100) {
            let producer = &mut self.producers[at];
            producer.epoch += 1;
            producer.sequence = 0;
        }
    }

    fn append(&mut self, batch: Vec<u8>, next_offset: i64) {
        let append = Append {
            token: 0,
            batches: batch.into(),
            leader_epoch: LeaderEpoch(self.leader_epoch),
            origin: Origin::Leader,
        };
        self.log
            .append_now(append, TimestampMs(self.now_ms))
            .expect("the batch is sound");
        self.next_offset = next_offset;
        self.end_ms = self.end_ms.max(self.now_ms);
    }

    fn finish(self) -> History {
        let directory = self.log.directory().to_path_buf();
        assert!(self.log.segment_count() > 3, "several segments");
        self.log.close().expect("the disk works");
        let epoch = BrokerEpoch(1);
        self.parent.mark_clean(epoch).expect("the disk works");
        History {
            directory,
            records: self.records,
            end_ms: self.end_ms,
            log_end: self.next_offset,
        }
    }
}

/// Of a record, whatever its format.
pub fn key_and_value(chance: &mut Chance) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    // The lower of two: some keys are written often, some hardly ever. One key is empty.
    let number = chance.below(KEYS).min(chance.below(KEYS));
    let key = match number {
        0 => String::new(),
        _ => format!("key {number}"),
    };
    // Kafka's cleaner drops records without a key; they come from before a topic was compacted.
    let key = (!chance.permille(2)).then(|| key.into_bytes());
    let value = (!chance.permille(100)).then(|| {
        let len = chance.below(160);
        let same = chance.next().to_le_bytes()[0];
        let mut value: Vec<u8> = (0..len)
            .map(|at| same.wrapping_add((at / 7) as u8))
            .collect();
        value.extend(chance.next().to_le_bytes());
        value
    });
    (key, value)
}
