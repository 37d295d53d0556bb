//! Messages of formats 0 and 1 in a compaction, as a Kafka of before 0.11 left them. They keep their
//! format, offsets and codec: a message stays or goes, and of a wrapper what stays is wrapped anew.
//!
//! Pure. The formats have no place for the time at which a tombstone may go. As Kafka does, a segment
//! keeps its tombstones while it was changed less than `delete.retention.ms` before the last one that
//! an earlier compaction has seen.

use super::key_map::{Full, KeyMap};
use super::retain::{Kept, Rules};
use crate::record_check::DECOMPRESSED_BYTES_MAX;
use protocol::batch::{Compression, TimestampType};
use protocol::ids::{Offset, TimestampMs};
use protocol::legacy_record_set::{
    Entries, Entry, LegacyBuilder, LegacyError, LegacyMagic, LegacyRecord, read,
};
use std::io;

/// What becomes of the tombstones of a segment that are the newest of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OldTombstones {
    Stay,
    Go,
}

/// Puts the keys of a message, or of those in a wrapper, into the map; whether there was room.
pub(crate) fn learn(message: &[u8], first_dirty: Offset, keys: &mut KeyMap) -> io::Result<bool> {
    let mut is_full = false;
    let mut each = |record: LegacyRecord<'_>| {
        let key = record.key.filter(|_| record.offset >= first_dirty);
        if let Some(key) = key.filter(|_| !is_full) {
            is_full = matches!(keys.put(key, record.offset), Err(Full));
        }
    };
    read(message, DECOMPRESSED_BYTES_MAX, &mut each).map_err(damaged)?;
    Ok(!is_full)
}

impl Rules {
    /// Decides on a message.
    pub(crate) fn retain_old(&self, message: &[u8], tombstones: OldTombstones) -> io::Result<Kept> {
        let (mut stay, mut go) = (0, 0);
        let mut count = |record: LegacyRecord<'_>| match self.old_stays(&record, tombstones) {
            true => stay += 1,
            false => go += 1,
        };
        read(message, DECOMPRESSED_BYTES_MAX, &mut count).map_err(damaged)?;
        match (stay, go) {
            (0, _) => Ok(Kept::Nothing),
            (_, 0) => Ok(Kept::Whole),
            _ => self.wrapped_anew(message, tombstones),
        }
    }

    fn old_stays(&self, record: &LegacyRecord<'_>, tombstones: OldTombstones) -> bool {
        self.is_beyond_map(record.offset)
            || record.key.is_some_and(|key| {
                let has_value = record.value.is_some() || tombstones == OldTombstones::Stay;
                has_value && self.is_newest(key, record.offset)
            })
    }

    fn wrapped_anew(&self, message: &[u8], tombstones: OldTombstones) -> io::Result<Kept> {
        let wrapper = Entries::new(message).next().expect("it was read before");
        let mut builder = builder(&wrapper.map_err(damaged)?)?;
        let mut each = |record: LegacyRecord<'_>| {
            if self.old_stays(&record, tombstones) {
                let timestamp = record.timestamp.unwrap_or(TimestampMs::NONE);
                builder.append(record.offset, timestamp, record.key, record.value);
            }
        };
        read(message, DECOMPRESSED_BYTES_MAX, &mut each).map_err(damaged)?;
        Ok(Kept::Rewritten(builder.finish()))
    }
}

/// For messages as those of a wrapper.
fn builder(wrapper: &Entry<'_>) -> io::Result<LegacyBuilder> {
    let by_log = wrapper.timestamp_type() == TimestampType::LogAppendTime;
    let (magic, compression): (_, Compression) = match wrapper.magic {
        0 => (LegacyMagic::V0, wrapper.compression().map_err(damaged)?),
        _ => (LegacyMagic::V1, wrapper.compression().map_err(damaged)?),
    };
    let append_time = wrapper.timestamp.filter(|_| by_log);
    Ok(LegacyBuilder::new(magic, compression, append_time))
}

fn damaged(error: LegacyError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
