//! The offsets that segments begin at, as ListOffsets version 0 asks for them: before clients could
//! ask for the offset of a time, they were told where segments begin that are old enough.
//!
//! Looking at files blocks: the caller brings the thread.

use crate::file_name::{self, Kind};
use crate::log::Log;
use crate::offset_lookup::OffsetQuery;
use crate::sealed_segment::{SealedSegment, modified};
use protocol::ids::{Offset, TimestampMs};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A log's segments as they were when they were asked for.
#[derive(Debug)]
pub struct SegmentOffsets {
    sealed: Arc<Vec<Arc<SealedSegment>>>,
    active_base: Offset,
    active_path: PathBuf,
    active_is_empty: bool,
    log_start: Offset,
    log_end: Offset,
}

impl Log {
    /// The segments, to be looked at.
    pub fn segment_offsets(&self) -> SegmentOffsets {
        let active_base = self.segments.active.base_offset;
        SegmentOffsets {
            sealed: self.segments.sealed.clone(),
            active_base,
            active_path: file_name::path(&self.directory, active_base, Kind::Log),
            active_is_empty: active_base == self.log_end,
            log_start: self.log_start,
            log_end: self.log_end,
        }
    }
}

impl SegmentOffsets {
    /// The latest offsets that segments begin at, newest first and at most `count_max`: of all
    /// segments, of the first one, or of those last changed at the time asked for or before. The
    /// log's end counts as the begin of a segment that was changed `now`.
    pub fn run_blocking(
        self,
        query: OffsetQuery,
        now: TimestampMs,
        count_max: usize,
    ) -> io::Result<Vec<Offset>> {
        let bases = self.sealed.iter().map(|segment| segment.base_offset);
        let end = (!self.active_is_empty).then_some(self.log_end);
        let all: Vec<Offset> = bases.chain([self.active_base]).chain(end).collect();
        let mut count = match query {
            OffsetQuery::Earliest => 1,
            _ => all.len(),
        };
        if let OffsetQuery::At(time) = query {
            while count > 0 && self.changed_blocking(count - 1, now)? > time {
                count -= 1;
            }
        }
        let found = all[..count].iter().rev().take(count_max);
        Ok(found.map(|base| (*base).max(self.log_start)).collect())
    }

    fn changed_blocking(&self, at: usize, now: TimestampMs) -> io::Result<TimestampMs> {
        match self.sealed.get(at) {
            Some(segment) => segment.open_blocking(Kind::Log, modified),
            None if at == self.sealed.len() => modified(&self.active_path),
            None => Ok(now),
        }
    }
}
