//! Copies of logs in other directories: made when a move begins, and found again at a start.
//!
//! At a start: a copy beside its log goes on being filled. A copy without its log has taken its
//! place but for the name, if the metadata says that the replica is in its directory, or the log
//! was just given up: it gets the name. Any other copy without its log is set aside: nobody knows
//! what it lacks. While a directory is missing, the log may be there, and its copy is left alone.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;

use engine::config::LogConfig;
use engine::directory::PartitionCheckpoint;
use engine::log::Log;
use engine::{FoundFuture, OpenError, Standing, TopicPartition};
use protocol::ids::Uuid;

use super::{Directories, LogCheckpoint};
use crate::clock;

/// A partition that does not exist yet may be wished into a directory; so many at most.
const WISHES_MAX: usize = 10_000;

/// Copies to go on with, and the numbers of their directories.
pub type FoundFutures = Vec<(usize, FoundFuture)>;

impl Directories {
    /// Begins the copy of a log in the directory with the id `to`.
    pub fn create_future(
        &self,
        partition: &TopicPartition,
        topic_id: Uuid,
        to: Uuid,
        config: Arc<LogConfig>,
    ) -> Result<Log, OpenError> {
        let n = self.ids.iter().position(|id| *id == to);
        let n = n.expect("ids of directories are not made up");
        let now = clock::now_ms();
        let copy = self.all[n].create_future(partition, topic_id, config, now)?;
        self.loads.lock().expect("no panic while counting")[n] += 1;
        Ok(copy)
    }

    /// Has the checkpoints of a copy's directory say what is true of it, before it takes its log's
    /// place.
    pub fn write_checkpoint_of(&self, copy: &LogCheckpoint) -> io::Result<()> {
        let n = self.ids.iter().position(|id| *id == copy.directory);
        let n = n.expect("ids of directories are not made up");
        let said = PartitionCheckpoint {
            recovery_point: Some(copy.recovery_point),
            log_start: copy.log_start,
            high_watermark: Some(copy.high_watermark),
            cleaned_to: copy.cleaned_to,
        };
        self.all[n].write_checkpoint_of(&copy.partition, said)
    }

    /// Whether one of the configured directories cannot be used.
    pub fn is_one_lost(&self) -> bool {
        self.incomplete || self.failed_count() > 0
    }

    /// A partition that does not exist yet is to be made in the directory with the id `to`.
    pub fn wish(&self, partition: TopicPartition, to: Uuid) {
        let mut wishes = self.wishes.lock().expect("nobody panics with it");
        if wishes.len() < WISHES_MAX || wishes.contains_key(&partition) {
            wishes.insert(partition, to);
        }
    }

    /// The number of the directory that a partition was wished into, if it can be used.
    pub(super) fn take_wish(&self, partition: &TopicPartition) -> Option<usize> {
        let mut wishes = self.wishes.lock().expect("nobody panics with it");
        let to = wishes.remove(partition)?;
        let n = self.ids.iter().position(|id| *id == to)?;
        self.is_usable(n).then_some(n)
    }

    /// Settles what the copies found at a start are, before any log is loaded. `said` is where the
    /// metadata says that a replica is. Answers those to go on with.
    pub fn settle_futures(
        &self,
        is_stray: &dyn Fn(&TopicPartition, Option<Uuid>) -> bool,
        said: &dyn Fn(&TopicPartition) -> Option<Uuid>,
    ) -> FoundFutures {
        let mut by_partition: BTreeMap<TopicPartition, FoundFutures> = BTreeMap::new();
        for (n, directory) in self.all.iter().enumerate() {
            let found = directory.futures().unwrap_or_else(|error| {
                tracing::error!("copies of logs cannot be looked for: {error}");
                Vec::new()
            });
            for copy in found {
                if is_stray(&copy.partition, copy.topic_id) {
                    self.rename(n, &copy, Standing::Stray);
                    continue;
                }
                let copies = by_partition.entry(copy.partition.clone()).or_default();
                copies.push((n, copy));
            }
        }
        if by_partition.is_empty() {
            return Vec::new();
        }
        let mut is_complete = !self.is_one_lost();
        let mut logs = HashSet::new();
        for directory in &self.all {
            let here = directory
                .set_strays_aside(is_stray)
                .and_then(|()| directory.partitions());
            is_complete &= here.is_ok();
            logs.extend(here.unwrap_or_default());
        }
        let mut kept = Vec::new();
        for (partition, mut copies) in by_partition {
            let said = said(&partition);
            let said = |n: usize| said == Some(self.ids[n]);
            let chosen = copies.iter().position(|(n, _)| said(*n)).unwrap_or(0);
            let (n, chosen) = copies.swap_remove(chosen);
            if logs.contains(&partition) {
                kept.push((n, chosen));
                copies
                    .iter()
                    .for_each(|(n, copy)| self.rename(*n, copy, Standing::Deleted));
            } else if is_complete {
                let standing = match said(n) || self.was_given_up(&partition) {
                    true => Standing::Current,
                    false => Standing::Stray,
                };
                self.rename(n, &chosen, standing);
                copies
                    .iter()
                    .for_each(|(n, copy)| self.rename(*n, copy, Standing::Stray));
            }
        }
        kept
    }

    /// Opens copies to go on with. One that cannot be opened is deleted: its log has all that it has.
    pub fn open_futures(
        &self,
        found: FoundFutures,
        config: &dyn Fn(&str) -> Arc<LogConfig>,
    ) -> Vec<(Log, Uuid)> {
        let mut opened = Vec::new();
        for (n, copy) in found {
            let of_topic = config(&copy.partition.topic);
            match self.all[n].open_future(&copy, of_topic, clock::now_ms()) {
                Ok(log) => {
                    self.loads.lock().expect("no panic while counting")[n] += 1;
                    opened.push((log, self.ids[n]));
                }
                Err(error) => {
                    tracing::error!(
                        "a copy cannot be opened, and its log stays where it is: {error}"
                    );
                    self.rename(n, &copy, Standing::Deleted);
                }
            }
        }
        opened
    }

    fn was_given_up(&self, partition: &TopicPartition) -> bool {
        let mut all = self.all.iter();
        all.any(|directory| directory.has_deleted(partition).unwrap_or(false))
    }

    fn rename(&self, n: usize, copy: &FoundFuture, standing: Standing) {
        if let Err(error) = self.all[n].rename_future(copy, standing) {
            let path = copy.path.display();
            tracing::error!("{path} should be renamed ({standing:?}): {error}");
        }
    }
}
