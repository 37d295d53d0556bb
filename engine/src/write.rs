//! The third step of an append: the bytes go to the file.
//!
//! A [`Write`] owns all it needs and knows nothing of the log's state; [`Written`] is what came of
//! it. Order: the checkpoint of the leader epochs, the new segment, the batches, the transactions
//! they abort, the index entries that wait for their file. A write that fails after its first byte
//! cuts the file back. What the next writes and flushes will find ready (`reserve`) comes after the
//! batches, or in the background.

use crate::active_index::Stretch;
use crate::assign::InFlight;
use crate::checkpoint::{self, EpochStart};
use crate::disk;
use crate::file_name::{self, Kind};
use crate::log::Log;
use crate::reserve::{self, Ahead};
use crate::roll::Roll;
use crate::txn_index::NewEntries;
use bytes::Bytes;
use protocol::ids::{Offset, Position};
use ring::file::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// One write to a log's end, ready to run.
#[derive(Debug)]
#[must_use = "a write must be run and given to finish_write"]
pub struct Write {
    directory: Arc<Path>,
    epochs: Option<Vec<EpochStart>>,
    roll: Option<Box<Roll>>,
    file: File,
    position: Position,
    pieces: Vec<Bytes>,
    aborted: Option<Box<NewEntries>>,
    entries: Option<Box<IndexEntries>>,
    ahead: Option<Ahead>,
}

/// What came of a write.
#[derive(Debug)]
#[must_use = "what was written must be given to finish_write"]
pub struct Written {
    /// The epochs' checkpoint was replaced.
    pub(crate) epochs_stored: bool,
    /// The new segment's file, and how the old segment's indexes ended.
    pub(crate) rolled: Option<(Box<Roll>, File)>,
    /// The batches.
    pub(crate) outcome: Result<(), Failure>,
    /// The index entries that reached their files.
    pub(crate) entries: Option<Box<IndexEntries>>,
}

/// Why a write failed, and what that means for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing of it is in the files; the next one may succeed.
    Undone(String),
    /// The file is in doubt, or the disk is failing.
    InDoubt(String),
}

/// Index entries on their way to the active segment's files.
#[derive(Debug)]
pub(crate) struct IndexEntries {
    pub(crate) base_offset: Offset,
    pub(crate) offsets: Stretch,
    pub(crate) times: Stretch,
}

impl Write {
    pub(crate) fn new(
        log: &mut Log,
        plan: &mut InFlight,
        pieces: Vec<Bytes>,
        position: Position,
    ) -> Self {
        let changed = plan.epochs.as_ref().map(|epochs| epochs.entries());
        let stale = log.epochs_dirty.then(|| log.epoch_entries());
        let any = !plan.batches.is_empty();
        let active = &log.segments.active;
        let roll = plan.rolls_to.map(|to| Box::new(Roll::new(log, to)));
        let entries = if roll.is_some() {
            None
        } else {
            IndexEntries::due(log)
        };
        let epochs = changed.or(stale).filter(|_| any).map(<[_]>::to_vec);
        let (directory, file) = (log.directory.clone(), active.file.clone());
        let aborted = plan.aborted(log).map(Box::new);
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        let (end, end_max) = (
            u64::from(position.0),
            u64::from(log.config.segment_bytes_max),
        );
        let ahead = match &roll {
            Some(_) => None,
            None => {
                let active = &mut log.segments.active;
                active.reserve.due(end + bytes as u64, end_max)
            }
        };
        Self {
            directory,
            epochs,
            roll,
            file,
            position,
            pieces,
            aborted,
            entries,
            ahead,
        }
    }

    /// Runs it.
    pub async fn run(self) -> Written {
        let Self {
            directory,
            epochs,
            roll,
            mut file,
            position,
            pieces,
            aborted,
            entries,
            ahead,
        } = self;
        let mut written = Written::nothing();
        if let Some(epochs) = epochs {
            let directory = directory.clone();
            let stored = disk::offload(move || store_epochs(&directory, &epochs)).await;
            if written.epochs_are(stored).is_err() {
                return written;
            }
        }
        if let Some(roll) = roll {
            match written.rolled_as(roll.run().await) {
                Some(new) => file = new,
                None => return written,
            }
        }
        if !pieces.is_empty() {
            let position = u64::from(position.0);
            if let Err(error) = write_pieces(&file, pieces, position).await {
                written.outcome = Err(cut_back(&file, position, error).await);
                return written;
            }
        }
        match ahead {
            Some(Ahead::Blocks(range)) => ring::spawn(reserve_blocks(file.clone(), range)),
            // Before the next write begins, which would be overwritten otherwise.
            Some(Ahead::Zeroes(range)) => write_zeroes(&file, range).await,
            None => {}
        }
        if let Some(aborted) = aborted {
            let directory = directory.clone();
            let stored = disk::offload(move || aborted.store_blocking(&directory)).await;
            if let Err(error) = stored {
                let position = u64::from(position.0);
                written.outcome = Err(cut_back(&file, position, error).await);
                return written;
            }
        }
        if let Some(entries) = entries {
            written.entries_are(entries.store(&directory).await);
        }
        written
    }

    /// Runs it on this thread: at start-up, and for rare appends.
    pub(crate) fn run_blocking(self) -> Written {
        let Self {
            directory,
            epochs,
            roll,
            mut file,
            position,
            pieces,
            aborted,
            // They wait for a write on the ring, or the segment's end.
            entries: _,
            ahead: _,
        } = self;
        let mut written = Written::nothing();
        if let Some(epochs) = epochs
            && written
                .epochs_are(store_epochs(&directory, &epochs))
                .is_err()
        {
            return written;
        }
        if let Some(roll) = roll {
            match written.rolled_as(roll.run_blocking()) {
                Some(new) => file = new,
                None => return written,
            }
        }
        let aborted = || aborted.map_or(Ok(()), |aborted| aborted.store_blocking(&directory));
        if let Err(failure) = write_blocking(&file, &pieces, u64::from(position.0), aborted) {
            written.outcome = Err(failure);
        }
        written
    }
}

impl Written {
    fn nothing() -> Self {
        Self {
            epochs_stored: false,
            rolled: None,
            outcome: Ok(()),
            entries: None,
        }
    }

    fn epochs_are(&mut self, stored: io::Result<()>) -> Result<(), ()> {
        self.epochs_stored = stored.is_ok();
        stored.map_err(|error| self.outcome = Err(Failure::before_a_byte(&error)))
    }

    fn rolled_as(&mut self, rolled: Result<(Box<Roll>, std::fs::File), Failure>) -> Option<File> {
        match rolled {
            Ok((roll, file)) => {
                let file = File::from_std(file);
                self.rolled = Some((roll, file.clone()));
                Some(file)
            }
            Err(failure) => {
                self.outcome = Err(failure);
                None
            }
        }
    }

    fn entries_are(&mut self, stored: io::Result<Box<IndexEntries>>) {
        match stored {
            Ok(entries) => self.entries = Some(entries),
            // They stay in memory and are written later, at the latest when the segment closes.
            Err(error) => tracing::warn!(%error, "index entries could not be written yet"),
        }
    }
}

impl Failure {
    /// For an error that came before any byte of a batch was written. That a file may not be made
    /// says nothing against those that are there.
    pub(crate) fn before_a_byte(error: &io::Error) -> Self {
        if may_pass(error) || error.kind() == io::ErrorKind::PermissionDenied {
            Self::Undone(error.to_string())
        } else {
            Self::InDoubt(error.to_string())
        }
    }
}

impl IndexEntries {
    fn due(log: &Log) -> Option<Box<Self>> {
        let active = &log.segments.active;
        let offsets = active.offset_index.stretch_if_due()?;
        let times = active.time_index.stretch();
        Some(Box::new(Self {
            base_offset: active.base_offset,
            offsets,
            times,
        }))
    }

    /// On the ring: what is acknowledged next waits for it.
    async fn store(self: Box<Self>, directory: &Path) -> io::Result<Box<Self>> {
        for (kind, stretch) in [
            (Kind::OffsetIndex, &self.offsets),
            (Kind::TimeIndex, &self.times),
        ] {
            if !stretch.bytes.is_empty() {
                let path = file_name::path(directory, self.base_offset, kind);
                let file = disk::open_to_write_in_ring(&path).await?;
                let bytes = vec![Bytes::copy_from_slice(&stretch.bytes)];
                disk::write_in_ring(&file, bytes, stretch.position).await?;
            }
        }
        Ok(self)
    }
}

/// Nobody waits for it, and nothing depends on it: a file system that cannot or will not is met
/// by the writes themselves.
async fn reserve_blocks(file: File, ahead: Range<u64>) {
    let len = ahead.end - ahead.start;
    if let Err(error) = disk::reserve_in_ring(&file, ahead.start, len).await {
        tracing::debug!(%error, "no blocks reserved ahead");
    }
}

/// Nothing depends on it either.
async fn write_zeroes(file: &File, ahead: Range<u64>) {
    let zeroes = vec![reserve::zeroes(&ahead)];
    if let Err(error) = disk::write_in_ring(file, zeroes, ahead.start).await {
        tracing::debug!(%error, "no zeroes written ahead");
    }
}

async fn write_pieces(file: &File, pieces: Vec<Bytes>, position: u64) -> io::Result<()> {
    disk::write_in_ring(file, pieces, position).await
}

async fn cut_back(file: &File, position: u64, error: io::Error) -> Failure {
    judge(&error, disk::set_length_in_ring(file, position).await)
}

fn write_blocking(
    file: &File,
    pieces: &[Bytes],
    position: u64,
    then: impl FnOnce() -> io::Result<()>,
) -> Result<(), Failure> {
    if pieces.is_empty() {
        return Ok(());
    }
    let file = disk::second_descriptor(file).map_err(|error| Failure::before_a_byte(&error))?;
    let mut at = position;
    let written = pieces.iter().try_for_each(|piece| {
        disk::write_at(&file, piece, at)?;
        at += piece.len() as u64;
        Ok(())
    });
    written
        .and_then(|()| then())
        .map_err(|error| judge(&error, disk::set_length(&file, position)))
}

/// What a failed write means, given whether the file could be cut back to where it ended.
fn judge(error: &io::Error, cut: io::Result<()>) -> Failure {
    match cut {
        Ok(()) if may_pass(error) => Failure::Undone(error.to_string()),
        Ok(()) => Failure::InDoubt(error.to_string()),
        Err(cut) => Failure::InDoubt(format!(
            "{error}; and the file could not be cut back: {cut}"
        )),
    }
}

/// Whether an error says that something ran out, rather than that something broke.
pub(crate) fn may_pass(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let passing = [
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::FBIG,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::AGAIN,
        Errno::INTR,
    ];
    crate::disk_error::errno(error).is_some_and(|errno| passing.contains(&errno))
        || error.kind() == io::ErrorKind::WriteZero
}

fn store_epochs(directory: &Path, epochs: &[EpochStart]) -> io::Result<()> {
    checkpoint::write_epochs(&directory.join(crate::partition_files::EPOCHS), epochs)
}
