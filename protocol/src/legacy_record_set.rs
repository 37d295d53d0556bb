//! Record sets of the formats before batches: magic 0 and 1, of Kafka before 0.11. Old clients
//! still send and ask for them, and old segments may hold them.
//!
//! An entry is an offset, a size, and a message: CRC, magic, attributes, in magic 1 a timestamp,
//! key and value. A compressed entry is a wrapper: its value is a record set of its own. Wrappers
//! do not nest. Reading one decompresses it, within a limit on the whole set.

mod builder;
mod down_conversion;

pub use builder::{LegacyBuilder, LegacyMagic};
pub use down_conversion::{DownConversionError, down_convert, too_large_message};

use crate::batch::{Attributes, Compression, TimestampType};
use crate::checksum;
use crate::compression::{self, DecompressError};
use crate::ids::{Offset, TimestampMs};
use crate::wire::Decoder;

/// How many bytes stand before what the size field counts: offset and size.
const ENTRY_OVERHEAD: usize = 12;
/// Where the magic byte of an entry stands.
const MAGIC_AT: usize = 16;
/// The least size a message has: CRC, magic, attributes, two lengths.
const MESSAGE_BYTES_MIN: usize = 14;

/// A record of the old formats; of a wrapper, one of those inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LegacyRecord<'a> {
    /// Its offset in the log.
    pub offset: Offset,
    /// 0 or 1.
    pub magic: i8,
    /// Its timestamp; magic 0 has none.
    pub timestamp: Option<TimestampMs>,
    /// Who set the timestamp.
    pub timestamp_type: TimestampType,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its value; none makes it a tombstone.
    pub value: Option<&'a [u8]>,
}

/// What is wrong with a set of the old formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LegacyError {
    /// The set ends before its last entry does: in a log, a torn tail.
    #[error("the record set ends within an entry")]
    Truncated,
    /// An entry's size, or a field's within it, cannot be.
    #[error("a message is damaged: {0}")]
    Damaged(&'static str),
    /// The entry is a batch of magic 2, or nothing at all.
    #[error("the entry has magic {0}, neither 0 nor 1")]
    OtherMagic(i8),
    /// The CRC is not that of the message.
    #[error("the message says its CRC is {stored:#010x}, and it is {computed:#010x}")]
    Crc {
        /// What the message says.
        stored: u32,
        /// What its content has.
        computed: u32,
    },
    /// The content of wrappers is larger than the caller allows.
    #[error("the record set takes more than {limit} bytes when decompressed")]
    TooLarge {
        /// What the caller allows, in bytes.
        limit: usize,
    },
}

/// The magic byte of the record set at the front of `bytes`, old or new; None if it is cut short.
#[must_use]
pub fn magic_of(bytes: &[u8]) -> Option<i8> {
    bytes.get(MAGIC_AT).map(|&magic| magic as i8)
}

/// Reads every record of a set, wrappers opened, and gives each to `each` in the order of the set.
/// All wrappers together may hold at most `limit` bytes.
///
/// Records that come before something damaged are given before the error is returned.
pub fn read(
    set: &[u8],
    limit: usize,
    each: &mut dyn FnMut(LegacyRecord<'_>),
) -> Result<(), LegacyError> {
    let mut left = limit;
    let mut content = Vec::new();
    for entry in Entries::new(set) {
        let entry = entry?;
        match entry.compression()? {
            Compression::None => each(entry.record(entry.offset)),
            compression => {
                entry
                    .open(compression, left, &mut content)
                    .map_err(|error| match error {
                        DecompressError::Damaged => {
                            LegacyError::Damaged("its wrapper does not open")
                        }
                        DecompressError::TooLarge { .. } => LegacyError::TooLarge { limit },
                    })?;
                left -= content.len();
                read_inner(&entry, &content, each)?;
            }
        }
    }
    Ok(())
}

/// Reads the records in a wrapper. In magic 1 their offsets are relative, and the wrapper has the
/// offset of the last.
fn read_inner(
    wrapper: &Entry<'_>,
    content: &[u8],
    each: &mut dyn FnMut(LegacyRecord<'_>),
) -> Result<(), LegacyError> {
    let mut last = None;
    for entry in Entries::new(content) {
        let entry = entry?;
        if entry.magic != wrapper.magic {
            return Err(LegacyError::Damaged(
                "a wrapper holds messages of another format",
            ));
        }
        if entry.compression()? != Compression::None {
            return Err(LegacyError::Damaged("a wrapper holds a wrapper"));
        }
        last = Some(entry.offset);
    }
    let Some(last) = last else {
        return Err(LegacyError::Damaged("a wrapper is empty"));
    };
    // Some clients write a wrapper's offset as 0.
    let base = match wrapper.offset {
        _ if wrapper.magic == 0 => 0,
        Offset(0) => 0,
        offset if offset < last => {
            return Err(LegacyError::Damaged(
                "a wrapper's offset is below those in it",
            ));
        }
        offset => offset.0.wrapping_sub(last.0),
    };
    for entry in Entries::new(content) {
        let entry = entry?;
        let mut record = entry.record(Offset(entry.offset.0.wrapping_add(base)));
        if wrapper.timestamp_type() == TimestampType::LogAppendTime {
            record.timestamp = wrapper.timestamp;
            record.timestamp_type = TimestampType::LogAppendTime;
        }
        each(record);
    }
    Ok(())
}

/// One entry of a set: a record, or a wrapper of records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Its offset; of a wrapper, that of the last record in it.
    pub offset: Offset,
    /// 0 or 1.
    pub magic: i8,
    /// Compression and timestamp type; the other bits are not used.
    pub attributes: Attributes,
    /// Its timestamp, in magic 1; of a wrapper, the largest in it.
    pub timestamp: Option<TimestampMs>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; of a wrapper, the compressed set.
    pub value: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// How the entry is compressed: if at all, it is a wrapper.
    pub fn compression(&self) -> Result<Compression, LegacyError> {
        match self.attributes.compression() {
            Ok(Compression::Zstd) | Err(_) => Err(LegacyError::Damaged(
                "its compression type does not exist in its format",
            )),
            Ok(compression) => Ok(compression),
        }
    }

    /// Who set the timestamp.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.magic == 0 {
            TimestampType::CreateTime
        } else {
            self.attributes.timestamp_type()
        }
    }

    fn record(&self, offset: Offset) -> LegacyRecord<'a> {
        LegacyRecord {
            offset,
            magic: self.magic,
            timestamp: self.timestamp,
            timestamp_type: self.timestamp_type(),
            key: self.key,
            value: self.value,
        }
    }

    fn open(
        &self,
        compression: Compression,
        limit: usize,
        content: &mut Vec<u8>,
    ) -> Result<(), DecompressError> {
        let value = self.value.ok_or(DecompressError::Damaged)?;
        if self.magic == 0 {
            compression::decompress_magic_0(compression, value, limit, content)
        } else {
            compression::decompress(compression, value, limit, content)
        }
    }
}

/// Walks the entries of a set without opening wrappers, and checks each one's CRC. After an error
/// it ends; [`Entries::position`] then is where the bad entry begins.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    set: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Entries<'a> {
    /// Walks `set` from its beginning.
    #[must_use]
    pub const fn new(set: &'a [u8]) -> Self {
        Self {
            set,
            position: 0,
            failed: false,
        }
    }

    /// Where the next entry begins, in bytes from the beginning.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    fn read(&mut self) -> Result<Entry<'a>, LegacyError> {
        let mut decoder = Decoder::new(&self.set[self.position..]);
        let offset = Offset(decoder.i64());
        let size = decoder.i32();
        if decoder.status().is_err() {
            return Err(LegacyError::Truncated);
        }
        if size < MESSAGE_BYTES_MIN as i32 {
            return Err(LegacyError::Damaged("its size is too small"));
        }
        let message = decoder.take(size as usize);
        if decoder.status().is_err() {
            return Err(LegacyError::Truncated);
        }
        let entry = parse(offset, message)?;
        self.position += ENTRY_OVERHEAD + message.len();
        Ok(entry)
    }
}

fn parse(offset: Offset, message: &[u8]) -> Result<Entry<'_>, LegacyError> {
    let mut decoder = Decoder::new(message);
    let stored = decoder.u32();
    let covered = decoder.rest();
    let magic = decoder.i8();
    if magic != 0 && magic != 1 {
        return Err(LegacyError::OtherMagic(magic));
    }
    let computed = checksum::crc32(covered);
    if stored != computed {
        return Err(LegacyError::Crc { stored, computed });
    }
    let attributes = Attributes(i16::from(decoder.i8()));
    let timestamp = (magic == 1).then(|| TimestampMs(decoder.i64()));
    let key = read_bytes(&mut decoder)?;
    let value = read_bytes(&mut decoder)?;
    match decoder.expect_end() {
        Ok(()) => Ok(Entry {
            offset,
            magic,
            attributes,
            timestamp,
            key,
            value,
        }),
        Err(_) => Err(LegacyError::Damaged("its fields do not fill its size")),
    }
}

fn read_bytes<'a>(decoder: &mut Decoder<'a>) -> Result<Option<&'a [u8]>, LegacyError> {
    match decoder.i32() {
        -1 => Ok(None),
        len => match usize::try_from(len) {
            Ok(len) => Ok(Some(decoder.take(len))),
            Err(_) => Err(LegacyError::Damaged("a length is negative")),
        },
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, LegacyError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.position == self.set.len() {
            return None;
        }
        let entry = self.read();
        self.failed = entry.is_err();
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
