//! OffsetCommit: the partitions that exist go to the group's coordinator, the others are refused
//! here.

use std::rc::Rc;

use controller::topic_name::CONSUMER_OFFSETS;
use coordinator::group::request::{self as group, CommitOffsets};
use engine::config::StoredCompression;
use protocol::batch::Compression;
use protocol::error::ErrorCode;
use protocol::ids::PartitionIndex;
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::walk::{STEPS_MAX, breathe};
use crate::coordination::groups;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers an OffsetCommit request.
pub async fn offset_commit(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(OffsetCommitRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let image = shard.image();
    let mut body = body.into_owned();
    let (known, unknown) = split(std::mem::take(&mut body.topics), |topic, index| {
        let topic = image.topic(topic)?;
        topic.partition(PartitionIndex(index)).map(drop)
    })
    .await;
    let mut answers = answer(&unknown, ErrorCode::UnknownTopicOrPartition).await;
    if known.is_empty() {
        return reply(&request, answers);
    }
    if request.version() == 0 {
        // These were kept in ZooKeeper: with one of them all is refused.
        answers.extend(answer(&known, ErrorCode::None).await);
        let topics = failed(answers, ErrorCode::UnsupportedVersion).await;
        return reply(&request, merged(topics));
    }
    let group_id = body.group_id.to_string();
    let unanswered = answer(&known, ErrorCode::None).await;
    body.topics = known;
    let asked = Box::new(CommitOffsets {
        batch_bytes_max: batch_bytes_max(
            &shard,
            body.topics.iter().map(|topic| topic.partitions.len()).sum(),
        ),
        request: body,
    });
    let committed = groups::ask(&shard, &group_id, group::Request::Commit(asked)).await;
    answers.extend(match committed {
        Ok(group::Reply::Commit(response)) => response.topics,
        Ok(_) => unreachable!("a commit is answered as one"),
        Err(error) => failed(unanswered, error).await,
    });
    reply(&request, merged(answers))
}

/// How large a batch of offsets may be; it matters for commits of very many partitions.
pub(super) fn batch_bytes_max(shard: &Shard, partitions: usize) -> Option<usize> {
    let is_compressed = shard.config.groups.offsets_compression != Compression::None;
    if partitions <= STEPS_MAX || is_compressed {
        return None;
    }
    let settings = shard.node.topic_settings(&shard.image(), CONSUMER_OFFSETS);
    match settings.log.compression {
        StoredCompression::Producer => Some(settings.log.batch_bytes_max as usize),
        StoredCompression::Always(_) => None,
    }
}

type Topic = OffsetCommitRequestTopic<'static>;

/// The partitions that there are, and those that there are not.
async fn split(
    topics: Vec<Topic>,
    exists: impl Fn(&str, i32) -> Option<()>,
) -> (Vec<Topic>, Vec<Topic>) {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    let mut step = 0;
    for topic in topics {
        let (mut there, mut elsewhere) = (Vec::new(), Vec::new());
        for partition in topic.partitions {
            match exists(&topic.name, partition.partition_index) {
                Some(()) => there.push(partition),
                None => elsewhere.push(partition),
            }
            breathe(step).await;
            step += 1;
        }
        let name = &topic.name;
        for (list, partitions) in [(&mut known, there), (&mut unknown, elsewhere)] {
            if !partitions.is_empty() {
                let name = name.clone();
                list.push(OffsetCommitRequestTopic { name, partitions });
            }
        }
        breathe(step).await;
        step += 1;
    }
    (known, unknown)
}

/// The answer that gives each partition this code.
async fn answer(
    topics: &[OffsetCommitRequestTopic<'_>],
    error: ErrorCode,
) -> Vec<OffsetCommitResponseTopic<'static>> {
    let mut answers = Vec::with_capacity(topics.len());
    let mut step = 0;
    for topic in topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            partitions.push(OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error.code(),
            });
            breathe(step).await;
            step += 1;
        }
        answers.push(OffsetCommitResponseTopic {
            name: topic.name.to_string().into(),
            partitions,
        });
        breathe(step).await;
        step += 1;
    }
    answers
}

/// The same answer with another code.
async fn failed(
    mut topics: Vec<OffsetCommitResponseTopic<'static>>,
    error: ErrorCode,
) -> Vec<OffsetCommitResponseTopic<'static>> {
    let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for (step, partition) in partitions.enumerate() {
        partition.error_code = error.code();
        breathe(step).await;
    }
    topics
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
