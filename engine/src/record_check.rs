//! Looking at every record of a batch, as Kafka always does and chiplog does where it is asked to
//! or has to: keys on compacted topics, timestamps, and what a control record says.

use crate::append::{AppendError, RecordError};
use crate::config::LogConfig;
use crate::enqueue::refused;
use protocol::batch::control::{ControlType, EndMarker};
use protocol::batch::{BatchError, BatchView, RecordView};
use protocol::ids::{Offset, TimestampMs};
use std::ops::ControlFlow;

/// How large a batch's records may be when decompressed, relative to the largest batch that may
/// be appended: a record set is not rewritten, so this only bounds memory.
const DECOMPRESSED_RATIO_MAX: usize = 128;

/// No batch may take more than this when decompressed.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// How many refused records are named.
const ERRORS_MAX: usize = 3;

/// The timestamps of a batch's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordTimes {
    /// The earliest; [`TimestampMs::NONE`] if no record has one.
    pub(crate) min: TimestampMs,
    /// The latest; [`TimestampMs::NONE`] if no record has one.
    pub(crate) max: TimestampMs,
}

/// Checks every record, and returns what their timestamps are.
pub(crate) fn check(batch: &BatchView<'_>, config: &LogConfig) -> Result<RecordTimes, AppendError> {
    let mut times = RecordTimes {
        min: TimestampMs(i64::MAX),
        max: TimestampMs::NONE,
    };
    let mut errors = Vec::new();
    let (mut index, mut expected) = (0, batch.header.base_offset);
    let limit = decompressed_bytes_max(config.batch_bytes_max);
    each_record(batch, limit, |record| {
        if record.offset != expected {
            errors.push(RecordError {
                batch_index: index,
                message: "its offset leaves a gap".into(),
            });
        } else if config.cleanup.compact && record.key.is_none() && errors.len() < ERRORS_MAX {
            let message = "a compacted topic cannot accept a record without a key".into();
            errors.push(RecordError {
                batch_index: index,
                message,
            });
        }
        if record.timestamp != TimestampMs::NONE {
            times.min = times.min.min(record.timestamp);
            times.max = times.max.max(record.timestamp);
        }
        index += 1;
        expected += 1;
        ControlFlow::Continue(())
    })
    .map_err(refused)?;
    if !errors.is_empty() {
        return Err(AppendError::InvalidRecords { errors });
    }
    if times.max == TimestampMs::NONE {
        times.min = TimestampMs::NONE;
    }
    Ok(times)
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

fn decompressed_bytes_max(batch_bytes_max: u32) -> usize {
    (batch_bytes_max as usize)
        .saturating_mul(DECOMPRESSED_RATIO_MAX)
        .min(DECOMPRESSED_BYTES_MAX)
}
