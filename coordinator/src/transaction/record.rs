//! The records of `__transaction_state`: Kafka's format, and what a transactional id is after one.
//!
//! The key is the transactional id, the value all that is known of it. Kafka 3.9 writes values of
//! version 0 and reads version 1, which has tagged fields, too.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::ids::{PartitionIndex, ProducerEpoch, ProducerId, TimestampMs};
use protocol::records::transaction::{PartitionsSchema, TransactionLogKey, TransactionLogValue};
use protocol::wire::{DecodeError, Decoder, Encoder};

use super::TopicPartition;
use super::metadata::{Standing, Transaction};
use super::state::State;
use crate::machine::{Producer, Record, ReplayError};

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 0;

/// The record that makes `standing` hold for an id.
pub(super) fn of(id: &str, standing: &Standing) -> Record {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in &standing.partitions {
        let of_topic = topics.entry(&partition.topic).or_default();
        of_topic.push(partition.partition.0);
    }
    let topics = topics
        .into_iter()
        .map(|(topic, partition_ids)| PartitionsSchema {
            topic: Cow::Borrowed(topic),
            partition_ids,
        });
    let value = TransactionLogValue {
        producer_id: standing.producer.id.0,
        producer_epoch: standing.producer.epoch.0,
        transaction_timeout_ms: standing.timeout_ms,
        transaction_status: standing.state.id(),
        transaction_partitions: (standing.state != State::Empty).then(|| topics.collect()),
        transaction_last_update_timestamp_ms: standing.updated.0,
        transaction_start_timestamp_ms: match standing.state {
            State::Empty => TimestampMs::NONE.0,
            _ => standing.started.0,
        },
    };
    let mut encoder = Encoder::new();
    encoder.i16(VALUE_VERSION);
    value
        .encode(&mut encoder, VALUE_VERSION)
        .expect("ids and topic names came by the wire, so they fit it");
    Record {
        key: key(id),
        value: Some(encoder.finish().bytes),
    }
}

/// The record that makes an id forgotten.
pub(super) fn tombstone(id: &str) -> Record {
    Record {
        key: key(id),
        value: None,
    }
}

fn key(id: &str) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.i16(KEY_VERSION);
    let key = TransactionLogKey {
        transactional_id: Cow::Borrowed(id),
    };
    key.encode(&mut encoder, KEY_VERSION)
        .expect("the id came by the wire, so it fits it");
    encoder.finish().bytes
}

/// Which transactional id a record is about, and what it says; None if it is to be forgotten.
pub(super) fn decode(
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<(Arc<str>, Option<Transaction>), ReplayError> {
    let (version, key) = versioned(key)?;
    if version != KEY_VERSION {
        return Err(ReplayError::UnknownVersion(version));
    }
    let key = TransactionLogKey::decode(&mut Decoder::new(key), version)?;
    let transaction = match value {
        None => None,
        Some(value) => Some(decode_value(value)?),
    };
    Ok((key.transactional_id.as_ref().into(), transaction))
}

fn decode_value(value: &[u8]) -> Result<Transaction, ReplayError> {
    let (version, value) = versioned(value)?;
    if !(TransactionLogValue::VERSION_MIN..=TransactionLogValue::VERSION_MAX).contains(&version) {
        return Err(ReplayError::UnknownVersion(version));
    }
    let value = TransactionLogValue::decode(&mut Decoder::from_peer(value), version)?;
    let state = State::of_id(value.transaction_status)
        .filter(|state| !matches!(state, State::Dead | State::PrepareEpochFence))
        .ok_or(ReplayError::Impossible("no state that is ever written"))?;
    let mut partitions = BTreeSet::new();
    for topic in value.transaction_partitions.into_iter().flatten() {
        let name: Arc<str> = topic.topic.as_ref().into();
        let of_topic = topic.partition_ids.into_iter().map(|id| TopicPartition {
            topic: name.clone(),
            partition: PartitionIndex(id),
        });
        partitions.extend(of_topic);
    }
    if state == State::Empty {
        partitions.clear();
    }
    let producer = Producer {
        id: ProducerId(value.producer_id),
        epoch: ProducerEpoch(value.producer_epoch),
    };
    Ok(Transaction::new(Standing {
        producer,
        last_producer_id: ProducerId::NONE,
        last_epoch: ProducerEpoch::NONE,
        timeout_ms: value.transaction_timeout_ms,
        state,
        partitions,
        started: TimestampMs(value.transaction_start_timestamp_ms),
        updated: TimestampMs(value.transaction_last_update_timestamp_ms),
    }))
}

fn versioned(bytes: &[u8]) -> Result<(i16, &[u8]), DecodeError> {
    let mut decoder = Decoder::new(bytes);
    let version = decoder.i16();
    decoder.status()?;
    Ok((version, &bytes[size_of::<i16>()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(state: State) -> Standing {
        let partition = |topic: &str, partition| TopicPartition {
            topic: topic.into(),
            partition: PartitionIndex(partition),
        };
        Standing {
            producer: Producer {
                id: ProducerId(7),
                epoch: ProducerEpoch(3),
            },
            last_producer_id: ProducerId::NONE,
            last_epoch: ProducerEpoch::NONE,
            timeout_ms: 60_000,
            state,
            partitions: [partition("b", 2), partition("a", 1), partition("b", 0)].into(),
            started: TimestampMs(40),
            updated: TimestampMs(50),
        }
    }

    #[test]
    fn a_record_has_the_bytes_that_kafka_writes() {
        let record = of("x", &standing(State::Ongoing));
        assert_eq!(record.key, [0, 0, 0, 1, b'x']);
        let mut expected = vec![0, 0];
        expected.extend(7i64.to_be_bytes());
        expected.extend(3i16.to_be_bytes());
        expected.extend(60_000i32.to_be_bytes());
        expected.push(1);
        expected.extend(2i32.to_be_bytes());
        expected.extend([0, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 1]);
        expected.extend([0, 1, b'b', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2]);
        expected.extend(50i64.to_be_bytes());
        expected.extend(40i64.to_be_bytes());
        assert_eq!(record.value, Some(expected));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for state in State::ALL.into_iter().take(6) {
            let mut standing = standing(state);
            if state == State::Empty {
                standing.partitions.clear();
            }
            let record = of("an id", &standing);
            if state == State::Empty {
                standing.started = TimestampMs::NONE;
            }
            let (id, read) = decode(&record.key, record.value.as_deref()).unwrap();
            assert_eq!(&*id, "an id");
            assert_eq!(read.unwrap().standing, standing);
        }
        let record = tombstone("an id");
        let (id, read) = decode(&record.key, None).unwrap();
        assert_eq!((&*id, read.is_none()), ("an id", true));
    }

    #[test]
    fn what_is_damaged_or_of_another_time_is_refused() {
        let record = of("x", &standing(State::Ongoing));
        let value = record.value.unwrap();
        for end in 0..value.len() {
            assert!(decode(&record.key, Some(&value[..end])).is_err(), "{end}");
        }
        assert!(matches!(
            decode(&[0, 9, 0, 1, b'x'], None),
            Err(ReplayError::UnknownVersion(9))
        ));
        for state in [6, 7, 8, 0xff] {
            let mut value = value.clone();
            value[16] = state;
            assert!(matches!(
                decode(&record.key, Some(&value)),
                Err(ReplayError::Impossible(_))
            ));
        }
    }
}
