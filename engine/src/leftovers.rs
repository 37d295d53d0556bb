//! What an interrupted deletion, compaction or split left in a partition's directory, settled
//! before the log is loaded: either the old segments stand or their replacement, never both.
//!
//! Blocking. Files: `.deleted` are removed. `.cleaned` are half made and removed, and with them
//! every `.swap` that is not below them, as it may belong to the same unfinished change. The other
//! `.swap` files are complete: what they replace is removed, and they are renamed.

use crate::atomic_file::{self, sync_directory};
use crate::batch_walk::{Walk, find_blocking};
use crate::disk;
use crate::file_name::{FileName, Kind, Stage};
use protocol::ids::{Offset, Position};
use std::io;
use std::path::Path;

/// Settles a directory, and tells what is in it then.
pub(crate) fn settle(directory: &Path) -> io::Result<Vec<FileName>> {
    let files = list(directory)?;
    let staged = |stage| {
        files
            .iter()
            .copied()
            .filter(move |f: &FileName| f.stage == stage)
    };
    let cleaned_from = staged(Stage::Cleaned).map(|f| f.base_offset).min();
    let (incomplete, swaps): (Vec<_>, Vec<_>) =
        staged(Stage::Swap).partition(|f| cleaned_from.is_some_and(|from| f.base_offset >= from));
    let deleted = |f: &FileName| matches!(f.stage, Stage::Deleted(_));
    let gone = files
        .iter()
        .copied()
        .filter(deleted)
        .chain(incomplete)
        .chain(staged(Stage::Cleaned));
    let mut changed = !swaps.is_empty();
    for file in gone {
        tracing::info!(file = %file.within(directory).display(), "removing what was given up");
        atomic_file::remove(&file.within(directory))?;
        changed = true;
    }
    complete_swaps(directory, &swaps)?;
    if !changed {
        return Ok(files);
    }
    sync_directory(directory)?;
    list(directory)
}

fn complete_swaps(directory: &Path, swaps: &[FileName]) -> io::Result<()> {
    let logs = || swaps.iter().filter(|f| f.kind == Kind::Log);
    let Some(first) = logs().map(|f| f.base_offset).min() else {
        return rename_all(directory, swaps);
    };
    // What has the new segment's name goes, even if nothing is left in the new one.
    let mut end = first.next();
    for log in logs() {
        end = end.max(next_offset(&log.within(directory), log.base_offset)?);
    }
    for file in list(directory)? {
        let replaced = file.base_offset >= first && file.base_offset < end;
        if file.stage == Stage::Settled && replaced {
            atomic_file::remove(&file.within(directory))?;
        }
    }
    tracing::info!(
        directory = %directory.display(), from = %first, to = %end,
        "completing the replacement of segments"
    );
    rename_all(directory, swaps)
}

fn rename_all(directory: &Path, swaps: &[FileName]) -> io::Result<()> {
    for swap in swaps {
        let settled = FileName {
            stage: Stage::Settled,
            ..*swap
        };
        disk::rename(&swap.within(directory), &settled.within(directory))?;
    }
    Ok(())
}

/// The segments' files, of every stage.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<FileName>> {
    let mut files = Vec::new();
    for entry in disk::list(directory)? {
        files.extend(entry.file_name().to_str().and_then(FileName::parse));
    }
    Ok(files)
}

fn next_offset(path: &Path, base_offset: Offset) -> io::Result<Offset> {
    let file = disk::open_to_read(path)?;
    let end = Position(u32::try_from(disk::length(&file)?).map_err(io::Error::other)?);
    let mut next = base_offset;
    find_blocking(&file, Walk::new(Position::ZERO, end), |batch| {
        next = batch.last_offset.next();
        false
    })?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;

    fn settled(files: &[&str]) -> BTreeSet<String> {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(directory.path().join(file), batch(file)).unwrap();
        }
        settle(directory.path()).unwrap();
        let left = fs::read_dir(directory.path()).unwrap();
        left.map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// For a log of base 5, a batch with the offsets 5 to 14.
    fn batch(file: &str) -> Vec<u8> {
        use protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
        if !file.contains(".log") {
            return Vec::new();
        }
        let base_offset = Offset(file[..20].parse().unwrap());
        let mut batch = BatchBuilder::new(BatchOptions {
            base_offset,
            ..BatchOptions::default()
        });
        for _ in 0..10 {
            batch.append(&NewRecord::default());
        }
        batch.finish()
    }

    #[test]
    fn what_was_deleted_or_half_cleaned_goes_and_other_files_stay() {
        let left = settled(&[
            "00000000000000000000.log",
            "00000000000000000005.log.deleted",
            "00000000000000000005.index.deleted",
            "00000000000000000005.index.1.deleted",
            "00000000000000000000.log.cleaned",
            "00000000000000000007.log.swap",
            "00000000000000000000-0000000001.checkpoint.deleted",
            "notes.txt",
        ]);
        let expected = [
            "00000000000000000000.log",
            "00000000000000000000-0000000001.checkpoint.deleted",
            "notes.txt",
        ];
        assert_eq!(left, expected.map(str::to_owned).into());
    }

    #[test]
    fn a_complete_replacement_takes_the_place_of_what_it_replaces() {
        let left = settled(&[
            "00000000000000000000.log",
            "00000000000000000005.log",
            "00000000000000000005.snapshot",
            "00000000000000000012.log",
            "00000000000000000012.index",
            "00000000000000000015.log",
            "00000000000000000005.log.swap",
            "00000000000000000005.index.swap",
            "00000000000000000040.log.cleaned",
        ]);
        let expected = [
            "00000000000000000000.log",
            "00000000000000000005.log",
            "00000000000000000005.index",
            "00000000000000000015.log",
        ];
        assert_eq!(left, expected.map(str::to_owned).into());
    }
}
