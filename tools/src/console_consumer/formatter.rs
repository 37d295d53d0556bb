//! How a record is printed: by Kafka's default formatter with its properties, by those for internal
//! topics, or not at all.

use std::collections::BTreeMap;
use std::io::{self, Write};

use protocol::batch::TimestampType;
use serde_json::{Value, json};

use super::fetcher::Record;
use super::internal_records::Internal;
use crate::connect::Output;
use crate::failure::Failure;

/// How records are printed.
pub enum Formatter {
    /// With what the properties ask for.
    Default(Box<Columns>),
    /// All that there is of it, as one JSON object a line.
    Json(Box<Columns>),
    /// As the records of an internal topic; Kafka's formatters put nothing between them.
    Internal(Internal, &'static str),
    /// Not at all.
    NoOp,
}

/// What is printed of a record, and what between.
pub struct Columns {
    timestamp: bool,
    key: bool,
    value: bool,
    partition: bool,
    offset: bool,
    headers: bool,
    key_separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
    key_deserializer: Deserializer,
    value_deserializer: Deserializer,
    headers_deserializer: Deserializer,
}

/// What bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deserializer {
    Bytes,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
}

impl Formatter {
    /// The formatter of this Java class, or the same for programs.
    pub fn new(
        class: &str,
        properties: &BTreeMap<String, String>,
        output: &Output,
    ) -> Result<Formatter, Failure> {
        if let Some(internal) = Internal::of_class(class) {
            let end = if output.is_json() { "\n" } else { "" };
            return Ok(Formatter::Internal(internal, end));
        }
        let columns = || Box::new(Columns::new(properties));
        match class.rsplit('.').next().unwrap_or_default() {
            "DefaultMessageFormatter" if output.is_json() => Ok(Formatter::Json(columns())),
            "DefaultMessageFormatter" => Ok(Formatter::Default(columns())),
            "NoOpMessageFormatter" => Ok(Formatter::NoOp),
            _ => Err(Failure::usage(format!(
                "This tool has no formatter {class}: it has the Default-, NoOp-, Offsets-, \
                 GroupMetadata- and TransactionLogMessageFormatter"
            ))),
        }
    }

    /// Prints a record; false if its bytes are not what is expected.
    pub fn write(&self, record: &Record, out: &mut dyn Write) -> io::Result<bool> {
        match self {
            Formatter::NoOp => Ok(true),
            Formatter::Internal(internal, end) => match internal.text(record) {
                Ok(Some(text)) => write!(out, "{text}{end}").map(|()| true),
                Ok(None) => Ok(true),
                Err(_) => Ok(false),
            },
            Formatter::Json(columns) => match columns.json(record) {
                Some(json) => writeln!(out, "{json}").map(|()| true),
                None => Ok(false),
            },
            Formatter::Default(columns) => match columns.line(record) {
                Some(line) => out.write_all(&line).map(|()| true),
                None => Ok(false),
            },
        }
    }
}

impl Columns {
    fn new(properties: &BTreeMap<String, String>) -> Columns {
        let flag = |key: &str, default| match properties.get(key) {
            Some(text) => text.trim().eq_ignore_ascii_case("true"),
            None => default,
        };
        let text = |key: &str, default: &str| {
            let given = properties.get(key);
            given.map_or(default, String::as_str).to_owned()
        };
        let deserializer = |key: &str| match properties.get(key) {
            Some(class) => Deserializer::of_class(class),
            None => Deserializer::Bytes,
        };
        Columns {
            timestamp: flag("print.timestamp", false),
            key: flag("print.key", false),
            value: flag("print.value", true),
            partition: flag("print.partition", false),
            offset: flag("print.offset", false),
            headers: flag("print.headers", false),
            key_separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            key_deserializer: deserializer("key.deserializer"),
            value_deserializer: deserializer("value.deserializer"),
            headers_deserializer: deserializer("headers.deserializer"),
        }
    }

    /// The columns asked for; the last one is followed by the line separator.
    fn line(&self, record: &Record) -> Option<Vec<u8>> {
        let mut columns: Vec<Vec<u8>> = Vec::new();
        if self.timestamp {
            let text = match record.timestamp {
                Some((kind, time)) => format!("{}:{time}", name_of(kind)),
                None => "NO_TIMESTAMP".to_owned(),
            };
            columns.push(text.into_bytes());
        }
        if self.partition {
            columns.push(format!("Partition:{}", record.at.partition).into_bytes());
        }
        if self.offset {
            columns.push(format!("Offset:{}", record.offset).into_bytes());
        }
        if self.headers {
            columns.push(self.headers(record)?);
        }
        if self.key {
            columns.push(self.text(self.key_deserializer, record.key.as_deref())?);
        }
        if self.value {
            columns.push(self.text(self.value_deserializer, record.value.as_deref())?);
        }
        let mut line = columns.join(self.key_separator.as_bytes());
        if !columns.is_empty() {
            line.extend_from_slice(self.line_separator.as_bytes());
        }
        Some(line)
    }

    /// Bytes that are no text have replacement characters where they are not.
    fn json(&self, record: &Record) -> Option<Value> {
        let text = |deserializer: Deserializer, bytes: &Option<Vec<u8>>| {
            let Some(bytes) = bytes else {
                return Some(Value::Null);
            };
            let text = deserializer.text(bytes)?;
            Some(Value::from(String::from_utf8_lossy(&text)))
        };
        let header = |(name, value): &(String, Option<Vec<u8>>)| {
            Some(json!({"key": name, "value": text(self.headers_deserializer, value)?}))
        };
        let headers: Option<Vec<Value>> = record.headers.iter().map(header).collect();
        Some(json!({
            "topic": record.at.topic,
            "partition": record.at.partition,
            "offset": record.offset,
            "timestampType": record.timestamp.map(|(kind, _)| name_of(kind)),
            "timestamp": record.timestamp.map(|(_, time)| time),
            "headers": headers?,
            "key": text(self.key_deserializer, &record.key)?,
            "value": text(self.value_deserializer, &record.value)?,
        }))
    }

    fn headers(&self, record: &Record) -> Option<Vec<u8>> {
        if record.headers.is_empty() {
            return Some(b"NO_HEADERS".to_vec());
        }
        let header = |(name, value): &(String, Option<Vec<u8>>)| {
            let mut text = format!("{name}:").into_bytes();
            text.extend(self.text(self.headers_deserializer, value.as_deref())?);
            Some(text)
        };
        let headers: Option<Vec<Vec<u8>>> = record.headers.iter().map(header).collect();
        Some(headers?.join(self.headers_separator.as_bytes()))
    }

    fn text(&self, deserializer: Deserializer, bytes: Option<&[u8]>) -> Option<Vec<u8>> {
        match bytes {
            None => Some(self.null_literal.as_bytes().to_vec()),
            Some(bytes) => deserializer.text(bytes),
        }
    }
}

fn name_of(kind: TimestampType) -> &'static str {
    match kind {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

impl Deserializer {
    fn of_class(class: &str) -> Deserializer {
        let name = class.strip_prefix("org.apache.kafka.common.serialization.");
        match name.unwrap_or(class) {
            "StringDeserializer" => Deserializer::Bytes,
            "ShortDeserializer" => Deserializer::Short,
            "IntegerDeserializer" => Deserializer::Integer,
            "LongDeserializer" => Deserializer::Long,
            "FloatDeserializer" => Deserializer::Float,
            "DoubleDeserializer" => Deserializer::Double,
            "BooleanDeserializer" => Deserializer::Boolean,
            _ => {
                eprintln!("ERROR Unable to instantiate a deserializer from {class}");
                Deserializer::Bytes
            }
        }
    }

    /// None if there are not as many bytes as the type has.
    fn text(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let text = match self {
            Deserializer::Bytes => return Some(bytes.to_vec()),
            Deserializer::Short => i16::from_be_bytes(bytes.try_into().ok()?).to_string(),
            Deserializer::Integer => i32::from_be_bytes(bytes.try_into().ok()?).to_string(),
            Deserializer::Long => i64::from_be_bytes(bytes.try_into().ok()?).to_string(),
            Deserializer::Float => {
                format!("{:?}", f32::from_be_bytes(bytes.try_into().ok()?))
            }
            Deserializer::Double => {
                let value = f64::from_be_bytes(bytes.try_into().ok()?);
                controller::config_key::java_double(value)
            }
            Deserializer::Boolean => match bytes {
                [0] => "false".to_owned(),
                [1] => "true".to_owned(),
                _ => return None,
            },
        };
        Some(text.into_bytes())
    }
}
