//! The records of `__consumer_offsets`.

use super::decoder::{Decoded, LogRecord};
use super::fatal::Fatal;
use super::json::{Json, message_json};

/// Key and value by the version that the key begins with.
const SCHEMAS: [(&str, &str); 9] = [
    ("OffsetCommitKey", "OffsetCommitValue"),
    ("OffsetCommitKey", "OffsetCommitValue"),
    ("GroupMetadataKey", "GroupMetadataValue"),
    ("ConsumerGroupMetadataKey", "ConsumerGroupMetadataValue"),
    (
        "ConsumerGroupPartitionMetadataKey",
        "ConsumerGroupPartitionMetadataValue",
    ),
    (
        "ConsumerGroupMemberMetadataKey",
        "ConsumerGroupMemberMetadataValue",
    ),
    (
        "ConsumerGroupTargetAssignmentMetadataKey",
        "ConsumerGroupTargetAssignmentMetadataValue",
    ),
    (
        "ConsumerGroupTargetAssignmentMemberKey",
        "ConsumerGroupTargetAssignmentMemberValue",
    ),
    (
        "ConsumerGroupCurrentMemberAssignmentKey",
        "ConsumerGroupCurrentMemberAssignmentValue",
    ),
];

/// The protocol whose subscriptions and assignments are known.
const CONSUMER_PROTOCOL: &str = "consumer";

/// Key and value as JSON, or a line that says why not.
pub fn decode(record: &LogRecord<'_>) -> Result<Decoded, Fatal> {
    let Some(key) = record.key else {
        return Err(Fatal::new(
            "java.lang.RuntimeException",
            format!(
                "Failed to decode message at offset {} using offset topic decoder \
                 (message had a missing key)",
                record.offset
            ),
        ));
    };
    Ok(match texts(key, record.value) {
        Ok((key, payload)) => Decoded {
            key: Some(key),
            payload: Some(payload),
        },
        Err(Unreadable::Kind(kind)) => only_key(format!(
            "Unknown record type {kind} at offset {}, skipping.",
            record.offset
        )),
        Err(Unreadable::Damaged(reason)) => only_key(format!(
            "Error at offset {}, skipping. {reason}",
            record.offset
        )),
    })
}

fn only_key(key: String) -> Decoded {
    Decoded {
        key: Some(key),
        payload: None,
    }
}

enum Unreadable {
    Kind(i16),
    Damaged(String),
}

fn texts(key: &[u8], value: Option<&[u8]>) -> Result<(String, String), Unreadable> {
    let (kind, key) = versioned(key, "key")?;
    let at = usize::try_from(kind).ok().filter(|at| *at < SCHEMAS.len());
    let (key_schema, value_schema) = SCHEMAS[at.ok_or(Unreadable::Kind(kind))?];
    let key = read(key_schema, key, kind, "key")?;
    let key = Json::object([("type", Json::Text(kind.to_string())), ("data", key)]);
    let Some(value) = value else {
        return Ok((key.to_string(), "<DELETE>".into()));
    };
    let (version, value) = versioned(value, "value")?;
    let mut value = read(value_schema, value, version, "value")?;
    if value_schema == "GroupMetadataValue" {
        open_members(&mut value);
    }
    let value = Json::object([
        ("version", Json::Text(version.to_string())),
        ("data", value),
    ]);
    Ok((key.to_string(), value.to_string()))
}

fn versioned<'a>(bytes: &'a [u8], what: &str) -> Result<(i16, &'a [u8]), Unreadable> {
    match bytes.split_first_chunk() {
        Some((version, rest)) => Ok((i16::from_be_bytes(*version), rest)),
        None => Err(Unreadable::Damaged(format!(
            "Could not read version from {what}'s buffer."
        ))),
    }
}

fn read(schema: &str, bytes: &[u8], version: i16, what: &str) -> Result<Json, Unreadable> {
    message_json(schema, bytes, version).map_err(|reason| {
        Unreadable::Damaged(format!(
            "Could not read record with version {version} from {what}'s buffer due to: {reason}."
        ))
    })
}

/// Puts what members of a consumer group subscribe to and were assigned in place of its bytes.
fn open_members(group: &mut Json) {
    let is_consumer =
        group.member("protocolType") == Some(&mut Json::Text(CONSUMER_PROTOCOL.into()));
    let Some(Json::Array(members)) = group.member("members").filter(|_| is_consumer) else {
        return;
    };
    for member in members {
        open(member, "subscription", "ConsumerProtocolSubscription");
        open(member, "assignment", "ConsumerProtocolAssignment");
    }
}

/// What cannot be read stays as bytes.
fn open(member: &mut Json, field: &str, schema: &str) {
    let Some(value) = member.member(field) else {
        return;
    };
    let Json::Bytes(bytes) = value else { return };
    let Some((version, rest)) = bytes.split_first_chunk() else {
        return;
    };
    if let Ok(json) = message_json(schema, rest, i16::from_be_bytes(*version)) {
        *value = json;
    }
}
