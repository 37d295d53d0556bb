//! What is made ready ahead of the active segment's end, so that writes and flushes find it.
//!
//! Blocks, for a log that grows fast: a 128 KiB append to ext4 takes two thirds of the CPU time of
//! one that must reserve its blocks itself. The file's length never shows them.
//!
//! Zeroes, for a log that is flushed a little at a time: a sync that finds the file's length and
//! blocks unchanged has only the data to write, and not the inode and its extents after it (8,000
//! bytes at the end of an ext4 file 0.18 ms, over zeroes 0.10 ms). The file is longer than its
//! batches meanwhile.
//!
//! Closing the segment gives back what is left of both, and so does recovery.
//! Invariant: what is ready and not written is at most a quarter of what was written to the segment
//! since it was opened, and at most [`BLOCKS_AHEAD_MAX`] or [`ZEROES_AHEAD_MAX`], and a page.

use bytes::Bytes;
use std::ops::Range;

/// A segment that wrote less gets no blocks.
pub(crate) const WRITTEN_BYTES_MIN: u64 = 1 << 20;
pub(crate) const BLOCKS_AHEAD_MAX: u64 = 16 << 20;
/// A flush of more gains less than the zeroes cost.
pub(crate) const SMALL_FLUSH_BYTES_MAX: u64 = 32 << 10;
pub(crate) const ZEROES_AHEAD_MAX: u64 = 256 << 10;
/// Zeroes end where a page does: the rest of the last one costs nothing.
const PAGE_BYTES: u64 = 4096;

/// What is ahead of a log at most.
pub(crate) static ZEROES: [u8; (ZEROES_AHEAD_MAX + PAGE_BYTES) as usize] =
    [0; (ZEROES_AHEAD_MAX + PAGE_BYTES) as usize];

/// What is to be made ready, by place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ahead {
    Blocks(Range<u64>),
    Zeroes(Range<u64>),
}

/// How far the active segment is ready.
#[derive(Clone, Debug)]
pub(crate) struct Reserve {
    opened_at: u64,
    reserved_to: u64,
    zeroed_to: u64,
    flushed_to: u64,
    /// What the last flush wrote; none since it was opened.
    flush_bytes: Option<u64>,
}

impl Reserve {
    /// For a segment that is written from `end` on.
    pub(crate) fn new(end: u64) -> Self {
        Self {
            opened_at: end,
            reserved_to: end,
            zeroed_to: end,
            flushed_to: end,
            flush_bytes: None,
        }
    }

    /// What to make ready now that the segment ends at `end`, if it is time to. `end_max` is where
    /// the segment will be closed. The range counts as ready from here on: whether the file system
    /// does it is its own affair, writes go on all the same.
    pub(crate) fn due(&mut self, end: u64, end_max: u64) -> Option<Ahead> {
        let written = end - self.opened_at;
        if self
            .flush_bytes
            .is_some_and(|bytes| bytes <= SMALL_FLUSH_BYTES_MAX)
        {
            let ahead = (written / 4).min(ZEROES_AHEAD_MAX);
            let from = end.max(self.zeroed_to);
            let to = (end + ahead).next_multiple_of(PAGE_BYTES).min(end_max);
            if from - end > ahead / 2 || from >= to {
                return None;
            }
            self.zeroed_to = to;
            return Some(Ahead::Zeroes(from..to));
        }
        let ahead = (written / 4).min(BLOCKS_AHEAD_MAX);
        let from = end.max(self.reserved_to);
        let to = (end + ahead).min(end_max);
        if written < WRITTEN_BYTES_MIN || from - end > ahead / 2 || from >= to {
            return None;
        }
        self.reserved_to = to;
        Some(Ahead::Blocks(from..to))
    }

    /// A flush of everything up to `end` begins.
    pub(crate) fn flushes(&mut self, end: u64) {
        self.flush_bytes = Some(end - self.flushed_to);
        self.flushed_to = end;
    }

    /// A write failed, and the file was cut back to `end` if need be: nothing beyond it is ready for
    /// sure.
    pub(crate) fn cut_back(&mut self, end: u64) {
        *self = Self::new(end);
    }
}

/// The zeroes for a range that [`Reserve::due`] gave.
pub(crate) fn zeroes(range: &Range<u64>) -> Bytes {
    Bytes::from_static(&ZEROES[..(range.end - range.start) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_ahead_are_bounded_by_what_was_written_and_ranges_never_overlap() {
        let (mut reserve, opened_at, end_max) = (Reserve::new(5_000_000), 5_000_000, 200_000_000);
        let (mut reserved_to, mut times) = (opened_at, 0);
        for end in (opened_at..=end_max).step_by(70_001) {
            let written = end - opened_at;
            if let Some(ahead) = reserve.due(end, end_max) {
                let Ahead::Blocks(range) = ahead else {
                    panic!("nothing was flushed");
                };
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
    fn zeroes_ahead_of_small_flushes_are_as_bounded() {
        let (opened_at, end_max) = (5_000, 20_000_000);
        let mut reserve = Reserve::new(opened_at);
        let (mut zeroed_to, mut times, mut changes_length) = (opened_at, 0, 0);
        for end in (opened_at + 1100..=end_max).step_by(1100) {
            changes_length += u32::from(end > zeroed_to);
            let written = end - opened_at;
            if let Some(ahead) = reserve.due(end, end_max) {
                let Ahead::Zeroes(range) = ahead else {
                    assert_eq!(end, opened_at + 1100, "nothing was flushed");
                    continue;
                };
                assert!(range.start >= zeroed_to && range.start >= end && range.end <= end_max);
                let ahead_max = (written / 4).min(ZEROES_AHEAD_MAX) + PAGE_BYTES;
                assert!(range.end - end <= ahead_max);
                assert_eq!(zeroes(&range).len() as u64, range.end - range.start);
                (zeroed_to, times) = (range.end, times + 1);
            }
            reserve.flushes(end);
        }
        assert!(changes_length < 5, "{changes_length} of 18,177 flushes");
        assert!((100..250).contains(&times), "{times} writes of zeroes");
    }

    #[test]
    fn large_flushes_get_no_zeroes_and_a_cut_takes_all() {
        let mut reserve = Reserve::new(0);
        reserve.flushes(SMALL_FLUSH_BYTES_MAX + 1);
        assert_eq!(reserve.due(SMALL_FLUSH_BYTES_MAX + 1, 1 << 30), None);
        reserve.flushes(SMALL_FLUSH_BYTES_MAX + 1001);
        let end = 40_000;
        assert_eq!(reserve.due(end, 1 << 30), Some(Ahead::Zeroes(end..53_248)));
        reserve.cut_back(end);
        assert_eq!(reserve.due(end, 1 << 30), None);
        reserve.flushes(end);
        assert_eq!(reserve.due(end, 1 << 30), Some(Ahead::Zeroes(end..40_960)));
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
