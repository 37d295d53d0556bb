//! The node's configuration: Kafka's `server.properties`, read once at the start.
//!
//! `properties` reads the text, `keys` is the table of what may stand in it, `values` checks and
//! answers by key, `listeners` understands addresses, `load` makes the typed [`ServerConfig`] with
//! `coordination` for its coordinators and `metadata_log`, `supported` refuses what is not there
//! yet, `dynamic` puts what is set at run time on top, `describe` answers DescribeConfigs,
//! `topic_log` makes what a log is told from it.
//! Nothing here opens a socket or a data directory. Invariant: a `ServerConfig` that exists was
//! checked whole; no later step refuses a value.

pub mod coordination;
pub mod describe;
pub mod dynamic;
pub mod keys;
pub mod listeners;
pub mod load;
pub mod metadata_log;
pub mod properties;
mod supported;
pub mod topic_log;
pub mod values;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use controller::topics::internal::InternalTopics;
use protocol::ids::BrokerId;

pub use coordination::{GroupSettings, TransactionSettings};
pub use engine::config::Validation;
pub use listeners::{Listener, SecurityProtocol};
pub use load::ConfigError;
pub use metadata_log::MetadataLogSettings;
pub use values::Values;

/// Everything a node is told at its start. Field names are Kafka's keys; sizes are bytes.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// All keys as they were given, for whoever answers DescribeConfigs.
    pub values: Values,
    /// One line for each key that is not known and so has no effect.
    pub warnings: Vec<String>,

    /// `node.id` or `broker.id`; 0 if neither is set.
    pub node_id: BrokerId,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `listeners`: where to bind. An empty host is all addresses.
    pub listeners: Vec<Listener>,
    /// `advertised.listeners`: what clients are told. No host is empty.
    pub advertised_listeners: Vec<Listener>,
    /// `log.dirs` or `log.dir`; at least one, none twice.
    pub log_dirs: Vec<PathBuf>,
    /// `metadata.log.dir`, or the first of `log_dirs`.
    pub metadata_log_dir: PathBuf,

    /// `num.shards`; `None` is one for every core.
    pub num_shards: Option<usize>,
    /// `chiplog.validation`: how much of a client's batch is checked.
    pub validation: Validation,

    /// `queued.max.request.bytes`; `None` is without limit.
    pub queued_max_request_bytes: Option<usize>,
    /// `socket.request.max.bytes`.
    pub socket_request_max_bytes: usize,
    /// `socket.send.buffer.bytes`; `None` leaves it to the system.
    pub socket_send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the system.
    pub socket_receive_buffer_bytes: Option<usize>,
    /// `socket.listen.backlog.size`.
    pub socket_listen_backlog_size: u32,
    /// `connections.max.idle.ms`; `None` never closes idle connections.
    pub connections_max_idle: Option<Duration>,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: usize,
    /// `max.connections.per.ip.overrides`, as far as they are addresses.
    pub max_connections_per_ip_overrides: BTreeMap<IpAddr, usize>,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub max_incremental_fetch_session_cache_slots: usize,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,

    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `auto.create.topics.enable`.
    pub auto_create_topics_enable: bool,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// The settings of the internal topics.
    pub internal_topics: InternalTopics,

    /// `num.replica.alter.log.dirs.threads`, or the number of `log_dirs`.
    pub num_replica_alter_log_dirs_threads: usize,
    /// `num.recovery.threads.per.data.dir`.
    pub num_recovery_threads_per_data_dir: usize,
    /// `log.retention.check.interval.ms`.
    pub log_retention_check_interval: Duration,
    /// `log.initial.task.delay.ms`.
    pub log_initial_task_delay: Duration,
    /// `log.cleaner.enable`.
    pub log_cleaner_enable: bool,
    /// `log.cleaner.dedupe.buffer.size`.
    pub log_cleaner_dedupe_buffer_size: usize,
    /// `log.cleaner.threads`.
    pub log_cleaner_threads: usize,
    /// `log.cleaner.io.buffer.size`.
    pub log_cleaner_io_buffer_size: usize,
    /// `log.cleaner.io.buffer.load.factor`.
    pub log_cleaner_io_buffer_load_factor: f64,
    /// `log.cleaner.backoff.ms`.
    pub log_cleaner_backoff: Duration,
    /// `log.cleaner.io.max.bytes.per.second`.
    pub log_cleaner_io_max_bytes_per_second: f64,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub replica_high_watermark_checkpoint_interval: Duration,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`, which is only set at run time.
    pub replica_alter_log_dirs_io_max_bytes_per_second: u64,
    /// `replica.fetch.max.bytes`.
    pub replica_fetch_max_bytes: u32,
    /// `replica.fetch.backoff.ms`.
    pub replica_fetch_backoff: Duration,

    /// The metadata log and its snapshots.
    pub metadata_log: MetadataLogSettings,
    /// What the group coordinator is told.
    pub groups: GroupSettings,
    /// What the transaction coordinator is told.
    pub transactions: TransactionSettings,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval: Duration,
}
