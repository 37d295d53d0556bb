//! The lengths of variable-length integers: seven bits a byte, the lowest first, and zigzag for
//! the signed ones.

/// How many bytes an unsigned varint takes: 1 to 5.
#[inline]
#[must_use]
pub const fn unsigned_varint_len(value: u32) -> usize {
    // Seven bits a byte; zero still takes one.
    (38 - (value | 1).leading_zeros() as usize) / 7
}

/// How many bytes a zigzag varint takes: 1 to 5.
#[inline]
#[must_use]
pub const fn varint_len(value: i32) -> usize {
    unsigned_varint_len(zigzag32(value))
}

/// How many bytes a zigzag varlong takes: 1 to 10.
#[inline]
#[must_use]
pub const fn varlong_len(value: i64) -> usize {
    (70 - (zigzag64(value) | 1).leading_zeros() as usize) / 7
}

pub(super) const fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

pub(super) const fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) const fn unzigzag32(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

pub(super) const fn unzigzag64(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
