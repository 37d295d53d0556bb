//! How far the loading of many logs is, said in the log now and then.
//!
//! Shared by the threads that load.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// How often the start says how far it is.
const PROGRESS_INTERVAL_MS: u64 = 1000;

/// Says now and then how far the loading of many logs is.
pub(crate) struct Progress {
    began: Instant,
    done: AtomicUsize,
    of: usize,
    /// Milliseconds after `began`.
    next_line_ms: AtomicU64,
}

impl Progress {
    pub(crate) fn of(logs: usize) -> Self {
        Self {
            began: Instant::now(),
            done: AtomicUsize::new(0),
            of: logs,
            next_line_ms: AtomicU64::new(PROGRESS_INTERVAL_MS),
        }
    }

    /// Another log of `directory` is loaded.
    pub(crate) fn one_more(&self, directory: &Path) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let passed_ms = self.began.elapsed().as_millis() as u64;
        let is_due = passed_ms >= self.next_line_ms.load(Ordering::Relaxed);
        if is_due && done < self.of {
            let next = passed_ms + PROGRESS_INTERVAL_MS;
            self.next_line_ms.store(next, Ordering::Relaxed);
            let (directory, left) = (directory.display(), self.of - done);
            tracing::info!(%directory, loaded = done, left, "loading logs goes on");
        }
        if done == self.of {
            let directory = directory.display();
            tracing::info!(%directory, loaded = done, ms = passed_ms, "logs are loaded");
        }
    }
}
