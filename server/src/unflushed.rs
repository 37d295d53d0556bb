//! Writes of one partition that are done and not yet answered, because a flush must come first
//! (`flush.messages`), in their order.
//!
//! Pure. Writes go on while a flush runs: whatever is written meanwhile waits here for the next
//! one, which covers all of it. Invariant: nothing overtakes what waits, so that the high watermark
//! never rises above what is durable where the topic asks for that.

use std::collections::VecDeque;

use engine::Done;
use protocol::ids::Offset;

/// A write that the log has taken back.
pub struct FinishedWrite {
    /// What became of each append.
    pub done: Vec<Done>,
    /// How many bytes the log grew by.
    pub bytes: u64,
    /// Where the log ended afterwards.
    pub log_end: Offset,
    /// It may be answered only when the log is durable up to `log_end`.
    pub must_flush: bool,
}

/// See the module.
#[derive(Default)]
pub struct Unflushed {
    writes: VecDeque<FinishedWrite>,
    /// In all of them.
    appends: usize,
}

impl Unflushed {
    /// Takes a write behind those that wait. Gives it back if nobody has to wait.
    pub fn admit(&mut self, write: FinishedWrite) -> Option<FinishedWrite> {
        if self.writes.is_empty() && !write.must_flush {
            return Some(write);
        }
        self.appends += write.done.len();
        self.writes.push_back(write);
        None
    }

    /// The next write that may be answered, now that the log is durable below `recovery_point`.
    pub fn release(&mut self, recovery_point: Offset) -> Option<FinishedWrite> {
        let front = self.writes.front()?;
        if front.must_flush && front.log_end > recovery_point {
            return None;
        }
        self.take_first()
    }

    /// The next write, whatever is durable: the flush failed.
    pub fn give_up(&mut self) -> Option<FinishedWrite> {
        self.take_first()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// How many appends wait.
    pub fn appends(&self) -> usize {
        self.appends
    }

    fn take_first(&mut self) -> Option<FinishedWrite> {
        let first = self.writes.pop_front()?;
        self.appends -= first.done.len();
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(log_end: i64, must_flush: bool) -> FinishedWrite {
        FinishedWrite {
            done: Vec::new(),
            bytes: 1,
            log_end: Offset(log_end),
            must_flush,
        }
    }

    fn ends(unflushed: &mut Unflushed, recovery_point: i64) -> Vec<i64> {
        std::iter::from_fn(|| unflushed.release(Offset(recovery_point)))
            .map(|write| write.log_end.0)
            .collect()
    }

    #[test]
    fn one_flush_releases_all_that_it_covers_and_nothing_overtakes() {
        let mut unflushed = Unflushed::default();
        assert!(unflushed.admit(write(3, false)).is_some());
        for (log_end, must_flush) in [(5, true), (6, false), (9, true), (9, false)] {
            assert!(unflushed.admit(write(log_end, must_flush)).is_none());
        }
        assert_eq!(ends(&mut unflushed, 4), []);
        assert_eq!(ends(&mut unflushed, 5), [5, 6]);
        assert_eq!(ends(&mut unflushed, 8), []);
        assert_eq!(ends(&mut unflushed, 9), [9, 9]);
        assert!(unflushed.is_empty());
        assert!(unflushed.admit(write(12, true)).is_none());
        assert_eq!(
            unflushed.give_up().map(|write| write.log_end),
            Some(Offset(12))
        );
    }
}
