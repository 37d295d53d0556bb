//! The checksums of record data: CRC-32C for batches, CRC-32 for the formats before them.
//!
//! `crc-fast` because it was measured twice as fast as `crc32c` on the development machine: 22
//! against 39 ns for 1 KiB, 2.3 against 4.7 µs for 128 KiB.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C (Castagnoli) of `bytes`.
#[inline]
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32C of some bytes and then `bytes`, given that of the former.
#[must_use]
pub fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!crc));
    digest.update(bytes);
    digest.finalize() as u32
}

/// CRC-32, as of zip files, of `bytes`.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iso_hdlc(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_standard_ones() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        for split in 0..9 {
            let (front, back) = b"123456789".split_at(split);
            assert_eq!(crc32c_append(crc32c(front), back), 0xe306_9283);
        }
    }
}
