//! Records for clients that know only the formats before batches: read from the log, converted a
//! stretch at a time on another thread, and sent from memory (KIP-283).
//!
//! Invariant: what one partition's answer takes is bounded by the bytes that the client allowed,
//! or by its first batch.

use bytes::Bytes;
use engine::LogSlice;
use protocol::batch::{BatchError, BatchHeader, BatchView};
use protocol::error::ErrorCode;
use protocol::ids::Offset;
use protocol::legacy_record_set::{
    DownConversionError, Entries, LegacyBuilder, LegacyMagic, down_convert, read, too_large_message,
};

use crate::kafka_error;

/// How much of the log is read and converted at a time; a larger batch is one stretch.
const STRETCH_BYTES: u32 = 128 << 10;
/// A batch's records may take so much when decompressed.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// What conversion goes by.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// The format the client knows.
    pub magic: LegacyMagic,
    /// The first offset it wants.
    pub from: Offset,
}

/// A stretch of the log, converted.
struct Converted {
    set: Vec<u8>,
    /// How many bytes of the log it covers; 0 if not even one batch was whole.
    bytes_read: usize,
    /// What the first batch alone has become, in bytes.
    first_bytes: usize,
    /// Why it went no further.
    stopped_by: Option<ErrorCode>,
}

/// What a slice of the log is in an old format, at most as long as the slice or as its first batch.
pub async fn convert(slice: LogSlice, wanted: Wanted) -> Result<Vec<u8>, ErrorCode> {
    let mut set = Vec::new();
    let mut at = 0;
    let mut bytes_max = slice.len as usize;
    while at < slice.len && set.len() < bytes_max {
        let mut converted = next(&slice, at, wanted, STRETCH_BYTES).await?;
        if converted.bytes_read == 0 && converted.stopped_by.is_none() {
            converted = next(&slice, at, wanted, slice.len).await?;
        }
        if set.is_empty() {
            bytes_max = bytes_max.max(converted.first_bytes);
        }
        set.append(&mut converted.set);
        at += converted.bytes_read as u32;
        match converted.stopped_by {
            Some(error) if set.is_empty() => return Err(error),
            Some(_) => break,
            None if converted.bytes_read == 0 => break,
            None => {}
        }
    }
    set.truncate(bytes_max);
    if set.is_empty() && at > 0 {
        set = too_large_message();
    }
    Ok(set)
}

/// Converts what is whole in the next `bytes_max` bytes.
async fn next(
    slice: &LogSlice,
    at: u32,
    wanted: Wanted,
    bytes_max: u32,
) -> Result<Converted, ErrorCode> {
    let stretch = LogSlice {
        position: slice.position + u64::from(at),
        len: (slice.len - at).min(bytes_max),
        ..slice.clone()
    };
    let bytes = stretch.bytes().await;
    let bytes = bytes.map_err(|error| kafka_error::of_io(&error))?.freeze();
    Ok(ring::compute(move || convert_stretch(&bytes, wanted)).await)
}

fn convert_stretch(bytes: &Bytes, wanted: Wanted) -> Converted {
    let mut converted = Converted {
        set: Vec::new(),
        bytes_read: 0,
        first_bytes: 0,
        stopped_by: None,
    };
    while converted.bytes_read < bytes.len() {
        let (set, bytes_read) = match convert_one(&bytes[converted.bytes_read..], wanted) {
            Ok(Some(one)) => one,
            Ok(None) => break,
            Err(error) => {
                converted.stopped_by = Some(error);
                break;
            }
        };
        if converted.set.is_empty() {
            converted.first_bytes = set.len();
        }
        converted.set.extend_from_slice(&set);
        converted.bytes_read += bytes_read;
    }
    converted
}

/// The first batch in the old format, and its size in the log; `None` if it is not whole.
fn convert_one(bytes: &[u8], wanted: Wanted) -> Result<Option<(Vec<u8>, usize)>, ErrorCode> {
    match BatchHeader::parse(bytes) {
        Err(BatchError::Truncated { .. }) => return Ok(None),
        Err(BatchError::OtherMagic(0 | 1)) => return convert_old(bytes, wanted.magic),
        Err(_) => return Err(ErrorCode::CorruptMessage),
        Ok(_) => {}
    }
    let batch = match BatchView::first_of(bytes) {
        Ok(batch) => batch,
        Err(BatchError::Truncated { .. }) => return Ok(None),
        Err(_) => return Err(ErrorCode::CorruptMessage),
    };
    match down_convert(&batch, wanted.magic, wanted.from, DECOMPRESSED_BYTES_MAX) {
        Ok(set) => Ok(Some((set, batch.bytes.len()))),
        Err(DownConversionError::Zstandard) => Err(ErrorCode::UnsupportedCompressionType),
        Err(DownConversionError::Batch(_)) => Err(ErrorCode::CorruptMessage),
    }
}

/// A message that the log holds in an old format, as an adopted one may.
fn convert_old(bytes: &[u8], magic: LegacyMagic) -> Result<Option<(Vec<u8>, usize)>, ErrorCode> {
    let mut entries = Entries::new(bytes);
    let Some(Ok(entry)) = entries.next() else {
        return Ok(None);
    };
    let message = &bytes[..entries.position()];
    if entry.magic == 0 || magic == LegacyMagic::V1 {
        return Ok(Some((message.to_vec(), message.len())));
    }
    let compression = entry.compression().map_err(|_| ErrorCode::CorruptMessage)?;
    let mut builder = LegacyBuilder::new(magic, compression, None);
    read(message, DECOMPRESSED_BYTES_MAX, &mut |record| {
        builder.append(
            record.offset,
            record.timestamp.unwrap_or_default(),
            record.key,
            record.value,
        );
    })
    .map_err(|_| ErrorCode::CorruptMessage)?;
    Ok(Some((builder.finish(), message.len())))
}
