//! Which producers' transactions are being verified before their first batch here (KIP-890).
//!
//! A producer's first batch of a transaction waits while the transaction coordinator is asked
//! whether this partition is part of it. The guard given out before is void as soon as anything of
//! that producer enters the log, above all the marker that ends its transaction: what was verified
//! then is over. In memory only.

use crate::append::AppendError;
use crate::log::Log;
use protocol::ids::{ProducerEpoch, ProducerId, TimestampMs};
use std::collections::HashMap;

/// Stands for one verification of one producer in one log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerificationGuard(u64);

/// A producer whose transaction has not written here.
#[derive(Debug)]
struct Verification {
    guard: VerificationGuard,
    epoch: ProducerEpoch,
    /// Of the batches seen so far. One that a later batch overtook must still be able to go
    /// first, or its producer would send it again and again.
    lowest_sequence: i32,
    began: TimestampMs,
}

/// The verifications of one log.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    by_producer: HashMap<ProducerId, Verification>,
    last_guard: u64,
}

impl Verifications {
    /// The guard for a batch that needs verification; the same until something of the producer
    /// is written.
    pub(crate) fn begin(
        &mut self,
        producer: ProducerId,
        epoch: ProducerEpoch,
        sequence: i32,
        now: TimestampMs,
    ) -> VerificationGuard {
        let known = self.by_producer.entry(producer).or_insert_with(|| {
            self.last_guard += 1;
            Verification {
                guard: VerificationGuard(self.last_guard),
                epoch,
                lowest_sequence: sequence,
                began: now,
            }
        });
        if epoch > known.epoch {
            known.epoch = epoch;
            known.lowest_sequence = sequence;
        } else if epoch == known.epoch {
            known.lowest_sequence = known.lowest_sequence.min(sequence);
        }
        known.guard
    }

    /// Whether nothing of the producer was written since the guard was given out.
    pub(crate) fn stands(&self, producer: ProducerId, guard: VerificationGuard) -> bool {
        let known = self.by_producer.get(&producer);
        known.is_some_and(|known| known.guard == guard)
    }

    /// Refuses a batch that overtook an earlier one.
    pub(crate) fn check_sequence(
        &self,
        producer: ProducerId,
        sequence: i32,
    ) -> Result<(), AppendError> {
        match self.by_producer.get(&producer) {
            Some(known) if sequence > known.lowest_sequence => {
                Err(AppendError::OutOfOrderSequence {
                    producer,
                    found: sequence,
                    last: known.lowest_sequence,
                })
            }
            _ => Ok(()),
        }
    }

    /// Something of the producer is in the log.
    pub(crate) fn end(&mut self, producer: ProducerId) {
        if !self.by_producer.is_empty() {
            self.by_producer.remove(&producer);
        }
    }

    /// Forgets those that came to nothing.
    pub(crate) fn expire(&mut self, now: TimestampMs, expiration_ms: i64) {
        self.by_producer
            .retain(|_, known| now.0.saturating_sub(known.began.0) < expiration_ms);
    }
}

impl Log {
    /// Begins to verify a producer's transaction, whose batch begins with `sequence`, before that
    /// is appended. `None` if the transaction has written to this log: that needs no verification.
    pub fn begin_verification(
        &mut self,
        producer: ProducerId,
        epoch: ProducerEpoch,
        sequence: i32,
        now: TimestampMs,
    ) -> Option<VerificationGuard> {
        self.producers
            .begin_verification(producer, epoch, sequence, now)
    }
}
