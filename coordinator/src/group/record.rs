//! The records of `__consumer_offsets`, in the versions that Kafka 3.9 writes.
//!
//! A key begins with its version, which says what it is: 0 and 1 an offset, 2 a group; later ones
//! belong to protocols that are not served here. A value begins with the version of its layout.

use std::borrow::Cow;

use protocol::ids::{LeaderEpoch, Offset, TimestampMs};
use protocol::records::group::{
    GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue,
};
use protocol::wire::{DecodeError, Decoder, EncodeError, Encoder};

use super::offsets::CommittedOffset;
use crate::machine::{Record, ReplayError};

const OFFSET_KEY_VERSION: i16 = OffsetCommitKey::VERSION_MAX;
const GROUP_KEY_VERSION: i16 = GroupMetadataKey::VERSION_MAX;
/// Values that carry an expiry time of their own.
const OFFSET_VALUE_VERSION_WITH_EXPIRY: i16 = 1;
/// The last versions without tagged fields: Kafka writes these so that older brokers can read them.
const OFFSET_VALUE_VERSION: i16 = 3;
const GROUP_VALUE_VERSION: i16 = 3;

/// What a record speaks of.
#[derive(Clone, PartialEq, Debug)]
pub enum Key<'a> {
    /// A partition's offset in a group.
    Offset(OffsetCommitKey<'a>),
    /// A group.
    Group(GroupMetadataKey<'a>),
}

impl<'a> Key<'a> {
    /// Reads a key.
    pub fn decode(bytes: &'a [u8]) -> Result<Key<'a>, ReplayError> {
        let mut decoder = Decoder::new(bytes);
        let version = version_of(&mut decoder)?;
        match version {
            OffsetCommitKey::VERSION_MIN..=OffsetCommitKey::VERSION_MAX => {
                Ok(Key::Offset(OffsetCommitKey::decode(&mut decoder, version)?))
            }
            GROUP_KEY_VERSION => Ok(Key::Group(GroupMetadataKey::decode(&mut decoder, version)?)),
            _ => Err(ReplayError::UnknownVersion(version)),
        }
    }
}

/// The key of a partition's offset.
pub fn offset_key(group: &str, topic: &str, partition: i32) -> Vec<u8> {
    let key = OffsetCommitKey {
        group: Cow::Borrowed(group),
        topic: Cow::Borrowed(topic),
        partition,
    };
    encoded(OFFSET_KEY_VERSION, |encoder| {
        key.encode(encoder, OFFSET_KEY_VERSION)
    })
}

/// The record of a committed offset.
pub fn offset(group: &str, topic: &str, partition: i32, committed: &CommittedOffset) -> Record {
    let (version, leader_epoch, expire_timestamp) = match committed.expire_timestamp {
        None => (OFFSET_VALUE_VERSION, committed.leader_epoch, -1),
        Some(at) => (OFFSET_VALUE_VERSION_WITH_EXPIRY, LeaderEpoch::NONE, at.0),
    };
    let value = OffsetCommitValue {
        offset: committed.offset.0,
        leader_epoch: leader_epoch.0,
        metadata: Cow::Borrowed(&committed.metadata),
        commit_timestamp: committed.commit_timestamp.0,
        expire_timestamp,
    };
    Record {
        key: offset_key(group, topic, partition),
        value: Some(encoded(version, |encoder| value.encode(encoder, version))),
    }
}

/// What a batch takes beside its records.
pub const BATCH_OVERHEAD_BYTES: usize = 61;

/// What the record of a committed offset takes in a batch that is not compressed, as the record
/// with this number in it: its group, topic and metadata, and whether it expires by itself.
pub fn offset_record_bytes(delta: usize, texts: [&str; 3], expires: bool) -> usize {
    let [group, topic, metadata] = texts.map(|text| 2 + text.len());
    let key = 2 + group + topic + 4;
    let value = match expires {
        true => 2 + 8 + metadata + 8 + 8,
        false => 2 + 8 + 4 + metadata + 8,
    };
    // Attributes, a time as the batch's, and no headers take a byte each.
    let body = 3 + varint_bytes(delta) + varint_bytes(key) + key + varint_bytes(value) + value;
    varint_bytes(body) + body
}

/// Of a number that may be negative and is not.
fn varint_bytes(number: usize) -> usize {
    let bits = usize::BITS - ((2 * number) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// The key of a group.
pub fn group_key(group: &str) -> Vec<u8> {
    let key = GroupMetadataKey {
        group: Cow::Borrowed(group),
    };
    encoded(GROUP_KEY_VERSION, |encoder| {
        key.encode(encoder, GROUP_KEY_VERSION)
    })
}

/// The record of a group's generation.
pub fn group(group: &str, value: &GroupMetadataValue<'_>) -> Record {
    let version = GROUP_VALUE_VERSION;
    Record {
        key: group_key(group),
        value: Some(encoded(version, |encoder| value.encode(encoder, version))),
    }
}

/// The record that takes back what was said under `key`.
pub fn tombstone(key: Vec<u8>) -> Record {
    Record { key, value: None }
}

/// Reads a group's generation, and the version it was written in.
pub fn decode_group(bytes: &[u8]) -> Result<(GroupMetadataValue<'_>, i16), ReplayError> {
    let mut decoder = Decoder::new(bytes);
    let version = version_of(&mut decoder)?;
    let value = GroupMetadataValue::decode(&mut decoder, version).map_err(known_version)?;
    Ok((value, version))
}

/// Reads a committed offset.
pub fn decode_offset(bytes: &[u8]) -> Result<CommittedOffset, ReplayError> {
    let mut decoder = Decoder::new(bytes);
    let version = version_of(&mut decoder)?;
    let value = OffsetCommitValue::decode(&mut decoder, version).map_err(known_version)?;
    Ok(CommittedOffset {
        offset: Offset(value.offset),
        leader_epoch: LeaderEpoch(value.leader_epoch),
        metadata: value.metadata.into(),
        commit_timestamp: TimestampMs(value.commit_timestamp),
        expire_timestamp: (value.expire_timestamp != -1)
            .then_some(TimestampMs(value.expire_timestamp)),
    })
}

fn version_of(decoder: &mut Decoder<'_>) -> Result<i16, DecodeError> {
    let version = decoder.i16();
    decoder.finish(version)
}

fn known_version(error: DecodeError) -> ReplayError {
    match error {
        DecodeError::UnsupportedVersion(version) => ReplayError::UnknownVersion(version),
        error => ReplayError::Malformed(error),
    }
}

fn encoded(version: i16, encode: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.i16(version);
    encode(&mut encoder).expect("what a request brought in fits a record");
    encoder.finish().bytes
}

#[cfg(test)]
mod tests {
    use protocol::batch::{BatchBuilder, BatchOptions, NewRecord};

    use super::*;

    #[test]
    fn records_take_what_is_said() {
        for (metadata, expire_timestamp) in [
            ("", None),
            ("m", Some(TimestampMs(9))),
            (&"m".repeat(100), None),
        ] {
            let committed = CommittedOffset {
                offset: Offset(7),
                leader_epoch: LeaderEpoch(3),
                metadata: metadata.into(),
                commit_timestamp: TimestampMs(1_700_000_000_000),
                expire_timestamp,
            };
            let (group, topic) = ("readers", "a-topic-with-a-name");
            let mut batch = BatchBuilder::new(BatchOptions::default());
            let mut expected = BATCH_OVERHEAD_BYTES;
            for delta in 0..9000 {
                let record = offset(group, topic, 1, &committed);
                batch.append(&NewRecord {
                    timestamp: TimestampMs(5),
                    key: Some(&record.key),
                    value: record.value.as_deref(),
                    ..Default::default()
                });
                let expires = expire_timestamp.is_some();
                expected += offset_record_bytes(delta, [group, topic, metadata], expires);
            }
            assert_eq!(batch.finish().len(), expected);
        }
    }
}
