//! The `.lock` of a log directory: one process at a time, Kafka's brokers included.
//!
//! Kafka holds a POSIX record lock on the file, so that is what excludes it and what it is
//! excluded by. Such a lock is the process's, and does not keep a second user in the same process
//! out; a `flock` beside it does. The kernel drops both when the process ends, however it ends.

use crate::disk;
use rustix::fs::{FlockOperation, fcntl_lock, flock};
use rustix::process::{Flock, FlockType, fcntl_getlk};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

const FILE: &str = ".lock";

/// A locked directory. Dropping it unlocks.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

/// Why a directory could not be locked.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Somebody else uses it: the process with this id, if that is known.
    Held(Option<i32>),
    /// The file could not be made or locked.
    Io(io::Error),
}

impl DirectoryLock {
    /// Locks a directory, or says who has it.
    pub(crate) fn take(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join(FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = disk::open(&options, &path).map_err(LockError::Io)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| refused(&file, error))?;
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| refused(&file, error))?;
        Ok(Self { _file: file })
    }
}

fn refused(file: &File, error: rustix::io::Errno) -> LockError {
    use rustix::io::Errno;
    if !matches!(error, Errno::WOULDBLOCK | Errno::ACCESS) {
        return LockError::Io(error.into());
    }
    let wanted = Flock::from(FlockType::WriteLock);
    let holder = fcntl_getlk(file, &wanted)
        .ok()
        .flatten()
        .and_then(|held| held.pid);
    // A record lock of this very process does not show: then it is this process.
    let holder = holder.unwrap_or_else(rustix::process::getpid);
    LockError::Held(Some(holder.as_raw_nonzero().get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_user_is_refused_and_told_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::take(directory.path()).unwrap();
        match DirectoryLock::take(directory.path()) {
            Err(LockError::Held(Some(pid))) => assert_eq!(pid, std::process::id() as i32),
            other => panic!("{other:?}"),
        }
        drop(lock);
        DirectoryLock::take(directory.path()).unwrap();
    }
}
