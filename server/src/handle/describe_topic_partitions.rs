//! DescribeTopicPartitions: partitions of topics, so many at a time; a cursor says where the next
//! answer goes on (KIP-966).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use controller::image::{Partition, Topic};
use controller::topic_name;
use protocol::error::ErrorCode;
use protocol::ids::{BrokerId, PartitionIndex};
use protocol::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic, ResponseCursor,
};

use crate::authorized_operations;
use crate::partition::PartitionKey;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers a DescribeTopicPartitions request. Where the cursor makes no sense, each topic asked for
/// gets the error.
pub async fn describe_topic_partitions(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DescribeTopicPartitionsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let (from_topic, from_partition) = match &body.cursor {
        Some(cursor) => (&*cursor.topic_name, cursor.partition_index),
        None => ("", 0),
    };
    let image = shard.image();
    let all = body.topics.is_empty();
    let names: BTreeSet<&str> = match all {
        true => image.topics().map(|topic| &*topic.name).collect(),
        false => body.topics.iter().map(|topic| &*topic.name).collect(),
    };
    let cursor_is_asked_for = all || body.cursor.is_none() || names.contains(from_topic);
    if !cursor_is_asked_for || from_partition < 0 {
        let topics = body
            .topics
            .iter()
            .map(|topic| DescribeTopicPartitionsResponseTopic {
                error_code: ErrorCode::InvalidRequest.code(),
                name: Some(topic.name.clone()),
                ..Default::default()
            });
        let response = DescribeTopicPartitionsResponse {
            topics: topics.collect(),
            ..Default::default()
        };
        return request.reply(&response, DescribeTopicPartitionsResponse::encode);
    }
    let limit = shard
        .config
        .values
        .count("max.request.partition.size.limit");
    let asked = usize::try_from(body.response_partition_limit).unwrap_or(0);
    let mut remaining = limit.min(asked).max(1);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.range(from_topic..) {
        if remaining == 0 {
            response.next_cursor = Some(cursor(name, 0));
            break;
        }
        let first = if *name == from_topic {
            from_partition
        } else {
            0
        };
        match image.topic(name) {
            Some(topic) => {
                let told = told(&shard, topic, first, remaining);
                remaining -= told.partitions.len();
                let next = first as usize + told.partitions.len();
                response.topics.push(told);
                if topic.partitions.len() > next {
                    response.next_cursor = Some(cursor(name, next as i32));
                    break;
                }
            }
            None if !all => response.topics.push(unknown(name)),
            None => {}
        }
    }
    request.reply(&response, DescribeTopicPartitionsResponse::encode)
}

fn cursor(topic: &str, partition_index: i32) -> ResponseCursor<'_> {
    ResponseCursor {
        topic_name: Cow::Borrowed(topic),
        partition_index,
    }
}

fn told<'a>(
    shard: &Shard,
    topic: &'a Topic,
    first: i32,
    count_max: usize,
) -> DescribeTopicPartitionsResponseTopic<'a> {
    let partitions = topic
        .partitions
        .range(PartitionIndex(first)..)
        .take(count_max);
    let partitions = partitions.map(|(index, partition)| {
        let key = PartitionKey {
            topic_id: topic.id,
            partition: *index,
        };
        told_partition(shard, key, partition)
    });
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::None.code(),
        name: Some(Cow::Borrowed(&topic.name)),
        topic_id: topic.id,
        is_internal: topic_name::is_internal(&topic.name),
        partitions: partitions.collect(),
        topic_authorized_operations: authorized_operations::TOPIC,
    }
}

fn told_partition(
    shard: &Shard,
    key: PartitionKey,
    partition: &Partition,
) -> DescribeTopicPartitionsResponsePartition {
    let me = shard.node.broker_id;
    let is_broken = shard.node.offline.contains(&key);
    let leader = partition.leader.filter(|_| !is_broken);
    let raw = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<i32>>();
    let offline = is_broken.then_some(me.0);
    DescribeTopicPartitionsResponsePartition {
        error_code: match leader == Some(me) {
            true => ErrorCode::None.code(),
            false => ErrorCode::LeaderNotAvailable.code(),
        },
        partition_index: key.partition.0,
        leader_id: leader.map_or(-1, |leader| leader.0),
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: raw(&partition.replicas),
        isr_nodes: raw(&partition.isr),
        eligible_leader_replicas: Some(raw(&partition.eligible_leaders)),
        last_known_elr: Some(raw(&partition.last_eligible_leaders)),
        offline_replicas: offline.into_iter().collect(),
    }
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic<'_> {
    let error = match topic_name::validate(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(Cow::Borrowed(name)),
        is_internal: topic_name::is_internal(name),
        topic_authorized_operations: authorized_operations::TOPIC,
        ..Default::default()
    }
}
