//! Closing the active segment and making the next one's files.
//!
//! If it fails, the new files are gone and the old segment is still the active one; what was written
//! to its indexes is written again at the same place. The old segment's file stays open until a
//! flush has reached it; if too many wait for that in this process (`open_segments`), the old segment
//! is synced before the new one is made.

use crate::active_index::Stretch;
use crate::active_segment::ActiveSegment;
use crate::atomic_file;
use crate::disk;
use crate::file_name::{self, Kind};
use crate::flush::{self, FlushError};
use crate::index_entry::{Entry, OffsetEntry, TimeEntry};
use crate::index_repair::{Batches, Built};
use crate::log::Log;
use crate::open_segments::{self, UnflushedPlace};
use crate::producer_snapshot;
use crate::sealed_segment::Lengths;
use crate::write::{Failure, Write};
use protocol::ids::{Offset, Position, TimestampMs};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What is left to write of a segment's indexes when it is closed.
#[derive(Debug)]
pub(crate) struct IndexEnds {
    pub(crate) base_offset: Offset,
    pub(crate) offsets: Stretch,
    /// With the entry that says what the largest timestamp is.
    pub(crate) times: Stretch,
    pub(crate) lengths: Lengths,
    /// What is there is wrong: both are made anew from these batches.
    anew: Option<Anew>,
}

/// What a segment's indexes are made from.
#[derive(Debug)]
struct Anew {
    file: ring::file::File,
    interval_bytes: u32,
}

/// The change from one active segment to the next.
#[derive(Debug)]
pub(crate) struct Roll {
    directory: Arc<Path>,
    pub(crate) to: Offset,
    pub(crate) old: IndexEnds,
    old_file: ring::file::File,
    /// The old segment's until it is flushed. None: it is synced before the new one is made.
    pub(crate) place: Option<UnflushedPlace>,
    /// Every producer's state before the new segment, if that is news.
    pub(crate) snapshot: Option<Vec<u8>>,
}

impl Log {
    /// Closes the active segment without an append: a write like others, which is run and given to
    /// [`Log::finish_write`]. `None` if the segment is empty, or a write is in flight.
    pub fn start_roll(&mut self, now: TimestampMs) -> Option<Write> {
        self.start_roll_to(self.log_end, now)
    }

    /// The same, and the log goes on at `to`.
    pub(crate) fn start_roll_to(&mut self, to: Offset, now: TimestampMs) -> Option<Write> {
        let empty = self.segments.active.end == Position::ZERO;
        if self.in_flight.is_some() || self.is_offline() || empty {
            return None;
        }
        let mut plan = std::mem::take(&mut self.spare);
        plan.reset(self.log_end, now);
        plan.rolls_to = Some(to);
        plan.next_offset = to;
        let write = Write::new(self, &mut plan, Vec::new(), Position::ZERO);
        self.in_flight = Some(plan);
        Some(write)
    }
}

impl IndexEnds {
    pub(crate) fn of(active: &ActiveSegment) -> Self {
        let offsets = active.offset_index.stretch();
        let mut times = active.time_index.stretch();
        if let Some(last) = active.rule.clone().time_entry() {
            last.encode(&mut times.bytes);
        }
        let length = |stretch: &Stretch| stretch.position as usize + stretch.bytes.len();
        let lengths = Lengths {
            log: active.end,
            offset_index: length(&offsets),
            time_index: length(&times),
            txn_index: active.txn_index_bytes,
        };
        debug_assert_eq!(
            lengths.offset_index,
            active.offset_index.len() * OffsetEntry::BYTES
        );
        debug_assert_eq!(lengths.time_index % TimeEntry::BYTES, 0);
        let is_doubted = active.index_doubt.load(Ordering::Relaxed);
        Self {
            base_offset: active.base_offset,
            offsets,
            times,
            lengths,
            anew: is_doubted.then(|| Anew {
                file: active.file.clone(),
                interval_bytes: active.rule.interval_bytes(),
            }),
        }
    }

    /// Makes the files what Kafka leaves of a closed segment: all entries and nothing after them.
    pub(crate) fn store_blocking(&mut self, directory: &Path) -> io::Result<()> {
        if let Some(anew) = self.anew.take() {
            match self.rebuild(&anew, directory) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::warn!(%error, "an index stays as it is: not even its segment is sound");
                }
                done => return done,
            }
        }
        for (kind, stretch) in [
            (Kind::OffsetIndex, &self.offsets),
            (Kind::TimeIndex, &self.times),
        ] {
            let path = file_name::path(directory, self.base_offset, kind);
            let file = disk::open(
                OpenOptions::new().write(true).create(true).truncate(false),
                &path,
            )?;
            disk::write_at(&file, &stretch.bytes, stretch.position)?;
            disk::set_length(&file, stretch.position + stretch.bytes.len() as u64)?;
        }
        self.give_blocks_back(directory)
    }

    fn rebuild(&mut self, anew: &Anew, directory: &Path) -> io::Result<()> {
        let batches = Batches {
            file: &anew.file,
            base_offset: self.base_offset,
            end: self.lengths.log,
        };
        let Built { offsets, times } = batches.build(anew.interval_bytes)?;
        for (kind, entries) in [(Kind::OffsetIndex, &offsets), (Kind::TimeIndex, &times)] {
            let path = file_name::path(directory, self.base_offset, kind);
            atomic_file::replace_derived(&path, entries)?;
        }
        (self.lengths.offset_index, self.lengths.time_index) = (offsets.len(), times.len());
        self.give_blocks_back(directory)
    }

    /// Those that were reserved ahead.
    fn give_blocks_back(&self, directory: &Path) -> io::Result<()> {
        let log = file_name::path(directory, self.base_offset, Kind::Log);
        let log = disk::open(OpenOptions::new().write(true), &log)?;
        disk::set_length(&log, u64::from(self.lengths.log.0))
    }
}

impl Roll {
    pub(crate) fn new(log: &Log, to: Offset) -> Self {
        let news = to > log.snapshots.covered;
        Self {
            directory: log.directory.clone(),
            to,
            old: IndexEnds::of(&log.segments.active),
            old_file: log.segments.active.file.clone(),
            place: open_segments::of_process().place_unflushed(),
            snapshot: news.then(|| producer_snapshot::encode(log.producers.iter())),
        }
    }

    /// Does it, and gives the new segment's file.
    pub(crate) async fn run(self: Box<Self>) -> Result<(Box<Self>, File), Failure> {
        match self.place {
            Some(_) => disk::offload(move || self.run_blocking()).await,
            None => disk::offload_slow(move || self.run_blocking()).await,
        }
    }

    /// The same, on this thread.
    pub(crate) fn run_blocking(mut self: Box<Self>) -> Result<(Box<Self>, File), Failure> {
        // Segments that are only read give way to one that is written.
        let open = open_segments::of_process();
        open.with_room(|| self.old.store_blocking(&self.directory))
            .map_err(|error| Failure::before_a_byte(&error))?;
        if self.place.is_none() {
            self.sync_old()?;
        }
        match open.with_room(|| self.make_files()) {
            Ok(file) => Ok((self, file)),
            Err(error) => {
                let _ = remove_segment(&self.directory, self.to);
                Err(Failure::before_a_byte(&error))
            }
        }
    }

    fn sync_old(&self) -> Result<(), Failure> {
        let synced = flush::sync_segment(&self.directory, self.old.base_offset, &self.old_file);
        synced.map_err(|error| match error {
            FlushError::NotBegun(error) => Failure::before_a_byte(&error),
            FlushError::Failed(error) => Failure::InDoubt(format!("flush failed: {error}")),
        })
    }

    fn make_files(&self) -> io::Result<File> {
        let file = make_segment(&self.directory, self.to)?;
        if let Some(snapshot) = &self.snapshot {
            let path = file_name::path(&self.directory, self.to, Kind::Snapshot);
            disk::write_at(&disk::create(&path)?, snapshot, 0)?;
        }
        Ok(file)
    }
}

/// Makes a segment's files, empty. Leftovers of the same name go.
pub(crate) fn make_segment(directory: &Path, base_offset: Offset) -> io::Result<File> {
    remove_segment(directory, base_offset)?;
    for kind in [Kind::OffsetIndex, Kind::TimeIndex] {
        let path = file_name::path(directory, base_offset, kind);
        disk::open(OpenOptions::new().write(true).create_new(true), &path)?;
    }
    let path = file_name::path(directory, base_offset, Kind::Log);
    disk::open(
        OpenOptions::new().read(true).write(true).create_new(true),
        &path,
    )
}

/// Removes a segment's files, but not the snapshot at its base.
fn remove_segment(directory: &Path, base_offset: Offset) -> io::Result<()> {
    for kind in [
        Kind::Log,
        Kind::OffsetIndex,
        Kind::TimeIndex,
        Kind::TxnIndex,
    ] {
        atomic_file::remove(&file_name::path(directory, base_offset, kind))?;
    }
    Ok(())
}
