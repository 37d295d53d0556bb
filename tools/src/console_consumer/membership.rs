//! Membership in a classic consumer group: joining, the range assignment if this member leads,
//! heartbeats, committed offsets, leaving.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use protocol::error::ErrorCode;
use protocol::messages::heartbeat::HeartbeatRequest;
use protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember,
};
use protocol::messages::leave_group::LeaveGroupRequest;
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use protocol::records::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition,
    ConsumerProtocolSubscription,
};
use protocol::wire::{Decoder, Encoder};

use super::Settings;
use crate::client::{Client, CoordinatorOf, Error, TopicPartition, assigned_partitions};

/// The version of subscriptions and assignments that is written.
const PROTOCOL_VERSION: i16 = 1;
const RANGE: &str = "range";

/// A member of a group.
pub struct Membership {
    /// Its answers may take as long as a rebalance.
    client: Client,
    group: String,
    settings: Settings,
    member_id: String,
    generation: i32,
    coordinator: i32,
    next_heartbeat: Instant,
}

/// Whether the member goes on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It keeps its partitions.
    Stable,
    /// It must join again.
    MustJoin,
}

impl Membership {
    /// Not joined yet.
    pub fn new(client: Client, group: &str, settings: Settings) -> Membership {
        Membership {
            client,
            group: group.to_owned(),
            settings,
            member_id: String::new(),
            generation: -1,
            coordinator: -1,
            next_heartbeat: Instant::now(),
        }
    }

    /// Joins, and gives the partitions assigned; `topics` are those subscribed to.
    pub fn join(&mut self, topics: &[String]) -> Result<Vec<TopicPartition>, Error> {
        self.coordinator = self.client.coordinator(CoordinatorOf::Group, &self.group)?;
        let deadline = Instant::now() + self.client.settings().api_timeout;
        loop {
            match self.join_once(topics) {
                Ok(assigned) => {
                    self.next_heartbeat = Instant::now() + self.settings.heartbeat_interval;
                    return Ok(assigned);
                }
                Err(error) => match error.code() {
                    Some(ErrorCode::MemberIdRequired | ErrorCode::RebalanceInProgress) => {}
                    Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                        self.member_id.clear();
                    }
                    _ if error.is_retriable() && Instant::now() < deadline => {
                        crate::client::backoff::pause(self.client.settings().retry_backoff);
                        let found = self.client.coordinator(CoordinatorOf::Group, &self.group)?;
                        self.coordinator = found;
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    fn join_once(&mut self, topics: &[String]) -> Result<Vec<TopicPartition>, Error> {
        let subscription = ConsumerProtocolSubscription {
            topics: topics.iter().map(|topic| topic.as_str().into()).collect(),
            ..Default::default()
        };
        let metadata = with_version(|encoder| subscription.encode(encoder, PROTOCOL_VERSION));
        let millis = |duration: Duration| duration.as_millis() as i32;
        let request = JoinGroupRequest {
            group_id: self.group.as_str().into(),
            session_timeout_ms: millis(self.settings.session_timeout),
            rebalance_timeout_ms: millis(self.settings.rebalance_timeout),
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.settings.instance_id.as_deref().map(Into::into),
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol {
                name: RANGE.into(),
                metadata: metadata.into(),
            }],
            reason: None,
        };
        let joined = self.client.ask_broker(self.coordinator, &request)?;
        if !joined.member_id.is_empty() {
            self.member_id = joined.member_id.clone().into_owned();
        }
        Error::check(joined.error_code, None)?;
        self.generation = joined.generation_id;
        self.sync(&joined)
    }

    fn sync(&mut self, joined: &JoinGroupResponse<'_>) -> Result<Vec<TopicPartition>, Error> {
        let leads = joined.leader == self.member_id && !joined.skip_assignment;
        let assignments = if leads {
            self.assign(&joined.members)?
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.settings.instance_id.as_deref().map(Into::into),
            protocol_type: Some("consumer".into()),
            protocol_name: Some(RANGE.into()),
            assignments,
        };
        let answer = self.client.ask_broker(self.coordinator, &request)?;
        Error::check(answer.error_code, None)?;
        Ok(assigned_partitions(&answer.assignment))
    }

    fn assign(
        &mut self,
        members: &[JoinGroupResponseMember<'_>],
    ) -> Result<Vec<SyncGroupRequestAssignment<'static>>, Error> {
        let mut subscribed: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for member in members {
            for topic in subscribed_topics(&member.metadata) {
                subscribed.entry(topic).or_default().push(&member.member_id);
            }
        }
        let mut counts = BTreeMap::new();
        for topic in self.client.all_topics()? {
            counts.insert(topic.name.clone(), topic.partitions.len());
        }
        let mut assignments: BTreeMap<&str, Vec<(String, Vec<i32>)>> = BTreeMap::new();
        for (topic, members) in &subscribed {
            let count = counts.get(topic).copied().unwrap_or(0);
            for (member, partitions) in range(members, count) {
                let of_member = assignments.entry(member).or_default();
                of_member.push((topic.clone(), partitions));
            }
        }
        let assignment = |member: &JoinGroupResponseMember<'_>| {
            let topics = assignments
                .remove(member.member_id.as_ref())
                .unwrap_or_default();
            let topics = topics.into_iter().map(|(topic, partitions)| {
                ConsumerProtocolAssignmentTopicPartition {
                    topic: topic.into(),
                    partitions,
                }
            });
            let assignment = ConsumerProtocolAssignment {
                assigned_partitions: topics.collect(),
                user_data: None,
            };
            let bytes = with_version(|encoder| assignment.encode(encoder, PROTOCOL_VERSION));
            SyncGroupRequestAssignment {
                member_id: member.member_id.clone().into_owned().into(),
                assignment: bytes.into(),
            }
        };
        Ok(members.iter().map(assignment).collect())
    }

    /// Tells the coordinator that the member is alive, if it is time to.
    pub fn heartbeat(&mut self) -> Result<Standing, Error> {
        if Instant::now() < self.next_heartbeat {
            return Ok(Standing::Stable);
        }
        self.next_heartbeat = Instant::now() + self.settings.heartbeat_interval;
        let request = HeartbeatRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.settings.instance_id.as_deref().map(Into::into),
        };
        let answer = self.client.ask_broker(self.coordinator, &request);
        let checked = answer.and_then(|answer| Error::check(answer.error_code, None));
        match checked {
            Ok(()) => Ok(Standing::Stable),
            Err(error) => match error.code() {
                Some(
                    ErrorCode::RebalanceInProgress
                    | ErrorCode::UnknownMemberId
                    | ErrorCode::IllegalGeneration,
                ) => Ok(Standing::MustJoin),
                _ if error.is_retriable() => Ok(Standing::MustJoin),
                _ => Err(error),
            },
        }
    }

    /// Commits these positions. What the coordinator does not take any more is another member's.
    pub fn commit(&mut self, positions: &BTreeMap<TopicPartition, i64>) -> Result<(), Error> {
        if positions.is_empty() || self.generation < 0 {
            return Ok(());
        }
        let partition = |(partition_index, offset): (i32, &i64)| OffsetCommitRequestPartition {
            partition_index,
            committed_offset: *offset,
            committed_metadata: Some("".into()),
            ..Default::default()
        };
        let topics = TopicPartition::by_topic(positions).into_iter();
        let request = OffsetCommitRequest {
            group_id: self.group.as_str().into(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.settings.instance_id.as_deref().map(Into::into),
            topics: topics
                .map(|(name, offsets)| OffsetCommitRequestTopic {
                    name: name.into(),
                    partitions: offsets.into_iter().map(partition).collect(),
                })
                .collect(),
            ..Default::default()
        };
        let coordinator = self.coordinator;
        let committed = self.client.retried(|client| {
            let answer = client.ask_broker(coordinator, &request)?;
            let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
            for partition in partitions {
                Error::check(partition.error_code, None)?;
            }
            Ok(())
        });
        match committed {
            Err(error)
                if matches!(
                    error.code(),
                    Some(
                        ErrorCode::UnknownMemberId
                            | ErrorCode::IllegalGeneration
                            | ErrorCode::RebalanceInProgress
                    )
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// What the group has committed for these partitions; nothing for those without.
    pub fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, i64>, Error> {
        let offsets = self
            .client
            .committed_offsets(&self.group, Some(partitions))?;
        let offsets = offsets
            .into_iter()
            .map(|(at, committed)| (at, committed.offset));
        Ok(offsets.collect())
    }

    /// Leaves. A static member stays until its session ends, as it is meant to.
    pub fn leave(&mut self) {
        if self.generation < 0 || self.settings.instance_id.is_some() {
            return;
        }
        let request = LeaveGroupRequest {
            group_id: self.group.as_str().into(),
            member_id: self.member_id.as_str().into(),
            ..Default::default()
        };
        // The session would end by itself too.
        let _ = self.client.ask_broker(self.coordinator, &request);
    }
}

/// Kafka's range assignment of one topic: members in order of their ids take runs of partitions,
/// the first ones one more where it does not divide.
fn range<'m>(members: &[&'m str], partitions: usize) -> Vec<(&'m str, Vec<i32>)> {
    let members: BTreeSet<&str> = members.iter().copied().collect();
    let (each, left) = (partitions / members.len(), partitions % members.len());
    let mut next = 0;
    let take = |(at, member)| {
        let count = each + usize::from(at < left);
        let run = (next..next + count).map(|index| index as i32).collect();
        next += count;
        (member, run)
    };
    members.into_iter().enumerate().map(take).collect()
}

fn with_version(
    write: impl FnOnce(&mut Encoder) -> Result<(), protocol::wire::EncodeError>,
) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.i16(PROTOCOL_VERSION);
    write(&mut encoder).expect("what this tool writes has a version 1");
    encoder.finish().bytes
}

fn subscribed_topics(metadata: &[u8]) -> Vec<String> {
    let mut decoder = Decoder::from_peer(metadata);
    let version = decoder
        .i16()
        .clamp(0, ConsumerProtocolSubscription::VERSION_MAX);
    let read = ConsumerProtocolSubscription::decode(&mut decoder, version);
    let topics = read
        .map(|subscription| subscription.topics)
        .unwrap_or_default();
    topics.into_iter().map(|topic| topic.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_runs_and_the_first_members_take_what_is_left() {
        let expected = [("a", vec![0, 1, 2]), ("b", vec![3, 4])];
        assert_eq!(range(&["b", "a"], 5), expected);
        let expected = [("a", vec![0]), ("b", vec![]), ("c", vec![])];
        assert_eq!(range(&["a", "b", "c"], 1), expected);
    }
}
