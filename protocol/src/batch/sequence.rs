//! The arithmetic of an idempotent producer's sequence numbers: 0 to 2,147,483,647, then 0 again.

const MODULUS: i64 = 1 << 31;

/// The sequence number `distance` records after `sequence`. With a negative distance, before it.
#[must_use]
pub const fn sequence_after(sequence: i32, distance: i32) -> i32 {
    (sequence as i64 + distance as i64).rem_euclid(MODULUS) as i32
}

/// The sequence number that follows `sequence`.
#[must_use]
pub const fn next_sequence(sequence: i32) -> i32 {
    sequence_after(sequence, 1)
}

/// The sequence number of the last record of a batch.
#[must_use]
pub const fn last_sequence(base_sequence: i32, last_offset_delta: i32) -> i32 {
    sequence_after(base_sequence, last_offset_delta)
}

/// How many records after `from` the sequence number `to` comes: 0 to 2,147,483,647.
#[must_use]
pub const fn sequence_distance(from: i32, to: i32) -> i32 {
    (to as i64 - from as i64).rem_euclid(MODULUS) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_wrap_to_zero() {
        assert_eq!(next_sequence(0), 1);
        assert_eq!(next_sequence(i32::MAX), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 3), 1);
        assert_eq!(sequence_after(1, -2), i32::MAX);
        assert_eq!(last_sequence(i32::MAX, i32::MAX), i32::MAX - 1);
        assert_eq!(sequence_distance(i32::MAX, 0), 1);
        assert_eq!(sequence_distance(5, 5), 0);
    }
}
