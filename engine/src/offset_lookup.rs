//! ListOffsets: which offset is the earliest, the latest, the first at or after a time.
//!
//! What needs no file is answered at once. The rest searches on the helper thread: it may have to
//! decompress a batch. The answer is a record's own offset, not its batch's.

use crate::active_index::ActiveIndex;
use crate::batch_walk::{Located, Walk, find_blocking};
use crate::disk;
use crate::file_name::{self, Kind};
use crate::index_entry::{Entry, floor, floor_time, relative_to_search};
use crate::index_repair::{self, Batches};
use crate::log::Log;
use crate::record_check;
use crate::sealed_segment::{self, SealedSegment};
use protocol::batch::BatchView;
use protocol::ids::{LeaderEpoch, Offset, Position, TimestampMs};
use ring::file::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Which offset is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    /// The first in the log (-2).
    Earliest,
    /// The first on local disk (-4): the same, as there is no other.
    EarliestLocal,
    /// The end of the log (-1). What a consumer may see of it, the caller knows.
    Latest,
    /// The end of what is in tiered storage (-5): nothing is.
    LatestTiered,
    /// Of the record with the largest timestamp (-3).
    MaxTimestamp,
    /// Of the first record with this timestamp or a later one.
    At(TimestampMs),
}

/// An offset, and what is known of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The record's timestamp; none for the ends of the log.
    pub timestamp: TimestampMs,
    /// The offset; -1 if there is none.
    pub offset: Offset,
    /// The leader epoch there; none if it is not known.
    pub leader_epoch: LeaderEpoch,
}

/// A look-up, to be run.
#[derive(Debug)]
pub enum OffsetLookup {
    /// Answered from memory.
    Ready(Option<FoundOffset>),
    /// To be searched for in the files.
    Search(Box<Search>),
}

/// A search through the segments.
#[derive(Debug)]
pub struct Search {
    target: Option<TimestampMs>,
    log_start: Offset,
    sealed: Arc<Vec<Arc<SealedSegment>>>,
    active: ActiveView,
}

/// The active segment as it was when the look-up began.
#[derive(Debug)]
struct ActiveView {
    base_offset: Offset,
    directory: Arc<Path>,
    file: File,
    end: Position,
    max_timestamp: TimestampMs,
    index_doubt: Arc<AtomicBool>,
    offsets: IndexView,
    times: IndexView,
}

/// An index of which a part is in its file and the rest in memory.
#[derive(Debug)]
struct IndexView {
    path: PathBuf,
    bytes_in_file: usize,
    rest: Vec<u8>,
}

impl Log {
    /// Looks up an offset.
    pub fn offset_for_timestamp(&self, query: OffsetQuery) -> OffsetLookup {
        let found = |offset, leader_epoch: Option<LeaderEpoch>| {
            OffsetLookup::Ready(Some(FoundOffset {
                timestamp: TimestampMs::NONE,
                offset,
                leader_epoch: leader_epoch.unwrap_or(LeaderEpoch::NONE),
            }))
        };
        let target = match query {
            OffsetQuery::Earliest | OffsetQuery::EarliestLocal => {
                return found(self.log_start, self.epochs.epoch_of(self.log_start));
            }
            OffsetQuery::Latest => return found(self.log_end, self.epochs.latest()),
            OffsetQuery::LatestTiered => return found(Offset(-1), None),
            OffsetQuery::MaxTimestamp => None,
            OffsetQuery::At(target) => Some(target),
        };
        OffsetLookup::Search(Box::new(Search {
            target,
            log_start: self.log_start,
            sealed: self.segments.sealed.clone(),
            active: self.view_active(),
        }))
    }

    fn view_active(&self) -> ActiveView {
        let active = &self.segments.active;
        let path = |kind| file_name::path(&self.directory, active.base_offset, kind);
        ActiveView {
            base_offset: active.base_offset,
            directory: self.directory.clone(),
            file: active.file.clone(),
            end: active.end,
            max_timestamp: active.rule.max_timestamp().0,
            index_doubt: active.index_doubt.clone(),
            offsets: IndexView::of(&active.offset_index, path(Kind::OffsetIndex)),
            times: IndexView::of(&active.time_index, path(Kind::TimeIndex)),
        }
    }
}

impl OffsetLookup {
    /// The offset; `None` if there is no such record.
    pub async fn run(self) -> io::Result<Option<FoundOffset>> {
        match self {
            Self::Ready(found) => Ok(found),
            Self::Search(search) => disk::offload(move || search.run_blocking()).await,
        }
    }

    /// As `run`, on this thread.
    pub fn run_blocking(self) -> io::Result<Option<FoundOffset>> {
        match self {
            Self::Ready(found) => Ok(found),
            Self::Search(search) => search.run_blocking(),
        }
    }
}

impl Search {
    fn run_blocking(&self) -> io::Result<Option<FoundOffset>> {
        match self.target {
            Some(target) => self.first_since(target),
            None => self.of_max_timestamp(),
        }
    }

    fn first_since(&self, target: TimestampMs) -> io::Result<Option<FoundOffset>> {
        let mut passed_over = None;
        for segment in self.sealed.iter() {
            if segment.largest_timestamp_blocking()? < target {
                passed_over = Some(segment);
                continue;
            }
            let before = self.first_in_passed_over(passed_over.take(), target)?;
            let found = match before {
                None => self.first_in(segment, target)?,
                before => before,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        let before = self.first_in_passed_over(passed_over, target)?;
        if before.is_some() || self.active.largest_timestamp()? < target {
            return Ok(before);
        }
        self.first_in_active(target)
    }

    fn first_in_active(&self, target: TimestampMs) -> io::Result<Option<FoundOffset>> {
        let from = self.active.floor_time(target)?.max(self.log_start);
        let walk = Walk::new(self.active.floor_position(from)?, self.active.end);
        scan_since(&self.active.file, walk, self.log_start, target)
    }

    /// The segment just before the answer, if it was passed over by right: what its index ends with
    /// is held against its batches, which would take too long for all segments.
    fn first_in_passed_over(
        &self,
        segment: Option<&Arc<SealedSegment>>,
        target: TimestampMs,
    ) -> io::Result<Option<FoundOffset>> {
        match segment {
            Some(segment) if segment.checked_timestamp_blocking()? >= target => {
                self.first_in(segment, target)
            }
            _ => Ok(None),
        }
    }

    fn first_in(
        &self,
        segment: &Arc<SealedSegment>,
        target: TimestampMs,
    ) -> io::Result<Option<FoundOffset>> {
        let from = segment
            .floor_time_blocking(target)?
            .unwrap_or(segment.base_offset);
        let start = segment.floor_position_blocking(from.max(self.log_start))?;
        let file = segment.file_blocking()?;
        scan_since(&file, Walk::new(start, segment.end), self.log_start, target)
    }

    fn of_max_timestamp(&self) -> io::Result<Option<FoundOffset>> {
        let (mut best, mut owner) = (self.active.max_timestamp, None);
        for segment in self.sealed.iter().rev() {
            let candidate = segment.max_timestamp_blocking()?;
            if candidate >= best {
                (best, owner) = (candidate, Some(segment));
            }
        }
        match owner {
            _ if best < TimestampMs(0) => Ok(None),
            Some(segment) => self.first_in(segment, best),
            None => self.first_in_active(best),
        }
    }
}

impl ActiveView {
    fn largest_timestamp(&self) -> io::Result<TimestampMs> {
        if self.max_timestamp >= TimestampMs(0) {
            return Ok(self.max_timestamp);
        }
        let path = file_name::path(&self.directory, self.base_offset, Kind::Log);
        sealed_segment::modified(&path)
    }

    fn floor_time(&self, target: TimestampMs) -> io::Result<Offset> {
        let Some(entry) = floor_time(&self.times.entries()?, target) else {
            return Ok(self.base_offset);
        };
        let offset = self.base_offset + i64::from(entry.relative_offset);
        let start = self.floor_position(offset)?;
        if self.batches().bear_out_time(&entry, start)? {
            return Ok(offset);
        }
        self.doubt(&self.times.path);
        Ok(self.base_offset)
    }

    fn floor_position(&self, offset: Offset) -> io::Result<Position> {
        let target = relative_to_search(offset, self.base_offset);
        let floor = floor(&self.offsets.entries()?, target);
        if self.batches().bear_out(&floor)? {
            return Ok(floor.position);
        }
        self.doubt(&self.offsets.path);
        Ok(Position::ZERO)
    }

    fn batches(&self) -> Batches<&File> {
        Batches {
            file: &self.file,
            base_offset: self.base_offset,
            end: self.end,
        }
    }

    /// An entry is wrong: the search begins at the segment's beginning.
    fn doubt(&self, index: &Path) {
        index_repair::doubt(&self.index_doubt, index);
    }
}

impl IndexView {
    fn of<E: Entry>(index: &ActiveIndex<E>, path: PathBuf) -> Self {
        Self {
            path,
            bytes_in_file: index.bytes_only_in_file(),
            rest: index.encode_memory(),
        }
    }

    fn entries(&self) -> io::Result<Vec<u8>> {
        if self.bytes_in_file == 0 {
            return Ok(self.rest.clone());
        }
        let mut entries = vec![0; self.bytes_in_file];
        disk::read_exact_at(disk::open_to_read(&self.path)?, &mut entries, 0)?;
        entries.extend_from_slice(&self.rest);
        Ok(entries)
    }
}

/// The first record from the log's start on that is not older than `target`.
fn scan_since(
    file: &File,
    mut walk: Walk,
    log_start: Offset,
    target: TimestampMs,
) -> io::Result<Option<FoundOffset>> {
    let wanted = |b: &Located| b.max_timestamp >= target && b.last_offset >= log_start;
    while let Some(batch) = find_blocking(file, walk, wanted)? {
        if let Some((timestamp, offset)) = record_since(file, &batch, log_start, target)? {
            return Ok(Some(FoundOffset {
                timestamp,
                offset,
                leader_epoch: batch.leader_epoch,
            }));
        }
        walk = walk.after(&batch);
    }
    Ok(None)
}

fn record_since(
    file: &File,
    batch: &Located,
    log_start: Offset,
    target: TimestampMs,
) -> io::Result<Option<(TimestampMs, Offset)>> {
    if batch.header.is_none() {
        return Ok(Some((batch.max_timestamp, batch.last_offset)));
    }
    let mut bytes = vec![0; batch.bytes as usize];
    disk::read_exact_at(file, &mut bytes, u64::from(batch.position.0))?;
    BatchView::first_of(&bytes)
        .and_then(|batch| record_check::first_since(&batch, log_start, target))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
