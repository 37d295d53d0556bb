//! What is known of one transactional id, and what each request makes of it.
//!
//! A [`Standing`] is what one record of the log says. The functions here turn one into the next,
//! or say why not; nothing holds before its record is in the log, which is the coordinator's part.
//! Invariant: `next.state.may_follow(state)` for every move made.

use std::collections::BTreeSet;

use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{ProducerEpoch, ProducerId, TimestampMs};

use super::TopicPartition;
use super::state::State;
use crate::machine::Producer;

/// The last epoch that a client is given: one more is left, to fence it with.
const EPOCH_GIVEN_MAX: ProducerEpoch = ProducerEpoch(i16::MAX - 1);
/// The last epoch there is.
const EPOCH_MAX: ProducerEpoch = ProducerEpoch(i16::MAX);

/// What holds for a transactional id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Standing {
    pub(super) producer: Producer,
    /// The id before this one. Not recorded: lost in a reload, as in Kafka.
    pub(super) last_producer_id: ProducerId,
    /// The epoch before this one, if the producer itself asked for the new one (KIP-360). Not
    /// recorded either.
    pub(super) last_epoch: ProducerEpoch,
    pub(super) timeout_ms: i32,
    pub(super) state: State,
    /// Of the transaction: those that have not got their marker.
    pub(super) partitions: BTreeSet<TopicPartition>,
    /// When the latest transaction got its first partition: with an empty id not recorded, and lost in a
    /// reload.
    pub(super) started: TimestampMs,
    pub(super) updated: TimestampMs,
}

/// A transactional id: what holds, and what is being done about it.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) standing: Standing,
    /// Requests that would change the standing are put off meanwhile (CONCURRENT_TRANSACTIONS).
    pub(super) pending: Option<Pending>,
    /// A new epoch was taken to fence a producer, but could not be recorded. It was given to
    /// nobody, so that the next attempt may use it.
    pub(super) failed_fence: bool,
}

/// What is under way for a transactional id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pending {
    /// An append of its next standing, or a pause before the append is tried again.
    Write,
    /// Markers on their way, or a pause before they are sent again.
    Markers,
    /// A partition knows of a later producer or coordinator: the transaction is left to that one,
    /// here until the partition of `__transaction_state` is loaded anew.
    Superseded,
    /// Its tombstone.
    Tombstone,
}

/// What InitProducerId makes of a standing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Initialised {
    /// The standing to be recorded, whose producer is the answer.
    Next(Standing),
    /// The epochs of the producer id are used up: a new id is needed.
    NeedsProducerId,
    /// The transaction under way has to be aborted first.
    Fences,
}

impl Transaction {
    /// A transactional id with nothing under way.
    pub(super) fn new(standing: Standing) -> Self {
        Self {
            standing,
            pending: None,
            failed_fence: false,
        }
    }

    /// A transactional id that was never used.
    pub(super) fn unused(producer_id: ProducerId, timeout_ms: i32, now: TimestampMs) -> Self {
        Self::new(Standing {
            producer: Producer {
                id: producer_id,
                epoch: ProducerEpoch::NONE,
            },
            last_producer_id: ProducerId::NONE,
            last_epoch: ProducerEpoch::NONE,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeSet::new(),
            started: TimestampMs::NONE,
            updated: now,
        })
    }

    /// Fences the producer: from now on its epoch is out of date, whether or not that can be
    /// recorded. Returns the standing to be recorded, in which the transaction is aborted.
    pub(super) fn fence(&mut self, now: TimestampMs) -> Standing {
        assert!(State::PrepareEpochFence.may_follow(self.standing.state));
        // The last epoch is given to nobody. Who uses it has guessed it, and keeps it.
        if !self.failed_fence && self.standing.producer.epoch != EPOCH_MAX {
            self.standing.producer.epoch = next(self.standing.producer.epoch);
        }
        self.standing.last_epoch = ProducerEpoch::NONE;
        self.standing.decided(TransactionResult::Abort, now)
    }
}

impl Standing {
    /// InitProducerId (KIP-98, KIP-360): `expected` is what the producer says that it has, `fresh`
    /// a producer id that is nobody's, if one was asked for.
    pub(super) fn initialised(
        &self,
        expected: Option<Producer>,
        timeout_ms: i32,
        fresh: Option<ProducerId>,
        now: TimestampMs,
    ) -> Result<Initialised, ErrorCode> {
        if expected.is_some_and(|expected| !self.could_be(expected)) {
            return Err(ErrorCode::ProducerFenced);
        }
        match self.state {
            State::PrepareCommit | State::PrepareAbort => {
                return Err(ErrorCode::ConcurrentTransactions);
            }
            State::Ongoing => return Ok(Initialised::Fences),
            State::Empty | State::CompleteCommit | State::CompleteAbort => {}
            State::Dead | State::PrepareEpochFence => unreachable!("nobody stands there"),
        }
        let epoch = self.producer.epoch;
        let expected_epoch = expected.map(|expected| expected.epoch);
        let uses_epoch = expected_epoch.is_none_or(|expected| expected == epoch);
        let (producer, last_epoch) = if uses_epoch && is_exhausted(epoch) {
            let Some(id) = fresh else {
                return Ok(Initialised::NeedsProducerId);
            };
            let producer = Producer {
                id,
                epoch: ProducerEpoch(0),
            };
            (producer, expected_epoch.unwrap_or(ProducerEpoch::NONE))
        } else {
            let (epoch, last_epoch) = self.next_epoch(expected_epoch)?;
            let producer = Producer {
                epoch,
                ..self.producer
            };
            (producer, last_epoch)
        };
        Ok(Initialised::Next(Standing {
            producer,
            last_producer_id: self.producer.id,
            last_epoch,
            timeout_ms,
            partitions: BTreeSet::new(),
            updated: now,
            ..self.moved(State::Empty)
        }))
    }

    /// With these partitions in the transaction, which begins if there is none.
    pub(super) fn with_partitions(
        &self,
        added: impl IntoIterator<Item = TopicPartition>,
        now: TimestampMs,
    ) -> Standing {
        let mut partitions = self.partitions.clone();
        partitions.extend(added);
        let started = match self.state {
            State::Ongoing => self.started,
            _ => now,
        };
        Standing {
            partitions,
            started,
            updated: now,
            ..self.moved(State::Ongoing)
        }
    }

    /// How the transaction will end is decided.
    pub(super) fn decided(&self, result: TransactionResult, now: TimestampMs) -> Standing {
        let state = match result {
            TransactionResult::Commit => State::PrepareCommit,
            TransactionResult::Abort => State::PrepareAbort,
        };
        Standing {
            updated: now,
            ..self.moved(state)
        }
    }

    /// Every partition has its marker.
    pub(super) fn completed(&self, now: TimestampMs) -> Standing {
        let state = match self.state {
            State::PrepareCommit => State::CompleteCommit,
            _ => State::CompleteAbort,
        };
        Standing {
            partitions: BTreeSet::new(),
            updated: now,
            ..self.moved(state)
        }
    }

    /// How the transaction will end, if that is decided and not done yet.
    pub(super) fn result(&self) -> Option<TransactionResult> {
        match self.state {
            State::PrepareCommit => Some(TransactionResult::Commit),
            State::PrepareAbort => Some(TransactionResult::Abort),
            _ => None,
        }
    }

    /// Whether the transaction has been going on for longer than its producer asked for.
    pub(super) fn is_out_of_time(&self, now: TimestampMs) -> bool {
        self.state == State::Ongoing && self.started + i64::from(self.timeout_ms) < now
    }

    /// Whether the id was not used for so long that it is to be forgotten.
    pub(super) fn is_expired(&self, now: TimestampMs, expiration_ms: i64) -> bool {
        self.state.may_expire() && self.updated <= now - expiration_ms
    }

    /// Whether a producer that says it is `expected` may be this id's: the same one; the one
    /// before, whose epochs were used up and who did not get the answer; or anyone if the id is
    /// new.
    fn could_be(&self, expected: Producer) -> bool {
        self.producer.epoch == ProducerEpoch::NONE
            || expected.id == self.producer.id
            || (expected.id == self.last_producer_id && is_exhausted(expected.epoch))
    }

    /// The epoch that a producer gets, and the one that it had if it asked for a new one itself:
    /// with that it may ask again without getting another.
    fn next_epoch(
        &self,
        expected: Option<ProducerEpoch>,
    ) -> Result<(ProducerEpoch, ProducerEpoch), ErrorCode> {
        let epoch = self.producer.epoch;
        match expected {
            None => Ok((next(epoch), ProducerEpoch::NONE)),
            Some(expected) if epoch == ProducerEpoch::NONE || expected == epoch => {
                Ok((next(epoch), epoch))
            }
            Some(expected) if expected == self.last_epoch => Ok((epoch, self.last_epoch)),
            Some(_) => Err(ErrorCode::ProducerFenced),
        }
    }

    fn moved(&self, to: State) -> Standing {
        assert!(
            to.may_follow(self.state),
            "a transaction went from {:?} to {to:?}",
            self.state
        );
        Standing {
            state: to,
            ..self.clone()
        }
    }
}

fn next(epoch: ProducerEpoch) -> ProducerEpoch {
    let next = epoch.0.checked_add(1);
    ProducerEpoch(next.expect("one epoch is left to fence the last one with"))
}

fn is_exhausted(epoch: ProducerEpoch) -> bool {
    epoch >= EPOCH_GIVEN_MAX
}
