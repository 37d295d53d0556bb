//! Small files that are replaced whole or not at all: written beside, synced, renamed, and the
//! directory synced.
//!
//! Blocking system calls: for start-up and `ring::offload`.

use crate::disk;
use std::fs::File;
use std::io;
use std::path::Path;

/// Replaces the file at `path` so that after a crash it is either as before or complete.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    beside(path, |file| {
        disk::write_at(file, content, 0)?;
        disk::sync_all(file)
    })?;
    sync_directory(path.parent().expect("a file has a directory"))
}

/// Replaces a file that can be made again from others: readers see the old or the new one, and a
/// crash may leave anything.
pub(crate) fn replace_derived(path: &Path, content: &[u8]) -> io::Result<()> {
    beside(path, |file| disk::write_at(file, content, 0))
}

fn beside(path: &Path, write: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = Path::new(&beside);
    let written = disk::create(beside)
        .and_then(|file| write(&file))
        .and_then(|()| disk::rename(beside, path));
    if written.is_err() {
        // What is left of it must not take up the space that may just have run out.
        let _ = disk::remove_file(beside);
    }
    written
}

/// Makes names created, renamed or removed in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    disk::sync_all(&disk::open_to_read(directory)?)
}

/// The file's content; `None` if there is no such file.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    let content = match disk::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        content => content?,
    };
    String::from_utf8(content).map(Some).map_err(|_| {
        let text = format!("{}: is not text", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// Removes a file if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match disk::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
