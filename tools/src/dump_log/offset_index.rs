//! `.index`: where batches are, and whether they are there.

use std::cmp::Ordering;
use std::io::Write;
use std::path::Path;

use super::batch_line::last_offset;
use super::fatal::Fatal;
use super::index_file::IndexFile;
use super::mismatches::Mismatches;
use super::segment_file::SegmentFile;
use super::{Options, absolute, sibling};

/// Relative offset and position, four bytes each.
const ENTRY_BYTES: usize = 8;
/// The last entries, which are searched first.
const WARM_ENTRIES: usize = 8192 / ENTRY_BYTES;

/// An offset index.
pub struct OffsetIndex(IndexFile<ENTRY_BYTES>);

/// One entry: a batch ends with this offset and begins at this position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The last offset of the batch.
    pub offset: i64,
    /// Where it begins.
    pub position: i32,
}

impl OffsetIndex {
    /// Reads an index.
    pub fn open(path: &Path) -> Result<Self, Fatal> {
        Ok(Self(IndexFile::open(path)?))
    }

    fn entry(&self, at: usize) -> Entry {
        let [a, b, c, d, e, f, g, h] = *self.0.entry(at);
        let relative = i32::from_be_bytes([a, b, c, d]);
        let position = i32::from_be_bytes([e, f, g, h]);
        Entry {
            offset: self.0.base_offset.wrapping_add(relative.into()),
            position,
        }
    }

    /// Entries that were written; an active index is longer than what is in it.
    fn written(&self) -> impl Iterator<Item = Entry> + '_ {
        let is_unwritten =
            move |at: usize, entry: &Entry| at > 0 && entry.offset == self.0.base_offset;
        (0..self.0.entries())
            .map(|at| (at, self.entry(at)))
            .take_while(move |(at, entry)| !is_unwritten(*at, entry))
            .map(|(_, entry)| entry)
    }

    /// The position of the last entry at or below `offset`; the start where there is none.
    /// Searches as Kafka does, so that a damaged index misleads both in the same way.
    pub fn position_of(&self, offset: i64) -> i32 {
        let entries = self.0.entries();
        if entries == 0 {
            return 0;
        }
        let first_warm = (entries - 1).saturating_sub(WARM_ENTRIES);
        if self.entry(first_warm).offset < offset {
            return self.search(first_warm, entries - 1, offset);
        }
        if self.entry(0).offset > offset {
            return 0;
        }
        self.search(0, first_warm, offset)
    }

    fn search(&self, mut low: usize, mut high: usize, offset: i64) -> i32 {
        while low < high {
            let middle = (low + high).div_ceil(2);
            let entry = self.entry(middle);
            match entry.offset.cmp(&offset) {
                Ordering::Greater => high = middle - 1,
                Ordering::Less => low = middle,
                Ordering::Equal => return entry.position,
            }
        }
        self.entry(low).position
    }

    fn sanity_check(&self, path: &Path) -> Result<(), Fatal> {
        let corrupt = |text: String| {
            Fatal::new(
                "org.apache.kafka.storage.internals.log.CorruptIndexException",
                text,
            )
        };
        let path = absolute(path);
        let last = self.entry(self.0.entries() - 1).offset;
        if last < self.0.base_offset {
            return Err(corrupt(format!(
                "Corrupt index found, index file {} has non-zero size but the last offset is \
                 {last} which is less than the base offset {}",
                path.display(),
                self.0.base_offset
            )));
        }
        if !self.0.is_even() {
            return Err(corrupt(format!(
                "Index file {} is corrupt, found {} bytes which is neither positive nor a \
                 multiple of {ENTRY_BYTES}",
                path.display(),
                self.0.len()
            )));
        }
        Ok(())
    }
}

/// Prints an index and checks it against its log.
pub fn dump(
    path: &Path,
    options: &Options,
    out: &mut dyn Write,
    mismatches: &mut Mismatches,
) -> Result<(), Fatal> {
    let log = SegmentFile::open(&sibling(path, "log"))?;
    let index = OffsetIndex::open(path)?;
    if index.0.entries() == 0 {
        writeln!(out, "{} is empty.", path.display())?;
        return Ok(());
    }
    if options.index_sanity_check {
        index.sanity_check(path)?;
        writeln!(out, "{} passed sanity check.", path.display())?;
        return Ok(());
    }
    for entry in index.written() {
        let position = log.check_position(entry.position)?;
        let end = position + options.max_message_size.max(0) as u64;
        let Some(batch) = log.batch_at(position, end)? else {
            return Err(Fatal::bare("java.util.NoSuchElementException"));
        };
        let found = last_offset(&batch)?;
        if found != entry.offset {
            mismatches.index_offset(path, entry.offset, found);
        }
        if !options.verify_index_only {
            writeln!(out, "offset: {} position: {}", entry.offset, entry.position)?;
        }
    }
    Ok(())
}
