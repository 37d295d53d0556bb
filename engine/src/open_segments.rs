//! How many closed segments are open at a time: those that were used last, of all logs of the
//! process together, since the limit on open files is the process's.
//!
//! An open segment costs a file and two maps. When there are too many, the one that was not used
//! for longest gives up its own (roughly: one that was used since it was last looked at stays
//! another round). Reads in progress hold what they use, so nobody is cut off. Invariant: a lock of
//! a segment is never taken inside this one's.

use crate::sealed_segment::SealedSegment;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// Where the process does not say otherwise: fits under the usual limit of 1,024 files.
const DEFAULT_MAX: usize = 256;

static OPEN: OpenSegments = OpenSegments::new(DEFAULT_MAX);

/// The open segments, in the order in which they will be looked at.
#[derive(Debug)]
pub(crate) struct OpenSegments {
    max: AtomicUsize,
    order: Mutex<VecDeque<Weak<SealedSegment>>>,
}

/// How many closed segments may be open at a time from now on; see the module.
pub fn set_open_segments_max(max: usize) {
    OPEN.max.store(max.max(1), Ordering::Relaxed);
}

/// Those of this process.
pub(crate) fn of_process() -> &'static OpenSegments {
    &OPEN
}

impl OpenSegments {
    const fn new(max: usize) -> Self {
        Self {
            max: AtomicUsize::new(max),
            order: Mutex::new(VecDeque::new()),
        }
    }

    /// A segment was opened. Others are closed for it if need be.
    pub(crate) fn opened(&self, segment: &Arc<SealedSegment>) {
        self.lock().push_back(Arc::downgrade(segment));
        self.close_beyond(self.max.load(Ordering::Relaxed));
    }

    /// The process has no descriptor left: half of them are closed.
    pub(crate) fn make_room(&self) {
        let half = self.lock().len() / 2;
        self.close_beyond(half);
    }

    fn close_beyond(&self, max: usize) {
        // Everyone is passed over once at most, so this ends.
        let mut looks = 2 * self.lock().len();
        while let Some(oldest) = self.next_beyond(max) {
            looks = looks.saturating_sub(1);
            let Some(segment) = oldest.upgrade() else {
                continue;
            };
            if segment.take_used() && looks > 0 {
                self.lock().push_back(oldest);
            } else {
                segment.close_files();
            }
        }
    }

    fn next_beyond(&self, max: usize) -> Option<Weak<SealedSegment>> {
        let mut order = self.lock();
        if order.len() <= max {
            return None;
        }
        order.pop_front()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Weak<SealedSegment>>> {
        self.order.lock().expect("nobody panics with it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_name::{self, Kind};
    use crate::sealed_segment::Lengths;
    use protocol::ids::{Offset, Position};

    fn segment(directory: &std::path::Path, base: i64) -> Arc<SealedSegment> {
        let path = file_name::path(directory, Offset(base), Kind::Log);
        std::fs::write(path, [0]).unwrap();
        let lengths = Lengths {
            log: Position(1),
            offset_index: 0,
            time_index: 0,
            txn_index: 0,
        };
        Arc::new(SealedSegment::new(
            directory.into(),
            Offset(base),
            lengths,
            4096,
        ))
    }

    #[test]
    fn the_one_that_was_not_used_for_longest_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let open = OpenSegments::new(3);
        let segments: Vec<_> = (0..4).map(|at| segment(directory.path(), at)).collect();
        for segment in &segments[..3] {
            segment.file_blocking_in(&open).unwrap();
            segment.take_used();
        }
        assert!(segments[0].open_file().is_some(), "used again");
        segments[3].file_blocking_in(&open).unwrap();
        let is_open = || segments.iter().map(|s| s.is_open()).collect::<Vec<_>>();
        assert_eq!(is_open(), [true, false, true, true]);
        drop(segments[1].file_blocking_in(&open).unwrap());
        assert_eq!(is_open().iter().filter(|open| **open).count(), 3);
        open.make_room();
        assert_eq!(is_open().iter().filter(|open| **open).count(), 1);
    }
}
