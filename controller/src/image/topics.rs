//! Topics by name and by id, with their partitions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use protocol::ids::{BrokerId, LeaderEpoch, PartitionIndex, Uuid};

use crate::topic_name;

/// How often anything about a partition changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionEpoch(pub i32);

/// Whether the leader still recovers from an unclean election.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i8)]
pub enum RecoveryState {
    /// Nothing to recover.
    #[default]
    Recovered = 0,
    /// Elected uncleanly, not yet done.
    Recovering = 1,
}

impl RecoveryState {
    /// The state of a wire value.
    pub fn from_wire(value: i8) -> Option<Self> {
        match value {
            0 => Some(Self::Recovered),
            1 => Some(Self::Recovering),
            _ => None,
        }
    }
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// The log directory of each replica, in the order of `replicas`.
    pub directories: Vec<Uuid>,
    /// The replicas in sync.
    pub isr: Vec<BrokerId>,
    /// Replicas that a reassignment takes away.
    pub removing: Vec<BrokerId>,
    /// Replicas that a reassignment adds.
    pub adding: Vec<BrokerId>,
    /// The leader, if there is one.
    pub leader: Option<BrokerId>,
    /// Whether the leader still recovers.
    pub recovery: RecoveryState,
    /// Which leader.
    pub leader_epoch: LeaderEpoch,
    /// Which change.
    pub partition_epoch: PartitionEpoch,
    /// Replicas outside the ISR that may lead (KIP-966).
    pub eligible_leaders: Vec<BrokerId>,
    /// The last eligible leaders known (KIP-966).
    pub last_eligible_leaders: Vec<BrokerId>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id, new for every creation.
    pub id: Uuid,
    /// Its partitions, by index. Dense from 0 once all records of a creation are applied.
    pub partitions: BTreeMap<PartitionIndex, Partition>,
}

impl Topic {
    /// One partition.
    pub fn partition(&self, index: PartitionIndex) -> Option<&Partition> {
        self.partitions.get(&index)
    }
}

/// All topics.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Topics {
    names: BTreeMap<Arc<str>, Arc<Topic>>,
    ids: HashMap<Uuid, Arc<Topic>>,
    collisions: HashMap<String, BTreeSet<Arc<str>>>,
}

impl Topics {
    pub(super) fn by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.names.get(name)
    }

    pub(super) fn by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.ids.get(&id)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Topic>> {
        self.names.values()
    }

    pub(super) fn colliding(&self, name: &str) -> Option<&str> {
        let key = topic_name::collision_key(name)?;
        self.collisions
            .get(&key)?
            .iter()
            .next()
            .map(|other| &**other)
    }

    /// Adds a topic; a topic that had its name is dropped.
    pub(super) fn insert(&mut self, topic: Topic) {
        if let Some(id) = self.by_name(&topic.name).map(|former| former.id) {
            self.remove(id);
        }
        if let Some(key) = topic_name::collision_key(&topic.name) {
            self.collisions
                .entry(key)
                .or_default()
                .insert(topic.name.clone());
        }
        let topic = Arc::new(topic);
        self.ids.insert(topic.id, topic.clone());
        self.names.insert(topic.name.clone(), topic);
    }

    pub(super) fn remove(&mut self, id: Uuid) -> Option<Arc<Topic>> {
        let topic = self.ids.remove(&id)?;
        self.names.remove(&topic.name);
        if let Some(key) = topic_name::collision_key(&topic.name)
            && let Some(names) = self.collisions.get_mut(&key)
        {
            names.remove(&topic.name);
            if names.is_empty() {
                self.collisions.remove(&key);
            }
        }
        Some(topic)
    }

    /// Sets one partition of a topic; the topic is copied once, and put into both tables.
    pub(super) fn set_partition(
        &mut self,
        id: Uuid,
        index: PartitionIndex,
        partition: Partition,
    ) -> bool {
        let Some(topic) = self.ids.get_mut(&id) else {
            return false;
        };
        // The name table's reference is dropped first, so that a topic which no clone of the
        // image shares is changed in place.
        let name = topic.name.clone();
        self.names.remove(&name);
        Arc::make_mut(topic).partitions.insert(index, partition);
        self.names.insert(name, topic.clone());
        true
    }
}
