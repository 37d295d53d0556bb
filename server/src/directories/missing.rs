//! Logs that partitions should have and that are not in use: they could not be opened, or not made.
//!
//! Invariant: a partition that may have a log in some directory never gets an empty one in another
//! (Kafka refuses the same in `LogManager.getOrCreateLog`).

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use engine::config::LogConfig;
use engine::log::Log;
use engine::{OpenError, TopicPartition};
use protocol::ids::Uuid;

use super::Directories;
use crate::clock;

/// How long a log that could not be opened rests at first, and at most: opening may mean a long
/// recovery.
const REOPEN_WAIT: Duration = Duration::from_secs(1);
const REOPEN_WAIT_MAX: Duration = Duration::from_secs(60);

/// A log that could not be opened.
pub(super) struct Unopened {
    /// The number of its directory.
    directory: usize,
    /// When it is tried again.
    next: Instant,
    /// How long after that, if it fails again.
    wait: Duration,
}

/// See the module.
#[derive(Default)]
pub(super) struct MissingLogs {
    /// Could not be opened.
    unopened: Mutex<HashMap<TopicPartition, Unopened>>,
    /// Could not be made: in no directory, whatever becomes of those.
    unmade: Mutex<HashSet<(TopicPartition, Uuid)>>,
}

impl Unopened {
    /// Its directory, and whether it is to be tried now.
    fn take_turn(&mut self) -> (usize, bool) {
        let is_due = Instant::now() >= self.next;
        if is_due {
            self.next = Instant::now() + self.wait;
            self.wait = (self.wait * 2).min(REOPEN_WAIT_MAX);
        }
        (self.directory, is_due)
    }
}

impl MissingLogs {
    /// The log of a partition is in the directory with this number and could not be opened.
    pub(super) fn could_not_open(&self, partition: TopicPartition, directory: usize) {
        let log = Unopened {
            directory,
            next: Instant::now() + REOPEN_WAIT,
            wait: REOPEN_WAIT * 2,
        };
        self.unopened().insert(partition, log);
    }

    /// What could not be opened is set aside.
    pub(super) fn forget(&self, partition: &TopicPartition) {
        self.unopened().remove(partition);
    }

    /// This came of making a partition's log.
    pub(super) fn tried_to_make(
        &self,
        partition: &TopicPartition,
        topic_id: Uuid,
        made: &Result<Log, OpenError>,
    ) {
        let log = (partition.clone(), topic_id);
        match made {
            Ok(_) => self.unmade().remove(&log),
            Err(_) => self.unmade().insert(log),
        };
    }

    /// Whether logs could not be opened in the directory with this number.
    pub(super) fn are_in(&self, directory: usize) -> bool {
        self.unopened()
            .values()
            .any(|log| log.directory == directory)
    }

    /// The logs that could not be opened in the directory with this number.
    pub(super) fn unopened_in(&self, directory: usize) -> Vec<TopicPartition> {
        let unopened = self.unopened();
        let here = unopened
            .iter()
            .filter(|(_, log)| log.directory == directory);
        here.map(|(partition, _)| partition.clone()).collect()
    }

    fn unopened(&self) -> MutexGuard<'_, HashMap<TopicPartition, Unopened>> {
        self.unopened.lock().expect("nobody panics with it")
    }

    fn unmade(&self) -> MutexGuard<'_, HashSet<(TopicPartition, Uuid)>> {
        self.unmade.lock().expect("nobody panics with it")
    }
}

impl Directories {
    /// Makes the log of a partition that exists by the metadata and was not found: unless it may be
    /// where nobody can look now.
    pub fn create_missing_log(
        &self,
        partition: &TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
    ) -> Result<Log, OpenError> {
        let is_unopened = self.missing.unopened().contains_key(partition);
        let is_unmade = self
            .missing
            .unmade()
            .contains(&(partition.clone(), topic_id));
        let may_be_elsewhere = self.incomplete || self.failed_count() > 0;
        if is_unopened || (may_be_elsewhere && !is_unmade) {
            let why = "its log cannot be opened, or may be in a failed directory";
            return Err(unavailable(partition, why));
        }
        self.create_log(partition, topic_id, config)
    }

    /// Opens a log that could not be opened, if its time has come, or makes one that is missing.
    pub fn try_again(
        &self,
        partition: &TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
    ) -> Result<Log, OpenError> {
        let unopened = self
            .missing
            .unopened()
            .get_mut(partition)
            .map(Unopened::take_turn);
        let Some((n, is_due)) = unopened else {
            return self.create_missing_log(partition, topic_id, config);
        };
        if !is_due || !self.is_usable(n) {
            return Err(unavailable(partition, "its log cannot be opened"));
        }
        let log = self.all[n].open_log(partition, config, clock::now_ms())?;
        let log = log.filter(|log| log.topic_id().is_none_or(|id| id == topic_id));
        let mut log = log.ok_or_else(|| unavailable(partition, "its log is gone"))?;
        self.restore_topic_id(&mut log, topic_id);
        self.missing.unopened().remove(partition);
        self.loads.lock().expect("no panic while counting")[n] += 1;
        Ok(log)
    }
}

fn unavailable(partition: &TopicPartition, why: &str) -> OpenError {
    OpenError::Io {
        path: partition.to_string().into(),
        source: io::Error::other(why),
    }
}
