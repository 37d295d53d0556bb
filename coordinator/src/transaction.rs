//! Transactions: one partition of `__transaction_state`, and the transactional ids that belong to
//! it (KIP-98, KIP-360, KIP-447, KIP-664, KIP-890 part 1).
//!
//! A transactional id goes through the [`State`]s; every move is a record first. A producer gets
//! its id and epoch by InitProducerId, which fences whoever had the id before and aborts what that
//! one left open. Partitions are added to the transaction, then its end is decided
//! (`PrepareCommit`, `PrepareAbort`), then every partition gets a marker, then the end is recorded
//! (`Complete…`). A transaction whose time is up is aborted under a new epoch.
//!
//! | File | Its part |
//! |---|---|
//! | `state` | the states, and which may follow which |
//! | `metadata` | one id: from one standing to the next |
//! | `record` | the records of the log |
//! | `transactional_ids` | all ids: appends under way, and who waits for them |
//! | `requests` | what each request is answered |
//! | `markers` | from the decision to the end |
//! | `timers` | time-outs, forgotten ids, second attempts |
//! | `report` | what tools are told |

mod markers;
mod metadata;
mod record;
mod report;
mod requests;
mod state;
mod timers;
mod transactional_ids;

#[cfg(test)]
mod tests;

pub use report::ListFilter;
pub use state::State;
pub use transactional_ids::Coordinator;

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, PartitionIndex};
use protocol::messages::{describe_transactions, list_transactions};

use crate::machine::{Producer, Token};
use crate::page::Page;

/// A partition of any topic, by the topic's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index.
    pub partition: PartitionIndex,
}

/// What a coordinator of transactions is told at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The leader epoch of the partition of `__transaction_state`: what markers are signed with.
    pub coordinator_epoch: LeaderEpoch,
    /// `transaction.max.timeout.ms`.
    pub timeout_ms_max: i32,
    /// `transactional.id.expiration.ms`.
    pub id_expiration_ms: i64,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub timed_out_check_interval_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub expired_check_interval_ms: i64,
    /// How many bytes a batch of `__transaction_state` may have.
    pub batch_bytes_max: usize,
}

/// What is asked of a coordinator of transactions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// A producer begins to use a transactional id. Answered with [`Reply::Producer`].
    InitProducerId {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// How long its transactions may take.
        timeout_ms: i32,
        /// Who it says that it is, if it goes on after an error (KIP-360).
        expected: Option<Producer>,
    },
    /// Partitions become part of the transaction. Answered with [`Reply::Done`].
    AddPartitions {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// Who asks.
        producer: Producer,
        /// The partitions.
        partitions: BTreeSet<TopicPartition>,
    },
    /// Whether partitions are part of the transaction (KIP-890). Answered with
    /// [`Reply::Verified`].
    VerifyPartitions {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// Who wants to write to them.
        producer: Producer,
        /// The partitions.
        partitions: BTreeSet<TopicPartition>,
    },
    /// The transaction ends. Answered with [`Reply::Done`] once that is recorded; the markers come
    /// after.
    EndTransaction {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// Who asks.
        producer: Producer,
        /// How.
        result: TransactionResult,
    },
    /// What is known of an id. Answered with [`Reply::Described`].
    Describe(Arc<str>),
    /// The ids, in order and after this one. Answered with [`Reply::Listed`].
    List(ListFilter, Option<String>),
}

impl Request {
    /// Why it is refused whatever holds, also while its partition is being read.
    #[must_use]
    pub fn refusal(&self, timeout_ms_max: i32) -> Option<ErrorCode> {
        let (id, timeout_ms) = match self {
            Request::InitProducerId {
                transactional_id,
                timeout_ms,
                ..
            } => (transactional_id, Some(*timeout_ms)),
            Request::AddPartitions {
                transactional_id, ..
            }
            | Request::VerifyPartitions {
                transactional_id, ..
            }
            | Request::EndTransaction {
                transactional_id, ..
            }
            | Request::Describe(transactional_id) => (transactional_id, None),
            Request::List(..) => return None,
        };
        if id.is_empty() {
            return Some(ErrorCode::InvalidRequest);
        }
        let refused = timeout_ms.is_some_and(|ms| ms <= 0 || ms > timeout_ms_max);
        refused.then_some(ErrorCode::InvalidTransactionTimeout)
    }
}

/// What a coordinator of transactions answers.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// Any request may be refused.
    Refused(ErrorCode),
    /// The producer's id and epoch.
    Producer(Producer),
    /// It is recorded.
    Done,
    /// Each partition that was asked about, with NONE or TRANSACTION_ABORTABLE.
    Verified(Vec<(TopicPartition, ErrorCode)>),
    /// What is known of the id.
    Described(describe_transactions::TransactionState<'static>),
    /// Some of the ids that pass the filter.
    Listed(Page<list_transactions::TransactionState<'static>>),
}

/// What a coordinator of transactions wants done beside appends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// A producer id that nobody has. Answered by [`Coordinator::on_producer_id`] with the token.
    ProducerId(Token),
    /// Markers are to be written. Answered by [`Coordinator::on_markers`].
    WriteMarkers(Markers),
}

/// Which sending of markers an answer belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MarkersId(pub u64);

/// The markers of one transaction: one for each partition, written for all replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Markers {
    /// What [`Coordinator::on_markers`] calls them.
    pub id: MarkersId,
    /// Whose transaction ends.
    pub producer: Producer,
    /// How.
    pub result: TransactionResult,
    /// The epoch to sign them with.
    pub coordinator_epoch: LeaderEpoch,
    /// Where they belong.
    pub partitions: Vec<TopicPartition>,
}
