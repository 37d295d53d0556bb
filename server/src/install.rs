//! A new image comes to the shards in two steps: "make ready" creates the partitions that are new
//! and takes over changed topic settings; "work from it" gives up the partitions that are gone.
//!
//! Invariant: no shard works from an image before all shards are ready, so that nobody finds a
//! topic whose partitions are not there.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use controller::directories::Place;
use controller::image::ResourceType;
use controller::{Image, Record};
use engine::TopicPartition;
use engine::log::Log;
use protocol::ids::{BrokerId, Offset, Uuid};
use replication::Leader;

use crate::config::ServerConfig;
use crate::coordination::groups;
use crate::mail::{Done, Question};
use crate::moving;
use crate::partition::{Partition, PartitionKey};
use crate::placement;
use crate::shard::Shard;

/// Make ready for an image. Answered with the places of new logs that it does not say.
pub struct Prepare {
    /// The image.
    pub image: Arc<Image>,
    /// The topics in which it differs from the one before.
    pub topics: Arc<BTreeSet<Uuid>>,
}

impl Question for Prepare {
    type Answer = Vec<Place>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Vec<Place>>) {
        let shard = shard.clone();
        ring::spawn(async move {
            let _turn = shard.turns.take().await;
            let mut places = Vec::new();
            for topic in self.topics.iter() {
                create_partitions(&shard, &self.image, *topic, &mut places).await;
            }
            done.put(places);
        });
    }
}

/// Work from an image that all shards are ready for.
pub struct Install {
    /// The image.
    pub image: Arc<Image>,
    /// The topics in which it differs from the one before.
    pub topics: Arc<BTreeSet<Uuid>>,
    /// The configuration that holds in it.
    pub live: Arc<ServerConfig>,
    /// The offset of its last record.
    pub offset: Offset,
}

impl Question for Install {
    type Answer = ();

    fn serve(self, shard: &Rc<Shard>, done: Done<()>) {
        let shard = shard.clone();
        ring::spawn(async move {
            let _turn = shard.turns.take().await;
            let deleted = self.deleted_topics(&shard.image());
            shard.set_image(self.image.clone(), self.live.clone());
            if !deleted.is_empty() {
                groups::topics_deleted(&shard, &deleted);
            }
            shard.metadata_offset.set(self.offset);
            for topic in self.topics.iter() {
                remove_partitions(&shard, &self.image, *topic).await;
            }
            done.put(());
        });
    }
}

impl Install {
    /// The names of topics that were there before.
    fn deleted_topics(&self, before: &Image) -> Vec<String> {
        let is_gone = |id: &&Uuid| self.image.topic_by_id(**id).is_none();
        let gone = self.topics.iter().filter(is_gone);
        gone.filter_map(|id| before.topic_by_id(*id))
            .map(|topic| topic.name.to_string())
            .collect()
    }
}

/// The ids of the topics that `records` change.
pub fn touched_topics(before: &Image, after: &Image, records: &[Record]) -> BTreeSet<Uuid> {
    let mut topics = BTreeSet::new();
    for record in records {
        match record {
            Record::Topic(record) => topics.extend([record.topic_id]),
            Record::Partition(record) => topics.extend([record.topic_id]),
            Record::PartitionChange(record) => topics.extend([record.topic_id]),
            Record::RemoveTopic(record) => topics.extend([record.topic_id]),
            Record::Config(record) if record.resource_type == ResourceType::Topic as i8 => {
                let topic = after.topic(&record.resource_name);
                topics.extend(topic.or(before.topic(&record.resource_name)).map(|t| t.id));
            }
            Record::Config(record) if record.resource_type == ResourceType::Broker as i8 => {
                // A broker's settings are the defaults of every topic.
                topics.extend(after.topics().map(|topic| topic.id));
            }
            _ => {}
        }
    }
    topics
}

/// Whether `records` change what is set at run time for brokers.
pub fn touch_brokers(records: &[Record]) -> bool {
    records.iter().any(|record| match record {
        Record::Config(record) => record.resource_type == ResourceType::Broker as i8,
        _ => false,
    })
}

async fn create_partitions(
    shard: &Rc<Shard>,
    image: &Image,
    topic_id: Uuid,
    places: &mut Vec<Place>,
) {
    let Some(topic) = image.topic_by_id(topic_id) else {
        return;
    };
    let settings = shard.node.topic_settings(image, &topic.name);
    for (index, state) in &topic.partitions {
        let key = PartitionKey {
            topic_id,
            partition: *index,
        };
        if shard.owner(&key) != shard.id || !state.replicas.contains(&shard.node.broker_id) {
            continue;
        }
        if let Some(partition) = shard.partition(&key) {
            partition.configure(&settings);
            partition.begin_term(shard.node.broker_id, state).await;
            continue;
        }
        if shard.node.offline.contains(&key) {
            continue; // It has a log, or may have one, that cannot be used.
        }
        let directories = shard.node.directories.clone();
        let name = TopicPartition::new(&topic.name, *index);
        let log_config = Arc::new(settings.log.clone());
        let created = ring::offload(move || directories.create_log(&name, topic_id, log_config));
        match created.await {
            Ok(mut log) => {
                let node = shard.node.broker_id;
                let place = placement::untold(node, &shard.node.directories, key, state, &log);
                places.extend(place);
                let leader = leader(node, state, &mut log);
                let partition = Partition::new(topic.name.clone(), key, log, leader, &settings);
                shard.add_partition(partition);
            }
            Err(error) => {
                tracing::error!(
                    "creating partition {}-{index} failed: {error}; it will be tried again",
                    topic.name
                );
                shard.node.offline.add(key);
            }
        }
    }
}

/// The leader state of a partition that this node leads, with what its log has.
pub fn leader(me: BrokerId, state: &controller::image::Partition, log: &mut Log) -> Leader {
    log.begin_leader_epoch(state.leader_epoch);
    let log_end = log.log_end_offset();
    let (replicas, isr) = (&state.replicas, &state.isr);
    Leader::new(state.leader_epoch, me, replicas, isr, log_end, log_end)
}

async fn remove_partitions(shard: &Rc<Shard>, image: &Image, topic_id: Uuid) {
    if image.topic_by_id(topic_id).is_some() {
        return;
    }
    shard.node.offline.remove_topic(topic_id);
    let gone = shard
        .partitions()
        .into_iter()
        .filter(|p| p.key.topic_id == topic_id);
    for partition in gone {
        shard.remove_partition(&partition.key);
        moving::give_up(shard, &partition).await;
        let Some(log) = partition.retire().await else {
            continue;
        };
        shard
            .node
            .directories
            .forget(shard.node.directories.id_of(&log));
        match ring::offload(move || log.delete()).await {
            Ok(removal) => ring::spawn(async move { removal.run().await }),
            Err(error) => tracing::error!(
                "deleting the log of {}-{} failed: {error}; it is set aside as stray when the name \
                 is used again, or at the next start",
                partition.topic,
                partition.key.partition
            ),
        }
    }
}
