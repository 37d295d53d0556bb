//! IncrementalAlterConfigs of topics and brokers.

use protocol::error::ErrorCode;

use crate::config_key::ConfigType;
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
    let mut after = Overrides::clone(&before);
    let mut records = Vec::new();
    for (name, change) in changes {
        let value = changed(&before, name, change)?;
        match &value {
            Some(value) => after.insert(name.clone(), value.clone()),
            None => after.remove(name),
        };
        if before.get(name) != value.as_ref() {
            records.push(Record::Config(ConfigRecord {
                resource_type: ResourceType::Topic as i8,
                resource_name: topic.to_owned().into(),
                name: name.clone().into(),
                value: value.map(Into::into),
            }));
        }
    }
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

/// The override after the change; `None` if there is none.
fn changed(before: &Overrides, name: &str, change: &Change) -> Result<Option<String>, Refusal> {
    let (verb, words) = match change {
        Change::Set(value) => return Ok(Some(value.clone())),
        Change::Delete => return Ok(None),
        Change::Append(words) => ("APPEND", words),
        Change::Subtract(words) => ("SUBTRACT", words),
    };
    let row = topic_config::topic_key(name);
    let is_list = row.is_some_and(|row| row.key.kind == ConfigType::List);
    if !is_list {
        return Err(Refusal::new(
            ErrorCode::InvalidConfig,
            format!("Can't {verb} to key {name} because its type is not LIST."),
        ));
    }
    let now = before
        .get(name)
        .map_or(row.and_then(|row| row.key.default).unwrap_or(""), |v| v);
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
