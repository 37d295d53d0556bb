//! Messages of the formats before batches, with what the library's reader leaves out: the CRC of
//! each, right or wrong.
//!
//! A compressed message wraps others. In magic 1 their offsets are relative to the first, and
//! the wrapper has the offset of the last.

use protocol::batch::{Attributes, Compression, TimestampType};
use protocol::legacy_record_set;
use protocol::{checksum, compression};

use super::fatal::Fatal;

/// Offset and size, which the size does not count.
const OVERHEAD: usize = 12;
/// The most that a wrapper may hold.
const WRAPPED_BYTES_MAX: usize = i32::MAX as usize;
const NO_TIMESTAMP: i64 = -1;

/// One message, with or without a wrapper around it.
pub struct Message<'a> {
    /// Its offset, as it stands there.
    pub offset: i64,
    /// Its format: 0 or 1.
    pub magic: i8,
    /// Codec and timestamp type.
    pub attributes: Attributes,
    /// -1 in format 0.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value, or the messages it wraps.
    pub value: Option<&'a [u8]>,
    /// What it says its CRC is.
    pub crc: u32,
    /// Whether that is so.
    pub is_valid: bool,
}

/// Takes bytes from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Fatal> {
        match self.0.split_at_checked(len) {
            Some((front, rest)) => {
                self.0 = rest;
                Ok(front)
            }
            None => Err(Fatal::bare("java.nio.BufferUnderflowException")),
        }
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], Fatal> {
        Ok(self.take(N)?.try_into().expect("so many were taken"))
    }

    fn bytes(&mut self) -> Result<Option<&'a [u8]>, Fatal> {
        match i32::from_be_bytes(self.number()?) {
            negative if negative < 0 => Ok(None),
            len => Ok(Some(self.take(len as usize)?)),
        }
    }
}

impl<'a> Message<'a> {
    /// Reads the message at the front of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Fatal> {
        let mut input = Input(bytes);
        let offset = i64::from_be_bytes(input.number()?);
        let size = i32::from_be_bytes(input.number()?);
        let mut message = Input(input.take(size.max(0) as usize)?);
        let crc = u32::from_be_bytes(message.number()?);
        let is_valid = checksum::crc32(message.0) == crc;
        let [magic, attributes] = message.number()?;
        let magic = magic as i8;
        let timestamp = match magic {
            0 => NO_TIMESTAMP,
            _ => i64::from_be_bytes(message.number()?),
        };
        let (key, value) = (message.bytes()?, message.bytes()?);
        let attributes = Attributes(i16::from(attributes as i8));
        Ok(Self {
            offset,
            magic,
            attributes,
            timestamp,
            key,
            value,
            crc,
            is_valid,
        })
    }

    /// The name that is printed for the timestamp's type.
    pub fn timestamp_type_name(&self) -> &'static str {
        match self.magic {
            0 => "NoTimestampType",
            _ => super::batch_line::timestamp_type_name(self.attributes.timestamp_type()),
        }
    }

    /// How many bytes it takes.
    fn size(&self, bytes: &[u8]) -> usize {
        let size = i32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        OVERHEAD + size.max(0) as usize
    }

    /// Gives the message, or those it wraps, to `each` with the offset they have in the log.
    pub fn for_each(
        &self,
        bytes: &[u8],
        each: &mut dyn FnMut(&Message<'_>) -> Result<(), Fatal>,
    ) -> Result<(), Fatal> {
        let codec = self
            .attributes
            .compression()
            .map_err(|error| Fatal::corrupt_record(error.to_string()))?;
        match (codec, self.magic) {
            (Compression::None, _) => each(self),
            (_, 0) => for_each_of_magic_0(bytes, each),
            (codec, _) => self.for_each_wrapped(codec, each),
        }
    }

    fn for_each_wrapped(
        &self,
        codec: Compression,
        each: &mut dyn FnMut(&Message<'_>) -> Result<(), Fatal>,
    ) -> Result<(), Fatal> {
        let mut content = Vec::new();
        let value = self.value.unwrap_or_default();
        compression::decompress(codec, value, WRAPPED_BYTES_MAX, &mut content)
            .map_err(|error| Fatal::corrupt_record(error.to_string()))?;
        let mut wrapped = Vec::new();
        let mut rest = &content[..];
        while !rest.is_empty() {
            let message = Message::parse(rest)?;
            rest = &rest[message.size(rest)..];
            wrapped.push(message);
        }
        let Some(last) = wrapped.last().map(|message| message.offset) else {
            return Err(Fatal::invalid_record(
                "Found no records in the compressed set",
            ));
        };
        for message in &mut wrapped {
            message.offset += self.offset - last;
            if self.attributes.timestamp_type() == TimestampType::LogAppendTime {
                message.timestamp = self.timestamp;
            }
            each(message)?;
        }
        Ok(())
    }
}

/// Opens a wrapper of format 0, whose LZ4 frames need the library's own reader. It gives no CRC,
/// but format 0 leaves only one that can be.
fn for_each_of_magic_0(
    bytes: &[u8],
    each: &mut dyn FnMut(&Message<'_>) -> Result<(), Fatal>,
) -> Result<(), Fatal> {
    let mut result = Ok(());
    let read = legacy_record_set::read(bytes, WRAPPED_BYTES_MAX, &mut |record| {
        if result.is_err() {
            return;
        }
        let (key, value) = (record.key, record.value);
        result = each(&Message {
            offset: record.offset.0,
            magic: 0,
            attributes: Attributes(0),
            timestamp: NO_TIMESTAMP,
            key,
            value,
            crc: crc_of_magic_0(key, value),
            is_valid: true,
        });
    });
    read.map_err(|error| Fatal::corrupt_record(error.to_string()))?;
    result
}

fn crc_of_magic_0(key: Option<&[u8]>, value: Option<&[u8]>) -> u32 {
    let mut covered = vec![0, 0];
    for bytes in [key, value] {
        let len = bytes.map_or(-1, |bytes| bytes.len() as i32);
        covered.extend_from_slice(&len.to_be_bytes());
        covered.extend_from_slice(bytes.unwrap_or_default());
    }
    checksum::crc32(&covered)
}
