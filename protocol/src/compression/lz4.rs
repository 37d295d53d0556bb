//! LZ4 frames. Written as Kafka's clients need them: independent blocks of 64 KiB, no content
//! checksum (its Java client reads no dependent blocks). Read in all their forms.
//!
//! As in Kafka, the default level is the fast way to compress and every other one the thorough way
//! (LZ4 HC), which the `lz4` crate has and `lz4_flex` has not.

use super::{DecompressError, make_room};
use lz4_flex::block;
use twox_hash::XxHash32;

const MAGIC: u32 = 0x184D_2204;
const VERSION_BITS: u8 = 0b1100_0000;
const VERSION_1: u8 = 0b0100_0000;
const INDEPENDENT_BLOCKS: u8 = 0b0010_0000;
const BLOCK_CHECKSUMS: u8 = 0b0001_0000;
const CONTENT_SIZE: u8 = 0b0000_1000;
const CONTENT_CHECKSUM: u8 = 0b0000_0100;
const DICTIONARY: u8 = 0b0000_0001;
const BLOCK_64_KIB: u8 = 4 << 4;
const BLOCK_BYTES: usize = 64 * 1024;
/// A block that does not shrink is stored as it is, which this bit of its length says.
const STORED: u32 = 1 << 31;
/// How far back a dependent block may refer.
const WINDOW_BYTES: usize = 64 * 1024;
/// No byte of LZ4 stands for more than 255; what would is refused before memory is set aside.
const RATIO_MAX: usize = 255;

/// Whether to look at the checksum of a frame's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HeaderChecksum {
    /// It must be right.
    Checked,
    /// Messages of magic 0 have a wrong one.
    Ignored,
}

/// The level that stands for compressing fast.
const LEVEL_FAST: i32 = 9;
/// The levels that there are.
const LEVELS: std::ops::RangeInclusive<i32> = 1..=17;

/// Appends one frame. A level out of range is taken for the default.
pub(super) fn compress(level: Option<i32>, input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC.to_le_bytes());
    let descriptor = [VERSION_1 | INDEPENDENT_BLOCKS, BLOCK_64_KIB];
    out.extend_from_slice(&descriptor);
    out.push(header_checksum(&descriptor));
    let mut buffer = vec![0; block::get_maximum_output_size(BLOCK_BYTES)];
    for content in input.chunks(BLOCK_BYTES) {
        let len = compress_block(level, content, &mut buffer);
        if len < content.len() {
            out.extend_from_slice(&(len as u32).to_le_bytes());
            out.extend_from_slice(&buffer[..len]);
        } else {
            out.extend_from_slice(&(content.len() as u32 | STORED).to_le_bytes());
            out.extend_from_slice(content);
        }
    }
    out.extend_from_slice(&0u32.to_le_bytes());
}

fn compress_block(level: Option<i32>, content: &[u8], buffer: &mut [u8]) -> usize {
    let is_thorough = |level: &i32| LEVELS.contains(level) && *level != LEVEL_FAST;
    const ROOM: &str = "the buffer holds the worst case";
    match level.filter(is_thorough) {
        None => block::compress_into(content, buffer).expect(ROOM),
        Some(level) => {
            let mode = Some(lz4::block::CompressionMode::HIGHCOMPRESSION(level));
            lz4::block::compress_to_buffer(content, mode, false, buffer).expect(ROOM)
        }
    }
}

fn header_checksum(descriptor: &[u8]) -> u8 {
    (XxHash32::oneshot(0, descriptor) >> 8) as u8
}

/// Replaces the checksum of a header as [`compress`] writes it by the one that Kafka before 0.10
/// computed, and its clients still expect: over the frame's magic too.
pub(super) fn break_header_checksum(frame: &mut [u8]) {
    frame[6] = header_checksum(&frame[..6]);
}

/// Reads one frame from the front of `input`. `out` must be empty.
pub(super) fn decompress(
    input: &[u8],
    checksum: HeaderChecksum,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    let mut reader = Reader(input);
    let frame = Frame::read(&mut reader, checksum)?;
    loop {
        let len = reader.u32()?;
        if len == 0 {
            break;
        }
        let bytes = reader.take((len & !STORED) as usize)?;
        if frame.has(BLOCK_CHECKSUMS) && reader.u32()? != XxHash32::oneshot(0, bytes) {
            return Err(DecompressError::Damaged);
        }
        if len & STORED == 0 {
            frame.append_block(bytes, limit, out)?;
        } else {
            if bytes.len() > frame.block_bytes_max {
                return Err(DecompressError::Damaged);
            }
            if bytes.len() > limit - out.len() {
                return Err(DecompressError::TooLarge { limit });
            }
            make_room(out, bytes.len(), limit);
            out.extend_from_slice(bytes);
        }
    }
    if frame.has(CONTENT_CHECKSUM) && reader.u32()? != XxHash32::oneshot(0, out) {
        return Err(DecompressError::Damaged);
    }
    Ok(())
}

/// What the header of a frame says.
struct Frame {
    flags: u8,
    block_bytes_max: usize,
}

impl Frame {
    fn read(reader: &mut Reader<'_>, checksum: HeaderChecksum) -> Result<Frame, DecompressError> {
        if reader.u32()? != MAGIC {
            return Err(DecompressError::Damaged);
        }
        let descriptor = reader.0;
        let &[flags, sizes] = reader
            .take(2)?
            .first_chunk()
            .ok_or(DecompressError::Damaged)?;
        let block_bytes_max = match sizes >> 4 & 7 {
            size @ 4..=7 => 1 << (8 + 2 * size),
            _ => return Err(DecompressError::Damaged),
        };
        // Nobody who reads record batches has a dictionary to share.
        if flags & VERSION_BITS != VERSION_1 || flags & DICTIONARY != 0 {
            return Err(DecompressError::Damaged);
        }
        if flags & CONTENT_SIZE != 0 {
            reader.take(8)?;
        }
        let descriptor = &descriptor[..descriptor.len() - reader.0.len()];
        let stored = reader.take(1)?[0];
        if checksum == HeaderChecksum::Checked && stored != header_checksum(descriptor) {
            return Err(DecompressError::Damaged);
        }
        Ok(Frame {
            flags,
            block_bytes_max,
        })
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn append_block(
        &self,
        bytes: &[u8],
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), DecompressError> {
        let at = out.len();
        let room = self
            .block_bytes_max
            .min(bytes.len().saturating_mul(RATIO_MAX));
        let allowed = room.min(limit - at);
        make_room(out, allowed, limit);
        out.resize(at + allowed, 0);
        let (before, block) = out.split_at_mut(at);
        let result = if self.has(INDEPENDENT_BLOCKS) {
            block::decompress_into(bytes, block)
        } else {
            let window = &before[at.saturating_sub(WINDOW_BYTES)..];
            block::decompress_into_with_dict(bytes, block, window)
        };
        match result {
            Ok(written) => {
                out.truncate(at + written);
                Ok(())
            }
            Err(block::DecompressError::OutputTooSmall { .. }) if allowed < room => {
                Err(DecompressError::TooLarge { limit })
            }
            Err(_) => Err(DecompressError::Damaged),
        }
    }
}

/// What is left of the input.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecompressError> {
        let (bytes, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(DecompressError::Damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, DecompressError> {
        let bytes = self
            .take(4)?
            .first_chunk()
            .ok_or(DecompressError::Damaged)?;
        Ok(u32::from_le_bytes(*bytes))
    }
}
