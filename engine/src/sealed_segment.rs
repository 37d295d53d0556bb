//! A finished segment: its bytes never change. Shared between the log and the reads in progress,
//! which may outlive its deletion.
//!
//! Its file and indexes are opened when they are first needed. Opening and mapping may wait for
//! the disk: the async functions do it without holding up the core.

use crate::batch_walk::{Walk, find_blocking, read_exact_at};
use crate::file_name::{self, FileName, Kind, Stage};
use crate::file_standing::FileStanding;
use crate::index_entry::{
    Entry, OffsetEntry, TimeEntry, boundary_before, floor_position, floor_time, relative_to_search,
};
use crate::index_map::IndexMap;
use crate::index_rule::{IndexRule, Indexed};
use protocol::ids::{Offset, Position, TimestampMs};
use ring::file::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A finished segment.
#[derive(Debug)]
pub(crate) struct SealedSegment {
    pub(crate) base_offset: Offset,
    /// Where the last batch ends.
    pub(crate) end: Position,
    /// Length of its index of aborted transactions.
    pub(crate) txn_index_bytes: usize,
    pub(crate) standing: FileStanding,
    directory: Arc<Path>,
    index_interval_bytes: u32,
    file: OnceLock<File>,
    offset_index: IndexMap,
    time_index: IndexMap,
    largest_timestamp: OnceLock<TimestampMs>,
}

/// How long a finished segment's files are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    pub(crate) log: Position,
    pub(crate) offset_index: usize,
    pub(crate) time_index: usize,
    pub(crate) txn_index: usize,
}

impl SealedSegment {
    pub(crate) fn new(
        directory: Arc<Path>,
        base_offset: Offset,
        lengths: Lengths,
        index_interval_bytes: u32,
    ) -> Self {
        Self {
            base_offset,
            end: lengths.log,
            txn_index_bytes: lengths.txn_index,
            standing: FileStanding::default(),
            directory,
            index_interval_bytes,
            file: OnceLock::new(),
            offset_index: IndexMap::new(lengths.offset_index),
            time_index: IndexMap::new(lengths.time_index),
            largest_timestamp: OnceLock::new(),
        }
    }

    /// Keeps a file that is open already.
    pub(crate) fn with_file(self, file: File) -> Self {
        let _ = self.file.set(file);
        self
    }

    /// The path of one of its files.
    pub(crate) fn path(&self, kind: Kind) -> PathBuf {
        file_name::path(&self.directory, self.base_offset, kind)
    }

    /// The path of one of its files once it was given up.
    pub(crate) fn deleted_path(&self, kind: Kind) -> PathBuf {
        let deleted = FileName {
            base_offset: self.base_offset,
            kind,
            stage: Stage::Deleted,
        };
        deleted.within(&self.directory)
    }

    /// What `open` makes of one of its files, also after it was given up.
    pub(crate) fn open_blocking<T>(
        &self,
        kind: Kind,
        open: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let paths = (self.path(kind), self.deleted_path(kind));
        self.standing.open((&paths.0, &paths.1), open)
    }

    /// The file, if it is open.
    pub(crate) fn open_file(&self) -> Option<&File> {
        self.file.get()
    }

    /// The file, opened on the ring if need be.
    pub(crate) async fn file(self: &Arc<Self>) -> io::Result<File> {
        if let Some(file) = self.file.get() {
            return Ok(file.clone());
        }
        let opened = File::open(self.path(Kind::Log), &OpenOptions::new().read(true)).await;
        if !self.standing.is_in_use() {
            // What was opened may be another segment's.
            let segment = self.clone();
            return ring::offload(move || segment.file_blocking()).await;
        }
        let opened = opened?;
        Ok(self.file.get_or_init(|| opened).clone())
    }

    /// The file, opened on this thread if need be.
    pub(crate) fn file_blocking(&self) -> io::Result<File> {
        if let Some(file) = self.file.get() {
            return Ok(file.clone());
        }
        let opened = self.open_blocking(Kind::Log, |path| std::fs::File::open(path))?;
        let opened = File::from_std(opened);
        Ok(self.file.get_or_init(|| opened).clone())
    }

    /// Where to begin looking for an offset; the index is mapped on the helper thread if need be.
    pub(crate) async fn floor_position(self: &Arc<Self>, offset: Offset) -> io::Result<Position> {
        if self.offset_index.entries().is_none() {
            let segment = self.clone();
            ring::offload(move || segment.map_indexes_blocking()).await?;
        }
        Ok(self.floor_mapped(offset))
    }

    /// Where to begin looking for an offset.
    pub(crate) fn floor_position_blocking(&self, offset: Offset) -> io::Result<Position> {
        self.map_indexes_blocking()?;
        Ok(self.floor_mapped(offset))
    }

    fn floor_mapped(&self, offset: Offset) -> Position {
        let entries = self.offset_index.entries().expect("the index is mapped");
        let target = relative_to_search(offset, self.base_offset);
        floor_position(entries, target)
    }

    /// The last beginning of a batch up to `position` that the index knows, if it is mapped.
    pub(crate) fn boundary_before(&self, position: Position) -> Option<Position> {
        boundary_before(self.offset_index.entries()?, position)
    }

    /// The last time entry at or below a timestamp, as an absolute offset.
    pub(crate) fn floor_time_blocking(&self, target: TimestampMs) -> io::Result<Option<Offset>> {
        self.map_indexes_blocking()?;
        let entries = self.time_index.entries().expect("the index is mapped");
        Ok(floor_time(entries, target).map(|e| self.base_offset + i64::from(e.relative_offset)))
    }

    /// The largest timestamp of its records, as the last time entry has it, and the last offset
    /// of the batch; no timestamp if the index is empty.
    pub(crate) fn max_timestamp_blocking(&self) -> io::Result<(TimestampMs, Offset)> {
        self.map_indexes_blocking()?;
        let entries = self.time_index.entries().expect("the index is mapped");
        let Some(last) = entries.len().checked_sub(TimeEntry::BYTES) else {
            return Ok((TimestampMs::NONE, self.base_offset));
        };
        let last = TimeEntry::decode(&entries[last..]);
        Ok((
            last.timestamp,
            self.base_offset + i64::from(last.relative_offset),
        ))
    }

    /// The largest timestamp of its records; if they have none, when the file was last changed.
    /// Reads no more than the last entry of the time index.
    pub(crate) fn largest_timestamp_blocking(&self) -> io::Result<TimestampMs> {
        if let Some(known) = self.largest_timestamp.get() {
            return Ok(*known);
        }
        let file = self.open_blocking(Kind::TimeIndex, |path| std::fs::File::open(path))?;
        let length = file.metadata()?.len();
        let mut timestamp = TimestampMs::NONE;
        if let Some(last) = length.checked_sub(TimeEntry::BYTES as u64) {
            let mut entry = [0; TimeEntry::BYTES];
            read_exact_at(&file, &mut entry, last / 12 * 12)?;
            timestamp = TimeEntry::decode(&entry).timestamp;
        }
        if timestamp < TimestampMs(0) {
            timestamp = self.open_blocking(Kind::Log, modified)?;
        }
        Ok(*self.largest_timestamp.get_or_init(|| timestamp))
    }

    /// Maps both indexes; one that is damaged or missing is made anew.
    fn map_indexes_blocking(&self) -> io::Result<()> {
        if self.offset_index.entries().is_some() && self.time_index.entries().is_some() {
            return Ok(());
        }
        let offsets = missing_is_damaged(
            self.map_index_blocking::<OffsetEntry>(&self.offset_index, Kind::OffsetIndex),
        )?;
        let times = missing_is_damaged(
            self.map_index_blocking::<TimeEntry>(&self.time_index, Kind::TimeIndex),
        )?;
        if offsets && times {
            return Ok(());
        }
        let path = self.path(Kind::Log);
        tracing::warn!(segment = %path.display(), "an index is damaged; building it anew");
        let (offsets, times) = self.build_indexes_blocking()?;
        for (kind, entries) in [(Kind::OffsetIndex, &offsets), (Kind::TimeIndex, &times)] {
            if self.standing.is_in_use() {
                crate::atomic_file::replace_derived(&self.path(kind), entries)?;
            }
        }
        self.offset_index.set_rebuilt(offsets);
        self.time_index.set_rebuilt(times);
        Ok(())
    }

    fn map_index_blocking<E: Entry>(&self, index: &IndexMap, kind: Kind) -> io::Result<bool> {
        if index.entries().is_some() {
            return Ok(true);
        }
        let file = self.open_blocking(kind, |path| std::fs::File::open(path))?;
        Ok(index.map_file::<E>(&file)?.is_some())
    }

    /// The content of both indexes, from the batches' headers.
    fn build_indexes_blocking(&self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let (mut offsets, mut times) = (Vec::new(), Vec::new());
        let mut rule = IndexRule::new(self.base_offset, self.index_interval_bytes);
        find_blocking(
            self.file_blocking()?,
            Walk::new(Position::ZERO, self.end),
            |batch| {
                let entries = rule.note(&Indexed {
                    position: batch.position,
                    bytes: batch.bytes,
                    last_offset: batch.last_offset,
                    max_timestamp: batch.max_timestamp,
                });
                entries.offset.inspect(|e| e.encode(&mut offsets));
                entries.time.inspect(|e| e.encode(&mut times));
                false
            },
        )?;
        rule.time_entry().inspect(|e| e.encode(&mut times));
        Ok((offsets, times))
    }
}

fn missing_is_damaged(mapped: io::Result<bool>) -> io::Result<bool> {
    match mapped {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other,
    }
}

/// When a file was last changed.
pub(crate) fn modified(path: &Path) -> io::Result<TimestampMs> {
    let modified = std::fs::metadata(path)?.modified()?;
    let since = modified
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Ok(TimestampMs(
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
    ))
}
