//! Why a log or a log directory cannot be opened.

use protocol::ids::Uuid;
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
    /// The directory belongs to another topic of the same name.
    #[error("{}: belongs to the topic with id {found}, not {expected}", path.display())]
    OtherTopic {
        /// The directory.
        path: PathBuf,
        /// The id in it.
        found: Uuid,
        /// The id that was expected.
        expected: Uuid,
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
