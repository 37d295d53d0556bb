//! Compresses and decompresses what a batch holds, in the framings that Kafka's clients use.
//!
//! The data path never decompresses; strict validation, compaction, conversion of old formats and
//! tools do. Invariant: decompressing takes no more memory than the caller's limit and a small
//! constant, whatever the input says of itself.

mod lz4;
mod snappy;

pub use crate::batch::Compression;
pub(crate) use lz4::HeaderChecksum;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::io::{Read, Write};

/// The level at which Kafka compresses with Zstandard, if it is not told one.
const ZSTD_LEVEL: i32 = 3;
/// How much to allow for at first, where the input does not say how large its content is.
const FIRST_GUESS_BYTES: usize = 64 * 1024;
/// How much is read from a stream at once.
const STEP_BYTES: usize = 64 * 1024;

/// Why something cannot be decompressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecompressError {
    /// It is not what its compression type makes, or is cut short.
    #[error("the compressed data is damaged")]
    Damaged,
    /// Its content is larger than the caller allows.
    #[error("the decompressed data takes more than {limit} bytes")]
    TooLarge {
        /// What the caller allows, in bytes.
        limit: usize,
    },
}

/// Puts the content of `input`, at most `limit` bytes, into `out` in place of what was there.
pub fn decompress(
    compression: Compression,
    input: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    out.clear();
    match compression {
        Compression::None => {
            if input.len() > limit {
                return Err(DecompressError::TooLarge { limit });
            }
            out.extend_from_slice(input);
            Ok(())
        }
        Compression::Gzip => gunzip(input, limit, out),
        Compression::Snappy => snappy::decompress(input, limit, out),
        Compression::Lz4 => lz4::decompress(input, HeaderChecksum::Checked, limit, out),
        Compression::Zstd => unzstd(input, limit, out),
    }
}

/// The same for what stands in a message of magic 0, whose LZ4 frames have a wrong header
/// checksum.
pub(crate) fn decompress_magic_0(
    compression: Compression,
    input: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    if compression != Compression::Lz4 {
        return decompress(compression, input, limit, out);
    }
    out.clear();
    lz4::decompress(input, HeaderChecksum::Ignored, limit, out)
}

/// Makes the header checksum of an LZ4 frame the wrong one that clients of magic 0 expect.
pub(crate) fn break_lz4_header_checksum(frame: &mut [u8]) {
    lz4::break_header_checksum(frame);
}

/// How to compress: the codec, and how hard it tries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Encoding {
    /// The codec.
    pub compression: Compression,
    /// gzip's 1 to 9, LZ4's 1 to 17, Zstandard's -131072 to 22; the codec's own default if `None` or
    /// out of its range. Snappy has no levels.
    pub level: Option<i32>,
}

impl From<Compression> for Encoding {
    fn from(compression: Compression) -> Self {
        Self {
            compression,
            level: None,
        }
    }
}

/// Appends `input` to `out`, compressed as Kafka's clients expect it.
///
/// # Panics
/// If memory runs out, or Zstandard cannot be set up.
pub fn compress(encoding: impl Into<Encoding>, input: &[u8], out: &mut Vec<u8>) {
    let Encoding { compression, level } = encoding.into();
    match compression {
        Compression::None => out.extend_from_slice(input),
        Compression::Gzip => {
            let level = level
                .filter(|level| (1..=9).contains(level))
                .map_or_else(flate2::Compression::default, |level| {
                    flate2::Compression::new(level as u32)
                });
            let mut encoder = GzEncoder::new(out, level);
            encoder
                .write_all(input)
                .expect("writing to memory does not fail");
            encoder.finish().expect("writing to memory does not fail");
        }
        Compression::Snappy => snappy::compress(input, out),
        Compression::Lz4 => lz4::compress(level, input, out),
        Compression::Zstd => {
            let level = level
                .filter(|level| zstd::compression_level_range().contains(level))
                .unwrap_or(ZSTD_LEVEL);
            let compressed =
                zstd::bulk::compress(input, level).expect("the output buffer is large enough");
            out.extend_from_slice(&compressed);
        }
    }
}

fn gunzip(input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
    let mut decoder = MultiGzDecoder::new(input);
    loop {
        let len = out.len();
        if len == limit {
            // One byte more would be too many.
            return match decoder.read(&mut [0]) {
                Ok(0) => Ok(()),
                Ok(_) => Err(DecompressError::TooLarge { limit }),
                Err(_) => Err(DecompressError::Damaged),
            };
        }
        let more = STEP_BYTES.min(limit - len);
        make_room(out, more, limit);
        out.resize(len + more, 0);
        let read = decoder
            .read(&mut out[len..])
            .map_err(|_| DecompressError::Damaged)?;
        out.truncate(len + read);
        if read == 0 {
            return Ok(());
        }
    }
}

/// Makes room for `more` bytes: grows as a vector does, but never beyond the limit, which
/// `out.len() + more` must not pass.
fn make_room(out: &mut Vec<u8>, more: usize, limit: usize) {
    let needed = out.len() + more;
    if needed > out.capacity() {
        let capacity = needed.max(out.capacity().saturating_mul(2).min(limit));
        out.reserve_exact(capacity - out.len());
    }
}

/// Decompresses in one go, with the output as the window: a streaming decoder would allocate the
/// window that the frame asks for, up to 128 MiB.
fn unzstd(input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
    let said = zstd::zstd_safe::get_frame_content_size(input)
        .map_err(|_| DecompressError::Damaged)?
        .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if said.is_some_and(|bytes| bytes > limit) {
        return Err(DecompressError::TooLarge { limit });
    }
    let mut decompressor = zstd::bulk::Decompressor::new().map_err(|_| DecompressError::Damaged)?;
    let mut guess = said
        .unwrap_or_else(|| input.len().saturating_mul(4))
        .max(FIRST_GUESS_BYTES)
        .min(limit);
    loop {
        out.clear();
        out.reserve_exact(guess);
        match decompressor.decompress_to_buffer(input, out) {
            Ok(_) if out.len() <= limit => return Ok(()),
            Ok(_) => break,
            // The binding tells errors apart only by their text; a larger buffer helps only if
            // the content is larger than the last one.
            Err(error)
                if !error
                    .to_string()
                    .contains("Destination buffer is too small") =>
            {
                out.clear();
                return Err(DecompressError::Damaged);
            }
            Err(_) if guess >= limit => break,
            Err(_) => guess = guess.saturating_mul(4).min(limit),
        }
    }
    out.clear();
    Err(DecompressError::TooLarge { limit })
}

#[cfg(test)]
mod tests;
