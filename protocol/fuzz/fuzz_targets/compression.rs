//! Decompression within a limit, and back what was compressed: one byte chooses the type.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::compression::{Compression, compress, decompress};

const LIMIT: usize = 64 * 1024;

fuzz_target!(|input: &[u8]| {
    let [choice, input @ ..] = input else { return };
    let Some(compression) = Compression::from_id(choice & 7) else {
        return;
    };
    let mut out = Vec::new();
    let _ = decompress(compression, input, LIMIT, &mut out);
    assert!(out.len() <= LIMIT && out.capacity() <= 2 * LIMIT);

    let mut compressed = Vec::new();
    compress(compression, input, &mut compressed);
    decompress(compression, &compressed, input.len(), &mut out).expect("what was compressed");
    assert_eq!(out, input);
});
