//! The end of a log's use: closed, so that the next start need not check it, or deleted.
//!
//! Blocking: shutdown code and `ring::offload`.

use crate::atomic_file::sync_directory;
use crate::checkpoint;
use crate::disk;
use crate::flush::FlushTo;
use crate::log::Log;
use crate::partition_files;
use crate::partition_name::{Standing, TopicPartition};
use crate::removal::Removal;
use crate::roll::IndexEnds;
use protocol::ids::Offset;
use std::io;

/// What the log directory's checkpoints say of a log that was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// Everything below is durable: the log's end.
    pub recovery_point: Offset,
    /// The log's first offset.
    pub log_start_offset: Offset,
    /// Base offset of the first segment: only a log start above it needs a checkpoint.
    pub first_segment_offset: Offset,
}

impl Log {
    /// Makes everything durable and leaves the files as Kafka leaves those of a closed log. What
    /// still waits in the queue is not written. An offline log is left alone, and is an error:
    /// its directory must not be marked clean.
    ///
    /// # Panics
    /// If a write or a flush is in flight.
    pub fn close(mut self) -> io::Result<Closed> {
        assert!(
            !self.write_in_flight() && !self.flush_in_flight(),
            "a plan of this log is running"
        );
        if let Some(reason) = self.health.failure() {
            return Err(io::Error::other(format!("the log is offline: {reason}")));
        }
        if self.epochs_dirty {
            let path = self.directory.join(partition_files::EPOCHS);
            checkpoint::write_epochs(&path, self.epochs.entries())?;
            self.flush.new_names = true;
        }
        IndexEnds::of(&self.segments.active).store_blocking(&self.directory)?;
        self.snapshots
            .take(&self.directory, self.log_end, &self.producers)?;
        if let Some(flush) = self.start_flush(FlushTo::LogEnd) {
            let flushed = flush.run_blocking();
            self.finish_flush(flushed)
                .map_err(|error| io::Error::other(error.to_string()))?;
        }
        Ok(Closed {
            topic_partition: self.topic_partition.clone(),
            recovery_point: self.recovery_point,
            log_start_offset: self.log_start,
            first_segment_offset: self.segments.first_base(),
        })
    }

    /// Deletes the log: its directory is renamed at once, and removed when the returned removal
    /// has run. Reads in progress keep the files they have open.
    pub fn delete(self) -> io::Result<Removal> {
        let parent = self
            .directory
            .parent()
            .expect("a partition's directory is in another");
        let name = self
            .topic_partition
            .directory_name_as(Standing::Deleted, crate::random::unique());
        let renamed = parent.join(name);
        disk::rename(&self.directory, &renamed)?;
        if let Err(error) = sync_directory(parent) {
            // After a power loss it may be back under its name, and is found to be no topic's.
            tracing::warn!(directory = %renamed.display(), %error, "a new name may not be durable");
        }
        tracing::info!(partition = %self.topic_partition, directory = %renamed.display(), "deleted");
        Ok(Removal::of_directory(
            renamed,
            self.config.file_delete_delay_ms,
        ))
    }
}
