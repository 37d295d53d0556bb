//! Files that nobody may need any more, but a read in progress still might: they go a while later.

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
        disk::offload_slow(move || self.run_blocking()).await;
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
    segment.standing.leave();
    let renamed = give_up(directory, segment.base_offset)?;
    segment.standing.gone();
    Ok(renamed)
}

/// Renames a segment's files, and gives their new paths.
pub(crate) fn give_up(directory: &Path, base_offset: Offset) -> io::Result<Vec<PathBuf>> {
    let kinds = [
        Kind::Log,
        Kind::OffsetIndex,
        Kind::TimeIndex,
        Kind::TxnIndex,
    ];
    let renamed = kinds.map(|kind| give_up_file(directory, base_offset, kind));
    renamed.into_iter().filter_map(Result::transpose).collect()
}

/// Renames one file, if it is there, and gives its new path.
pub(crate) fn give_up_file(
    directory: &Path,
    base_offset: Offset,
    kind: Kind,
) -> io::Result<Option<PathBuf>> {
    let name = |stage| FileName {
        base_offset,
        kind,
        stage,
    };
    let deleted = name(Stage::Deleted).within(directory);
    match disk::rename(&name(Stage::Settled).within(directory), &deleted) {
        Ok(()) => Ok(Some(deleted)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn delay(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
