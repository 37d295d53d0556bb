//! What a standalone node writes about itself: the first records of a fresh log, and its new
//! registration at every start.

use protocol::ids::{BrokerEpoch, BrokerId, Uuid};

use crate::image::{Endpoint, Image, METADATA_VERSION};
use crate::record::{
    BeginTransactionRecord, BrokerEndpoint, BrokerFeature, BrokerRegistrationChangeRecord,
    EndTransactionRecord, FeatureLevelRecord, PartitionChangeRecord, Record, RegisterBrokerRecord,
    ZkMigrationStateRecord,
};

/// The metadata.version whose records are written: 3.9-IV0.
pub const METADATA_VERSION_LEVEL: i16 = 21;

/// The lowest metadata.version a 3.9 node can work with: 3.0-IV1.
pub const METADATA_VERSION_LEVEL_MIN: i16 = 1;

/// What a node tells about itself when it registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The configured id.
    pub id: BrokerId,
    /// Greater than every epoch before; KRaft takes the offset of the record.
    pub epoch: BrokerEpoch,
    /// Drawn anew at every start.
    pub incarnation: Uuid,
    /// What it advertises.
    pub endpoints: Vec<Endpoint>,
    /// The rack, if configured.
    pub rack: Option<String>,
    /// The ids of its log directories.
    pub log_dirs: Vec<Uuid>,
}

/// The records of a log that has none, as a controller writes them when it first leads: which
/// records may follow, and that there is no migration. Empty if the log has them.
pub fn first_records(image: &Image) -> Vec<Record> {
    if image.feature(METADATA_VERSION).is_some() {
        return Vec::new();
    }
    let name = Some("Bootstrap records".into());
    vec![
        Record::BeginTransaction(BeginTransactionRecord { name }),
        Record::FeatureLevel(FeatureLevelRecord {
            name: METADATA_VERSION.into(),
            feature_level: METADATA_VERSION_LEVEL,
        }),
        Record::ZkMigrationState(ZkMigrationStateRecord {
            zk_migration_state: 0,
        }),
        Record::EndTransaction(EndTransactionRecord {}),
    ]
}

/// The registration of a node that starts: fenced until it is ready.
pub fn register(registration: &Registration) -> Record {
    let endpoints = registration
        .endpoints
        .iter()
        .map(|endpoint| BrokerEndpoint {
            name: endpoint.name.clone().into(),
            host: endpoint.host.clone().into(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
        });
    Record::RegisterBroker(RegisterBrokerRecord {
        broker_id: registration.id.0,
        is_migrating_zk_broker: false,
        incarnation_id: registration.incarnation,
        broker_epoch: registration.epoch.0,
        end_points: endpoints.collect(),
        features: vec![
            feature("kraft.version", 0, 1),
            feature(
                METADATA_VERSION,
                METADATA_VERSION_LEVEL_MIN,
                METADATA_VERSION_LEVEL,
            ),
        ],
        rack: registration.rack.clone().map(Into::into),
        fenced: true,
        in_controlled_shutdown: false,
        log_dirs: registration.log_dirs.clone(),
    })
}

fn feature(name: &'static str, min: i16, max: i16) -> BrokerFeature<'static> {
    BrokerFeature {
        name: name.into(),
        min_supported_version: min,
        max_supported_version: max,
    }
}

/// The node is ready, or on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Takes requests.
    Ready,
    /// Takes no more.
    ShuttingDown,
    /// Is gone until it registers again.
    Stopped,
}

/// A step in the life of a registered node.
pub fn advance(id: BrokerId, epoch: BrokerEpoch, stage: Stage) -> Record {
    let (fenced, in_controlled_shutdown) = match stage {
        Stage::Ready => (-1, 0),
        Stage::ShuttingDown => (0, 1),
        Stage::Stopped => (1, 0),
    };
    Record::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
        broker_id: id.0,
        broker_epoch: epoch.0,
        fenced,
        in_controlled_shutdown,
        log_dirs: Vec::new(),
    })
}

/// Makes a node that is ready the leader of what has none and may be led by it: Kafka's
/// controllers take the lead from a broker that stops.
pub fn elect(image: &Image, id: BrokerId) -> Vec<Record> {
    let partitions = image.topics().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(move |(index, p)| (topic.id, *index, p))
    });
    partitions
        .filter(|(_, _, partition)| partition.leader.is_none() && partition.isr.contains(&id))
        .map(|(topic_id, index, _)| {
            Record::PartitionChange(PartitionChangeRecord {
                partition_id: index.0,
                topic_id,
                leader: id.0,
                ..Default::default()
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Partition;
    use crate::record::{PartitionRecord, TopicRecord};
    use crate::testing::{apply, image_with};
    use protocol::ids::{LeaderEpoch, PartitionIndex};

    #[test]
    fn only_what_has_no_leader_and_has_the_node_in_sync_is_taken() {
        let mut image = image_with(2);
        let topic_id = Uuid([3; 16]);
        let partition = |partition_id, isr: &[i32], leader| {
            Record::Partition(PartitionRecord {
                partition_id,
                topic_id,
                replicas: vec![0, 1],
                isr: isr.to_vec(),
                leader,
                leader_epoch: 4,
                ..Default::default()
            })
        };
        let topic = Record::Topic(TopicRecord {
            name: "t".into(),
            topic_id,
        });
        let partitions = [
            partition(0, &[0], -1),
            partition(1, &[1], -1),
            partition(2, &[0, 1], 1),
        ];
        apply(&mut image, &[topic]);
        apply(&mut image, &partitions);
        let elected = elect(&image, BrokerId(0));
        apply(&mut image, &elected);
        let state = |index| -> Partition {
            let topic = image.topic_by_id(topic_id).unwrap();
            topic.partition(PartitionIndex(index)).unwrap().clone()
        };
        assert_eq!(
            (state(0).leader, state(0).leader_epoch),
            (Some(BrokerId(0)), LeaderEpoch(5))
        );
        assert_eq!(
            (state(1).leader, state(1).leader_epoch),
            (None, LeaderEpoch(4))
        );
        assert_eq!(
            (state(2).leader, state(2).leader_epoch),
            (Some(BrokerId(1)), LeaderEpoch(4))
        );
    }
}
