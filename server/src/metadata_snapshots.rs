//! When a snapshot of the metadata log is due, how it is written, and which old ones go (KIP-630).
//!
//! Lives beside the metadata log, on its shard. Nothing of the log depends on a snapshot's being
//! written: a failure is said in the log, and tried again when the next one is due.
//! Invariant: the newest snapshot is never removed.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Instant;

use controller::Image;
use engine::metadata_snapshot::{self, SnapshotId};
use protocol::ids::{LeaderEpoch, Offset, TimestampMs};
use protocol::records::raft::SnapshotHeaderRecord;
use protocol::wire::Decoder;

use crate::clock;
use crate::config::metadata_log::MetadataLogSettings;
use crate::metadata_batches;
use crate::replay::{KraftVersion, Replayed};

/// See the module.
pub struct MetadataSnapshots {
    directory: PathBuf,
    settings: MetadataLogSettings,
    kraft: KraftVersion,
    bytes_since: Cell<u64>,
    taken_at: Cell<Instant>,
    last_timestamp: Cell<TimestampMs>,
}

impl MetadataSnapshots {
    /// Goes on from what was replayed.
    pub fn new(directory: &Path, settings: MetadataLogSettings, replayed: &Replayed) -> Self {
        Self {
            directory: directory.to_owned(),
            settings,
            kraft: replayed.kraft.clone(),
            bytes_since: Cell::new(replayed.bytes_since_snapshot),
            taken_at: Cell::new(Instant::now()),
            last_timestamp: Cell::new(replayed.last_timestamp),
        }
    }

    /// So many bytes were committed at that time.
    pub fn committed(&self, bytes: u64, at: TimestampMs) {
        self.bytes_since.set(self.bytes_since.get() + bytes);
        self.last_timestamp.set(at);
    }

    /// Whether a snapshot is to be written.
    pub fn is_due(&self) -> bool {
        let bytes = self.bytes_since.get();
        let waited = self.taken_at.get().elapsed();
        let late = self.settings.snapshot_interval_max;
        bytes >= self.settings.bytes_between_snapshots_max
            || (bytes > 0 && late.is_some_and(|late| waited >= late))
    }

    /// Writes a snapshot of the image as of the log's end, and removes old ones. Answers where the
    /// log may begin from now on.
    pub async fn take(
        &self,
        image: &Image,
        (end, epoch): (Offset, LeaderEpoch),
        log_bytes: u64,
    ) -> Option<Offset> {
        self.bytes_since.set(0);
        self.taken_at.set(Instant::now());
        let id = SnapshotId { epoch, offset: end };
        let (directory, kraft, image) = (self.directory.clone(), self.kraft.clone(), image.clone());
        let (timestamp, settings) = (self.last_timestamp.get(), self.settings.clone());
        let taken = ring::offload(move || {
            let content = metadata_batches::snapshot(&image.records(), epoch, timestamp, &kraft);
            metadata_snapshot::write(&directory, id, &content)?;
            remove_old(&directory, &settings, log_bytes)
        });
        match taken.await {
            Ok(oldest) => {
                tracing::info!("snapshot of the metadata log written at offset {end}");
                oldest.map(|oldest| oldest.offset)
            }
            Err(error) => {
                tracing::error!("writing a snapshot of the metadata log failed: {error}");
                None
            }
        }
    }
}

/// Removes the oldest snapshots while log and snapshots are too large or they are too old. Answers
/// the oldest that is left, if some went.
fn remove_old(
    directory: &Path,
    settings: &MetadataLogSettings,
    log_bytes: u64,
) -> std::io::Result<Option<SnapshotId>> {
    let all = metadata_snapshot::list(directory)?;
    let mut bytes = log_bytes;
    for id in &all {
        bytes += metadata_snapshot::size_bytes(directory, *id)?;
    }
    let mut left = all.as_slice();
    while let [oldest, _, ..] = left {
        let too_large = settings.retention_bytes.is_some_and(|max| bytes > max);
        let age_ms = clock::now_ms().0 - last_timestamp(directory, *oldest)?.0;
        let too_old = settings
            .retention
            .is_some_and(|max| age_ms > i64::try_from(max.as_millis()).unwrap_or(i64::MAX));
        if !too_large && !too_old {
            break;
        }
        bytes -= metadata_snapshot::size_bytes(directory, *oldest)?;
        metadata_snapshot::remove(directory, *oldest)?;
        tracing::info!("old metadata snapshot at offset {} removed", oldest.offset);
        left = &left[1..];
    }
    Ok(left.first().copied().filter(|_| left.len() < all.len()))
}

/// The time of the last record in a snapshot, which its header has.
fn last_timestamp(directory: &Path, id: SnapshotId) -> std::io::Result<TimestampMs> {
    let mut found = TimestampMs(0);
    metadata_snapshot::read(directory, id, &mut |batch| {
        let first = batch.records().ok().and_then(|mut records| records.next());
        if let Some(Ok(record)) = first {
            let value = record.value.unwrap_or_default();
            if let Ok(header) = SnapshotHeaderRecord::decode(&mut Decoder::new(value), 0) {
                found = TimestampMs(header.last_contained_log_timestamp);
            }
        }
        std::ops::ControlFlow::Break(())
    })?;
    Ok(found)
}
