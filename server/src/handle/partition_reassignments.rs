//! AlterPartitionReassignments and ListPartitionReassignments (KIP-455).

use std::borrow::Cow;
use std::rc::Rc;

use controller::reassignments::{Wish, reassign, under_way};
use protocol::error::ErrorCode;
use protocol::ids::BrokerId;
use protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment, OngoingTopicReassignment,
};

use super::refusal::{code_of, message_of};
use crate::metadata_log::Change;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::{METADATA_SHARD, Shard};

/// Answers an AlterPartitionReassignments request.
pub async fn alter_partition_reassignments(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(AlterPartitionReassignmentsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let wishes: Vec<(String, Vec<Wish>)> = body
        .topics
        .iter()
        .map(|topic| {
            let wishes = topic.partitions.iter().map(|part| {
                let replicas = part.replicas.as_ref();
                let replicas = replicas.map(|ids| ids.iter().copied().map(BrokerId).collect());
                (part.partition_index, replicas)
            });
            (topic.name.to_string(), wishes.collect())
        })
        .collect();
    let change = Change::new(move |image| reassign(image, &wishes));
    let response = match shard.ask(METADATA_SHARD, change).await {
        Err(refusal) => AlterPartitionReassignmentsResponse {
            error_code: refusal.code.code(),
            error_message: refusal.message.map(Cow::Owned),
            ..Default::default()
        },
        Ok(results) => AlterPartitionReassignmentsResponse {
            error_code: ErrorCode::None.code(),
            responses: results
                .into_iter()
                .map(|(name, partitions)| ReassignableTopicResponse {
                    name: Cow::Owned(name),
                    partitions: partitions
                        .into_iter()
                        .map(|(partition_index, result)| ReassignablePartitionResponse {
                            partition_index,
                            error_code: code_of(&result),
                            error_message: message_of(result),
                        })
                        .collect(),
                })
                .collect(),
            ..Default::default()
        },
    };
    request.reply(&response, AlterPartitionReassignmentsResponse::encode)
}

/// Answers a ListPartitionReassignments request.
pub async fn list_partition_reassignments(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(ListPartitionReassignmentsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let asked: Option<Vec<(String, Vec<i32>)>> = body.topics.as_ref().map(|topics| {
        let topics = topics.iter();
        topics
            .map(|topic| (topic.name.to_string(), topic.partition_indexes.clone()))
            .collect()
    });
    let image = shard.image();
    let raw = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<i32>>();
    let topics = under_way(&image, asked.as_deref())
        .into_iter()
        .map(|(name, partitions)| OngoingTopicReassignment {
            name: Cow::Borrowed(name),
            partitions: partitions
                .into_iter()
                .map(
                    |(partition_index, partition)| OngoingPartitionReassignment {
                        partition_index,
                        replicas: raw(&partition.replicas),
                        adding_replicas: raw(&partition.adding),
                        removing_replicas: raw(&partition.removing),
                    },
                )
                .collect(),
        });
    let response = ListPartitionReassignmentsResponse {
        topics: topics.collect(),
        ..Default::default()
    };
    request.reply(&response, ListPartitionReassignmentsResponse::encode)
}
