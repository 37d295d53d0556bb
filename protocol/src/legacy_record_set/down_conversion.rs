//! Batches of format 2 for clients that know only the old formats: headers and control records are
//! left out, and Zstandard cannot be said in them.

use super::{LegacyBuilder, LegacyMagic};
use crate::batch::{BatchError, BatchView, Compression, RecordView, TimestampType};
use crate::ids::Offset;

/// Why a batch cannot be said in an old format.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DownConversionError {
    /// It is compressed with Zstandard.
    #[error("the old formats have no Zstandard")]
    Zstandard,
    /// It is damaged, or its records take too much.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// A batch as a set of an old format; empty if nothing of it is to be said there. Records before
/// `from` are left out if the batch is not compressed, as old clients expect. Decompressed, the
/// records may take `bytes_max`.
pub fn down_convert(
    batch: &BatchView<'_>,
    magic: LegacyMagic,
    from: Offset,
    bytes_max: usize,
) -> Result<Vec<u8>, DownConversionError> {
    let header = &batch.header;
    if header.attributes.is_control() {
        return Ok(Vec::new());
    }
    let compression = batch.compression()?;
    if compression == Compression::Zstd {
        return Err(DownConversionError::Zstandard);
    }
    let log_append_time = match header.attributes.timestamp_type() {
        TimestampType::CreateTime => None,
        TimestampType::LogAppendTime => Some(header.max_timestamp),
    };
    let mut builder = LegacyBuilder::new(magic, compression, log_append_time);
    let mut scratch = Vec::new();
    for record in batch.records_in(&mut scratch, bytes_max)? {
        let RecordView {
            offset,
            timestamp,
            key,
            value,
            ..
        } = record?;
        if compression != Compression::None || offset >= from {
            builder.append(offset, timestamp, key, value);
        }
    }
    Ok(builder.finish())
}

/// What an old client gets where there are records but none that can be said to it: a message that
/// says it is larger than what is there, so that the client knows that it is not at the end.
#[must_use]
pub fn too_large_message() -> Vec<u8> {
    /// More than what follows, and a size that a batch can have.
    const SIZE: i32 = 61;
    let mut out = (-1_i64).to_be_bytes().to_vec();
    out.extend_from_slice(&SIZE.to_be_bytes());
    out
}
