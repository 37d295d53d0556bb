//! What each record does to the image: KRaft's rules for its own.
//!
//! A record that does not fit (a partition of a topic that is not there, a broker's former
//! registration) is an error and leaves the image as it was; a log that holds one is damaged.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::ids::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionIndex, ProducerId, Uuid};

use super::brokers::DIRECTORY_MIGRATING;
use super::{
    Broker, Controller, Endpoint, Image, Partition, PartitionEpoch, RecoveryState, ResourceType,
    SupportedFeature, Topic,
};
use crate::record::{
    BrokerRegistrationChangeRecord, ConfigRecord, PartitionChangeRecord, PartitionRecord, Record,
    RegisterBrokerRecord, RegisterControllerRecord,
};

/// Why a record does not fit the image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A partition, a change or a removal of a topic that is not there.
    #[error("no topic has the id {0}")]
    UnknownTopic(Uuid),
    /// A change of a partition that is not there.
    #[error("topic {0} has no partition {1}")]
    UnknownPartition(Uuid, PartitionIndex),
    /// A change of a broker that is not registered.
    #[error("broker {0} is not registered")]
    UnknownBroker(BrokerId),
    /// A change meant for another registration of the broker.
    #[error("broker {broker} is registered with epoch {registered}, the record has {given}")]
    BrokerEpoch {
        /// The broker.
        broker: BrokerId,
        /// Its epoch in the image.
        registered: BrokerEpoch,
        /// The record's.
        given: BrokerEpoch,
    },
    /// Producer ids would be given out twice.
    #[error("next producer id {given} is not greater than {current}")]
    ProducerIds {
        /// The image's.
        current: ProducerId,
        /// The record's.
        given: ProducerId,
    },
    /// A field holds a value that has no meaning.
    #[error("{record} has the value {value} in {field}")]
    Field {
        /// The kind of record.
        record: &'static str,
        /// The field.
        field: &'static str,
        /// The value.
        value: i64,
    },
    /// A transaction begins within another.
    #[error("a metadata transaction begins inside another")]
    NestedTransaction,
    /// A transaction ends that never began.
    #[error("a metadata transaction ends that never began")]
    NoTransaction,
}

const NO_LEADER: i32 = -1;
const NO_LEADER_CHANGE: i32 = -2;

impl Image {
    /// Applies one record. After an error the image is as before. Begin, end and abort of a
    /// transaction do nothing here: [`super::Loader`] keeps transactions.
    pub fn apply(&mut self, record: &Record) -> Result<(), ReplayError> {
        match record {
            Record::RegisterBroker(record) => self.register_broker(record),
            Record::UnregisterBroker(record) => {
                let broker = BrokerId(record.broker_id);
                self.registered(broker, BrokerEpoch(record.broker_epoch))?;
                Arc::make_mut(&mut self.brokers).remove(&broker);
            }
            Record::FenceBroker(record) => {
                self.change_broker(record.id, record.epoch, |broker| broker.fenced = true)?;
            }
            Record::UnfenceBroker(record) => {
                self.change_broker(record.id, record.epoch, |broker| broker.fenced = false)?;
            }
            Record::BrokerRegistrationChange(record) => self.change_registration(record)?,
            Record::RegisterController(record) => self.register_controller(record),
            Record::Topic(record) => {
                let (name, id) = (Arc::from(&*record.name), record.topic_id);
                let topic = Topic {
                    name,
                    id,
                    partitions: BTreeMap::new(),
                };
                Arc::make_mut(&mut self.topics).insert(topic);
            }
            Record::Partition(record) => self.set_partition(record)?,
            Record::PartitionChange(record) => self.change_partition(record)?,
            Record::RemoveTopic(record) => self.remove_topic(record.topic_id)?,
            Record::Config(record) => self.set_config(record)?,
            Record::FeatureLevel(record) => self.set_feature(&record.name, record.feature_level),
            Record::ProducerIds(record) => {
                let (current, given) =
                    (self.next_producer_id(), ProducerId(record.next_producer_id));
                if self.next_producer_id.is_some() && given <= current {
                    return Err(ReplayError::ProducerIds { current, given });
                }
                self.next_producer_id = Some(given);
            }
            Record::ZkMigrationState(record) => self.migration_state = record.zk_migration_state,
            Record::ClientQuota(_)
            | Record::AccessControlEntry(_)
            | Record::RemoveAccessControlEntry(_)
            | Record::UserScramCredential(_)
            | Record::RemoveUserScramCredential(_)
            | Record::DelegationToken(_)
            | Record::RemoveDelegationToken(_) => Arc::make_mut(&mut self.kept).apply(record),
            Record::NoOp(_)
            | Record::BeginTransaction(_)
            | Record::EndTransaction(_)
            | Record::AbortTransaction(_) => {}
        }
        Ok(())
    }

    fn register_broker(&mut self, record: &RegisterBrokerRecord) {
        let endpoints = record.end_points.iter().map(|given| Endpoint {
            name: given.name.to_string(),
            host: given.host.to_string(),
            port: given.port,
            security_protocol: given.security_protocol,
        });
        let features = record.features.iter().map(|given| SupportedFeature {
            name: given.name.to_string(),
            min: given.min_supported_version,
            max: given.max_supported_version,
        });
        let broker = Broker {
            id: BrokerId(record.broker_id),
            epoch: BrokerEpoch(record.broker_epoch),
            incarnation: record.incarnation_id,
            endpoints: endpoints.collect(),
            features: features.collect(),
            rack: record.rack.as_deref().map(str::to_owned),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_dirs: record.log_dirs.clone(),
            is_migrating_zk_broker: record.is_migrating_zk_broker,
        };
        Arc::make_mut(&mut self.brokers).insert(broker.id, Arc::new(broker));
    }

    fn register_controller(&mut self, record: &RegisterControllerRecord) {
        let endpoints = record.end_points.iter().map(|given| Endpoint {
            name: given.name.to_string(),
            host: given.host.to_string(),
            port: given.port,
            security_protocol: given.security_protocol,
        });
        let features = record.features.iter().map(|given| SupportedFeature {
            name: given.name.to_string(),
            min: given.min_supported_version,
            max: given.max_supported_version,
        });
        let controller = Controller {
            id: record.controller_id,
            incarnation: record.incarnation_id,
            zk_migration_ready: record.zk_migration_ready,
            endpoints: endpoints.collect(),
            features: features.collect(),
        };
        Arc::make_mut(&mut self.controllers).insert(controller.id, Arc::new(controller));
    }

    fn registered(&self, id: BrokerId, epoch: BrokerEpoch) -> Result<&Arc<Broker>, ReplayError> {
        let broker = self.broker(id).ok_or(ReplayError::UnknownBroker(id))?;
        if broker.epoch == epoch {
            Ok(broker)
        } else {
            Err(ReplayError::BrokerEpoch {
                broker: id,
                registered: broker.epoch,
                given: epoch,
            })
        }
    }

    fn change_broker(
        &mut self,
        id: i32,
        epoch: i64,
        change: impl FnOnce(&mut Broker),
    ) -> Result<(), ReplayError> {
        let mut broker = self.registered(BrokerId(id), BrokerEpoch(epoch))?.clone();
        change(Arc::make_mut(&mut broker));
        Arc::make_mut(&mut self.brokers).insert(broker.id, broker);
        Ok(())
    }

    fn change_registration(
        &mut self,
        record: &BrokerRegistrationChangeRecord,
    ) -> Result<(), ReplayError> {
        let name = "BrokerRegistrationChangeRecord";
        let refuse = |field, value: i8| {
            Err(ReplayError::Field {
                record: name,
                field,
                value: value.into(),
            })
        };
        let fenced = match record.fenced {
            0 => None,
            1 => Some(true),
            -1 => Some(false),
            other => return refuse("fenced", other),
        };
        let shutdown = match record.in_controlled_shutdown {
            0 => None,
            1 => Some(true),
            other => return refuse("inControlledShutdown", other),
        };
        self.change_broker(record.broker_id, record.broker_epoch, |broker| {
            broker.fenced = fenced.unwrap_or(broker.fenced);
            broker.in_controlled_shutdown = shutdown.unwrap_or(broker.in_controlled_shutdown);
            if !record.log_dirs.is_empty() {
                broker.log_dirs.clone_from(&record.log_dirs);
            }
        })
    }

    fn set_partition(&mut self, record: &PartitionRecord) -> Result<(), ReplayError> {
        let recovery = RecoveryState::from_wire(record.leader_recovery_state).ok_or({
            ReplayError::Field {
                record: "PartitionRecord",
                field: "leaderRecoveryState",
                value: record.leader_recovery_state.into(),
            }
        })?;
        let partition = Partition {
            replicas: brokers(&record.replicas),
            directories: per_replica(&record.directories, record.replicas.len()),
            isr: brokers(&record.isr),
            removing: brokers(&record.removing_replicas),
            adding: brokers(&record.adding_replicas),
            leader: leader(record.leader),
            recovery,
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: PartitionEpoch(record.partition_epoch),
            eligible_leaders: brokers(record.eligible_leader_replicas.as_deref().unwrap_or(&[])),
            last_eligible_leaders: brokers(record.last_known_elr.as_deref().unwrap_or(&[])),
        };
        self.put_partition(
            record.topic_id,
            PartitionIndex(record.partition_id),
            partition,
        )
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), ReplayError> {
        let (id, index) = (record.topic_id, PartitionIndex(record.partition_id));
        let topic = self.topic_by_id(id).ok_or(ReplayError::UnknownTopic(id))?;
        let mut next = topic
            .partition(index)
            .ok_or(ReplayError::UnknownPartition(id, index))?
            .clone();
        let change = |list: &mut Vec<BrokerId>, to: &Option<Vec<i32>>| {
            if let Some(to) = to {
                *list = brokers(to);
            }
        };
        change(&mut next.replicas, &record.replicas);
        change(&mut next.isr, &record.isr);
        change(&mut next.removing, &record.removing_replicas);
        change(&mut next.adding, &record.adding_replicas);
        change(&mut next.eligible_leaders, &record.eligible_leader_replicas);
        change(&mut next.last_eligible_leaders, &record.last_known_elr);
        let directories = record.directories.as_deref().unwrap_or(&next.directories);
        next.directories = per_replica(directories, next.replicas.len());
        if record.leader != NO_LEADER_CHANGE {
            next.leader = leader(record.leader);
            next.leader_epoch = LeaderEpoch(next.leader_epoch.0.wrapping_add(1));
        }
        if record.leader_recovery_state != -1 {
            next.recovery = RecoveryState::from_wire(record.leader_recovery_state).ok_or({
                ReplayError::Field {
                    record: "PartitionChangeRecord",
                    field: "leaderRecoveryState",
                    value: record.leader_recovery_state.into(),
                }
            })?;
        }
        next.partition_epoch = PartitionEpoch(next.partition_epoch.0.wrapping_add(1));
        self.put_partition(id, index, next)
    }

    fn put_partition(
        &mut self,
        id: Uuid,
        index: PartitionIndex,
        partition: Partition,
    ) -> Result<(), ReplayError> {
        match Arc::make_mut(&mut self.topics).set_partition(id, index, partition) {
            true => Ok(()),
            false => Err(ReplayError::UnknownTopic(id)),
        }
    }

    fn remove_topic(&mut self, id: Uuid) -> Result<(), ReplayError> {
        let removed = Arc::make_mut(&mut self.topics)
            .remove(id)
            .ok_or(ReplayError::UnknownTopic(id))?;
        let resource = (ResourceType::Topic, removed.name.to_string());
        if self.configs.contains_key(&resource) {
            Arc::make_mut(&mut self.configs).remove(&resource);
        }
        Ok(())
    }

    fn set_config(&mut self, record: &ConfigRecord) -> Result<(), ReplayError> {
        let kind = ResourceType::from_wire(record.resource_type).ok_or(ReplayError::Field {
            record: "ConfigRecord",
            field: "resourceType",
            value: record.resource_type.into(),
        })?;
        let resource = (kind, record.resource_name.to_string());
        let configs = Arc::make_mut(&mut self.configs);
        let overrides = Arc::make_mut(configs.entry(resource.clone()).or_default());
        match &record.value {
            Some(value) => {
                overrides.insert(record.name.to_string(), value.to_string());
            }
            None => {
                overrides.remove(&*record.name);
            }
        }
        if overrides.is_empty() {
            configs.remove(&resource);
        }
        Ok(())
    }

    fn set_feature(&mut self, name: &str, level: i16) {
        let features = Arc::make_mut(&mut self.features);
        match level {
            0 => features.remove(name),
            level => features.insert(name.into(), level),
        };
    }
}

fn brokers(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn leader(id: i32) -> Option<BrokerId> {
    (id != NO_LEADER).then_some(BrokerId(id))
}

/// The directories as they are, or the stand-in for each replica where they do not match.
fn per_replica(directories: &[Uuid], replicas: usize) -> Vec<Uuid> {
    if directories.len() == replicas {
        directories.to_vec()
    } else {
        vec![DIRECTORY_MIGRATING; replicas]
    }
}
