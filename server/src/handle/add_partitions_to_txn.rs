//! AddPartitionsToTxn: partitions become part of a transaction, or are asked about (KIP-98,
//! KIP-890). Up to version 3 for one transaction of a client, then for several, of brokers.
//!
//! The partitions of one transaction are added together or not at all.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use controller::topic_name;
use coordinator::machine::Producer;
use coordinator::transaction::{Reply, Request as Asked, TopicPartition};
use protocol::error::ErrorCode;
use protocol::ids::{PartitionIndex, ProducerEpoch, ProducerId};
use protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult, AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
};

use super::init_producer_id::known_to;
use crate::coordination::transactions;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Clients of versions from this one know PRODUCER_FENCED.
const FENCED_SINCE: i16 = 2;
/// Versions from this one have several transactions.
const BATCHED_SINCE: i16 = 4;

/// Answers an AddPartitionsToTxn request.
pub async fn add_partitions_to_txn(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(AddPartitionsToTxnRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let is_batched = request.version() >= BATCHED_SINCE;
    let transactions = match is_batched {
        true => body.transactions,
        false => vec![AddPartitionsToTxnTransaction {
            transactional_id: body.v3_and_below_transactional_id,
            producer_id: body.v3_and_below_producer_id,
            producer_epoch: body.v3_and_below_producer_epoch,
            verify_only: false,
            topics: body.v3_and_below_topics,
        }],
    };
    let mut results = Vec::with_capacity(transactions.len());
    for transaction in transactions {
        let topic_results = serve(&shard, &transaction, request.version()).await;
        results.push(AddPartitionsToTxnResult {
            transactional_id: transaction.transactional_id,
            topic_results,
        });
    }
    let mut response = AddPartitionsToTxnResponse::default();
    if is_batched {
        response.results_by_transaction = results;
    } else {
        let only = results.pop().expect("there is one transaction");
        response.results_by_topic_v3_and_below = only.topic_results;
    }
    request.reply(&response, AddPartitionsToTxnResponse::encode)
}

/// An error code, or NONE, for each partition of one transaction.
async fn serve<'a>(
    shard: &Rc<Shard>,
    transaction: &AddPartitionsToTxnTransaction<'a>,
    version: i16,
) -> Vec<AddPartitionsToTxnTopicResult<'a>> {
    let image = shard.image();
    let exists = |topic: &str, index: i32| {
        let topic = image.topic(topic);
        topic.is_some_and(|topic| topic.partition(PartitionIndex(index)).is_some())
    };
    let refusal = |topic: &str, index: i32| {
        if version < BATCHED_SINCE && topic_name::is_internal(topic) {
            // Clients write there by their coordinators only.
            Some(ErrorCode::TopicAuthorizationFailed)
        } else {
            (!exists(topic, index)).then_some(ErrorCode::UnknownTopicOrPartition)
        }
    };
    let is_refused = transaction.topics.iter().any(|topic| {
        let mut indexes = topic.partitions.iter();
        indexes.any(|index| refusal(&topic.name, *index).is_some())
    });
    if is_refused {
        return results(transaction, |topic, index| {
            refusal(topic, index).unwrap_or(ErrorCode::OperationNotAttempted)
        });
    }
    let partitions = partitions_of(transaction);
    let transactional_id: Arc<str> = transaction.transactional_id.as_ref().into();
    let producer = Producer {
        id: ProducerId(transaction.producer_id),
        epoch: ProducerEpoch(transaction.producer_epoch),
    };
    let asked = match transaction.verify_only {
        true => Asked::VerifyPartitions {
            transactional_id,
            producer,
            partitions,
        },
        false => Asked::AddPartitions {
            transactional_id,
            producer,
            partitions,
        },
    };
    match transactions::ask(shard, &transaction.transactional_id, asked).await {
        Ok(Reply::Verified(errors)) => results(transaction, |topic, index| {
            // They are in the order of the partitions.
            let at = errors.binary_search_by(|(of, _)| {
                let of = (&*of.topic, of.partition.0);
                of.cmp(&(topic, index))
            });
            at.map_or(ErrorCode::None, |at| errors[at].1)
        }),
        Ok(_) => results(transaction, |_, _| ErrorCode::None),
        Err(error) => {
            let error = known_to(error, version, FENCED_SINCE);
            results(transaction, |_, _| error)
        }
    }
}

/// No more than there are: those that are not there have been refused.
fn partitions_of(transaction: &AddPartitionsToTxnTransaction<'_>) -> BTreeSet<TopicPartition> {
    let mut partitions = BTreeSet::new();
    for topic in &transaction.topics {
        let name: Arc<str> = topic.name.as_ref().into();
        let of_topic = topic.partitions.iter().map(|index| TopicPartition {
            topic: name.clone(),
            partition: PartitionIndex(*index),
        });
        partitions.extend(of_topic);
    }
    partitions
}

fn results<'a>(
    transaction: &AddPartitionsToTxnTransaction<'a>,
    error: impl Fn(&str, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult<'a>> {
    let of_topic = |topic: &AddPartitionsToTxnTopic<'a>| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic
            .partitions
            .iter()
            .map(|index| AddPartitionsToTxnPartitionResult {
                partition_index: *index,
                partition_error_code: error(&topic.name, *index).code(),
            })
            .collect(),
    };
    transaction.topics.iter().map(of_topic).collect()
}
