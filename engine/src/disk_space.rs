//! How much room there is where a log directory is.
//!
//! Blocking.

use crate::directory::LogDirectory;
use crate::disk;
use std::io;

/// The file system's size and what of it can still be used, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// All of it.
    pub total_bytes: u64,
    /// What may still be written by this process.
    pub usable_bytes: u64,
}

impl LogDirectory {
    /// The room in this directory's file system.
    pub fn disk_space(&self) -> io::Result<DiskSpace> {
        let (total_bytes, usable_bytes) = disk::room(self.path())?;
        Ok(DiskSpace {
            total_bytes,
            usable_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_usable_than_there_is() {
        let place = tempfile::tempdir().unwrap();
        let directory = LogDirectory::open(place.path()).unwrap();
        let space = directory.disk_space().unwrap();
        assert!(0 < space.usable_bytes && space.usable_bytes <= space.total_bytes);
    }
}
