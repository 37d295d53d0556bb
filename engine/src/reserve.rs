//! Blocks reserved ahead of the active segment's end, so that a write finds them and the file
//! system allocates rarely and in large pieces.
//!
//! Costs: a 128 KiB append to ext4 takes two thirds of the CPU time of one that must reserve its
//! blocks itself. The file's length never shows it; closing the segment gives back what is left.
//! Invariant: what is reserved and not written is at most a quarter of what was written to the
//! segment since it was opened, and at most [`AHEAD_BYTES_MAX`].

use std::ops::Range;

/// A segment that wrote less gets nothing.
pub(crate) const WRITTEN_BYTES_MIN: u64 = 1 << 20;
pub(crate) const AHEAD_BYTES_MAX: u64 = 16 << 20;

/// How far blocks of the active segment are reserved.
#[derive(Clone, Debug)]
pub(crate) struct Reserve {
    opened_at: u64,
    reserved_to: u64,
}

impl Reserve {
    /// For a segment that is written from `end` on.
    pub(crate) fn new(end: u64) -> Self {
        Self {
            opened_at: end,
            reserved_to: end,
        }
    }

    /// What to reserve now that the segment ends at `end`, if it is time to. `end_max` is where the
    /// segment will be closed. The range counts as reserved from here on: whether the file system
    /// does it is its own affair, writes go on all the same.
    pub(crate) fn due(&mut self, end: u64, end_max: u64) -> Option<Range<u64>> {
        let written = end - self.opened_at;
        let ahead = (written / 4).min(AHEAD_BYTES_MAX);
        let from = end.max(self.reserved_to);
        let to = (end + ahead).min(end_max);
        if written < WRITTEN_BYTES_MIN || from - end > ahead / 2 || from >= to {
            return None;
        }
        self.reserved_to = to;
        Some(from..to)
    }

    /// The file was cut back to `end`: nothing beyond it is reserved any more.
    pub(crate) fn cut_back(&mut self, end: u64) {
        *self = Self::new(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ahead_is_bounded_by_what_was_written_and_ranges_never_overlap() {
        let (mut reserve, opened_at, end_max) = (Reserve::new(5_000_000), 5_000_000, 200_000_000);
        let (mut reserved_to, mut times) = (opened_at, 0);
        for end in (opened_at..=end_max).step_by(70_001) {
            let written = end - opened_at;
            if let Some(range) = reserve.due(end, end_max) {
                assert!(range.start >= reserved_to.min(end_max) && range.start >= end);
                assert!(range.end <= end_max && range.end - end <= (written / 4).min(16 << 20));
                (reserved_to, times) = (range.end, times + 1);
            } else if written > 2 << 20 {
                assert!(
                    reserved_to > end || end_max - end < 70_001,
                    "no gap at {end}"
                );
            }
        }
        assert!((20..100).contains(&times), "{times} calls of the kernel");
    }

    #[test]
    fn a_segment_that_writes_little_reserves_nothing() {
        let mut reserve = Reserve::new(0);
        assert_eq!(reserve.due(1_000_000, 1 << 30), None);
        assert!(reserve.due(2_000_000, 1 << 30).is_some());
        reserve.cut_back(2_000_000);
        assert_eq!(reserve.due(2_000_000, 1 << 30), None);
    }
}
