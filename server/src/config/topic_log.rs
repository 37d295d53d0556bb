//! What a topic's logs are told, from the topic's overrides and the broker's settings.

use controller::config_key::ConfigValue;
use controller::config_source::Sources;
use controller::image::Overrides;
use controller::topic_config::topic_key;
use engine::config::{Cleanup, LogConfig, StoredCompression, TimestampType};
use protocol::compression::{Compression, Encoding};

use super::describe::BrokerConfig;

/// The keys of a topic that others than its logs need.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSettings {
    /// What its logs are told.
    pub log: LogConfig,
    /// `min.insync.replicas`.
    pub min_insync_replicas: usize,
    /// What clients get that want its records otherwise than they are stored.
    pub conversion: Conversion,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election_enable: bool,
}

/// What a topic says of clients that want its records otherwise than they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// `message.downconversion.enable`: old clients get old formats.
    pub is_enabled: bool,
    /// `compression.type` is zstd: clients must know it.
    pub needs_zstd: bool,
}

struct Effective<'a> {
    sources: &'a Sources<'a>,
    overrides: &'a Overrides,
}

impl Effective<'_> {
    fn value(&self, name: &str) -> ConfigValue {
        let row = topic_key(name).unwrap_or_else(|| panic!("no table has the key {name}"));
        self.sources.effective_value(row, self.overrides)
    }

    fn whole(&self, name: &str) -> i64 {
        match self.value(name) {
            ConfigValue::Whole(number) => number,
            other => panic!("{name} is no whole number but {other}"),
        }
    }

    /// A size or count of 32 bits that the table keeps from being negative.
    fn size(&self, name: &str) -> u32 {
        u32::try_from(self.whole(name)).expect("an INT key that cannot be negative")
    }

    fn ratio(&self, name: &str) -> f64 {
        match self.value(name) {
            ConfigValue::Double(number) => number,
            other => panic!("{name} is no ratio but {other}"),
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.value(name) == ConfigValue::Boolean(true)
    }

    fn text(&self, name: &str) -> String {
        self.value(name).to_string()
    }

    /// `compression.type`, and the level of its codec.
    fn stored_compression(&self) -> StoredCompression {
        let level = |name| i32::try_from(self.whole(name)).ok();
        let (compression, level) = match &*self.text("compression.type") {
            "uncompressed" => (Compression::None, None),
            "gzip" => (Compression::Gzip, level("compression.gzip.level")),
            "snappy" => (Compression::Snappy, None),
            "lz4" => (Compression::Lz4, level("compression.lz4.level")),
            "zstd" => (Compression::Zstd, level("compression.zstd.level")),
            _ => return StoredCompression::Producer,
        };
        StoredCompression::Always(Encoding { compression, level })
    }

    fn has_word(&self, name: &str, word: &str) -> bool {
        match self.value(name) {
            ConfigValue::List(words) => words.iter().any(|each| each == word),
            _ => false,
        }
    }

    /// The limit of one direction, or else the older limit of both.
    fn timestamp_limit(&self, name: &str) -> i64 {
        match self.whole(name) {
            i64::MAX => self.whole("message.timestamp.difference.max.ms"),
            limit => limit,
        }
    }
}

/// What holds for a topic with these overrides.
pub fn topic_settings(broker: &BrokerConfig<'_>, overrides: &Overrides) -> TopicSettings {
    let sources = &broker.sources();
    let topic = Effective { sources, overrides };
    let compact = topic.has_word("cleanup.policy", "compact");
    let (age, lag) = (
        topic.whole("segment.ms"),
        topic.whole("max.compaction.lag.ms"),
    );
    // Negative is without limit.
    let retention_ms = topic.whole("retention.ms");
    let log = LogConfig {
        segment_bytes_max: topic.size("segment.bytes"),
        // A segment must close before what is in it may go uncompacted for too long.
        segment_age_ms_max: if compact && lag > 0 {
            age.min(lag)
        } else {
            age
        },
        segment_jitter_ms_max: topic.whole("segment.jitter.ms"),
        index_bytes_max: topic.size("segment.index.bytes"),
        index_interval_bytes: topic.size("index.interval.bytes"),
        batch_bytes_max: topic.size("max.message.bytes"),
        cleanup: Cleanup {
            delete: topic.has_word("cleanup.policy", "delete"),
            compact,
        },
        retention_ms_max: (retention_ms >= 0).then_some(retention_ms),
        cleanable_ratio_min: topic.ratio("min.cleanable.dirty.ratio"),
        compaction_lag_ms_min: topic.whole("min.compaction.lag.ms"),
        compaction_lag_ms_max: lag,
        delete_retention_ms: topic.whole("delete.retention.ms"),
        retention_bytes_max: u64::try_from(topic.whole("retention.bytes")).ok(),
        timestamp_type: match &*topic.text("message.timestamp.type") {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        },
        timestamp_before_ms_max: topic.timestamp_limit("message.timestamp.before.max.ms"),
        timestamp_after_ms_max: topic.timestamp_limit("message.timestamp.after.max.ms"),
        validation: broker.fixed().validation,
        compression: topic.stored_compression(),
        flush_records: topic.whole("flush.messages"),
        flush_interval_ms: topic.whole("flush.ms"),
        file_delete_delay_ms: topic.whole("file.delete.delay.ms"),
        producer_expiration_ms: match broker.value("producer.id.expiration.ms") {
            ConfigValue::Whole(ms) => ms,
            other => panic!("producer.id.expiration.ms is no whole number but {other}"),
        },
        // What waits is in frames, which the shard's buffer budget counts and bounds.
        queued_bytes_max: usize::MAX,
        ..LogConfig::default()
    };
    TopicSettings {
        log,
        min_insync_replicas: topic.size("min.insync.replicas") as usize,
        conversion: Conversion {
            is_enabled: topic.flag("message.downconversion.enable"),
            needs_zstd: topic.text("compression.type") == "zstd",
        },
        unclean_leader_election_enable: topic.flag("unclean.leader.election.enable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerConfig;
    use controller::Image;

    #[test]
    fn overrides_and_broker_settings_reach_the_log() {
        let config = ServerConfig::local([
            ("log.segment.bytes", "1000"),
            ("log.roll.hours", "1"),
            ("chiplog.validation", "strict"),
        ])
        .unwrap();
        let broker = BrokerConfig::new(&config, &Image::new("c"));
        let overrides = Overrides::from([
            ("cleanup.policy".to_owned(), "compact".to_owned()),
            ("compression.type".to_owned(), "gzip".to_owned()),
            ("compression.gzip.level".to_owned(), "9".to_owned()),
            ("max.compaction.lag.ms".to_owned(), "60000".to_owned()),
            (
                "message.timestamp.difference.max.ms".to_owned(),
                "5".to_owned(),
            ),
        ]);
        let settings = topic_settings(&broker, &overrides);
        assert_eq!(settings.log.segment_bytes_max, 1000);
        assert_eq!(settings.log.segment_age_ms_max, 60_000);
        assert_eq!(settings.log.timestamp_after_ms_max, 5);
        assert_eq!(
            settings.log.cleanup,
            Cleanup {
                delete: false,
                compact: true
            }
        );
        assert_eq!(settings.log.validation, engine::config::Validation::Strict);
        assert_eq!(
            settings.log.compression,
            StoredCompression::Always(Encoding {
                compression: Compression::Gzip,
                level: Some(9)
            })
        );
        let plain = topic_settings(&broker, &Overrides::new());
        assert_eq!(plain.log.segment_age_ms_max, 3_600_000);
        assert_eq!(plain.log.retention_ms_max, Some(604_800_000));
        assert_eq!(plain.log.retention_bytes_max, None);
        assert_eq!(plain.log.compression, StoredCompression::Producer);
    }
}
