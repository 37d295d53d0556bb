//! OffsetDelete: committed offsets of a group go (KIP-496).

use std::collections::HashMap;
use std::rc::Rc;

use coordinator::group::request as group;
use protocol::error::ErrorCode;
use protocol::ids::PartitionIndex;
use protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

use crate::coordination::groups;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers an OffsetDelete request.
pub async fn offset_delete(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(OffsetDeleteRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let image = shard.image();
    let mut asked = Box::new(body.into_owned());
    let mut unknown = Vec::new();
    for topic in &mut asked.topics {
        let known = image.topic(&topic.name);
        let exists = |index| known.is_some_and(|known| known.partition(index).is_some());
        let mut partitions = Vec::new();
        topic.partitions.retain(|partition| {
            let exists = exists(PartitionIndex(partition.partition_index));
            if !exists {
                partitions.push(OffsetDeleteResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: ErrorCode::UnknownTopicOrPartition.code(),
                });
            }
            exists
        });
        if !partitions.is_empty() {
            unknown.push(OffsetDeleteResponseTopic {
                name: topic.name.clone(),
                partitions,
            });
        }
    }
    asked.topics.retain(|topic| !topic.partitions.is_empty());
    let group_id = asked.group_id.to_string();
    let answer = groups::ask(&shard, &group_id, group::Request::DeleteOffsets(asked)).await;
    let mut response = match answer {
        Ok(group::Reply::DeleteOffsets(response)) => response,
        Ok(_) => unreachable!("a deletion of offsets is answered as one"),
        Err(error) => OffsetDeleteResponse {
            error_code: error.code(),
            ..Default::default()
        },
    };
    if response.error_code == ErrorCode::None.code() {
        let told = response.topics.iter().enumerate();
        let mut places: HashMap<_, _> = told.map(|(at, told)| (told.name.clone(), at)).collect();
        for topic in unknown {
            match places.get(&topic.name) {
                Some(at) => response.topics[*at].partitions.extend(topic.partitions),
                None => {
                    places.insert(topic.name.clone(), response.topics.len());
                    response.topics.push(topic);
                }
            }
        }
    }
    request.reply(&response, OffsetDeleteResponse::encode)
}
