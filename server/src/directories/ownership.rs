//! Whose log a directory is: one partition has one log, and a log says which topic's it is.
//!
//! Blocks on the disk: called at start and through `ring::offload`.

use std::collections::HashMap;
use std::path::PathBuf;

use engine::directory::LogDirectory;
use engine::log::Log;
use engine::{MetaVersion, TopicPartition};
use protocol::ids::Uuid;

use super::{Directories, DirectoriesError};

impl Directories {
    /// A partition whose log is in two directories: which one is right only an operator knows, so
    /// the node does not start (as Kafka). Comes before any log is opened. A directory that cannot be
    /// read is met when its logs are loaded.
    pub(super) fn refuse_duplicates(
        &self,
        is_stray: &dyn Fn(&TopicPartition, Option<Uuid>) -> bool,
    ) -> Result<(), DirectoriesError> {
        let mut found: HashMap<TopicPartition, PathBuf> = HashMap::new();
        for directory in &self.all {
            let partitions = directory
                .set_strays_aside(is_stray)
                .and_then(|()| directory.partitions());
            for partition in partitions.unwrap_or_default() {
                let second = directory.path().join(partition.to_string());
                if let Some(first) = found.insert(partition.clone(), second.clone()) {
                    return Err(DirectoriesError::Duplicate {
                        partition,
                        first,
                        second,
                    });
                }
            }
        }
        Ok(())
    }

    /// Writes down whose a log is, where a crash or an older Kafka left that out. Not in the
    /// directories of a broker with ZooKeeper, where topics may have other ids.
    pub fn restore_topic_id(&self, log: &mut Log, topic_id: Uuid) {
        let of_zookeeper = |directory: &LogDirectory| {
            directory
                .identity()
                .is_some_and(|identity| identity.version == MetaVersion::V0)
        };
        if log.topic_id().is_some() || topic_id.is_zero() || self.all.iter().any(of_zookeeper) {
            return;
        }
        match log.restore_topic_id(topic_id) {
            Ok(()) => tracing::warn!(
                "{} had lost its topic's id; made anew from the metadata",
                log.directory().display()
            ),
            Err(error) => tracing::error!("a topic's id could not be written: {error}"),
        }
    }
}
