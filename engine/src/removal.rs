//! Files that nobody may need any more, but a read in progress still might: they go a while later.
//!
//! Until then they are `.deleted`. A segment's name may be made again meanwhile, by compaction or
//! after a truncation, and be given up again: its files then become `.1.deleted` and so on, since
//! those of the first are not to be replaced, nor removed with it. Invariant: one at a time gives up
//! segments of a log.

use crate::atomic_file;
use crate::disk;
use crate::file_name::{FileName, Kind, Stage};
use crate::sealed_segment::SealedSegment;
use protocol::ids::Offset;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is to be removed, and when. If the process ends before, the next start removes it.
#[derive(Debug)]
#[must_use = "nothing is removed before this is run"]
pub struct Removal {
    what: What,
    delay: Duration,
}

/// The files of a segment.
const OF_SEGMENT: [Kind; 4] = [
    Kind::Log,
    Kind::OffsetIndex,
    Kind::TimeIndex,
    Kind::TxnIndex,
];

#[derive(Debug)]
enum What {
    Files(Vec<PathBuf>),
    Directory(PathBuf),
}

impl Removal {
    pub(crate) fn of_files(files: Vec<PathBuf>, delay_ms: i64) -> Self {
        Self {
            what: What::Files(files),
            delay: delay(delay_ms),
        }
    }

    pub(crate) fn of_directory(directory: PathBuf, delay_ms: i64) -> Self {
        Self {
            what: What::Directory(directory),
            delay: delay(delay_ms),
        }
    }

    /// Waits, then removes. What cannot be removed is said in the log, and left for the next
    /// start.
    pub async fn run(self) {
        ring::timer::sleep(self.delay).await;
        disk::offload_unhurried(move || self.run_blocking()).await;
    }

    /// The same on threads of the caller's.
    pub async fn run_on(self, helpers: &ring::Helpers) {
        ring::timer::sleep(self.delay).await;
        helpers.run(move || self.run_blocking()).await;
    }

    /// Removes at once, on this thread.
    pub fn run_blocking(self) {
        let (path, removed) = match self.what {
            What::Directory(path) => {
                let removed = disk::remove_tree(&path);
                (path, removed)
            }
            What::Files(files) => {
                let mut last = (PathBuf::new(), Ok(()));
                for path in files {
                    let removed = atomic_file::remove(&path);
                    if removed.is_err() {
                        last = (path, removed);
                    }
                }
                last
            }
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "could not be removed");
            }
            _ => {}
        }
    }
}

/// Renames the files of a finished segment, and gives their new paths. Reads in progress find
/// them there.
pub(crate) fn give_up_sealed(
    directory: &Path,
    segment: &SealedSegment,
) -> io::Result<Vec<PathBuf>> {
    let number = free_number(directory, segment.base_offset, &OF_SEGMENT)?;
    segment.standing.leave(number);
    let renamed = rename_all(directory, segment.base_offset, &OF_SEGMENT, number)?;
    segment.standing.gone();
    Ok(renamed)
}

/// Renames a segment's files, and gives their new paths.
pub(crate) fn give_up(directory: &Path, base_offset: Offset) -> io::Result<Vec<PathBuf>> {
    let number = free_number(directory, base_offset, &OF_SEGMENT)?;
    rename_all(directory, base_offset, &OF_SEGMENT, number)
}

/// Renames the snapshot at an offset, if it is there, and gives its new path.
pub(crate) fn give_up_snapshot(directory: &Path, at: Offset) -> io::Result<Vec<PathBuf>> {
    let number = free_number(directory, at, &[Kind::Snapshot])?;
    rename_all(directory, at, &[Kind::Snapshot], number)
}

/// The first number under which no file waits to be removed.
fn free_number(directory: &Path, base_offset: Offset, kinds: &[Kind]) -> io::Result<u32> {
    let waits = |number, kind| {
        let deleted = FileName {
            base_offset,
            kind,
            stage: Stage::Deleted(number),
        };
        disk::exists(&deleted.within(directory))
    };
    let mut number = 0;
    'taken: loop {
        for kind in kinds {
            if waits(number, *kind)? {
                number += 1;
                continue 'taken;
            }
        }
        return Ok(number);
    }
}

fn rename_all(
    directory: &Path,
    base_offset: Offset,
    kinds: &[Kind],
    number: u32,
) -> io::Result<Vec<PathBuf>> {
    let mut renamed = Vec::new();
    for kind in kinds {
        let name = |stage| FileName {
            base_offset,
            kind: *kind,
            stage,
        };
        let deleted = name(Stage::Deleted(number)).within(directory);
        match disk::rename(&name(Stage::Settled).within(directory), &deleted) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
            Ok(()) => renamed.push(deleted),
        }
    }
    Ok(renamed)
}

fn delay(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
