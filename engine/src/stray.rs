//! Partition directories that are in the way of their names: of a topic that was deleted while nobody
//! could rename them, or that was made anew since.
//!
//! Blocking. They are renamed as Kafka renames them (`<topic>-<partition>.<32 hex>-stray`) and never
//! removed: only an operator knows that nobody misses what is in them.

use crate::atomic_file::sync_directory;
use crate::directory::{LogDirectory, METADATA_TOPIC};
use crate::disk;
use crate::partition_files;
use crate::partition_name::{Standing, TopicPartition};
use protocol::ids::Uuid;
use std::io;

impl LogDirectory {
    /// Sets aside every partition's directory of which `is_stray` says so, given the topic id in
    /// it. One that cannot be read or renamed stays where it is. Comes before the logs are loaded.
    pub fn set_strays_aside(
        &self,
        is_stray: &dyn Fn(&TopicPartition, Option<Uuid>) -> bool,
    ) -> io::Result<()> {
        for entry in disk::list(self.path())? {
            let name = entry.file_name();
            let parsed = name.to_str().and_then(TopicPartition::from_directory_name);
            let Some((partition, Standing::Current)) = parsed else {
                continue;
            };
            if &*partition.topic == METADATA_TOPIC || !disk::is_directory(&entry.path())? {
                continue;
            }
            let Ok(topic_id) = partition_files::read_topic_id(&entry.path()) else {
                continue; // Whether it can be used is seen when its log is opened.
            };
            if is_stray(&partition, topic_id)
                && let Err(error) = self.set_aside(&partition)
            {
                let path = entry.path();
                tracing::error!(path = %path.display(), %error, "a stray log cannot be renamed");
            }
        }
        Ok(())
    }

    /// Renames what is in the place of a partition's log, if there is something.
    pub fn set_aside(&self, partition: &TopicPartition) -> io::Result<()> {
        let name = partition.directory_name_as(Standing::Stray, crate::random::unique());
        let (from, to) = (
            self.path().join(partition.to_string()),
            self.path().join(name),
        );
        match disk::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        tracing::warn!(
            "{} is not the log of {partition}; renamed to {}",
            from.display(),
            to.display()
        );
        sync_directory(self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strays_are_renamed_and_kept_and_others_stay() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let ids = [("t-0", 1), ("t-1", 2), ("__cluster_metadata-0", 1)];
        for (name, id) in ids {
            std::fs::create_dir(at(name)).unwrap();
            partition_files::write_topic_id(&at(name), Uuid([id; 16])).unwrap();
        }
        std::fs::create_dir(at("u-0")).unwrap();
        std::fs::create_dir(at("notes")).unwrap();
        let directory = LogDirectory::open(place.path()).unwrap();
        directory
            .set_strays_aside(&|_, id| id == Some(Uuid([1; 16])))
            .unwrap();
        for stays in ["t-1", "__cluster_metadata-0", "u-0", "notes"] {
            assert!(at(stays).is_dir(), "{stays}");
        }
        assert!(!at("t-0").exists());
        let names = std::fs::read_dir(place.path()).unwrap();
        let strays: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("t-0.") && name.ends_with("-stray"))
            .collect();
        assert_eq!(strays.len(), 1);
        let kept = partition_files::read_topic_id(&at(&strays[0])).unwrap();
        assert_eq!(kept, Some(Uuid([1; 16])));
    }
}
