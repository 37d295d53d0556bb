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
use crate::mail::{Done, Promise, Question};
use crate::partition::{AppendOutcome, PartitionKey, RefusalDetails};
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
    /// It was refused before any shard was asked.
    Ended(AppendOutcome),
    /// It is being appended; its outcome comes with those of the question of this number.
    Placed(usize),
    /// It has to be verified, then it may come again as it is here.
    Unverified(AppendPart),
}

/// One request's parts for one shard; answered at once with an attempt a part, in order. The
/// outcomes of those that are being appended are promised.
struct AttemptQuestion {
    parts: AppendQuestion,
    number: usize,
    outcomes: Promise<Vec<AppendOutcome>>,
}

/// Appends the parts, each when it may be; `question` makes the question of some of them, and
/// `placed` is called as soon as nothing that is asked for later can come before any of them.
/// Outcomes are in the order of the places.
pub async fn append(
    shard: &Rc<Shard>,
    transaction: &Transaction,
    scatter: Scatter<AppendPart, AppendOutcome>,
    mut question: impl FnMut(Vec<AppendPart>) -> AppendQuestion,
    placed: impl FnOnce(),
) -> Vec<AppendOutcome> {
    let mut promised = Vec::new();
    let attempts = scatter.map_answers(Attempt::Ended);
    let attempts = attempts.gather(shard, |parts| {
        let (outcomes, asked) = shard.promise();
        promised.push(asked);
        AttemptQuestion {
            parts: question(parts),
            number: promised.len() - 1,
            outcomes,
        }
    });
    let attempts = attempts.await;
    let refusals = refusals(shard, transaction, &attempts).await;
    let mut placed_by = Vec::with_capacity(attempts.len());
    let mut again = Scatter::new(shard.count());
    for (attempt, refusal) in attempts.into_iter().zip(refusals) {
        placed_by.push(match attempt {
            Attempt::Placed(number) => Some(number),
            Attempt::Ended(_) | Attempt::Unverified(_) => None,
        });
        match (attempt, refusal) {
            (Attempt::Placed(_), _) => {}
            (Attempt::Ended(outcome), _) | (Attempt::Unverified(_), Some(outcome)) => {
                again.answered(outcome);
            }
            (Attempt::Unverified(part), None) => again.ask(shard.owner(&part.key), part),
        }
    }
    let again = again.ask_all(shard, question);
    placed();
    let mut again = again.answers().await.into_iter();
    let mut outcomes = Vec::with_capacity(promised.len());
    for promised in promised {
        outcomes.push(promised.await.into_iter());
    }
    let outcome_of = |number: Option<usize>| match number {
        Some(number) => outcomes[number].next(),
        None => again.next(),
    };
    let outcomes = placed_by.into_iter().map(outcome_of);
    outcomes
        .map(|outcome| outcome.expect("an outcome a part"))
        .collect()
}

/// What the coordinator refuses of the attempts that have to be verified; one a attempt.
async fn refusals(
    shard: &Rc<Shard>,
    transaction: &Transaction,
    attempts: &[Attempt],
) -> Vec<Option<AppendOutcome>> {
    let image = shard.image();
    let name = |attempt: &Attempt| {
        let Attempt::Unverified(part) = attempt else {
            return None;
        };
        let topic = image.topic_by_id(part.key.topic_id)?;
        Some(TopicPartition {
            topic: topic.name.clone(),
            partition: part.key.partition,
        })
    };
    let names: BTreeSet<_> = attempts.iter().filter_map(name).collect();
    if names.is_empty() {
        return attempts.iter().map(|_| None).collect();
    }
    let verified = verify(shard, transaction, names).await;
    let refusal = |attempt: &Attempt| {
        let name = name(attempt)?;
        match &verified {
            Err(error) => Some(refused(transaction, *error)),
            Ok(refusals) => {
                let (_, error) = refusals.iter().find(|(of, _)| *of == name)?;
                Some(refused(transaction, *error))
            }
        }
    };
    attempts.iter().map(refusal).collect()
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
    let details = message.map(|message| {
        Box::new(RefusalDetails {
            message: Some(message),
            ..RefusalDetails::default()
        })
    });
    AppendOutcome {
        details,
        ..AppendOutcome::refused(error)
    }
}

impl Question for AttemptQuestion {
    type Answer = Vec<Attempt>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Vec<Attempt>>) {
        let mut question = self.parts;
        let mut attempts = Vec::with_capacity(question.parts.len());
        let mut verified = Vec::new();
        for part in std::mem::take(&mut question.parts) {
            attempts.push(match guard_of(shard, &part) {
                Some(guard) => Attempt::Unverified(AppendPart {
                    origin: Origin::Guarded(guard),
                    ..part
                }),
                None => {
                    verified.push(part);
                    Attempt::Placed(self.number)
                }
            });
        }
        let outcomes = self.outcomes.done(shard);
        if verified.is_empty() {
            outcomes.put(Vec::new());
        } else {
            let gather = Gather::new(verified.len(), |values| outcomes.put(values));
            question.parts = verified;
            question.append(shard, &gather);
        }
        done.put(attempts);
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
