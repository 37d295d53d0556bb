//! The last batches of a log: what they are and where they lie in the active segment, so that
//! reads near the end of the log look at no file.
//!
//! Pure, owned by the log. Invariant: the entries are consecutive in the file, up to its end.

use protocol::ids::{Offset, Position};
use std::collections::VecDeque;

/// How many batches are kept.
pub(crate) const BATCHES_MAX: usize = 256;

/// Where a batch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TailBatch {
    pub(crate) base_offset: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) position: Position,
    pub(crate) bytes: u32,
}

/// The last batches of the active segment, oldest first.
#[derive(Debug, Default)]
pub(crate) struct HotTail {
    batches: VecDeque<TailBatch>,
}

impl TailBatch {
    fn end(&self) -> Position {
        self.position + self.bytes
    }
}

impl HotTail {
    /// A batch was written at the end.
    pub(crate) fn push(&mut self, batch: TailBatch) {
        let consecutive = self.batches.back().is_none_or(|last| {
            last.end() == batch.position && last.last_offset < batch.base_offset
        });
        assert!(
            consecutive,
            "{batch:?} does not follow {:?}",
            self.batches.back()
        );
        if self.batches.len() == BATCHES_MAX {
            self.batches.pop_front();
        }
        self.batches.push_back(batch);
    }

    /// The first batch that ends at or after `offset`; `None` if that may be one no longer known,
    /// or there is none.
    pub(crate) fn batch_with(&self, offset: Offset) -> Option<&TailBatch> {
        if offset < self.batches.front()?.base_offset {
            return None;
        }
        self.batches
            .get(self.batches.partition_point(|b| b.last_offset < offset))
    }

    /// The end of the last batch that ends at or before `position`; `None` if no known batch does.
    pub(crate) fn boundary_before(&self, position: Position) -> Option<Position> {
        let after = self.batches.partition_point(|b| b.end() <= position);
        Some(self.batches[after.checked_sub(1)?].end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(at: u32) -> TailBatch {
        let base_offset = Offset(i64::from(at) * 10);
        TailBatch {
            base_offset,
            last_offset: base_offset + 7,
            position: Position(at * 100),
            bytes: 100,
        }
    }

    #[test]
    fn batches_are_found_by_offset_and_by_position() {
        let mut tail = HotTail::default();
        assert_eq!(tail.batch_with(Offset(0)), None);
        assert_eq!(tail.boundary_before(Position(1000)), None);
        let count = BATCHES_MAX as u32 + 10;
        for at in 0..count {
            tail.push(batch(at));
        }
        assert_eq!(tail.batch_with(Offset(99)), None, "forgotten");
        assert_eq!(tail.batch_with(Offset(100)), Some(&batch(10)));
        assert_eq!(tail.batch_with(Offset(107)), Some(&batch(10)));
        assert_eq!(
            tail.batch_with(Offset(108)),
            Some(&batch(11)),
            "in a gap: the next"
        );
        assert_eq!(
            tail.batch_with(Offset(i64::from(count) * 10)),
            None,
            "beyond the end"
        );
        assert_eq!(tail.boundary_before(Position(1000)), None);
        assert_eq!(tail.boundary_before(Position(1099)), None);
        assert_eq!(tail.boundary_before(Position(1100)), Some(Position(1100)));
        assert_eq!(tail.boundary_before(Position(1199)), Some(Position(1100)));
    }
}
