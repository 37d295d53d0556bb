//! How much of a log is there to compact: from where the last compaction ended to the first segment
//! that has to be left alone, because it is written, not committed for good, or too young.

use crate::batch_walk::{Walk, find_blocking};
use crate::config::LogConfig;
use crate::log::Log;
use crate::sealed_segment::SealedSegment;
use protocol::ids::{Offset, Position, TimestampMs};
use std::io;
use std::sync::Arc;

/// A look at a log, to be run.
#[derive(Debug)]
pub struct DirtCheck {
    sealed: Arc<Vec<Arc<SealedSegment>>>,
    active_base: Offset,
    log_start: Offset,
    log_end: Offset,
    last_stable: Offset,
    cleaned_to: Option<Offset>,
    config: Arc<LogConfig>,
}

/// What a log's next compaction would do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cleanable {
    /// Keys are learnt from here on.
    pub first_dirty: Offset,
    /// Base of the first segment that is left alone.
    pub first_uncleanable: Offset,
    /// The share of bytes that are dirty, 0 to 1.
    pub ratio: f64,
    /// The share is large enough, or `max.compaction.lag.ms` is over.
    pub is_due: bool,
}

impl Log {
    /// Hands out what has to be looked at; `None` if the log is not to be compacted.
    pub fn check_dirt(&self, high_watermark: Offset) -> Option<DirtCheck> {
        let wanted = self.config.cleanup.compact && !self.compaction.failed && !self.is_offline();
        wanted.then(|| DirtCheck {
            sealed: self.segments.sealed.clone(),
            active_base: self.segments.active.base_offset,
            log_start: self.log_start,
            log_end: self.log_end,
            last_stable: self.last_stable_offset(high_watermark),
            cleaned_to: self.compaction.cleaned_to,
            config: self.config.clone(),
        })
    }
}

impl DirtCheck {
    /// Looks; `None` if there is nothing at all to compact.
    pub fn run_blocking(&self, now: TimestampMs) -> io::Result<Option<Cleanable>> {
        let first_dirty = self.first_dirty();
        let uncleanable = self.first_uncleanable_offset(first_dirty, now)?;
        let first_uncleanable = match self.sealed.get(self.floor(uncleanable)) {
            Some(segment) if uncleanable < self.active_base => segment.base_offset,
            _ => self.active_base,
        };
        let bytes = |from: usize, below: Offset| -> u64 {
            let segments = self.sealed.iter().skip(from);
            segments
                .take_while(|s| s.base_offset < below)
                .map(|s| u64::from(s.end.0))
                .sum()
        };
        let dirty = bytes(
            self.floor(first_dirty.min(first_uncleanable)),
            first_uncleanable,
        );
        let total = bytes(0, first_dirty) + dirty;
        if total == 0 {
            return Ok(None);
        }
        let ratio = dirty as f64 / total as f64;
        let overdue = dirty > 0 && self.is_overdue(first_dirty, now)?;
        Ok(Some(Cleanable {
            first_dirty,
            first_uncleanable,
            ratio,
            is_due: overdue || ratio > self.config.cleanable_ratio_min,
        }))
    }

    fn first_dirty(&self) -> Offset {
        match self.cleaned_to {
            Some(offset) if offset >= self.log_start && offset <= self.log_end => offset,
            _ => self.log_start,
        }
    }

    fn first_uncleanable_offset(
        &self,
        first_dirty: Offset,
        now: TimestampMs,
    ) -> io::Result<Offset> {
        let mut first = self.last_stable.min(self.active_base);
        let lag_ms = self.config.compaction_lag_ms_min;
        if lag_ms > 0 {
            for segment in &self.sealed[self.floor(first_dirty).min(self.sealed.len())..] {
                if segment.checked_timestamp_blocking()?.0 > now.0.saturating_sub(lag_ms) {
                    first = first.min(segment.base_offset);
                    break;
                }
            }
        }
        Ok(first.max(first_dirty))
    }

    /// Whether a dirty segment began longer ago than `max.compaction.lag.ms`.
    fn is_overdue(&self, first_dirty: Offset, now: TimestampMs) -> io::Result<bool> {
        let latest = now.0.saturating_sub(self.config.compaction_lag_ms_max);
        if latest <= 0 || first_dirty > self.active_base {
            return Ok(false);
        }
        for segment in &self.sealed[self.floor(first_dirty).min(self.sealed.len())..] {
            let walk = Walk::new(Position::ZERO, segment.end);
            let first = find_blocking(segment.file_blocking()?, walk, |_| true)?;
            if first.is_some_and(|batch| (1..latest).contains(&batch.max_timestamp.0)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The place of the sealed segment that holds an offset; their count if the active one does.
    fn floor(&self, offset: Offset) -> usize {
        if offset >= self.active_base {
            return self.sealed.len();
        }
        self.sealed
            .partition_point(|s| s.base_offset <= offset)
            .saturating_sub(1)
    }
}
