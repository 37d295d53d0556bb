//! Whether a log directory can be trusted: shared by all its logs, on whatever core they are.
//!
//! Knows no files. Invariant: a directory that failed stays failed until the process ends, so that
//! nothing in it is acknowledged after the first doubt.

use std::sync::{Arc, OnceLock};

/// The state of one log directory.
#[derive(Debug, Default)]
pub struct DirectoryHealth {
    failure: OnceLock<Arc<str>>,
}

impl DirectoryHealth {
    /// The directory has failed; the first reason stays. Returns whether this was the first.
    pub fn fail(&self, reason: &str) -> bool {
        self.failure.set(reason.into()).is_ok()
    }

    /// Why the directory cannot be used any more; `None` while it can.
    pub fn failure(&self) -> Option<&Arc<str>> {
        self.failure.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let health = DirectoryHealth::default();
        assert_eq!(health.failure(), None);
        assert!(health.fail("first"));
        assert!(!health.fail("second"));
        assert_eq!(health.failure().map(|reason| &**reason), Some("first"));
    }
}
