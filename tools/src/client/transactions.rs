//! Transactions: what coordinators know of them, what partitions know of their producers, and the
//! marker that ends a hanging one.

use protocol::error::ErrorCode;
use protocol::messages::describe_producers::{
    DescribeProducersRequest, ProducerState, TopicRequest,
};
use protocol::messages::describe_transactions::{self, DescribeTransactionsRequest};
use protocol::messages::list_transactions::{self, ListTransactionsRequest};
use protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};

use super::{ByPartition, Client, CoordinatorOf, Error, TopicPartition};

/// Whose marker is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HangingTransaction {
    /// The producer's id.
    pub producer_id: i64,
    /// The producer's epoch.
    pub producer_epoch: i16,
    /// The epoch of the coordinator that writes the marker.
    pub coordinator_epoch: i32,
}

impl Client {
    /// All transactional ids with the broker that coordinates each; those of these producers if any
    /// are named, and only transactions that run for longer than `duration_millis` if that is not
    /// negative.
    pub fn list_transactions(
        &mut self,
        producers: &[i64],
        duration_millis: i64,
    ) -> Result<Vec<(i32, list_transactions::TransactionState<'static>)>, Error> {
        let request = ListTransactionsRequest {
            producer_id_filters: producers.to_vec(),
            duration_filter: duration_millis,
            ..Default::default()
        };
        self.retried(Client::refresh)?;
        let mut all = Vec::new();
        for broker in self.broker_ids() {
            let listed = self.retried(|client| {
                let answer = client.ask_broker(broker, &request)?;
                Error::check(answer.error_code, None)?;
                Ok(answer.transaction_states)
            })?;
            all.extend(listed.into_iter().map(|transaction| (broker, transaction)));
        }
        Ok(all)
    }

    /// The coordinator of a transactional id, and what it knows of it.
    pub fn describe_transaction(
        &mut self,
        id: &str,
    ) -> Result<(i32, describe_transactions::TransactionState<'static>), Error> {
        let request = DescribeTransactionsRequest {
            transactional_ids: vec![id.into()],
        };
        self.retried(|client| {
            let coordinator = client.coordinator(CoordinatorOf::Transaction, id)?;
            let answer = client.ask_broker(coordinator, &request)?;
            let unknown = || Error::of(ErrorCode::TransactionalIdNotFound);
            let states = answer.transaction_states.into_iter();
            let state = states.last().ok_or_else(unknown)?;
            Error::check(state.error_code, None)?;
            Ok((coordinator, state))
        })
    }

    /// The producers that partitions know: asked of their leaders, or of one broker.
    pub fn describe_producers(
        &mut self,
        broker: Option<i32>,
        partitions: &[TopicPartition],
    ) -> Result<ByPartition<Vec<ProducerState>>, Error> {
        match broker {
            Some(broker) => self.retried(|client| client.describe_producers_of(broker, partitions)),
            None => self.ask_leaders(partitions.iter().cloned(), |client, leader, partitions| {
                client.describe_producers_of(leader, partitions)
            }),
        }
    }

    fn describe_producers_of(
        &mut self,
        broker: i32,
        partitions: &[TopicPartition],
    ) -> Result<ByPartition<Vec<ProducerState>>, Error> {
        let topics = TopicPartition::by_topic(partitions.iter().map(|at| (at, ()))).into_iter();
        let request = DescribeProducersRequest {
            topics: topics
                .map(|(name, indexes)| TopicRequest {
                    name: name.into(),
                    partition_indexes: indexes.into_iter().map(|(index, ())| index).collect(),
                })
                .collect(),
        };
        let answer = self.ask_broker(broker, &request)?;
        let mut producers = ByPartition::new();
        for topic in answer.topics {
            for partition in topic.partitions {
                let at = TopicPartition::new(topic.name.as_ref(), partition.partition_index);
                let checked = Error::check(partition.error_code, partition.error_message);
                producers.insert(at, checked.map(|()| partition.active_producers));
            }
        }
        Ok(producers)
    }

    /// Writes the marker that aborts a transaction into one partition.
    pub fn abort_transaction(
        &mut self,
        at: &TopicPartition,
        transaction: HangingTransaction,
    ) -> Result<(), Error> {
        let request = WriteTxnMarkersRequest {
            markers: vec![WritableTxnMarker {
                producer_id: transaction.producer_id,
                producer_epoch: transaction.producer_epoch,
                transaction_result: false,
                topics: vec![WritableTxnMarkerTopic {
                    name: at.topic.as_str().into(),
                    partition_indexes: vec![at.partition],
                }],
                coordinator_epoch: transaction.coordinator_epoch,
            }],
        };
        let answers = self.ask_leaders([at.clone()], |client, leader, _| {
            let answer = client.ask_broker(leader, &request)?;
            let topics = answer.markers.into_iter().flat_map(|marker| marker.topics);
            let partitions = topics.flat_map(|topic| topic.partitions);
            let answers =
                partitions.map(|partition| (at.clone(), Error::check(partition.error_code, None)));
            Ok(answers.collect())
        })?;
        answers.into_values().collect()
    }
}
