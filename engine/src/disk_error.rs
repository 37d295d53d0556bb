//! What an I/O error is about: what was tried, and with which file.
//!
//! Travels inside an `io::Error` of the same kind, so that whoever looks at kinds or error numbers
//! ([`errno`]) need not know of it. Invariant: its text names the path, so that nobody has to add it.

use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

/// A call to the disk that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct DiskError {
    /// What was tried, as a verb.
    pub operation: &'static str,
    /// With which file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl DiskError {
    /// Says what an error is about.
    pub(crate) fn at(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> io::Error {
        move |source| Self::wrap(operation, path.to_owned(), source)
    }

    /// The same of an open file.
    pub(crate) fn of(
        operation: &'static str,
        file: impl AsFd,
    ) -> impl FnOnce(io::Error) -> io::Error {
        move |source| Self::wrap(operation, path_of(file), source)
    }

    fn wrap(operation: &'static str, path: PathBuf, source: io::Error) -> io::Error {
        let kind = source.kind();
        let error = Self {
            operation,
            path,
            source,
        };
        io::Error::new(kind, error)
    }

    /// What an error is about, if it came from the disk.
    #[must_use]
    pub fn in_error(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// The system's number of an error, also if it says what it is about.
pub(crate) fn errno(error: &io::Error) -> Option<Errno> {
    let of_system = DiskError::in_error(error).map_or(error, |error| &error.source);
    Errno::from_io_error(of_system)
}

/// An error's text with the path it is about, once.
pub(crate) fn naming<'a>(path: &'a Path, error: &'a io::Error) -> impl std::fmt::Display + 'a {
    let named = DiskError::in_error(error).is_some()
        || error.to_string().contains(&*path.to_string_lossy());
    let path = (!named).then(|| format!("{}: ", path.display()));
    format!("{}{error}", path.unwrap_or_default())
}

/// Under which name an open file was opened. Takes no descriptor, as there may be none left.
pub(crate) fn path_of(file: impl AsFd) -> PathBuf {
    let link = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    std::fs::read_link(link).unwrap_or_else(|_| "an open file".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_tried_with_what_and_keeps_its_kind_and_number() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let full = || io::Error::from(Errno::NOSPC);
        let file = std::fs::File::create(&path).unwrap();
        for error in [
            DiskError::at("write", &path)(full()),
            DiskError::of("write", &file)(full()),
        ] {
            let text = format!("cannot write {}: No space left on device", path.display());
            assert!(error.to_string().starts_with(&text), "{error}");
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            assert_eq!(errno(&error), Some(Errno::NOSPC));
            assert_eq!(DiskError::in_error(&error).unwrap().path, path);
            let named = naming(directory.path(), &error).to_string();
            assert_eq!(named, error.to_string());
        }
        assert_eq!(errno(&full()), Some(Errno::NOSPC));
        let named = naming(&path, &full()).to_string();
        assert!(named.starts_with(&format!("{}: No space", path.display())));
    }
}
