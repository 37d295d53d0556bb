//! A produce request with batches of a transaction: the transaction coordinator is asked about
//! each partition that the transaction has not written to, before it does (KIP-890).
//!
//! The shard that owns a partition appends what belongs to a transaction open there, and gives
//! anything else back with a guard, with which it comes again once the coordinator has confirmed
//! it. The guard is void as soon as a marker has come between, so that nothing is appended to a
//! transaction that has ended.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use coordinator::machine::Producer;
use coordinator::transaction::TopicPartition;
use engine::VerificationGuard;
use engine::append::Origin;
use protocol::batch::BatchHeader;
use protocol::error::ErrorCode;

use crate::append::{AppendPart, AppendQuestion};
use crate::clock;
use crate::coordination::transactions;
use crate::gather::Gather;
use crate::mail::{Done, Question};
use crate::partition::{AppendOutcome, PartitionKey};
use crate::scatter::Scatter;
use crate::shard::Shard;

/// Batches of coordinators have no sequence numbers.
const NO_SEQUENCE: i32 = -1;

/// Whose transaction a request's batches belong to.
pub struct Transaction {
    /// The transactional id in the request.
    pub transactional_id: Arc<str>,
    /// The producer in the batches.
    pub producer: Producer,
    /// The client knows TRANSACTION_ABORTABLE.
    pub knows_abortable: bool,
}

impl Transaction {
    /// What a client is told when the coordinator did not confirm its transaction.
    pub fn told(&self, error: ErrorCode) -> ErrorCode {
        match error {
            ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
            ErrorCode::TransactionAbortable if !self.knows_abortable => ErrorCode::InvalidTxnState,
            error => error,
        }
    }
}

/// What became of one partition's batch.
enum Attempt {
    /// It was appended, or refused.
    Ended(AppendOutcome),
    /// It has to be verified, then it may come again as it is here.
    Unverified(AppendPart),
}

/// One request's parts for one shard; answered with an attempt a part, in order.
struct AttemptQuestion(AppendQuestion);

/// Appends the parts, each when it may be; `question` makes the question of some of them.
/// Outcomes are in the order of the places.
pub async fn append(
    shard: &Rc<Shard>,
    transaction: &Transaction,
    scatter: Scatter<AppendPart, AppendOutcome>,
    mut question: impl FnMut(Vec<AppendPart>) -> AppendQuestion,
) -> Vec<AppendOutcome> {
    let attempts = scatter.map_answers(Attempt::Ended);
    let attempts = attempts.gather(shard, |parts| AttemptQuestion(question(parts)));
    let attempts = attempts.await;
    let image = shard.image();
    let name = |part: &AppendPart| {
        let topic = image.topic_by_id(part.key.topic_id)?;
        Some(TopicPartition {
            topic: topic.name.clone(),
            partition: part.key.partition,
        })
    };
    let mut names = BTreeSet::new();
    for attempt in &attempts {
        if let Attempt::Unverified(part) = attempt {
            names.extend(name(part));
        }
    }
    let verified = match names.is_empty() {
        true => Ok(Vec::new()),
        false => verify(shard, transaction, names).await,
    };
    let refusal = |part: &AppendPart| match &verified {
        Err(error) => Some(refused(transaction, *error)),
        Ok(refusals) => {
            let name = name(part)?;
            let (_, error) = refusals.iter().find(|(of, _)| *of == name)?;
            Some(refused(transaction, *error))
        }
    };
    let mut again = Scatter::new(shard.count());
    for attempt in attempts {
        match attempt {
            Attempt::Ended(outcome) => again.answered(outcome),
            Attempt::Unverified(part) => match refusal(&part) {
                Some(refused) => again.answered(refused),
                None => again.ask(shard.owner(&part.key), part),
            },
        }
    }
    again.gather(shard, question).await
}

async fn verify(
    shard: &Rc<Shard>,
    transaction: &Transaction,
    partitions: BTreeSet<TopicPartition>,
) -> Result<Vec<(TopicPartition, ErrorCode)>, ErrorCode> {
    let (id, producer) = (&transaction.transactional_id, transaction.producer);
    transactions::verify(shard, id, producer, partitions).await
}

/// What a producer is told when the coordinator did not confirm its transaction. What may pass is
/// told as something that all clients try again after.
fn refused(transaction: &Transaction, error: ErrorCode) -> AppendOutcome {
    let (error, message) = match transaction.told(error) {
        ErrorCode::InvalidTxnState => (
            ErrorCode::InvalidTxnState,
            Some("Partition was not added to the transaction".to_owned()),
        ),
        ErrorCode::ConcurrentTransactions
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => (
            ErrorCode::NotEnoughReplicas,
            Some(format!(
                "Unable to verify the partition has been added to the transaction. Underlying \
                 error: {}",
                error.name()
            )),
        ),
        error => (error, None),
    };
    AppendOutcome {
        message,
        ..AppendOutcome::refused(error)
    }
}

impl Question for AttemptQuestion {
    type Answer = Vec<Attempt>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Vec<Attempt>>) {
        let AttemptQuestion(mut question) = self;
        let mut unverified = Vec::with_capacity(question.parts.len());
        let mut verified = Vec::new();
        for part in std::mem::take(&mut question.parts) {
            match guard_of(shard, &part) {
                Some(guard) => unverified.push(Some(AppendPart {
                    origin: Origin::Guarded(guard),
                    ..part
                })),
                None => {
                    unverified.push(None);
                    verified.push(part);
                }
            }
        }
        let complete = move |outcomes: Vec<AppendOutcome>| {
            let mut outcomes = outcomes.into_iter();
            let attempts = unverified.into_iter().map(|part| match part {
                Some(part) => Attempt::Unverified(part),
                None => {
                    let outcome = outcomes.next();
                    Attempt::Ended(outcome.expect("an outcome a part that was appended"))
                }
            });
            done.put(attempts.collect());
        };
        if verified.is_empty() {
            return complete(Vec::new());
        }
        let gather = Gather::new(verified.len(), complete);
        question.parts = verified;
        question.append(shard, &gather);
    }
}

/// The guard of a part that must be verified first.
fn guard_of(shard: &Rc<Shard>, part: &AppendPart) -> Option<VerificationGuard> {
    let header = BatchHeader::parse(&part.batches).ok()?;
    if part.origin != Origin::Client || !header.attributes.is_transactional() {
        return None;
    }
    let partition = shard.partition(&part.key)?;
    let begun = partition.with_log(|log| {
        let (producer, epoch) = (header.producer_id, header.producer_epoch);
        log.begin_verification(producer, epoch, header.base_sequence, clock::now_ms())
    });
    begun.ok()?
}

/// The guard of a verification of a producer that a coordinator writes for, at the shard that owns
/// the partition; none if the producer's transaction has written there.
pub struct BeginVerification {
    /// The partition.
    pub key: PartitionKey,
    /// The producer.
    pub producer: Producer,
}

impl Question for BeginVerification {
    type Answer = Result<Option<VerificationGuard>, ErrorCode>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Self::Answer>) {
        let partition = shard.partition(&self.key);
        let partition = partition.ok_or(ErrorCode::NotLeaderOrFollower);
        done.put(partition.and_then(|partition| {
            let Producer { id, epoch } = self.producer;
            let now = clock::now_ms();
            partition.with_log(|log| log.begin_verification(id, epoch, NO_SEQUENCE, now))
        }));
    }
}
