//! OffsetFetch: each group's coordinator is asked for what the group has committed (KIP-709). Who asks
//! for an offset of a group twice is told it once, and in a long answer also who asks for the group
//! twice: it may have metadata of some KiB.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use coordinator::group::request::{self as group, FetchOffsets};
use protocol::error::ErrorCode;
use protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

use super::names::TOLD_AGAIN_BYTES_MAX;
use crate::coordination::groups;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Versions from this one have an error code for the whole group.
const GROUP_ERROR_SINCE: i16 = 2;
/// Versions from this one ask for several groups.
const BATCHED_SINCE: i16 = 8;

/// Answers an OffsetFetch request.
pub async fn offset_fetch(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(OffsetFetchRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let version = request.version();
    let require_stable = body.require_stable;
    if version >= BATCHED_SINCE {
        let mut groups = Vec::with_capacity(body.groups.len());
        let mut asked_before = HashMap::new();
        let mut told_bytes = 0;
        for mut asked in body.groups {
            let before: &mut Asked = asked_before.entry(asked.group_id.clone()).or_default();
            if told_bytes < TOLD_AGAIN_BYTES_MAX {
                *before = Asked::default();
            }
            if !before.add(&mut asked) {
                continue;
            }
            let told = fetch(&shard, version, asked, require_stable).await;
            told_bytes += bytes_of(&told);
            groups.push(told);
        }
        let response = OffsetFetchResponse {
            groups,
            ..Default::default()
        };
        return request.reply(&response, OffsetFetchResponse::encode);
    }
    let mut asked = single(body);
    Asked::default().add(&mut asked);
    let told = match version {
        // These were kept in ZooKeeper.
        0 => failed(&asked, version, ErrorCode::UnsupportedVersion),
        _ => fetch(&shard, version, asked, require_stable).await,
    };
    request.reply(&flat(told), OffsetFetchResponse::encode)
}

/// What a group's answer takes, about.
fn bytes_of(told: &OffsetFetchResponseGroup<'_>) -> usize {
    const PARTITION_BYTES: usize = 32;
    let of_partition = |partition: &OffsetFetchResponsePartitions<'_>| {
        PARTITION_BYTES + partition.metadata.as_ref().map_or(0, |text| text.len())
    };
    let of_topic = |topic: &OffsetFetchResponseTopics<'_>| {
        topic.name.len() + topic.partitions.iter().map(of_partition).sum::<usize>()
    };
    told.group_id.len() + told.topics.iter().map(of_topic).sum::<usize>()
}

/// What was asked of one group.
#[derive(Default)]
struct Asked<'a> {
    all: bool,
    partitions: HashMap<Cow<'a, str>, HashSet<i32>>,
}

impl<'a> Asked<'a> {
    /// Takes out of `group` what was asked before; false if that is all of it.
    fn add(&mut self, group: &mut OffsetFetchRequestGroup<'a>) -> bool {
        let Some(topics) = &mut group.topics else {
            return !std::mem::replace(&mut self.all, true);
        };
        for topic in topics {
            let of_topic = self.partitions.entry(topic.name.clone()).or_default();
            let indexes = &mut topic.partition_indexes;
            indexes.retain(|index| of_topic.insert(*index));
        }
        true
    }
}

async fn fetch(
    shard: &Rc<Shard>,
    version: i16,
    asked: OffsetFetchRequestGroup<'_>,
    require_stable: bool,
) -> OffsetFetchResponseGroup<'static> {
    let asked = asked.into_owned();
    let request = group::Request::Fetch(FetchOffsets {
        group: asked.group_id.to_string(),
        topics: asked.topics.clone(),
        require_stable,
    });
    match groups::ask(shard, &asked.group_id, request).await {
        Ok(group::Reply::Fetch(told)) => told,
        Ok(_) => unreachable!("a fetch of offsets is answered as one"),
        Err(error) => failed(&asked, version, error),
    }
}

/// The one group that versions before 8 ask for.
fn single(body: OffsetFetchRequest<'_>) -> OffsetFetchRequestGroup<'_> {
    let topics = body.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
        });
        topics.collect()
    });
    OffsetFetchRequestGroup {
        group_id: body.group_id,
        topics,
        ..Default::default()
    }
}

/// The answer in the form of the versions before 8.
fn flat(group: OffsetFetchResponseGroup<'static>) -> OffsetFetchResponse<'static> {
    let topics = group
        .topics
        .into_iter()
        .map(|topic| OffsetFetchResponseTopic {
            name: topic.name,
            partitions: topic
                .partitions
                .into_iter()
                .map(|partition| OffsetFetchResponsePartition {
                    partition_index: partition.partition_index,
                    committed_offset: partition.committed_offset,
                    committed_leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.metadata,
                    error_code: partition.error_code,
                })
                .collect(),
        });
    OffsetFetchResponse {
        topics: topics.collect(),
        error_code: group.error_code,
        ..Default::default()
    }
}

/// An error for the whole group; before there was a place for it, for each partition.
fn failed(
    asked: &OffsetFetchRequestGroup<'_>,
    version: i16,
    error: ErrorCode,
) -> OffsetFetchResponseGroup<'static> {
    let topics = asked.topics.iter().flatten();
    let topics = topics.filter(|topic| !topic.partition_indexes.is_empty());
    let topics = topics.map(|topic| OffsetFetchResponseTopics {
        name: Cow::Owned(topic.name.to_string()),
        partitions: topic
            .partition_indexes
            .iter()
            .map(|index| OffsetFetchResponsePartitions {
                partition_index: *index,
                committed_offset: -1,
                committed_leader_epoch: -1,
                metadata: Some(Cow::Borrowed("")),
                error_code: error.code(),
            })
            .collect(),
    });
    OffsetFetchResponseGroup {
        group_id: Cow::Owned(asked.group_id.to_string()),
        topics: match version >= GROUP_ERROR_SINCE {
            true => Vec::new(),
            false => topics.collect(),
        },
        error_code: error.code(),
    }
}
