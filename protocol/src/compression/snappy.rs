//! Snappy in the framing of xerial's Java library, which Kafka's Java clients write, or as one
//! raw block, which some others do.
//!
//! The framing: eight bytes of magic, two int32 of version, then blocks, each an int32 length and
//! raw Snappy.

use super::{DecompressError, make_room};
use snap::raw::{Decoder, Encoder, decompress_len};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_BYTES: usize = MAGIC.len() + 8;
/// What Kafka's clients put into a block.
const BLOCK_BYTES: usize = 32 * 1024;
/// No element of Snappy makes more than 64 bytes of 3; what claims more is refused before memory
/// is set aside for it.
const RATIO_MAX: usize = 22;

pub(super) fn decompress(
    input: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    let Some(mut blocks) = input.strip_prefix(&MAGIC) else {
        return append_block(input, limit, out);
    };
    blocks = blocks
        .get(HEADER_BYTES - MAGIC.len()..)
        .ok_or(DecompressError::Damaged)?;
    while !blocks.is_empty() {
        let (len, rest) = blocks.split_first_chunk().ok_or(DecompressError::Damaged)?;
        let len =
            usize::try_from(i32::from_be_bytes(*len)).map_err(|_| DecompressError::Damaged)?;
        let (block, rest) = rest.split_at_checked(len).ok_or(DecompressError::Damaged)?;
        append_block(block, limit, out)?;
        blocks = rest;
    }
    Ok(())
}

fn append_block(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
    let len = decompress_len(block).map_err(|_| DecompressError::Damaged)?;
    if len > limit - out.len() {
        return Err(DecompressError::TooLarge { limit });
    }
    if len > block.len().saturating_mul(RATIO_MAX) {
        return Err(DecompressError::Damaged);
    }
    let at = out.len();
    make_room(out, len, limit);
    out.resize(at + len, 0);
    match Decoder::new().decompress(block, &mut out[at..]) {
        Ok(written) if written == len => Ok(()),
        _ => Err(DecompressError::Damaged),
    }
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    // Version 1, readable by version 1.
    out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
    let mut encoder = Encoder::new();
    for block in input.chunks(BLOCK_BYTES) {
        let compressed = encoder
            .compress_vec(block)
            .expect("a block is far smaller than Snappy's limit");
        out.extend_from_slice(&(compressed.len() as u32).to_be_bytes());
        out.extend_from_slice(&compressed);
    }
}
