//! Snapshots of the metadata log: the `.checkpoint` files in its directory (KIP-630).
//!
//! A snapshot holds what the records before its offset come to, as batches. It is written beside,
//! synced, and renamed; so one that has its name is whole. Blocking: start-up and `ring::offload`.

use crate::atomic_file::{self, sync_directory};
use crate::disk;
use crate::segment_scan::{SegmentScan, Stopped};
use protocol::batch::BatchView;
use protocol::ids::{LeaderEpoch, Offset, Position};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

const SUFFIX: &str = ".checkpoint";
const PARTIAL_SUFFIX: &str = ".checkpoint.part";
const DELETED_SUFFIX: &str = ".checkpoint.deleted";

/// Which snapshot; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    /// The epoch of the last record that it holds.
    pub epoch: LeaderEpoch,
    /// The offset after that record.
    pub offset: Offset,
}

impl SnapshotId {
    /// The id in a file's name, with what follows it.
    fn parse(name: &str) -> Option<(Self, &str)> {
        let (offset, rest) = (name.get(..20)?, name.get(20..)?.strip_prefix('-')?);
        let (epoch, suffix) = (rest.get(..10)?, rest.get(10..)?);
        let id = Self {
            epoch: LeaderEpoch(epoch.parse().ok()?),
            offset: Offset(offset.parse().ok()?),
        };
        Some((id, suffix))
    }

    fn path(self, directory: &Path, suffix: &str) -> PathBuf {
        directory.join(format!(
            "{:020}-{:010}{suffix}",
            self.offset.0, self.epoch.0
        ))
    }
}

/// The snapshots in a directory, oldest first. What an interrupted writer or remover left is
/// removed.
pub fn list(directory: &Path) -> io::Result<Vec<SnapshotId>> {
    let mut found = Vec::new();
    for entry in disk::list(directory)? {
        let name = entry.file_name();
        let Some((id, suffix)) = name.to_str().and_then(SnapshotId::parse) else {
            continue;
        };
        if suffix == SUFFIX {
            found.push(id);
        } else if suffix.ends_with(PARTIAL_SUFFIX) || suffix == DELETED_SUFFIX {
            atomic_file::remove(&entry.path())?;
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Writes a snapshot, durably; read-only, as Kafka leaves its own.
pub fn write(directory: &Path, id: SnapshotId, batches: &[u8]) -> io::Result<()> {
    let partial = id.path(directory, PARTIAL_SUFFIX);
    let written = disk::create(&partial).and_then(|file| {
        disk::write_at(&file, batches, 0)?;
        disk::sync_all(&file)?;
        disk::set_read_only(&file)?;
        disk::rename(&partial, &id.path(directory, SUFFIX))
    });
    if written.is_err() {
        // What is left of it must not take up the space that may just have run out.
        let _ = disk::remove_file(&partial);
    }
    written.and_then(|()| sync_directory(directory))
}

/// The size of a snapshot in bytes.
pub fn size_bytes(directory: &Path, id: SnapshotId) -> io::Result<u64> {
    Ok(disk::metadata(&id.path(directory, SUFFIX))?.len())
}

/// Calls `each` with every batch of a snapshot, until it breaks.
pub fn read(
    directory: &Path,
    id: SnapshotId,
    each: &mut dyn FnMut(&BatchView<'_>) -> ControlFlow<()>,
) -> io::Result<()> {
    let path = id.path(directory, SUFFIX);
    let file = disk::open_to_read(&path)?;
    let end = u32::try_from(disk::length(&file)?).map_err(io::Error::other)?;
    let mut scan = SegmentScan::new(&file, Position::ZERO, Position(end));
    loop {
        match scan.next() {
            Ok(Some((_, batch))) if each(&batch).is_break() => return Ok(()),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(Stopped::Io(error)) => return Err(error),
            Err(Stopped::Damaged(position, why)) => {
                let path = path.display();
                let text = format!("{path}: no sound batch at position {position}: {why}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
}

/// Removes a snapshot.
pub fn remove(directory: &Path, id: SnapshotId) -> io::Result<()> {
    atomic_file::remove(&id.path(directory, SUFFIX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
    use std::fs;

    fn id(offset: i64, epoch: i32) -> SnapshotId {
        SnapshotId {
            epoch: LeaderEpoch(epoch),
            offset: Offset(offset),
        }
    }

    #[test]
    fn what_is_written_is_listed_and_read_and_leftovers_go() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let mut batch = BatchBuilder::new(BatchOptions::default());
        batch.append(&NewRecord::default());
        let batch = batch.finish();
        for one in [id(9, 2), id(10, 1)] {
            write(at, one, &[batch.clone(), batch.clone()].concat()).unwrap();
        }
        fs::write(
            at.join("00000000000000000011-0000000002-77.checkpoint.part"),
            "x",
        )
        .unwrap();
        fs::write(
            at.join("00000000000000000008-0000000002.checkpoint.deleted"),
            "x",
        )
        .unwrap();
        fs::write(at.join("00000000000000000008.log"), "x").unwrap();
        assert_eq!(list(at).unwrap(), [id(10, 1), id(9, 2)]);
        assert_eq!(fs::read_dir(at).unwrap().count(), 3);
        let mut batches = 0;
        read(at, id(9, 2), &mut |_| {
            batches += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(batches, 2);
        assert_eq!(size_bytes(at, id(9, 2)).unwrap(), 2 * batch.len() as u64);
        remove(at, id(9, 2)).unwrap();
        assert_eq!(list(at).unwrap(), [id(10, 1)]);
    }

    #[test]
    fn a_damaged_snapshot_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), id(1, 1), &[7; 100]).unwrap();
        let read = read(directory.path(), id(1, 1), &mut |_| {
            ControlFlow::Continue(())
        });
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
