//! Which leader wrote which part of a log (KIP-101, KIP-279): where each leader epoch starts.
//!
//! Pure: whoever changes it sees to `leader-epoch-checkpoint`. Invariant: epochs and start offsets
//! both rise from entry to entry.

use crate::checkpoint::EpochStart;
use protocol::ids::{LeaderEpoch, Offset};

/// The end of an epoch's records, as OffsetForLeaderEpoch answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch this log knows that is not above the one asked for; the one asked for
    /// if all of its records and those before it are gone.
    pub leader_epoch: LeaderEpoch,
    /// The offset after that epoch's last record.
    pub end_offset: Offset,
}

/// The epochs of one log, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderEpochs {
    starts: Vec<EpochStart>,
}

impl LeaderEpochs {
    /// Takes what a checkpoint says, entry by entry, so that a damaged order cannot get in.
    pub(crate) fn from_checkpoint(entries: &[EpochStart]) -> Self {
        let mut epochs = Self::default();
        for entry in entries {
            epochs.assign(entry.epoch, entry.start_offset);
        }
        epochs
    }

    /// Notes that an epoch starts here. Entries that contradict it are dropped: the newer fact
    /// wins. Returns whether anything changed.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        if epoch.0 < 0 || start_offset.0 < 0 {
            return false;
        }
        let known = self
            .starts
            .last()
            .is_some_and(|last| last.epoch == epoch && start_offset >= last.start_offset);
        if known {
            return false;
        }
        let contradicts = |e: &EpochStart| e.epoch >= epoch || e.start_offset >= start_offset;
        while self.starts.last().is_some_and(contradicts) {
            self.starts.pop();
        }
        self.starts.push(EpochStart {
            epoch,
            start_offset,
        });
        true
    }

    /// Drops epochs that start at or after `end`. Returns whether anything changed.
    pub(crate) fn truncate_from_end(&mut self, end: Offset) -> bool {
        let before = self.starts.len();
        while self
            .starts
            .last()
            .is_some_and(|last| last.start_offset >= end)
        {
            self.starts.pop();
        }
        self.starts.len() != before
    }

    /// Drops epochs that ended before `start`; the one that spans it starts there from now on.
    /// Returns whether anything changed.
    pub(crate) fn truncate_from_start(&mut self, start: Offset) -> bool {
        let gone = self.starts.partition_point(|e| e.start_offset <= start);
        let Some(last) = gone.checked_sub(1) else {
            return false;
        };
        if last == 0 && self.starts[0].start_offset == start {
            return false;
        }
        self.starts[last].start_offset = start;
        self.starts.drain(..last);
        true
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.starts.clear();
    }

    /// Every entry, oldest first.
    pub(crate) fn entries(&self) -> &[EpochStart] {
        &self.starts
    }

    /// The latest epoch.
    pub(crate) fn latest(&self) -> Option<LeaderEpoch> {
        self.starts.last().map(|last| last.epoch)
    }

    /// The epoch of the record at an offset.
    pub(crate) fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.starts.partition_point(|e| e.start_offset <= offset);
        Some(self.starts[after.checked_sub(1)?].epoch)
    }

    /// Where `epoch` ends, for a follower or consumer that has records of it; `None` if this log
    /// cannot know. For the latest epoch it is the end of the log.
    ///
    /// With epochs 2 from offset 10 and 5 from offset 30: 1 ends at 10 (as itself), 2, 3 and 4
    /// end at 30 (as 2), 5 at the log's end, and of 6 nothing is known.
    pub(crate) fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        if epoch.0 < 0 {
            return None;
        }
        if self.latest() == Some(epoch) {
            return Some(EpochEnd {
                leader_epoch: epoch,
                end_offset: log_end,
            });
        }
        let after = self.starts.partition_point(|e| e.epoch <= epoch);
        let end_offset = self.starts.get(after)?.start_offset;
        let leader_epoch = after
            .checked_sub(1)
            .map_or(epoch, |at| self.starts[at].epoch);
        Some(EpochEnd {
            leader_epoch,
            end_offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for &(epoch, start) in entries {
            epochs.assign(LeaderEpoch(epoch), Offset(start));
        }
        epochs
    }

    fn pairs(epochs: &LeaderEpochs) -> Vec<(i32, i64)> {
        epochs
            .entries()
            .iter()
            .map(|e| (e.epoch.0, e.start_offset.0))
            .collect()
    }

    fn end(epochs: &LeaderEpochs, epoch: i32) -> Option<(i32, i64)> {
        let end = epochs.end_of(LeaderEpoch(epoch), Offset(100))?;
        Some((end.leader_epoch.0, end.end_offset.0))
    }

    #[test]
    fn an_epoch_ends_where_the_next_known_one_starts() {
        let known = epochs(&[(2, 10), (5, 30)]);
        assert_eq!(end(&known, -1), None);
        assert_eq!(end(&known, 1), Some((1, 10)));
        assert_eq!(end(&known, 2), Some((2, 30)));
        assert_eq!(end(&known, 4), Some((2, 30)));
        assert_eq!(end(&known, 5), Some((5, 100)));
        assert_eq!(end(&known, 6), None);
        assert_eq!(end(&LeaderEpochs::default(), 0), None);
        assert_eq!(known.epoch_of(Offset(9)), None);
        assert_eq!(known.epoch_of(Offset(29)), Some(LeaderEpoch(2)));
        assert_eq!(known.epoch_of(Offset(30)), Some(LeaderEpoch(5)));
    }

    #[test]
    fn a_newer_fact_drops_what_contradicts_it() {
        let mut known = epochs(&[(1, 0), (2, 10), (3, 20)]);
        assert!(
            !known.assign(LeaderEpoch(3), Offset(25)),
            "the epoch started already"
        );
        assert!(!known.assign(LeaderEpoch(-1), Offset(25)));
        assert!(known.assign(LeaderEpoch(3), Offset(15)));
        assert_eq!(pairs(&known), [(1, 0), (2, 10), (3, 15)]);
        assert!(known.assign(LeaderEpoch(4), Offset(10)));
        assert_eq!(pairs(&known), [(1, 0), (4, 10)]);
        assert!(known.assign(LeaderEpoch(0), Offset(50)));
        assert_eq!(pairs(&known), [(0, 50)]);
    }

    #[test]
    fn both_ends_are_cut() {
        let mut known = epochs(&[(1, 0), (2, 10), (3, 20)]);
        assert!(known.truncate_from_start(Offset(15)));
        assert_eq!(pairs(&known), [(2, 15), (3, 20)]);
        assert!(!known.truncate_from_start(Offset(15)));
        assert!(!known.truncate_from_start(Offset(3)));
        assert!(known.truncate_from_end(Offset(20)));
        assert!(!known.truncate_from_end(Offset(20)));
        assert_eq!(pairs(&known), [(2, 15)]);
    }

    proptest! {
        #[test]
        fn epochs_and_offsets_always_rise(
            entries in proptest::collection::vec((-1..20i32, -1..50i64), 0..40),
            start in 0..60i64,
            end in 0..60i64,
        ) {
            let mut known = epochs(&entries);
            known.truncate_from_end(Offset(end));
            known.truncate_from_start(Offset(start));
            let rising = |w: &[EpochStart]| {
                w[0].epoch < w[1].epoch && w[0].start_offset < w[1].start_offset
            };
            prop_assert!(known.entries().windows(2).all(rising), "{:?}", known);
            prop_assert_eq!(&LeaderEpochs::from_checkpoint(known.entries()), &known);
        }
    }
}
