//! In which of its log directories a broker has a replica (KIP-858): the broker says it when it has
//! chosen one, and before the replica's log moves to another.
//!
//! It must not know paths. Neither leader nor epoch changes with it.

use protocol::ids::{BrokerId, Uuid};

use crate::decision::Decision;
use crate::image::{Image, METADATA_VERSION, Partition};
use crate::leadership::Of;
use crate::record::{PartitionChangeRecord, Record};

/// The lowest metadata.version whose records say it: 3.7-IV2.
const LEVEL_MIN: i16 = 17;

/// The directory of a broker's replica; `None` if the metadata says nothing of one.
pub fn directory_of(partition: &Partition, broker: BrokerId) -> Option<Uuid> {
    let mut replicas = partition.replicas.iter().zip(&partition.directories);
    let directory = *replicas.find(|(replica, _)| **replica == broker)?.1;
    // The low ids stand for directories that are not chosen, lost, or not told.
    let is_told = directory.0[..8] != [0; 8] || directory.0[8..] >= [0, 0, 0, 0, 0, 0, 0, 100][..];
    is_told.then_some(directory)
}

/// Where a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of which partition.
    pub of: Of,
    /// The directory it is in.
    pub directory: Uuid,
}

/// Decides that the replicas of `broker` are where they are said to be. Nothing changes where there is
/// no such replica any more, or where the records cannot say it yet.
pub fn assign(image: &Image, broker: BrokerId, places: &[Place]) -> Decision<()> {
    let is_told = image.feature(METADATA_VERSION) >= Some(LEVEL_MIN);
    let places = places.iter().filter(|_| is_told);
    let change = |place: &Place| assign_one(image, broker, *place);
    Decision {
        records: places.filter_map(change).collect(),
        outcome: (),
    }
}

fn assign_one(image: &Image, broker: BrokerId, Place { of, directory }: Place) -> Option<Record> {
    let partition = image.topic_by_id(of.topic)?.partition(of.index)?;
    let mut directories = partition.directories.clone();
    let replicas = partition.replicas.iter().zip(&mut directories);
    for (_, known) in replicas.filter(|(replica, _)| **replica == broker) {
        *known = directory;
    }
    (directories != partition.directories).then(|| {
        Record::PartitionChange(PartitionChangeRecord {
            partition_id: of.index.0,
            topic_id: of.topic,
            directories: Some(directories),
            ..PartitionChangeRecord::default()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{FeatureLevelRecord, PartitionRecord, TopicRecord};
    use crate::testing::{apply, image_with};
    use protocol::ids::PartitionIndex;

    const TOPIC: Uuid = Uuid([3; 16]);

    fn image(level: i16) -> Image {
        let mut image = image_with(2);
        let records = [
            Record::FeatureLevel(FeatureLevelRecord {
                name: METADATA_VERSION.into(),
                feature_level: level,
            }),
            Record::Topic(TopicRecord {
                name: "t".into(),
                topic_id: TOPIC,
            }),
            Record::Partition(PartitionRecord {
                partition_id: 0,
                topic_id: TOPIC,
                replicas: vec![0, 1],
                isr: vec![0, 1],
                directories: vec![Uuid([7; 16]), Uuid([0; 16])],
                ..Default::default()
            }),
        ];
        apply(&mut image, &records);
        image
    }

    #[test]
    fn only_the_replicas_directory_changes() {
        let of = Of {
            topic: TOPIC,
            index: PartitionIndex(0),
        };
        let eight = Place {
            of,
            directory: Uuid([8; 16]),
        };
        let mut image = image(LEVEL_MIN);
        let told = |image: &Image, broker| {
            let topic = image.topic_by_id(TOPIC).unwrap();
            directory_of(topic.partition(of.index).unwrap(), BrokerId(broker))
        };
        assert_eq!(told(&image, 0), Some(Uuid([7; 16])));
        assert_eq!(told(&image, 1), None);
        let before = image.topic_by_id(TOPIC).unwrap().clone();
        for round in 0..2 {
            let decision = assign(&image, BrokerId(1), &[eight]);
            assert_eq!(decision.records.len(), 1 - round, "once");
            apply(&mut image, &decision.records);
        }
        assert_eq!(told(&image, 0), Some(Uuid([7; 16])));
        assert_eq!(told(&image, 1), Some(Uuid([8; 16])));
        let (was, is) = (before, image.topic_by_id(TOPIC).unwrap());
        let [was, is] = [&was, is].map(|topic| topic.partition(of.index).unwrap());
        assert_eq!((was.leader, was.leader_epoch), (is.leader, is.leader_epoch));
        assert_eq!((&was.isr, &was.replicas), (&is.isr, &is.replicas));
        let nobody = assign(&image, BrokerId(5), &[eight]);
        assert_eq!(nobody.records, []);
    }

    #[test]
    fn older_records_cannot_say_it() {
        let of = Of {
            topic: TOPIC,
            index: PartitionIndex(0),
        };
        let directory = Uuid([8; 16]);
        let decision = assign(
            &image(LEVEL_MIN - 1),
            BrokerId(0),
            &[Place { of, directory }],
        );
        assert_eq!(decision.records, []);
    }
}
