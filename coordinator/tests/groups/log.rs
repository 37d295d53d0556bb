//! The internal topic's partition as the simulation keeps it, and what it says of offsets by an
//! understanding of its own.

use std::collections::{BTreeMap, BTreeSet};

use coordinator::group::Groups;
use coordinator::machine::{Append, BatchOrigin, Machine, Producer, Record};
use protocol::batch::control::TransactionResult;
use protocol::ids::{Offset, TimestampMs};
use protocol::records::group::{GroupMetadataKey, OffsetCommitKey, OffsetCommitValue};
use protocol::wire::Decoder;

/// A group's partition.
pub type Place = (String, String, i32);

/// What is committed: the offset, and what the member wanted to remember.
pub type Value = (i64, String);

enum Batch {
    Records(Offset, Append),
    Marker(Offset, Producer, TransactionResult),
}

/// See the module.
#[derive(Default)]
pub struct Log {
    batches: Vec<Batch>,
    end: i64,
}

/// What a record speaks of.
pub enum Spoken {
    /// An offset, or that there is none.
    Of(Place, Option<Value>),
    /// A group, or that there is none.
    Group(String, bool),
}

/// Reads a record as a consumer of the topic would.
pub fn understand(record: &Record) -> Spoken {
    let mut key = Decoder::new(&record.key);
    match key.i16() {
        1 => {
            let key = OffsetCommitKey::decode(&mut key, 1).expect("a sound key");
            let place = (key.group.into(), key.topic.into(), key.partition);
            let value = record.value.as_ref().map(|bytes| {
                let mut value = Decoder::new(bytes);
                let version = value.i16();
                assert!(version == 3 || version == 1, "as Kafka 3.9 writes");
                let value = OffsetCommitValue::decode(&mut value, version).expect("a sound value");
                (value.offset, value.metadata.into())
            });
            Spoken::Of(place, value)
        }
        2 => {
            let key = GroupMetadataKey::decode(&mut key, 2).expect("a sound key");
            Spoken::Group(key.group.into(), record.value.is_some())
        }
        other => panic!("a key of version {other}"),
    }
}

impl Log {
    /// Appends a batch; answers the offset of its first record.
    pub fn append(&mut self, append: Append) -> Offset {
        let at = Offset(self.end);
        assert!(!append.records.is_empty(), "a batch has records");
        self.end += append.records.len() as i64;
        self.batches.push(Batch::Records(at, append));
        at
    }

    /// Appends the marker that ends a transaction.
    pub fn mark(&mut self, producer: Producer, result: TransactionResult) -> Offset {
        let at = Offset(self.end);
        self.end += 1;
        self.batches.push(Batch::Marker(at, producer, result));
        at
    }

    /// Reads everything into a machine.
    pub fn replay(&self, machine: &mut Groups) {
        for batch in &self.batches {
            match batch {
                Batch::Records(at, append) => {
                    let origin = BatchOrigin {
                        producer: append.producer,
                        timestamp: TimestampMs(0),
                    };
                    for (n, record) in append.records.iter().enumerate() {
                        let offset = *at + n as i64;
                        machine
                            .replay(&origin, offset, &record.key, record.value.as_deref())
                            .expect("what was written is understood");
                    }
                }
                Batch::Marker(at, producer, result) => {
                    machine.replay_marker(*producer, *result, *at);
                }
            }
        }
    }

    /// What is committed.
    pub fn committed(&self) -> BTreeMap<Place, Value> {
        let mut committed: BTreeMap<Place, (i64, Value)> = BTreeMap::new();
        let mut open: BTreeMap<(Producer, Place), (i64, Value)> = BTreeMap::new();
        for batch in &self.batches {
            match batch {
                Batch::Records(at, append) => {
                    for record in &append.records {
                        let Spoken::Of(place, value) = understand(record) else {
                            continue;
                        };
                        match (append.producer, value) {
                            (None, Some(value)) => drop(committed.insert(place, (at.0, value))),
                            (Some(by), Some(value)) => {
                                open.insert((by, place), (at.0, value));
                            }
                            (None, None) => {
                                committed.remove(&place);
                                open.retain(|(_, there), _| *there != place);
                            }
                            (Some(_), None) => panic!("no tombstone is within a transaction"),
                        }
                    }
                }
                Batch::Marker(_, producer, result) => {
                    let all = std::mem::take(&mut open);
                    for ((by, place), (at, value)) in all {
                        if by != *producer {
                            open.insert((by, place), (at, value));
                        } else if *result == TransactionResult::Commit
                            && committed.get(&place).is_none_or(|(known, _)| *known < at)
                        {
                            committed.insert(place, (at, value));
                        }
                    }
                }
            }
        }
        let values = committed.into_iter();
        values.map(|(place, (_, value))| (place, value)).collect()
    }

    /// Where transactions that are open have values.
    pub fn open(&self) -> BTreeSet<Place> {
        let mut open: BTreeSet<(Producer, Place)> = BTreeSet::new();
        for batch in &self.batches {
            match batch {
                Batch::Records(_, append) => {
                    for record in &append.records {
                        match (append.producer, understand(record)) {
                            (Some(by), Spoken::Of(place, _)) => drop(open.insert((by, place))),
                            (None, Spoken::Of(place, None)) => {
                                open.retain(|(_, there)| *there != place);
                            }
                            _ => {}
                        }
                    }
                }
                Batch::Marker(_, producer, _) => open.retain(|(by, _)| by != producer),
            }
        }
        open.into_iter().map(|(_, place)| place).collect()
    }

    /// Whether the log has this value.
    pub fn holds(&self, place: &Place, value: &Value) -> bool {
        self.batches.iter().rev().any(|batch| {
            match batch {
            Batch::Records(_, append) => append.records.iter().any(|record| {
                matches!(understand(record), Spoken::Of(p, Some(v)) if p == *place && v == *value)
            }),
            Batch::Marker(..) => false,
        }
        })
    }
}
