//! Why a log or a log directory cannot be opened.

use std::io;
use std::path::{Path, PathBuf};

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file could not be read or written.
    #[error("{}", crate::disk_error::naming(path, source))]
    Io {
        /// Where.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// There is a log of this partition already.
    #[error("{}: exists already", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
}

impl OpenError {
    /// Says which path an I/O error is about.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
