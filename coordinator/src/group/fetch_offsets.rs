//! OffsetFetch: what a group has committed, whatever state it is in.

use std::borrow::Cow;

use protocol::error::ErrorCode;
use protocol::messages::offset_fetch::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};

use super::Groups;
use super::offsets::{CommittedOffset, Offsets};
use super::request::FetchOffsets;
use super::state::State;

const NO_OFFSET: i64 = -1;

impl Groups {
    /// The offsets that are asked for.
    pub(super) fn fetch_offsets(
        &self,
        request: &FetchOffsets,
    ) -> OffsetFetchResponseGroup<'static> {
        let group = self.groups.get(&*request.group);
        let group = group.filter(|group| group.state() != State::Dead);
        let offsets = group.map(|group| &group.offsets);
        let topics = match &request.topics {
            Some(topics) => topics
                .iter()
                .filter(|topic| !topic.partition_indexes.is_empty())
                .map(|topic| OffsetFetchResponseTopics {
                    name: topic.name.clone(),
                    partitions: topic
                        .partition_indexes
                        .iter()
                        .map(|index| one(offsets, &topic.name, *index, request.require_stable))
                        .collect(),
                })
                .collect(),
            None => all(offsets, request.require_stable),
        };
        OffsetFetchResponseGroup {
            group_id: Cow::Owned(request.group.clone()),
            topics,
            error_code: ErrorCode::None.code(),
        }
    }
}

fn all(offsets: Option<&Offsets>, require_stable: bool) -> Vec<OffsetFetchResponseTopics<'static>> {
    let mut topics: Vec<OffsetFetchResponseTopics<'static>> = Vec::new();
    for (topic, partition, _) in offsets.into_iter().flat_map(Offsets::all) {
        if topics.last().is_none_or(|last| last.name != topic) {
            topics.push(OffsetFetchResponseTopics {
                name: Cow::Owned(topic.to_owned()),
                partitions: Vec::new(),
            });
        }
        let last = topics.last_mut().expect("just pushed");
        last.partitions
            .push(one(offsets, topic, partition, require_stable));
    }
    topics
}

fn one(
    offsets: Option<&Offsets>,
    topic: &str,
    partition: i32,
    require_stable: bool,
) -> OffsetFetchResponsePartitions<'static> {
    let unstable =
        require_stable && offsets.is_some_and(|offsets| offsets.is_unstable(topic, partition));
    let (error, committed) = match unstable {
        true => (ErrorCode::UnstableOffsetCommit, None),
        false => (
            ErrorCode::None,
            offsets.and_then(|offsets| offsets.committed(topic, partition)),
        ),
    };
    let metadata = committed.map_or("", |committed: &CommittedOffset| &committed.metadata);
    OffsetFetchResponsePartitions {
        partition_index: partition,
        committed_offset: committed.map_or(NO_OFFSET, |committed| committed.offset.0),
        committed_leader_epoch: committed.map_or(-1, |committed| committed.leader_epoch.0),
        metadata: Some(Cow::Owned(metadata.to_owned())),
        error_code: error.code(),
    }
}
