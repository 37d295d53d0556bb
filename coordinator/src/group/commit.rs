//! OffsetCommit: a group's offsets go to the log, and hold once they are there.

use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset, TimestampMs};
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::offsets::CommittedOffset;
use super::write::{Commit, Write, commit_error};
use super::{Actions, Groups, Reply, record};
use crate::machine::{Action, Token, WriteId};

/// "As long as the broker says", and "now".
const NOT_SAID: i64 = -1;

impl Groups {
    /// Begins a commit, or refuses it.
    pub(super) fn commit(
        &mut self,
        now: TimestampMs,
        token: Token,
        request: OffsetCommitRequest<'static>,
        out: &mut Actions,
    ) {
        if let Err(error) = self.may_commit(&request) {
            let refused = answered(&request, |_| error);
            out.push(Action::Reply(token, Reply::Commit(refused)));
            return;
        }
        let metadata_max = self.settings.offset_metadata_max;
        let response = answered(&request, |partition| {
            let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
            match is_longer(metadata, metadata_max) {
                true => ErrorCode::OffsetMetadataTooLarge,
                false => ErrorCode::None,
            }
        });
        let expire_timestamp = (request.retention_time_ms != NOT_SAID)
            .then(|| TimestampMs(now.0.saturating_add(request.retention_time_ms)));
        let accepted =
            |(topic, partition, code): (&str, &OffsetCommitRequestPartition<'_>, i16)| {
                let committed = committed_offset(partition, now, expire_timestamp);
                (code == 0).then(|| (topic.to_owned(), partition.partition_index, committed))
            };
        let offsets: Vec<_> = with_codes(&request, &response)
            .filter_map(accepted)
            .collect();
        if offsets.is_empty() {
            out.push(Action::Reply(token, Reply::Commit(response)));
            return;
        }
        let write = self.take_write_id();
        let id: Rc<str> = (&*request.group_id).into();
        let group = self.groups.entry(id.clone()).or_default();
        let mut records = Vec::with_capacity(offsets.len());
        for (topic, partition, committed) in &offsets {
            group.offsets.begin(topic, *partition, write);
            records.push(record::offset(&id, topic, *partition, committed));
        }
        let commit = Commit {
            token,
            group: id,
            offsets,
            response,
        };
        self.append(write, records, None, Write::Commit(commit), out);
    }

    /// The commit is in the log, or is not.
    pub(super) fn finish_commit(
        &mut self,
        write: WriteId,
        commit: Commit,
        result: Result<Offset, ErrorCode>,
        out: &mut Actions,
    ) {
        let mut response = commit.response;
        if let Some(group) = self.groups.get_mut(&commit.group) {
            for (topic, partition, committed) in commit.offsets {
                let stored = result.ok().map(|at| (at, committed));
                group.offsets.finish(&topic, partition, write, stored);
            }
        }
        if let Err(error) = result {
            let topics = response.topics.iter_mut();
            for partition in topics.flat_map(|topic| &mut topic.partitions) {
                if partition.error_code == ErrorCode::None.code() {
                    partition.error_code = commit_error(error).code();
                }
            }
        }
        out.push(Action::Reply(commit.token, Reply::Commit(response)));
    }

    fn may_commit(&self, request: &OffsetCommitRequest<'_>) -> Result<(), ErrorCode> {
        match request.generation_id_or_member_epoch < 0 {
            true => Ok(()),
            false => Err(ErrorCode::IllegalGeneration),
        }
    }
}

/// Kafka's limit is on UTF-16 units.
pub fn is_longer(metadata: &str, units_max: usize) -> bool {
    metadata.len() > units_max && metadata.encode_utf16().count() > units_max
}

fn committed_offset(
    partition: &OffsetCommitRequestPartition<'_>,
    now: TimestampMs,
    expire_timestamp: Option<TimestampMs>,
) -> CommittedOffset {
    CommittedOffset {
        offset: Offset(partition.committed_offset),
        leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
        metadata: partition
            .committed_metadata
            .as_deref()
            .unwrap_or_default()
            .into(),
        commit_timestamp: match partition.commit_timestamp {
            NOT_SAID => now,
            said => TimestampMs(said),
        },
        expire_timestamp,
    }
}

/// A response with a code for each partition of the request.
fn answered(
    request: &OffsetCommitRequest<'static>,
    code: impl Fn(&OffsetCommitRequestPartition<'_>) -> ErrorCode,
) -> OffsetCommitResponse<'static> {
    let topics = request
        .topics
        .iter()
        .map(|topic| OffsetCommitResponseTopic {
            name: topic.name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: code(partition).code(),
                })
                .collect(),
        });
    OffsetCommitResponse {
        topics: topics.collect(),
        ..Default::default()
    }
}

/// Each partition of a request with its code in the response.
fn with_codes<'r>(
    request: &'r OffsetCommitRequest<'_>,
    response: &'r OffsetCommitResponse<'_>,
) -> impl Iterator<Item = (&'r str, &'r OffsetCommitRequestPartition<'r>, i16)> {
    let topics = request.topics.iter().zip(&response.topics);
    topics.flat_map(|(asked, answered)| {
        let partitions = asked.partitions.iter().zip(&answered.partitions);
        partitions.map(|(partition, code)| (&*asked.name, partition, code.error_code))
    })
}
