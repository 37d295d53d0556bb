//! OffsetCommit and TxnOffsetCommit: a group's offsets go to the log, and hold once they are there,
//! or once their transaction has committed.

use std::borrow::Cow;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use protocol::messages::txn_offset_commit::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};

use super::join::validate_member;
use super::large_commit::{Place, batch_bytes};
use super::liveness::renew;
use super::membership::Group;
use super::offsets::CommittedOffset;
use super::record;
use super::request::{CommitInTransaction, CommitOffsets, Reply};
use super::state::State;
use super::work::Work;
use super::write::{Commit, CommitPartition, CommitTopic, Fate, Share, Write, commit_error};
use super::{Actions, Groups};
use crate::machine::{Producer, Token, WriteId};

/// "As long as the broker says", and "now".
pub(super) const NOT_SAID: i64 = -1;

/// Who commits.
struct Committer<'a> {
    member: &'a str,
    instance: Option<&'a str>,
    generation: i32,
    producer: Option<Producer>,
}

impl<'a> Committer<'a> {
    fn of(request: &'a OffsetCommitRequest<'_>) -> Committer<'a> {
        Committer {
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            generation: request.generation_id_or_member_epoch,
            producer: None,
        }
    }
}

impl Groups {
    /// A member, or somebody who assigns itself, commits.
    pub(super) fn commit(
        &mut self,
        now: TimestampMs,
        token: Token,
        commit: CommitOffsets,
        out: &mut Actions,
    ) {
        let topics = commit.request.topics.iter();
        let partitions: usize = topics.map(|topic| topic.partitions.len()).sum();
        if partitions > self.settings.steps_max {
            return self.begin_large_commit(now, token, commit, out);
        }
        self.commit_whole(now, token, &commit.request, out);
    }

    /// Commits all of a request in one batch.
    pub(super) fn commit_whole(
        &mut self,
        now: TimestampMs,
        token: Token,
        request: &OffsetCommitRequest<'static>,
        out: &mut Actions,
    ) {
        let topics = topics_of(request, &mut Place::default(), usize::MAX, now);
        self.commit_topics(now, (token, Share::Whole), request, topics, out);
    }

    /// Commits these partitions of a request.
    pub(super) fn commit_topics(
        &mut self,
        now: TimestampMs,
        (token, share): (Token, Share),
        request: &OffsetCommitRequest<'static>,
        topics: Vec<CommitTopic>,
        out: &mut Actions,
    ) {
        let committer = Committer::of(request);
        let commit = Commit {
            token,
            share,
            group: (&*request.group_id).into(),
            producer: None,
            topics,
        };
        let fate = match share {
            Share::Whole => Fate::Accepted,
            Share::Portion { fate, .. } => fate,
        };
        self.begin_commit(now, commit, (&committer, fate), out);
    }

    /// A producer commits what its consumer has consumed, with its transaction (KIP-447).
    pub(super) fn commit_in_transaction(
        &mut self,
        now: TimestampMs,
        token: Token,
        commit: &CommitInTransaction,
        out: &mut Actions,
    ) {
        let request = &commit.request;
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
        let is_too_large = commit.batch_bytes_max.is_some_and(|max| {
            let partitions = request.topics.iter().flat_map(|topic| {
                let each = topic.partitions.iter();
                each.map(|one| (&*topic.name, one.committed_metadata.as_deref()))
            });
            let metadata_max = self.settings.offset_metadata_max;
            batch_bytes(&request.group_id, partitions, false, metadata_max) > max
        });
        let fate = match self.allows(&request.group_id, &committer) {
            Err(error) => Fate::Refused(error),
            Ok(()) if is_too_large => Fate::TooLarge,
            Ok(()) => Fate::Accepted,
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
            share: Share::Whole,
            group: (&*request.group_id).into(),
            producer: Some(producer.id),
            topics: topics.collect(),
        };
        self.begin_commit(now, commit, (&committer, fate), out);
    }

    fn begin_commit(
        &mut self,
        now: TimestampMs,
        mut commit: Commit,
        (committer, fate): (&Committer<'_>, Fate),
        out: &mut Actions,
    ) {
        let id = commit.group.clone();
        let refused = match fate {
            Fate::Accepted => self.allows(&id, committer),
            Fate::Refused(error) => Err(error),
            Fate::TooLarge => Ok(()),
        };
        let (groups, mut work) = self.at_work(now, out);
        let work = &mut work;
        if let Err(error) = refused {
            fail(&mut commit.topics, error);
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
                if fate == Fate::TooLarge {
                    partition.error = ErrorCode::InvalidCommitOffsetSize;
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

    /// Whether who sent this may commit now.
    pub(super) fn may_commit(&self, request: &OffsetCommitRequest<'_>) -> Result<(), ErrorCode> {
        self.allows(&request.group_id, &Committer::of(request))
    }

    fn allows(&self, id: &str, committer: &Committer<'_>) -> Result<(), ErrorCode> {
        match self.groups.get(id) {
            // Who relies on Kafka for offsets only needs no group.
            None if committer.producer.is_none() && committer.generation >= 0 => {
                Err(ErrorCode::IllegalGeneration)
            }
            None => may_commit(&Group::default(), committer),
            Some(group) => may_commit(group, committer),
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
            // A partition may be there twice: each record has its own place in the log.
            for (number, (topic, partition)) in accepted(&commit).enumerate() {
                let (offsets, index) = (&mut group.offsets, partition.index);
                let stored = result.ok().map(|first| {
                    let at = Offset(first.0 + number as i64);
                    (at, partition.offset.clone())
                });
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
            fail(&mut commit.topics, commit_error(error));
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

/// Some of a request's partitions as they are to be committed, from a place on; the place moves.
pub(super) fn topics_of(
    request: &OffsetCommitRequest<'static>,
    at: &mut Place,
    partitions_max: usize,
    now: TimestampMs,
) -> Vec<CommitTopic> {
    let expire_timestamp = (request.retention_time_ms != NOT_SAID)
        .then(|| TimestampMs(now.0.saturating_add(request.retention_time_ms)));
    let mut topics = Vec::new();
    let mut left = partitions_max;
    while let Some(topic) = request.topics.get(at.topic).filter(|_| left > 0) {
        let partitions = topic.partitions.iter().skip(at.partition).take(left);
        let partitions: Vec<CommitPartition> = partitions
            .map(|partition| committed(partition, expire_timestamp, now))
            .collect();
        left -= partitions.len();
        at.partition += partitions.len();
        if at.partition == topic.partitions.len() {
            *at = Place {
                topic: at.topic + 1,
                partition: 0,
            };
        }
        topics.push(CommitTopic {
            name: topic.name.to_string(),
            partitions,
        });
    }
    topics
}

fn committed(
    partition: &OffsetCommitRequestPartition<'_>,
    expire_timestamp: Option<TimestampMs>,
    now: TimestampMs,
) -> CommitPartition {
    let metadata = partition.committed_metadata.as_deref();
    CommitPartition {
        index: partition.partition_index,
        error: ErrorCode::None,
        offset: CommittedOffset {
            offset: Offset(partition.committed_offset),
            leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
            metadata: metadata.unwrap_or_default().into(),
            commit_timestamp: match partition.commit_timestamp {
                NOT_SAID => now,
                said => TimestampMs(said),
            },
            expire_timestamp,
        },
    }
}

/// Those that were not refused before are now.
pub(super) fn fail(topics: &mut [CommitTopic], error: ErrorCode) {
    for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if partition.error == ErrorCode::None {
            partition.error = error;
        }
    }
}

fn answer(commit: Commit, work: &mut Work<'_>) {
    let token = commit.token;
    if commit.producer.is_some() {
        return answer_in_transaction(commit, work);
    }
    let topics = told(commit.topics);
    let topics = match commit.share {
        Share::Whole => topics,
        Share::Portion { number, .. } => match work.large_commits.done((token, number), topics) {
            Some(topics) => topics,
            None => return,
        },
    };
    let response = OffsetCommitResponse {
        topics,
        ..Default::default()
    };
    work.reply(token, Reply::Commit(response));
}

/// What a committer is told of each partition.
pub(super) fn told(topics: Vec<CommitTopic>) -> Vec<OffsetCommitResponseTopic<'static>> {
    let topics = topics.into_iter();
    topics
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
        .collect()
}

fn answer_in_transaction(commit: Commit, work: &mut Work<'_>) {
    let topics = commit.topics.into_iter();
    let response = TxnOffsetCommitResponse {
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
    };
    work.reply(commit.token, Reply::TxnCommit(response));
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
pub(super) fn is_longer(metadata: &str, units_max: usize) -> bool {
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
