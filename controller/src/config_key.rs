//! What a configuration key is: its type, default, allowed values, and how text becomes a value.
//! Topic keys (`topic_config`) and broker keys (the server's table) are both made of these.
//!
//! It must not know where a value came from (`config_source` does). Invariant: the default of a
//! key, where it has one, passes the key's own check; a test walks the tables.
//! The texts of refusals are part of the protocol: clients show them, tools grep them.

use std::fmt;

/// The type of a value, as DescribeConfigs numbers them (KIP-569).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false`, in any case.
    Boolean,
    /// Text, trimmed.
    String,
    /// 32 bits, signed.
    Int,
    /// 16 bits, signed.
    Short,
    /// 64 bits, signed.
    Long,
    /// Double precision.
    Double,
    /// Texts between commas.
    List,
    /// The name of a Java class; accepted as text, since there is nothing to load.
    Class,
    /// Text that is never shown.
    Password,
}

impl ConfigType {
    /// The number in a DescribeConfigs response.
    pub fn wire_id(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// The name in Kafka's messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// A parsed value. `Short`, `Int` and `Long` keys all give `Whole`, already range-checked.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigValue {
    /// No value: the key has the default null and was not set.
    Absent,
    /// Of a Boolean key.
    Boolean(bool),
    /// Of a Short, Int or Long key.
    Whole(i64),
    /// Of a Double key.
    Double(f64),
    /// Of a String, Class or Password key.
    Text(String),
    /// Of a List key.
    List(Vec<String>),
}

impl fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("null"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Whole(value) => write!(f, "{value}"),
            Self::Double(value) => f.write_str(&java_double(*value)),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => write!(f, "[{}]", values.join(", ")),
        }
    }
}

/// A double as Java prints it: `0.5`, `1.0`, `1.7976931348623157E308`.
pub fn java_double(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{value:?}");
    }
    if !value.is_finite() {
        return match (value.is_nan(), value > 0.0) {
            (true, _) => "NaN".into(),
            (false, true) => "Infinity".into(),
            (false, false) => "-Infinity".into(),
        };
    }
    let text = format!("{value:e}").replace('e', "E");
    match text.split_once('E') {
        Some((digits, power)) if !digits.contains('.') => format!("{digits}.0E{power}"),
        _ => text,
    }
}

/// What is allowed beyond the type.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// Anything of the type.
    Any,
    /// A number, at least this.
    AtLeast(i64),
    /// A number between these, both included.
    Between(f64, f64),
    /// A number in the range, or the one extra value (gzip's -1).
    BetweenOr(i64, i64, i64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// One of these Java classes; others cannot be loaded.
    ClassOf(&'static [&'static str]),
    /// A list of these words.
    ListOf(&'static [&'static str]),
    /// Some text.
    NonEmpty,
    /// A list with something in it, when it is set at all.
    NonEmptyList,
    /// A version name such as `3.9-IV0`.
    MetadataVersion,
    /// `*`, or `partition:broker` pairs.
    ThrottledReplicas,
}

/// When a change of a broker key takes effect (KIP-226).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateMode {
    /// Only at the next start.
    ReadOnly,
    /// At once, for one broker.
    PerBroker,
    /// At once, for one broker or as the cluster's default.
    ClusterWide,
}

impl UpdateMode {
    /// The name in Kafka's documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::PerBroker => "per-broker",
            Self::ClusterWide => "cluster-wide",
        }
    }
}

/// One row of a table of keys.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// As written in files and requests.
    pub name: &'static str,
    /// The type of its value.
    pub kind: ConfigType,
    /// The default as text; `None` where it is null.
    pub default: Option<&'static str>,
    /// What is allowed beyond the type.
    pub check: Check,
    /// When a change takes effect.
    pub update: UpdateMode,
    /// One or two sentences for operators.
    pub doc: &'static str,
}

/// A value that a key does not take. The text is Kafka's, word for word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidConfig {
    /// The whole message.
    pub message: String,
}

impl InvalidConfig {
    /// `Invalid value <value> for configuration <name>: <reason>`.
    pub fn value(name: &str, value: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self {
            message: format!("Invalid value {value} for configuration {name}: {reason}"),
        }
    }

    /// A message of its own.
    pub fn other(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl ConfigKey {
    /// True for keys whose values are never shown.
    pub fn is_sensitive(&self) -> bool {
        self.kind == ConfigType::Password
    }

    /// The value of `text`, or why not.
    pub fn parse(&self, text: &str) -> Result<ConfigValue, InvalidConfig> {
        let value = self.parse_type(text)?;
        self.ensure(&value)?;
        Ok(value)
    }

    /// The value of the default.
    ///
    /// # Panics
    /// When the table is wrong; a test walks it.
    pub fn default_value(&self) -> ConfigValue {
        match self.default {
            None => ConfigValue::Absent,
            Some(text) => self
                .parse_type(text)
                .expect("a key's default is of the key's type"),
        }
    }

    fn parse_type(&self, text: &str) -> Result<ConfigValue, InvalidConfig> {
        let trimmed = text.trim();
        let refuse = |reason: &str| Err(InvalidConfig::value(self.name, text, reason));
        match self.kind {
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("true") => {
                Ok(ConfigValue::Boolean(true))
            }
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("false") => {
                Ok(ConfigValue::Boolean(false))
            }
            ConfigType::Boolean => refuse("Expected value to be either true or false"),
            ConfigType::String | ConfigType::Class | ConfigType::Password => {
                Ok(ConfigValue::Text(trimmed.into()))
            }
            ConfigType::Short | ConfigType::Int | ConfigType::Long => {
                match parse_whole(self.kind, trimmed) {
                    Some(number) => Ok(ConfigValue::Whole(number)),
                    None => refuse(&format!("Not a number of type {}", self.kind.name())),
                }
            }
            ConfigType::Double => match trimmed.parse::<f64>() {
                Ok(number) => Ok(ConfigValue::Double(number)),
                Err(_) => refuse("Not a number of type DOUBLE"),
            },
            ConfigType::List if trimmed.is_empty() => Ok(ConfigValue::List(Vec::new())),
            ConfigType::List => Ok(ConfigValue::List(
                trimmed.split(',').map(|word| word.trim().into()).collect(),
            )),
        }
    }

    fn ensure(&self, value: &ConfigValue) -> Result<(), InvalidConfig> {
        let refuse = |reason: String| Err(InvalidConfig::value(self.name, value, reason));
        match (self.check, value) {
            (Check::Any, _) => Ok(()),
            (Check::AtLeast(least), _) if number(value) < least as f64 => {
                refuse(format!("Value must be at least {least}"))
            }
            (Check::Between(least, _), _) if number(value) < least => {
                refuse(format!("Value must be at least {least}"))
            }
            (Check::Between(_, most), _) if number(value) > most => {
                refuse(format!("Value must be no more than {most}"))
            }
            (Check::BetweenOr(least, most, or), ConfigValue::Whole(given))
                if given != &or && !(least..=most).contains(given) =>
            {
                refuse(format!(
                    "Value must be between {least} and {most} or equal to {or}"
                ))
            }
            (Check::OneOf(words), ConfigValue::Text(given)) if !words.contains(&&**given) => {
                refuse(format!("String must be one of: {}", words.join(", ")))
            }
            (Check::OneOfAnyCase(words), ConfigValue::Text(given))
                if !words.iter().any(|word| word.eq_ignore_ascii_case(given)) =>
            {
                let allowed = words.join(", ");
                refuse(format!(
                    "String must be one of (case insensitive): {allowed}"
                ))
            }
            (Check::ClassOf(names), ConfigValue::Text(given)) if !names.contains(&&**given) => {
                let allowed = names.join(", ");
                refuse(format!(
                    "Class {given} could not be found. Java classes cannot be loaded; allowed: {allowed}"
                ))
            }
            (Check::ListOf(words), ConfigValue::List(given)) => {
                match given.iter().find(|word| !words.contains(&&***word)) {
                    None => Ok(()),
                    Some(word) => Err(InvalidConfig::value(
                        self.name,
                        word,
                        format!("String must be one of: {}", words.join(", ")),
                    )),
                }
            }
            (Check::NonEmpty, ConfigValue::Text(given)) if given.is_empty() => {
                refuse("String must be non-empty".into())
            }
            (Check::MetadataVersion, ConfigValue::Text(given)) if !is_version(given) => {
                refuse(format!("Version {given} is not a valid version"))
            }
            (Check::ThrottledReplicas, ConfigValue::List(given)) if !is_throttle(given) => {
                refuse(format!(
                    "{} must be the literal '*' or a list of replicas in the following format: \
                     [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                    self.name
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Digits with an optional sign, in the type's range.
fn parse_whole(kind: ConfigType, text: &str) -> Option<i64> {
    match kind {
        ConfigType::Short => text.parse::<i16>().ok().map(i64::from),
        ConfigType::Int => text.parse::<i32>().ok().map(i64::from),
        _ => text.parse::<i64>().ok(),
    }
}

fn number(value: &ConfigValue) -> f64 {
    match value {
        ConfigValue::Whole(given) => *given as f64,
        ConfigValue::Double(given) => *given,
        _ => f64::NAN,
    }
}

/// The releases that a setting may name, each with how many internal steps (`-IV0` and so on) it
/// had; 0 for those before there were steps.
const RELEASES: [(&str, u8); 29] = [
    ("0.8.0", 0),
    ("0.8.1", 0),
    ("0.8.2", 0),
    ("0.9.0", 0),
    ("0.10.0", 2),
    ("0.10.1", 3),
    ("0.10.2", 1),
    ("0.11.0", 3),
    ("1.0", 1),
    ("1.1", 1),
    ("2.0", 2),
    ("2.1", 3),
    ("2.2", 2),
    ("2.3", 2),
    ("2.4", 2),
    ("2.5", 1),
    ("2.6", 1),
    ("2.7", 3),
    ("2.8", 2),
    ("3.0", 2),
    ("3.1", 1),
    ("3.2", 1),
    ("3.3", 4),
    ("3.4", 1),
    ("3.5", 3),
    ("3.6", 3),
    ("3.7", 5),
    ("3.8", 1),
    ("3.9", 1),
];

/// A release, with or without its internal step. What follows the second dot, or the third of
/// releases before 1.0, says nothing: `3.5.1` is 3.5.
fn is_version(text: &str) -> bool {
    let parts = if text.starts_with("0.") { 3 } else { 2 };
    let named = text.split('.').take(parts).collect::<Vec<_>>().join(".");
    RELEASES.iter().any(|(release, steps)| {
        let step = named.strip_prefix(release);
        step == Some("") || (0..*steps).any(|number| step == Some(&format!("-IV{number}")))
    })
}

fn is_throttle(entries: &[String]) -> bool {
    let is_pair = |entry: &String| {
        entry.is_empty()
            || entry.split_once(':').is_some_and(|(partition, broker)| {
                let digits =
                    |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                digits(partition) && digits(broker)
            })
    };
    entries.iter().all(is_pair) || entries.concat() == "*"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: ConfigType, check: Check) -> ConfigKey {
        let update = UpdateMode::ReadOnly;
        ConfigKey {
            name: "some.key",
            kind,
            default: None,
            check,
            update,
            doc: "",
        }
    }

    #[test]
    fn refusals_read_as_kafkas() {
        let cases: [(ConfigKey, &str, &str); 8] = [
            (
                key(ConfigType::Int, Check::Any),
                "x",
                "Invalid value x for configuration some.key: Not a number of type INT",
            ),
            (
                key(ConfigType::Int, Check::AtLeast(14)),
                "5",
                "Invalid value 5 for configuration some.key: Value must be at least 14",
            ),
            (
                key(ConfigType::Double, Check::Between(0.0, 1.0)),
                "2",
                "Invalid value 2.0 for configuration some.key: Value must be no more than 1",
            ),
            (
                key(ConfigType::Boolean, Check::Any),
                "yes",
                "Invalid value yes for configuration some.key: Expected value to be either true or false",
            ),
            (
                key(ConfigType::String, Check::OneOf(&["a", "b"])),
                "c",
                "Invalid value c for configuration some.key: String must be one of: a, b",
            ),
            (
                key(ConfigType::Class, Check::ClassOf(&["a.B"])),
                "c.D",
                "Invalid value c.D for configuration some.key: Class c.D could not be found. \
                 Java classes cannot be loaded; allowed: a.B",
            ),
            (
                key(ConfigType::List, Check::ListOf(&["compact", "delete"])),
                "delete,gone",
                "Invalid value gone for configuration some.key: String must be one of: compact, delete",
            ),
            (
                key(ConfigType::Int, Check::BetweenOr(1, 9, -1)),
                "10",
                "Invalid value 10 for configuration some.key: Value must be between 1 and 9 or equal to -1",
            ),
        ];
        for (key, text, message) in cases {
            assert_eq!(key.parse(text).unwrap_err().message, message);
        }
    }

    #[test]
    fn doubles_print_as_javas() {
        assert_eq!(java_double(0.5), "0.5");
        assert_eq!(java_double(1.0), "1.0");
        assert_eq!(java_double(f64::MAX), "1.7976931348623157E308");
        assert_eq!(java_double(1e7), "1.0E7");
        assert_eq!(java_double(0.0001), "1.0E-4");
    }

    #[test]
    fn versions_and_throttles() {
        for version in [
            "0.8.0",
            "0.10.2-IV0",
            "0.10.2.1",
            "2.8",
            "3.0-IV1",
            "3.5.1",
            "3.9-IV0",
        ] {
            assert!(is_version(version), "{version}");
        }
        for version in [
            "",
            "3",
            "4.0",
            "3.10",
            "x.y",
            "3.9-IVx",
            "3.9-IV1",
            "0.10",
            "0.8.0-IV0",
        ] {
            assert!(!is_version(version), "{version}");
        }
        let throttle = key(ConfigType::List, Check::ThrottledReplicas);
        for text in ["", "*", "0:1", "0:1,12:3"] {
            assert!(throttle.parse(text).is_ok(), "{text}");
        }
        for text in ["**", "0:", "a:b", "0:1,x"] {
            assert!(throttle.parse(text).is_err(), "{text}");
        }
    }
}
