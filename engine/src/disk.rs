//! The calls by which the engine changes what is on disk, and opens what it will change: one place,
//! so that tests can count them, let each of them fail, or stop at it as a crash does (`fault`).
//!
//! Blocking. Adds nothing to the calls themselves.

#[cfg(test)]
use crate::fault;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Opens a file as `options` say.
pub(crate) fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(test)]
    fault::before()?;
    options.open(path)
}

/// Makes a file, or empties it.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    fault::before()?;
    File::create(path)
}

/// Writes all of `bytes` at a position.
pub(crate) fn write_at(file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
    #[cfg(test)]
    fault::before_bytes(file, bytes, position)?;
    file.write_all_at(bytes, position)
}

/// Sets a file's length.
pub(crate) fn set_len(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(test)]
    fault::before()?;
    file.set_len(bytes)
}

/// Renames a file within its directory.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::before()?;
    std::fs::rename(from, to)
}

/// Removes a file.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::before()?;
    std::fs::remove_file(path)
}

/// Makes a file's data durable, and of its metadata what is needed to read them.
pub(crate) fn sync_data(file: impl AsFd) -> io::Result<()> {
    #[cfg(test)]
    if fault::sync(&file)? {
        return Ok(());
    }
    Ok(rustix::fs::fdatasync(file)?)
}

/// Makes a file and its metadata, or the names in a directory, durable.
pub(crate) fn sync_all(file: &File) -> io::Result<()> {
    #[cfg(test)]
    if fault::sync(file)? {
        return Ok(());
    }
    file.sync_all()
}
