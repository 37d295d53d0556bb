//! Chance, where it only has to differ from the next one's: jitter and unique names.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Some number: the keys of std's hash maps are seeded by the system.
pub(crate) fn u64() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Sixteen bytes for a name that nobody else has.
pub(crate) fn unique() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&u64().to_be_bytes());
    bytes[8..].copy_from_slice(&(u64() ^ std::process::id() as u64).to_be_bytes());
    bytes
}
