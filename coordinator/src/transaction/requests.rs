//! What each request of producers and brokers is answered, and what it begins.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{ProducerId, TimestampMs};

use super::metadata::{Initialised, Pending, Transaction};
use super::state::State;
use super::transactional_ids::{Coordinator, DecidedBy, Move, Out, Then, refuse};
use super::{Effect, Reply, Request, TopicPartition};
use crate::machine::{Action, Producer, Token};

/// An InitProducerId, as it is asked, perhaps a second time with a new producer id in hand.
#[derive(Clone, Debug)]
pub(super) struct Initialising {
    transactional_id: Arc<str>,
    timeout_ms: i32,
    expected: Option<Producer>,
}

impl Coordinator {
    pub(super) fn serve(
        &mut self,
        now: TimestampMs,
        token: Token,
        request: Request,
        out: &mut Out,
    ) {
        if let Some(refusal) = request.refusal(self.settings.timeout_ms_max) {
            return refuse(token, refusal, out);
        }
        match request {
            Request::InitProducerId {
                transactional_id,
                timeout_ms,
                expected,
            } => {
                let asked = Initialising {
                    transactional_id,
                    timeout_ms,
                    expected,
                };
                self.initialise(now, token, asked, None, out);
            }
            Request::AddPartitions {
                transactional_id,
                producer,
                partitions,
            } => self.add_partitions(now, token, (transactional_id, producer), partitions, out),
            Request::VerifyPartitions {
                transactional_id,
                producer,
                partitions,
            } => {
                let reply = match self.verify(&transactional_id, producer, partitions) {
                    Ok(verified) => Reply::Verified(verified),
                    Err(error) => Reply::Refused(error),
                };
                out.push(Action::Reply(token, reply));
            }
            Request::EndTransaction {
                transactional_id,
                producer,
                result,
            } => self.end(now, token, (transactional_id, producer), result, out),
            Request::Describe(id) => out.push(Action::Reply(token, self.describe(&id))),
            Request::List(filter, after) => {
                let page = self.list(now, &filter, after.as_deref());
                out.push(Action::Reply(token, Reply::Listed(page)));
            }
        }
    }

    /// The producer id that [`Effect::ProducerId`] asked for.
    pub fn on_producer_id(
        &mut self,
        now: TimestampMs,
        token: Token,
        given: Result<ProducerId, ErrorCode>,
        out: &mut Out,
    ) {
        let Some(asked) = self.initialising.remove(&token) else {
            return; // The partition was unloaded meanwhile, and the request answered.
        };
        match given {
            Ok(fresh) => self.initialise(now, token, asked, Some(fresh), out),
            Err(error) => refuse(token, error, out),
        }
    }

    fn initialise(
        &mut self,
        now: TimestampMs,
        token: Token,
        asked: Initialising,
        fresh: Option<ProducerId>,
        out: &mut Out,
    ) {
        let timeout_ms = asked.timeout_ms;
        let id = asked.transactional_id.clone();
        if let (None, Some(fresh)) = (self.transactions.get(&id), fresh) {
            let new = Transaction::unused(fresh, timeout_ms, now);
            self.transactions.insert(id.clone(), new);
        }
        let Some(transaction) = self.transactions.get_mut(&id) else {
            return self.ask_producer_id(token, asked, out);
        };
        if transaction.pending.is_some() {
            return refuse(token, ErrorCode::ConcurrentTransactions, out);
        }
        let standing = &transaction.standing;
        let (to, then) = match standing.initialised(asked.expected, timeout_ms, fresh, now) {
            Err(error) => return refuse(token, error, out),
            Ok(Initialised::NeedsProducerId) => return self.ask_producer_id(token, asked, out),
            Ok(Initialised::Next(to)) => (to, Then::Initialised(token)),
            Ok(Initialised::Fences) => {
                let to = transaction.fence(now);
                (to, Then::Decided(DecidedBy::Successor(token)))
            }
        };
        let to_make = Move {
            transactional_id: id,
            to,
            then,
        };
        self.record(to_make, out);
    }

    fn ask_producer_id(&mut self, token: Token, asked: Initialising, out: &mut Out) {
        self.initialising.insert(token, asked);
        out.push(Action::Effect(Effect::ProducerId(token)));
    }

    fn add_partitions(
        &mut self,
        now: TimestampMs,
        token: Token,
        (id, producer): (Arc<str>, Producer),
        partitions: BTreeSet<TopicPartition>,
        out: &mut Out,
    ) {
        let transaction = match self.of_producer(&id, producer) {
            Err(error) => return refuse(token, error, out),
            Ok(transaction) => transaction,
        };
        let standing = &transaction.standing;
        if transaction.pending.is_some() || standing.result().is_some() {
            return refuse(token, ErrorCode::ConcurrentTransactions, out);
        }
        if standing.state == State::Ongoing && partitions.is_subset(&standing.partitions) {
            return out.push(Action::Reply(token, Reply::Done));
        }
        let to_make = Move {
            to: standing.with_partitions(partitions, now),
            transactional_id: id,
            then: Then::Added(token),
        };
        self.record(to_make, out);
    }

    /// What is under way does not count: the log of the partition has the last word.
    fn verify(
        &self,
        id: &str,
        producer: Producer,
        partitions: BTreeSet<TopicPartition>,
    ) -> Result<Vec<(TopicPartition, ErrorCode)>, ErrorCode> {
        let standing = &self.of_producer(id, producer)?.standing;
        if standing.result().is_some() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        let verified = partitions.into_iter().map(|partition| {
            let error = match standing.partitions.contains(&partition) {
                true => ErrorCode::None,
                false => ErrorCode::TransactionAbortable,
            };
            (partition, error)
        });
        Ok(verified.collect())
    }

    fn end(
        &mut self,
        now: TimestampMs,
        token: Token,
        (id, producer): (Arc<str>, Producer),
        result: TransactionResult,
        out: &mut Out,
    ) {
        let transaction = match self.of_producer(&id, producer) {
            Err(error) => return refuse(token, error, out),
            Ok(transaction) => transaction,
        };
        if transaction.pending.is_some() {
            return refuse(token, ErrorCode::ConcurrentTransactions, out);
        }
        let same = |done: TransactionResult| match done == result {
            true => Reply::Done,
            false => Reply::Refused(ErrorCode::InvalidTxnState),
        };
        let reply = match transaction.standing.state {
            State::Ongoing => {
                let to_make = Move {
                    to: transaction.standing.decided(result, now),
                    transactional_id: id,
                    then: Then::Decided(DecidedBy::Producer(token)),
                };
                return self.record(to_make, out);
            }
            State::CompleteCommit => same(TransactionResult::Commit),
            State::CompleteAbort => same(TransactionResult::Abort),
            State::Empty => Reply::Refused(ErrorCode::InvalidTxnState),
            State::PrepareCommit | State::PrepareAbort => {
                unreachable!("markers are under way from the decision to the end")
            }
            State::Dead | State::PrepareEpochFence => unreachable!("nobody stands there"),
        };
        out.push(Action::Reply(token, reply));
    }

    /// The transactional id, if it is this producer's.
    fn of_producer(&self, id: &str, producer: Producer) -> Result<&Transaction, ErrorCode> {
        let known = self.transactions.get(id);
        let transaction = known
            .filter(|known| known.standing.producer.id == producer.id)
            .ok_or(ErrorCode::InvalidProducerIdMapping)?;
        if transaction.standing.producer.epoch != producer.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        Ok(transaction)
    }

    /// Aborts a transaction under a new epoch, because its time is up.
    pub(super) fn abort_timed_out(&mut self, now: TimestampMs, id: &Arc<str>, out: &mut Out) {
        let transaction = self.transactions.get_mut(id).expect("it is known");
        assert_eq!(transaction.pending, None::<Pending>);
        let to_make = Move {
            to: transaction.fence(now),
            transactional_id: id.clone(),
            then: Then::Decided(DecidedBy::Time),
        };
        self.record(to_make, out);
    }
}
