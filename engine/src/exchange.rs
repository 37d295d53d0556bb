//! The copy of a log takes the log's place, in another log directory (KIP-113).
//!
//! The order on disk: the log's directory is renamed to `-delete`, and once that is durable the
//! copy's to the plain name. In between there is only the copy, which is complete: the next start gives
//! it the name (the cluster metadata says that the partition is to be there). So there are never two
//! logs of a partition, and no copy of which nobody knows whether it is complete.
//! Invariant: from [`Log::start_exchange`] to [`Log::finish_exchange`] nothing is written to either.

use crate::atomic_file::sync_directory;
use crate::disk;
use crate::log::Log;
use crate::partition_name::Standing;
use crate::removal::Removal;
use crate::sealed_segment::SealedSegment;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The renaming of both directories, to be run.
#[derive(Debug)]
#[must_use = "nothing is in place before this is run"]
pub struct Exchange {
    log: Arc<Path>,
    copy: Arc<Path>,
    deleted: Arc<Path>,
    /// The log's, which may be read meanwhile and later.
    sealed: Arc<Vec<Arc<SealedSegment>>>,
    delete_delay_ms: i64,
}

/// The copy has the log's name; the log still has to take it.
#[derive(Debug)]
#[must_use = "the log must take it"]
pub struct Exchanged {
    directory: Arc<Path>,
    removal: Removal,
}

/// Why the copy is not in the log's place.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Everything is as before.
    #[error("{0}")]
    Undone(io::Error),
    /// The log's directory has lost its name. The next start puts the copy in its place.
    #[error("{0}")]
    HalfDone(io::Error),
}

impl Log {
    /// Plans to put `copy` in the place of this log.
    ///
    /// # Panics
    /// If the copy is not complete, or one of them is being written or flushed.
    pub fn start_exchange(&self, copy: &Log) -> Exchange {
        for log in [self, copy] {
            let idle = !log.write_in_flight() && !log.flush_in_flight();
            assert!(idle, "a plan of {} is running", log.directory.display());
        }
        assert_eq!(self.log_end, copy.log_end, "the copy is complete");
        assert!(
            copy.recovery_point >= self.recovery_point.min(copy.log_end),
            "what is durable stays so"
        );
        let name = self
            .topic_partition
            .directory_name_as(Standing::Deleted, crate::random::unique());
        Exchange {
            log: self.directory.clone(),
            copy: copy.directory.clone(),
            deleted: parent(&self.directory).join(name).into(),
            sealed: self.segments.sealed.clone(),
            delete_delay_ms: self.config.file_delete_delay_ms,
        }
    }

    /// The copy is this log from now on: what waits to be written, and what is known of producers and
    /// leader epochs, goes over to it. Answers the old log, to be dropped where closing files may take
    /// long, and the removal of its files.
    pub fn finish_exchange(&mut self, mut copy: Log, exchanged: Exchanged) -> (Log, Removal) {
        copy.settle_in(exchanged.directory);
        std::mem::swap(&mut self.queue, &mut copy.queue);
        std::mem::swap(&mut self.producers, &mut copy.producers);
        copy.epochs = self.epochs.clone();
        copy.epochs_dirty = true;
        copy.advance_log_start(self.log_start);
        copy.set_cleaned_to(self.cleaned_to());
        copy.set_config(self.config.clone());
        copy.assert_order();
        tracing::info!(
            partition = %self.topic_partition,
            from = %self.directory.display(),
            to = %copy.directory.display(),
            "moved"
        );
        (std::mem::replace(self, copy), exchanged.removal)
    }

    /// The log cannot be used any more: its directory has no name.
    pub fn lost_its_name(&self, error: &ExchangeError) {
        self.go_offline(&format!("moving a log to another directory: {error}"));
    }

    /// Its directory has another name now.
    fn settle_in(&mut self, directory: Arc<Path>) {
        let sealed = self.segments.sealed.iter();
        let moved: Vec<_> = sealed.map(|s| Arc::new(s.moved_to(&directory))).collect();
        for unsynced in &mut self.flush.unsynced {
            let same = moved.iter().find(|s| s.base_offset == unsynced.base_offset);
            *unsynced = same.expect("it is one of the log's").clone();
        }
        self.segments.sealed = Arc::new(moved);
        self.directory = directory;
    }
}

impl Exchange {
    /// Renames both.
    pub fn run_blocking(self) -> Result<Exchanged, ExchangeError> {
        self.sealed.iter().for_each(|s| s.leave_in(&self.deleted));
        let renamed = disk::rename(&self.log, &self.deleted).map_err(ExchangeError::Undone);
        let settled = renamed.and_then(|()| self.settle().map_err(|error| self.take_back(error)));
        for segment in &*self.sealed {
            match &settled {
                Err(ExchangeError::Undone(_)) => segment.standing.stay(),
                _ => segment.standing.gone(),
            }
        }
        let removal = Removal::of_directory(self.deleted.to_path_buf(), self.delete_delay_ms);
        settled.map(|directory| Exchanged { directory, removal })
    }

    fn settle(&self) -> io::Result<Arc<Path>> {
        sync_directory(parent(&self.log))?;
        let to = parent(&self.copy).join(self.log.file_name().expect("a partition's directory"));
        disk::rename(&self.copy, &to)?;
        if let Err(error) = sync_directory(parent(&to)) {
            // After a power loss it may be a copy again, and takes its place at the next start.
            tracing::warn!(directory = %to.display(), %error, "a new name may not be durable");
        }
        Ok(to.into())
    }

    fn take_back(&self, error: io::Error) -> ExchangeError {
        let back = disk::rename(&self.deleted, &self.log);
        match back.and_then(|()| sync_directory(parent(&self.log))) {
            Ok(()) => ExchangeError::Undone(error),
            Err(_) => ExchangeError::HalfDone(error),
        }
    }
}

fn parent(directory: &Path) -> &Path {
    directory
        .parent()
        .expect("a partition's directory is in another")
}
