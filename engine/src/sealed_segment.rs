//! A finished segment: its bytes never change. Shared between the log and the reads in progress,
//! which may outlive its deletion.
//!
//! Its file and indexes are opened when they are needed, and closed when too many are open (see
//! `open_segments`). Opening and mapping may wait for the disk: the async functions do it without
//! holding up the core.

use crate::disk;
use crate::file_name::{self, FileName, Kind, Stage};
use crate::file_standing::FileStanding;
use crate::index_entry::{
    Entry, Floor, OffsetEntry, TimeEntry, boundary_before, floor, relative_to_search,
};
use crate::index_map::{Entries, IndexMap};
use crate::open_segments::{self, OpenSegments, UnflushedPlace};
use protocol::ids::{Offset, Position, TimestampMs};
use ring::file::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

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
    /// What its directory is called once its log has gone to another log directory.
    left_in: Mutex<Option<Arc<Path>>>,
    index_interval_bytes: u32,
    file: Mutex<Option<File>>,
    /// Its file or indexes were used since `open_segments` looked.
    used: AtomicBool,
    /// Its bytes and indexes are synced. Not known of one that an earlier process closed.
    durable: AtomicBool,
    /// While it is not durable and keeps the file that it was written through.
    unflushed: Mutex<Option<UnflushedPlace>>,
    offset_index: IndexMap,
    time_index: IndexMap,
    beyond_repair: AtomicBool,
    largest_timestamp: OnceLock<TimestampMs>,
    /// The same, held against the batches.
    checked_timestamp: OnceLock<TimestampMs>,
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
            left_in: Mutex::new(None),
            index_interval_bytes,
            file: Mutex::new(None),
            used: AtomicBool::new(false),
            durable: AtomicBool::new(false),
            unflushed: Mutex::new(None),
            offset_index: IndexMap::new(lengths.offset_index),
            time_index: IndexMap::new(lengths.time_index),
            beyond_repair: AtomicBool::new(false),
            largest_timestamp: OnceLock::new(),
            checked_timestamp: OnceLock::new(),
        }
    }

    /// Keeps the file that it was written through, open until it is durable: whoever opened it
    /// anew might not hear of a write that failed in the background.
    pub(crate) fn with_file(self, file: File, place: UnflushedPlace) -> Self {
        *self.slot() = Some(file);
        *self.unflushed.lock().expect("nobody panics with it") = Some(place);
        self
    }

    /// The same segment, whose directory has another name now. Nobody else may be reading it.
    pub(crate) fn moved_to(&self, directory: &Arc<Path>) -> Self {
        let lengths = Lengths {
            log: self.end,
            offset_index: self.offset_index.bytes(),
            time_index: self.time_index.bytes(),
            txn_index: self.txn_index_bytes,
        };
        let interval = self.index_interval_bytes;
        let moved = Self::new(directory.clone(), self.base_offset, lengths, interval);
        moved.durable.store(self.is_durable(), Ordering::Relaxed);
        let place = self.unflushed.lock().expect("nobody panics with it").take();
        match self.slot().take().zip(place) {
            Some((file, place)) => moved.with_file(file, place),
            None => moved,
        }
    }

    /// It was synced. Its file may be closed from now on.
    pub(crate) fn set_durable(self: &Arc<Self>) {
        self.durable.store(true, Ordering::Relaxed);
        let place = self.unflushed.lock().expect("nobody panics with it").take();
        if place.is_some() {
            open_segments::of_process().opened(self);
        }
    }

    /// Whether it was synced since it was closed.
    pub(crate) fn is_durable(&self) -> bool {
        self.durable.load(Ordering::Relaxed)
    }

    /// How long its offset index and its time index are.
    pub(crate) fn index_bytes(&self) -> (usize, usize) {
        (self.offset_index.bytes(), self.time_index.bytes())
    }

    /// The path of one of its files.
    pub(crate) fn path(&self, kind: Kind) -> PathBuf {
        file_name::path(&self.directory, self.base_offset, kind)
    }

    /// Its directory is about to be renamed: who reads it finds it there.
    pub(crate) fn leave_in(&self, directory: &Arc<Path>) {
        *self.left_in.lock().expect("nobody panics with it") = Some(directory.clone());
        self.standing.leave(0);
    }

    /// The path of one of its files once it was given up.
    fn deleted_path(&self, kind: Kind, number: u32) -> PathBuf {
        if let Some(directory) = &*self.left_in.lock().expect("nobody panics with it") {
            return file_name::path(directory, self.base_offset, kind);
        }
        let deleted = FileName {
            base_offset: self.base_offset,
            kind,
            stage: Stage::Deleted(number),
        };
        deleted.within(&self.directory)
    }

    /// What `open` makes of one of its files, also after it was given up.
    pub(crate) fn open_blocking<T>(
        &self,
        kind: Kind,
        open: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let deleted = |number| self.deleted_path(kind, number);
        self.standing.open(&self.path(kind), deleted, open)
    }

    /// The file, if it is open.
    pub(crate) fn open_file(&self) -> Option<File> {
        self.used.store(true, Ordering::Relaxed);
        self.slot().clone()
    }

    /// The file, opened on the ring if need be.
    pub(crate) async fn file(self: &Arc<Self>) -> io::Result<File> {
        if let Some(file) = self.open_file() {
            return Ok(file);
        }
        let opened = disk::open_in_ring(&self.path(Kind::Log)).await;
        match opened {
            Ok(opened) if self.standing.is_in_use() => {
                Ok(self.keep(opened, open_segments::of_process()))
            }
            // What was opened may be another segment's; or room has to be made first.
            _ => {
                let segment = self.clone();
                disk::offload(move || segment.file_blocking()).await
            }
        }
    }

    /// The file, opened on this thread if need be.
    pub(crate) fn file_blocking(self: &Arc<Self>) -> io::Result<File> {
        self.file_blocking_in(open_segments::of_process())
    }

    pub(crate) fn file_blocking_in(self: &Arc<Self>, open: &OpenSegments) -> io::Result<File> {
        if let Some(file) = self.open_file() {
            return Ok(file);
        }
        let opened = self.open_with_room(Kind::Log, open)?;
        Ok(self.keep(File::from_std(opened), open))
    }

    /// Whether it was used since the last call.
    pub(crate) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Closes the file and unmaps the indexes. Who uses them keeps them.
    pub(crate) fn close_files(&self) {
        *self.slot() = None;
        self.offset_index.unmap();
        self.time_index.unmap();
    }

    #[cfg(test)]
    pub(crate) fn is_open(&self) -> bool {
        self.slot().is_some()
    }

    fn keep(self: &Arc<Self>, opened: File, open: &OpenSegments) -> File {
        let mut slot = self.slot();
        if let Some(file) = &*slot {
            return file.clone(); // Somebody else was faster.
        }
        *slot = Some(opened.clone());
        drop(slot);
        open.opened(self);
        opened
    }

    /// Opens one of its files; if the process has no descriptor left, segments that nobody uses
    /// are closed for it.
    fn open_with_room(&self, kind: Kind, open: &OpenSegments) -> io::Result<std::fs::File> {
        open.with_room(|| self.open_blocking(kind, |path| disk::open_to_read(path)))
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<File>> {
        self.file.lock().expect("nobody panics with it")
    }

    /// Where to begin looking for an offset; the index is mapped on the helper thread if need be.
    /// Who begins there has to see whether the index is right about the first batch.
    pub(crate) async fn floor(self: &Arc<Self>, offset: Offset) -> io::Result<Floor> {
        self.used.store(true, Ordering::Relaxed);
        let entries = match self.offset_index.entries() {
            Some(entries) => entries,
            None => {
                let segment = self.clone();
                disk::offload(move || segment.indexes_blocking()).await?.0
            }
        };
        Ok(self.floor_in(&entries, offset))
    }

    /// The same on this thread, as the index says.
    pub(crate) fn floor_blocking(self: &Arc<Self>, offset: Offset) -> io::Result<Floor> {
        let (entries, _) = self.indexes_blocking()?;
        Ok(self.floor_in(&entries, offset))
    }

    fn floor_in(&self, entries: &[u8], offset: Offset) -> Floor {
        floor(entries, relative_to_search(offset, self.base_offset))
    }

    /// The last beginning of a batch up to `position` that the index knows, if it is mapped.
    pub(crate) fn boundary_before(&self, position: Position) -> Option<Position> {
        boundary_before(&self.offset_index.entries()?, position)
    }

    /// The largest timestamp of its records; if they have none, when the file was last changed.
    /// Reads no more than the last entry of the time index.
    pub(crate) fn largest_timestamp_blocking(&self) -> io::Result<TimestampMs> {
        let checked = self.checked_timestamp.get();
        if let Some(known) = checked.or(self.largest_timestamp.get()) {
            return Ok(*known);
        }
        let file = self.open_blocking(Kind::TimeIndex, |path| disk::open_to_read(path))?;
        let length = disk::length(&file)?;
        let mut timestamp = TimestampMs::NONE;
        if let Some(last) = length.checked_sub(TimeEntry::BYTES as u64) {
            let mut entry = [0; TimeEntry::BYTES];
            disk::read_exact_at(&file, &mut entry, last / 12 * 12)?;
            timestamp = TimeEntry::decode(&entry).timestamp;
        }
        if timestamp < TimestampMs(0) {
            timestamp = self.open_blocking(Kind::Log, modified)?;
        }
        Ok(*self.largest_timestamp.get_or_init(|| timestamp))
    }

    /// The same, with the entry held against the batches: where records may be deleted or passed
    /// over because of it.
    pub(crate) fn checked_timestamp_blocking(self: &Arc<Self>) -> io::Result<TimestampMs> {
        if let Some(known) = self.checked_timestamp.get() {
            return Ok(*known);
        }
        let mut timestamp = self.max_timestamp_blocking()?;
        if timestamp < TimestampMs(0) {
            timestamp = self.open_blocking(Kind::Log, modified)?;
        }
        Ok(*self.checked_timestamp.get_or_init(|| timestamp))
    }

    /// Both indexes, mapped if need be; one that is damaged or missing is made anew.
    pub(crate) fn indexes_blocking(self: &Arc<Self>) -> io::Result<(Entries, Entries)> {
        self.used.store(true, Ordering::Relaxed);
        if let Some(both) = self.offset_index.entries().zip(self.time_index.entries()) {
            return Ok(both);
        }
        // Its place among the open ones counts for the maps as well.
        self.file_blocking()?;
        let offsets = missing_is_damaged(
            self.map_index_blocking::<OffsetEntry>(&self.offset_index, Kind::OffsetIndex),
        )?;
        let times = missing_is_damaged(
            self.map_index_blocking::<TimeEntry>(&self.time_index, Kind::TimeIndex),
        )?;
        if let Some(both) = offsets.zip(times) {
            return Ok(both);
        }
        let path = self.path(Kind::Log);
        tracing::warn!(segment = %path.display(), "an index is damaged; building it anew");
        self.rebuild_indexes_blocking()
    }

    /// Takes indexes that were made anew from the batches.
    pub(crate) fn keep_rebuilt(&self, offsets: Vec<u8>, times: Vec<u8>) -> (Entries, Entries) {
        let times = self.time_index.set_rebuilt(times);
        (self.offset_index.set_rebuilt(offsets), times)
    }

    pub(crate) fn index_interval(&self) -> u32 {
        self.index_interval_bytes
    }

    /// Whether its batches are damaged as well, so that its indexes cannot be made anew.
    pub(crate) fn is_beyond_repair(&self) -> bool {
        self.beyond_repair.load(Ordering::Relaxed)
    }

    pub(crate) fn set_beyond_repair(&self) {
        self.beyond_repair.store(true, Ordering::Relaxed);
    }

    fn map_index_blocking<E: Entry>(
        &self,
        index: &IndexMap,
        kind: Kind,
    ) -> io::Result<Option<Entries>> {
        if let Some(entries) = index.entries() {
            return Ok(Some(entries));
        }
        index.map_file::<E>(&self.open_with_room(kind, open_segments::of_process())?)
    }
}

fn missing_is_damaged(mapped: io::Result<Option<Entries>>) -> io::Result<Option<Entries>> {
    match mapped {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other,
    }
}

/// When a file was last changed.
pub(crate) fn modified(path: &Path) -> io::Result<TimestampMs> {
    let modified = disk::metadata(path)?.modified()?;
    let since = modified
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Ok(TimestampMs(
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
    ))
}
