//! What is appended, what comes of it, and every reason why not.
//!
//! Which Kafka error code an error is, it says itself ([`AppendError::code`]).

use crate::verification::VerificationGuard;
use bytes::Bytes;
use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};

/// Who wrote the batches of an [`Append`], and so what they may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client's produce request: one batch, offsets from 0, no control records; a batch of a
    /// transaction only if that transaction has already written to this log.
    Client,
    /// As `Client`, but a batch may be the first of a transaction: verification is configured
    /// away.
    VerifiedClient,
    /// As `Client`, but a batch may be the first of a transaction: the transaction coordinator
    /// confirmed that the partition is part of it, after the guard was given out by
    /// [`crate::log::Log::begin_verification`]; unless the guard is void by now.
    Guarded(VerificationGuard),
    /// A group or transaction coordinator on this broker: control records are allowed, sequence
    /// numbers are not checked.
    Coordinator,
    /// As `Coordinator`, for what a producer has written in its transaction: that has to be open
    /// here, or the guard to stand.
    GuardedCoordinator(Option<VerificationGuard>),
    /// Fetched from the partition's leader: offsets, epochs and timestamps are kept.
    Leader,
    /// The metadata quorum's own records: any number of batches, control records allowed;
    /// offsets are assigned.
    Raft,
}

impl Origin {
    /// Whether a coordinator of this broker wrote them.
    pub(crate) fn is_coordinator(self) -> bool {
        matches!(self, Self::Coordinator | Self::GuardedCoordinator(_))
    }

    /// Whether a client wrote them.
    pub(crate) fn is_client(self) -> bool {
        matches!(self, Self::Client | Self::VerifiedClient | Self::Guarded(_))
    }
}

/// Batches for the end of one log.
#[derive(Clone, Debug)]
pub struct Append {
    /// Comes back with the result.
    pub token: u64,
    /// Whole batches of format 2, one after another, as they are to be stored; from a client also
    /// a record set of the formats before. They are kept until the write ended and never changed.
    pub batches: Bytes,
    /// The epoch of the leader that appends; stamped onto each batch unless the origin is
    /// [`Origin::Leader`].
    pub leader_epoch: LeaderEpoch,
    /// Who wrote them.
    pub origin: Origin,
}

/// Where an append's records are, now that they are in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub first_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// When the log's timestamps are the time of append, that time; [`TimestampMs::NONE`]
    /// otherwise. For a duplicate, the timestamp of the batch that was stored.
    pub log_append_time: TimestampMs,
    /// The log's first offset.
    pub log_start_offset: Offset,
    /// These records had been appended before; the offsets are those of then.
    pub duplicate: bool,
}

/// A record that was refused when each was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Its place in the batch, from 0.
    pub batch_index: i32,
    /// Why.
    pub message: String,
}

/// Why an append was refused or failed. Nothing of it is in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// A batch's bytes are not what its sender computed the CRC of, or end too early.
    #[error("record batch is corrupt: {0}")]
    Corrupt(&'static str),
    /// A batch that is sound but may not be written so.
    #[error("{0}")]
    InvalidRecord(&'static str),
    /// Records that may not be written so.
    #[error("one or more records have been rejected: {}", errors.first().map_or("", |e| &e.message))]
    InvalidRecords {
        /// Each of them.
        errors: Vec<RecordError>,
    },
    /// Records whose timestamps are too far from the broker's clock, and perhaps others.
    #[error("one or more records have been rejected for their timestamps: {}", errors.first().map_or("", |e| &e.message))]
    InvalidTimestamps {
        /// Each of them.
        errors: Vec<RecordError>,
    },
    /// A timestamp that is too far from the broker's clock.
    #[error("timestamp {found} is not within [{earliest}, {latest}]")]
    InvalidTimestamp {
        /// The batch's largest timestamp.
        found: TimestampMs,
        /// The earliest that is accepted.
        earliest: TimestampMs,
        /// The latest that is accepted.
        latest: TimestampMs,
    },
    /// Not format 2.
    #[error("record batches of format {0} are not accepted")]
    UnsupportedFormat(i8),
    /// A batch over `max.message.bytes`.
    #[error("batch of {bytes} bytes exceeds the maximum of {bytes_max}")]
    BatchTooLarge {
        /// Its size.
        bytes: u32,
        /// The limit.
        bytes_max: u32,
    },
    /// Records that take more memory, decompressed, than their sender may make the broker use.
    #[error("the records take more than {bytes_max} bytes when decompressed")]
    RecordsTooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// More than fits into a segment.
    #[error("{bytes} bytes of batches exceed the segment size of {bytes_max}")]
    RecordSetTooLarge {
        /// Their size.
        bytes: u64,
        /// The limit.
        bytes_max: u32,
    },
    /// Not the sequence number that follows this producer's last.
    #[error("sequence {found} of producer {producer} does not follow {last}")]
    OutOfOrderSequence {
        /// The producer.
        producer: ProducerId,
        /// The batch's first sequence.
        found: i32,
        /// The last sequence in the log, -1 if none.
        last: i32,
    },
    /// A producer that has been replaced by a newer one.
    #[error("epoch {found} of producer {producer} is older than {current}")]
    InvalidProducerEpoch {
        /// The producer.
        producer: ProducerId,
        /// Its epoch in the batch.
        found: ProducerEpoch,
        /// The latest epoch the log has seen.
        current: ProducerEpoch,
    },
    /// A transactional batch outside a transaction, or the other way round.
    #[error("{0}")]
    InvalidTransaction(&'static str),
    /// A marker of a transaction coordinator that has been replaced.
    #[error("coordinator epoch {found} is older than {current}")]
    CoordinatorFenced {
        /// The epoch in the marker.
        found: i32,
        /// The latest epoch the log has seen.
        current: i32,
    },
    /// Batches from the leader that do not continue this log.
    #[error("batch at offset {found} does not continue the log, which ends at {log_end}")]
    UnexpectedOffset {
        /// The first batch's offset.
        found: Offset,
        /// Where the log ends.
        log_end: Offset,
    },
    /// The write failed for want of space or files. The log is as before; the next append tries
    /// again.
    #[error("the log could not be written: {0}")]
    WriteFailed(String),
    /// A write failed in a way that leaves the file in doubt; the log takes nothing any more.
    #[error("log is offline: {0}")]
    Offline(String),
    /// Too much is waiting already: push back.
    #[error("too many bytes wait to be appended")]
    QueueFull,
}

impl AppendError {
    /// The records that were refused one by one, for a client that is told of them (KIP-467).
    #[must_use]
    pub fn record_errors(&self) -> &[RecordError] {
        match self {
            Self::InvalidRecords { errors } | Self::InvalidTimestamps { errors } => errors,
            _ => &[],
        }
    }

    /// The code a client is told.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Corrupt(_) => ErrorCode::CorruptMessage,
            Self::InvalidRecord(_) | Self::InvalidRecords { .. } => ErrorCode::InvalidRecord,
            Self::InvalidTimestamp { .. } | Self::InvalidTimestamps { .. } => {
                ErrorCode::InvalidTimestamp
            }
            Self::UnsupportedFormat(_) => ErrorCode::UnsupportedForMessageFormat,
            Self::BatchTooLarge { .. } | Self::RecordsTooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::RecordSetTooLarge { .. } => ErrorCode::RecordListTooLarge,
            Self::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            Self::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            Self::InvalidTransaction(_) => ErrorCode::InvalidTxnState,
            Self::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
            Self::UnexpectedOffset { .. } => ErrorCode::OffsetOutOfRange,
            Self::WriteFailed(_) | Self::Offline(_) => ErrorCode::KafkaStorageError,
            Self::QueueFull => ErrorCode::RequestTimedOut,
        }
    }
}
