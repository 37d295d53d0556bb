//! From records to text: what stands behind `key:` and `payload:`.

use std::io::Write;

use super::fatal::Fatal;
use super::{group_decoder, metadata_decoder, transaction_decoder};

/// A record, as far as decoders need it.
pub struct LogRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// What is printed of a record's content.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Behind `key:`.
    pub key: Option<String>,
    /// Behind `payload:`.
    pub payload: Option<String>,
}

/// How the records of a log are read.
pub enum Decoders {
    /// Keys and values each on their own.
    Plain {
        /// For keys.
        key: Plain,
        /// For values.
        value: Plain,
    },
    /// The records of `__consumer_offsets`.
    Offsets,
    /// The records of `__transaction_state`.
    Transactions,
    /// The records of `__cluster_metadata`.
    Metadata,
}

/// One of Kafka's ready-made decoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// UTF-8.
    Text,
    /// Four bytes.
    Integer,
    /// Eight bytes.
    Long,
    /// The bytes themselves, printed as Java prints an array.
    Bytes,
}

/// The decoder of a Java class name, old or new.
pub fn by_class(class: &str, out: &mut dyn Write) -> Result<Plain, Fatal> {
    let known = [
        ("StringDecoder", Plain::Text),
        ("IntegerDecoder", Plain::Integer),
        ("LongDecoder", Plain::Long),
        ("DefaultDecoder", Plain::Bytes),
    ];
    for (name, plain) in known {
        if class == format!("kafka.serializer.{name}") {
            writeln!(
                out,
                "{class} is deprecated. Please use org.apache.kafka.tools.api.{name} instead"
            )?;
            return Ok(plain);
        }
        if class == format!("org.apache.kafka.tools.api.{name}") {
            return Ok(plain);
        }
    }
    Err(Fatal::new("java.lang.ClassNotFoundException", class))
}

impl Plain {
    fn decode(self, bytes: &[u8]) -> Result<String, Fatal> {
        let underflow = || Fatal::bare("java.nio.BufferUnderflowException");
        match self {
            Self::Text => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Self::Integer => {
                let front = bytes.first_chunk().ok_or_else(underflow)?;
                Ok(i32::from_be_bytes(*front).to_string())
            }
            Self::Long => {
                let front = bytes.first_chunk().ok_or_else(underflow)?;
                Ok(i64::from_be_bytes(*front).to_string())
            }
            Self::Bytes => Ok(format!("[B@{:x}", bytes.len())),
        }
    }
}

impl Decoders {
    /// The text of a record's content.
    pub fn decode(&self, record: &LogRecord<'_>) -> Result<Decoded, Fatal> {
        match self {
            Self::Plain { key, value } => Ok(Decoded {
                key: record.key.map(|bytes| key.decode(bytes)).transpose()?,
                payload: record.value.map(|bytes| value.decode(bytes)).transpose()?,
            }),
            Self::Offsets => group_decoder::decode(record),
            Self::Transactions => transaction_decoder::decode(record),
            Self::Metadata => Ok(metadata_decoder::decode(record)),
        }
    }
}
