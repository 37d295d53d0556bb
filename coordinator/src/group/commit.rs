//! OffsetCommit and TxnOffsetCommit: a group's offsets go to the log, and hold once they are there,
//! or once their transaction has committed.

use std::borrow::Cow;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
};

use super::join::validate_member;
use super::liveness::renew;
use super::membership::Group;
use super::offsets::CommittedOffset;
use super::record;
use super::request::Reply;
use super::state::State;
use super::work::Work;
use super::write::{Commit, CommitPartition, CommitTopic, Write, commit_error};
use super::{Actions, Groups};
use crate::machine::{Producer, Token, WriteId};

/// "As long as the broker says", and "now".
const NOT_SAID: i64 = -1;

/// Who commits.
struct Committer<'a> {
    member: &'a str,
    instance: Option<&'a str>,
    generation: i32,
    producer: Option<Producer>,
}

impl Groups {
    /// A member, or somebody who assigns itself, commits.
    pub(super) fn commit(
        &mut self,
        now: TimestampMs,
        token: Token,
        request: &OffsetCommitRequest<'static>,
        out: &mut Actions,
    ) {
        let committer = Committer {
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            generation: request.generation_id_or_member_epoch,
            producer: None,
        };
        let expire_timestamp = (request.retention_time_ms != NOT_SAID)
            .then(|| TimestampMs(now.0.saturating_add(request.retention_time_ms)));
        let topics = request.topics.iter().map(|topic| CommitTopic {
            name: topic.name.to_string(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| {
                    let said = partition.commit_timestamp;
                    let metadata = partition.committed_metadata.as_deref();
                    CommitPartition {
                        index: partition.partition_index,
                        error: ErrorCode::None,
                        offset: CommittedOffset {
                            offset: Offset(partition.committed_offset),
                            leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
                            metadata: metadata.unwrap_or_default().into(),
                            commit_timestamp: match said {
                                NOT_SAID => now,
                                said => TimestampMs(said),
                            },
                            expire_timestamp,
                        },
                    }
                })
                .collect(),
        });
        let commit = Commit {
            token,
            group: (&*request.group_id).into(),
            producer: None,
            topics: topics.collect(),
        };
        self.begin_commit(now, commit, &committer, out);
    }

    /// A producer commits what its consumer has consumed, with its transaction (KIP-447).
    pub(super) fn commit_in_transaction(
        &mut self,
        now: TimestampMs,
        token: Token,
        request: &TxnOffsetCommitRequest<'static>,
        out: &mut Actions,
    ) {
        let producer = Producer {
            id: ProducerId(request.producer_id),
            epoch: ProducerEpoch(request.producer_epoch),
        };
        let committer = Committer {
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            generation: request.generation_id,
            producer: Some(producer),
        };
        let topics = request.topics.iter().map(|topic| CommitTopic {
            name: topic.name.to_string(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| {
                    let metadata = partition.committed_metadata.as_deref();
                    CommitPartition {
                        index: partition.partition_index,
                        error: ErrorCode::None,
                        offset: CommittedOffset {
                            offset: Offset(partition.committed_offset),
                            leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
                            metadata: metadata.unwrap_or_default().into(),
                            commit_timestamp: now,
                            expire_timestamp: None,
                        },
                    }
                })
                .collect(),
        });
        let commit = Commit {
            token,
            group: (&*request.group_id).into(),
            producer: Some(producer.id),
            topics: topics.collect(),
        };
        self.begin_commit(now, commit, &committer, out);
    }

    fn begin_commit(
        &mut self,
        now: TimestampMs,
        mut commit: Commit,
        committer: &Committer<'_>,
        out: &mut Actions,
    ) {
        let id = commit.group.clone();
        let is_new = !self.groups.contains_key(&id);
        let (groups, mut work) = self.at_work(now, out);
        let work = &mut work;
        let refused = match is_new {
            // Who relies on Kafka for offsets only needs no group.
            true if committer.producer.is_none() && committer.generation >= 0 => {
                Err(ErrorCode::IllegalGeneration)
            }
            true => may_commit(&Group::default(), committer),
            false => may_commit(&groups[&id], committer),
        };
        if let Err(error) = refused {
            fail(&mut commit, error);
            return answer(commit, work);
        }
        let group = groups.entry(id.clone()).or_default();
        if committer.producer.is_none() && group.state() != State::Empty {
            renew(&id, group, committer.member, work);
        }
        let metadata_max = work.settings.offset_metadata_max;
        let mut records = Vec::new();
        let write = work.writes.next_id();
        for topic in &mut commit.topics {
            for partition in &mut topic.partitions {
                let (index, offset) = (partition.index, &partition.offset);
                if is_longer(&offset.metadata, metadata_max) {
                    partition.error = ErrorCode::OffsetMetadataTooLarge;
                    continue;
                }
                records.push(record::offset(&id, &topic.name, index, offset));
                let offsets = &mut group.offsets;
                match commit.producer {
                    None => offsets.begin(&topic.name, index, write),
                    Some(producer) => {
                        offsets.begin_in_transaction(producer, &topic.name, index, write);
                    }
                }
            }
        }
        if records.is_empty() {
            return answer(commit, work);
        }
        let producer = committer.producer;
        work.append(write, records, producer, Write::Commit(commit));
        if let Some(producer) = producer {
            self.transactions.entry(producer.id).or_default().insert(id);
        }
    }

    /// The commit is in the log, or is not.
    pub(super) fn finish_commit(
        &mut self,
        now: TimestampMs,
        write: WriteId,
        mut commit: Commit,
        result: Result<Offset, ErrorCode>,
        out: &mut Actions,
    ) {
        if let Some(group) = self.groups.get_mut(&commit.group) {
            for (topic, partition) in accepted(&commit) {
                let (offsets, index) = (&mut group.offsets, partition.index);
                let stored = result.ok().map(|at| (at, partition.offset.clone()));
                match commit.producer {
                    None => offsets.finish(topic, index, write, stored),
                    Some(producer) => {
                        offsets.finish_in_transaction(producer, topic, index, write, stored);
                    }
                }
            }
            if let Some(producer) = commit.producer
                && !group.offsets.has_producer(producer)
            {
                self.forget_producer(producer, &commit.group);
            }
        }
        if let Err(error) = result {
            fail(&mut commit, commit_error(error));
        }
        let (_, mut work) = self.at_work(now, out);
        answer(commit, &mut work);
    }
}

fn accepted(commit: &Commit) -> impl Iterator<Item = (&str, &CommitPartition)> {
    let topics = commit.topics.iter();
    topics.flat_map(|topic| {
        let partitions = topic.partitions.iter();
        let accepted = partitions.filter(|partition| partition.error == ErrorCode::None);
        accepted.map(|partition| (&*topic.name, partition))
    })
}

/// Those that were not refused before are now.
fn fail(commit: &mut Commit, error: ErrorCode) {
    let topics = commit.topics.iter_mut();
    for partition in topics.flat_map(|topic| &mut topic.partitions) {
        if partition.error == ErrorCode::None {
            partition.error = error;
        }
    }
}

fn answer(commit: Commit, work: &mut Work<'_>) {
    let topics = commit.topics.into_iter();
    let reply = match commit.producer {
        None => Reply::Commit(OffsetCommitResponse {
            topics: topics
                .map(|topic| OffsetCommitResponseTopic {
                    name: Cow::Owned(topic.name),
                    partitions: topic
                        .partitions
                        .iter()
                        .map(|partition| OffsetCommitResponsePartition {
                            partition_index: partition.index,
                            error_code: partition.error.code(),
                        })
                        .collect(),
                })
                .collect(),
            ..Default::default()
        }),
        Some(_) => Reply::TxnCommit(TxnOffsetCommitResponse {
            topics: topics
                .map(|topic| TxnOffsetCommitResponseTopic {
                    name: Cow::Owned(topic.name),
                    partitions: topic
                        .partitions
                        .iter()
                        .map(|partition| TxnOffsetCommitResponsePartition {
                            partition_index: partition.index,
                            error_code: partition.error.code(),
                        })
                        .collect(),
                })
                .collect(),
            ..Default::default()
        }),
    };
    work.reply(commit.token, reply);
}

/// Whether these offsets may be committed now: members commit in their generation, others only
/// into a group without members.
fn may_commit(group: &Group, committer: &Committer<'_>) -> Result<(), ErrorCode> {
    if group.state() == State::Dead {
        return Err(ErrorCode::CoordinatorNotAvailable);
    }
    let is_transactional = committer.producer.is_some();
    let says_who =
        committer.generation >= 0 || !committer.member.is_empty() || committer.instance.is_some();
    if committer.generation < 0 && group.state() == State::Empty {
        return Ok(());
    }
    if says_who {
        validate_member(group, committer.member, committer.instance)?;
        if committer.generation != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
    } else if !is_transactional && group.state() != State::Empty {
        return Err(ErrorCode::UnknownMemberId);
    }
    // The member knows of the generation, but not yet what it is to consume in it.
    match group.state() == State::CompletingRebalance && !is_transactional {
        true => Err(ErrorCode::RebalanceInProgress),
        false => Ok(()),
    }
}

/// Kafka's limit is on UTF-16 units.
fn is_longer(metadata: &str, units_max: usize) -> bool {
    metadata.len() > units_max && metadata.encode_utf16().count() > units_max
}

/// The groups in which a producer has offsets.
impl Groups {
    /// The producer has nothing in this group any more.
    pub(super) fn forget_producer(&mut self, producer: ProducerId, group: &Rc<str>) {
        if let Some(groups) = self.transactions.get_mut(&producer) {
            groups.remove(group);
            if groups.is_empty() {
                self.transactions.remove(&producer);
            }
        }
    }
}
