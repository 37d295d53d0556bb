//! Consumer groups: which there are, what they do, and taking them or their offsets away. Each
//! question about a group goes to its coordinator.

use std::collections::BTreeMap;

use protocol::error::ErrorCode;
use protocol::messages::delete_groups::DeleteGroupsRequest;
use protocol::messages::describe_groups::{DescribeGroupsRequest, DescribedGroup};
use protocol::messages::list_groups::{ListGroupsRequest, ListedGroup};
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use protocol::records::consumer_protocol::ConsumerProtocolAssignment;
use protocol::wire::Decoder;

use super::{ByPartition, Client, CoordinatorOf, Error, TopicPartition};

/// A group as its coordinator describes it.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// `Stable`, `Empty`, `Dead` and so on.
    pub state: String,
    /// The name of the assignor chosen.
    pub assignor: String,
    /// Its members.
    pub members: Vec<Member>,
    /// The coordinator: its id and `host:port`.
    pub coordinator: (i32, String),
}

/// A member of a group.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Its static id, if it has one.
    pub instance_id: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// Its partitions.
    pub assignment: Vec<TopicPartition>,
}

impl Client {
    /// All consumer groups of the cluster, those of these states and types if any are named.
    pub fn list_groups(
        &mut self,
        states: &[String],
        types: &[String],
    ) -> Result<Vec<ListedGroup<'static>>, Error> {
        let request = ListGroupsRequest {
            states_filter: states.iter().map(|state| state.as_str().into()).collect(),
            types_filter: types.iter().map(|kind| kind.as_str().into()).collect(),
        };
        self.retried(Client::refresh)?;
        let mut groups = BTreeMap::new();
        for broker in self.broker_ids() {
            let listed = self.retried(|client| {
                let answer = client.ask_broker(broker, &request)?;
                Error::check(answer.error_code, None)?;
                Ok(answer.groups)
            })?;
            let is_of_consumers = |group: &ListedGroup<'_>| {
                group.protocol_type == "consumer" || group.protocol_type.is_empty()
            };
            for group in listed.into_iter().filter(is_of_consumers) {
                groups.insert(group.group_id.clone(), group);
            }
        }
        Ok(groups.into_values().collect())
    }

    /// Describes one group. One that does not exist is described as `Dead`.
    pub fn describe_group(&mut self, id: &str) -> Result<Group, Error> {
        let request = DescribeGroupsRequest {
            groups: vec![id.into()],
            include_authorized_operations: false,
        };
        self.retried(|client| {
            let coordinator = client.coordinator(CoordinatorOf::Group, id)?;
            let answer = client.ask_broker(coordinator, &request)?;
            let unknown = || Error::of(ErrorCode::GroupIdNotFound);
            let group = answer.groups.into_iter().next().ok_or_else(unknown)?;
            Error::check(group.error_code, None)?;
            let address = client.brokers[&coordinator].clone();
            Group::of(group, (coordinator, address))
        })
    }

    /// Takes a group away, with its offsets.
    pub fn delete_group(&mut self, id: &str) -> Result<(), Error> {
        let request = DeleteGroupsRequest {
            groups_names: vec![id.into()],
        };
        self.retried(|client| {
            let coordinator = client.coordinator(CoordinatorOf::Group, id)?;
            let answer = client.ask_broker(coordinator, &request)?;
            answer
                .results
                .iter()
                .try_for_each(|result| Error::check(result.error_code, None))
        })
    }

    /// Takes committed offsets of a group away.
    pub fn delete_offsets(
        &mut self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<ByPartition<()>, Error> {
        let topics = TopicPartition::by_topic(partitions.iter().map(|at| (at, ()))).into_iter();
        let partition = |(partition_index, ())| OffsetDeleteRequestPartition { partition_index };
        let request = OffsetDeleteRequest {
            group_id: group.into(),
            topics: topics
                .map(|(name, indexes)| OffsetDeleteRequestTopic {
                    name: name.into(),
                    partitions: indexes.into_iter().map(partition).collect(),
                })
                .collect(),
        };
        self.retried(|client| {
            let coordinator = client.coordinator(CoordinatorOf::Group, group)?;
            let answer = client.ask_broker(coordinator, &request)?;
            Error::check(answer.error_code, None)?;
            let mut deleted = ByPartition::new();
            for topic in answer.topics {
                for partition in topic.partitions {
                    let at = TopicPartition::new(topic.name.as_ref(), partition.partition_index);
                    deleted.insert(at, Error::check(partition.error_code, None));
                }
            }
            Ok(deleted)
        })
    }

    /// Commits offsets for a group that has no members.
    pub fn alter_offsets(
        &mut self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), Error> {
        let partition = |(partition_index, offset): (i32, &i64)| OffsetCommitRequestPartition {
            partition_index,
            committed_offset: *offset,
            committed_metadata: Some("".into()),
            ..Default::default()
        };
        let topics = TopicPartition::by_topic(offsets).into_iter();
        let request = OffsetCommitRequest {
            group_id: group.into(),
            generation_id_or_member_epoch: -1,
            topics: topics
                .map(|(name, offsets)| OffsetCommitRequestTopic {
                    name: name.into(),
                    partitions: offsets.into_iter().map(partition).collect(),
                })
                .collect(),
            ..Default::default()
        };
        self.retried(|client| {
            let coordinator = client.coordinator(CoordinatorOf::Group, group)?;
            let answer = client.ask_broker(coordinator, &request)?;
            let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.try_for_each(|partition| Error::check(partition.error_code, None))
        })
    }
}

impl Group {
    fn of(group: DescribedGroup<'_>, coordinator: (i32, String)) -> Result<Group, Error> {
        let is_of_consumers = group.protocol_type == "consumer" || group.protocol_type.is_empty();
        if !is_of_consumers {
            return Err(Error::Settings(format!(
                "GroupId {} is not a consumer group ({}).",
                group.group_id, group.protocol_type
            )));
        }
        let members = group.members.into_iter().map(|member| Member {
            id: member.member_id.into_owned(),
            instance_id: member.group_instance_id.map(|id| id.into_owned()),
            client_id: member.client_id.into_owned(),
            host: member.client_host.into_owned(),
            assignment: assigned_partitions(&member.member_assignment),
        });
        Ok(Group {
            id: group.group_id.into_owned(),
            state: group.group_state.into_owned(),
            assignor: group.protocol_data.into_owned(),
            members: members.collect(),
            coordinator,
        })
    }
}

/// The partitions in an assignment as consumers write it; none in what cannot be read.
pub fn assigned_partitions(assignment: &[u8]) -> Vec<TopicPartition> {
    let mut decoder = Decoder::from_peer(assignment);
    let version = decoder
        .i16()
        .clamp(0, ConsumerProtocolAssignment::VERSION_MAX);
    let read = ConsumerProtocolAssignment::decode(&mut decoder, version).unwrap_or_default();
    let mut partitions = Vec::new();
    for topic in read.assigned_partitions {
        for partition in topic.partitions {
            partitions.push(TopicPartition::new(topic.topic.as_ref(), partition));
        }
    }
    partitions
}
