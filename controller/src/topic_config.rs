//! Every topic configuration key of Kafka 3.9, the broker keys that give its default, and the
//! rules that hold between keys.
//!
//! It must not know which values are set where (`config_source` does). Invariants: the table is
//! sorted by name, and every synonym's conversion yields a value of the topic key's type.

use std::collections::BTreeMap;

use crate::config_key::{Check, ConfigKey, ConfigType, ConfigValue, InvalidConfig, UpdateMode};

/// How the value of a broker key becomes the value of a topic key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convert {
    /// As it is.
    Same,
    /// Hours to milliseconds.
    Hours,
    /// Minutes to milliseconds.
    Minutes,
}

impl Convert {
    /// The topic key's text for the broker key's text. Text that is no number stays as it is, to
    /// be refused where it is parsed.
    pub fn apply(self, text: &str) -> String {
        let unit_ms: i64 = match self {
            Self::Same => return text.into(),
            Self::Hours => 3_600_000,
            Self::Minutes => 60_000,
        };
        match text.trim().parse::<i64>() {
            Ok(count) => count.saturating_mul(unit_ms).to_string(),
            Err(_) => text.into(),
        }
    }
}

/// A broker key that stands for a topic key where the topic does not set it.
#[derive(Clone, Copy, Debug)]
pub struct Synonym {
    /// The broker key.
    pub name: &'static str,
    /// From the broker's unit to the topic's.
    pub convert: Convert,
}

/// One row: the key and its broker keys, the first one set wins.
#[derive(Clone, Copy, Debug)]
pub struct TopicKey {
    /// The key itself.
    pub key: ConfigKey,
    /// Broker keys in order of precedence.
    pub synonyms: &'static [Synonym],
}

const fn same(name: &'static str) -> Synonym {
    Synonym {
        name,
        convert: Convert::Same,
    }
}

const fn hours(name: &'static str) -> Synonym {
    Synonym {
        name,
        convert: Convert::Hours,
    }
}

const fn minutes(name: &'static str) -> Synonym {
    Synonym {
        name,
        convert: Convert::Minutes,
    }
}

const fn row(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    check: Check,
    synonyms: &'static [Synonym],
    doc: &'static str,
) -> TopicKey {
    let update = UpdateMode::ClusterWide;
    TopicKey {
        key: ConfigKey {
            name,
            kind,
            default: Some(default),
            check,
            update,
            doc,
        },
        synonyms,
    }
}

use Check::{Any, AtLeast, Between, BetweenOr, ListOf, OneOf, ThrottledReplicas};
use ConfigType::{Boolean, Double, Int, List, Long, String as Text};

const FOREVER_MS: &str = "9223372036854775807";
const CODECS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];

/// All keys, sorted by name.
#[rustfmt::skip]
pub const TOPIC_KEYS: &[TopicKey] = &[
    row("cleanup.policy", List, "delete", ListOf(&["compact", "delete"]), &[same("log.cleanup.policy")],
        "What happens to old segments: `delete` drops them by age and size, `compact` keeps the newest record of each key. Both may be given."),
    row("compression.gzip.level", Int, "-1", BetweenOr(1, 9, -1), &[same("compression.gzip.level")],
        "The gzip level, where compression.type is gzip; -1 is the library's own choice."),
    row("compression.lz4.level", Int, "9", Between(1.0, 17.0), &[same("compression.lz4.level")],
        "The lz4 level, where compression.type is lz4."),
    row("compression.type", Text, "producer", OneOf(CODECS), &[same("compression.type")],
        "The codec that batches are stored with; `producer` stores them as they came."),
    row("compression.zstd.level", Int, "3", Between(-131_072.0, 22.0), &[same("compression.zstd.level")],
        "The zstd level, where compression.type is zstd."),
    row("delete.retention.ms", Long, "86400000", AtLeast(0), &[same("log.cleaner.delete.retention.ms")],
        "How long a compacted topic keeps the marks of deleted keys, so that a reader that began before the deletion still sees it."),
    row("file.delete.delay.ms", Long, "60000", AtLeast(0), &[same("log.segment.delete.delay.ms")],
        "How long a file that is no longer needed stays on disk before it is removed."),
    row("flush.messages", Long, FOREVER_MS, AtLeast(1), &[same("log.flush.interval.messages")],
        "After how many records the log is synced to disk. The default leaves it to the operating system and to replication."),
    row("flush.ms", Long, FOREVER_MS, AtLeast(0), &[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")],
        "After how many milliseconds a record is synced to disk at the latest. The default leaves it to the operating system."),
    row("follower.replication.throttled.replicas", List, "", ThrottledReplicas, &[],
        "Replicas whose fetching is throttled, as partition:broker pairs, or * for all."),
    row("index.interval.bytes", Int, "4096", AtLeast(0), &[same("log.index.interval.bytes")],
        "How many bytes of log there are between two entries of the offset index."),
    row("leader.replication.throttled.replicas", List, "", ThrottledReplicas, &[],
        "Replicas to which sending is throttled, as partition:broker pairs, or * for all."),
    row("local.retention.bytes", Long, "-2", AtLeast(-2), &[same("log.local.retention.bytes")],
        "How many bytes of a tiered partition stay on local disk; -2 takes retention.bytes."),
    row("local.retention.ms", Long, "-2", AtLeast(-2), &[same("log.local.retention.ms")],
        "How long segments of a tiered partition stay on local disk; -2 takes retention.ms."),
    row("max.compaction.lag.ms", Long, FOREVER_MS, AtLeast(1), &[same("log.cleaner.max.compaction.lag.ms")],
        "The longest a record of a compacted topic may stay uncompacted."),
    row("max.message.bytes", Int, "1048588", AtLeast(0), &[same("message.max.bytes")],
        "The largest batch that is taken, as it lies on disk (after compression)."),
    row("message.downconversion.enable", Boolean, "true", Any, &[same("log.message.downconversion.enable")],
        "Whether batches are rewritten in an older format for consumers that need it; false answers them UNSUPPORTED_VERSION."),
    row("message.format.version", Text, "3.0-IV1", Check::MetadataVersion, &[same("log.message.format.version")],
        "Has no effect since 3.0: batches are stored in format v2. Kept so that existing files still load."),
    row("message.timestamp.after.max.ms", Long, FOREVER_MS, AtLeast(0), &[same("log.message.timestamp.after.max.ms")],
        "How far a record's timestamp may be ahead of the broker's clock, with CreateTime."),
    row("message.timestamp.before.max.ms", Long, FOREVER_MS, AtLeast(0), &[same("log.message.timestamp.before.max.ms")],
        "How far a record's timestamp may be behind the broker's clock, with CreateTime."),
    row("message.timestamp.difference.max.ms", Long, FOREVER_MS, AtLeast(0), &[same("log.message.timestamp.difference.max.ms")],
        "Deprecated: the limit in both directions, where the two keys of their own are not set."),
    row("message.timestamp.type", Text, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), &[same("log.message.timestamp.type")],
        "Whose clock a record's timestamp is from: the producer's (CreateTime) or the broker's (LogAppendTime)."),
    row("min.cleanable.dirty.ratio", Double, "0.5", Between(0.0, 1.0), &[same("log.cleaner.min.cleanable.ratio")],
        "The share of a compacted log that must be uncompacted before the cleaner looks at it."),
    row("min.compaction.lag.ms", Long, "0", AtLeast(0), &[same("log.cleaner.min.compaction.lag.ms")],
        "The least time a record of a compacted topic stays uncompacted."),
    row("min.insync.replicas", Int, "1", AtLeast(1), &[same("min.insync.replicas")],
        "How many replicas must be in sync for a produce request with acks=all to be taken."),
    row("preallocate", Boolean, "false", Any, &[same("log.preallocate")],
        "Whether a new segment's file is allocated at its full size at once."),
    row("remote.log.copy.disable", Boolean, "false", Any, &[],
        "Whether a tiered topic stops copying segments to remote storage and is only read from it."),
    row("remote.log.delete.on.disable", Boolean, "false", Any, &[],
        "Whether switching tiered storage off deletes what is in remote storage."),
    row("remote.storage.enable", Boolean, "false", Any, &[],
        "Whether the topic's older segments go to remote storage."),
    row("retention.bytes", Long, "-1", Any, &[same("log.retention.bytes")],
        "The size of a partition beyond which its oldest segments are dropped; -1 is without limit."),
    row("retention.ms", Long, "604800000", AtLeast(-1), &[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")],
        "The age beyond which a segment is dropped; -1 is without limit."),
    row("segment.bytes", Int, "1073741824", AtLeast(14), &[same("log.segment.bytes")],
        "The size at which a segment is closed and a new one begun."),
    row("segment.index.bytes", Int, "10485760", AtLeast(4), &[same("log.index.size.max.bytes")],
        "The most that a segment's offset index may take; a full index closes the segment."),
    row("segment.jitter.ms", Long, "0", AtLeast(0), &[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")],
        "How much earlier, at random, a segment may be closed by age, so that not all close at once."),
    row("segment.ms", Long, "604800000", AtLeast(1), &[same("log.roll.ms"), hours("log.roll.hours")],
        "The age at which a segment is closed even if it is not full."),
    row("unclean.leader.election.enable", Boolean, "false", Any, &[same("unclean.leader.election.enable")],
        "Whether a replica that is not in sync may lead as the last resort, which loses records."),
];

/// The row of a key.
pub fn topic_key(name: &str) -> Option<&'static TopicKey> {
    let at = TOPIC_KEYS
        .binary_search_by(|row| row.key.name.cmp(name))
        .ok()?;
    Some(&TOPIC_KEYS[at])
}

/// Checks a topic's whole set of overrides, as CreateTopics and AlterConfigs do. `configured`
/// is what holds for the keys that are not among the overrides.
pub fn validate(
    overrides: &BTreeMap<String, String>,
    configured: impl Fn(&TopicKey) -> ConfigValue,
) -> Result<(), InvalidConfig> {
    for (name, text) in overrides {
        let Some(row) = topic_key(name) else {
            return Err(InvalidConfig::other(format!(
                "Unknown topic config name: {name}"
            )));
        };
        row.key.parse(text)?;
    }
    let effective = |name: &str| {
        let row = topic_key(name)?;
        match overrides.get(name) {
            Some(text) => row.key.parse(text).ok(),
            None => Some(configured(row)),
        }
    };
    check_compaction_lags(&effective)?;
    check_remote_storage(&effective)
}

fn check_compaction_lags(
    effective: &impl Fn(&str) -> Option<ConfigValue>,
) -> Result<(), InvalidConfig> {
    let (least, most) = ("min.compaction.lag.ms", "max.compaction.lag.ms");
    match (effective(least), effective(most)) {
        (Some(ConfigValue::Whole(min)), Some(ConfigValue::Whole(max))) if min > max => {
            Err(InvalidConfig::other(format!(
                "conflict topic config setting {least} ({min}) > {most} ({max})"
            )))
        }
        _ => Ok(()),
    }
}

fn check_remote_storage(
    effective: &impl Fn(&str) -> Option<ConfigValue>,
) -> Result<(), InvalidConfig> {
    match effective("remote.storage.enable") {
        Some(ConfigValue::Boolean(true)) => Err(InvalidConfig::other(
            "Tiered Storage functionality is disabled in the broker. \
             Topic cannot be configured with remote log storage.",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    fn check(pairs: &[(&str, &str)]) -> Result<(), String> {
        validate(&overrides(pairs), |row| row.key.default_value()).map_err(|error| error.message)
    }

    #[test]
    fn the_table_is_sorted_and_its_defaults_hold() {
        assert!(
            TOPIC_KEYS
                .windows(2)
                .all(|pair| pair[0].key.name < pair[1].key.name)
        );
        for row in TOPIC_KEYS {
            let default = row.key.default.expect("topic keys have defaults");
            row.key.parse(default).unwrap();
            assert!(!row.key.doc.is_empty());
        }
    }

    #[test]
    fn refusals_read_as_kafkas() {
        assert_eq!(
            check(&[
                ("retention.ms", "1000"),
                ("cleanup.policy", "compact,delete")
            ]),
            Ok(())
        );
        assert_eq!(
            check(&[("no.such.key", "1")]),
            Err("Unknown topic config name: no.such.key".into())
        );
        assert_eq!(
            check(&[("segment.bytes", "1")]),
            Err(
                "Invalid value 1 for configuration segment.bytes: Value must be at least 14".into()
            )
        );
        assert_eq!(
            check(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]),
            Err("conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)".into())
        );
    }

    #[test]
    fn synonyms_convert_units() {
        assert_eq!(Convert::Hours.apply("168"), "604800000");
        assert_eq!(Convert::Minutes.apply("2"), "120000");
        assert_eq!(Convert::Same.apply("x"), "x");
    }
}
