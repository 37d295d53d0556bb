//! Every call by which the engine opens, reads or changes what is on disk: one place, so that tests
//! can count the calls, let each of them fail, or stop at it as a crash does (`fault`), and so that
//! every error names what was tried and where ([`DiskError`]).
//!
//! The blocking ones are for start-up and `disk::offload`; those that give a future run on the
//! core's ring. Adds nothing to the calls themselves. A `tidy` test sees to it that the rest of the
//! engine makes none of them elsewhere.

#![allow(
    clippy::manual_async_fn,
    reason = "in tests they note who calls, which an async function cannot"
)]

use crate::disk_error::{DiskError, path_of};
#[cfg(test)]
use crate::fault;
use bytes::Bytes;
use ring::buffer::Buffer;
use ring::file::Allocate;
use std::fs::{DirEntry, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
#[cfg(test)]
use std::panic::Location;
use std::path::Path;
use std::time::SystemTime;

/// The same, on this thread while its disk is watched.
#[cfg(test)]
pub(crate) use crate::fault::{offload, offload as offload_slow, offload as offload_unhurried};
/// Runs a call that blocks on the helper thread; one that waits for the disk, on another; one that
/// no request waits for, on a third.
#[cfg(not(test))]
pub(crate) use ring::{offload, offload_slow, offload_unhurried};

/// Opens a file as `options` say.
#[track_caller]
pub(crate) fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::at("open", path))?;
    options.open(path).map_err(DiskError::at("open", path))
}

/// Opens a file for reading.
#[track_caller]
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    open(OpenOptions::new().read(true), path)
}

/// Opens a file for reading, on the ring.
#[track_caller]
pub(crate) fn open_in_ring(path: &Path) -> impl Future<Output = io::Result<ring::file::File>> {
    #[cfg(test)]
    let struck = fault::before(Location::caller());
    async move {
        #[cfg(test)]
        struck.map_err(DiskError::at("open", path))?;
        let options = ring::file::OpenOptions::new().read(true);
        let opened = ring::file::File::open(path, &options).await;
        opened.map_err(DiskError::at("open", path))
    }
}

/// Opens a file for writing, on the ring.
#[track_caller]
pub(crate) fn open_to_write_in_ring(
    path: &Path,
) -> impl Future<Output = io::Result<ring::file::File>> {
    #[cfg(test)]
    let struck = fault::before(Location::caller());
    async move {
        #[cfg(test)]
        struck.map_err(DiskError::at("open", path))?;
        let options = ring::file::OpenOptions::new().write(true);
        let opened = ring::file::File::open(path, &options).await;
        opened.map_err(DiskError::at("open", path))
    }
}

/// Makes a file, or empties it.
#[track_caller]
pub(crate) fn create(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::at("create", path))?;
    File::create(path).map_err(DiskError::at("create", path))
}

/// All of a file's content.
#[track_caller]
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::at("read", path))?;
    std::fs::read(path).map_err(DiskError::at("read", path))
}

/// Reads once at a position, and returns how much: 0 at the end of the file.
#[track_caller]
pub(crate) fn read_at(file: impl AsFd, into: &mut [u8], position: u64) -> io::Result<usize> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::of("read", &file))?;
    loop {
        match rustix::io::pread(&file, &mut *into, position) {
            Err(rustix::io::Errno::INTR) => {}
            read => return read.map_err(|errno| DiskError::of("read", &file)(errno.into())),
        }
    }
}

/// Fills `into` from a place in a file.
#[track_caller]
pub(crate) fn read_exact_at(file: impl AsFd, into: &mut [u8], position: u64) -> io::Result<()> {
    let mut done = 0;
    while done < into.len() {
        match read_at(&file, &mut into[done..], position + done as u64)? {
            0 => {
                let ends = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(DiskError::of("read", &file)(ends));
            }
            read => done += read,
        }
    }
    Ok(())
}

/// Reads what is in the page cache, without waiting. `None`: it is not there.
#[track_caller]
pub(crate) fn try_read_at(
    file: &ring::file::File,
    into: &mut [u8],
    position: u64,
) -> io::Result<Option<usize>> {
    #[cfg(test)]
    {
        fault::before(Location::caller()).map_err(DiskError::of("read", file))?;
        if fault::is_cold() {
            return Ok(None);
        }
    }
    file.try_read_at(into, position)
        .map_err(DiskError::of("read", file))
}

/// Appends `len` bytes from a place in a file to `buffer`, on the ring.
#[track_caller]
pub(crate) fn read_in_ring(
    file: &ring::file::File,
    buffer: Buffer,
    len: usize,
    position: u64,
) -> impl Future<Output = io::Result<Buffer>> {
    #[cfg(test)]
    let struck = fault::before(Location::caller());
    async move {
        #[cfg(test)]
        struck.map_err(DiskError::of("read", file))?;
        let (read, buffer) = file.read_exact_at(buffer, len, position).await;
        read.map_err(DiskError::of("read", file))?;
        Ok(buffer)
    }
}

/// What is known of a file by its name.
#[track_caller]
pub(crate) fn metadata(path: &Path) -> io::Result<Metadata> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::at("look at", path))?;
    std::fs::metadata(path).map_err(DiskError::at("look at", path))
}

/// The size of the file system a path is in, and what of it can still be used, in bytes.
#[track_caller]
pub(crate) fn room(path: &Path) -> io::Result<(u64, u64)> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::at("look at", path))?;
    let found =
        rustix::fs::statvfs(path).map_err(|errno| DiskError::at("look at", path)(errno.into()))?;
    let bytes = |blocks: u64| found.f_frsize.saturating_mul(blocks);
    Ok((bytes(found.f_blocks), bytes(found.f_bavail)))
}

/// Whether there is a directory of that name.
#[track_caller]
pub(crate) fn is_directory(path: &Path) -> io::Result<bool> {
    match metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => found.map(|found| found.is_dir()),
    }
}

/// Whether there is something of that name.
#[track_caller]
pub(crate) fn exists(path: &Path) -> io::Result<bool> {
    match metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => found.map(|_| true),
    }
}

/// An open file's length.
#[track_caller]
pub(crate) fn length(file: &File) -> io::Result<u64> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::of("look at", file))?;
    let found = file.metadata().map_err(DiskError::of("look at", file))?;
    Ok(found.len())
}

/// Whether an open file has more blocks than its content takes; true as well of some that are in many
/// pieces.
#[track_caller]
pub(crate) fn has_blocks_behind_end(file: &File) -> io::Result<bool> {
    /// What `st_blocks` counts.
    const UNIT_BYTES: u64 = 512;
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::of("look at", file))?;
    let found = file.metadata().map_err(DiskError::of("look at", file))?;
    let content = found.len().next_multiple_of(found.blksize().max(1));
    Ok(found.blocks() * UNIT_BYTES > content)
}

/// What is in a directory.
#[track_caller]
pub(crate) fn list(directory: &Path) -> io::Result<Vec<DirEntry>> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::at("list", directory))?;
    std::fs::read_dir(directory)
        .and_then(Iterator::collect)
        .map_err(DiskError::at("list", directory))
}

/// Writes all of `bytes` at a position.
#[track_caller]
pub(crate) fn write_at(file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
    #[cfg(test)]
    fault::before_bytes(Location::caller(), file, bytes, position)
        .map_err(DiskError::of("write", file))?;
    file.write_all_at(bytes, position)
        .map_err(DiskError::of("write", file))
}

/// Writes all of `pieces` one after the other from a position on, on the ring.
#[track_caller]
pub(crate) fn write_in_ring(
    file: &ring::file::File,
    pieces: Vec<Bytes>,
    position: u64,
) -> impl Future<Output = io::Result<()>> {
    #[cfg(test)]
    let struck = fault::before_write(Location::caller(), file, &pieces, position);
    async move {
        #[cfg(test)]
        struck.map_err(DiskError::of("write", file))?;
        file.write_vectored_all_at(pieces, position)
            .await
            .map_err(DiskError::of("write", file))
    }
}

/// Sets a file's length.
#[track_caller]
pub(crate) fn set_length(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::of("set the length of", file))?;
    file.set_len(bytes)
        .map_err(DiskError::of("set the length of", file))
}

/// Sets a file's length, without blocking the core.
#[track_caller]
pub(crate) fn set_length_in_ring(
    file: &ring::file::File,
    bytes: u64,
) -> impl Future<Output = io::Result<()>> {
    #[cfg(test)]
    let struck = fault::before_cut(Location::caller());
    async move {
        #[cfg(test)]
        struck.map_err(DiskError::of("set the length of", file))?;
        file.truncate(bytes)
            .await
            .map_err(DiskError::of("set the length of", file))
    }
}

/// Reserves blocks for a range beyond a file's end.
#[track_caller]
pub(crate) fn reserve_in_ring(
    file: &ring::file::File,
    position: u64,
    bytes: u64,
) -> impl Future<Output = io::Result<()>> {
    #[cfg(test)]
    let struck = fault::before(Location::caller());
    async move {
        #[cfg(test)]
        struck.map_err(DiskError::of("reserve blocks for", file))?;
        file.fallocate(Allocate::KeepSize, position, bytes)
            .await
            .map_err(DiskError::of("reserve blocks for", file))
    }
}

/// Says when a file was last changed.
#[track_caller]
pub(crate) fn set_modified(file: &File, modified: SystemTime) -> io::Result<()> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::of("set the time of", file))?;
    file.set_modified(modified)
        .map_err(DiskError::of("set the time of", file))
}

/// Lets nobody write to a file from now on.
#[track_caller]
pub(crate) fn set_read_only(file: &File) -> io::Result<()> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::of("protect", file))?;
    let protect = || {
        let mut permissions = file.metadata()?.permissions();
        permissions.set_readonly(true);
        file.set_permissions(permissions)
    };
    protect().map_err(DiskError::of("protect", file))
}

/// A second descriptor of an open file.
#[track_caller]
pub(crate) fn second_descriptor(file: &ring::file::File) -> io::Result<File> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::of("open again", file))?;
    file.try_clone_std()
        .map_err(DiskError::of("open again", file))
}

/// Renames a file or a directory.
#[track_caller]
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::before_rename(Location::caller()).map_err(DiskError::at("rename", from))?;
    std::fs::rename(from, to).map_err(DiskError::at("rename", from))
}

/// Removes a file.
#[track_caller]
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::at("remove", path))?;
    std::fs::remove_file(path).map_err(DiskError::at("remove", path))
}

/// Removes an empty directory.
#[track_caller]
pub(crate) fn remove_directory(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::at("remove", path))?;
    std::fs::remove_dir(path).map_err(DiskError::at("remove", path))
}

/// Removes a directory with all that is in it.
#[track_caller]
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::at("remove", path))?;
    std::fs::remove_dir_all(path).map_err(DiskError::at("remove", path))
}

/// Makes a directory.
#[track_caller]
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::at("make the directory", path))?;
    std::fs::create_dir(path).map_err(DiskError::at("make the directory", path))
}

/// Makes a directory and those it lies in, as far as they are not there.
#[track_caller]
pub(crate) fn make_directories(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::before(Location::caller()).map_err(DiskError::at("make the directory", path))?;
    std::fs::create_dir_all(path).map_err(DiskError::at("make the directory", path))
}

/// Makes a file's data durable, and of its metadata what is needed to read them.
#[track_caller]
pub(crate) fn sync_data(file: impl AsFd) -> io::Result<()> {
    #[cfg(test)]
    if fault::sync(Location::caller(), &file).map_err(DiskError::of("sync", &file))? {
        return Ok(());
    }
    rustix::fs::fdatasync(&file).map_err(|errno| DiskError::of("sync", &file)(errno.into()))
}

/// The same, on the ring.
#[track_caller]
pub(crate) fn sync_data_in_ring(file: &ring::file::File) -> impl Future<Output = io::Result<()>> {
    #[cfg(test)]
    let struck = fault::sync(Location::caller(), file);
    async move {
        #[cfg(test)]
        if struck.map_err(DiskError::of("sync", file))? {
            return Ok(());
        }
        file.fdatasync().await.map_err(DiskError::of("sync", file))
    }
}

/// Makes a file and its metadata, or the names in a directory, durable.
#[track_caller]
pub(crate) fn sync_all(file: &File) -> io::Result<()> {
    #[cfg(test)]
    if fault::sync(Location::caller(), file).map_err(DiskError::of("sync", file))? {
        return Ok(());
    }
    file.sync_all().map_err(DiskError::of("sync", file))
}

/// Makes everything on a file's file system durable.
#[track_caller]
pub(crate) fn sync_file_system(file: &File) -> io::Result<()> {
    #[cfg(test)]
    if fault::sync_tree(Location::caller(), file).map_err(DiskError::of("sync all with", file))? {
        return Ok(());
    }
    rustix::fs::syncfs(file).map_err(|errno| DiskError::of("sync all with", file)(errno.into()))
}

/// An error that says that a file's content is not what it ought to be.
pub(crate) fn invalid(file: impl AsFd, what: impl std::fmt::Display) -> io::Error {
    let text = format!("{}: {what}", path_of(file).display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}
