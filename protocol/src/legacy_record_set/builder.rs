//! Writes record sets of the old formats: for clients that still ask for them, and for tests.

use super::ENTRY_OVERHEAD;
use crate::batch::{Attributes, Compression, TimestampType};
use crate::checksum;
use crate::compression;
use crate::ids::{Offset, TimestampMs};

/// Which of the old formats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LegacyMagic {
    /// Before Kafka 0.10: no timestamps.
    V0,
    /// Kafka 0.10: timestamps, relative offsets in wrappers.
    V1,
}

/// Collects records into one set. With compression, they all go into one wrapper.
#[derive(Debug)]
pub struct LegacyBuilder {
    magic: LegacyMagic,
    compression: Compression,
    log_append_time: Option<TimestampMs>,
    set: Vec<u8>,
    first_offset: Option<Offset>,
    last_offset: Offset,
    max_timestamp: TimestampMs,
}

impl LegacyBuilder {
    /// A set without records. With `log_append_time`, all records have the broker's time.
    ///
    /// # Panics
    /// With Zstandard, which came after these formats.
    #[must_use]
    pub fn new(
        magic: LegacyMagic,
        compression: Compression,
        log_append_time: Option<TimestampMs>,
    ) -> Self {
        assert_ne!(
            compression,
            Compression::Zstd,
            "magic 0 and 1 have no Zstandard"
        );
        Self {
            magic,
            compression,
            log_append_time,
            set: Vec::new(),
            first_offset: None,
            last_offset: Offset::ZERO,
            max_timestamp: TimestampMs::NONE,
        }
    }

    /// Adds a record. Offsets must ascend.
    pub fn append(
        &mut self,
        offset: Offset,
        timestamp: TimestampMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) {
        let first = *self.first_offset.get_or_insert(offset);
        let is_relative = self.compression != Compression::None && self.magic == LegacyMagic::V1;
        let written = if is_relative {
            Offset(offset - first)
        } else {
            offset
        };
        self.last_offset = offset;
        let timestamp = self.log_append_time.unwrap_or(timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let attributes = self.attributes(Compression::None);
        write_entry(
            &mut self.set,
            written,
            self.magic,
            attributes,
            timestamp,
            key,
            value,
        );
    }

    fn attributes(&self, compression: Compression) -> Attributes {
        let attributes = Attributes::default().with_compression(compression);
        match self.log_append_time {
            Some(_) if self.magic == LegacyMagic::V1 => {
                attributes.with_timestamp_type(TimestampType::LogAppendTime)
            }
            _ => attributes,
        }
    }

    /// The set.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        if self.compression == Compression::None || self.first_offset.is_none() {
            return self.set;
        }
        let mut content = Vec::new();
        compression::compress(self.compression, &self.set, &mut content);
        if self.magic == LegacyMagic::V0 && self.compression == Compression::Lz4 {
            compression::break_lz4_header_checksum(&mut content);
        }
        let attributes = self.attributes(self.compression);
        let mut out = Vec::new();
        write_entry(
            &mut out,
            self.last_offset,
            self.magic,
            attributes,
            self.max_timestamp,
            None,
            Some(&content),
        );
        out
    }
}

fn write_entry(
    out: &mut Vec<u8>,
    offset: Offset,
    magic: LegacyMagic,
    attributes: Attributes,
    timestamp: TimestampMs,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) {
    let begin = out.len();
    out.extend_from_slice(&offset.0.to_be_bytes());
    // Size and CRC are set once the message stands.
    out.extend_from_slice(&[0; 8]);
    let covered_from = out.len();
    out.push(u8::from(magic == LegacyMagic::V1));
    out.push(attributes.0 as u8);
    if magic == LegacyMagic::V1 {
        out.extend_from_slice(&timestamp.0.to_be_bytes());
    }
    for bytes in [key, value] {
        let len = bytes.map_or(-1, |bytes| bytes.len() as i32);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(bytes.unwrap_or_default());
    }
    let crc = checksum::crc32(&out[covered_from..]);
    let size = i32::try_from(out.len() - begin - ENTRY_OVERHEAD).expect("a message is under 2 GiB");
    out[begin + 8..][..4].copy_from_slice(&size.to_be_bytes());
    out[begin + ENTRY_OVERHEAD..][..4].copy_from_slice(&crc.to_be_bytes());
}
