//! What a log directory says of the partitions in it, before their logs are opened: for a directory
//! that comes without metadata of its own.
//!
//! Blocking. Reads small files only.

use crate::checkpoint;
use crate::directory::LogDirectory;
use crate::disk;
use crate::partition_files;
use crate::partition_name::{Standing, TopicPartition};
use protocol::ids::{LeaderEpoch, Uuid};
use std::io;

/// The cleaner's checkpoint: who is in it is compacted.
const CLEANED: &str = "cleaner-offset-checkpoint";

/// A partition found in a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPartition {
    /// Which one.
    pub partition: TopicPartition,
    /// Its topic's id; Kafka before 2.8 did not write it.
    pub topic_id: Option<Uuid>,
    /// The latest leader epoch with records.
    pub leader_epoch: Option<LeaderEpoch>,
    /// A cleaner has compacted it.
    pub compacted: bool,
}

impl LogDirectory {
    /// The partitions that have a directory here, but for the metadata log's. Reads no file.
    pub fn partitions(&self) -> io::Result<Vec<TopicPartition>> {
        let mut found = Vec::new();
        for entry in disk::list(self.path())? {
            let name = entry.file_name();
            let parsed = name.to_str().and_then(TopicPartition::from_directory_name);
            if let Some((partition, Standing::Current)) = parsed
                && &*partition.topic != crate::directory::METADATA_TOPIC
                && disk::is_directory(&entry.path())?
            {
                found.push(partition);
            }
        }
        found.sort();
        Ok(found)
    }

    /// The partitions in the directory, but for the metadata log's.
    pub fn survey(&self) -> io::Result<Vec<FoundPartition>> {
        let cleaned = checkpoint::read_offsets(&self.path().join(CLEANED)).unwrap_or_default();
        let mut found = Vec::new();
        for entry in disk::list(self.path())? {
            let name = entry.file_name();
            let parsed = name.to_str().and_then(TopicPartition::from_directory_name);
            let Some((partition, Standing::Current)) = parsed else {
                continue;
            };
            if &*partition.topic == crate::directory::METADATA_TOPIC
                || !disk::is_directory(&entry.path())?
            {
                continue;
            }
            let epochs = checkpoint::read_epochs(&entry.path().join(partition_files::EPOCHS));
            let latest = epochs.unwrap_or_default().last().map(|entry| entry.epoch);
            found.push(FoundPartition {
                topic_id: partition_files::read_topic_id(&entry.path())?,
                leader_epoch: latest,
                compacted: cleaned.contains_key(&partition),
                partition,
            });
        }
        found.sort_by(|a, b| a.partition.cmp(&b.partition));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::ids::PartitionIndex;

    #[test]
    fn partitions_are_found_with_what_their_files_say() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let dirs = [
            "t-0",
            "t-1",
            "__cluster_metadata-0",
            "u-0.9a9a-delete",
            "notes",
        ];
        for name in dirs {
            std::fs::create_dir(at(name)).unwrap();
        }
        let id = Uuid([3; 16]);
        partition_files::write_topic_id(&at("t-0"), id).unwrap();
        std::fs::write(at("t-0/leader-epoch-checkpoint"), "0\n2\n0 0\n4 17\n").unwrap();
        std::fs::write(at(CLEANED), "0\n1\nt 1 5\n").unwrap();
        let found = LogDirectory::open(directory.path())
            .unwrap()
            .survey()
            .unwrap();
        let partition = |index| TopicPartition::new("t", PartitionIndex(index));
        let expected = [
            FoundPartition {
                partition: partition(0),
                topic_id: Some(id),
                leader_epoch: Some(LeaderEpoch(4)),
                compacted: false,
            },
            FoundPartition {
                partition: partition(1),
                topic_id: None,
                leader_epoch: None,
                compacted: true,
            },
        ];
        assert_eq!(found, expected);
    }
}
