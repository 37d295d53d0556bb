//! AlterConfigs and IncrementalAlterConfigs of topics, brokers and client metrics subscriptions.
//!
//! It must not know the broker's table of keys: [`BrokerRules`] brings it.

use protocol::error::ErrorCode;

use crate::client_metrics;
use crate::config_key::{ConfigKey, ConfigType};
use crate::config_source::Sources;
use crate::decision::Refusal;
use crate::image::{Image, Overrides, ResourceType};
use crate::record::{ConfigRecord, Record};
use crate::{topic_config, topic_name};

/// What to do with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Give it a value.
    Set(String),
    /// Take the override away.
    Delete,
    /// Add words to a list.
    Append(String),
    /// Take words from a list.
    Subtract(String),
}

/// Decides on the changes of one topic.
pub fn alter_topic(
    image: &Image,
    sources: &Sources<'_>,
    topic: &str,
    changes: &[(String, Change)],
) -> Result<Vec<Record>, Refusal> {
    if topic.is_empty() {
        let text = "Default topic resources are not allowed.";
        return Err(Refusal::new(ErrorCode::InvalidRequest, text));
    }
    topic_name::validate(topic)
        .map_err(|text| Refusal::new(ErrorCode::InvalidTopicException, text))?;
    let before = image.topic_overrides(topic);
    let resource = (ResourceType::Topic, topic);
    let (after, records) = apply(&before, resource, changes, changed_topic_value)?;
    let none = Overrides::new();
    topic_config::validate(&after, |row| sources.effective_value(row, &none))
        .map_err(|invalid| Refusal::new(ErrorCode::InvalidConfig, invalid.message))?;
    match image.topic(topic) {
        Some(_) => Ok(records),
        None => Err(Refusal::new(
            ErrorCode::UnknownTopicOrPartition,
            format!("The topic '{topic}' does not exist."),
        )),
    }
}

/// What is known about the keys of brokers.
pub struct BrokerRules<'a> {
    /// The row of a key.
    pub find: &'a dyn Fn(&str) -> Option<&'static ConfigKey>,
    /// Whether a resource may have these overrides, and none besides; or else why not.
    pub check: &'a dyn Fn(&Overrides) -> Result<(), String>,
}

/// Decides on the changes of one broker; of all brokers for the empty name.
pub fn alter_broker(
    image: &Image,
    rules: &BrokerRules<'_>,
    broker: &str,
    changes: &[(String, Change)],
) -> Result<Vec<Record>, Refusal> {
    let before = image.overrides(ResourceType::Broker, broker);
    let resource = (ResourceType::Broker, broker);
    let (after, records) = apply(&before, resource, changes, |before, name, change| {
        changed_broker_value(rules, before, name, change)
    })?;
    (rules.check)(&after).map_err(|text| Refusal::new(ErrorCode::InvalidRequest, text))?;
    Ok(records)
}

/// Decides on the changes of one subscription to client metrics (KIP-714).
pub fn alter_client_metrics(
    image: &Image,
    subscription: &str,
    changes: &[(String, Change)],
) -> Result<Vec<Record>, Refusal> {
    let before = image.overrides(ResourceType::ClientMetrics, subscription);
    let resource = (ResourceType::ClientMetrics, subscription);
    let (after, records) = apply(&before, resource, changes, |before, name, change| {
        let is_list = client_metrics::is_list(name);
        listed(
            before.get(name).map_or("", |text| text),
            name,
            is_list,
            change,
        )
    })?;
    client_metrics::validate(subscription, &after)?;
    Ok(records)
}

/// The overrides after the changes, and the records that make them.
fn apply(
    before: &Overrides,
    (kind, name): (ResourceType, &str),
    changes: &[(String, Change)],
    changed: impl Fn(&Overrides, &str, &Change) -> Result<Option<String>, Refusal>,
) -> Result<(Overrides, Vec<Record>), Refusal> {
    let mut after = before.clone();
    let mut records = Vec::new();
    for (key, change) in changes {
        let value = changed(before, key, change)?;
        match &value {
            Some(value) => after.insert(key.clone(), value.clone()),
            None => after.remove(key),
        };
        if before.get(key) != value.as_ref() {
            records.push(Record::Config(ConfigRecord {
                resource_type: kind as i8,
                resource_name: name.to_owned().into(),
                name: key.clone().into(),
                value: value.map(Into::into),
            }));
        }
    }
    Ok((after, records))
}

/// The topic's override after the change; `None` if there is none.
fn changed_topic_value(
    before: &Overrides,
    name: &str,
    change: &Change,
) -> Result<Option<String>, Refusal> {
    let row = topic_config::topic_key(name);
    let is_list = row.is_some_and(|row| row.key.kind == ConfigType::List);
    let default = row.and_then(|row| row.key.default).unwrap_or("");
    let now = before.get(name).map_or(default, |value| value);
    listed(now, name, is_list, change)
}

/// The broker's override after the change. The refusals are those of a broker, which looks at
/// them before the controller does.
fn changed_broker_value(
    rules: &BrokerRules<'_>,
    before: &Overrides,
    name: &str,
    change: &Change,
) -> Result<Option<String>, Refusal> {
    let verb = match change {
        Change::Set(_) | Change::Delete => return listed("", name, false, change),
        Change::Append(_) => "append",
        Change::Subtract(_) => "subtract",
    };
    let Some(key) = (rules.find)(name) else {
        let text = format!("key not found: {name}");
        return Err(Refusal::new(ErrorCode::UnknownServerError, text));
    };
    if key.kind != ConfigType::List {
        let text = format!("Config value {verb} is not allowed for config key: {name}");
        return Err(Refusal::new(ErrorCode::InvalidConfig, text));
    }
    let now = before.get(name).map_or(key.default.unwrap_or(""), |v| v);
    listed(now, name, true, change)
}

/// What stands after the change where `now` stands.
fn listed(
    now: &str,
    name: &str,
    is_list: bool,
    change: &Change,
) -> Result<Option<String>, Refusal> {
    let (verb, words) = match change {
        Change::Set(value) => return Ok(Some(value.clone())),
        Change::Delete => return Ok(None),
        Change::Append(words) => ("APPEND", words),
        Change::Subtract(words) => ("SUBTRACT", words),
    };
    if !is_list {
        return Err(Refusal::new(
            ErrorCode::InvalidConfig,
            format!("Can't {verb} to key {name} because its type is not LIST."),
        ));
    }
    let mut list: Vec<&str> = now.split(',').filter(|word| !word.is_empty()).collect();
    for word in words.split(',') {
        match change {
            Change::Append(_) if list.contains(&word) => {}
            Change::Append(_) => list.push(word),
            _ => {
                if let Some(at) = list.iter().position(|each| *each == word) {
                    list.remove(at);
                }
            }
        }
    }
    Ok(Some(list.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_key::{Check, UpdateMode};
    use crate::testing::{apply as apply_records, image_with};

    const LIST: ConfigKey = ConfigKey {
        name: "words",
        kind: ConfigType::List,
        default: Some("a"),
        check: Check::Any,
        update: UpdateMode::ClusterWide,
        doc: "",
    };

    fn find(name: &str) -> Option<&'static ConfigKey> {
        match name {
            "words" => Some(&LIST),
            "number" => Some(
                const {
                    &ConfigKey {
                        kind: ConfigType::Int,
                        name: "number",
                        ..LIST
                    }
                },
            ),
            _ => None,
        }
    }

    fn alter(image: &Image, name: &str, change: Change) -> Result<Vec<Record>, Refusal> {
        let check = |after: &Overrides| match after.get("number").map(|text| &**text) {
            Some("0") => Err("not that number".to_owned()),
            _ => Ok(()),
        };
        let rules = BrokerRules {
            find: &find,
            check: &check,
        };
        alter_broker(image, &rules, "1", &[(name.to_owned(), change)])
    }

    #[test]
    fn a_broker_takes_what_its_rules_allow_and_lists_grow_from_their_default() {
        let mut image = image_with(2);
        let set = |value: &str| Change::Set(value.to_owned());
        for (name, change) in [
            ("words", Change::Append("b,a".to_owned())),
            ("number", set("7")),
            ("of.nobody", set("x")),
        ] {
            let records = alter(&image, name, change).unwrap();
            apply_records(&mut image, &records);
        }
        let now = image.overrides(ResourceType::Broker, "1");
        let pairs: Vec<_> = now.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(
            pairs,
            [("number", "7"), ("of.nobody", "x"), ("words", "a,b")]
        );
        assert_eq!(alter(&image, "number", set("7")).unwrap(), []);
        let refusals = [
            (alter(&image, "number", set("0")), ErrorCode::InvalidRequest),
            (
                alter(&image, "number", Change::Append("1".into())),
                ErrorCode::InvalidConfig,
            ),
            (
                alter(&image, "of.nobody", Change::Subtract("1".into())),
                ErrorCode::UnknownServerError,
            ),
        ];
        for (refused, code) in refusals {
            assert_eq!(refused.unwrap_err().code, code);
        }
        let gone = alter(&image, "number", Change::Delete).unwrap();
        apply_records(&mut image, &gone);
        assert!(
            !image
                .overrides(ResourceType::Broker, "1")
                .contains_key("number")
        );
    }
}
