//! AddPartitionsToTxn: partitions become part of a transaction, or are asked about (KIP-98,
//! KIP-890). Up to version 3 for one transaction of a client, then for several, of brokers.
//!
//! The partitions of one transaction are added together or not at all.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use controller::Image;
use coordinator::machine::Producer;
use coordinator::transaction::{Reply, Request as Asked, TopicPartition};
use protocol::error::ErrorCode;
use protocol::ids::{PartitionIndex, ProducerEpoch, ProducerId};
use protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult, AddPartitionsToTxnTransaction,
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
        let errors = serve(&shard, &transaction, request.version()).await;
        results.push(AddPartitionsToTxnResult {
            transactional_id: transaction.transactional_id,
            topic_results: by_topic(&errors),
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
async fn serve(
    shard: &Rc<Shard>,
    transaction: &AddPartitionsToTxnTransaction<'_>,
    version: i16,
) -> BTreeMap<TopicPartition, ErrorCode> {
    let partitions = partitions_of(transaction);
    let all = |error| {
        let each = partitions
            .iter()
            .map(|partition| (partition.clone(), error));
        each.collect::<BTreeMap<_, _>>()
    };
    let image = shard.image();
    if !partitions.iter().all(|partition| exists(&image, partition)) {
        let each = partitions.iter().map(|partition| {
            let error = match exists(&image, partition) {
                true => ErrorCode::OperationNotAttempted,
                false => ErrorCode::UnknownTopicOrPartition,
            };
            (partition.clone(), error)
        });
        return each.collect();
    }
    let transactional_id: Arc<str> = transaction.transactional_id.as_ref().into();
    let producer = Producer {
        id: ProducerId(transaction.producer_id),
        epoch: ProducerEpoch(transaction.producer_epoch),
    };
    let asked = match transaction.verify_only {
        true => Asked::VerifyPartitions {
            transactional_id,
            producer,
            partitions: partitions.clone(),
        },
        false => Asked::AddPartitions {
            transactional_id,
            producer,
            partitions: partitions.clone(),
        },
    };
    match transactions::ask(shard, &transaction.transactional_id, asked).await {
        Ok(Reply::Verified(errors)) => errors.into_iter().collect(),
        Ok(_) => all(ErrorCode::None),
        Err(error) => all(known_to(error, version, FENCED_SINCE)),
    }
}

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

fn exists(image: &Image, partition: &TopicPartition) -> bool {
    let topic = image.topic(&partition.topic);
    topic.is_some_and(|topic| topic.partition(partition.partition).is_some())
}

fn by_topic(
    errors: &BTreeMap<TopicPartition, ErrorCode>,
) -> Vec<AddPartitionsToTxnTopicResult<'static>> {
    let mut topics: Vec<AddPartitionsToTxnTopicResult<'static>> = Vec::new();
    for (partition, error) in errors {
        if topics
            .last()
            .is_none_or(|last| last.name != *partition.topic)
        {
            topics.push(AddPartitionsToTxnTopicResult {
                name: Cow::Owned(partition.topic.to_string()),
                results_by_partition: Vec::new(),
            });
        }
        let topic = topics.last_mut().expect("one was just begun");
        let result = AddPartitionsToTxnPartitionResult {
            partition_index: partition.partition.0,
            partition_error_code: error.code(),
        };
        topic.results_by_partition.push(result);
    }
    topics
}
