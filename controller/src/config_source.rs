//! Where the value of a key comes from: the topic's override, then what the broker was told at
//! run time, then the cluster's default, then the broker's file, then the built-in default.
//!
//! It must not know the broker's table of keys: `Sources` brings its defaults.

use std::collections::BTreeMap;

use protocol::ids::BrokerId;

use crate::config_key::{ConfigKey, ConfigType, ConfigValue};
use crate::image::{Image, Overrides, ResourceType};
use crate::topic_config::{Convert, TOPIC_KEYS, TopicKey};

/// Where a value comes from, as DescribeConfigs numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigSource {
    /// The topic's own override.
    Topic = 1,
    /// Set at run time for this broker.
    DynamicBroker = 2,
    /// Set at run time for all brokers.
    DynamicDefaultBroker = 3,
    /// In the broker's file.
    StaticBroker = 4,
    /// Nowhere: the built-in default.
    Default = 5,
    /// The level of a logger of this process.
    BrokerLogger = 6,
    /// A subscription to client metrics.
    ClientMetrics = 7,
}

/// One place where a value stands, in order of precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The key in that place.
    pub name: String,
    /// The value there; `None` if it is sensitive.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

/// One entry of DescribeConfigs.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigEntry {
    /// The key.
    pub name: String,
    /// The value that holds; `None` for null and for what is sensitive.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Cannot be changed at run time.
    pub read_only: bool,
    /// Never shown.
    pub sensitive: bool,
    /// All places where it stands.
    pub synonyms: Vec<ConfigSynonym>,
    /// The type; `None` for a key that is not known.
    pub kind: Option<ConfigType>,
    /// For operators.
    pub doc: Doc,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doc {
    /// Told if it is asked for.
    Text(&'static str),
    /// A key of a broker that is not known.
    Unknown,
    /// Of what has none Kafka says that it is empty, asked or not.
    Empty,
}

/// Everything a broker's configuration says.
pub struct Sources<'a> {
    /// Set at run time for this broker.
    pub dynamic_broker: &'a Overrides,
    /// Set at run time for all brokers.
    pub dynamic_default: &'a Overrides,
    /// In the broker's file and on its command line.
    pub fixed: &'a BTreeMap<String, String>,
    /// The built-in default of a broker key, as text; `None` for null.
    pub default: &'a dyn Fn(&str) -> Option<&'static str>,
}

/// The overrides of one broker and of all brokers, from the image.
pub fn dynamic_overrides(
    image: &Image,
    broker: BrokerId,
) -> (std::sync::Arc<Overrides>, std::sync::Arc<Overrides>) {
    let own = image.overrides(ResourceType::Broker, &broker.0.to_string());
    (own, image.overrides(ResourceType::Broker, ""))
}

impl Sources<'_> {
    fn places(&self) -> [(&BTreeMap<String, String>, ConfigSource); 3] {
        [
            (self.dynamic_broker, ConfigSource::DynamicBroker),
            (self.dynamic_default, ConfigSource::DynamicDefaultBroker),
            (self.fixed, ConfigSource::StaticBroker),
        ]
    }

    /// The text that holds for a topic key, and where it comes from. Text in the topic's unit.
    pub fn effective(&self, row: &TopicKey, overrides: &Overrides) -> (String, ConfigSource) {
        if let Some(text) = overrides.get(row.key.name) {
            return (text.clone(), ConfigSource::Topic);
        }
        for (values, source) in self.places() {
            for synonym in row.synonyms {
                if let Some(text) = values.get(synonym.name) {
                    return (synonym.convert.apply(text), source);
                }
            }
        }
        (
            row.key.default.unwrap_or_default().into(),
            ConfigSource::Default,
        )
    }

    /// The value that holds for a topic key. A stored value that no longer parses gives way to
    /// the default, so that one bad override cannot make a topic unreadable.
    pub fn effective_value(&self, row: &TopicKey, overrides: &Overrides) -> ConfigValue {
        let (text, _) = self.effective(row, overrides);
        row.key
            .parse(&text)
            .unwrap_or_else(|_| row.key.default_value())
    }

    /// All topic keys with what holds, as CreateTopics answers them.
    pub fn created_topic(&self, overrides: &Overrides) -> Vec<ConfigEntry> {
        let entries = TOPIC_KEYS.iter().map(|row| {
            let (value, source) = self.effective(row, overrides);
            entry(&row.key, Some(value), source, Vec::new())
        });
        entries.collect()
    }

    /// All topic keys with what holds and where it stands, as DescribeConfigs answers them.
    pub fn describe_topic(&self, overrides: &Overrides) -> Vec<ConfigEntry> {
        let entries = TOPIC_KEYS.iter().map(|row| {
            let value = self.effective_value(row, overrides);
            let text = value_text(&value);
            let mut synonyms = match row.synonyms.first() {
                Some(first) => {
                    let names: Vec<&str> = row.synonyms.iter().map(|each| each.name).collect();
                    self.synonyms(first.name, &names, false)
                }
                None => Vec::new(),
            };
            if overrides.contains_key(row.key.name) {
                let (name, source) = (row.key.name.into(), ConfigSource::Topic);
                synonyms.insert(
                    0,
                    ConfigSynonym {
                        name,
                        value: text.clone(),
                        source,
                    },
                );
            }
            let source = synonyms
                .first()
                .map_or(ConfigSource::Default, |first| first.source);
            entry(&row.key, text, source, synonyms)
        });
        entries.collect()
    }

    /// Where a broker key and its stand-ins are set, in order of precedence. As Kafka's, the
    /// list begins at the first place that names the key itself.
    pub fn synonyms(&self, name: &str, names: &[&str], sensitive: bool) -> Vec<ConfigSynonym> {
        let mut found = Vec::new();
        for (values, source) in self.places() {
            for name in names {
                if let Some(text) = values.get(*name) {
                    let value = (!sensitive).then(|| text.clone());
                    found.push(ConfigSynonym {
                        name: (*name).into(),
                        value,
                        source,
                    });
                }
            }
        }
        for name in names {
            if let Some(text) = (self.default)(name) {
                let (value, source) =
                    ((!sensitive).then(|| text.to_owned()), ConfigSource::Default);
                found.push(ConfigSynonym {
                    name: (*name).into(),
                    value,
                    source,
                });
            }
        }
        let start = found.iter().position(|synonym| synonym.name == name);
        found.split_off(start.unwrap_or(found.len()))
    }
}

/// The broker keys that stand in for each other, the first one that is set wins.
pub fn broker_synonyms(name: &str) -> Vec<&str> {
    for row in TOPIC_KEYS {
        let converts = row
            .synonyms
            .iter()
            .any(|each| each.convert != Convert::Same);
        let is_flush = name == "log.flush.interval.ms" && row.key.name == "flush.ms";
        if (converts || is_flush) && row.synonyms.iter().any(|each| each.name == name) {
            return row.synonyms.iter().map(|each| each.name).collect();
        }
    }
    vec![name]
}

/// A value as DescribeConfigs shows it: lists without blanks.
pub fn value_text(value: &ConfigValue) -> Option<String> {
    match value {
        ConfigValue::Absent => None,
        ConfigValue::List(words) => Some(words.join(",")),
        other => Some(other.to_string()),
    }
}

fn entry(
    key: &ConfigKey,
    value: Option<String>,
    source: ConfigSource,
    synonyms: Vec<ConfigSynonym>,
) -> ConfigEntry {
    ConfigEntry {
        name: key.name.into(),
        value,
        source,
        read_only: false,
        sensitive: key.is_sensitive(),
        synonyms,
        kind: Some(key.kind),
        doc: Doc::Text(key.doc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic_config::topic_key;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    fn default(name: &str) -> Option<&'static str> {
        match name {
            "log.retention.hours" => Some("168"),
            "log.segment.bytes" => Some("1073741824"),
            _ => None,
        }
    }

    #[test]
    fn the_nearest_place_wins() {
        let row = topic_key("retention.ms").unwrap();
        let (own, all) = (map(&[]), map(&[("log.retention.ms", "5")]));
        let fixed = map(&[("log.retention.hours", "2"), ("log.retention.minutes", "1")]);
        let sources = Sources {
            dynamic_broker: &own,
            dynamic_default: &own,
            fixed: &fixed,
            default: &default,
        };
        let none = Overrides::new();
        let found = sources.effective(row, &none);
        assert_eq!(found, ("60000".into(), ConfigSource::StaticBroker));
        let sources = Sources {
            dynamic_default: &all,
            ..sources
        };
        let found = sources.effective(row, &none);
        assert_eq!(found, ("5".into(), ConfigSource::DynamicDefaultBroker));
        let found = sources.effective(row, &map(&[("retention.ms", "7")]));
        assert_eq!(found, ("7".into(), ConfigSource::Topic));
    }

    #[test]
    fn describe_lists_the_places_as_kafka_does() {
        let (none, fixed) = (map(&[]), map(&[("log.retention.hours", "2")]));
        let sources = Sources {
            dynamic_broker: &none,
            dynamic_default: &none,
            fixed: &fixed,
            default: &default,
        };
        let entries = sources.describe_topic(&map(&[("segment.bytes", "100")]));
        let find = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
        // Kafka finds no place for log.retention.ms, the key's first synonym, and says "default".
        let retention = find("retention.ms");
        assert_eq!(retention.value.as_deref(), Some("7200000"));
        assert_eq!(
            (retention.source, retention.synonyms.len()),
            (ConfigSource::Default, 0)
        );
        let segment = find("segment.bytes");
        assert_eq!(
            (segment.source, segment.synonyms.len()),
            (ConfigSource::Topic, 2)
        );
    }

    #[test]
    fn units_of_one_broker_setting_stand_together() {
        let retention = [
            "log.retention.ms",
            "log.retention.minutes",
            "log.retention.hours",
        ];
        assert_eq!(broker_synonyms("log.retention.hours"), retention);
        let flush = ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
        assert_eq!(broker_synonyms("log.flush.interval.ms"), flush);
        assert_eq!(
            broker_synonyms("log.flush.scheduler.interval.ms"),
            ["log.flush.scheduler.interval.ms"]
        );
    }
}
