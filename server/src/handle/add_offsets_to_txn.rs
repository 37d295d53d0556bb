//! AddOffsetsToTxn: the partition of `__consumer_offsets` that keeps a group's offsets becomes
//! part of a transaction (KIP-98).

use std::rc::Rc;

use controller::topic_name::CONSUMER_OFFSETS;
use coordinator::machine::Producer;
use coordinator::transaction::{Request as Asked, TopicPartition};
use protocol::error::ErrorCode;
use protocol::ids::{ProducerEpoch, ProducerId};
use protocol::messages::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::init_producer_id::known_to;
use crate::coordination::{internal_topic, transactions};
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Clients of versions from this one know PRODUCER_FENCED.
const FENCED_SINCE: i16 = 2;

/// Answers an AddOffsetsToTxn request.
pub async fn add_offsets_to_txn(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(AddOffsetsToTxnRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let added = add(&shard, &body).await;
    let error = added.err().unwrap_or(ErrorCode::None);
    let response = AddOffsetsToTxnResponse {
        error_code: known_to(error, request.version(), FENCED_SINCE).code(),
        ..Default::default()
    };
    request.reply(&response, AddOffsetsToTxnResponse::encode)
}

async fn add(shard: &Rc<Shard>, body: &AddOffsetsToTxnRequest<'_>) -> Result<(), ErrorCode> {
    // A transaction may be the first that needs the topic.
    internal_topic::ensure(shard, CONSUMER_OFFSETS).await?;
    let key = internal_topic::partition_of(shard, CONSUMER_OFFSETS, &body.group_id)?;
    let offsets = TopicPartition {
        topic: CONSUMER_OFFSETS.into(),
        partition: key.partition,
    };
    let asked = Asked::AddPartitions {
        transactional_id: body.transactional_id.as_ref().into(),
        producer: Producer {
            id: ProducerId(body.producer_id),
            epoch: ProducerEpoch(body.producer_epoch),
        },
        partitions: [offsets].into(),
    };
    transactions::ask(shard, &body.transactional_id, asked).await?;
    Ok(())
}
