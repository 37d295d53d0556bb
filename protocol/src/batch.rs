//! Record batches of the current format (magic 2, since Kafka 0.11): the unit that producers
//! send, logs store and consumers fetch.
//!
//! A batch is a header of 61 bytes and its records, perhaps compressed as a whole. Base offset,
//! length, leader epoch and magic stand before what the CRC covers, so a broker gives a batch its
//! place in the log without touching the rest: see [`BatchView::patched_prefix`].
//!
//! Knows nothing of logs or segments. Invariants: a [`BatchView`] holds exactly the bytes that
//! its header's length says, at least a whole header; record data is never believed before it is
//! checked.

mod builder;
pub mod control;
mod header;
mod record;
mod sequence;
mod view;

pub use builder::{BatchBuilder, BatchOptions, NewRecord, encode_batch};
pub use header::{
    ATTRIBUTES_AT, Attributes, BASE_OFFSET_AT, BASE_SEQUENCE_AT, BASE_TIMESTAMP_AT, BATCH_OVERHEAD,
    BatchHeader, CRC_AT, CRC_COVERS_FROM, Compression, LAST_OFFSET_DELTA_AT, LEADER_EPOCH_AT,
    LENGTH_AT, LOG_OVERHEAD, MAGIC_AT, MAX_TIMESTAMP_AT, PATCHED_LEN, PRODUCER_EPOCH_AT,
    PRODUCER_ID_AT, RECORDS_AT, RECORDS_COUNT_AT, TimestampType,
};
pub use record::{Headers, RecordIter, RecordView};
pub use sequence::{last_sequence, next_sequence, sequence_after, sequence_distance};
pub use view::{BatchView, Batches};

use crate::compression::DecompressError;

/// What is wrong with a batch, or with the bytes where one should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does: in a log, a torn tail; in a fetch response, the usual
    /// end.
    #[error("the batch needs {needed} bytes and {available} are there")]
    Truncated {
        /// How many bytes the batch has, as far as that is known.
        needed: usize,
        /// How many there are.
        available: usize,
    },
    /// The length field is too small for a header, or negative.
    #[error("a batch cannot have the length {0}")]
    InvalidLength(i32),
    /// The batch is of another format: 0 or 1 before Kafka 0.11, anything else is damage.
    #[error("the batch has magic {0}, not 2")]
    OtherMagic(i8),
    /// The CRC is not that of the content.
    #[error("the batch says its CRC is {stored:#010x}, and it is {computed:#010x}")]
    Crc {
        /// What the header says.
        stored: u32,
        /// What the content has.
        computed: u32,
    },
    /// Count of records, last offset delta and size do not go together.
    #[error(
        "a batch of {payload_bytes} bytes cannot have {count} records up to offset delta {last_offset_delta}"
    )]
    InvalidCount {
        /// How many records the header says there are.
        count: i32,
        /// The header's last offset delta.
        last_offset_delta: i32,
        /// How many bytes follow the header.
        payload_bytes: usize,
    },
    /// The header's compression is none that exists.
    #[error("there is no compression type {0}")]
    UnknownCompression(u8),
    /// The records are compressed, and were to be read as they are.
    #[error("the records are compressed")]
    Compressed,
    /// The compressed records are damaged.
    #[error("the compressed records cannot be decompressed")]
    Decompression,
    /// The records are larger, decompressed, than the caller allows.
    #[error("the records take more than {limit} bytes when decompressed")]
    TooLarge {
        /// What the caller allows, in bytes.
        limit: usize,
    },
    /// A record is damaged.
    #[error("record {index} of the batch is damaged: {what}")]
    InvalidRecord {
        /// Which record, from 0.
        index: i32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Offsets, time or producer fields are what no client may send.
    #[error("a client may not send this batch: {0}")]
    NotFromClient(&'static str),
}

impl From<DecompressError> for BatchError {
    fn from(error: DecompressError) -> Self {
        match error {
            DecompressError::Damaged => BatchError::Decompression,
            DecompressError::TooLarge { limit } => BatchError::TooLarge { limit },
        }
    }
}

#[cfg(test)]
mod tests;
