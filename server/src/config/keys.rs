//! The table of broker keys: Kafka 3.9's, and our own.
//!
//! It must not know any value. Rows are grouped by what they are about, one file a group.
//! Names, types, defaults and limits are Kafka's; a test compares their number and order.

mod group;
mod identity;
mod log;
mod network;
mod own;
mod quota;
mod replication;
mod sasl;
mod ssl;
mod tiered;
mod transaction;
mod zookeeper;

use std::sync::LazyLock;

use controller::config_key::{Check, ConfigKey, ConfigType, UpdateMode};

const READ_ONLY: UpdateMode = UpdateMode::ReadOnly;
const PER_BROKER: UpdateMode = UpdateMode::PerBroker;
const CLUSTER_WIDE: UpdateMode = UpdateMode::ClusterWide;

const fn row(
    name: &'static str,
    kind: ConfigType,
    default: Option<&'static str>,
    check: Check,
    update: UpdateMode,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey {
        name,
        kind,
        default,
        check,
        update,
        doc,
    }
}

const GROUPS: [&[ConfigKey]; 12] = [
    group::KEYS,
    identity::KEYS,
    log::KEYS,
    network::KEYS,
    own::KEYS,
    quota::KEYS,
    replication::KEYS,
    sasl::KEYS,
    ssl::KEYS,
    tiered::KEYS,
    transaction::KEYS,
    zookeeper::KEYS,
];

/// Keys that work but are not shown unless they are set.
const HIDDEN: &[&str] = &[
    "group.consumer.migration.policy",
    "group.coordinator.new.enable",
    "group.share.enable",
    "log.initial.task.delay.ms",
    "metadata.log.segment.min.bytes",
    "producer.id.expiration.check.interval.ms",
    "remote.log.manager.task.retry.backoff.max.ms",
    "remote.log.manager.task.retry.backoff.ms",
    "remote.log.manager.task.retry.jitter",
    "server.max.startup.time.ms",
    "unclean.leader.election.interval.ms",
    "unstable.api.versions.enable",
    "unstable.feature.versions.enable",
    "zookeeper.metadata.migration.min.batch.size",
];

/// Keys that may stand under `listener.name.<listener>.`, besides `ssl.` and `sasl.`.
const PER_LISTENER: &[&str] = &[
    "connections.max.reauth.ms",
    "max.connection.creation.rate",
    "max.connections",
    "principal.builder.class",
];

static BY_NAME: LazyLock<Vec<&'static ConfigKey>> = LazyLock::new(|| {
    let mut keys: Vec<_> = GROUPS.into_iter().flatten().collect();
    keys.sort_by_key(|key| key.name);
    keys
});

/// All keys, by name.
pub fn all() -> &'static [&'static ConfigKey] {
    &BY_NAME
}

/// True for keys that are shown only where they are set.
pub fn is_hidden(name: &str) -> bool {
    HIDDEN.contains(&name)
}

/// Keys that are only ever set at run time; no file may have them.
const DYNAMIC_ONLY: &[ConfigKey] = &[
    throttle(
        "follower.replication.throttled.rate",
        "How many bytes a second followers fetch of throttled replicas at most.",
    ),
    throttle(
        "leader.replication.throttled.rate",
        "How many bytes a second leaders send of throttled replicas at most.",
    ),
    throttle(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        "How many bytes a second are copied between log directories at most.",
    ),
];

const fn throttle(name: &'static str, doc: &'static str) -> ConfigKey {
    let default = Some("9223372036854775807");
    row(
        name,
        ConfigType::Long,
        default,
        Check::AtLeast(0),
        CLUSTER_WIDE,
        doc,
    )
}

/// The row of a key that no file may have.
pub fn find_dynamic_only(name: &str) -> Option<&'static ConfigKey> {
    DYNAMIC_ONLY.iter().find(|key| key.name == name)
}

/// The row of a key. A listener's own setting (`listener.name.internal.ssl.keystore.location`,
/// `listener.name.internal.plain.sasl.jaas.config`) has the row of the setting it replaces.
pub fn find(name: &str) -> Option<&'static ConfigKey> {
    let exact = |name: &str| {
        let at = BY_NAME.binary_search_by(|key| key.name.cmp(name)).ok()?;
        Some(BY_NAME[at])
    };
    if let Some(key) = exact(name) {
        return Some(key);
    }
    let (_, mut rest) = name.strip_prefix("listener.name.")?.split_once('.')?;
    loop {
        let may_stand =
            rest.starts_with("ssl.") || rest.starts_with("sasl.") || PER_LISTENER.contains(&rest);
        if let Some(key) = exact(rest).filter(|_| may_stand) {
            return Some(key);
        }
        rest = rest.split_once('.')?.1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_kafkas_keys_once_and_its_defaults_hold() {
        assert_eq!(all().len() - own::KEYS.len(), 328);
        assert!(all().windows(2).all(|pair| pair[0].name < pair[1].name));
        for key in all() {
            // An empty list of voters is the default, though none may be given.
            let is_checked = !matches!(key.check, Check::NonEmptyList);
            if let Some(default) = key.default.filter(|_| is_checked) {
                key.parse(default).unwrap_or_else(|error| panic!("{error}"));
            }
            assert!(key.doc.ends_with('.'), "{}", key.name);
        }
        assert!(HIDDEN.iter().all(|name| find(name).is_some()));
    }

    #[test]
    fn a_listener_may_have_its_own() {
        let find_name = |name: &str| find(name).map(|key| key.name);
        let cases = [
            (
                "listener.name.internal.ssl.keystore.location",
                Some("ssl.keystore.location"),
            ),
            (
                "listener.name.x.scram-sha-256.sasl.jaas.config",
                Some("sasl.jaas.config"),
            ),
            ("listener.name.x.max.connections", Some("max.connections")),
            ("listener.name.x.log.dirs", None),
            ("listener.name.x", None),
            ("log.dirs", Some("log.dirs")),
        ];
        for (name, expected) in cases {
            assert_eq!(find_name(name), expected, "{name}");
        }
    }
}
