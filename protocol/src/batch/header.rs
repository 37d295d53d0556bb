//! The 61 bytes in front of a batch's records: where each field stands, and what it says.

use super::BatchError;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};

/// Where the base offset stands (int64).
pub const BASE_OFFSET_AT: usize = 0;
/// Where the length of all that follows it stands (int32).
pub const LENGTH_AT: usize = 8;
/// Where the partition leader epoch stands (int32).
pub const LEADER_EPOCH_AT: usize = 12;
/// Where the magic byte stands.
pub const MAGIC_AT: usize = 16;
/// Where the CRC-32C stands (uint32).
pub const CRC_AT: usize = 17;
/// Where the attributes stand (int16).
pub const ATTRIBUTES_AT: usize = 21;
/// Where the last record's offset, less the base offset, stands (int32).
pub const LAST_OFFSET_DELTA_AT: usize = 23;
/// Where the first record's timestamp, or the delete horizon, stands (int64).
pub const BASE_TIMESTAMP_AT: usize = 27;
/// Where the largest timestamp stands (int64).
pub const MAX_TIMESTAMP_AT: usize = 35;
/// Where the producer id stands (int64).
pub const PRODUCER_ID_AT: usize = 43;
/// Where the producer epoch stands (int16).
pub const PRODUCER_EPOCH_AT: usize = 51;
/// Where the first record's sequence number stands (int32).
pub const BASE_SEQUENCE_AT: usize = 53;
/// Where the number of records stands (int32).
pub const RECORDS_COUNT_AT: usize = 57;
/// Where the records begin.
pub const RECORDS_AT: usize = 61;

/// How many bytes stand before the records.
pub const BATCH_OVERHEAD: usize = RECORDS_AT;
/// How many bytes stand before what the length field counts.
pub const LOG_OVERHEAD: usize = LEADER_EPOCH_AT;
/// The first byte that the CRC covers.
pub const CRC_COVERS_FROM: usize = ATTRIBUTES_AT;
/// How many bytes at the front a broker may rewrite without touching the CRC or what it covers.
pub const PATCHED_LEN: usize = CRC_AT;

const MAGIC: i8 = 2;
const COMPRESSION_BITS: i16 = 0x07;
const LOG_APPEND_TIME_BIT: i16 = 0x08;
const TRANSACTIONAL_BIT: i16 = 0x10;
const CONTROL_BIT: i16 = 0x20;
const DELETE_HORIZON_BIT: i16 = 0x40;

/// How a batch's records are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// gzip.
    Gzip = 1,
    /// Snappy, in blocks framed as by xerial's library, or raw.
    Snappy = 2,
    /// LZ4 frames.
    Lz4 = 3,
    /// Zstandard.
    Zstd = 4,
}

impl Compression {
    /// All of them.
    pub const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    /// The compression of this number in a batch's attributes.
    #[must_use]
    pub const fn from_id(id: u8) -> Option<Compression> {
        match id {
            0 => Some(Compression::None),
            1 => Some(Compression::Gzip),
            2 => Some(Compression::Snappy),
            3 => Some(Compression::Lz4),
            4 => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// Kafka's name, as in `compression.type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

/// Who set the timestamps of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TimestampType {
    /// The producer, record by record.
    #[default]
    CreateTime,
    /// The broker: all records have the batch's largest timestamp.
    LogAppendTime,
}

/// The attribute bits of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    /// The compression, if it is one that exists.
    pub const fn compression(self) -> Result<Compression, BatchError> {
        let id = (self.0 & COMPRESSION_BITS) as u8;
        match Compression::from_id(id) {
            Some(compression) => Ok(compression),
            None => Err(BatchError::UnknownCompression(id)),
        }
    }

    /// Who set the timestamps.
    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & LOG_APPEND_TIME_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch is part of a transaction.
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.0 & TRANSACTIONAL_BIT != 0
    }

    /// Whether the records are control records, which no consumer's application sees.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 & CONTROL_BIT != 0
    }

    /// Whether the base timestamp is instead the time from which on tombstones may go.
    #[must_use]
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & DELETE_HORIZON_BIT != 0
    }

    /// The same with this compression.
    #[must_use]
    pub const fn with_compression(self, compression: Compression) -> Self {
        Self(self.0 & !COMPRESSION_BITS | compression as i16)
    }

    /// The same with this timestamp type.
    #[must_use]
    pub const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        match timestamp_type {
            TimestampType::CreateTime => Self(self.0 & !LOG_APPEND_TIME_BIT),
            TimestampType::LogAppendTime => Self(self.0 | LOG_APPEND_TIME_BIT),
        }
    }

    /// The same, part of a transaction.
    #[must_use]
    pub const fn transactional(self) -> Self {
        Self(self.0 | TRANSACTIONAL_BIT)
    }

    /// The same, of control records.
    #[must_use]
    pub const fn control(self) -> Self {
        Self(self.0 | CONTROL_BIT)
    }

    /// The same, with a delete horizon in place of the base timestamp.
    #[must_use]
    pub const fn with_delete_horizon(self) -> Self {
        Self(self.0 | DELETE_HORIZON_BIT)
    }
}

/// A batch's header, parsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// The offset that the records' deltas count from.
    pub base_offset: Offset,
    /// How many bytes follow the length field; at least 49.
    pub length: i32,
    /// The epoch of the leader that appended the batch; -1 as a client sends it.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of all from the attributes on.
    pub crc: u32,
    /// Compression, timestamp type and what kind of records.
    pub attributes: Attributes,
    /// The last record's offset less the base offset. It outlives the last record: compaction
    /// keeps it.
    pub last_offset_delta: i32,
    /// The first record's timestamp, or the delete horizon. The records' timestamps count from it.
    pub base_timestamp: TimestampMs,
    /// The largest timestamp, or the time of the append.
    pub max_timestamp: TimestampMs,
    /// The idempotent producer, or -1.
    pub producer_id: ProducerId,
    /// Its epoch, or -1.
    pub producer_epoch: ProducerEpoch,
    /// The sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// How many records there are; none is possible after compaction.
    pub records_count: i32,
}

impl BatchHeader {
    /// Reads a header from the front of `bytes`. The records need not be there.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let Some(header) = bytes.first_chunk::<BATCH_OVERHEAD>() else {
            return Err(Self::explain_short(bytes));
        };
        let length = i32_at(header, LENGTH_AT);
        if header[MAGIC_AT] as i8 != MAGIC {
            return Err(BatchError::OtherMagic(header[MAGIC_AT] as i8));
        }
        if length < (BATCH_OVERHEAD - LOG_OVERHEAD) as i32 {
            return Err(BatchError::InvalidLength(length));
        }
        Ok(BatchHeader {
            base_offset: Offset(i64_at(header, BASE_OFFSET_AT)),
            length,
            leader_epoch: LeaderEpoch(i32_at(header, LEADER_EPOCH_AT)),
            crc: i32_at(header, CRC_AT) as u32,
            attributes: Attributes(i16_at(header, ATTRIBUTES_AT)),
            last_offset_delta: i32_at(header, LAST_OFFSET_DELTA_AT),
            base_timestamp: TimestampMs(i64_at(header, BASE_TIMESTAMP_AT)),
            max_timestamp: TimestampMs(i64_at(header, MAX_TIMESTAMP_AT)),
            producer_id: ProducerId(i64_at(header, PRODUCER_ID_AT)),
            producer_epoch: ProducerEpoch(i16_at(header, PRODUCER_EPOCH_AT)),
            base_sequence: i32_at(header, BASE_SEQUENCE_AT),
            records_count: i32_at(header, RECORDS_COUNT_AT),
        })
    }

    /// What to say of bytes that are fewer than a header: of another format, or cut short.
    #[cold]
    fn explain_short(bytes: &[u8]) -> BatchError {
        match bytes.get(MAGIC_AT) {
            Some(&magic) if magic as i8 != MAGIC => BatchError::OtherMagic(magic as i8),
            _ => BatchError::Truncated {
                needed: BATCH_OVERHEAD,
                available: bytes.len(),
            },
        }
    }

    /// Writes the header as it stands in front of the records.
    pub(super) fn write(&self, out: &mut [u8; BATCH_OVERHEAD]) {
        out[..8].copy_from_slice(&self.base_offset.0.to_be_bytes());
        out[LENGTH_AT..][..4].copy_from_slice(&self.length.to_be_bytes());
        out[LEADER_EPOCH_AT..][..4].copy_from_slice(&self.leader_epoch.0.to_be_bytes());
        out[MAGIC_AT] = MAGIC as u8;
        out[CRC_AT..][..4].copy_from_slice(&self.crc.to_be_bytes());
        out[ATTRIBUTES_AT..][..2].copy_from_slice(&self.attributes.0.to_be_bytes());
        out[LAST_OFFSET_DELTA_AT..][..4].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[BASE_TIMESTAMP_AT..][..8].copy_from_slice(&self.base_timestamp.0.to_be_bytes());
        out[MAX_TIMESTAMP_AT..][..8].copy_from_slice(&self.max_timestamp.0.to_be_bytes());
        out[PRODUCER_ID_AT..][..8].copy_from_slice(&self.producer_id.0.to_be_bytes());
        out[PRODUCER_EPOCH_AT..][..2].copy_from_slice(&self.producer_epoch.0.to_be_bytes());
        out[BASE_SEQUENCE_AT..][..4].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[RECORDS_COUNT_AT..][..4].copy_from_slice(&self.records_count.to_be_bytes());
    }

    /// How many bytes the whole batch has.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.length as usize + LOG_OVERHEAD
    }

    /// The offset of the last record, even if compaction removed it.
    #[must_use]
    pub const fn last_offset(&self) -> Offset {
        Offset(
            self.base_offset
                .0
                .wrapping_add(self.last_offset_delta as i64),
        )
    }

    /// The offset after the batch.
    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.wrapping_add(1))
    }

    /// Whether an idempotent producer sent the batch.
    #[must_use]
    pub const fn has_producer(&self) -> bool {
        self.producer_id.0 > ProducerId::NONE.0
    }

    /// The sequence number of the last record; -1 if the producer is not idempotent.
    #[must_use]
    pub const fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        super::last_sequence(self.base_sequence, self.last_offset_delta)
    }

    /// From when on tombstones in this batch may be dropped, if compaction has set that.
    #[must_use]
    pub const fn delete_horizon(&self) -> Option<TimestampMs> {
        if self.attributes.has_delete_horizon() {
            Some(self.base_timestamp)
        } else {
            None
        }
    }
}

fn i16_at(header: &[u8; BATCH_OVERHEAD], at: usize) -> i16 {
    i16::from_be_bytes([header[at], header[at + 1]])
}

fn i32_at(header: &[u8; BATCH_OVERHEAD], at: usize) -> i32 {
    i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn i64_at(header: &[u8; BATCH_OVERHEAD], at: usize) -> i64 {
    i64::from(i32_at(header, at)) << 32 | i64::from(i32_at(header, at + 4) as u32)
}
