//! Codecs: round trips, framings of other clients, limits, damage.

use super::*;

const CODECS: [Compression; 4] = [
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// Text that shrinks, with some noise in it that does not.
fn sample(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..len)
        .map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if at % 7 == 0 {
                (state >> 24) as u8
            } else {
                b"a log server "[at % 13]
            }
        })
        .collect()
}

#[test]
fn what_is_compressed_is_decompressed() {
    for compression in Compression::ALL {
        for len in [0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 1_000_000] {
            let content = sample(len);
            let mut compressed = b"front".to_vec();
            compress(compression, &content, &mut compressed);
            let compressed = compressed.strip_prefix(b"front").unwrap();
            let mut out = b"old".to_vec();
            decompress(compression, compressed, len, &mut out).unwrap();
            assert!(out == content, "{} bytes with {}", len, compression.name());
        }
    }
}

const BLOCK: usize = 64 * 1024;

#[test]
fn the_limit_holds_to_the_byte() {
    for compression in Compression::ALL {
        let content = sample(200_000);
        let mut compressed = Vec::new();
        compress(compression, &content, &mut compressed);
        let mut out = Vec::new();
        for limit in [0, 1, 100, 65_536, 199_999] {
            assert_eq!(
                decompress(compression, &compressed, limit, &mut out),
                Err(DecompressError::TooLarge { limit }),
                "{} with {limit}",
                compression.name()
            );
        }
        decompress(compression, &compressed, 200_000, &mut out).unwrap();
    }
}

#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    const LIMIT: usize = 1 << 20;
    let content = vec![0; 256 << 20];
    for compression in CODECS {
        let mut compressed = Vec::new();
        compress(compression, &content, &mut compressed);
        let mut out = Vec::new();
        assert_eq!(
            decompress(compression, &compressed, LIMIT, &mut out),
            Err(DecompressError::TooLarge { limit: LIMIT })
        );
        assert!(
            out.capacity() <= 2 * LIMIT,
            "{}: {}",
            compression.name(),
            out.capacity()
        );
    }
}

#[test]
fn damage_is_an_error() {
    for compression in CODECS {
        let content = sample(1000);
        let mut compressed = Vec::new();
        compress(compression, &content, &mut compressed);
        let mut out = Vec::new();
        for len in 0..compressed.len() {
            let cut = decompress(compression, &compressed[..len], 1 << 20, &mut out);
            // A Snappy stream has no end mark: it may end after its header.
            if !(compression == Compression::Snappy && len == 16) {
                assert!(cut.is_err(), "{} cut at {len}", compression.name());
            }
        }
    }
}

#[test]
fn snappy_may_come_without_framing() {
    let content = sample(100_000);
    let raw = snap::raw::Encoder::new().compress_vec(&content).unwrap();
    let mut out = Vec::new();
    decompress(Compression::Snappy, &raw, 100_000, &mut out).unwrap();
    assert!(out == content);
    // 4 GiB are claimed by five bytes.
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(decompress(Compression::Snappy, &claim, usize::MAX, &mut out).is_err());
    assert!(out.capacity() <= 100_000);
}

#[test]
fn zstandard_may_not_say_its_size() {
    // As Kafka's Java clients write it: as a stream whose end is not known at its beginning.
    let content = sample(1_000_000);
    let stream = zstd::stream::encode_all(&content[..], 3).unwrap();
    let size = zstd::zstd_safe::get_frame_content_size(&stream).unwrap();
    assert_eq!(size, None);
    let mut out = Vec::new();
    decompress(Compression::Zstd, &stream, content.len(), &mut out).unwrap();
    assert!(out == content);
    let limit = content.len() - 1;
    assert_eq!(
        decompress(Compression::Zstd, &stream, limit, &mut out),
        Err(DecompressError::TooLarge { limit })
    );
    let frames = [stream.clone(), stream].concat();
    decompress(Compression::Zstd, &frames, 2 * content.len(), &mut out).unwrap();
    assert_eq!(out.len(), 2 * content.len());
}

#[test]
fn gzip_may_come_in_members() {
    let mut compressed = Vec::new();
    compress(Compression::Gzip, b"one ", &mut compressed);
    compress(Compression::Gzip, b"two", &mut compressed);
    let mut out = Vec::new();
    decompress(Compression::Gzip, &compressed, 100, &mut out).unwrap();
    assert_eq!(out, b"one two");
}

#[test]
fn an_lz4_header_checksum_counts_unless_it_is_of_magic_0() {
    let mut compressed = Vec::new();
    compress(Compression::Lz4, b"content", &mut compressed);
    assert_eq!(compressed[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
    compressed[6] ^= 1;
    let mut out = Vec::new();
    assert_eq!(
        decompress(Compression::Lz4, &compressed, 100, &mut out),
        Err(DecompressError::Damaged)
    );
    decompress_magic_0(Compression::Lz4, &compressed, 100, &mut out).unwrap();
    assert_eq!(out, b"content");
}

#[test]
fn many_small_lz4_blocks_do_not_cost_a_large_one_each() {
    // A frame with blocks of up to 4 MiB, each of which makes nothing.
    let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x70];
    frame.push((twox_hash::XxHash32::oneshot(0, &[0x60, 0x70]) >> 8) as u8);
    for _ in 0..200_000 {
        frame.extend_from_slice(&[1, 0, 0, 0, 0]);
    }
    frame.extend_from_slice(&[0; 4]);
    let mut out = Vec::new();
    decompress(Compression::Lz4, &frame, 16 << 20, &mut out).unwrap();
    assert!(out.is_empty());
    assert!(
        out.capacity() < 4096,
        "each block was given the largest one's room"
    );
}

#[test]
fn dependent_lz4_blocks_and_checksums_are_read() {
    let content: Vec<u8> = b"abcdefgh".repeat(20_000);
    let frame = lz4_frame_of_dependent_blocks(&content);
    let mut out = Vec::new();
    decompress(Compression::Lz4, &frame, content.len(), &mut out).unwrap();
    assert!(out == content);
    let mut damaged = frame;
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let result = decompress(Compression::Lz4, &damaged, content.len(), &mut out);
    assert_eq!(result, Err(DecompressError::Damaged));
}

fn lz4_frame_of_dependent_blocks(content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x04, 0x22, 0x4d, 0x18];
    let mut descriptor = vec![0b0101_1100, 0x40];
    descriptor.extend_from_slice(&(content.len() as u64).to_le_bytes());
    let checksum = (twox_hash::XxHash32::oneshot(0, &descriptor) >> 8) as u8;
    frame.extend_from_slice(&descriptor);
    frame.push(checksum);
    for (at, block) in content.chunks(BLOCK).enumerate() {
        let before = &content[(at * BLOCK).saturating_sub(BLOCK)..at * BLOCK];
        let block = lz4_flex::block::compress_with_dict(block, before);
        frame.extend_from_slice(&(block.len() as u32).to_le_bytes());
        frame.extend_from_slice(&block);
        frame.extend_from_slice(&twox_hash::XxHash32::oneshot(0, &block).to_le_bytes());
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&twox_hash::XxHash32::oneshot(0, content).to_le_bytes());
    frame
}

#[test]
fn levels_have_effect_and_all_are_read_again() {
    let mut text = Vec::new();
    for number in 0u32..20_000 {
        let word = number.wrapping_mul(2_654_435_761) >> 20;
        text.extend_from_slice(format!("ship {word} lies in harbour {}; ", word % 97).as_bytes());
    }
    let compressed = |compression, level| {
        let level = Some(level);
        let mut out = Vec::new();
        compress(Encoding { compression, level }, &text, &mut out);
        let mut back = Vec::new();
        decompress(compression, &out, text.len(), &mut back).unwrap();
        assert_eq!(back, text, "{compression:?} {level:?}");
        out.len()
    };
    for (compression, fast, thorough) in [
        (Compression::Gzip, 1, 9),
        (Compression::Lz4, 9, 12),
        (Compression::Zstd, 1, 19),
    ] {
        let (fast, thorough) = (
            compressed(compression, fast),
            compressed(compression, thorough),
        );
        assert!(
            thorough < fast,
            "{compression:?}: {thorough} against {fast}"
        );
    }
    assert_eq!(
        compressed(Compression::Lz4, 99),
        compressed(Compression::Lz4, 9)
    );
    assert_eq!(
        compressed(Compression::Lz4, 17),
        compressed(Compression::Lz4, 12)
    );
}

#[test]
fn lz4_frames_have_independent_blocks_without_checksums() {
    // The Java client reads no dependent blocks, and others stumble over checksums of blocks.
    const INDEPENDENT_BLOCKS: u8 = 1 << 5;
    const BLOCK_CHECKSUMS: u8 = 1 << 4;
    let content = sample(300_000);
    for level in [None, Some(1), Some(9), Some(12)] {
        let compression = Compression::Lz4;
        let mut frame = Vec::new();
        compress(Encoding { compression, level }, &content, &mut frame);
        let flags = frame[4];
        assert_ne!(flags & INDEPENDENT_BLOCKS, 0, "level {level:?}");
        assert_eq!(flags & BLOCK_CHECKSUMS, 0, "level {level:?}");
    }
}
