//! Record sets of magic 0 and 1: the input as it is, and once more with the CRCs of its entries
//! made right.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::checksum;
use protocol::legacy_record_set::{Entries, read};

const LIMIT: usize = 64 * 1024;
const OVERHEAD: usize = 12;

fuzz_target!(|input: &[u8]| {
    check(input);
    let mut set = input.to_vec();
    let mut at = 0;
    while let Some(size) = set.get(at + 8..at + OVERHEAD) {
        let size = u32::from_be_bytes([size[0], size[1], size[2], size[3]]) as usize;
        let from = at + OVERHEAD;
        if size < 4 || from + size > set.len() {
            break;
        }
        let crc = checksum::crc32(&set[from + 4..from + size]);
        set[from..from + 4].copy_from_slice(&crc.to_be_bytes());
        at = from + size;
    }
    check(&set);
});

fn check(set: &[u8]) {
    for entry in Entries::new(set).flatten() {
        let _ = entry.compression();
    }
    let mut bytes = 0;
    let _ = read(set, LIMIT, &mut |record| {
        bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
    });
    assert!(bytes <= LIMIT + set.len());
}
