//! From a file and a command line to a checked [`ServerConfig`].
//!
//! Without a file the node is a local one: it listens on 127.0.0.1 and keeps its data in
//! `./data`, and its internal topics have one replica. With a file, what the file leaves open is
//! as in Kafka. What this build cannot do yet is refused by name (`supported`), never silently
//! ignored, where ignoring it would change what is safe: security, ZooKeeper, a quorum of several
//! nodes, tiered storage.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller::config_key::{ConfigValue, InvalidConfig};
use protocol::ids::BrokerId;

use super::coordination::{self, GroupSettings, TransactionSettings};
use super::listeners::{self, Listener, SecurityProtocol};
use super::{MetadataLogSettings, ServerConfig, Validation, Values, properties, supported};

/// Why there is no configuration. One line each.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no properties file.
    #[error("cannot read {path}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A value is not allowed.
    #[error(transparent)]
    Value(#[from] InvalidConfig),
    /// Values do not fit together, or ask for what is not there.
    #[error("{0}")]
    Refused(String),
}

/// What a node without a file is told.
const LOCAL: &[(&str, &str)] = &[
    ("listeners", "PLAINTEXT://127.0.0.1:9092"),
    ("log.dirs", "./data"),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
];

impl ServerConfig {
    /// Reads the file, if there is one, and puts the overrides above it.
    pub fn load(
        file: Option<&Path>,
        overrides: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut given = match file {
            None => local_defaults(),
            Some(path) => read(path)?,
        };
        given.extend(overrides);
        name_node_both_ways(&mut given);
        Self::from_given(given)
    }

    /// A node without a file, with overrides; for tests and tools.
    pub fn local<'a>(
        overrides: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self::load(None, overrides.into_iter().map(owned))
    }

    /// Checks all settings, as given by a file and what stands above it.
    pub(super) fn from_given(given: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let values = Values::new(given)?;
        supported::check(&values)?;
        check_together(&values)?;
        let (listeners, advertised) = read_listeners(&values)?;
        check_inter_broker_listener(&values, &advertised)?;
        build(values, listeners, advertised)
    }
}

/// `node.id` and `broker.id` are one thing: where one is given, the other is. A node that is
/// given neither is node 0.
fn name_node_both_ways(given: &mut BTreeMap<String, String>) {
    if !given.contains_key("node.id") && !given.contains_key("broker.id") {
        given.insert("node.id".into(), "0".into());
    }
    for (one, other) in [("node.id", "broker.id"), ("broker.id", "node.id")] {
        if let Some(id) = given.get(one).cloned() {
            given.entry(other.to_owned()).or_insert(id);
        }
    }
}

fn local_defaults() -> BTreeMap<String, String> {
    LOCAL
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let bytes = std::fs::read(path).map_err(|source| ConfigError::Read {
        path: path.into(),
        source,
    })?;
    properties::parse(&bytes).map_err(|reason| ConfigError::Syntax {
        path: path.into(),
        reason,
    })
}

/// The refusal with this text.
pub(super) fn refuse<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Refused(text.into()))
}

/// The rules between keys that Kafka checks at its start.
fn check_together(values: &Values) -> Result<(), ConfigError> {
    let (node, broker) = (values.whole("node.id"), values.whole("broker.id"));
    if node != broker {
        return refuse("You must set `node.id` to the same value as `broker.id`.");
    }
    let least = |name: &str, least: i64| match values.whole_if_set(name) {
        Some(value) if value < least => {
            refuse(format!("{name} must be greater than or equal to {least}"))
        }
        _ => Ok(()),
    };
    least("log.roll.ms", 1)?;
    least("log.roll.jitter.ms", 0)?;
    for name in [
        "log.retention.ms",
        "log.retention.minutes",
        "log.retention.hours",
    ] {
        if matches!(values.whole_if_set(name), Some(value) if value < -1 || value == 0) {
            return refuse(format!(
                "{name} must be unlimited (-1) or, greater than or equal to 1"
            ));
        }
    }
    let cleaners = values.count("log.cleaner.threads").max(1);
    if values.count("log.cleaner.dedupe.buffer.size") / cleaners <= 1024 * 1024 {
        return refuse("log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.");
    }
    let (queued, request) = (
        values.whole("queued.max.request.bytes"),
        values.whole("socket.request.max.bytes"),
    );
    if queued > 0 && queued < request {
        return refuse(
            "queued.max.request.bytes must be larger or equal to socket.request.max.bytes",
        );
    }
    let lag = values.whole("replica.lag.time.max.ms");
    if values.whole("replica.fetch.wait.max.ms") > lag {
        return refuse(
            "replica.fetch.wait.max.ms should always be less than or equal to \
             replica.lag.time.max.ms to prevent frequent changes in ISR",
        );
    }
    if values.count("max.connections.per.ip") == 0
        && values.text("max.connections.per.ip.overrides").is_none()
    {
        return refuse(
            "max.connections.per.ip can be set to zero only if \
             max.connections.per.ip.overrides property is set.",
        );
    }
    Ok(())
}

/// Where to bind and what to tell clients. A KRaft controller's listeners are left out.
fn read_listeners(values: &Values) -> Result<(Vec<Listener>, Vec<Listener>), ConfigError> {
    let map = values
        .text("listener.security.protocol.map")
        .unwrap_or_default();
    let mut protocols = listeners::parse_protocol_map(&map).map_err(ConfigError::Refused)?;
    let controllers: Vec<String> = values
        .text("controller.listener.names")
        .map(|names| {
            names
                .split(',')
                .map(|name| name.trim().to_uppercase())
                .collect()
        })
        .unwrap_or_default();
    for name in &controllers {
        // Kafka lets a controller's listener go without an entry in the map.
        protocols
            .entry(name.clone())
            .or_insert(SecurityProtocol::Plaintext);
    }
    let parse = |text: &str| -> Result<Vec<Listener>, ConfigError> {
        let mut found = listeners::parse(text, &protocols).map_err(|reason| {
            ConfigError::Refused(format!(
                "Error creating broker listeners from '{text}': {reason}"
            ))
        })?;
        found.retain(|listener| !controllers.contains(&listener.name));
        Ok(found)
    };
    let text = values.text("listeners").unwrap_or_default();
    let bound = parse(&text)?;
    listeners::check_ports(&bound, &text).map_err(ConfigError::Refused)?;
    let mut advertised = match values.text("advertised.listeners") {
        Some(text) => parse(&text)?,
        None => bound.clone(),
    };
    check_advertised(&bound, &advertised)?;
    for listener in &mut advertised {
        if listener.host.is_empty() {
            listener.host = host_name();
        }
    }
    if let Some(listener) = bound
        .iter()
        .find(|each| each.protocol != SecurityProtocol::Plaintext)
    {
        return refuse(format!(
            "listener {listener}: security protocol {} is not supported yet, only PLAINTEXT is",
            listener.protocol.name()
        ));
    }
    Ok((bound, advertised))
}

fn check_advertised(bound: &[Listener], advertised: &[Listener]) -> Result<(), ConfigError> {
    let names = |list: &[Listener]| {
        list.iter()
            .map(|listener| listener.name.clone())
            .collect::<Vec<_>>()
            .join(",")
    };
    if advertised.is_empty() {
        return refuse("There must be at least one broker advertised listener.");
    }
    if advertised
        .iter()
        .any(|one| !bound.iter().any(|other| other.name == one.name))
    {
        return refuse(format!(
            "advertised.listeners listener names must be equal to or a subset of the ones \
             defined in listeners. Found {}. The valid options based on the current \
             configuration are {}",
            names(advertised),
            names(bound)
        ));
    }
    if advertised.iter().any(|listener| listener.host == "0.0.0.0") {
        return refuse(
            "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. \
             Use a routable IP address.",
        );
    }
    Ok(())
}

/// The listener that brokers use among themselves must be one of those advertised.
fn check_inter_broker_listener(
    values: &Values,
    advertised: &[Listener],
) -> Result<(), ConfigError> {
    let wanted = match values.text("inter.broker.listener.name") {
        Some(_) if values.is_given("security.inter.broker.protocol") => {
            return refuse(
                "Only one of inter.broker.listener.name and security.inter.broker.protocol \
                 should be set.",
            );
        }
        Some(name) => name.to_uppercase(),
        None => values
            .text("security.inter.broker.protocol")
            .unwrap_or_default(),
    };
    match advertised.iter().any(|listener| listener.name == wanted) {
        true => Ok(()),
        false => refuse(format!(
            "inter.broker.listener.name must be a listener name defined in advertised.listeners. \
             The valid options based on currently configured listeners are {}",
            advertised
                .iter()
                .map(|each| &*each.name)
                .collect::<Vec<_>>()
                .join(",")
        )),
    }
}

/// The host's name, for listeners that name no host.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}

fn log_dirs(values: &Values) -> Result<Vec<PathBuf>, ConfigError> {
    let given = values.given().get("log.dirs").cloned();
    let text = given
        .or_else(|| values.text("log.dirs"))
        .or_else(|| values.text("log.dir"))
        .unwrap_or_default();
    let dirs: Vec<PathBuf> = text
        .split(',')
        .map(str::trim)
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .collect();
    if dirs.is_empty() {
        return refuse("At least one log directory must be defined via log.dirs or log.dir.");
    }
    let distinct: BTreeSet<_> = dirs.iter().collect();
    match distinct.len() == dirs.len() {
        true => Ok(dirs),
        false => refuse(format!("log.dirs={text} names a directory twice")),
    }
}

fn ip_limits(values: &Values) -> Result<BTreeMap<IpAddr, usize>, ConfigError> {
    let key = "max.connections.per.ip.overrides";
    let text = values.text(key).unwrap_or_default();
    let mut limits = BTreeMap::new();
    for pair in text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
    {
        let limit = pair.rsplit_once(':').and_then(|(host, limit)| {
            let host = host.trim().trim_start_matches('[').trim_end_matches(']');
            Some((
                host.parse::<IpAddr>().ok()?,
                limit.trim().parse::<usize>().ok()?,
            ))
        });
        let Some((address, limit)) = limit else {
            return refuse(format!("{key}: {pair} is not address:limit"));
        };
        limits.insert(address, limit);
    }
    Ok(limits)
}

fn warnings(values: &Values) -> Vec<String> {
    let unknown = values.unknown().map(|name| {
        format!("The configuration '{name}' was supplied but is not a known config and is ignored.")
    });
    let roles = values
        .is_given("process.roles")
        .then(|| "process.roles has no effect: the node keeps its metadata itself.".to_owned());
    unknown.chain(roles).collect()
}

/// -1 leaves a buffer or a limit to the system.
fn unless_negative(values: &Values, name: &str) -> Option<usize> {
    usize::try_from(values.whole(name)).ok()
}

/// -1 stands for "without end".
fn unless_forever(values: &Values, name: &str) -> Option<Duration> {
    u64::try_from(values.whole(name))
        .ok()
        .map(Duration::from_millis)
}

fn node_id(values: &Values) -> BrokerId {
    let given = [values.whole("node.id"), values.whole("broker.id")];
    BrokerId(given.into_iter().find(|id| *id >= 0).unwrap_or(0) as i32)
}

fn validation(values: &Values) -> Validation {
    match values.value("chiplog.validation") {
        ConfigValue::Text(mode) if mode == "none" => Validation::None,
        ConfigValue::Text(mode) if mode == "strict" => Validation::Strict,
        _ => Validation::Relaxed,
    }
}

fn build(
    values: Values,
    listeners: Vec<Listener>,
    advertised_listeners: Vec<Listener>,
) -> Result<ServerConfig, ConfigError> {
    let v = &values;
    let log_dirs = log_dirs(v)?;
    Ok(ServerConfig {
        warnings: warnings(v),
        node_id: node_id(v),
        rack: v.text("broker.rack"),
        listeners,
        advertised_listeners,
        metadata_log_dir: metadata_log_dir(v, &log_dirs),
        num_replica_alter_log_dirs_threads: v
            .whole_if_set("num.replica.alter.log.dirs.threads")
            .map_or(log_dirs.len(), |threads| threads.max(1) as usize),
        log_dirs,
        metadata_log: MetadataLogSettings::of(v),
        num_shards: v.whole_if_set("num.shards").map(|shards| shards as usize),
        validation: validation(v),
        queued_max_request_bytes: unless_negative(v, "queued.max.request.bytes"),
        socket_request_max_bytes: v.count("socket.request.max.bytes"),
        socket_send_buffer_bytes: unless_negative(v, "socket.send.buffer.bytes"),
        socket_receive_buffer_bytes: unless_negative(v, "socket.receive.buffer.bytes"),
        socket_listen_backlog_size: v.whole("socket.listen.backlog.size") as u32,
        connections_max_idle: unless_forever(v, "connections.max.idle.ms"),
        max_connections: v.count("max.connections"),
        max_connections_per_ip: v.count("max.connections.per.ip"),
        max_connections_per_ip_overrides: ip_limits(v)?,
        fetch_max_bytes: v.count("fetch.max.bytes"),
        max_incremental_fetch_session_cache_slots: v
            .count("max.incremental.fetch.session.cache.slots"),
        request_timeout: v.millis("request.timeout.ms"),
        num_partitions: v.whole("num.partitions") as i32,
        default_replication_factor: v.whole("default.replication.factor") as i16,
        auto_create_topics_enable: v.flag("auto.create.topics.enable"),
        delete_topic_enable: v.flag("delete.topic.enable"),
        internal_topics: coordination::internal_topics(v),
        num_recovery_threads_per_data_dir: v.count("num.recovery.threads.per.data.dir"),
        log_retention_check_interval: v.millis("log.retention.check.interval.ms"),
        log_initial_task_delay: v.millis("log.initial.task.delay.ms"),
        log_cleaner_enable: v.flag("log.cleaner.enable"),
        log_cleaner_dedupe_buffer_size: v.count("log.cleaner.dedupe.buffer.size"),
        log_cleaner_threads: v.count("log.cleaner.threads").max(1),
        log_cleaner_io_buffer_size: v.count("log.cleaner.io.buffer.size"),
        log_cleaner_io_buffer_load_factor: v.ratio("log.cleaner.io.buffer.load.factor"),
        log_cleaner_backoff: v.millis("log.cleaner.backoff.ms"),
        log_cleaner_io_max_bytes_per_second: v.ratio("log.cleaner.io.max.bytes.per.second"),
        replica_high_watermark_checkpoint_interval: v
            .millis("replica.high.watermark.checkpoint.interval.ms"),
        replica_alter_log_dirs_io_max_bytes_per_second: set_at_run_time(
            v,
            "replica.alter.log.dirs.io.max.bytes.per.second",
        ),
        replica_fetch_max_bytes: v.whole("replica.fetch.max.bytes") as u32,
        replica_fetch_backoff: v.millis("replica.fetch.backoff.ms"),
        groups: GroupSettings::of(v),
        transactions: TransactionSettings::of(v),
        producer_id_expiration_check_interval: v.millis("producer.id.expiration.check.interval.ms"),
        values,
    })
}

fn metadata_log_dir(values: &Values, log_dirs: &[PathBuf]) -> PathBuf {
    let given = values.text("metadata.log.dir").map(PathBuf::from);
    given.unwrap_or_else(|| log_dirs[0].clone())
}

/// A limit in bytes a second that no file may have.
fn set_at_run_time(values: &Values, name: &str) -> u64 {
    let given = values.given().get(name);
    given.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(overrides: &[(&str, &str)]) -> String {
        match ServerConfig::local(overrides.iter().copied()) {
            Ok(_) => panic!("{overrides:?} was not refused"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_node_without_a_file_is_a_local_one() {
        let config = ServerConfig::local([]).unwrap();
        assert_eq!(config.node_id, BrokerId(0));
        assert_eq!(
            config.listeners[0].to_string(),
            "PLAINTEXT://127.0.0.1:9092"
        );
        assert_eq!(config.advertised_listeners, config.listeners);
        assert_eq!(config.log_dirs, [PathBuf::from("./data")]);
        assert_eq!(config.metadata_log_dir, config.log_dirs[0]);
        assert_eq!(config.socket_request_max_bytes, 104_857_600);
        assert_eq!(config.connections_max_idle, Some(Duration::from_secs(600)));
        assert_eq!(config.internal_topics.offsets_replication_factor, 1);
        assert!(config.warnings.is_empty());
    }

    #[test]
    fn a_file_leaves_kafkas_defaults_and_overrides_win() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.properties");
        std::fs::write(&path, "broker.id=7\nnum.partitions=3\nno.such.key=1\n").unwrap();
        let overrides = [("num.partitions".to_owned(), "5".to_owned())];
        let config = ServerConfig::load(Some(&path), overrides).unwrap();
        assert_eq!(config.node_id, BrokerId(7));
        assert_eq!(config.num_partitions, 5);
        assert_eq!(config.listeners[0].to_string(), "PLAINTEXT://:9092");
        assert!(!config.advertised_listeners[0].host.is_empty());
        assert_eq!(config.log_dirs, [PathBuf::from("/tmp/kafka-logs")]);
        assert_eq!(config.internal_topics.offsets_replication_factor, 3);
        assert!(config.warnings[0].contains("no.such.key"));
        let missing = ServerConfig::load(Some(&dir.path().join("no")), []).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read "));
    }

    #[test]
    fn a_krafts_controller_listener_is_left_out() {
        let config = ServerConfig::local([
            ("process.roles", "broker,controller"),
            ("node.id", "1"),
            ("controller.quorum.voters", "1@localhost:9093"),
            ("controller.listener.names", "CONTROLLER"),
            (
                "listeners",
                "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
            ),
        ])
        .unwrap();
        assert_eq!(config.listeners.len(), 1);
        assert_eq!(
            config.listeners[0].to_string(),
            "PLAINTEXT://localhost:9092"
        );
        assert!(config.warnings[0].contains("process.roles"));
    }

    #[test]
    fn refusals_name_the_key_and_what_is_allowed() {
        assert_eq!(
            refused(&[("num.partitions", "0")]),
            "Invalid value 0 for configuration num.partitions: Value must be at least 1"
        );
        assert_eq!(
            refused(&[("log.message.timestamp.type", "Never")]),
            "Invalid value Never for configuration log.message.timestamp.type: \
             String must be one of: CreateTime, LogAppendTime"
        );
        let builder = "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder";
        assert_eq!(
            refused(&[("principal.builder.class", "no.such.Builder")]),
            format!(
                "Invalid value no.such.Builder for configuration principal.builder.class: Class \
                 no.such.Builder could not be found. Java classes cannot be loaded; allowed: {builder}"
            )
        );
        ServerConfig::local([("principal.builder.class", builder)]).expect("it is Kafka's own");
        let together: [(&[(&str, &str)], &str); 11] = [
            (
                &[("broker.id", "1"), ("node.id", "2")],
                "You must set `node.id`",
            ),
            (
                &[("log.retention.ms", "0")],
                "log.retention.ms must be unlimited",
            ),
            (
                &[("advertised.listeners", "OTHER://a:1")],
                "No security protocol",
            ),
            (
                &[("advertised.listeners", "SSL://a:1")],
                "advertised.listeners listener names",
            ),
            (&[("listeners", "SSL://:9093")], "is not supported yet"),
            (
                &[("zookeeper.connect", "localhost:2181")],
                "zookeeper.connect=localhost:2181",
            ),
            (
                &[("process.roles", "controller")],
                "process.roles=controller",
            ),
            (
                &[
                    ("node.id", "1"),
                    ("controller.quorum.voters", "1@a:1,2@b:1"),
                ],
                "controller.quorum.voters=1@a:1,2@b:1",
            ),
            (&[("authorizer.class.name", "x")], "authorizer.class.name=x"),
            (&[("log.dirs", "a,a")], "names a directory twice"),
            (
                &[("inter.broker.listener.name", "SSL")],
                "inter.broker.listener.name must be",
            ),
        ];
        for (overrides, expected) in together {
            let text = refused(overrides);
            assert!(text.contains(expected), "{text}");
        }
    }
}
