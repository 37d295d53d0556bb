//! Randomness from the operating system: for ids and placements.

use protocol::ids::Uuid;

/// 64 random bits.
pub fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    u64::from_ne_bytes(bytes)
}

/// A random id.
pub fn random_uuid() -> Uuid {
    controller::decision::draw_uuid(&mut random_u64)
}
