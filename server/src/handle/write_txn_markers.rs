//! WriteTxnMarkers: a coordinator elsewhere, or a tool that ends a hanging transaction, has markers
//! written to partitions of this node (KIP-98, KIP-664).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use coordinator::machine::Producer;
use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{PartitionIndex, ProducerEpoch, ProducerId};
use protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

use crate::markers::{self, Marker};
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// What became of the markers of each producer.
type Errors = BTreeMap<i64, BTreeMap<String, BTreeMap<i32, ErrorCode>>>;

/// Answers a WriteTxnMarkers request.
pub async fn write_txn_markers(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(WriteTxnMarkersRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let mut errors = Errors::new();
    for marker in &body.markers {
        write(&shard, marker, &mut errors).await;
    }
    let response = WriteTxnMarkersResponse {
        markers: errors.into_iter().map(result).collect(),
    };
    request.reply(&response, WriteTxnMarkersResponse::encode)
}

async fn write(shard: &Rc<Shard>, asked: &WritableTxnMarker<'_>, errors: &mut Errors) {
    let marker = Marker {
        producer: Producer {
            id: ProducerId(asked.producer_id),
            epoch: ProducerEpoch(asked.producer_epoch),
        },
        result: match asked.transaction_result {
            true => TransactionResult::Commit,
            false => TransactionResult::Abort,
        },
        coordinator_epoch: asked.coordinator_epoch,
    };
    let partitions = asked.topics.iter().flat_map(|topic| {
        let indexes = topic.partition_indexes.iter();
        indexes.map(|index| (&*topic.name, PartitionIndex(*index)))
    });
    let written = markers::write(shard, marker, partitions.clone()).await;
    let of_producer = errors.entry(asked.producer_id).or_default();
    for ((topic, partition), error) in partitions.zip(written) {
        let of_topic = of_producer.entry(topic.to_owned()).or_default();
        of_topic.insert(partition.0, error);
    }
}

fn result(
    (producer_id, topics): (i64, BTreeMap<String, BTreeMap<i32, ErrorCode>>),
) -> WritableTxnMarkerResult<'static> {
    let partition = |(partition_index, error): (i32, ErrorCode)| WritableTxnMarkerPartitionResult {
        partition_index,
        error_code: error.code(),
    };
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| WritableTxnMarkerTopicResult {
            name: Cow::Owned(name),
            partitions: partitions.into_iter().map(partition).collect(),
        });
    WritableTxnMarkerResult {
        producer_id,
        topics: topics.collect(),
    }
}
