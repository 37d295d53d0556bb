//! WriteTxnMarkers: a coordinator elsewhere, or a tool that ends a hanging transaction, has markers
//! written to partitions of this node (KIP-98, KIP-664).

use std::rc::Rc;

use coordinator::machine::Producer;
use protocol::batch::control::TransactionResult;
use protocol::ids::{PartitionIndex, ProducerEpoch, ProducerId};
use protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

use super::walk::STEPS_MAX;
use crate::markers::{self, Marker};
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers a WriteTxnMarkers request.
pub async fn write_txn_markers(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(WriteTxnMarkersRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let mut markers = Vec::with_capacity(body.markers.len());
    for marker in body.markers {
        markers.push(write(&shard, marker).await);
    }
    let response = WriteTxnMarkersResponse { markers };
    request.reply(&response, WriteTxnMarkersResponse::encode)
}

async fn write<'a>(shard: &Rc<Shard>, asked: WritableTxnMarker<'a>) -> WritableTxnMarkerResult<'a> {
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
    let mut topics = Vec::with_capacity(asked.topics.len());
    for topic in asked.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for indexes in topic.partition_indexes.chunks(STEPS_MAX) {
            let named = indexes
                .iter()
                .map(|index| (&*topic.name, PartitionIndex(*index)));
            let errors = markers::write(shard, marker, named).await;
            let written = indexes.iter().zip(errors);
            partitions.extend(
                written.map(|(index, error)| WritableTxnMarkerPartitionResult {
                    partition_index: *index,
                    error_code: error.code(),
                }),
            );
        }
        topics.push(WritableTxnMarkerTopicResult {
            name: topic.name,
            partitions,
        });
    }
    WritableTxnMarkerResult {
        producer_id: asked.producer_id,
        topics,
    }
}
