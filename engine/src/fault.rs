//! Failures that tests inject into writes: the only hook of its kind, absent outside tests.
//!
//! Per thread, one failure at a time, consumed when it strikes.

use bytes::Bytes;
use ring::file::File;
use std::cell::Cell;
use std::io;
use std::os::unix::fs::FileExt;

/// How the next write fails.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fault {
    /// How many bytes of it still reach the file.
    pub(crate) bytes_written: usize,
    /// The error number of the write.
    pub(crate) errno: i32,
    /// The error number of cutting the file back, if that fails too.
    pub(crate) truncate_errno: Option<i32>,
}

thread_local! {
    static WRITE: Cell<Option<Fault>> = const { Cell::new(None) };
    static TRUNCATE: Cell<Option<i32>> = const { Cell::new(None) };
}

/// Makes the next write of this thread fail.
pub(crate) fn inject(fault: Fault) {
    WRITE.set(Some(fault));
}

/// Takes back a failure that has not struck.
pub(crate) fn clear() {
    WRITE.set(None);
}

pub(crate) fn before_write(file: &File, pieces: &[Bytes], position: u64) -> io::Result<()> {
    let Some(fault) = WRITE.take() else {
        return Ok(());
    };
    TRUNCATE.set(fault.truncate_errno);
    let mut bytes = pieces.concat();
    bytes.truncate(fault.bytes_written);
    file.try_clone_std()?.write_all_at(&bytes, position)?;
    Err(io::Error::from_raw_os_error(fault.errno))
}

pub(crate) fn before_truncate() -> io::Result<()> {
    match TRUNCATE.take() {
        Some(errno) => Err(io::Error::from_raw_os_error(errno)),
        None => Ok(()),
    }
}
