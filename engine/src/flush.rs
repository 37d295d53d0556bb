//! Making a log durable, and knowing up to where it is.
//!
//! One flush at a time; writes go on meanwhile. The active segment is synced through the ring; closed
//! segments, their indexes and snapshots, and names and small files that are new, on a helper thread:
//! if they are all, on the one for what no request waits for. Where too many closed segments wait for
//! that, closing another one syncs it (`roll`).
//! Invariants: the recovery point rises only after everything below it is synced; a failed sync
//! takes the log offline and is never retried, since the kernel may have forgotten what it could not
//! write.

use crate::append::AppendError;
use crate::disk;
use crate::file_name::{self, Kind};
use crate::log::Log;
use crate::open_segments;
use crate::partition_files;
use crate::sealed_segment::SealedSegment;
use crate::write::may_pass;
use protocol::ids::Offset;
use ring::file::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

/// Up to where a log is to be made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlushTo {
    /// All segments but the active one: after a segment was closed.
    ActiveSegment,
    /// Everything that was acknowledged before.
    LogEnd,
}

/// A flush, to be run.
#[derive(Debug)]
#[must_use = "a flush must be run and given to finish_flush"]
pub struct Flush {
    directory: Arc<Path>,
    sealed: Vec<Arc<SealedSegment>>,
    /// Where the active segment begins, and the last snapshot was made.
    active_base: Offset,
    active: Option<File>,
    /// The names in the directory, the topic's id and the leader epochs are synced as well.
    names: bool,
    recovery_point: Offset,
}

/// What came of a flush.
#[derive(Debug)]
#[must_use = "what was flushed must be given to finish_flush"]
pub struct Flushed {
    recovery_point: Offset,
    outcome: Result<(), FlushError>,
    /// What is to be flushed again, if nothing was lost.
    sealed: Vec<Arc<SealedSegment>>,
    names: bool,
}

/// Why a flush did not come to its end.
#[derive(Debug)]
pub(crate) enum FlushError {
    /// A file could not be opened for want of descriptors or memory: no sync has failed, and the
    /// next flush may succeed.
    NotBegun(io::Error),
    /// What is on the disk is not known any more.
    Failed(io::Error),
}

impl FlushError {
    fn of_open(error: io::Error) -> Self {
        match may_pass(&error) {
            true => Self::NotBegun(error),
            false => Self::Failed(error),
        }
    }
}

impl Log {
    /// The flush that is due, now or when the one in flight has ended: after a segment was closed,
    /// or after `flush.messages` records that no flush has reached.
    pub fn flush_due(&self) -> Option<FlushTo> {
        if self.is_offline() {
            return None;
        }
        let reached = self.flush.in_flight.map_or(self.recovery_point, |to| {
            to.max(self.recovery_point).min(self.log_end)
        });
        if self.log_end - reached >= self.config.flush_records {
            return Some(FlushTo::LogEnd);
        }
        (!self.flush.unsynced.is_empty()).then_some(FlushTo::ActiveSegment)
    }

    /// Whether a flush was started and not finished.
    pub fn flush_in_flight(&self) -> bool {
        self.flush.in_flight.is_some()
    }

    /// Begins a flush. `None` if there is nothing to make durable, or a flush is in flight.
    pub fn start_flush(&mut self, to: FlushTo) -> Option<Flush> {
        if self.flush_in_flight() || self.is_offline() {
            return None;
        }
        let active = &self.segments.active;
        let active_base = active.base_offset;
        let (recovery_point, active) = match to {
            FlushTo::ActiveSegment => (active_base, None),
            FlushTo::LogEnd => (self.log_end, Some(active.file.clone())),
        };
        let sealed = std::mem::take(&mut self.flush.unsynced);
        if recovery_point <= self.recovery_point && sealed.is_empty() {
            return None;
        }
        if to == FlushTo::LogEnd {
            let active = &mut self.segments.active;
            active.reserve.flushes(u64::from(active.end.0));
        }
        self.flush.in_flight = Some(recovery_point);
        let names = std::mem::take(&mut self.flush.new_names);
        let directory = self.directory.clone();
        Some(Flush {
            directory,
            sealed,
            active_base,
            active,
            names,
            recovery_point,
        })
    }

    /// Takes back a flush that ran.
    pub fn finish_flush(&mut self, flushed: Flushed) -> Result<(), AppendError> {
        self.flush.in_flight = None;
        let Flushed {
            recovery_point,
            outcome,
            sealed,
            names,
        } = flushed;
        match outcome {
            Ok(()) => {}
            Err(FlushError::NotBegun(error)) => {
                tracing::warn!(partition = %self.topic_partition, %error, "a flush could not begin");
                let newer = std::mem::replace(&mut self.flush.unsynced, sealed);
                self.flush.unsynced.extend(newer);
                self.flush.new_names |= names;
                return Err(AppendError::WriteFailed(error.to_string()));
            }
            Err(FlushError::Failed(error)) => {
                self.go_offline(&format!("flush failed: {error}"));
                return Err(AppendError::Offline(error.to_string()));
            }
        }
        if let Some(reason) = self.health.failure() {
            // The same disk failed elsewhere: what a sync said since then is not believed.
            return Err(AppendError::Offline(reason.to_string()));
        }
        // A truncation may have happened meanwhile.
        self.recovery_point = self.recovery_point.max(recovery_point.min(self.log_end));
        self.assert_order();
        Ok(())
    }
}

impl Flush {
    /// Runs it.
    pub async fn run(mut self) -> Flushed {
        let active = self.active.take();
        let mut outcome = Ok(());
        if self.names || !self.sealed.is_empty() {
            let sync = move || {
                let outcome = self.sync_rest_blocking();
                (self, outcome)
            };
            // A flush to the log's end is one that appends may wait for.
            (self, outcome) = match active {
                Some(_) => disk::offload_slow(sync).await,
                None => disk::offload_unhurried(sync).await,
            };
        }
        if let (Ok(()), Some(file)) = (&outcome, &active) {
            outcome = disk::sync_data_in_ring(file)
                .await
                .map_err(FlushError::Failed);
        }
        self.ended(outcome)
    }

    /// Runs it on this thread.
    pub(crate) fn run_blocking(self) -> Flushed {
        let outcome = self.sync_rest_blocking().and_then(|()| match &self.active {
            Some(file) => disk::sync_data(file).map_err(FlushError::Failed),
            None => Ok(()),
        });
        self.ended(outcome)
    }

    fn ended(self, outcome: Result<(), FlushError>) -> Flushed {
        Flushed {
            recovery_point: self.recovery_point,
            outcome,
            sealed: self.sealed,
            names: self.names,
        }
    }

    /// Syncs all but the active segment.
    fn sync_rest_blocking(&self) -> Result<(), FlushError> {
        // A segment that was given up meanwhile need not be durable.
        let closed = self.sealed.iter().filter(|s| !s.is_durable());
        for segment in closed.filter(|s| s.standing.is_in_use()) {
            match segment.file_blocking() {
                Ok(file) => sync_segment(&self.directory, segment.base_offset, file)?,
                Err(_) if !segment.standing.is_in_use() => continue,
                Err(error) => return Err(FlushError::of_open(error)),
            }
            segment.set_durable();
        }
        if !self.sealed.is_empty() {
            sync_if_there(&file_name::path(
                &self.directory,
                self.active_base,
                Kind::Snapshot,
            ))?;
        }
        if self.names {
            for small in [partition_files::METADATA, partition_files::EPOCHS] {
                sync_if_there(&self.directory.join(small))?;
            }
            let txn_index = file_name::path(&self.directory, self.active_base, Kind::TxnIndex);
            sync_if_there(&txn_index)?;
        }
        if self.names || !self.sealed.is_empty() {
            sync_if_there(&self.directory)?;
        }
        match self.directory.parent() {
            Some(parent) if self.names => sync_if_there(parent),
            _ => Ok(()),
        }
    }
}

/// Syncs a closed segment: its batches, through the file they were written to, and its indexes.
pub(crate) fn sync_segment(
    directory: &Path,
    base_offset: Offset,
    file: impl AsFd,
) -> Result<(), FlushError> {
    disk::sync_data(file).map_err(FlushError::Failed)?;
    for kind in [Kind::OffsetIndex, Kind::TimeIndex, Kind::TxnIndex] {
        sync_if_there(&file_name::path(directory, base_offset, kind))?;
    }
    Ok(())
}

/// Syncs a file or a directory. What is not there any more was given up.
fn sync_if_there(path: &Path) -> Result<(), FlushError> {
    match open_segments::of_process().with_room(|| disk::open_to_read(path)) {
        Ok(file) => disk::sync_all(&file).map_err(FlushError::Failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FlushError::of_open(error)),
    }
}
