//! Topics of a data directory whose metadata is elsewhere: that of a broker which keeps it in
//! ZooKeeper. What is found in the directory is made metadata here, anew at every start, since the
//! broker may have been back in the meantime.
//!
//! Settings of topics are in ZooKeeper and are not known here. So nothing is deleted by age or
//! size that an operator may have wanted to keep: adopted topics have no retention limits until
//! somebody sets them.
//! Leader epochs go on where the logs are, and never beyond: the broker that comes back counts on
//! from its own.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ids::{BrokerId, LeaderEpoch, PartitionIndex, Uuid};

use crate::decision::draw_uuid;
use crate::image::{Image, ResourceType};
use crate::record::{
    ConfigRecord, PartitionRecord, ProducerIdsRecord, Record, RemoveTopicRecord, TopicRecord,
};
use crate::topics::internal::{self, InternalTopics};
use crate::{Draw, topic_name};

/// Producer ids are given out from here on: ZooKeeper's counter, which is not known here, never
/// gets that far, so no two producers have one id.
const PRODUCER_IDS_FROM: i64 = 1 << 62;

/// One partition that is in the node's log directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundReplica {
    /// Its topic.
    pub topic: String,
    /// Its topic's id, if it is known.
    pub topic_id: Option<Uuid>,
    /// Which one.
    pub partition: PartitionIndex,
    /// The latest leader epoch in its log.
    pub leader_epoch: LeaderEpoch,
    /// It has been compacted.
    pub compacted: bool,
    /// The log directory that it is in.
    pub directory: Uuid,
}

/// What is to be written, and what the operator is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adoption {
    /// The records.
    pub records: Vec<Record>,
    /// One line for each thing done.
    pub notes: Vec<String>,
}

/// Makes the image's topics those that were found. `found` has each partition once.
pub fn adopt(
    image: &Image,
    node: BrokerId,
    found: &[FoundReplica],
    internal: &InternalTopics,
    draw: &mut dyn Draw,
) -> Adoption {
    let mut adoption = Adoption::default();
    let mut topics: BTreeMap<&str, Vec<&FoundReplica>> = BTreeMap::new();
    for replica in found {
        topics.entry(&replica.topic).or_default().push(replica);
    }
    let mut gone = BTreeSet::new();
    for topic in image.topics() {
        let still = topics.get(&*topic.name);
        let same = |replica: &&FoundReplica| replica.topic_id.is_none_or(|id| id == topic.id);
        if !still.is_some_and(|replicas| replicas.iter().all(same)) {
            let topic_id = topic.id;
            gone.insert(topic_id);
            adoption
                .records
                .push(Record::RemoveTopic(RemoveTopicRecord { topic_id }));
            adoption.notes.push(format!(
                "topic {} with id {topic_id} is no longer in the log directories: forgotten",
                topic.name
            ));
        }
    }
    for (name, replicas) in topics {
        let known = image.topic(name).map(|topic| topic.id);
        let known = known.filter(|id| !gone.contains(id));
        if known.is_none() {
            new_topic(name, &replicas, internal, draw, &mut adoption);
        }
        let id = known.unwrap_or_else(|| newest_topic_id(&adoption.records));
        partitions(image, node, id, &replicas, &mut adoption);
    }
    if image.next_producer_id().0 < PRODUCER_IDS_FROM {
        adoption
            .records
            .push(Record::ProducerIds(ProducerIdsRecord {
                broker_id: -1,
                broker_epoch: -1,
                next_producer_id: PRODUCER_IDS_FROM,
            }));
    }
    adoption
}

fn newest_topic_id(records: &[Record]) -> Uuid {
    let topic = records.iter().rev().find_map(|record| match record {
        Record::Topic(topic) => Some(topic.topic_id),
        _ => None,
    });
    topic.expect("the topic was just made")
}

fn new_topic(
    name: &str,
    replicas: &[&FoundReplica],
    internal: &InternalTopics,
    draw: &mut dyn Draw,
    adoption: &mut Adoption,
) {
    let known = replicas.iter().find_map(|replica| replica.topic_id);
    let topic_id = known.unwrap_or_else(|| draw_uuid(draw));
    adoption.records.push(Record::Topic(TopicRecord {
        name: name.to_owned().into(),
        topic_id,
    }));
    let compacted = replicas.iter().any(|replica| replica.compacted);
    let configs: Vec<(String, Option<String>)> = if topic_name::is_internal(name) {
        internal::new_topic(name, internal).configs
    } else if compacted {
        vec![("cleanup.policy".into(), Some("compact".into()))]
    } else {
        ["retention.ms", "retention.bytes"]
            .map(|key| (key.to_owned(), Some("-1".to_owned())))
            .into()
    };
    let settings: Vec<String> = configs
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or_default()))
        .collect();
    adoption.notes.push(format!(
        "topic {name} with id {topic_id} is adopted with {} partitions; its settings are in \
         ZooKeeper and not known here, it begins with {}",
        replicas.len(),
        settings.join(", ")
    ));
    for (key, value) in configs {
        adoption.records.push(Record::Config(ConfigRecord {
            resource_type: ResourceType::Topic as i8,
            resource_name: name.to_owned().into(),
            name: key.into(),
            value: value.map(Into::into),
        }));
    }
}

/// The partitions that are new, or whose log has gone on under another leader. Indexes that are
/// not here belong to other brokers, and have no replica.
fn partitions(
    image: &Image,
    node: BrokerId,
    topic_id: Uuid,
    replicas: &[&FoundReplica],
    adoption: &mut Adoption,
) {
    let last = replicas.iter().map(|replica| replica.partition.0).max();
    for index in 0..=last.unwrap_or(-1) {
        let here = replicas.iter().find(|replica| replica.partition.0 == index);
        let topic = image.topic_by_id(topic_id);
        let known = topic.and_then(|topic| topic.partition(PartitionIndex(index)));
        let record = match (here, known) {
            (None, Some(_)) => continue,
            (Some(here), Some(known))
                if known.replicas.contains(&node) && known.leader_epoch >= here.leader_epoch =>
            {
                continue;
            }
            (Some(here), _) => PartitionRecord {
                partition_id: index,
                topic_id,
                replicas: vec![node.0],
                isr: vec![node.0],
                leader: node.0,
                leader_epoch: here.leader_epoch.0,
                directories: vec![here.directory],
                ..Default::default()
            },
            (None, None) => {
                adoption.notes.push(format!(
                    "partition {index} of the topic with id {topic_id} is on other brokers: \
                     it stays offline"
                ));
                PartitionRecord {
                    partition_id: index,
                    topic_id,
                    leader: -1,
                    ..Default::default()
                }
            }
        };
        adoption.records.push(Record::Partition(record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{apply, counted, image_with};
    use protocol::ids::ProducerId;

    const NODE: BrokerId = BrokerId(0);

    fn found(topic: &str, id: u8, partition: i32, epoch: i32) -> FoundReplica {
        FoundReplica {
            topic: topic.into(),
            topic_id: (id > 0).then_some(Uuid([id; 16])),
            partition: PartitionIndex(partition),
            leader_epoch: LeaderEpoch(epoch),
            compacted: topic == "c",
            directory: Uuid([7; 16]),
        }
    }

    fn adopted(image: &mut Image, found: &[FoundReplica]) -> Vec<String> {
        let internal = InternalTopics {
            offsets_partitions: 50,
            offsets_replication_factor: 1,
            offsets_segment_bytes: 1 << 20,
            transaction_partitions: 50,
            transaction_replication_factor: 1,
            transaction_segment_bytes: 1 << 20,
            transaction_min_isr: 1,
        };
        let adoption = adopt(image, NODE, found, &internal, &mut counted());
        apply(image, &adoption.records);
        adoption.notes
    }

    #[test]
    fn what_is_found_is_led_with_its_own_id_and_epoch_and_loses_nothing() {
        let mut image = image_with(1);
        let all = [
            found("t", 5, 0, 3),
            found("t", 5, 2, 0),
            found("c", 0, 0, 0),
            found("__consumer_offsets", 6, 0, 1),
        ];
        let notes = adopted(&mut image, &all);
        assert_eq!(
            notes.len(),
            4,
            "three topics, one partition elsewhere: {notes:?}"
        );
        let t = image.topic("t").unwrap();
        assert_eq!((t.id, t.partitions.len()), (Uuid([5; 16]), 3));
        let state = t.partition(PartitionIndex(0)).unwrap();
        assert_eq!(
            (state.leader, state.leader_epoch),
            (Some(NODE), LeaderEpoch(3))
        );
        let elsewhere = t.partition(PartitionIndex(1)).unwrap();
        assert_eq!((elsewhere.leader, elsewhere.replicas.len()), (None, 0));
        assert_eq!(image.topic_overrides("t")["retention.ms"], "-1");
        assert_eq!(image.topic_overrides("c")["cleanup.policy"], "compact");
        let offsets = image.topic_overrides("__consumer_offsets");
        assert_eq!(offsets["cleanup.policy"], "compact");
        assert_eq!(image.next_producer_id(), ProducerId(1 << 62));
        assert_eq!(adopted(&mut image, &all), Vec::<String>::new());
    }

    #[test]
    fn what_the_other_broker_did_meanwhile_is_followed() {
        let mut image = image_with(1);
        adopted(
            &mut image,
            &[
                found("t", 5, 0, 3),
                found("u", 6, 0, 0),
                found("v", 8, 0, 0),
            ],
        );
        let before = image.next_producer_id();
        adopted(
            &mut image,
            &[
                found("t", 5, 0, 9),
                found("t", 5, 1, 9),
                found("u", 7, 0, 0),
            ],
        );
        let t = image.topic("t").unwrap();
        let epochs: Vec<i32> = t.partitions.values().map(|p| p.leader_epoch.0).collect();
        assert_eq!(epochs, [9, 9]);
        assert_eq!(
            image.topic("u").unwrap().id,
            Uuid([7; 16]),
            "made anew by the other broker"
        );
        assert!(image.topic("v").is_none(), "deleted by the other broker");
        assert_eq!(image.next_producer_id(), before);
    }
}
