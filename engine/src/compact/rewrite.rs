//! The files of a compacted segment while they are written: beside the old ones, as `.cleaned`.
//!
//! Blocking. What is given up half way is removed; after a crash the next start removes it.

use crate::atomic_file;
use crate::batch_walk::Located;
use crate::disk;
use crate::file_name::{FileName, Kind, Stage};
use crate::index_entry::{Entry as _, relative};
use crate::index_rule::{IndexRule, Indexed};
use crate::sealed_segment::Lengths;
use crate::txn_index::Entry;
use protocol::ids::{Offset, Position};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The kinds of files that a compacted segment has.
pub(crate) const KINDS: [Kind; 4] = [
    Kind::Log,
    Kind::OffsetIndex,
    Kind::TimeIndex,
    Kind::TxnIndex,
];

/// A segment that is being written.
#[derive(Debug)]
pub(crate) struct Rewrite {
    directory: Arc<Path>,
    base_offset: Offset,
    log: File,
    buffer: Vec<u8>,
    buffer_bytes: usize,
    end: Position,
    rule: IndexRule,
    offsets: Vec<u8>,
    times: Vec<u8>,
}

/// A compacted segment whose files are complete and durable, but not the log's.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub(crate) directory: Arc<Path>,
    pub(crate) base_offset: Offset,
    pub(crate) lengths: Lengths,
}

/// A file of a compacted segment.
pub(crate) fn path(directory: &Path, base_offset: Offset, kind: Kind, stage: Stage) -> PathBuf {
    let name = FileName {
        base_offset,
        kind,
        stage,
    };
    name.within(directory)
}

impl Rewrite {
    pub(crate) fn begin(
        directory: Arc<Path>,
        base_offset: Offset,
        index_interval_bytes: u32,
        buffer_bytes: usize,
    ) -> io::Result<Self> {
        give_up(&directory, base_offset);
        let log = path(&directory, base_offset, Kind::Log, Stage::Cleaned);
        let log = disk::open(OpenOptions::new().write(true).create_new(true), &log)?;
        Ok(Self {
            directory,
            base_offset,
            log,
            buffer: Vec::new(),
            buffer_bytes,
            end: Position::ZERO,
            rule: IndexRule::new(base_offset, index_interval_bytes),
            offsets: Vec::new(),
            times: Vec::new(),
        })
    }

    /// Adds a batch, or a message of the old formats.
    pub(crate) fn append(&mut self, batch: &[u8]) -> io::Result<()> {
        let too_large = || io::Error::other("a compacted segment of 4 GiB or more");
        let bytes = u32::try_from(batch.len()).map_err(|_| too_large())?;
        if self.end.0.checked_add(bytes).is_none() {
            return Err(too_large());
        }
        let found = Located::parse(batch, self.end).map_err(io::Error::other)?;
        // Base offsets are not under the CRC.
        if relative(found.last_offset, self.base_offset).is_none() {
            let offset = found.last_offset;
            return Err(disk::invalid(
                &self.log,
                format!("a batch ends with the offset {offset}"),
            ));
        }
        let entries = self.rule.note(&Indexed {
            position: self.end,
            bytes,
            last_offset: found.last_offset,
            max_timestamp: found.max_timestamp,
        });
        entries.offset.inspect(|e| e.encode(&mut self.offsets));
        entries.time.inspect(|e| e.encode(&mut self.times));
        self.buffer.extend_from_slice(batch);
        self.end += bytes;
        if self.buffer.len() >= self.buffer_bytes {
            self.write_out()?;
        }
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        let written = u64::from(self.end.0) - self.buffer.len() as u64;
        disk::write_at(&self.log, &self.buffer, written)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left, and makes all of it durable. The segment is as old as what it was made
    /// from.
    pub(crate) fn finish(
        mut self,
        aborted: &[Entry],
        modified: SystemTime,
    ) -> io::Result<Rewritten> {
        self.write_out()?;
        disk::set_modified(&self.log, modified)?;
        disk::sync_all(&self.log)?;
        self.rule
            .time_entry()
            .inspect(|e| e.encode(&mut self.times));
        let mut transactions = Vec::new();
        aborted.iter().for_each(|e| e.encode(&mut transactions));
        for (kind, content) in [
            (Kind::OffsetIndex, &self.offsets),
            (Kind::TimeIndex, &self.times),
            (Kind::TxnIndex, &transactions),
        ] {
            if kind == Kind::TxnIndex && content.is_empty() {
                continue;
            }
            let path = path(&self.directory, self.base_offset, kind, Stage::Cleaned);
            let file = disk::create(&path)?;
            disk::write_at(&file, content, 0)?;
            disk::sync_all(&file)?;
        }
        Ok(Rewritten {
            lengths: Lengths {
                log: self.end,
                offset_index: self.offsets.len(),
                time_index: self.times.len(),
                txn_index: transactions.len(),
            },
            directory: self.directory,
            base_offset: self.base_offset,
        })
    }
}

/// Removes what was written of a segment that is not wanted any more.
pub(crate) fn give_up(directory: &Path, base_offset: Offset) {
    for kind in KINDS {
        let path = path(directory, base_offset, kind, Stage::Cleaned);
        if let Err(error) = atomic_file::remove(&path) {
            tracing::warn!(path = %path.display(), %error, "could not be removed");
        }
    }
}
