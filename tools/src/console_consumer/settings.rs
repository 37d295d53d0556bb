//! A consumer's properties, out of files and options, by Kafka's names and with its defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Begin, Options};
use crate::client::{Client, Isolation, OffsetSpec};
use crate::connect::{self, key_values, load};
use crate::failure::Failure;

/// Keys of consumers that have an effect here or an option, or that tune what is not here, beside
/// those of every client.
const CONSUMER_KEYS: &[&str] = &[
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "enable.auto.commit",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "group.id",
    "group.instance.id",
    "heartbeat.interval.ms",
    "isolation.level",
    "key.deserializer",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "max.poll.records",
    "partition.assignment.strategy",
    "session.timeout.ms",
    "value.deserializer",
];

/// How to consume.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The group to be a member of.
    pub group: Option<String>,
    /// `group.instance.id`, of a static member.
    pub instance_id: Option<String>,
    /// Where to begin in a partition that was named.
    pub begin: Begin,
    /// `auto.offset.reset`; without it, there must be an offset.
    pub reset: Option<OffsetSpec>,
    /// Which records count.
    pub isolation: Isolation,
    /// `enable.auto.commit`.
    pub commits: bool,
    /// `auto.commit.interval.ms`.
    pub commit_interval: Duration,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`, which is how long a member may take to join again.
    pub rebalance_timeout: Duration,
}

impl Settings {
    /// The settings, and the properties they came from.
    pub fn new(options: &Options) -> Result<(Settings, BTreeMap<String, String>), Failure> {
        let mut properties = match &options.consumer_config {
            Some(path) => load(path)?,
            None => BTreeMap::new(),
        };
        let in_file = properties.get("group.id").cloned();
        let given = key_values(&options.consumer_property);
        let on_command_line = given.get("group.id").cloned();
        properties.extend(given);
        let groups = [options.group.clone(), in_file, on_command_line];
        let groups: BTreeSet<String> = groups.into_iter().flatten().collect();
        if groups.len() > 1 {
            let named = groups.iter().map(|group| format!("'{group}'"));
            return Err(Failure::usage(format!(
                "The group ids provided in different places (directly using '--group', via \
                 '--consumer-property', or via '--consumer.config') do not match. Detected group \
                 ids: {}",
                named.collect::<Vec<String>>().join(", ")
            )));
        }
        let group = groups.into_iter().next();
        if group.is_some() && options.partition.is_some() {
            return Err(Failure::usage(
                "Options group and partition cannot be specified together.",
            ));
        }
        let property = |key: &str| properties.get(key).map(String::as_str);
        let millis = |key: &str, default| match property(key) {
            None => Ok(Duration::from_millis(default)),
            Some(text) => text.parse().map(Duration::from_millis).map_err(|_| {
                Failure::said(format!("Invalid value {text} for configuration {key}"))
            }),
        };
        let isolation = options.isolation_level.as_deref();
        let isolation = match isolation.or(property("isolation.level")) {
            None | Some("read_uncommitted") => Isolation::ReadUncommitted,
            Some("read_committed") => Isolation::ReadCommitted,
            Some(other) => {
                return Err(Failure::said(format!(
                    "Invalid value {other} for configuration isolation.level: String must be one \
                     of: read_committed, read_uncommitted"
                )));
            }
        };
        let settings = Settings {
            group,
            instance_id: property("group.instance.id").map(str::to_owned),
            begin: begin(options)?,
            reset: reset(property("auto.offset.reset"), options.from_beginning)?,
            isolation,
            commits: property("enable.auto.commit") != Some("false"),
            commit_interval: millis("auto.commit.interval.ms", 5_000)?,
            session_timeout: millis("session.timeout.ms", 45_000)?,
            heartbeat_interval: millis("heartbeat.interval.ms", 3_000)?,
            rebalance_timeout: millis("max.poll.interval.ms", 300_000)?,
        };
        Ok((settings, properties))
    }
}

/// A client with a consumer's properties.
pub fn client(bootstrap: &str, properties: &BTreeMap<String, String>) -> Result<Client, Failure> {
    connect::client(bootstrap, properties, "console-consumer", CONSUMER_KEYS)
}

/// What the formatter is told.
pub fn formatter_properties(options: &Options) -> Result<BTreeMap<String, String>, Failure> {
    let mut properties = match &options.formatter_config {
        Some(path) => load(path)?,
        None => BTreeMap::new(),
    };
    for (key, value) in [
        ("key.deserializer", &options.key_deserializer),
        ("value.deserializer", &options.value_deserializer),
    ] {
        if let Some(class) = value {
            properties.insert(key.to_owned(), class.clone());
        }
    }
    properties.extend(key_values(&options.property));
    Ok(properties)
}

fn begin(options: &Options) -> Result<Begin, Failure> {
    let Some(text) = &options.offset else {
        return Ok(match options.from_beginning {
            true => Begin::Earliest,
            false => Begin::Latest,
        });
    };
    match text.to_lowercase().as_str() {
        "earliest" => Ok(Begin::Earliest),
        "latest" => Ok(Begin::Latest),
        number => match number.parse::<i64>() {
            Ok(offset) if offset >= 0 => Ok(Begin::At(offset)),
            _ => Err(Failure::usage(format!(
                "The provided offset value '{text}' is incorrect. Valid values are 'earliest', \
                 'latest', or a non-negative long."
            ))),
        },
    }
}

fn reset(given: Option<&str>, from_beginning: bool) -> Result<Option<OffsetSpec>, Failure> {
    match given {
        None if from_beginning => Ok(Some(OffsetSpec::Earliest)),
        None => Ok(Some(OffsetSpec::Latest)),
        Some("earliest") => Ok(Some(OffsetSpec::Earliest)),
        Some(other) if from_beginning => Err(Failure::usage(format!(
            "Can't simultaneously specify --from-beginning and 'auto.offset.reset={other}', \
             please remove one option"
        ))),
        Some("latest") => Ok(Some(OffsetSpec::Latest)),
        Some("none") => Ok(None),
        Some(other) => Err(Failure::said(format!(
            "Invalid value {other} for configuration auto.offset.reset"
        ))),
    }
}
