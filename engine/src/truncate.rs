//! Taking records back from the end of a log: a follower's log that diverged from its leader's, or
//! one that begins anew elsewhere.
//!
//! Blocking: lend the log to `ring::offload`. Segments that go as a whole are renamed to
//! `.deleted` and removed later, since reads may be using them; indexes are replaced by shorter
//! ones, since maps may be made of them. If a step fails, the log is offline.

use crate::active_segment::{ActiveSegment, Start};
use crate::atomic_file;
use crate::batch_walk::{Walk, find_blocking};
use crate::checkpoint;
use crate::disk;
use crate::file_name::{self, Kind};
use crate::index_entry::{
    Entry, Floor, OffsetEntry, TimeEntry, count_while, floor, relative, relative_to_search,
};
use crate::index_repair::Batches;
use crate::load::open_active;
use crate::log::Log;
use crate::partition_files;
use crate::producer_load::Replay;
use crate::removal::{self, Removal};
use crate::roll::{self, IndexEnds};
use crate::txn_index;
use protocol::ids::{Offset, Position, TimestampMs};
use ring::file::File;
use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

impl Log {
    /// Drops every record from `target` on. Nothing happens to the records if the log ends before.
    ///
    /// # Panics
    /// If a write or a flush is in flight.
    pub fn truncate_to(&mut self, target: Offset, now: TimestampMs) -> io::Result<Vec<Removal>> {
        self.check_idle()?;
        if target >= self.log_end {
            // Epochs without records may have been begun at the log's end.
            self.epochs_dirty |= self.epochs.truncate_from_end(self.log_end);
            if self.epochs_dirty {
                self.store_epochs()?;
            }
            return Ok(Vec::new());
        }
        if target < self.segments.first_base() {
            return self.truncate_fully_and_start_at(target, now);
        }
        tracing::info!(partition = %self.topic_partition, from = %self.log_end, to = %target, "truncating");
        let truncated = self.truncate_within(target, now);
        self.offline_if_failed(truncated)
    }

    /// Drops every record and goes on at `start`.
    ///
    /// # Panics
    /// If a write or a flush is in flight.
    pub fn truncate_fully_and_start_at(
        &mut self,
        start: Offset,
        now: TimestampMs,
    ) -> io::Result<Vec<Removal>> {
        self.check_idle()?;
        tracing::info!(partition = %self.topic_partition, from = %self.log_end, to = %start, "beginning anew");
        let restarted = self.restart_at(start, now);
        self.offline_if_failed(restarted)
    }

    fn check_idle(&self) -> io::Result<()> {
        assert!(
            !self.write_in_flight() && !self.flush_in_flight(),
            "a plan of this log is running"
        );
        match self.health.failure() {
            Some(reason) => Err(io::Error::other(format!("the log is offline: {reason}"))),
            None => Ok(()),
        }
    }

    fn offline_if_failed<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        done.inspect_err(|error| self.go_offline(&format!("truncation failed: {error}")))
    }

    fn truncate_within(&mut self, target: Offset, now: TimestampMs) -> io::Result<Vec<Removal>> {
        let active = &self.segments.active;
        IndexEnds::of(active).store_blocking(&self.directory)?;
        let at = self.segments.floor(target);
        let (base, end) = match self.segments.sealed.get(at) {
            Some(segment) => {
                // It will be written to; who still reads it as it was must not repair it.
                segment.standing.fix();
                (segment.base_offset, segment.end)
            }
            None => (active.base_offset, active.end),
        };
        let mut removed = Vec::new();
        for segment in self.segments.sealed.iter().skip(at + 1) {
            removed.extend(removal::give_up_sealed(&self.directory, segment)?);
        }
        if base != active.base_offset {
            removed.extend(removal::give_up(&self.directory, active.base_offset)?);
        }
        if !removed.is_empty() {
            // They must not come back behind what is cut now.
            atomic_file::sync_directory(&self.directory)?;
        }
        self.cut_segment(base, end, target)?;
        let mut active = self.reopen(base, now)?;
        note_later_timestamps(&mut active)?;
        self.read_ends = Arc::default();
        self.segments.active = active;
        Arc::make_mut(&mut self.segments.sealed).truncate(at);
        self.log_end = target;
        self.compaction.forget_from(target);
        self.log_start = self.log_start.min(target);
        self.recovery_point = self.recovery_point.min(target);
        self.flush
            .unsynced
            .retain(|segment| segment.base_offset < base);
        self.epochs.truncate_from_end(target);
        self.store_epochs()?;
        self.reload_producers(now)?;
        Ok(self.removal_of(removed))
    }

    fn restart_at(&mut self, start: Offset, now: TimestampMs) -> io::Result<Vec<Removal>> {
        let mut removed = Vec::new();
        for segment in self.segments.sealed.iter() {
            removed.extend(removal::give_up_sealed(&self.directory, segment)?);
        }
        removed.extend(removal::give_up(
            &self.directory,
            self.segments.active.base_offset,
        )?);
        self.snapshots.remove_where(&self.directory, |_| true)?;
        self.snapshots.covered = Offset::ZERO;
        let file = roll::make_segment(&self.directory, start)?;
        self.segments.active = ActiveSegment::new(start, File::from_std(file), now, &self.config);
        self.segments.sealed = Arc::default();
        self.read_ends = Arc::default();
        self.flush.unsynced.clear();
        self.producers.clear();
        self.epochs.clear();
        self.store_epochs()?;
        self.log_start = start;
        self.log_end = start;
        self.compaction.forget_from(start);
        self.recovery_point = start;
        atomic_file::sync_directory(&self.directory)?;
        Ok(self.removal_of(removed))
    }

    fn removal_of(&self, files: Vec<PathBuf>) -> Vec<Removal> {
        if files.is_empty() {
            return Vec::new();
        }
        vec![Removal::of_files(files, self.config.file_delete_delay_ms)]
    }

    /// Cuts a segment's files before the batch that holds `target`.
    fn cut_segment(&self, base: Offset, end: Position, target: Offset) -> io::Result<()> {
        let path = |kind| file_name::path(&self.directory, base, kind);
        let offsets = disk::read(&path(Kind::OffsetIndex))?;
        let times = disk::read(&path(Kind::TimeIndex))?;
        let bound = relative_to_search(target, base);
        let log = disk::open(OpenOptions::new().read(true).write(true), &path(Kind::Log))?;
        let mut start = floor(&offsets, bound);
        let batches = Batches {
            file: &log,
            base_offset: base,
            end,
        };
        if !batches.bear_out(&start)? {
            tracing::warn!(
                index = %path(Kind::OffsetIndex).display(),
                "an index is damaged: a batch is not what its entry says"
            );
            start = Floor::BEGINNING;
        }
        let walk = Walk::new(start.position, end);
        let first_gone = find_blocking(&log, walk, |b| b.last_offset >= target)?;
        let end = first_gone.map_or(end, |batch| batch.position);
        disk::set_length(&log, u64::from(end.0))?;
        disk::sync_data(&log)?;
        let kept = count_while::<OffsetEntry>(&offsets, |e| e.relative_offset < bound);
        let offsets = &offsets[..kept * OffsetEntry::BYTES];
        atomic_file::replace_derived(&path(Kind::OffsetIndex), offsets)?;
        let kept = count_while::<TimeEntry>(&times, |e| e.relative_offset < bound);
        let times = &times[..kept * TimeEntry::BYTES];
        atomic_file::replace_derived(&path(Kind::TimeIndex), times)?;
        txn_index::truncate(&path(Kind::TxnIndex), target).map(drop)
    }

    fn reopen(&self, base: Offset, now: TimestampMs) -> io::Result<ActiveSegment> {
        let opened = open_active(&self.directory, base, &self.config, now);
        match opened.map_err(io::Error::other)? {
            Some((active, _)) => Ok(active),
            None => Err(io::Error::other("the segment is damaged")),
        }
    }

    fn reload_producers(&mut self, now: TimestampMs) -> io::Result<()> {
        let (start, end) = (self.log_start, self.log_end);
        if self.producers.iter().len() == 0 {
            self.producers.clear();
            self.snapshots
                .remove_where(&self.directory, |at| at > end || at <= start)?;
            self.snapshots.covered = self.snapshots.offsets.last().copied().unwrap_or(start);
            return self.snapshots.take(&self.directory, end, &self.producers);
        }
        let sealed = self.segments.sealed.iter().map(|s| (s.base_offset, s.end));
        let active = (self.segments.active.base_offset, self.segments.active.end);
        let segments: Vec<_> = sealed.chain([active]).collect();
        let replay = Replay {
            directory: &self.directory,
            segments: &segments,
            log_start: start,
            log_end: end,
            now,
            expiration_ms: self.config.producer_expiration_ms,
            rebuild_from: None,
        };
        self.producers = replay.load(&mut self.snapshots, false)?;
        Ok(())
    }

    fn store_epochs(&mut self) -> io::Result<()> {
        let path = self.directory.join(partition_files::EPOCHS);
        checkpoint::write_epochs(&path, self.epochs.entries())?;
        self.epochs_dirty = false;
        self.flush.new_names = true;
        Ok(())
    }
}

/// The time index ends before the batches do: the largest timestamp may be behind its last entry.
fn note_later_timestamps(active: &mut ActiveSegment) -> io::Result<()> {
    let (_, indexed) = active.rule.max_timestamp();
    let start = match active.start_of(indexed) {
        Start::At(floor) => floor.position,
        Start::InFile => Position::ZERO,
    };
    let (rule, base) = (&mut active.rule, active.base_offset);
    find_blocking(&active.file, Walk::new(start, active.end), |batch| {
        if relative(batch.last_offset, base).is_some() {
            rule.note_timestamp(batch.max_timestamp, batch.last_offset);
        }
        false
    })?;
    Ok(())
}
