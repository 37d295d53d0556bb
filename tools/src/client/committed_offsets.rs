//! What a group has committed.

use std::collections::BTreeMap;

use protocol::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic};

use super::{Client, CoordinatorOf, Error, TopicPartition};

/// What is committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The offset of the next record to be consumed.
    pub offset: i64,
    /// The epoch of the leader that the last consumed record came from; -1 if not known.
    pub leader_epoch: i32,
    /// What the consumer wrote beside it.
    pub metadata: String,
}

impl Client {
    /// The committed offsets of some partitions, or of all that have one.
    pub fn committed_offsets(
        &mut self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, Committed>, Error> {
        let topics = partitions.map(|partitions| {
            let topics = TopicPartition::by_topic(partitions.iter().map(|at| (at, ())));
            let topics = topics.into_iter();
            topics
                .map(|(name, indexes)| OffsetFetchRequestTopic {
                    name: name.to_owned().into(),
                    partition_indexes: indexes.into_iter().map(|(index, ())| index).collect(),
                })
                .collect()
        });
        let request = OffsetFetchRequest {
            group_id: group.into(),
            topics,
            ..Default::default()
        };
        self.retried(|client| {
            let coordinator = client.coordinator(CoordinatorOf::Group, group)?;
            let answer = client.ask_broker(coordinator, &request)?;
            Error::check(answer.error_code, None)?;
            let mut committed = BTreeMap::new();
            for topic in answer.topics {
                for partition in topic.partitions {
                    Error::check(partition.error_code, None)?;
                    let at = TopicPartition::new(topic.name.as_ref(), partition.partition_index);
                    if partition.committed_offset >= 0 {
                        let metadata = partition.metadata.unwrap_or_default();
                        committed.insert(
                            at,
                            Committed {
                                offset: partition.committed_offset,
                                leader_epoch: partition.committed_leader_epoch,
                                metadata: metadata.into_owned(),
                            },
                        );
                    }
                }
            }
            Ok(committed)
        })
    }
}
