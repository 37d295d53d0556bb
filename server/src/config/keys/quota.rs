//! Broker keys: Quotas, metrics, tokens, plug-ins.

use controller::config_key::Check::{Any, AtLeast, ClassOf};
use controller::config_key::ConfigKey;
use controller::config_key::ConfigType::{
    Boolean, Class, Int, List, Long, Password, String as Text,
};

use super::{CLUSTER_WIDE, PER_BROKER, READ_ONLY, row};

const PRINCIPAL_BUILDER: &str =
    "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder";

#[rustfmt::skip]
pub(super) const KEYS: &[ConfigKey] = &[
    row("quota.window.num", Int, Some("11"), AtLeast(1), READ_ONLY,
        "How many windows client quotas are measured over."),
    row("quota.window.size.seconds", Int, Some("1"), AtLeast(1), READ_ONLY,
        "The length of such a window."),
    row("replication.quota.window.num", Int, Some("11"), AtLeast(1), READ_ONLY,
        "How many windows replication quotas are measured over."),
    row("replication.quota.window.size.seconds", Int, Some("1"), AtLeast(1), READ_ONLY,
        "The length of such a window."),
    row("alter.log.dirs.replication.quota.window.num", Int, Some("11"), AtLeast(1), READ_ONLY,
        "How many windows quotas of moves between directories are measured over."),
    row("alter.log.dirs.replication.quota.window.size.seconds", Int, Some("1"), AtLeast(1), READ_ONLY,
        "The length of such a window."),
    row("controller.quota.window.num", Int, Some("11"), AtLeast(1), READ_ONLY,
        "How many windows controller quotas are measured over."),
    row("controller.quota.window.size.seconds", Int, Some("1"), AtLeast(1), READ_ONLY,
        "The length of such a window."),
    row("client.quota.callback.class", Class, None, Any, READ_ONLY,
        "A Java class that sets quotas; not supported."),
    row("metric.reporters", List, Some(""), Any, CLUSTER_WIDE,
        "Java classes that report metrics; not supported."),
    row("metrics.num.samples", Int, Some("2"), AtLeast(1), READ_ONLY,
        "How many samples a metric keeps."),
    row("metrics.recording.level", Text, Some("INFO"), Any, READ_ONLY,
        "The level of detail of metrics."),
    row("metrics.sample.window.ms", Long, Some("30000"), AtLeast(1), READ_ONLY,
        "The time a sample covers."),
    row("auto.include.jmx.reporter", Boolean, Some("true"), Any, READ_ONLY,
        "Deprecated: whether metrics go to JMX."),
    row("kafka.metrics.polling.interval.secs", Int, Some("10"), AtLeast(1), READ_ONLY,
        "How often metrics are polled for the reporters."),
    row("kafka.metrics.reporters", List, Some(""), Any, READ_ONLY,
        "Java classes that report older metrics; not supported."),
    row("delegation.token.master.key", Password, None, Any, READ_ONLY,
        "Deprecated: delegation.token.secret.key."),
    row("delegation.token.secret.key", Password, None, Any, READ_ONLY,
        "The key that delegation tokens are signed with, the same on all brokers."),
    row("delegation.token.max.lifetime.ms", Long, Some("604800000"), AtLeast(1), READ_ONLY,
        "How long a token may be renewed."),
    row("delegation.token.expiry.time.ms", Long, Some("86400000"), AtLeast(1), READ_ONLY,
        "How long a token is valid without renewal."),
    row("delegation.token.expiry.check.interval.ms", Long, Some("3600000"), AtLeast(1), READ_ONLY,
        "How often tokens are checked for being out of time."),
    row("password.encoder.secret", Password, None, Any, READ_ONLY,
        "The key that passwords in dynamic configs are encrypted with."),
    row("password.encoder.old.secret", Password, None, Any, READ_ONLY,
        "The former key, while it is being replaced."),
    row("password.encoder.keyfactory.algorithm", Text, None, Any, READ_ONLY,
        "The algorithm that makes keys for that."),
    row("password.encoder.cipher.algorithm", Text, Some("AES/CBC/PKCS5Padding"), Any, READ_ONLY,
        "The cipher for that."),
    row("password.encoder.key.length", Int, Some("128"), AtLeast(8), READ_ONLY,
        "The key length for that."),
    row("password.encoder.iterations", Int, Some("4096"), AtLeast(1024), READ_ONLY,
        "The iterations for that."),
    row("authorizer.class.name", Text, Some(""), Any, READ_ONLY,
        "The authorizer: Kafka's AclAuthorizer and StandardAuthorizer name the built-in one. Empty: everything is allowed."),
    row("principal.builder.class", Class, Some(PRINCIPAL_BUILDER), ClassOf(&[PRINCIPAL_BUILDER]), PER_BROKER,
        "What makes principals: Kafka's own; a Java class cannot be loaded."),
    row("security.providers", Text, None, Any, READ_ONLY,
        "Java security providers; not supported."),
];
