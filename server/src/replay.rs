//! The metadata log read back at start: its newest snapshot and the batches after it, record by
//! record, into an image.

use std::ops::ControlFlow;

use controller::image::{Loader, ReplayError};
use controller::{Image, record_codec};
use engine::log::Log;
use engine::metadata_snapshot::{self, SnapshotId};
use protocol::batch::control::ControlType;
use protocol::batch::{BatchError, BatchView};
use protocol::ids::{LeaderEpoch, Offset, TimestampMs};
use protocol::records::raft::KRaftVersionRecord;
use protocol::wire::Decoder;

use crate::clock;

/// Why the metadata log cannot be replayed. The node does not start: what it would serve is not
/// known.
#[derive(Debug, thiserror::Error)]
pub enum ReplayFailure {
    /// A segment or a snapshot cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The log's beginning was removed, and no snapshot stands for it.
    #[error("it begins at offset {0}, and there is no snapshot of what was before")]
    NoSnapshot(Offset),
    /// A snapshot ends before its footer.
    #[error("its snapshot at offset {0} ends before its footer: its end is missing")]
    Incomplete(Offset),
    /// A batch is damaged.
    #[error("the batch at offset {offset} is damaged: {source}")]
    Batch {
        /// Where.
        offset: Offset,
        /// What is wrong.
        source: BatchError,
    },
    /// A record is none that this version knows.
    #[error("the record at offset {offset} cannot be understood: {reason}")]
    Record {
        /// Where.
        offset: Offset,
        /// Why not.
        reason: String,
    },
    /// A record contradicts those before it.
    #[error("the record at offset {offset} does not apply: {source}")]
    Apply {
        /// Where.
        offset: Offset,
        /// Why not.
        source: ReplayError,
    },
}

/// The version of KRaft that the quorum uses, with its voters if the log names them (KIP-853).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KraftVersion {
    /// The level of kraft.version.
    pub level: i16,
    /// The body of the newest `VotersRecord`.
    pub voters: Option<Vec<u8>>,
}

/// What the log and its snapshots say.
pub struct Replayed {
    /// The metadata.
    pub loader: Loader,
    /// The quorum's version.
    pub kraft: KraftVersion,
    /// The epoch of the last record.
    pub last_epoch: LeaderEpoch,
    /// The time of the last batch.
    pub last_timestamp: TimestampMs,
    /// How much log there is after the newest snapshot.
    pub bytes_since_snapshot: u64,
}

/// Replays a log that has been recovered. A log that ends before its newest snapshot begins anew
/// there.
pub fn replay(cluster_id: &str, log: &mut Log) -> Result<Replayed, ReplayFailure> {
    let mut replayed = Replayed {
        loader: Loader::new(Image::new(cluster_id)),
        kraft: KraftVersion::default(),
        last_epoch: log.latest_epoch().unwrap_or(LeaderEpoch(0)),
        last_timestamp: TimestampMs(0),
        bytes_since_snapshot: 0,
    };
    let snapshots = metadata_snapshot::list(log.directory())?;
    let start = log.log_start_offset();
    let from = match snapshots.last() {
        Some(newest) if newest.offset >= start => replayed.read_snapshot(log, *newest)?,
        _ if start > Offset::ZERO => return Err(ReplayFailure::NoSnapshot(start)),
        _ => start,
    };
    let mut failed = Ok(());
    log.replay(from, &mut |batch| {
        replayed.bytes_since_snapshot += batch.bytes.len() as u64;
        flow(&mut failed, replayed.batch(batch, from))
    })?;
    failed.map(|()| replayed)
}

impl Replayed {
    fn read_snapshot(&mut self, log: &mut Log, id: SnapshotId) -> Result<Offset, ReplayFailure> {
        let (mut failed, mut complete) = (Ok(()), false);
        metadata_snapshot::read(log.directory(), id, &mut |batch| {
            complete = is_footer(batch);
            flow(&mut failed, self.batch(batch, Offset::ZERO))
        })?;
        failed?;
        if !complete {
            return Err(ReplayFailure::Incomplete(id.offset));
        }
        self.last_epoch = self.last_epoch.max(id.epoch);
        if log.log_end_offset() < id.offset {
            tracing::warn!(
                "the metadata log ends at offset {}, its snapshot at {}: it begins anew there",
                log.log_end_offset(),
                id.offset
            );
            let removals = log.truncate_fully_and_start_at(id.offset, clock::now_ms())?;
            removals
                .into_iter()
                .for_each(|removal| removal.run_blocking());
        }
        Ok(id.offset)
    }

    /// Takes the records of a batch from an offset on.
    fn batch(&mut self, batch: &BatchView<'_>, from: Offset) -> Result<(), ReplayFailure> {
        let offset = batch.header.base_offset;
        let damaged = |source| ReplayFailure::Batch { offset, source };
        self.last_timestamp = self.last_timestamp.max(batch.header.max_timestamp);
        for record in batch.records().map_err(damaged)? {
            let record = record.map_err(damaged)?;
            let value = record.value.unwrap_or_default();
            if record.offset < from {
                continue;
            }
            if batch.header.attributes.is_control() {
                self.control(ControlType::from_key(record.key.unwrap_or_default()), value);
                continue;
            }
            let offset = record.offset;
            let record = record_codec::decode(value).map_err(|error| ReplayFailure::Record {
                offset,
                reason: error.to_string(),
            })?;
            self.loader
                .apply(&record)
                .map_err(|source| ReplayFailure::Apply { offset, source })?;
        }
        Ok(())
    }

    fn control(&mut self, kind: Option<ControlType>, value: &[u8]) {
        match kind {
            Some(ControlType::KraftVersion) => {
                if let Ok(version) = KRaftVersionRecord::decode(&mut Decoder::new(value), 0) {
                    self.kraft.level = version.kraft_version;
                }
            }
            Some(ControlType::KraftVoters) => self.kraft.voters = Some(value.to_vec()),
            _ => {} // Leader changes and the ends of snapshots: nothing of the cluster.
        }
    }
}

/// Whether a batch ends a snapshot.
fn is_footer(batch: &BatchView<'_>) -> bool {
    let last = batch.records().ok().and_then(Iterator::last);
    let key = last.and_then(|record| record.ok()?.key);
    batch.header.attributes.is_control()
        && key.and_then(ControlType::from_key) == Some(ControlType::SnapshotFooter)
}

fn flow(
    failed: &mut Result<(), ReplayFailure>,
    step: Result<(), ReplayFailure>,
) -> ControlFlow<()> {
    *failed = step;
    match failed {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}
