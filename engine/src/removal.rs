//! Files that nobody may need any more, but a read in progress still might: they go a while later.

use crate::atomic_file;
use std::io;
use std::path::PathBuf;
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
        ring::offload(move || self.run_blocking()).await;
    }

    /// Removes at once, on this thread.
    pub fn run_blocking(self) {
        let (path, removed) = match self.what {
            What::Directory(path) => {
                let removed = std::fs::remove_dir_all(&path);
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

fn delay(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
