//! Deleting the oldest segments: those below the log's start, those that are too much
//! (`retention.bytes`), those whose records are all too old (`retention.ms`). In this order, as
//! Kafka does, and never at or above the high watermark.
//!
//! Three steps: [`Log::check_retention`] hands out what is to be looked at, [`Expiry::run_blocking`]
//! looks at the files and decides, [`Log::drop_expired`] takes the segments out of the log and gives
//! the renaming of their files. If the active segment has to go as well, the caller closes it
//! first ([`Log::start_roll`]).

use crate::config::LogConfig;
use crate::file_name::{self, Kind};
use crate::log::Log;
use crate::partition_name::TopicPartition;
use crate::removal::{self, Removal};
use crate::sealed_segment::{SealedSegment, modified};
use protocol::ids::{Offset, TimestampMs};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A look at a log's segments, to be run.
#[derive(Debug)]
pub struct Expiry {
    sealed: Arc<Vec<Arc<SealedSegment>>>,
    active: ActiveView,
    log_start: Offset,
    log_end: Offset,
    high_watermark: Offset,
    config: Arc<LogConfig>,
}

#[derive(Debug)]
struct ActiveView {
    base_offset: Offset,
    bytes: u64,
    /// Negative if its records have none.
    max_timestamp: TimestampMs,
    path: PathBuf,
}

/// Which segments are to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Every segment that lies below as a whole.
    before: Offset,
    with_active: bool,
}

/// Segments that are no longer the log's, whose files are to be renamed.
#[derive(Debug)]
#[must_use = "the files are still under their names"]
pub struct Retired {
    partition: TopicPartition,
    directory: Arc<Path>,
    segments: Vec<Arc<SealedSegment>>,
    snapshots: Vec<Offset>,
    delay_ms: i64,
}

impl Expired {
    /// Whether the active segment is among them: it has to be closed before it can be dropped.
    #[must_use]
    pub fn takes_active(&self) -> bool {
        self.with_active
    }
}

impl Log {
    /// Hands out what has to be looked at; `None` while the log is offline.
    pub fn check_retention(&self, high_watermark: Offset) -> Option<Expiry> {
        if self.is_offline() {
            return None;
        }
        let active = &self.segments.active;
        Some(Expiry {
            sealed: self.segments.sealed.clone(),
            active: ActiveView {
                base_offset: active.base_offset,
                bytes: u64::from(active.end.0),
                max_timestamp: active.rule.max_timestamp().0,
                path: file_name::path(&self.directory, active.base_offset, Kind::Log),
            },
            log_start: self.log_start,
            log_end: self.log_end,
            high_watermark,
            config: self.config.clone(),
        })
    }

    /// Takes the segments out of the log and moves its start up; `None` if there are none. A
    /// segment that is still the active one stays.
    pub fn drop_expired(&mut self, expired: Expired) -> Option<Retired> {
        let before = expired.before.min(self.segments.active.base_offset);
        let count = (0..self.segments.sealed.len())
            .take_while(|at| {
                self.segments
                    .next_base(*at)
                    .is_some_and(|next| next <= before)
            })
            .count();
        if count == 0 {
            return None;
        }
        let segments: Vec<_> = Arc::make_mut(&mut self.segments.sealed)
            .drain(..count)
            .collect();
        let is_gone = |base: Offset| segments.iter().any(|s| s.base_offset == base);
        self.flush.unsynced.retain(|s| !is_gone(s.base_offset));
        let snapshots = self.snapshots.offsets.extract_if(.., |at| is_gone(*at));
        let snapshots: Vec<_> = snapshots.collect();
        let first = self.segments.first_base();
        self.advance_log_start(first);
        tracing::info!(
            partition = %self.topic_partition, segments = count, log_start = %self.log_start,
            "deleting old segments"
        );
        Some(Retired {
            partition: self.topic_partition.clone(),
            directory: self.directory.clone(),
            segments,
            snapshots,
            delay_ms: self.config.file_delete_delay_ms,
        })
    }
}

impl Expiry {
    /// Decides; `None` if nothing is to be deleted.
    pub fn run_blocking(&self, now: TimestampMs) -> io::Result<Option<Expired>> {
        let mut count = self.while_deletable(0, |at| Ok(self.is_below_start(at)))?;
        if self.config.cleanup.delete {
            count = self.too_much(count)?;
            count = self.too_old(count, now)?;
        }
        if count == 0 {
            return Ok(None);
        }
        Ok(Some(Expired {
            before: self.end_of(count - 1),
            with_active: count > self.sealed.len(),
        }))
    }

    fn is_below_start(&self, at: usize) -> bool {
        at < self.sealed.len() && self.end_of(at) <= self.log_start
    }

    fn too_much(&self, from: usize) -> io::Result<usize> {
        let Some(bytes_max) = self.config.retention_bytes_max else {
            return Ok(from);
        };
        let total: u64 = (from..=self.sealed.len()).map(|at| self.bytes(at)).sum();
        let Some(mut excess) = total.checked_sub(bytes_max) else {
            return Ok(from);
        };
        self.while_deletable(from, |at| {
            let left = excess.checked_sub(self.bytes(at));
            excess = left.unwrap_or(excess);
            Ok(left.is_some())
        })
    }

    fn too_old(&self, from: usize, now: TimestampMs) -> io::Result<usize> {
        let Some(age_ms_max) = self.config.retention_ms_max else {
            return Ok(from);
        };
        self.while_deletable(from, |at| {
            let newest = self.largest_timestamp_blocking(at)?;
            Ok(now.0.saturating_sub(newest.0) > age_ms_max)
        })
    }

    /// Goes on from a segment to the first that has to stay.
    fn while_deletable(
        &self,
        from: usize,
        mut wanted: impl FnMut(usize) -> io::Result<bool>,
    ) -> io::Result<usize> {
        let mut at = from;
        while at <= self.sealed.len() {
            let last_and_empty = at == self.sealed.len() && self.active.bytes == 0;
            if self.end_of(at) > self.high_watermark || last_and_empty || !wanted(at)? {
                break;
            }
            at += 1;
        }
        Ok(at)
    }

    /// Where the segment after this one begins; of the active one the log's end.
    fn end_of(&self, at: usize) -> Offset {
        match self.sealed.get(at + 1) {
            Some(next) => next.base_offset,
            None if at < self.sealed.len() => self.active.base_offset,
            None => self.log_end,
        }
    }

    fn bytes(&self, at: usize) -> u64 {
        match self.sealed.get(at) {
            Some(segment) => u64::from(segment.end.0),
            None => self.active.bytes,
        }
    }

    fn largest_timestamp_blocking(&self, at: usize) -> io::Result<TimestampMs> {
        match self.sealed.get(at) {
            Some(segment) => segment.checked_timestamp_blocking(),
            None if self.active.max_timestamp < TimestampMs(0) => modified(&self.active.path),
            None => Ok(self.active.max_timestamp),
        }
    }
}

impl Retired {
    /// Renames the files, so that the next start does not take them for the log's. They can be
    /// removed when nobody reads them any more.
    pub fn run_blocking(self) -> io::Result<Removal> {
        let mut renamed = Vec::new();
        for segment in &self.segments {
            renamed.extend(removal::give_up_sealed(&self.directory, segment)?);
        }
        for at in &self.snapshots {
            renamed.extend(removal::give_up_snapshot(&self.directory, *at)?);
        }
        tracing::debug!(partition = %self.partition, files = renamed.len(), "renamed to .deleted");
        Ok(Removal::of_files(renamed, self.delay_ms))
    }
}
