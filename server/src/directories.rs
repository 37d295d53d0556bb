//! The node's log directories (`log.dirs`): which one a partition is in, and where a new one goes.
//!
//! Shared by all shards. Everything here blocks on the disk: called at start, at the end, and
//! through `ring::offload`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use controller::adopt::FoundReplica;
use engine::TopicPartition;
use engine::config::LogConfig;
use engine::directory::{DirectoryError, LoadOptions, Loaded, LogDirectory};
use engine::log::Log;
use engine::{MetaProperties, MetaVersion, OpenError};
use protocol::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, Uuid};

use crate::clock;
use crate::config::ServerConfig;
use crate::entropy::random_uuid;

mod futures;
mod missing;
mod ownership;
mod standing;

use missing::MissingLogs;
pub use standing::{DirectoryState, PathStanding};

/// Why the directories cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoriesError {
    /// One of them cannot be opened.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A file of one of them cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// A partition has a log in two of them.
    #[error(
        "{partition} is in {} and in {}: only one of them can be its log; move the other away and start again",
        first.display(), second.display()
    )]
    Duplicate {
        /// The partition.
        partition: TopicPartition,
        /// Where it is.
        first: PathBuf,
        /// Where it is as well.
        second: PathBuf,
    },
    /// It is another node's, or another cluster's.
    #[error(
        "{} belongs to node {found_node} of cluster {found_cluster}, not to node {node} of cluster {cluster}: \
         check node.id and log.dirs",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found_node: i32,
        /// Whose it is.
        found_cluster: String,
        /// Who we are.
        node: i32,
        /// Who we are.
        cluster: String,
    },
}

/// What a log's checkpoints say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCheckpoint {
    /// Which log.
    pub partition: TopicPartition,
    /// The directory it is in.
    pub directory: Uuid,
    /// Everything below is durable.
    pub recovery_point: Offset,
    /// The first offset there is, if it is not that of the first segment.
    pub log_start: Option<Offset>,
    /// Everything below is committed.
    pub high_watermark: Offset,
    /// Everything below was compacted, if it ever was.
    pub cleaned_to: Option<Offset>,
}

/// See the module.
pub struct Directories {
    all: Vec<LogDirectory>,
    ids: Vec<Uuid>,
    /// The number of partitions in each.
    loads: Mutex<Vec<usize>>,
    metadata: usize,
    cluster_id: String,
    /// A directory of the configuration could not be opened.
    incomplete: bool,
    missing: MissingLogs,
    /// The directories that partitions to come are to be made in.
    wishes: Mutex<HashMap<TopicPartition, Uuid>>,
}

impl Directories {
    /// Opens and locks all directories and makes sure that they belong together; writes
    /// `meta.properties` where there is none.
    pub fn open(config: &ServerConfig) -> Result<Directories, DirectoriesError> {
        let all = open_all(config)?;
        let incomplete = all.len() < config.log_dirs.len();
        let known = all
            .iter()
            .find_map(|directory| directory.identity()?.cluster_id.clone());
        let cluster_id = known.unwrap_or_else(|| random_uuid().to_string());
        let ids = all
            .iter()
            .map(|directory| claim(directory, config.node_id, &cluster_id))
            .collect::<Result<_, _>>()?;
        let metadata = all
            .iter()
            .position(|directory| directory.path() == config.metadata_log_dir)
            .unwrap_or(0);
        let loads = Mutex::new(vec![0; all.len()]);
        Ok(Directories {
            all,
            ids,
            loads,
            metadata,
            cluster_id,
            incomplete,
            missing: MissingLogs::default(),
            wishes: Mutex::default(),
        })
    }

    /// The cluster's id, as all directories have it.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The ids of the directories.
    pub fn ids(&self) -> Vec<Uuid> {
        self.ids.clone()
    }

    /// The partitions in directories that a broker keeps whose metadata is in ZooKeeper; `None` if
    /// they are not such a broker's. Each once: the first directory that has it counts.
    pub fn of_zookeeper_broker(&self) -> Result<Option<Vec<FoundReplica>>, DirectoriesError> {
        let version = |directory: &LogDirectory| Some(directory.identity()?.version);
        if !self.all.iter().any(|d| version(d) == Some(MetaVersion::V0)) {
            return Ok(None);
        }
        // What has become complete counts; the rest is settled when there is metadata.
        self.settle_futures(&|_, _| false, &|_| None);
        let mut found = BTreeMap::new();
        for (directory, id) in self.all.iter().zip(&self.ids) {
            let survey = directory.survey().map_err(|source| DirectoriesError::Io {
                path: directory.path().to_owned(),
                source,
            })?;
            for one in survey {
                let TopicPartition { topic, partition } = one.partition;
                let key = (topic.to_string(), partition);
                found.entry(key).or_insert_with(|| FoundReplica {
                    topic: topic.to_string(),
                    topic_id: one.topic_id,
                    partition,
                    leader_epoch: one.leader_epoch.unwrap_or(LeaderEpoch(0)),
                    compacted: one.compacted,
                    directory: *id,
                });
            }
        }
        Ok(Some(found.into_values().collect()))
    }

    /// Whether the last stop was a clean one for all of them.
    pub fn were_clean(&self) -> bool {
        self.all.iter().all(LogDirectory::was_clean)
    }

    /// Loads all logs but the metadata log, recovering them if the last stop was not clean. Those
    /// of which `is_stray` says so, given the topic id in them, are set aside first.
    pub fn load(
        &self,
        threads: usize,
        is_stray: &dyn Fn(&TopicPartition, Option<Uuid>) -> bool,
        config: &(dyn Fn(&str) -> Arc<LogConfig> + Sync),
    ) -> Result<HashMap<TopicPartition, Log>, DirectoriesError> {
        self.refuse_duplicates(is_stray)?;
        let mut logs = HashMap::new();
        for (n, directory) in self.all.iter().enumerate() {
            let options = LoadOptions {
                threads,
                now: clock::now_ms(),
                config,
            };
            let loaded = directory
                .set_strays_aside(is_stray)
                .and_then(|()| directory.load_logs(&options));
            let loaded = loaded.or_else(|source| {
                let path = directory.path().to_owned();
                directory.health().fail(&source.to_string());
                match self.cannot_go_on() {
                    Some(_) => Err(DirectoriesError::Io { path, source }),
                    None => {
                        tracing::error!("{} is offline: {source}", path.display());
                        Ok(Loaded::default())
                    }
                }
            })?;
            for (path, error) in loaded.failed {
                tracing::error!(
                    "{} cannot be opened and is offline; it will be tried again: {error}",
                    path.display()
                );
                let name = path.file_name().and_then(|name| name.to_str());
                if let Some((partition, _)) = name.and_then(TopicPartition::from_directory_name) {
                    self.missing.could_not_open(partition, n);
                }
            }
            self.loads.lock().expect("no panic while counting")[n] += loaded.logs.len();
            for log in loaded.logs {
                let partition = log.topic_partition().clone();
                if is_stray(&partition, log.topic_id()) {
                    continue; // It could not be renamed.
                }
                logs.insert(partition, log);
            }
        }
        Ok(logs)
    }

    /// Opens the metadata log, or makes it.
    pub fn open_metadata_log(
        &self,
        partition: &TopicPartition,
        config: Arc<LogConfig>,
    ) -> Result<Log, OpenError> {
        let directory = &self.all[self.metadata];
        match directory.open_log(partition, config.clone(), clock::now_ms())? {
            Some(log) => Ok(log),
            None => directory.create_log(partition, Uuid::METADATA_TOPIC, config, clock::now_ms()),
        }
    }

    /// How many directories have failed since they were opened.
    pub fn failed_count(&self) -> usize {
        let failed = |directory: &&LogDirectory| directory.health().failure().is_some();
        self.all.iter().filter(failed).count()
    }

    /// Why the node has to end: the metadata log's directory failed, or all of them.
    pub fn cannot_go_on(&self) -> Option<String> {
        let metadata = &self.all[self.metadata];
        if let Some(reason) = metadata.health().failure() {
            let path = metadata.path().display();
            return Some(format!(
                "{path}, which holds the metadata log, failed: {reason}"
            ));
        }
        (self.failed_count() == self.all.len()).then(|| "every log directory has failed".to_owned())
    }

    /// Whether the directory with this id has failed.
    pub fn has_failed(&self, directory: Uuid) -> bool {
        let at = self.ids.iter().position(|id| *id == directory);
        at.is_some_and(|n| !self.is_usable(n))
    }

    fn is_usable(&self, n: usize) -> bool {
        self.all[n].health().failure().is_none()
    }

    /// Makes an empty log in the directory it was wished into, or in that with the fewest
    /// partitions. What has its name in a directory is another log's, and set aside.
    pub fn create_log(
        &self,
        partition: &TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
    ) -> Result<Log, OpenError> {
        let created = self.create_where_least(partition, topic_id, config);
        self.missing.tried_to_make(partition, topic_id, &created);
        created
    }

    fn create_where_least(
        &self,
        partition: &TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
    ) -> Result<Log, OpenError> {
        for n in (0..self.all.len()).filter(|n| self.is_usable(*n)) {
            let set_aside = self.all[n].set_aside(partition);
            set_aside.map_err(|source| OpenError::Io {
                path: self.all[n].path().join(partition.to_string()),
                source,
            })?;
        }
        self.missing.forget(partition);
        let wished = self.take_wish(partition);
        let n = {
            let mut loads = self.loads.lock().expect("no panic while counting");
            let usable = (0..loads.len()).filter(|n| self.is_usable(*n));
            let least = wished
                .or_else(|| usable.min_by_key(|n| loads[*n]))
                .unwrap_or(self.metadata);
            loads[least] += 1;
            least
        };
        let created = self.all[n].create_log(partition, topic_id, config, clock::now_ms());
        if created.is_err() {
            self.loads.lock().expect("no panic while counting")[n] -= 1;
        }
        created
    }

    /// A log of this directory is deleted.
    pub fn forget(&self, directory: Uuid) {
        if let Some(n) = self.ids.iter().position(|id| *id == directory) {
            let mut loads = self.loads.lock().expect("no panic while counting");
            loads[n] = loads[n].saturating_sub(1);
        }
    }

    /// The id of the directory that holds a log.
    pub fn id_of(&self, log: &Log) -> Uuid {
        let parent = log.directory().parent();
        let holder = self
            .all
            .iter()
            .position(|directory| Some(directory.path()) == parent);
        holder.map_or(Uuid::ZERO, |n| self.ids[n])
    }

    /// Writes the checkpoint files of all directories.
    pub fn write_checkpoints(&self, logs: &[LogCheckpoint]) -> io::Result<()> {
        let usable = (0..self.all.len()).filter(|n| self.is_usable(*n));
        for n in usable {
            let (directory, id) = (&self.all[n], &self.ids[n]);
            let unopened = self.of_unopened(n)?;
            let here = || {
                let of_logs = logs.iter().filter(|log| log.directory == *id);
                of_logs.chain(&unopened)
            };
            let offsets = |offset: fn(&LogCheckpoint) -> Offset| -> Vec<_> {
                here()
                    .map(|log| (log.partition.clone(), offset(log)))
                    .collect()
            };
            directory.write_recovery_points(&offsets(|log| log.recovery_point))?;
            directory.write_high_watermarks(&offsets(|log| log.high_watermark))?;
            let starts: Vec<_> = here()
                .filter_map(|log| Some((log.partition.clone(), log.log_start?)))
                .collect();
            directory.write_log_start_offsets(&starts)?;
            let cleaned: Vec<_> = here()
                .filter_map(|log| Some((log.partition.clone(), log.cleaned_to?)))
                .collect();
            directory.write_cleaned(&cleaned)?;
        }
        Ok(())
    }

    /// What the checkpoints of a directory go on saying of the logs that were not opened.
    fn of_unopened(&self, n: usize) -> io::Result<Vec<LogCheckpoint>> {
        let checkpoint = |partition: TopicPartition| {
            let found = self.all[n].found_checkpoint(&partition)?;
            Ok(LogCheckpoint {
                partition,
                directory: self.ids[n],
                recovery_point: found.recovery_point.unwrap_or(Offset::ZERO),
                log_start: found.log_start,
                high_watermark: found.high_watermark.unwrap_or(Offset::ZERO),
                cleaned_to: found.cleaned_to,
            })
        };
        self.missing
            .unopened_in(n)
            .into_iter()
            .map(checkpoint)
            .collect()
    }

    /// The last act of a clean stop. A directory that failed is not clean, nor one with a log that
    /// was not opened: it was not checked after the last stop.
    pub fn mark_clean(&self, epoch: BrokerEpoch) -> io::Result<()> {
        (0..self.all.len())
            .filter(|n| self.is_usable(*n) && !self.missing.are_in(*n))
            .try_for_each(|n| self.all[n].mark_clean(epoch))
    }
}

/// Opens all directories. One that cannot be read or written is left out, unless it is the only
/// one, or the metadata log's.
fn open_all(config: &ServerConfig) -> Result<Vec<LogDirectory>, DirectoriesError> {
    let mut all = Vec::new();
    for path in &config.log_dirs {
        let only = config.log_dirs.len() == 1 || *path == config.metadata_log_dir;
        match LogDirectory::open(path) {
            Ok(directory) => all.push(directory),
            Err(DirectoryError::Io { path, source }) if !only => {
                tracing::error!(
                    "{} cannot be used, its partitions are offline: {source}",
                    path.display()
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

/// Makes sure that a directory is this node's; an unused one becomes so. Answers its id.
fn claim(
    directory: &LogDirectory,
    node: BrokerId,
    cluster_id: &str,
) -> Result<Uuid, DirectoriesError> {
    let identity = directory.identity().unwrap_or_else(|| MetaProperties {
        version: MetaVersion::V1,
        node_id: None,
        cluster_id: None,
        directory_id: None,
        others: BTreeMap::new(),
    });
    let other_node = identity.node_id.is_some_and(|found| found != node);
    let other_cluster = identity
        .cluster_id
        .as_deref()
        .is_some_and(|found| found != cluster_id);
    if other_node || other_cluster {
        return Err(DirectoriesError::Foreign {
            path: directory.path().to_owned(),
            found_node: identity.node_id.map_or(-1, |id| id.0),
            found_cluster: identity.cluster_id.unwrap_or_default(),
            node: node.0,
            cluster: cluster_id.to_owned(),
        });
    }
    let id = identity.directory_id.unwrap_or_else(random_uuid);
    let claimed = MetaProperties {
        node_id: Some(node),
        cluster_id: Some(cluster_id.to_owned()),
        directory_id: Some(id),
        ..identity.clone()
    };
    if claimed != identity {
        directory
            .write_identity(&claimed)
            .map_err(|source| DirectoriesError::Io {
                path: directory.path().to_owned(),
                source,
            })?;
    }
    Ok(id)
}
