//! One partition's log: its state, and what it can be asked.
//!
//! A [`Log`] lives on one shard, which owns it; it is `Send`, so that it can be loaded by another
//! thread and lent to `ring::offload`. Steps that touch files are either plans that own what they
//! need (`Write`, `Read`, `Flush`, `OffsetLookup`) or say that they block. The steps of an append
//! are in `enqueue`, `assign`, `write` and `finish`.
//!
//! Invariants: `log_start <= recovery_point <= log_end` and `log_start <= log_end`; the active
//! segment holds the end of the log; segments' base offsets rise; at most one write and one flush
//! are in flight.

use crate::active_segment::ActiveSegment;
use crate::append::{Append, AppendError};
use crate::assign::InFlight;
use crate::checkpoint::EpochStart;
use crate::compact::CompactionState;
use crate::config::LogConfig;
use crate::directory_health::DirectoryHealth;
use crate::enqueue::{AppendQueue, Checked, Queued};
use crate::leader_epochs::{EpochEnd, LeaderEpochs};
use crate::partition_files;
use crate::partition_name::TopicPartition;
use crate::producer_table::ProducerTable;
use crate::read_ends::ReadEnds;
use crate::removal::Removal;
use crate::sealed_segment::SealedSegment;
use protocol::ids::{LeaderEpoch, Offset, TimestampMs, Uuid};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A partition's log.
#[derive(Debug)]
pub struct Log {
    pub(crate) topic_partition: TopicPartition,
    pub(crate) topic_id: Option<Uuid>,
    pub(crate) directory: Arc<Path>,
    pub(crate) config: Arc<LogConfig>,
    pub(crate) segments: Segments,
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
    pub(crate) recovery_point: Offset,
    pub(crate) epochs: LeaderEpochs,
    /// The checkpoint of the epochs is behind.
    pub(crate) epochs_dirty: bool,
    pub(crate) producers: ProducerTable,
    pub(crate) snapshots: Snapshots,
    pub(crate) queue: AppendQueue,
    pub(crate) in_flight: Option<InFlight>,
    /// The last write's lists, to be used again.
    pub(crate) spare: InFlight,
    pub(crate) flush: FlushState,
    pub(crate) read_ends: Arc<ReadEnds>,
    pub(crate) compaction: CompactionState,
    /// What recovery took out of the log.
    pub(crate) set_aside: Option<Removal>,
    /// Of the log directory: when it fails, all its logs are offline at once.
    pub(crate) health: Arc<DirectoryHealth>,
}

/// The files with the batches, oldest first.
#[derive(Debug)]
pub(crate) struct Segments {
    pub(crate) sealed: Arc<Vec<Arc<SealedSegment>>>,
    pub(crate) active: ActiveSegment,
}

/// The producer snapshots on disk.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    pub(crate) offsets: BTreeSet<Offset>,
    /// There is no use in another one up to here.
    pub(crate) covered: Offset,
}

/// What is not known to be durable.
#[derive(Debug, Default)]
pub(crate) struct FlushState {
    /// Up to where the flush in flight reaches.
    pub(crate) in_flight: Option<Offset>,
    /// Closed since the last flush.
    pub(crate) unsynced: Vec<Arc<SealedSegment>>,
    /// Files were made or replaced that may not be durable: their names, and what is in the small
    /// ones.
    pub(crate) new_names: bool,
}

impl Log {
    /// Checks an append and queues it for the next write. Where its records have to be looked at
    /// or stored otherwise than they came, that is done here and may take long.
    pub fn enqueue(&mut self, append: Append) -> Result<(), AppendError> {
        let append = match self.check(append)? {
            Checked::Ready(append) => append,
            Checked::Unprepared(preparation) => preparation.run(None)?,
        };
        self.enqueue_checked(append)
    }

    /// The first half of [`Log::enqueue`], which never takes long.
    pub fn check(&self, append: Append) -> Result<Checked, AppendError> {
        self.require_online()?;
        Queued::check(append, &self.config)
    }

    /// The second half of [`Log::enqueue`].
    pub fn enqueue_checked(&mut self, append: Queued) -> Result<(), AppendError> {
        self.require_online()?;
        self.queue.push(append, self.config.queued_bytes_max)
    }

    fn require_online(&self) -> Result<(), AppendError> {
        match self.health.failure() {
            Some(reason) => Err(AppendError::Offline(reason.to_string())),
            None => Ok(()),
        }
    }

    /// Files that recovery took out of the log, to be removed after a while. Not run, they stay until
    /// the next start.
    pub fn take_set_aside(&mut self) -> Option<Removal> {
        self.set_aside.take()
    }

    /// A new leader's epoch starts at the end of the log. Reaches the checkpoint with the next
    /// write, and before it.
    pub fn begin_leader_epoch(&mut self, epoch: LeaderEpoch) {
        if self.epochs.assign(epoch, self.log_end) {
            self.epochs_dirty = true;
        }
    }

    /// Moves the log's start up to `offset`: what is before it is not read any more. Returns
    /// whether it moved.
    ///
    /// # Panics
    /// If `offset` is beyond the log's end.
    pub fn advance_log_start(&mut self, offset: Offset) -> bool {
        assert!(
            offset <= self.log_end,
            "start {offset} beyond the end {}",
            self.log_end
        );
        if offset <= self.log_start {
            return false;
        }
        self.log_start = offset;
        self.recovery_point = self.recovery_point.max(offset);
        self.epochs_dirty |= self.epochs.truncate_from_start(offset);
        true
    }

    /// The high watermark has risen: transactions that ended below it are settled.
    pub fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.producers.on_high_watermark(high_watermark);
    }

    /// Forgets idempotent producers that wrote nothing for `producer_expiration_ms`.
    pub fn expire_producers(&mut self, now: TimestampMs) {
        self.producers
            .expire(now, self.config.producer_expiration_ms);
    }

    /// Follows a change of the topic's configuration. What is queued was checked by the old one.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        let active = &mut self.segments.active;
        active.offset_index.set_bytes_max(config.index_bytes_max);
        active.time_index.set_bytes_max(config.index_bytes_max);
        active.rule.set_interval(config.index_interval_bytes);
        self.config = config;
    }

    /// The disk is not to be trusted: this log and all others of its log directory take nothing any
    /// more. Whoever waits is answered by the next write.
    pub(crate) fn go_offline(&self, reason: &str) {
        let first = self
            .health
            .fail(&format!("{}: {reason}", self.topic_partition));
        if first {
            tracing::error!(
                partition = %self.topic_partition,
                directory = %self.directory.display(),
                reason,
                "log directory is offline: nothing in it is acknowledged any more; check the disk \
                 and restart"
            );
        }
    }

    /// The partition.
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    /// Says whose the log is, where that was lost or never written. Blocking; durable with the next
    /// flush that finds something new, and otherwise written again after a power loss.
    pub fn restore_topic_id(&mut self, id: Uuid) -> io::Result<()> {
        partition_files::write_topic_id(&self.directory, id)?;
        self.topic_id = Some(id);
        self.flush.new_names = true;
        Ok(())
    }

    /// The topic's id, if the directory has one.
    pub fn topic_id(&self) -> Option<Uuid> {
        self.topic_id
    }

    /// The directory with its files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// The first offset that may be read.
    pub fn log_start_offset(&self) -> Offset {
        self.log_start
    }

    /// The offset that the next record will have.
    pub fn log_end_offset(&self) -> Offset {
        self.log_end
    }

    /// Everything below is durable.
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// Up to where consumers of committed transactions may read.
    pub fn last_stable_offset(&self, high_watermark: Offset) -> Offset {
        let unstable = self.producers.first_unstable(high_watermark);
        let stable = unstable.map_or(high_watermark, |offset| offset.max(self.log_start));
        stable.min(high_watermark)
    }

    /// The latest leader epoch that has records here or was begun here.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest()
    }

    /// The leader epoch of the record at an offset.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_of(offset)
    }

    /// Where a leader epoch ends (KIP-101, KIP-279); `None` if this log cannot know.
    pub fn offset_for_leader_epoch(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.epochs.end_of(epoch, self.log_end)
    }

    /// How many idempotent producers the log remembers.
    #[cfg(test)]
    pub(crate) fn producer_count(&self) -> usize {
        self.producers.iter().len()
    }

    /// How many bytes wait for a write.
    #[cfg(test)]
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Whether a write was started and not finished.
    pub fn write_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether the log takes nothing any more, because its log directory failed.
    pub fn is_offline(&self) -> bool {
        self.health.failure().is_some()
    }

    /// How many segments there are.
    pub fn segment_count(&self) -> usize {
        self.segments.sealed.len() + 1
    }

    /// Size of all batches in bytes.
    pub fn size_bytes(&self) -> u64 {
        let sealed: u64 = self
            .segments
            .sealed
            .iter()
            .map(|s| u64::from(s.end.0))
            .sum();
        sealed + u64::from(self.segments.active.end.0)
    }

    /// Base offset of the first segment; below the log's start if that lies within a segment.
    pub fn first_segment_offset(&self) -> Offset {
        self.segments.first_base()
    }

    /// Ends the process if the offsets contradict each other.
    pub(crate) fn assert_order(&self) {
        let (start, point, end) = (self.log_start, self.recovery_point, self.log_end);
        assert!(
            start <= point && point <= end,
            "log start {start}, recovery point {point}, end {end}"
        );
        let base = self.segments.active.base_offset;
        assert!(
            base <= end,
            "the active segment's base {base} is beyond the end {end}"
        );
    }

    pub(crate) fn epoch_entries(&self) -> &[EpochStart] {
        self.epochs.entries()
    }
}

impl Segments {
    pub(crate) fn first_base(&self) -> Offset {
        self.sealed
            .first()
            .map_or(self.active.base_offset, |s| s.base_offset)
    }

    /// Where the segment after this place begins; `None` after the active one.
    pub(crate) fn next_base(&self, at: usize) -> Option<Offset> {
        match self.sealed.get(at + 1) {
            Some(next) => Some(next.base_offset),
            None => (at < self.sealed.len()).then_some(self.active.base_offset),
        }
    }

    /// The place of the sealed segment that holds an offset, or would; its count of them if the
    /// active one does.
    pub(crate) fn floor(&self, offset: Offset) -> usize {
        if offset >= self.active.base_offset {
            return self.sealed.len();
        }
        self.sealed
            .partition_point(|s| s.base_offset <= offset)
            .saturating_sub(1)
    }
}
