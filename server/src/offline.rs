//! Partitions whose log cannot be used: its log directory failed, or it could not be opened.
//!
//! Shared by all shards; empty in good times, which costs a look at a flag. Clients are told
//! KAFKA_STORAGE_ERROR, and metadata shows no leader (KIP-112).

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::ids::Uuid;

use crate::partition::PartitionKey;
use crate::shard::{METADATA_SHARD, Shard};

/// See the module.
#[derive(Default)]
pub struct OfflinePartitions {
    any: AtomicBool,
    keys: Mutex<HashSet<PartitionKey>>,
}

impl OfflinePartitions {
    /// This partition cannot be used.
    pub fn add(&self, key: PartitionKey) {
        self.keys.lock().expect("nobody panics with it").insert(key);
        self.any.store(true, Ordering::Release);
    }

    /// The partition can be used again.
    pub fn remove(&self, key: &PartitionKey) {
        self.keys.lock().expect("nobody panics with it").remove(key);
    }

    /// All that cannot be used.
    pub fn keys(&self) -> Vec<PartitionKey> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let keys = self.keys.lock().expect("nobody panics with it");
        keys.iter().copied().collect()
    }

    /// The topic is deleted.
    pub fn remove_topic(&self, topic_id: Uuid) {
        if self.any.load(Ordering::Acquire) {
            let mut keys = self.keys.lock().expect("nobody panics with it");
            keys.retain(|key| key.topic_id != topic_id);
        }
    }

    /// Whether the partition cannot be used.
    pub fn contains(&self, key: &PartitionKey) -> bool {
        self.any.load(Ordering::Acquire)
            && self
                .keys
                .lock()
                .expect("nobody panics with it")
                .contains(key)
    }
}

/// Takes note of log directories that failed since the last look. Writers learn of it from the
/// engine at once; this is for everybody else. `known` is how many had failed.
///
/// Without a directory that works, or without the metadata log's, the node cannot go on: it ends
/// as Kafka does, without touching the disk.
pub fn look_after_directories(shard: &Rc<Shard>, known: &mut usize) {
    let directories = &shard.node.directories;
    let failed = directories.failed_count();
    if failed == *known {
        return;
    }
    *known = failed;
    for partition in shard.partitions() {
        if partition.is_offline() {
            shard.node.offline.add(partition.key);
            partition.wake_watches();
        }
    }
    if shard.id == METADATA_SHARD
        && let Some(reason) = directories.cannot_go_on()
    {
        tracing::error!("[KafkaServer id={}] ends: {reason}", shard.node.broker_id.0);
        std::process::exit(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::ids::PartitionIndex;

    #[test]
    fn a_partition_is_offline_until_it_is_deleted() {
        let key = |partition| PartitionKey {
            topic_id: Uuid::METADATA_TOPIC,
            partition: PartitionIndex(partition),
        };
        let offline = OfflinePartitions::default();
        offline.remove_topic(Uuid::METADATA_TOPIC);
        assert!(!offline.contains(&key(0)));
        offline.add(key(0));
        assert!(offline.contains(&key(0)) && !offline.contains(&key(1)));
        offline.add(key(1));
        offline.remove(&key(1));
        assert_eq!(offline.keys(), [key(0)]);
        offline.remove_topic(Uuid::METADATA_TOPIC);
        assert!(!offline.contains(&key(0)));
    }
}
