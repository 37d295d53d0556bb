//! Records of Kafka's internal topics as JSON, as kafka-console-consumer's formatters for them
//! print it: one after the other, without line breaks between them.

use super::fetcher::Record;
use crate::dump_log::json::{Json, message_json};
use crate::dump_log::layouts;

/// Whose records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Internal {
    /// Committed offsets, of `__consumer_offsets`.
    Offsets,
    /// Groups, of `__consumer_offsets`.
    Groups,
    /// Transactions, of `__transaction_state`.
    Transactions,
}

impl Internal {
    /// What the formatter of this class prints, if it is one of these.
    pub fn of_class(class: &str) -> Option<Internal> {
        match class.rsplit(['.', '$']).next().unwrap_or_default() {
            "OffsetsMessageFormatter" => Some(Internal::Offsets),
            "GroupMetadataMessageFormatter" => Some(Internal::Groups),
            "TransactionLogMessageFormatter" => Some(Internal::Transactions),
            _ => None,
        }
    }

    /// The record, nothing if it is of another kind, or what is wrong with it.
    pub fn text(self, record: &Record) -> Result<Option<String>, String> {
        let key = match &record.key {
            None => Json::Null,
            Some(key) => match self.key(key)? {
                Some(key) => key,
                None => return Ok(None),
            },
        };
        let value = match &record.value {
            None => Json::Null,
            Some(value) => read(&[self.value_schema()], value)?.1,
        };
        Ok(Some(
            Json::object([("key", key), ("value", value)]).to_string(),
        ))
    }

    fn key(self, bytes: &[u8]) -> Result<Option<Json>, String> {
        let (own, other) = match self {
            Internal::Offsets => ("OffsetCommitKey", "GroupMetadataKey"),
            Internal::Groups => ("GroupMetadataKey", "OffsetCommitKey"),
            Internal::Transactions => {
                return Ok(Some(read(&["TransactionLogKey"], bytes)?.1));
            }
        };
        let (schema, key) = read(&[own, other], bytes)?;
        Ok((schema != Some(other)).then_some(key))
    }

    fn value_schema(self) -> &'static str {
        match self {
            Internal::Offsets => "OffsetCommitValue",
            Internal::Groups => "GroupMetadataValue",
            Internal::Transactions => "TransactionLogValue",
        }
    }
}

/// Two bytes of version and a message of the first schema that has it.
fn read(schemas: &[&'static str], bytes: &[u8]) -> Result<(Option<&'static str>, Json), String> {
    let Some((version, rest)) = bytes.split_first_chunk() else {
        return Err("a record of an internal topic begins with a version".to_owned());
    };
    let version = i16::from_be_bytes(*version);
    let has_version = |name: &&'static str| {
        layouts::by_name(name).is_some_and(|message| message.versions.contains(&version))
    };
    let schema = schemas.iter().copied().find(has_version);
    let data = match schema {
        Some(schema) => message_json(schema, rest, version)?,
        None => Json::Text("unknown".to_owned()),
    };
    let version = Json::Whole(version.into());
    Ok((schema, Json::object([("version", version), ("data", data)])))
}
