//! OffsetCommit: the partitions that exist go to the group's coordinator, the others are refused
//! here.

use std::rc::Rc;

use coordinator::group::request as group;
use protocol::error::ErrorCode;
use protocol::ids::PartitionIndex;
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use crate::coordination::groups;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers an OffsetCommit request.
pub async fn offset_commit(shard: Rc<Shard>, request: Request) -> Outcome {
    let mut body = match request.body(OffsetCommitRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let image = shard.image();
    let exists = |topic: &str, index: i32| {
        let topic = image.topic(topic)?;
        topic.partition(PartitionIndex(index))
    };
    let mut answers = refused(&body.topics, |topic, index| {
        exists(topic, index)
            .is_none()
            .then_some(ErrorCode::UnknownTopicOrPartition)
    });
    let all = body.topics.iter().map(|topic| topic.partitions.len());
    let unknown = answers.iter().map(|topic| topic.partitions.len());
    if request.version() == 0 && unknown.sum::<usize>() < all.sum() {
        // These were kept in ZooKeeper: with one of them all is refused.
        let topics = refused(&body.topics, |_, _| Some(ErrorCode::UnsupportedVersion));
        return reply(&request, topics);
    }
    for topic in &mut body.topics {
        let name = &topic.name;
        let known = |index: i32| exists(name, index).is_some();
        topic.partitions.retain(|p| known(p.partition_index));
    }
    body.topics.retain(|topic| !topic.partitions.is_empty());
    if body.topics.is_empty() {
        return reply(&request, answers);
    }
    let group_id = body.group_id.to_string();
    let mut unanswered = refused(&body.topics, |_, _| Some(ErrorCode::None));
    let asked = Box::new(body.into_owned());
    let committed = groups::ask(&shard, &group_id, group::Request::Commit(asked)).await;
    answers.extend(match committed {
        Ok(group::Reply::Commit(response)) => response.topics,
        Ok(_) => unreachable!("a commit is answered as one"),
        Err(error) => {
            let topics = unanswered.iter_mut();
            let partitions = topics.flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|partition| partition.error_code = error.code());
            unanswered
        }
    });
    reply(&request, merged(answers))
}

/// The partitions for which `error` gives an error.
fn refused(
    topics: &[OffsetCommitRequestTopic<'_>],
    error: impl Fn(&str, i32) -> Option<ErrorCode>,
) -> Vec<OffsetCommitResponseTopic<'static>> {
    let topics = topics.iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name.to_string().into(),
        partitions: topic
            .partitions
            .iter()
            .filter_map(|partition| {
                Some(OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: error(&topic.name, partition.partition_index)?.code(),
                })
            })
            .collect(),
    });
    topics
        .filter(|topic| !topic.partitions.is_empty())
        .collect()
}

/// Each topic once.
fn merged(
    mut topics: Vec<OffsetCommitResponseTopic<'static>>,
) -> Vec<OffsetCommitResponseTopic<'static>> {
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    topics.dedup_by(|next, kept| {
        let same = next.name == kept.name;
        if same {
            kept.partitions.append(&mut next.partitions);
        }
        same
    });
    topics
}

fn reply(request: &Request, topics: Vec<OffsetCommitResponseTopic<'static>>) -> Outcome {
    let response = OffsetCommitResponse {
        topics,
        ..Default::default()
    };
    request.reply(&response, OffsetCommitResponse::encode)
}
