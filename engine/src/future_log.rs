//! The copy of a log in another log directory, on its way to take the log's place (KIP-113):
//! `<topic>-<partition>.<32 hex>-future`. What is in it, its log has too, until it is complete.
//!
//! Blocking: for start-up and threads that may wait. Batches are copied as they are, with their
//! offsets, leader epochs and producers. Invariant: a copy holds a stretch of its log without gaps,
//! from the log's start at some time.

use crate::append::{Append, AppendError, Origin};
use crate::atomic_file::sync_directory;
use crate::checkpoint;
use crate::config::LogConfig;
use crate::directory::{
    CHECKPOINTS, CLEANED, HIGH_WATERMARKS, LOG_STARTS, LogDirectory, METADATA_TOPIC,
    PartitionCheckpoint, RECOVERY_POINTS,
};
use crate::disk;
use crate::flush::FlushTo;
use crate::log::Log;
use crate::log_slice::LogSlice;
use crate::open_error::OpenError;
use crate::partition_files;
use crate::partition_name::{Standing, TopicPartition};
use crate::read::{Read, ReadError, ReadFrom};
use bytes::Bytes;
use protocol::batch::Batches;
use protocol::ids::{LeaderEpoch, Offset, TimestampMs, Uuid};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A copy that an earlier process was filling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFuture {
    /// Of which log.
    pub partition: TopicPartition,
    /// The topic's id, if the copy has it.
    pub topic_id: Option<Uuid>,
    /// Its directory.
    pub path: PathBuf,
}

/// Why nothing more was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The log could not be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// What follows in the log does not follow in the copy, which has to begin anew.
    #[error("the log has no batch that begins where its copy ends, at {0}")]
    DoesNotFit(Offset),
    /// The copy could not be written.
    #[error("{0}")]
    Append(#[from] AppendError),
}

/// What a copy gets next of its log, to be found in the log's files.
pub struct CopyRead {
    read: Read,
    upper_bound: Offset,
}

/// What was found: batches, or nothing up to where the log ended when it was asked. What came to the
/// log since is no part of it.
pub struct CopyPiece {
    slice: LogSlice,
    upper_bound: Offset,
}

impl CopyRead {
    /// Finds it.
    pub async fn run(self) -> io::Result<CopyPiece> {
        Ok(CopyPiece {
            slice: self.read.run().await?,
            upper_bound: self.upper_bound,
        })
    }
}

impl LogDirectory {
    /// The copies in this directory, with the topic ids in them.
    pub fn futures(&self) -> io::Result<Vec<FoundFuture>> {
        let mut found = Vec::new();
        for entry in disk::list(self.path())? {
            let (name, path) = (entry.file_name(), entry.path());
            let parsed = name.to_str().and_then(TopicPartition::from_directory_name);
            let Some((partition, Standing::Future)) = parsed else {
                continue;
            };
            if &*partition.topic == METADATA_TOPIC || !disk::is_directory(&path)? {
                continue;
            }
            let topic_id = partition_files::read_topic_id(&path)?;
            found.push(FoundFuture {
                partition,
                topic_id,
                path,
            });
        }
        found.sort_by(|a, b| (&a.partition, &a.path).cmp(&(&b.partition, &b.path)));
        Ok(found)
    }

    /// Whether a log of this partition was given up here and waits for its removal: one whose copy
    /// had become complete, or one that was deleted.
    pub fn has_deleted(&self, partition: &TopicPartition) -> io::Result<bool> {
        let is_it = |entry: std::fs::DirEntry| {
            let name = entry.file_name();
            let parsed = name.to_str().and_then(TopicPartition::from_directory_name);
            parsed.is_some_and(|(of, standing)| of == *partition && standing == Standing::Deleted)
        };
        Ok(disk::list(self.path())?.into_iter().any(is_it))
    }

    /// Begins a copy. An attempt that fails leaves nothing behind. Nobody may write the directory's
    /// checkpoints meanwhile.
    pub fn create_future(
        &self,
        topic_partition: &TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
        now: TimestampMs,
    ) -> Result<Log, OpenError> {
        let name = topic_partition.directory_name_as(Standing::Future, crate::random::unique());
        let path = self.path().join(name);
        self.forget_checkpoints(topic_partition)
            .map_err(OpenError::at(self.path()))?;
        self.create_log_at(path, topic_partition, topic_id, config, now)
    }

    /// What the checkpoints say of a log that was here before does not hold for its copy.
    fn forget_checkpoints(&self, partition: &TopicPartition) -> io::Result<()> {
        CHECKPOINTS.into_iter().try_for_each(|file| {
            self.change_checkpoint(file, |offsets| offsets.remove(partition).is_some())
        })
    }

    /// Changes a checkpoint, if `change` says that there is something to change. One that is damaged
    /// is written anew with the next ones.
    fn change_checkpoint(
        &self,
        file: &str,
        change: impl FnOnce(&mut HashMap<TopicPartition, Offset>) -> bool,
    ) -> io::Result<()> {
        let path = self.path().join(file);
        let mut offsets = match checkpoint::read_offsets(&path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(()),
            read => read?,
        };
        if !change(&mut offsets) {
            return Ok(());
        }
        let left: Vec<_> = offsets.into_iter().collect();
        checkpoint::write_offsets(&path, &left)
    }

    /// Says of one partition what is true of the copy that is to take its log's place, and leaves what
    /// is said of others. Nobody may write the directory's checkpoints meanwhile.
    pub fn write_checkpoint_of(
        &self,
        partition: &TopicPartition,
        said: PartitionCheckpoint,
    ) -> io::Result<()> {
        let said = [
            (RECOVERY_POINTS, said.recovery_point),
            (CLEANED, said.cleaned_to),
            (LOG_STARTS, said.log_start),
            (HIGH_WATERMARKS, said.high_watermark),
        ];
        for (file, offset) in said {
            self.change_checkpoint(file, |offsets| {
                let before = offsets.remove(partition);
                offsets.extend(offset.map(|offset| (partition.clone(), offset)));
                before != offset
            })?;
        }
        Ok(())
    }

    /// Opens a copy, to go on with it.
    pub fn open_future(
        &self,
        found: &FoundFuture,
        config: Arc<LogConfig>,
        now: TimestampMs,
    ) -> Result<Log, OpenError> {
        self.load_log_at(found.path.clone(), &found.partition, config, now)
    }

    /// Gives a copy that nobody has opened another name: of the partition's log, or of what is
    /// deleted at the next start, or is left alone.
    pub fn rename_future(&self, found: &FoundFuture, standing: Standing) -> io::Result<()> {
        let name = match standing {
            Standing::Current => found.partition.to_string(),
            other => found
                .partition
                .directory_name_as(other, crate::random::unique()),
        };
        let to = self.path().join(name);
        disk::rename(&found.path, &to)?;
        tracing::info!(from = %found.path.display(), to = %to.display(), "a copy of a log is renamed");
        sync_directory(self.path())
    }
}

impl Log {
    /// What follows in this log for a copy that ends at `copy_end`: at most so many bytes, unless one
    /// batch is larger.
    pub fn read_for_copy(&self, copy_end: Offset, bytes_max: u32) -> Result<CopyRead, ReadError> {
        let upper_bound = self.log_end;
        let read = self.read(ReadFrom {
            offset: copy_end,
            upper_bound,
            bytes_max,
            min_one_batch: true,
        })?;
        Ok(CopyRead { read, upper_bound })
    }

    /// Appends a piece of the log that this one is the copy of, and follows that log's start. Segments
    /// that were closed are synced. Answers how many bytes that were.
    ///
    /// # Panics
    /// If a write or a flush is in flight.
    pub fn copy_blocking(
        &mut self,
        piece: &CopyPiece,
        log_start: Offset,
        now: TimestampMs,
    ) -> Result<usize, CopyError> {
        let slice = &piece.slice;
        if slice.is_empty() {
            self.end_copy_at(piece.upper_bound, now)?;
            return Ok(0);
        }
        let mut bytes = vec![0; slice.len as usize];
        disk::read_exact_at(&slice.file, &mut bytes, slice.position)?;
        let mut first = None;
        let mut whole = 0;
        for batch in Batches::new(&bytes).map_while(Result::ok) {
            first.get_or_insert(batch.header.base_offset);
            whole += batch.bytes.len();
        }
        let Some(first) = first else {
            let what = format!("there is no batch at position {}", slice.position);
            return Err(CopyError::Read(disk::invalid(&slice.file, what)));
        };
        bytes.truncate(whole);
        if first < self.log_end {
            if self.log_start < self.log_end {
                return Err(CopyError::DoesNotFit(self.log_end));
            }
            // The log's start lies within a batch.
            self.begin_copy_at(first, now)?;
        }
        self.append_now(
            Append {
                token: 0,
                batches: Bytes::from(bytes),
                leader_epoch: LeaderEpoch::NONE,
                origin: Origin::Leader,
            },
            now,
        )?;
        self.advance_log_start(log_start.min(self.log_end));
        if let Some(to) = self.flush_due() {
            self.flush_to_blocking(to)?;
        }
        Ok(whole)
    }

    /// Drops all of a copy, which goes on at `start`.
    ///
    /// # Panics
    /// If a write or a flush is in flight.
    pub fn begin_copy_at(&mut self, start: Offset, now: TimestampMs) -> io::Result<()> {
        for removal in self.truncate_fully_and_start_at(start, now)? {
            removal.run_blocking();
        }
        Ok(())
    }

    /// Drops what a copy has from `end` on.
    ///
    /// # Panics
    /// If a write or a flush is in flight.
    pub fn cut_copy_at(&mut self, end: Offset, now: TimestampMs) -> io::Result<()> {
        for removal in self.truncate_to(end, now)? {
            removal.run_blocking();
        }
        Ok(())
    }

    /// Compaction left nothing at the end of the log, which goes on at `end`: so does the copy. One
    /// that ends with such a gap already stays as it is, until records follow in the log.
    pub(crate) fn end_copy_at(&mut self, end: Offset, now: TimestampMs) -> Result<(), CopyError> {
        if self.first_segment_offset() == self.log_end {
            self.begin_copy_at(end, now)?;
        } else if let Some(write) = self.start_roll_to(end, now) {
            let mut done = Vec::new();
            self.finish_write(write.run_blocking(), &mut done);
        }
        Ok(())
    }

    /// A copy knows up to where its log was compacted when it began.
    pub fn copy_cleaned_to(&mut self, offset: Option<Offset>) {
        self.set_cleaned_to(offset);
    }

    /// Makes all of a log durable.
    ///
    /// # Panics
    /// If a flush is in flight.
    pub fn flush_blocking(&mut self) -> Result<(), AppendError> {
        self.flush_to_blocking(FlushTo::LogEnd)
    }

    fn flush_to_blocking(&mut self, to: FlushTo) -> Result<(), AppendError> {
        assert!(!self.flush_in_flight(), "a flush of this log is running");
        match self.start_flush(to) {
            Some(flush) => self.finish_flush(flush.run_blocking()),
            None => Ok(()),
        }
    }
}
