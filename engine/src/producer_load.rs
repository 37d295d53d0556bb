//! Producers' states at start-up and after a truncation: from the newest sound snapshot, and from
//! the batches after it. And which snapshots are kept.
//!
//! Blocking.

use crate::atomic_file;
use crate::batch_walk::{Located, Walk, find_blocking};
use crate::disk;
use crate::file_name::{self, Kind};
use crate::log::Snapshots;
use crate::producer_entry::{DataBatch, Marker, Rules};
use crate::producer_snapshot;
use crate::producer_table::{ProducerTable, is_expired};
use crate::record_check;
use crate::txn_index;
use protocol::batch::control::TransactionResult;
use protocol::batch::{BatchHeader, BatchView};
use protocol::ids::{Offset, Position, TimestampMs};
use std::fs::File;
use std::io;
use std::path::Path;

/// Which part of the log is replayed, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replay<'a> {
    pub(crate) directory: &'a Path,
    /// Base offsets and ends of all segments, oldest first.
    pub(crate) segments: &'a [(Offset, Position)],
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
    pub(crate) now: TimestampMs,
    pub(crate) expiration_ms: i64,
    /// The indexes of aborted transactions are made anew from this segment on.
    pub(crate) rebuild_from: Option<Offset>,
}

impl Snapshots {
    /// Takes note of what is in the directory, and removes what no segment begins with. The
    /// newest of those stays if it is newer than every segment: it was made when the log was
    /// closed.
    pub(crate) fn without_strays(
        directory: &Path,
        found: impl IntoIterator<Item = Offset>,
        bases: &[Offset],
    ) -> io::Result<Self> {
        let mut snapshots = Self {
            offsets: found.into_iter().collect(),
            covered: Offset::ZERO,
        };
        let newest_base = bases.last().copied().unwrap_or(Offset::ZERO);
        let strays: Vec<Offset> = snapshots
            .offsets
            .iter()
            .copied()
            .filter(|o| bases.binary_search(o).is_err())
            .collect();
        for stray in &strays {
            if *stray < newest_base || Some(stray) != strays.last() {
                snapshots.remove(directory, *stray)?;
            }
        }
        Ok(snapshots)
    }

    /// Removes the snapshots that `unwanted` names.
    pub(crate) fn remove_where(
        &mut self,
        directory: &Path,
        unwanted: impl Fn(Offset) -> bool,
    ) -> io::Result<()> {
        let gone: Vec<Offset> = self
            .offsets
            .iter()
            .copied()
            .filter(|o| unwanted(*o))
            .collect();
        gone.into_iter()
            .try_for_each(|offset| self.remove(directory, offset))
    }

    /// Writes a snapshot, unless an equal one is there.
    pub(crate) fn take(
        &mut self,
        directory: &Path,
        at: Offset,
        producers: &ProducerTable,
    ) -> io::Result<()> {
        if at <= self.covered {
            return Ok(());
        }
        let content = producer_snapshot::encode(producers.iter());
        let path = file_name::path(directory, at, Kind::Snapshot);
        atomic_file::replace_derived(&path, &content)?;
        self.offsets.insert(at);
        self.covered = at;
        Ok(())
    }

    fn remove(&mut self, directory: &Path, offset: Offset) -> io::Result<()> {
        self.offsets.remove(&offset);
        atomic_file::remove(&file_name::path(directory, offset, Kind::Snapshot))
    }
}

impl Replay<'_> {
    /// The producers at the log's end. Without any snapshot after a clean stop there are none: a
    /// log that was never written by one, or was last used by a Kafka that knew none.
    pub(crate) fn load(&self, snapshots: &mut Snapshots, clean: bool) -> io::Result<ProducerTable> {
        let mut producers = ProducerTable::default();
        if clean && snapshots.offsets.is_empty() {
            for at in self.snapshot_offsets() {
                snapshots.take(self.directory, at, &producers)?;
            }
            return Ok(producers);
        }
        let (start, end) = (self.log_start, self.log_end);
        let newest = self.rebuild_from.unwrap_or(end).min(end);
        snapshots.remove_where(self.directory, |at| at > newest || at <= start)?;
        let from = self.load_newest(snapshots, &mut producers)?;
        snapshots.covered = from;
        self.replay_from(from, snapshots, &mut producers)?;
        snapshots.take(self.directory, end, &producers)?;
        Ok(producers)
    }

    /// Loads the newest sound snapshot, and returns where it was made.
    fn load_newest(
        &self,
        snapshots: &mut Snapshots,
        producers: &mut ProducerTable,
    ) -> io::Result<Offset> {
        while let Some(&newest) = snapshots.offsets.last() {
            let path = file_name::path(self.directory, newest, Kind::Snapshot);
            match producer_snapshot::decode(&disk::read(&path)?) {
                Ok(entries) => {
                    for (producer, entry) in entries {
                        if !is_expired(&entry, self.now, self.expiration_ms) {
                            producers.load(producer, entry);
                        }
                    }
                    return Ok(newest);
                }
                Err(why) => {
                    tracing::warn!(file = %path.display(), %why, "removing a damaged snapshot");
                    snapshots.remove(self.directory, newest)?;
                }
            }
        }
        Ok(self.log_start)
    }

    fn replay_from(
        &self,
        from: Offset,
        snapshots: &mut Snapshots,
        producers: &mut ProducerTable,
    ) -> io::Result<()> {
        if from >= self.log_end {
            return Ok(());
        }
        let first = self
            .segments
            .partition_point(|(base, _)| *base <= from)
            .saturating_sub(1);
        let wanted: Vec<Offset> = self.snapshot_offsets().collect();
        for &(base, end) in self.segments.get(first..).unwrap_or(&[]) {
            if base > from && wanted.contains(&base) {
                snapshots.take(self.directory, base, producers)?;
            }
            let file = disk::open_to_read(&file_name::path(self.directory, base, Kind::Log))?;
            let aborted = replay_segment(&file, end, from.max(self.log_start), producers)?;
            if self
                .rebuild_from
                .is_some_and(|rebuild_from| base >= rebuild_from)
            {
                self.replace_txn_index(base, &aborted)?;
            }
        }
        Ok(())
    }

    fn replace_txn_index(&self, base: Offset, entries: &[u8]) -> io::Result<()> {
        let path = file_name::path(self.directory, base, Kind::TxnIndex);
        if entries.is_empty() {
            return atomic_file::remove(&path);
        }
        atomic_file::replace_derived(&path, entries)
    }

    /// Where snapshots are worth having: at the last two segments and at the end.
    fn snapshot_offsets(&self) -> impl Iterator<Item = Offset> {
        let bases = self.segments.iter().map(|(base, _)| *base);
        bases
            .skip(self.segments.len().saturating_sub(2))
            .chain([self.log_end])
    }
}

/// Replays a segment, and gives the entries of its index of aborted transactions.
fn replay_segment(
    file: &File,
    end: Position,
    from: Offset,
    producers: &mut ProducerTable,
) -> io::Result<Vec<u8>> {
    let mut walk = Walk::new(Position::ZERO, end);
    let mut aborted = Vec::new();
    loop {
        // Batches of data need no more than their header; a marker has to be read.
        let marker = find_blocking(file, walk, |batch| {
            let Some(header) = batch.header.filter(|h| h.has_producer()) else {
                return false;
            };
            if batch.last_offset < from {
                return false;
            }
            if !header.attributes.is_control() {
                replay_data(&header, producers);
            }
            header.attributes.is_control()
        })?;
        producers.commit();
        let Some(marker) = marker else {
            return Ok(aborted);
        };
        replay_marker(file, &marker, producers)?;
        aborted.extend(txn_index::encode_staged(producers));
        producers.commit();
        walk = walk.after(&marker);
    }
}

fn replay_data(header: &BatchHeader, producers: &mut ProducerTable) {
    let data = DataBatch {
        producer: header.producer_id,
        epoch: header.producer_epoch,
        first_sequence: header.base_sequence,
        last_sequence: header.last_sequence(),
        first_offset: header.base_offset,
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
        transactional: header.attributes.is_transactional(),
    };
    producers.mark();
    producers
        .stage_data(&data, Rules::Replica)
        .expect("a replica takes what the leader took");
}

fn replay_marker(file: &File, batch: &Located, producers: &mut ProducerTable) -> io::Result<()> {
    let mut bytes = vec![0; batch.bytes as usize];
    disk::read_exact_at(file, &mut bytes, u64::from(batch.position.0))?;
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let view = BatchView::first_of(&bytes).map_err(invalid)?;
    let end = record_check::transaction_end(&view)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let Some(end) = end else { return Ok(()) };
    let marker = Marker {
        producer: view.header.producer_id,
        epoch: view.header.producer_epoch,
        coordinator_epoch: end.coordinator_epoch,
        offset: view.header.base_offset,
        timestamp: view.header.max_timestamp,
        aborts: end.result == TransactionResult::Abort,
    };
    producers.mark();
    producers
        .stage_marker(&marker, Rules::Replica)
        .expect("a replica takes what the leader took");
    Ok(())
}
