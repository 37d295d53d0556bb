//! The step of an append that only some need: every record is looked at, or a batch is stored
//! otherwise than it came, because the topic has a compression of its own or the client is old.
//!
//! May take long, so it knows no log and runs on any thread. What a client makes it take in memory
//! is bounded by the topic's largest batch: see [`record_check::decompressed_bytes_max`]. Invariant:
//! what comes out needs no further check but those that depend on the log's state.

use crate::append::{AppendError, Origin};
use crate::config::{LogConfig, StoredCompression, TimestampType, Validation};
use crate::enqueue::{Queued, QueuedBatch, Times, refused, require_size};
use crate::record_check::{self, RecordTimes};
use crate::up_conversion::OldSet;
use bytes::Bytes;
use protocol::batch::{self, BatchHeader, BatchView, Compression, encode_batch};
use protocol::compression::Encoding;
use protocol::ids::TimestampMs;
use std::sync::Arc;

/// What is compressed anew without making a core's other work wait: less than a millisecond with
/// the slowest codec at its default level.
const COMPRESSED_AT_ONCE_BYTES_MAX: usize = 16 << 10;
/// What is decompressed.
const DECOMPRESSED_AT_ONCE_BYTES_MAX: usize = 64 << 10;
/// What is looked at.
const LOOKED_AT_AT_ONCE_BYTES_MAX: usize = 1 << 20;

/// An append whose records have to be looked at, or stored otherwise than they came.
#[derive(Debug)]
pub struct Preparation {
    work: Work,
    config: Arc<LogConfig>,
}

#[derive(Debug)]
enum Work {
    /// A set of the old formats.
    Old(OldSet),
    /// A batch that is sound as far as its header goes.
    Batch {
        queued: Queued,
        /// How it is stored, if otherwise than it came.
        stored: Option<Encoding>,
    },
}

impl Preparation {
    pub(crate) fn of_old(set: OldSet, config: &Arc<LogConfig>) -> Self {
        Self {
            work: Work::Old(set),
            config: config.clone(),
        }
    }

    /// What has to be done with a batch; usually nothing.
    pub(crate) fn of_batch(queued: &Queued, config: &Arc<LogConfig>) -> Option<Self> {
        if matches!(queued.origin, Origin::Leader | Origin::Raft) {
            return None;
        }
        let stored = stored_otherwise(&queued.first.header, queued.origin, config);
        let claims = claims_append_time(&queued.first.header, queued.origin);
        if stored.is_none() && !claims && !looks_at_records(queued.origin, config) {
            return None;
        }
        let work = Work::Batch {
            queued: queued.clone(),
            stored,
        };
        Some(Self {
            work,
            config: config.clone(),
        })
    }

    /// Does it. Timestamps are held against `now`, if it is given, record by record; else the
    /// earliest and the latest when the write is assembled.
    pub fn run(&self, now: Option<TimestampMs>) -> Result<Queued, AppendError> {
        self.within(self.bytes_max(), now)
    }

    /// Does it if it is little work; `None` if it should be done elsewhere.
    pub fn run_if_small(&self, now: Option<TimestampMs>) -> Option<Result<Queued, AppendError>> {
        let (input, small) = match &self.work {
            Work::Old(set) => (set.append.batches.len(), COMPRESSED_AT_ONCE_BYTES_MAX),
            Work::Batch { queued, stored } => {
                let came = queued.first.header.attributes.compression();
                let small = match (stored, came) {
                    (Some(_), _) => COMPRESSED_AT_ONCE_BYTES_MAX,
                    (None, Ok(Compression::None)) => LOOKED_AT_AT_ONCE_BYTES_MAX,
                    (None, _) => DECOMPRESSED_AT_ONCE_BYTES_MAX,
                };
                (queued.bytes.len(), small)
            }
        };
        if input > small {
            return None;
        }
        let bytes_max = self.bytes_max();
        match self.within(small.min(bytes_max), now) {
            Err(AppendError::RecordsTooLarge { .. }) if small < bytes_max => None,
            outcome => Some(outcome),
        }
    }

    /// How many bytes the records may take when decompressed.
    fn bytes_max(&self) -> usize {
        let batch_bytes_max = self.config.batch_bytes_max;
        let stays_decompressed = match &self.work {
            Work::Old(set) => self.encoding_of_old(set).compression == Compression::None,
            Work::Batch { stored, .. } => {
                stored.is_some_and(|stored| stored.compression == Compression::None)
            }
        };
        if stays_decompressed {
            return batch_bytes_max as usize;
        }
        record_check::decompressed_bytes_max(batch_bytes_max)
    }

    fn within(&self, bytes_max: usize, now: Option<TimestampMs>) -> Result<Queued, AppendError> {
        match &self.work {
            Work::Old(set) => self.convert(set, bytes_max, now),
            Work::Batch { queued, stored } => self.look(queued, *stored, bytes_max, now),
        }
    }

    fn encoding_of_old(&self, set: &OldSet) -> Encoding {
        match self.config.compression {
            StoredCompression::Producer => set.compression.into(),
            StoredCompression::Always(encoding) => encoding,
        }
    }

    fn convert(
        &self,
        set: &OldSet,
        bytes_max: usize,
        now: Option<TimestampMs>,
    ) -> Result<Queued, AppendError> {
        let encoding = self.encoding_of_old(set);
        let (bytes, seen) = set.convert(encoding, &self.config, now, bytes_max)?;
        let append = &set.append;
        let queued = Queued {
            token: append.token,
            first: first_of(&bytes, times(seen, now))?,
            bytes,
            leader_epoch: append.leader_epoch,
            origin: append.origin,
            rest: Vec::new(),
        };
        self.require_sizes(queued)
    }

    fn look(
        &self,
        queued: &Queued,
        stored: Option<Encoding>,
        bytes_max: usize,
        now: Option<TimestampMs>,
    ) -> Result<Queued, AppendError> {
        let config = &*self.config;
        let batch = queued.view(&queued.first);
        let mut scratch = Vec::new();
        let records = batch.records_in(&mut scratch, bytes_max).map_err(refused)?;
        let seen = record_check::check(&batch, records, config, now)?;
        let mut queued = queued.clone();
        queued.first.times = times(seen, now);
        let Some(encoding) = stored.or_else(|| self.to_mend(&batch, seen)) else {
            return self.require_sizes(queued);
        };
        let records = match batch.compression() {
            Ok(Compression::None) => batch.payload(),
            _ => &scratch,
        };
        let header = BatchHeader {
            attributes: batch
                .header
                .attributes
                .with_timestamp_type(batch::TimestampType::CreateTime),
            max_timestamp: seen.max,
            ..batch.header
        };
        let bytes = Bytes::from(encode_batch(&header, records, encoding));
        queued.first = first_of(&bytes, queued.first.times)?;
        queued.bytes = bytes;
        self.require_sizes(queued)
    }

    /// How a batch is stored whose header does not say what its latest timestamp is.
    fn to_mend(&self, batch: &BatchView<'_>, seen: RecordTimes) -> Option<Encoding> {
        let is_create_time = self.config.timestamp_type == TimestampType::CreateTime;
        let is_right = batch.header.max_timestamp == seen.max;
        let compression = batch.compression().ok()?;
        (is_create_time && !is_right).then(|| compression.into())
    }

    fn require_sizes(&self, queued: Queued) -> Result<Queued, AppendError> {
        require_size(queued.bytes.len(), queued.origin, &self.config)?;
        queued.require_segment(&self.config)?;
        Ok(queued)
    }
}

/// Whether records have to be looked at though they are stored as they came.
fn looks_at_records(origin: Origin, config: &LogConfig) -> bool {
    let limits_times = config.timestamp_type == TimestampType::CreateTime
        && (config.timestamp_before_ms_max < i64::MAX || config.timestamp_after_ms_max < i64::MAX);
    origin.is_client()
        && (config.validation == Validation::Strict || config.cleanup.compact || limits_times)
}

/// How a batch is stored, if otherwise than it came.
fn stored_otherwise(header: &BatchHeader, origin: Origin, config: &LogConfig) -> Option<Encoding> {
    let came = header.attributes.compression().ok()?;
    if header.attributes.is_control() {
        return None;
    }
    if let StoredCompression::Always(encoding) = config.compression
        && encoding.compression != came
    {
        return Some(encoding);
    }
    // A producer that says that the broker set its timestamps; on a topic where brokers do not,
    // the records have the time that it claims, as if they had come with it.
    let holds = claims_append_time(header, origin)
        && config.timestamp_type == TimestampType::CreateTime
        && header.max_timestamp != TimestampMs::NONE;
    holds.then(|| came.into())
}

/// Whether a client says that the broker set the timestamps of what it sends.
fn claims_append_time(header: &BatchHeader, origin: Origin) -> bool {
    origin.is_client() && header.attributes.timestamp_type() == batch::TimestampType::LogAppendTime
}

fn times(seen: RecordTimes, now: Option<TimestampMs>) -> Times {
    match now {
        Some(_) => Times::Judged,
        None => Times::Seen(seen),
    }
}

/// A batch that was just made.
fn first_of(bytes: &[u8], times: Times) -> Result<QueuedBatch, AppendError> {
    Ok(QueuedBatch {
        header: BatchHeader::parse(bytes).map_err(refused)?,
        start: 0,
        times,
        end: None,
    })
}
