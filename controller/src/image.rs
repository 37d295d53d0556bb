//! What the cluster is right now: features, brokers, topics, configs, producer ids.
//!
//! An image is a value: readers hold a clone, the writer applies records to its own and hands
//! out the next clone. A clone is a handful of reference counts; applying a record copies only
//! the table it touches, and of a topic only that topic.
//! It must not know how records are stored. Invariant: both topic tables hold the same topics.

mod brokers;
mod kept;
mod loader;
mod replay;
mod snapshot;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::ids::{BrokerId, ProducerId, Uuid};

pub use brokers::{
    Broker, Controller, DIRECTORY_LOST, DIRECTORY_MIGRATING, DIRECTORY_UNASSIGNED, Endpoint,
    SupportedFeature,
};
pub use loader::Loader;
pub use replay::ReplayError;
pub use topics::{Partition, PartitionEpoch, RecoveryState, Topic};

/// What kind of thing a config record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ResourceType {
    /// A topic, by name.
    Topic = 2,
    /// A broker, by id in decimal; the empty name is the default of all brokers.
    Broker = 4,
    /// A client metrics subscription, by name.
    ClientMetrics = 16,
    /// A consumer group, by name.
    Group = 32,
}

impl ResourceType {
    /// The type of a wire id.
    pub fn from_wire(id: i8) -> Option<Self> {
        [Self::Topic, Self::Broker, Self::ClientMetrics, Self::Group]
            .into_iter()
            .find(|kind| *kind as i8 == id)
    }
}

/// The overrides of one resource.
pub type Overrides = BTreeMap<String, String>;

/// The name of the feature that says which metadata records may be written.
pub const METADATA_VERSION: &str = "metadata.version";

/// See the head of this file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    cluster_id: Arc<str>,
    features: Arc<BTreeMap<String, i16>>,
    brokers: Arc<BTreeMap<BrokerId, Arc<Broker>>>,
    controllers: Arc<BTreeMap<i32, Arc<Controller>>>,
    topics: Arc<topics::Topics>,
    configs: Arc<BTreeMap<(ResourceType, String), Arc<Overrides>>>,
    next_producer_id: Option<ProducerId>,
    migration_state: i8,
    kept: Arc<kept::Kept>,
}

impl Image {
    /// The image of a log without records.
    pub fn new(cluster_id: impl Into<Arc<str>>) -> Self {
        Self {
            cluster_id: cluster_id.into(),
            ..Self::default()
        }
    }

    /// The cluster's id, as in `meta.properties`.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The finalized level of a feature.
    pub fn feature(&self, name: &str) -> Option<i16> {
        self.features.get(name).copied()
    }

    /// All finalized features with their levels, by name.
    pub fn features(&self) -> impl Iterator<Item = (&str, i16)> {
        self.features.iter().map(|(name, level)| (&**name, *level))
    }

    /// A registered broker.
    pub fn broker(&self, id: BrokerId) -> Option<&Arc<Broker>> {
        self.brokers.get(&id)
    }

    /// All registered brokers, by id.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &Arc<Broker>> {
        self.brokers.values()
    }

    /// All registered controllers, by id.
    pub fn controllers(&self) -> impl ExactSizeIterator<Item = &Arc<Controller>> {
        self.controllers.values()
    }

    /// A topic by name.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.by_name(name)
    }

    /// A topic by id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topics.by_id(id)
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<Topic>> {
        self.topics.iter()
    }

    /// The topic whose name cannot be told from `name` in metric names.
    pub fn colliding_topic(&self, name: &str) -> Option<&str> {
        self.topics.colliding(name)
    }

    /// The overrides of one resource; empty if it has none.
    pub fn overrides(&self, kind: ResourceType, name: &str) -> Arc<Overrides> {
        self.configs
            .get(&(kind, name.into()))
            .cloned()
            .unwrap_or_default()
    }

    /// The overrides of one topic.
    pub fn topic_overrides(&self, topic: &str) -> Arc<Overrides> {
        self.overrides(ResourceType::Topic, topic)
    }

    /// The names of the resources of one kind that have overrides, in order.
    pub fn resources_with_overrides(&self, kind: ResourceType) -> impl Iterator<Item = &str> {
        let all = self.configs.range((kind, String::new())..);
        let own = all.take_while(move |((other, _), _)| *other == kind);
        own.map(|((_, name), _)| name.as_str())
    }

    /// All quotas, those of one entity together: whom they are for (types with names, sorted; no
    /// name is the default), the key, the value.
    pub fn quotas(&self) -> impl Iterator<Item = (&[(String, Option<String>)], &str, f64)> {
        self.kept.quota_values()
    }

    /// The quotas of one entity, which is sorted by type: keys and values.
    pub fn quotas_of(&self, entity: &[(String, Option<String>)]) -> Vec<(&str, f64)> {
        self.kept.quotas_of(entity).collect()
    }

    /// All SCRAM credentials, by user: user, mechanism as Kafka numbers it, iterations.
    pub fn scram_credentials(&self) -> impl Iterator<Item = (&str, i8, i32)> {
        self.kept.scram()
    }

    /// The SCRAM credentials of one user: mechanism, iterations.
    pub fn scram_credentials_of(&self, user: &str) -> Vec<(i8, i32)> {
        self.kept.scram_of(user).collect()
    }

    /// The first producer id that no block has been given out for.
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id.unwrap_or(ProducerId(0))
    }

    /// The state of a migration from ZooKeeper, as KRaft numbers it; 0 is none.
    pub fn migration_state(&self) -> i8 {
        self.migration_state
    }
}
