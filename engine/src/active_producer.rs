//! What tools are told of the producers that write to a log (KIP-664).

use crate::log::Log;
use protocol::ids::{Offset, ProducerEpoch, ProducerId, TimestampMs};

/// A producer that the log remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ActiveProducer {
    /// Its id.
    pub id: ProducerId,
    /// Its latest epoch.
    pub epoch: ProducerEpoch,
    /// The sequence number of its last record, -1 if none is known.
    pub last_sequence: i32,
    /// The timestamp of its last batch or marker.
    pub last_timestamp: TimestampMs,
    /// The epoch of the transaction coordinator that wrote its last marker, -1 if none did.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub transaction_start: Option<Offset>,
}

impl Log {
    /// The producers that the log remembers, in no order.
    pub fn active_producers(&self) -> impl ExactSizeIterator<Item = ActiveProducer> {
        self.producers.iter().map(|(id, entry)| ActiveProducer {
            id,
            epoch: entry.epoch,
            last_sequence: entry.last_sequence(),
            last_timestamp: entry.last_timestamp,
            coordinator_epoch: entry.coordinator_epoch,
            transaction_start: entry.transaction_start,
        })
    }
}
