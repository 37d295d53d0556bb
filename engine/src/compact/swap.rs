//! Putting a compacted segment in the place of those it was made from.
//!
//! The order on disk: all files of the new segment are renamed from `.cleaned` to `.swap`, which
//! makes them valid; the old files are renamed to `.deleted`; the `.swap` goes. A start after a
//! crash in between takes the new segment back if one of its files is still `.cleaned`, and puts it
//! in place otherwise (`leftovers`).

use super::rewrite::{KINDS, Rewritten, give_up, path};
use super::run::CleanedGroup;
use crate::atomic_file::sync_directory;
use crate::disk;
use crate::file_name::{Kind, Stage};
use crate::log::Log;
use crate::removal::{self, Removal};
use crate::sealed_segment::SealedSegment;
use protocol::ids::Offset;
use std::io;
use std::sync::Arc;

/// The renaming of files, to be run.
#[derive(Debug)]
#[must_use = "nothing is in place before this is run"]
pub struct Swap {
    old: Vec<Arc<SealedSegment>>,
    new: Rewritten,
    /// Producer snapshots where no segment begins any more.
    snapshots: Vec<Offset>,
    index_interval_bytes: u32,
    delete_delay_ms: i64,
}

/// A segment that is in place on disk; the log still has to take it.
#[derive(Debug)]
#[must_use = "the log must take it"]
pub struct Swapped {
    old: Vec<Arc<SealedSegment>>,
    new: Arc<SealedSegment>,
    snapshots: Vec<Offset>,
}

impl Log {
    /// Plans to put a group in place; `None`, and its files are gone, if its segments are not the
    /// log's any more. Nothing may truncate the log or delete segments until
    /// [`Log::finish_swap`].
    pub fn start_swap(&self, group: CleanedGroup) -> Option<Swap> {
        let CleanedGroup { old, new } = group;
        let sealed = &self.segments.sealed;
        let is_there =
            |segment: &Arc<SealedSegment>| sealed.iter().any(|s| Arc::ptr_eq(s, segment));
        if self.is_offline() || !old.iter().all(is_there) {
            give_up(&new.directory, new.base_offset);
            return None;
        }
        let bases = old.iter().skip(1).map(|s| s.base_offset);
        let snapshots = bases.filter(|base| self.snapshots.offsets.contains(base));
        Some(Swap {
            snapshots: snapshots.collect(),
            old,
            new,
            index_interval_bytes: self.config.index_interval_bytes,
            delete_delay_ms: self.config.file_delete_delay_ms,
        })
    }

    /// Takes the new segment in place of the old ones.
    pub fn finish_swap(&mut self, swapped: Swapped) {
        let Swapped {
            old,
            new,
            snapshots,
        } = swapped;
        let sealed = Arc::make_mut(&mut self.segments.sealed);
        let first = sealed.iter().position(|s| Arc::ptr_eq(s, &old[0]));
        let first = first.expect("nothing else changes these segments");
        let replaced = sealed.splice(first..first + old.len(), [new]);
        assert!(
            replaced.zip(&old).all(|(a, b)| Arc::ptr_eq(&a, b)),
            "the replaced segments are neighbours"
        );
        self.flush
            .unsynced
            .retain(|s| !old.iter().any(|gone| Arc::ptr_eq(s, gone)));
        for at in snapshots {
            self.snapshots.offsets.remove(&at);
        }
        // Positions within the old segments mean nothing any more.
        self.read_ends = Arc::default();
    }
}

impl Swap {
    /// Renames the files. If that fails half way, the next start completes or undoes it.
    pub fn run_blocking(self) -> io::Result<(Swapped, Removal)> {
        self.run_with(&mut || Ok(()))
    }

    /// The same, asking `before` each rename.
    pub(crate) fn run_with(
        self,
        before: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<(Swapped, Removal)> {
        let directory = self.new.directory.clone();
        self.rename(Stage::Cleaned, Stage::Swap, before)?;
        sync_directory(&directory)?;
        let mut renamed = Vec::new();
        for segment in &self.old {
            before()?;
            renamed.extend(removal::give_up_sealed(&directory, segment)?);
        }
        for at in &self.snapshots {
            before()?;
            renamed.extend(removal::give_up_snapshot(&directory, *at)?);
        }
        self.rename(Stage::Swap, Stage::Settled, before)?;
        sync_directory(&directory)?;
        let new = SealedSegment::new(
            directory,
            self.new.base_offset,
            self.new.lengths,
            self.index_interval_bytes,
        );
        let swapped = Swapped {
            old: self.old,
            new: Arc::new(new),
            snapshots: self.snapshots,
        };
        Ok((swapped, Removal::of_files(renamed, self.delete_delay_ms)))
    }

    fn rename(
        &self,
        from: Stage,
        to: Stage,
        before: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        let Rewritten {
            directory,
            base_offset,
            lengths,
        } = &self.new;
        let has_aborted = lengths.txn_index > 0;
        for kind in KINDS {
            if kind != Kind::TxnIndex || has_aborted {
                before()?;
                let of = |stage| path(directory, *base_offset, kind, stage);
                disk::rename(&of(from), &of(to))?;
            }
        }
        Ok(())
    }
}
