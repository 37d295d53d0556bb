//! What tools are told of transactional ids (KIP-664, KIP-994).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::error::ErrorCode;
use protocol::ids::{ProducerId, TimestampMs};
use protocol::messages::{describe_transactions, list_transactions};

use super::Reply;
use super::metadata::Standing;
use super::state::State;
use super::transactional_ids::Coordinator;
use crate::page::{Page, page_of};

/// Which transactional ids are listed: those that pass every part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListFilter {
    producers: Arc<BTreeSet<ProducerId>>,
    /// None lists ids in any state.
    states: Option<BTreeSet<State>>,
    /// Only ids whose transaction began longer ago than this, if it is not negative.
    duration_ms: i64,
}

impl ListFilter {
    /// A filter by producers and states, where nothing means all, and by age. Names that are no
    /// state's come back; if there are no others, nothing passes.
    pub fn new<'a>(
        producers: impl IntoIterator<Item = ProducerId>,
        states: impl IntoIterator<Item = &'a str>,
        duration_ms: i64,
    ) -> (ListFilter, Vec<&'a str>) {
        let mut known = None;
        let mut unknown = Vec::new();
        for name in states {
            let known: &mut BTreeSet<State> = known.get_or_insert_default();
            match State::of_name(name) {
                Some(state) => {
                    known.insert(state);
                }
                None => unknown.push(name),
            }
        }
        let filter = ListFilter {
            producers: Arc::new(producers.into_iter().collect()),
            states: known,
            duration_ms,
        };
        (filter, unknown)
    }

    fn passes(&self, standing: &Standing, now: TimestampMs) -> bool {
        let producer = standing.producer.id;
        let by_producer = self.producers.is_empty() || self.producers.contains(&producer);
        let states = self.states.as_ref();
        let by_state = states.is_none_or(|states| states.contains(&standing.state));
        let age_ms = now - standing.started;
        by_producer && by_state && (self.duration_ms < 0 || age_ms > self.duration_ms)
    }
}

impl Coordinator {
    pub(super) fn describe(&self, id: &str) -> Reply {
        let Some(transaction) = self.transactions.get(id) else {
            return Reply::Refused(ErrorCode::TransactionalIdNotFound);
        };
        let standing = &transaction.standing;
        let mut topics: Vec<describe_transactions::TopicData<'static>> = Vec::new();
        for partition in &standing.partitions {
            if topics
                .last()
                .is_none_or(|last| last.topic != *partition.topic)
            {
                topics.push(describe_transactions::TopicData {
                    topic: Cow::Owned(partition.topic.to_string()),
                    partitions: Vec::new(),
                });
            }
            let topic = topics.last_mut().expect("one was just begun");
            topic.partitions.push(partition.partition.0);
        }
        Reply::Described(describe_transactions::TransactionState {
            error_code: ErrorCode::None.code(),
            transactional_id: Cow::Owned(id.to_owned()),
            transaction_state: Cow::Borrowed(standing.state.name()),
            transaction_timeout_ms: standing.timeout_ms,
            transaction_start_time_ms: standing.started.0,
            producer_id: standing.producer.id.0,
            producer_epoch: standing.producer.epoch.0,
            topics,
        })
    }

    pub(super) fn list(
        &self,
        now: TimestampMs,
        filter: &ListFilter,
        after: Option<&str>,
    ) -> Page<list_transactions::TransactionState<'static>> {
        page_of(&self.transactions, after, |id, transaction| {
            let standing = &transaction.standing;
            let listed = || list_transactions::TransactionState {
                transactional_id: Cow::Owned(id.to_owned()),
                producer_id: standing.producer.id.0,
                transaction_state: Cow::Borrowed(standing.state.name()),
            };
            filter.passes(standing, now).then(listed)
        })
    }
}
