//! How many closed segments are open at a time, of all logs of the process together, since the limit
//! on open files is the process's: those that were used last, and those that no flush has reached.
//!
//! An open segment costs a file and two maps. When there are too many, the one that was not used
//! for longest gives up its own (roughly: one that was used since it was last looked at stays
//! another round). Reads in progress hold what they use, so nobody is cut off.
//!
//! A segment that was just closed cannot give up its file before it is synced: an error that the
//! kernel met while it wrote the file in the background is told to who has it open then, and may be
//! forgotten with the file's last descriptor. So there are places for those; a segment that is
//! closed when none is left is synced first (`roll`), which holds its writers back to what the disk
//! can do.
//!
//! Invariant: a lock of a segment is never taken inside this one's.

use crate::sealed_segment::SealedSegment;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// Where the process does not say otherwise: fits under the usual limit of 1,024 files. Tests that
/// count calls to the disk must not depend on what others have open beside them.
const DEFAULT_MAX: usize = if cfg!(test) { 4096 } else { 256 };

/// How many may wait for a flush at most: what a stop still has to sync, and what is checked after a
/// crash.
const UNFLUSHED_MAX: usize = 1024;

static OPEN: OpenSegments = OpenSegments::new(DEFAULT_MAX);

/// The open segments, in the order in which they will be looked at.
#[derive(Debug)]
pub(crate) struct OpenSegments {
    max: AtomicUsize,
    order: Mutex<VecDeque<Weak<SealedSegment>>>,
    unflushed_max: AtomicUsize,
    unflushed: AtomicUsize,
}

/// A place among the open segments that no flush has reached. Free again when this is dropped.
#[derive(Debug)]
pub(crate) struct UnflushedPlace(&'static OpenSegments);

/// How many closed segments may be open at a time from now on; see the module.
pub fn set_open_segments_max(max: usize) {
    let unflushed = unflushed_of(max);
    OPEN.unflushed_max.store(unflushed, Ordering::Relaxed);
    OPEN.max.store((max - unflushed).max(1), Ordering::Relaxed);
}

/// How many of so many places are for those that no flush has reached.
const fn unflushed_of(max: usize) -> usize {
    let part = max / 4;
    if part < UNFLUSHED_MAX {
        part
    } else {
        UNFLUSHED_MAX
    }
}

/// Those of this process.
pub(crate) fn of_process() -> &'static OpenSegments {
    &OPEN
}

impl OpenSegments {
    const fn new(max: usize) -> Self {
        let unflushed = unflushed_of(max);
        Self {
            max: AtomicUsize::new(max - unflushed),
            order: Mutex::new(VecDeque::new()),
            unflushed_max: AtomicUsize::new(unflushed),
            unflushed: AtomicUsize::new(0),
        }
    }

    /// A place for a segment that is about to be closed, if there is one.
    pub(crate) fn place_unflushed(&'static self) -> Option<UnflushedPlace> {
        #[cfg(test)]
        if crate::fault::are_places_taken() {
            return None;
        }
        let max = self.unflushed_max.load(Ordering::Relaxed);
        let taken = self
            .unflushed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < max).then_some(taken + 1)
            });
        taken.ok().map(|_| UnflushedPlace(self))
    }

    /// A segment was opened. Others are closed for it if need be.
    pub(crate) fn opened(&self, segment: &Arc<SealedSegment>) {
        self.lock().push_back(Arc::downgrade(segment));
        self.close_beyond(self.max.load(Ordering::Relaxed));
    }

    /// Does what opens files; if the process has no descriptor left, half of the segments are closed
    /// for it, and it is done again.
    pub(crate) fn with_room<T>(&self, mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match open() {
            Err(error) if out_of_descriptors(&error) => {
                self.make_room();
                open()
            }
            opened => opened,
        }
    }

    fn make_room(&self) {
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

fn out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    crate::disk_error::errno(error)
        .is_some_and(|errno| [Errno::MFILE, Errno::NFILE].contains(&errno))
}

impl Drop for UnflushedPlace {
    fn drop(&mut self) {
        self.0.unflushed.fetch_sub(1, Ordering::Relaxed);
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
    fn a_quarter_of_the_places_and_no_more_is_for_those_that_are_not_flushed() {
        static PLACES: OpenSegments = OpenSegments::new(8);
        let first = PLACES.place_unflushed().unwrap();
        let _second = PLACES.place_unflushed().unwrap();
        assert!(PLACES.place_unflushed().is_none());
        drop(first);
        let _third = PLACES.place_unflushed().unwrap();
        assert!(PLACES.place_unflushed().is_none());
        assert_eq!(PLACES.max.load(Ordering::Relaxed), 6);
        assert_eq!(unflushed_of(1 << 20), UNFLUSHED_MAX);
    }

    #[test]
    fn the_one_that_was_not_used_for_longest_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let open = OpenSegments::new(3); // Too few for a quarter.
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
