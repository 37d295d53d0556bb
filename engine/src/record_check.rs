//! Looking at every record of an append, as Kafka always does and chiplog does where it is asked
//! to or has to: keys on compacted topics, timestamps, and what a control record says.

use crate::append::{AppendError, RecordError};
use crate::config::{LogConfig, TimestampType};
use crate::enqueue::refused;
use protocol::batch::control::{ControlType, EndMarker};
use protocol::batch::{self, BatchError, BatchView, RecordIter, RecordView};
use protocol::ids::{Offset, TimestampMs};
use std::ops::ControlFlow;

/// How large a batch's records may be when decompressed, relative to the largest batch that may
/// be appended.
const DECOMPRESSED_RATIO_MAX: usize = 128;

/// No batch may take more than this when decompressed.
pub(crate) const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// How many refused records are named.
const ERRORS_MAX: usize = 1000;

/// The timestamps of a batch's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordTimes {
    /// The earliest; [`TimestampMs::NONE`] if no record has one.
    pub(crate) min: TimestampMs,
    /// The latest; [`TimestampMs::NONE`] if no record has one.
    pub(crate) max: TimestampMs,
}

/// The records of one append, looked at one after the other.
pub(crate) struct Inspection<'a> {
    config: &'a LogConfig,
    /// Timestamps are held against it, if it is there.
    now: Option<TimestampMs>,
    times: RecordTimes,
    index: i32,
    errors: Vec<RecordError>,
    is_untimely: bool,
}

impl<'a> Inspection<'a> {
    pub(crate) fn new(config: &'a LogConfig, now: Option<TimestampMs>) -> Self {
        Self {
            config,
            now,
            times: RecordTimes {
                min: TimestampMs(i64::MAX),
                max: TimestampMs::NONE,
            },
            index: 0,
            errors: Vec::new(),
            is_untimely: false,
        }
    }

    /// Looks at the next record.
    pub(crate) fn look(
        &mut self,
        key: Option<&[u8]>,
        timestamp: TimestampMs,
        timestamp_type: batch::TimestampType,
    ) {
        if self.config.cleanup.compact && key.is_none() {
            self.refuse("a compacted topic cannot accept a record without a key".into());
        } else if let Some(message) = self.untimely(timestamp, timestamp_type) {
            self.is_untimely = true;
            self.refuse(message);
        }
        if timestamp != TimestampMs::NONE {
            self.times.min = self.times.min.min(timestamp);
            self.times.max = self.times.max.max(timestamp);
        }
        self.index += 1;
    }

    /// What is wrong with a timestamp.
    fn untimely(
        &self,
        timestamp: TimestampMs,
        timestamp_type: batch::TimestampType,
    ) -> Option<String> {
        let is_create_time = self.config.timestamp_type == TimestampType::CreateTime;
        if is_create_time && timestamp != TimestampMs::NONE {
            let now = self.now?;
            let earliest = now.0.saturating_sub(self.config.timestamp_before_ms_max);
            let latest = now.0.saturating_add(self.config.timestamp_after_ms_max);
            let is_within = (earliest..=latest).contains(&timestamp.0);
            return (!is_within)
                .then(|| format!("timestamp {timestamp} is not within [{earliest}, {latest}]"));
        }
        (timestamp_type == batch::TimestampType::LogAppendTime)
            .then(|| "a producer may not set the timestamp type to LogAppendTime".into())
    }

    /// Refuses the record that is to be looked at next, or being looked at.
    fn refuse(&mut self, message: String) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(RecordError {
                batch_index: self.index,
                message,
            });
        }
    }

    /// What the timestamps are, if no record was refused.
    pub(crate) fn finish(self) -> Result<RecordTimes, AppendError> {
        let errors = self.errors;
        if !errors.is_empty() {
            return Err(if self.is_untimely {
                AppendError::InvalidTimestamps { errors }
            } else {
                AppendError::InvalidRecords { errors }
            });
        }
        match self.times {
            RecordTimes { max, .. } if max == TimestampMs::NONE => Ok(RecordTimes {
                min: TimestampMs::NONE,
                max,
            }),
            times => Ok(times),
        }
    }
}

/// Checks every record of a batch, and returns what their timestamps are.
pub(crate) fn check(
    batch: &BatchView<'_>,
    records: RecordIter<'_>,
    config: &LogConfig,
    now: Option<TimestampMs>,
) -> Result<RecordTimes, AppendError> {
    let timestamp_type = batch.header.attributes.timestamp_type();
    let mut inspection = Inspection::new(config, now);
    for (delta, record) in (0..).zip(records) {
        let record = record.map_err(refused)?;
        if record.offset != batch.header.base_offset + delta {
            inspection.refuse("its offset leaves a gap".into());
        }
        inspection.look(record.key, record.timestamp, timestamp_type);
    }
    inspection.finish()
}

/// What a transaction marker says; `None` for other control records and for a batch whose records
/// compaction has removed.
pub(crate) fn transaction_end(batch: &BatchView<'_>) -> Result<Option<EndMarker>, AppendError> {
    let Some(record) = batch.records().map_err(refused)?.next() else {
        return Ok(None);
    };
    let record = record.map_err(refused)?;
    let key = record.key.unwrap_or(&[]);
    let marker = EndMarker::parse(key, record.value);
    let kind = ControlType::from_key(key);
    if marker.is_none() && matches!(kind, Some(ControlType::Commit | ControlType::Abort)) {
        return Err(AppendError::InvalidRecord(
            "a transaction marker is cut short",
        ));
    }
    Ok(marker)
}

/// The first record at or after an offset whose timestamp is at least `target`.
pub(crate) fn first_since(
    batch: &BatchView<'_>,
    from: Offset,
    target: TimestampMs,
) -> Result<Option<(TimestampMs, Offset)>, BatchError> {
    let mut found = None;
    each_record(batch, DECOMPRESSED_BYTES_MAX, |record| {
        if record.timestamp < target || record.offset < from {
            return ControlFlow::Continue(());
        }
        found = Some((record.timestamp, record.offset));
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// Calls `each` with the records of a batch, compressed or not, until it breaks.
pub(crate) fn each_record(
    batch: &BatchView<'_>,
    decompressed_bytes_max: usize,
    mut each: impl FnMut(&RecordView<'_>) -> ControlFlow<()>,
) -> Result<(), BatchError> {
    let mut scratch = Vec::new();
    for record in batch.records_in(&mut scratch, decompressed_bytes_max)? {
        if each(&record?).is_break() {
            break;
        }
    }
    Ok(())
}

/// How many bytes the records of one append may take when decompressed.
pub(crate) fn decompressed_bytes_max(batch_bytes_max: u32) -> usize {
    (batch_bytes_max as usize)
        .saturating_mul(DECOMPRESSED_RATIO_MAX)
        .min(DECOMPRESSED_BYTES_MAX)
}
