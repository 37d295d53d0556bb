//! Offsets of partitions: earliest, latest, by timestamp.

use std::collections::BTreeMap;

use protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};

use super::{ByPartition, Client, Error, TopicPartition};

/// Which offset of a partition is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The one the next record will get; with read_committed the last stable one.
    Latest,
    /// The first that can be fetched.
    Earliest,
    /// That of the record with the largest timestamp.
    MaxTimestamp,
    /// The first that is on the broker's own disk.
    EarliestLocal,
    /// The last that is in remote storage.
    LatestTiered,
    /// The first whose timestamp, in milliseconds, is not smaller.
    Timestamp(i64),
}

impl OffsetSpec {
    fn on_the_wire(self) -> i64 {
        match self {
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::MaxTimestamp => -3,
            OffsetSpec::EarliestLocal => -4,
            OffsetSpec::LatestTiered => -5,
            OffsetSpec::Timestamp(millis) => millis,
        }
    }

    /// The oldest version of ListOffsets that knows it.
    fn version_oldest(self) -> i16 {
        match self {
            OffsetSpec::Latest | OffsetSpec::Earliest | OffsetSpec::Timestamp(_) => 1,
            OffsetSpec::MaxTimestamp => 7,
            OffsetSpec::EarliestLocal => 8,
            OffsetSpec::LatestTiered => 9,
        }
    }
}

/// What counts as the end of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// All that is committed to the log.
    #[default]
    ReadUncommitted = 0,
    /// Only what belongs to no open transaction.
    ReadCommitted = 1,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetAt {
    /// The offset; -1 if there is none.
    pub offset: i64,
    /// Its record's timestamp; -1 if the broker does not say.
    pub timestamp: i64,
}

impl Client {
    /// Offsets of all the given partitions, each asked of its leader.
    pub fn list_offsets(
        &mut self,
        wanted: &BTreeMap<TopicPartition, OffsetSpec>,
        isolation: Isolation,
    ) -> Result<ByPartition<OffsetAt>, Error> {
        self.ask_leaders(wanted.keys().cloned(), |client, leader, partitions| {
            let asked = partitions.iter().map(|at| (at, wanted[at])).collect();
            client.list_offsets_of(leader, &asked, isolation)
        })
    }

    fn list_offsets_of(
        &mut self,
        leader: i32,
        wanted: &BTreeMap<&TopicPartition, OffsetSpec>,
        isolation: Isolation,
    ) -> Result<ByPartition<OffsetAt>, Error> {
        let partition = |(index, spec): (i32, OffsetSpec)| ListOffsetsPartition {
            partition_index: index,
            timestamp: spec.on_the_wire(),
            ..Default::default()
        };
        let topics = TopicPartition::by_topic(wanted.iter().map(|(at, spec)| (*at, *spec)));
        let topics = topics.into_iter().map(|(name, specs)| ListOffsetsTopic {
            name: name.into(),
            partitions: specs.into_iter().map(partition).collect(),
        });
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level: isolation as i8,
            topics: topics.collect(),
        };
        let oldest = wanted.values().map(|spec| spec.version_oldest());
        let oldest = oldest
            .max()
            .unwrap_or(1)
            .max(if isolation == Isolation::ReadCommitted {
                2
            } else {
                1
            });
        let answer = self.ask_broker_at_least(leader, &request, oldest)?;
        let mut found = ByPartition::new();
        for topic in answer.topics {
            for partition in topic.partitions {
                let at = TopicPartition::new(topic.name.as_ref(), partition.partition_index);
                let offset = OffsetAt {
                    offset: partition.offset,
                    timestamp: partition.timestamp,
                };
                let checked = Error::check(partition.error_code, None);
                found.insert(at, checked.map(|()| offset));
            }
        }
        Ok(found)
    }
}
