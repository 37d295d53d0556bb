//! The records of `__cluster_metadata`.

use protocol::wire::Decoder;

use super::decoder::{Decoded, LogRecord};
use super::json::{Json, read_message};
use super::layouts;

const FRAME_VERSION: u32 = 1;

/// A metadata record as JSON, or a line that says why not.
pub fn decode(record: &LogRecord<'_>) -> Decoded {
    let payload = match json(record.value.unwrap_or_default()) {
        Ok(json) => json.to_string(),
        Err(reason) => format!("Error at {}, skipping. {reason}", record.offset),
    };
    Decoded {
        key: None,
        payload: Some(payload),
    }
}

fn json(value: &[u8]) -> Result<Json, String> {
    let mut input = Decoder::new(value);
    let frame = number(&mut input, "frame version")?;
    if frame == 0 {
        return Err(
            "Could not deserialize metadata record with frame version 0. Note that \
                    upgrades from the preview release of KRaft in 2.8 to newer versions are not \
                    supported."
                .into(),
        );
    }
    if u32::from(frame.unsigned_abs()) != FRAME_VERSION {
        return Err(format!(
            "Could not deserialize metadata record due to unknown frame version {frame}\
             (only frame version {FRAME_VERSION} is supported)"
        ));
    }
    let key = number(&mut input, "type")?;
    let version = number(&mut input, "version")?;
    let Some(message) = layouts::by_key(key) else {
        return Err(format!(
            "org.apache.kafka.common.errors.UnsupportedVersionException: \
             Unknown metadata id {key}"
        ));
    };
    let (data, left) = read_message(message, input.rest(), version)
        .map_err(|_| format!("Failed to deserialize record with type {key}"))?;
    if left > 0 {
        return Err(format!("Found {left} byte(s) of garbage after {key}"));
    }
    Ok(Json::object([
        ("type", Json::Text(type_name(message.name))),
        ("version", Json::Whole(version.into())),
        ("data", data),
    ]))
}

fn number(input: &mut Decoder<'_>, what: &str) -> Result<i16, String> {
    let number = input.unsigned_varint();
    if input.status().is_err() {
        return Err(format!("Error while reading {what}"));
    }
    i16::try_from(number).map_err(|_| format!("Value for {what} was too large."))
}

/// `NoOpRecord` as `NO_OP_RECORD`.
fn type_name(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}
