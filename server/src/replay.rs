//! The metadata log read back at start: its batches, record by record, into an image.

use std::ops::ControlFlow;

use controller::image::{Loader, ReplayError};
use controller::{Image, record_codec};
use engine::log::Log;
use protocol::batch::{BatchError, BatchView};
use protocol::ids::Offset;

/// Why the metadata log cannot be replayed. The node does not start: what it would serve is not
/// known.
#[derive(Debug, thiserror::Error)]
pub enum ReplayFailure {
    /// A segment cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
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

/// Replays a log that has been recovered, from its start.
pub fn replay(cluster_id: &str, log: &Log) -> Result<Loader, ReplayFailure> {
    let mut loader = Loader::new(Image::new(cluster_id));
    let mut failed = None;
    log.replay(
        log.log_start_offset(),
        &mut |batch| match replay_batch(&mut loader, batch) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                failed = Some(failure);
                ControlFlow::Break(())
            }
        },
    )?;
    match failed {
        Some(failure) => Err(failure),
        None => Ok(loader),
    }
}

fn replay_batch(loader: &mut Loader, batch: &BatchView<'_>) -> Result<(), ReplayFailure> {
    if batch.header.attributes.is_control() {
        return Ok(()); // Leader changes and the like: nothing of the cluster.
    }
    let offset = batch.header.base_offset;
    for record in batch
        .records()
        .map_err(|source| ReplayFailure::Batch { offset, source })?
    {
        let record = record.map_err(|source| ReplayFailure::Batch { offset, source })?;
        let offset = record.offset;
        let record = record_codec::decode(record.value.unwrap_or_default()).map_err(|error| {
            ReplayFailure::Record {
                offset,
                reason: error.to_string(),
            }
        })?;
        loader
            .apply(&record)
            .map_err(|source| ReplayFailure::Apply { offset, source })?;
    }
    Ok(())
}
