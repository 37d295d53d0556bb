//! The first step of an append: is it sound, and may its sender write it so?
//!
//! Looks only at the append and the topic's configuration. What depends on the log's state
//! (offsets, sequence numbers, time) waits until the write is assembled, in `assign`.

use crate::append::{Append, AppendError, Origin};
use crate::config::{LogConfig, Validation};
use crate::index_entry::relative;
use crate::record_check::{self, RecordTimes};
use bytes::Bytes;
use protocol::batch::control::EndMarker;
use protocol::batch::{BatchError, BatchHeader, BatchView, Batches};
use protocol::ids::LeaderEpoch;
use std::collections::VecDeque;

/// A batch that passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueuedBatch {
    pub(crate) header: BatchHeader,
    /// Where it begins in the append's bytes.
    pub(crate) start: u32,
    /// Its records' own timestamps, where every record was looked at.
    pub(crate) times: Option<RecordTimes>,
    /// The transaction's end that it is.
    pub(crate) end: Option<EndMarker>,
}

/// An append that waits for the next write.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) token: u64,
    pub(crate) bytes: Bytes,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) origin: Origin,
    pub(crate) first: QueuedBatch,
    /// Further batches: clients send none.
    pub(crate) rest: Vec<QueuedBatch>,
}

/// Appends in the order of their arrival. Bounded in bytes.
#[derive(Debug, Default)]
pub(crate) struct AppendQueue {
    appends: VecDeque<Queued>,
    bytes: usize,
}

impl Queued {
    /// Checks an append.
    pub(crate) fn check(append: Append, config: &LogConfig) -> Result<Self, AppendError> {
        let Append {
            token,
            batches: bytes,
            leader_epoch,
            origin,
        } = append;
        if bytes.len() > config.segment_bytes_max as usize {
            return Err(AppendError::RecordSetTooLarge {
                bytes: bytes.len() as u64,
                bytes_max: config.segment_bytes_max,
            });
        }
        let mut batches = Batches::new(&bytes);
        let mut start = 0;
        let mut next = || {
            let batch = batches.next()?;
            let checked = batch.map_err(refused).and_then(|batch| {
                let queued = check_batch(&batch, start, origin, config)?;
                start += batch.bytes.len() as u32;
                Ok(queued)
            });
            Some(checked)
        };
        let first = next().ok_or(AppendError::InvalidRecord("there is no record batch"))??;
        let mut rest = Vec::new();
        let mut last = first.header.last_offset();
        while let Some(batch) = next() {
            let batch = batch?;
            if !matches!(origin, Origin::Leader | Origin::Raft) {
                return Err(AppendError::InvalidRecord(
                    "there is more than one record batch",
                ));
            }
            if origin == Origin::Leader && batch.header.base_offset <= last {
                return Err(AppendError::InvalidRecord(
                    "the batches' offsets do not rise",
                ));
            }
            last = batch.header.last_offset();
            rest.push(batch);
        }
        if origin == Origin::Leader && relative(last, first.header.base_offset).is_none() {
            return Err(AppendError::InvalidRecord(
                "its offsets span more than a segment can",
            ));
        }
        Ok(Self {
            token,
            bytes,
            leader_epoch,
            origin,
            first,
            rest,
        })
    }

    pub(crate) fn batches(&self) -> impl Iterator<Item = &QueuedBatch> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// The bytes of one of its batches.
    pub(crate) fn view(&self, batch: &QueuedBatch) -> BatchView<'_> {
        let start = batch.start as usize;
        BatchView {
            header: batch.header,
            bytes: &self.bytes[start..start + batch.header.size()],
        }
    }
}

impl AppendQueue {
    /// Takes an append; refuses it if too much is waiting. One always fits.
    pub(crate) fn push(&mut self, append: Queued, bytes_max: usize) -> Result<(), AppendError> {
        let bytes = self.bytes + append.bytes.len();
        if bytes > bytes_max && !self.appends.is_empty() {
            return Err(AppendError::QueueFull);
        }
        self.bytes = bytes;
        self.appends.push_back(append);
        Ok(())
    }

    pub(crate) fn front(&self) -> Option<&Queued> {
        self.appends.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Queued> {
        let append = self.appends.pop_front()?;
        self.bytes -= append.bytes.len();
        Some(append)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }
}

fn check_batch(
    batch: &BatchView<'_>,
    start: u32,
    origin: Origin,
    config: &LogConfig,
) -> Result<QueuedBatch, AppendError> {
    let header = batch.header;
    let from_client = matches!(origin, Origin::Client | Origin::VerifiedClient);
    if from_client && header.base_offset.0 != 0 {
        return Err(AppendError::InvalidRecord(
            "a produced batch must have the base offset 0",
        ));
    }
    let bytes_max = config.batch_bytes_max;
    if header.size() > bytes_max as usize && (from_client || origin == Origin::Coordinator) {
        return Err(AppendError::BatchTooLarge {
            bytes: header.size() as u32,
            bytes_max,
        });
    }
    if config.validation == Validation::None && from_client {
        batch.compression().map_err(refused)?;
    } else {
        validate(batch)?;
    }
    if header.base_offset.0 < 0
        || header
            .base_offset
            .0
            .checked_add(i64::from(i32::MAX))
            .is_none()
    {
        return Err(AppendError::InvalidRecord("its offsets are impossible"));
    }
    let mut times = None;
    if from_client {
        batch.validate_from_client().map_err(refused)?;
        if config.validation == Validation::Strict || config.cleanup.compact {
            times = Some(record_check::check(batch, config)?);
        }
    }
    let is_marker = header.attributes.is_control() && header.has_producer();
    let end = if is_marker {
        record_check::transaction_end(batch)?
    } else {
        None
    };
    Ok(QueuedBatch {
        header,
        start,
        times,
        end,
    })
}

/// As Kafka, says of a batch whose CRC is wrong that it is corrupt, whatever else is wrong with it.
fn validate(batch: &BatchView<'_>) -> Result<(), AppendError> {
    batch.validate_relaxed().map_err(|error| match error {
        BatchError::Crc { .. } => refused(error),
        _ if batch.computed_crc() != batch.header.crc => AppendError::Corrupt("its CRC is wrong"),
        _ => refused(error),
    })
}

/// The answer to a batch that is not what it should be.
pub(crate) fn refused(error: BatchError) -> AppendError {
    match error {
        BatchError::Truncated { .. } => AppendError::Corrupt("it is cut short"),
        BatchError::InvalidLength(_) => AppendError::Corrupt("its length is impossible"),
        BatchError::OtherMagic(magic @ (0 | 1)) => AppendError::UnsupportedFormat(magic),
        BatchError::OtherMagic(_) => AppendError::Corrupt("there is no such format"),
        BatchError::Crc { .. } => AppendError::Corrupt("its CRC is wrong"),
        BatchError::Compressed | BatchError::Decompression => {
            AppendError::Corrupt("its records cannot be decompressed")
        }
        BatchError::TooLarge { .. } => {
            AppendError::InvalidRecord("its records are too large when decompressed")
        }
        BatchError::InvalidCount { .. } => {
            AppendError::InvalidRecord("its count of records is impossible")
        }
        BatchError::UnknownCompression(_) => {
            AppendError::InvalidRecord("there is no such compression")
        }
        BatchError::InvalidRecord { what, .. } => AppendError::InvalidRecord(what),
        BatchError::NotFromClient(why) => AppendError::InvalidRecord(why),
    }
}
