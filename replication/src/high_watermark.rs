//! The high watermark: the offset below which every in-sync replica has every record.
//!
//! Invariant: it never moves back while a leader keeps its epoch (KIP-101).

use protocol::ids::Offset;

/// The high watermark that a leader may announce: the smallest log end offset among the in-sync
/// replicas, but never less than the present one.
///
/// Example: with `present` 4 and in-sync log ends 9, 7 and 12 the answer is 7; when the replica
/// at 7 falls back to 3, it stays 7.
pub fn high_watermark(present: Offset, in_sync_log_ends: impl Iterator<Item = Offset>) -> Offset {
    match in_sync_log_ends.min() {
        Some(smallest) => smallest.max(present),
        None => present,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_slowest_in_sync_replica_and_never_falls_back() {
        let ends = [Offset(9), Offset(7), Offset(12)];
        assert_eq!(high_watermark(Offset(4), ends.into_iter()), Offset(7));
        assert_eq!(
            high_watermark(Offset(7), [Offset(3)].into_iter()),
            Offset(7)
        );
        assert_eq!(high_watermark(Offset(7), std::iter::empty()), Offset(7));
    }
}
