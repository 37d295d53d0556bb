//! An image as records: what a snapshot of the metadata log holds, in KRaft's order.
//!
//! Invariant: applied to an empty image of the same cluster, the records give the image.

use protocol::ids::{BrokerId, ProducerId};

use super::{Broker, Controller, Image, METADATA_VERSION, Partition, Topic};
use crate::record::{
    BrokerEndpoint, BrokerFeature, ConfigRecord, ControllerEndpoint, ControllerFeature,
    FeatureLevelRecord, PartitionRecord, ProducerIdsRecord, Record, RegisterBrokerRecord,
    RegisterControllerRecord, TopicRecord, ZkMigrationStateRecord,
};

impl Image {
    /// The records that make this image.
    pub fn records(&self) -> Vec<Record> {
        let mut records = self.feature_records();
        records.extend(self.brokers().map(|broker| broker_record(broker)));
        records.extend(self.controllers().map(|c| controller_record(c)));
        for topic in self.topics() {
            records.push(Record::Topic(TopicRecord {
                name: topic.name.to_string().into(),
                topic_id: topic.id,
            }));
            records.extend(partition_records(topic));
        }
        for ((kind, name), overrides) in &*self.configs {
            records.extend(overrides.iter().map(|(key, value)| {
                Record::Config(ConfigRecord {
                    resource_type: *kind as i8,
                    resource_name: name.clone().into(),
                    name: key.clone().into(),
                    value: Some(value.clone().into()),
                })
            }));
        }
        records.extend(self.kept.quotas());
        records.extend(self.next_producer_id.map(producer_ids_record));
        records.extend(self.kept.security());
        records
    }

    /// The metadata.version stands first: it says how what follows is read.
    fn feature_records(&self) -> Vec<Record> {
        let level = |name: &str, feature_level| {
            Record::FeatureLevel(FeatureLevelRecord {
                name: name.to_owned().into(),
                feature_level,
            })
        };
        let mut records = Vec::new();
        records.extend(
            self.feature(METADATA_VERSION)
                .map(|at| level(METADATA_VERSION, at)),
        );
        let others = self
            .features()
            .filter(|(name, _)| *name != METADATA_VERSION);
        records.extend(others.map(|(name, at)| level(name, at)));
        records.push(Record::ZkMigrationState(ZkMigrationStateRecord {
            zk_migration_state: self.migration_state,
        }));
        records
    }
}

fn broker_record(broker: &Broker) -> Record {
    let endpoints = broker.endpoints.iter().map(|endpoint| BrokerEndpoint {
        name: endpoint.name.clone().into(),
        host: endpoint.host.clone().into(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
    });
    let features = broker.features.iter().map(|feature| BrokerFeature {
        name: feature.name.clone().into(),
        min_supported_version: feature.min,
        max_supported_version: feature.max,
    });
    Record::RegisterBroker(RegisterBrokerRecord {
        broker_id: broker.id.0,
        is_migrating_zk_broker: broker.is_migrating_zk_broker,
        incarnation_id: broker.incarnation,
        broker_epoch: broker.epoch.0,
        end_points: endpoints.collect(),
        features: features.collect(),
        rack: broker.rack.clone().map(Into::into),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: broker.log_dirs.clone(),
    })
}

fn controller_record(controller: &Controller) -> Record {
    let endpoints = controller
        .endpoints
        .iter()
        .map(|endpoint| ControllerEndpoint {
            name: endpoint.name.clone().into(),
            host: endpoint.host.clone().into(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
        });
    let features = controller.features.iter().map(|feature| ControllerFeature {
        name: feature.name.clone().into(),
        min_supported_version: feature.min,
        max_supported_version: feature.max,
    });
    Record::RegisterController(RegisterControllerRecord {
        controller_id: controller.id,
        incarnation_id: controller.incarnation,
        zk_migration_ready: controller.zk_migration_ready,
        end_points: endpoints.collect(),
        features: features.collect(),
    })
}

fn partition_records(topic: &Topic) -> impl Iterator<Item = Record> {
    topic.partitions.iter().map(|(index, partition)| {
        let ids = |brokers: &[BrokerId]| brokers.iter().map(|id| id.0).collect::<Vec<_>>();
        let Partition {
            replicas,
            directories,
            isr,
            removing,
            adding,
            leader,
            recovery,
            leader_epoch,
            partition_epoch,
            eligible_leaders: _,
            last_eligible_leaders: _,
        } = partition;
        Record::Partition(PartitionRecord {
            partition_id: index.0,
            topic_id: topic.id,
            replicas: ids(replicas),
            isr: ids(isr),
            removing_replicas: ids(removing),
            adding_replicas: ids(adding),
            leader: leader.map_or(-1, |leader| leader.0),
            leader_recovery_state: *recovery as i8,
            leader_epoch: leader_epoch.0,
            partition_epoch: partition_epoch.0,
            directories: directories.clone(),
            // Not before metadata.version 4.0.
            eligible_leader_replicas: None,
            last_known_elr: None,
        })
    })
}

/// A snapshot does not say who was given the last block.
fn producer_ids_record(next: ProducerId) -> Record {
    Record::ProducerIds(ProducerIdsRecord {
        broker_id: -1,
        broker_epoch: -1,
        next_producer_id: next.0,
    })
}
