//! A log directory: whose it is, who uses it, its checkpoints, and the partitions in it.
//!
//! Blocking throughout: start-up, shutdown and `ring::offload`. Shared by all cores; holds no log.
//! What it does not know it leaves alone. Invariant: the marker of a clean stop is there only while
//! nobody uses the directory.

use crate::atomic_file;
use crate::checkpoint;
use crate::config::LogConfig;
use crate::directory_health::DirectoryHealth;
use crate::directory_lock::{DirectoryLock, LockError};
use crate::disk;
use crate::load::LoadFrom;
use crate::load_progress::Progress;
use crate::log::Log;
use crate::meta_properties::MetaProperties;
use crate::open_error::OpenError;
use crate::partition_files;
use crate::partition_name::{Standing, TopicPartition};
use crate::removal::Removal;
use protocol::ids::{BrokerEpoch, Offset, TimestampMs, Uuid};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

pub(crate) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
pub(crate) const CLEANED: &str = "cleaner-offset-checkpoint";
pub(crate) const LOG_STARTS: &str = "log-start-offset-checkpoint";
pub(crate) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
pub(crate) const CHECKPOINTS: [&str; 4] = [RECOVERY_POINTS, CLEANED, LOG_STARTS, HIGH_WATERMARKS];
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// The topic whose log is opened by itself, before the others: it says what they are.
pub(crate) const METADATA_TOPIC: &str = "__cluster_metadata";

/// A log directory in use.
#[derive(Debug)]
pub struct LogDirectory {
    path: PathBuf,
    identity: Mutex<Option<MetaProperties>>,
    clean_epoch: Option<BrokerEpoch>,
    clean: bool,
    /// Set when the first log is opened: read then, and the marker removed.
    opened: OnceLock<Checkpoints>,
    health: Arc<DirectoryHealth>,
    _lock: DirectoryLock,
}

/// What the checkpoints said at the start.
#[derive(Debug, Default)]
struct Checkpoints {
    recovery_points: HashMap<TopicPartition, Offset>,
    log_starts: HashMap<TopicPartition, Offset>,
    high_watermarks: HashMap<TopicPartition, Offset>,
    cleaned: HashMap<TopicPartition, Offset>,
    /// What is durable, or what was compacted, is not known.
    in_doubt: bool,
}

/// What a directory's checkpoints say of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionCheckpoint {
    /// Everything below is durable.
    pub recovery_point: Option<Offset>,
    /// The log's first offset, if that is not its first segment's.
    pub log_start: Option<Offset>,
    /// Everything below is committed.
    pub high_watermark: Option<Offset>,
    /// Everything below was compacted.
    pub cleaned_to: Option<Offset>,
}

/// Why a log directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process uses it.
    #[error("{}: in use by {}; one process at a time may use a log directory", path.display(), holder(*.pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that uses it.
        pid: Option<i32>,
    },
    /// A file could not be read or written.
    #[error("{}", crate::disk_error::naming(path, source))]
    Io {
        /// Where.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

/// How logs are loaded.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// `num.recovery.threads.per.data.dir`.
    pub threads: usize,
    /// The time.
    pub now: TimestampMs,
    /// A topic's configuration.
    pub config: &'a (dyn Fn(&str) -> Arc<LogConfig> + Sync),
}

/// What was found in a log directory.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The logs, by partition.
    pub logs: Vec<Log>,
    /// What could not be opened, and why.
    pub failed: Vec<(PathBuf, OpenError)>,
}

fn holder(pid: Option<i32>) -> String {
    pid.map_or("another process".to_owned(), |pid| {
        format!("the process {pid}")
    })
}

impl LogDirectory {
    /// Makes the directory if need be, and takes it into use.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DirectoryError> {
        let path = path.into();
        let io = |source| DirectoryError::Io {
            path: path.clone(),
            source,
        };
        disk::make_directories(&path).map_err(io)?;
        let lock = DirectoryLock::take(&path).map_err(|error| match error {
            LockError::Held(pid) => DirectoryError::InUse {
                path: path.clone(),
                pid,
            },
            LockError::Io(source) => io(source),
        })?;
        let identity = MetaProperties::read(&path).map_err(io)?;
        let (clean, clean_epoch) = read_marker(&path.join(CLEAN_SHUTDOWN)).map_err(io)?;
        Ok(Self {
            identity: Mutex::new(identity),
            clean,
            clean_epoch,
            opened: OnceLock::new(),
            health: Arc::default(),
            path,
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it can be used: no write or sync in it has left its files in doubt.
    pub fn health(&self) -> &DirectoryHealth {
        &self.health
    }

    /// Whose it is; `None` if it is new.
    pub fn identity(&self) -> Option<MetaProperties> {
        self.identity.lock().expect("nobody panics with it").clone()
    }

    /// Says whose it is.
    pub fn write_identity(&self, identity: &MetaProperties) -> io::Result<()> {
        identity.write(&self.path)?;
        *self.identity.lock().expect("nobody panics with it") = Some(identity.clone());
        Ok(())
    }

    /// Whether its logs were closed properly when it was last used.
    pub fn was_clean(&self) -> bool {
        self.clean
    }

    /// The epoch of the broker that closed them (KIP-966); `None` if it was not clean, or Kafka
    /// did not say.
    pub fn last_broker_epoch(&self) -> Option<BrokerEpoch> {
        self.clean_epoch
    }

    /// Loads every log but the metadata log, several at a time. What was marked as deleted is
    /// removed; directories that are not those of partitions are left alone.
    pub fn load_logs(&self, options: &LoadOptions<'_>) -> io::Result<Loaded> {
        self.begin_use()?;
        let mut partitions = Vec::new();
        for entry in disk::list(&self.path)? {
            if !disk::is_directory(&entry.path())? {
                continue;
            }
            let name = entry.file_name();
            match name.to_str().and_then(TopicPartition::from_directory_name) {
                Some((tp, _)) if &*tp.topic == METADATA_TOPIC => {}
                Some((tp, Standing::Current)) => partitions.push(tp),
                Some((_, Standing::Deleted)) => {
                    Removal::of_directory(entry.path(), 0).run_blocking();
                }
                Some((_, Standing::Future)) => {} // See `future_log`.
                Some((_, Standing::Stray)) | None => {
                    tracing::warn!(path = %entry.path().display(), "no partition's log: left alone");
                }
            }
        }
        partitions.sort();
        tracing::info!(
            directory = %self.path.display(), logs = partitions.len(), clean = self.clean,
            "loading logs"
        );
        Ok(self.load_all(&partitions, options))
    }

    fn load_all(&self, partitions: &[TopicPartition], options: &LoadOptions<'_>) -> Loaded {
        let next = AtomicUsize::new(0);
        let progress = Progress::of(partitions.len());
        let loaded = Mutex::new(Loaded::default());
        let work = || {
            while let Some(tp) = partitions.get(next.fetch_add(1, Ordering::Relaxed)) {
                let config = (options.config)(&tp.topic);
                let opened = self.load_log_at(self.directory_of(tp), tp, config, options.now);
                let mut loaded = loaded.lock().expect("nobody panics with it");
                progress.one_more(&self.path);
                match opened {
                    Ok(log) => loaded.logs.push(log),
                    Err(error) => {
                        tracing::error!(partition = %tp, %error, "cannot open a log");
                        loaded.failed.push((self.directory_of(tp), error));
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..options.threads.clamp(1, partitions.len().max(1)) {
                scope.spawn(work);
            }
            work();
        });
        let mut loaded = loaded.into_inner().expect("nobody panics with it");
        loaded
            .logs
            .sort_by(|a, b| a.topic_partition.cmp(&b.topic_partition));
        loaded
    }

    /// Opens a partition's log if it is there.
    pub fn open_log(
        &self,
        topic_partition: &TopicPartition,
        config: Arc<LogConfig>,
        now: TimestampMs,
    ) -> Result<Option<Log>, OpenError> {
        let path = self.directory_of(topic_partition);
        if !disk::is_directory(&path).map_err(OpenError::at(&path))? {
            return Ok(None);
        }
        self.load_log_at(path, topic_partition, config, now)
            .map(Some)
    }

    /// Begins a partition's log. An attempt that fails leaves nothing behind.
    pub fn create_log(
        &self,
        topic_partition: &TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
        now: TimestampMs,
    ) -> Result<Log, OpenError> {
        let path = self.directory_of(topic_partition);
        self.create_log_at(path, topic_partition, topic_id, config, now)
    }

    pub(crate) fn create_log_at(
        &self,
        path: PathBuf,
        topic_partition: &TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
        now: TimestampMs,
    ) -> Result<Log, OpenError> {
        self.begin_use().map_err(OpenError::at(&self.path))?;
        match disk::make_directory(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(OpenError::Exists { path });
            }
            created => created.map_err(OpenError::at(&path))?,
        }
        let begun = self.begin_log(&path, topic_partition, topic_id, config, now);
        if begun.is_err() {
            // Half made it would be in the way of the next attempt; nobody has written to it.
            remove_begun(&path);
        }
        begun
    }

    fn begin_log(
        &self,
        path: &Path,
        topic_partition: &TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
        now: TimestampMs,
    ) -> Result<Log, OpenError> {
        if !topic_id.is_zero() {
            partition_files::write_topic_id(path, topic_id).map_err(OpenError::at(path))?;
        }
        Log::load(LoadFrom {
            directory: path.to_owned(),
            topic_partition: topic_partition.clone(),
            config,
            log_start: Offset::ZERO,
            recovery_point: Offset::ZERO,
            clean: true,
            may_have_gaps: false,
            now,
            health: self.health.clone(),
        })
    }

    pub(crate) fn load_log_at(
        &self,
        path: PathBuf,
        topic_partition: &TopicPartition,
        config: Arc<LogConfig>,
        now: TimestampMs,
    ) -> Result<Log, OpenError> {
        let checkpoints = self.begin_use().map_err(OpenError::at(&self.path))?;
        let of = |map: &HashMap<TopicPartition, Offset>| {
            map.get(topic_partition).copied().unwrap_or(Offset::ZERO)
        };
        let may_have_gaps = config.cleanup.compact
            || checkpoints.cleaned.contains_key(topic_partition)
            || checkpoints.in_doubt;
        let mut log = Log::load(LoadFrom {
            directory: path,
            topic_partition: topic_partition.clone(),
            config,
            log_start: of(&checkpoints.log_starts),
            recovery_point: of(&checkpoints.recovery_points),
            clean: self.clean,
            may_have_gaps,
            now,
            health: self.health.clone(),
        })?;
        log.set_cleaned_to(checkpoints.cleaned.get(topic_partition).copied());
        Ok(log)
    }

    /// What the checkpoints said when the first log was opened or made. From then on the directory
    /// is not clean, also after a power loss.
    fn begin_use(&self) -> io::Result<&Checkpoints> {
        if let Some(known) = self.opened.get() {
            return Ok(known);
        }
        let recovery_points = self.read_checkpoint(RECOVERY_POINTS)?;
        let cleaned = self.read_checkpoint(CLEANED)?;
        let checkpoints = Checkpoints {
            in_doubt: recovery_points.is_none() || cleaned.is_none(),
            recovery_points: recovery_points.unwrap_or_default(),
            log_starts: self.read_checkpoint(LOG_STARTS)?.unwrap_or_default(),
            high_watermarks: self.read_checkpoint(HIGH_WATERMARKS)?.unwrap_or_default(),
            cleaned: cleaned.unwrap_or_default(),
        };
        if self.clean {
            atomic_file::remove(&self.path.join(CLEAN_SHUTDOWN))?;
            atomic_file::sync_directory(&self.path)?;
        }
        Ok(self.opened.get_or_init(|| checkpoints))
    }

    /// What the checkpoints said of a partition at the start: still true of a log that was not opened
    /// since.
    pub fn found_checkpoint(&self, partition: &TopicPartition) -> io::Result<PartitionCheckpoint> {
        let found = self.begin_use()?;
        Ok(PartitionCheckpoint {
            recovery_point: found.recovery_points.get(partition).copied(),
            log_start: found.log_starts.get(partition).copied(),
            high_watermark: found.high_watermarks.get(partition).copied(),
            cleaned_to: found.cleaned.get(partition).copied(),
        })
    }

    /// `None` if it is damaged; one that cannot be read may be sound.
    fn read_checkpoint(&self, file: &str) -> io::Result<Option<HashMap<TopicPartition, Offset>>> {
        match checkpoint::read_offsets(&self.path.join(file)) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(%error, "a checkpoint is damaged; going on without it");
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    fn directory_of(&self, topic_partition: &TopicPartition) -> PathBuf {
        self.path.join(topic_partition.to_string())
    }

    /// Replaces the recovery points of all its partitions.
    pub fn write_recovery_points(&self, points: &[(TopicPartition, Offset)]) -> io::Result<()> {
        checkpoint::write_offsets(&self.path.join(RECOVERY_POINTS), points)
    }

    /// Replaces the cleaner's checkpoint: up to where its compacted partitions were compacted.
    pub fn write_cleaned(&self, cleaned: &[(TopicPartition, Offset)]) -> io::Result<()> {
        checkpoint::write_offsets(&self.path.join(CLEANED), cleaned)
    }

    /// Replaces the start offsets of its partitions: of those whose start lies above their first
    /// segment's.
    pub fn write_log_start_offsets(&self, starts: &[(TopicPartition, Offset)]) -> io::Result<()> {
        checkpoint::write_offsets(&self.path.join(LOG_STARTS), starts)
    }

    /// Replaces the high watermarks of all its partitions.
    pub fn write_high_watermarks(&self, marks: &[(TopicPartition, Offset)]) -> io::Result<()> {
        checkpoint::write_offsets(&self.path.join(HIGH_WATERMARKS), marks)
    }

    /// The high watermarks when they were last written.
    pub fn high_watermarks(&self) -> io::Result<HashMap<TopicPartition, Offset>> {
        checkpoint::read_offsets(&self.path.join(HIGH_WATERMARKS))
    }

    /// Marks the directory as properly closed: the last act, when every log was closed and the
    /// checkpoints are written. What the logs' ends were not synced with (indexes, producers'
    /// states, leader epochs, names) is made durable first, all at once: the next start believes it
    /// unseen.
    pub fn mark_clean(&self, broker_epoch: BrokerEpoch) -> io::Result<()> {
        disk::sync_file_system(&disk::open_to_read(&self.path)?)?;
        let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
        atomic_file::replace(&self.path.join(CLEAN_SHUTDOWN), text.as_bytes())
    }
}

/// Whether there is a marker of a clean stop, and the broker epoch in it. That it is there is what
/// counts: one that is damaged only lacks the epoch.
fn read_marker(path: &Path) -> io::Result<(bool, Option<BrokerEpoch>)> {
    let text = match atomic_file::read(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::from("?"),
        read => match read? {
            Some(text) => text,
            None => return Ok((false, None)),
        },
    };
    let epoch = broker_epoch_in(&text);
    if epoch.is_none() && !text.is_empty() {
        tracing::warn!(file = %path.display(), "damaged: the broker epoch in it is not known");
    }
    Ok((true, epoch))
}

/// The broker epoch in a marker. Before 3.8 the file was empty.
fn broker_epoch_in(marker: &str) -> Option<BrokerEpoch> {
    let (_, value) = marker.split_once("\"brokerEpoch\"")?;
    let value = value.trim_start().strip_prefix(':')?.trim_start();
    let end = value
        .find(|c: char| c != '-' && !c.is_ascii_digit())
        .unwrap_or(value.len());
    value[..end].parse().ok().map(BrokerEpoch)
}

/// Removes a log that could not be begun: also without a descriptor to list its directory with.
fn remove_begun(path: &Path) {
    if disk::remove_tree(path).is_err() {
        let _ = atomic_file::remove(&path.join(partition_files::METADATA));
        let _ = disk::remove_directory(path);
    }
}
