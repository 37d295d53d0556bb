//! The first step of an append: is it sound, and may its sender write it so?
//!
//! Looks only at the append and the topic's configuration, and never at records: where that has to
//! be done, it says so, and `prepare` does it. What depends on the log's state (offsets, sequence
//! numbers, time) waits until the write is assembled, in `assign`.

use crate::append::{Append, AppendError, Origin};
use crate::config::{LogConfig, Validation};
use crate::index_entry::relative;
use crate::pieces;
use crate::prepare::Preparation;
use crate::record_check::{self, RecordTimes};
use crate::up_conversion::OldSet;
use bytes::Bytes;
use protocol::batch::control::EndMarker;
use protocol::batch::{BatchError, BatchHeader, BatchView, Batches};
use protocol::ids::LeaderEpoch;
use std::collections::VecDeque;
use std::sync::Arc;

/// What an append's timestamps are held against when the write is assembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// Nothing but what its header says.
    OfHeader,
    /// Every record's was seen: the earliest and the latest.
    Seen(RecordTimes),
    /// Nothing: every record's was judged already.
    Judged,
}

/// An append that was checked.
#[derive(Debug)]
pub enum Checked {
    /// It can be queued.
    Ready(Queued),
    /// Its records have to be looked at before, or stored otherwise than they came.
    Unprepared(Preparation),
}

/// A batch that passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueuedBatch {
    pub(crate) header: BatchHeader,
    /// Where it begins in the append's bytes.
    pub(crate) start: u32,
    /// What is known of its records' timestamps.
    pub(crate) times: Times,
    /// The transaction's end that it is.
    pub(crate) end: Option<EndMarker>,
}

/// An append that passed, and waits for the next write.
#[derive(Clone, Debug)]
pub struct Queued {
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
    copied_bytes: usize,
}

impl Queued {
    /// Checks an append.
    pub(crate) fn check(append: Append, config: &Arc<LogConfig>) -> Result<Checked, AppendError> {
        if append.origin.is_client()
            && let Some(set) = OldSet::check(&append, config)?
        {
            return Ok(Checked::Unprepared(Preparation::of_old(set, config)));
        }
        let queued = Self::check_batches(append, config)?;
        if let Some(preparation) = Preparation::of_batch(&queued, config) {
            return Ok(Checked::Unprepared(preparation));
        }
        queued.require_segment(config)?;
        Ok(Checked::Ready(queued))
    }

    fn check_batches(append: Append, config: &LogConfig) -> Result<Self, AppendError> {
        let Append {
            token,
            batches: bytes,
            leader_epoch,
            origin,
        } = append;
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

    /// Refuses what no segment has room for; but one batch that a leader has, its follower takes.
    pub(crate) fn require_segment(&self, config: &LogConfig) -> Result<(), AppendError> {
        let is_kept = self.origin == Origin::Leader && self.rest.is_empty();
        if is_kept || self.bytes.len() <= config.segment_bytes_max as usize {
            return Ok(());
        }
        Err(AppendError::RecordSetTooLarge {
            bytes: self.bytes.len() as u64,
            bytes_max: config.segment_bytes_max,
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
        self.copied_bytes += pieces::copied_bytes(append.bytes.len());
        self.appends.push_back(append);
        Ok(())
    }

    pub(crate) fn front(&self) -> Option<&Queued> {
        self.appends.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Queued> {
        let append = self.appends.pop_front()?;
        self.bytes -= append.bytes.len();
        self.copied_bytes -= pieces::copied_bytes(append.bytes.len());
        Some(append)
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How much of it the next writes will copy, about.
    pub(crate) fn copied_bytes(&self) -> usize {
        self.copied_bytes
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
    let from_client = origin.is_client();
    if from_client && header.base_offset.0 != 0 {
        return Err(AppendError::InvalidRecord(
            "a produced batch must have the base offset 0",
        ));
    }
    require_size(header.size(), origin, config)?;
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
    if from_client {
        batch.validate_from_client().map_err(refused)?;
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
        times: Times::OfHeader,
        end,
    })
}

/// Refuses a batch over `max.message.bytes`.
pub(crate) fn require_size(
    bytes: usize,
    origin: Origin,
    config: &LogConfig,
) -> Result<(), AppendError> {
    let bytes_max = config.batch_bytes_max;
    let is_limited = origin.is_client() || origin.is_coordinator();
    if is_limited && bytes > bytes_max as usize {
        return Err(AppendError::BatchTooLarge {
            bytes: bytes as u32,
            bytes_max,
        });
    }
    Ok(())
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
        BatchError::TooLarge { limit } => AppendError::RecordsTooLarge { bytes_max: limit },
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
