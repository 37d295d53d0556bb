//! Under which names a finished segment's files are: reads that began before the segment was
//! deleted, replaced by a compacted one or left behind by its log must never open the replacement.
//!
//! A segment is given up in this order: it is marked as leaving, its files are renamed to
//! `.deleted` (with a number if need be: `removal`), it is marked as gone. Only then may a
//! replacement stay under the old names for good, and may the renamed files be removed. Where the
//! log goes to another log directory, its own is renamed as a whole (`exchange`), in the same
//! order.
//!
//! Invariant: a file is replaced under the segment's name only while the segment has that name:
//! between the look and the replacement the segment is not given up. Locked by who replaces and by
//! who gives up, both on helper threads.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

const IN_USE: u8 = 0;
const LEAVING: u8 = 1;
const GONE: u8 = 2;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct FileStanding {
    state: AtomicU8,
    /// Of the name with `.deleted`; known before the segment leaves.
    number: AtomicU32,
    /// Nothing is to be replaced under the names any more.
    fixed: Mutex<bool>,
}

impl FileStanding {
    /// Whether the segment is the log's.
    pub(crate) fn is_in_use(&self) -> bool {
        self.state.load(Ordering::Acquire) == IN_USE
    }

    /// Has `replace` put another file in the place of one of the segment's, unless the names are
    /// not the segment's alone any more.
    pub(crate) fn replace(&self, replace: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let fixed = self.fixed.lock().expect("nobody panics with it");
        match *fixed {
            true => Ok(()),
            false => replace(),
        }
    }

    /// From now on nothing is replaced: somebody else is about to write to the files.
    pub(crate) fn fix(&self) {
        *self.fixed.lock().expect("nobody panics with it") = true;
    }

    /// The files are about to be renamed, to `.deleted` with this number.
    pub(crate) fn leave(&self, number: u32) {
        self.fix();
        self.number.store(number, Ordering::Relaxed);
        self.state.store(LEAVING, Ordering::Release);
    }

    /// The files keep their names after all.
    pub(crate) fn stay(&self) {
        *self.fixed.lock().expect("nobody panics with it") = false;
        self.state.store(IN_USE, Ordering::Release);
    }

    /// The files have been renamed.
    pub(crate) fn gone(&self) {
        self.state.store(GONE, Ordering::Release);
    }

    /// What `open` makes of the segment's own file, whichever of the two names it has. The name is
    /// looked at after the file is open: what was opened before the renames began is the right
    /// one.
    pub(crate) fn open<T>(
        &self,
        path: &Path,
        deleted: impl Fn(u32) -> PathBuf,
        open: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let opened = open(path);
        let state = || self.state.load(Ordering::Acquire);
        let open_deleted = || open(&deleted(self.number.load(Ordering::Relaxed)));
        match state() {
            IN_USE => opened,
            LEAVING => match open_deleted() {
                Err(_) if state() == LEAVING => opened,
                renamed => renamed,
            },
            _ => open_deleted(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_reader_gets_the_segments_own_file_and_never_its_replacement() {
        let directory = tempfile::tempdir().unwrap();
        let (path, deleted) = (
            directory.path().join("a"),
            directory.path().join("a.1.deleted"),
        );
        let standing = FileStanding::default();
        let read = || {
            let deleted = |number| directory.path().join(format!("a.{number}.deleted"));
            standing.open(&path, deleted, |path| fs::read_to_string(path))
        };
        fs::write(&path, "old").unwrap();
        assert_eq!(read().unwrap(), "old");
        standing.leave(1);
        assert_eq!(read().unwrap(), "old");
        fs::rename(&path, &deleted).unwrap();
        assert_eq!(read().unwrap(), "old");
        fs::write(&path, "new").unwrap();
        assert_eq!(read().unwrap(), "old");
        standing.gone();
        assert_eq!(read().unwrap(), "old");
        fs::remove_file(&deleted).unwrap();
        assert_eq!(read().unwrap_err().kind(), io::ErrorKind::NotFound);
        standing.replace(|| unreachable!()).unwrap();
    }
}
