//! The `.txnindex` of a segment: the transactions that were aborted by a marker in it (KIP-98).
//! Consumers of committed transactions skip their records.
//!
//! An entry is version int16 = 0, producer id, first offset, the marker's offset, and the last
//! stable offset right after the marker, int64 each. A segment without aborted transactions has no
//! file. Here are the format and the look-up; entries are written with the batches, in `write`.

use crate::disk;
use crate::file_name::{self, Kind};
use crate::log::Log;
use crate::producer_table::{CompletedTransaction, ProducerTable};
use crate::sealed_segment::SealedSegment;
use protocol::ids::{Offset, ProducerId};
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Size of an entry.
pub(crate) const ENTRY_BYTES: usize = 34;

const VERSION: i16 = 0;

/// A transaction whose records are to be skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Its first record in this log.
    pub first_offset: Offset,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) aborted: AbortedTransaction,
    /// The marker.
    pub(crate) last_offset: Offset,
    pub(crate) last_stable_offset: Offset,
}

/// A look-up of aborted transactions, to be run.
#[derive(Debug)]
pub struct AbortedLookup {
    /// They may be given up before it runs.
    sealed: Vec<Arc<SealedSegment>>,
    active: Option<PathBuf>,
    from: Offset,
    upper_bound: Offset,
}

/// Entries for the end of a segment's file.
#[derive(Debug)]
pub(crate) struct NewEntries {
    pub(crate) base_offset: Offset,
    pub(crate) position: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Log {
    /// The aborted transactions with records in a range of offsets.
    pub fn aborted_transactions(&self, from: Offset, upper_bound: Offset) -> AbortedLookup {
        let first = self.segments.floor(from);
        let sealed = self
            .segments
            .sealed
            .iter()
            .skip(first)
            .filter(|s| s.txn_index_bytes > 0);
        let sealed = sealed.cloned().collect();
        let active = &self.segments.active;
        let active = (active.txn_index_bytes > 0)
            .then(|| file_name::path(&self.directory, active.base_offset, Kind::TxnIndex));
        AbortedLookup {
            sealed,
            active,
            from,
            upper_bound,
        }
    }
}

impl AbortedLookup {
    /// Only those with records below `end`.
    #[must_use]
    pub fn below(self, end: Offset) -> AbortedLookup {
        AbortedLookup {
            upper_bound: self.upper_bound.min(end),
            ..self
        }
    }

    /// Whether there is nothing to look up: no segment from there on has aborted transactions.
    pub fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.active.is_none()
    }

    /// Looks them up; reads files only if some segment has aborted transactions.
    pub async fn run(self) -> io::Result<Vec<AbortedTransaction>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        disk::offload(move || self.run_blocking()).await
    }

    fn run_blocking(&self) -> io::Result<Vec<AbortedTransaction>> {
        let mut found = Vec::new();
        let sealed = self.sealed.iter();
        let sealed = sealed.map(|s| s.open_blocking(Kind::TxnIndex, |path| disk::read(path)));
        for content in sealed.chain(self.active.iter().map(|path| disk::read(path))) {
            for entry in content?.chunks_exact(ENTRY_BYTES).map(Entry::decode) {
                let Entry {
                    aborted,
                    last_offset,
                    last_stable_offset,
                } = entry;
                if last_offset >= self.from && aborted.first_offset < self.upper_bound {
                    found.push(aborted);
                }
                if last_stable_offset >= self.upper_bound {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }
}

impl Entry {
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let i64_at = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        Self {
            aborted: AbortedTransaction {
                producer_id: ProducerId(i64_at(2)),
                first_offset: Offset(i64_at(10)),
            },
            last_offset: Offset(i64_at(18)),
            last_stable_offset: Offset(i64_at(26)),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&VERSION.to_be_bytes());
        let aborted = &self.aborted;
        for number in [
            aborted.producer_id.0,
            aborted.first_offset.0,
            self.last_offset.0,
            self.last_stable_offset.0,
        ] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// Adds a transaction's entry, if it was aborted.
pub(crate) fn encode(ended: &CompletedTransaction, stable: Offset, out: &mut Vec<u8>) {
    if !ended.aborted {
        return;
    }
    let entry = Entry {
        aborted: AbortedTransaction {
            producer_id: ended.producer,
            first_offset: ended.first_offset,
        },
        last_offset: ended.last_offset,
        last_stable_offset: stable,
    };
    entry.encode(out);
}

/// The entries that come with what is staged.
pub(crate) fn encode_staged(producers: &ProducerTable) -> Vec<u8> {
    let mut entries = Vec::new();
    for ended in producers.staged_completions() {
        encode(ended, producers.last_stable_after(ended), &mut entries);
    }
    entries
}

impl NewEntries {
    /// Writes them; if that fails, the file is as before.
    pub(crate) fn store_blocking(&self, directory: &Path) -> io::Result<()> {
        let path = file_name::path(directory, self.base_offset, Kind::TxnIndex);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = disk::open(&options, &path)?;
        disk::write_at(&file, &self.bytes, self.position).inspect_err(|_| {
            let _ = disk::set_length(&file, self.position);
        })
    }
}

/// Whether the content of a segment's file is what a writer leaves: whole entries of this version, in
/// the order of their markers, which lie in the segment. The last stable offset may lie before the
/// transaction: an older one may still be open.
pub(crate) fn is_sound(content: &[u8], base_offset: Offset) -> bool {
    let mut least = base_offset;
    let mut is_next = |bytes: &[u8]| {
        let entry = Entry::decode(bytes);
        let aborted = entry.aborted;
        let sound = bytes.starts_with(&VERSION.to_be_bytes())
            && aborted.producer_id.0 >= 0
            && aborted.first_offset >= Offset::ZERO
            && aborted.first_offset < entry.last_offset
            && entry.last_offset >= least
            && entry.last_stable_offset >= Offset::ZERO
            && entry.last_stable_offset.0 <= entry.last_offset.0 + 1;
        least = entry.last_offset;
        sound
    };
    let entries = content.chunks_exact(ENTRY_BYTES);
    entries.remainder().is_empty() && content.chunks_exact(ENTRY_BYTES).all(&mut is_next)
}

/// Drops the transactions that ended at or after `target`, and gives the length that is left.
pub(crate) fn truncate(path: &Path, target: Offset) -> io::Result<usize> {
    let content = match disk::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        content => content?,
    };
    let entries = content.chunks_exact(ENTRY_BYTES).map(Entry::decode);
    let kept = entries
        .take_while(|entry| entry.last_offset < target)
        .count()
        * ENTRY_BYTES;
    if kept < content.len() {
        let file = disk::open(OpenOptions::new().write(true), path)?;
        disk::set_length(&file, kept as u64)?;
    }
    Ok(kept)
}
