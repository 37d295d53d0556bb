//! An index of the segment that is being written: its newest entries in memory, the older ones in
//! its file.
//!
//! Owned by the log, so by one core. No page fault and no file is touched here: entries that are
//! not in the file yet are handed out as bytes, written elsewhere, and then reported as stored.
//!
//! Invariants: `tail_from <= stored <= len()`; the tail is empty only if the index is; entries
//! below `tail_from` are in the file.

use crate::index_entry::{Entry, is_sound};

/// How many of the newest entries stay in memory though they are in the file: look-ups near the
/// end of the log, which are nearly all, are answered by them.
pub(crate) const WARM_ENTRIES: usize = 512;

/// How many entries wait before they are worth a write.
pub(crate) const STORE_ENTRIES_MIN: usize = 512;

const _: () = assert!(WARM_ENTRIES > 0);

/// Entries to be written to the index's file.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// Where in the file.
    pub(crate) position: u64,
    /// The encoded entries.
    pub(crate) bytes: Vec<u8>,
}

/// Where the entry is that a look-up wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<E> {
    /// Here it is, with the one before it if that is in memory.
    Entry(E, Option<E>),
    /// Every entry is above the target.
    None,
    /// Among the entries that are only in the file.
    InFile,
}

/// The growing index.
#[derive(Debug)]
pub(crate) struct ActiveIndex<E> {
    entries_max: usize,
    stored: usize,
    tail_from: usize,
    tail: Vec<E>,
}

impl<E: Entry> ActiveIndex<E> {
    /// An index without entries, and an empty file.
    pub(crate) fn new(index_bytes_max: u32) -> Self {
        let entries_max = index_bytes_max as usize / E::BYTES;
        Self {
            entries_max,
            stored: 0,
            tail_from: 0,
            tail: Vec::new(),
        }
    }

    /// Takes over a file's content; `None` if it is not a sound index.
    pub(crate) fn from_file(content: &[u8], index_bytes_max: u32) -> Option<Self> {
        if !is_sound::<E>(content) {
            return None;
        }
        let stored = content.len() / E::BYTES;
        let tail_from = stored.saturating_sub(WARM_ENTRIES);
        let tail = content[tail_from * E::BYTES..]
            .chunks_exact(E::BYTES)
            .map(E::decode)
            .collect();
        let entries_max = index_bytes_max as usize / E::BYTES;
        Some(Self {
            entries_max,
            stored,
            tail_from,
            tail,
        })
    }

    /// Adds an entry.
    pub(crate) fn push(&mut self, entry: E) {
        let follows = self.tail.last().is_none_or(|last| entry.may_follow(last));
        assert!(
            follows,
            "index entry {entry:?} cannot follow {:?}",
            self.tail.last()
        );
        self.tail.push(entry);
    }

    /// The entries that the file lacks, if they are worth a write.
    pub(crate) fn stretch_if_due(&self) -> Option<Stretch> {
        (self.len() - self.stored >= STORE_ENTRIES_MIN).then(|| self.stretch())
    }

    /// All entries that the file lacks.
    pub(crate) fn stretch(&self) -> Stretch {
        let mut bytes = Vec::with_capacity((self.len() - self.stored) * E::BYTES);
        for entry in &self.tail[self.stored - self.tail_from..] {
            entry.encode(&mut bytes);
        }
        Stretch {
            position: (self.stored * E::BYTES) as u64,
            bytes,
        }
    }

    /// The entries in memory, as the file has or will have them.
    pub(crate) fn encode_memory(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.tail.len() * E::BYTES);
        self.tail.iter().for_each(|entry| entry.encode(&mut bytes));
        bytes
    }

    /// A stretch is in the file now: what of it is not warm leaves memory.
    pub(crate) fn mark_stored(&mut self, stretch: &Stretch) {
        let stored = (stretch.position as usize + stretch.bytes.len()) / E::BYTES;
        assert!(
            stored >= self.stored && stored <= self.len(),
            "stored {stored} entries"
        );
        self.stored = stored;
        let surplus = self.tail.len().saturating_sub(WARM_ENTRIES);
        let evicted = surplus.min(self.stored - self.tail_from);
        self.tail.drain(..evicted);
        self.tail_from += evicted;
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.tail_from + self.tail.len()
    }

    /// How many entries there may be.
    pub(crate) fn entries_max(&self) -> usize {
        self.entries_max
    }

    /// Takes a new limit.
    pub(crate) fn set_bytes_max(&mut self, index_bytes_max: u32) {
        self.entries_max = index_bytes_max as usize / E::BYTES;
    }

    /// The newest entry.
    pub(crate) fn last(&self) -> Option<E> {
        self.tail.last().copied()
    }

    /// Size of the file's part that holds what is not in memory.
    pub(crate) fn bytes_only_in_file(&self) -> usize {
        self.tail_from * E::BYTES
    }

    /// The last entry that satisfies `below`, which none does after the first that does not.
    pub(crate) fn floor(&self, below: impl Fn(&E) -> bool) -> Found<E> {
        match self.tail.partition_point(below) {
            0 if self.tail_from > 0 => Found::InFile,
            0 => Found::None,
            after => {
                let before = after.checked_sub(2).map(|before| self.tail[before]);
                Found::Entry(self.tail[after - 1], before)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index_entry::OffsetEntry;
    use proptest::prelude::*;
    use protocol::ids::Position;

    fn entry(at: u32) -> OffsetEntry {
        OffsetEntry {
            relative_offset: at * 10,
            position: Position(at * 100),
        }
    }

    fn apply(file: &mut Vec<u8>, stretch: &Stretch) {
        file.resize(
            file.len()
                .max(stretch.position as usize + stretch.bytes.len()),
            0,
        );
        file[stretch.position as usize..][..stretch.bytes.len()].copy_from_slice(&stretch.bytes);
    }

    proptest! {
        #[test]
        fn memory_and_file_together_hold_every_entry(
            steps in proptest::collection::vec((1..700u32, any::<bool>()), 1..12),
            target in 0..60_000u32,
        ) {
            let mut index = ActiveIndex::<OffsetEntry>::new(10 << 20);
            let (mut file, mut count) = (Vec::new(), 0);
            for (added, store) in steps {
                for _ in 0..added {
                    count += 1;
                    index.push(entry(count));
                }
                if let Some(stretch) = index.stretch_if_due().filter(|_| store) {
                    apply(&mut file, &stretch);
                    index.mark_stored(&stretch);
                    prop_assert!(index.tail.len() <= WARM_ENTRIES);
                }
                prop_assert_eq!(index.len(), count as usize);
                prop_assert_eq!(index.last(), Some(entry(count)));
                let expected = (1..=count).rev().map(entry).find(|e| e.relative_offset <= target);
                match index.floor(|e| e.relative_offset <= target) {
                    Found::InFile => {
                        let in_file = &file[..index.bytes_only_in_file()];
                        let position = crate::index_entry::floor_position(in_file, target);
                        prop_assert_eq!(position, expected.map_or(Position(0), |e| e.position));
                    }
                    Found::Entry(found, before) => {
                        prop_assert_eq!(Some(found), expected);
                        let before_it = before.is_none_or(|before| found.may_follow(&before));
                        prop_assert!(before_it);
                    }
                    Found::None => prop_assert_eq!(None, expected),
                }
            }
            apply(&mut file, &index.stretch());
            let reloaded = ActiveIndex::<OffsetEntry>::from_file(&file, 10 << 20).unwrap();
            prop_assert_eq!(reloaded.len(), index.len());
            prop_assert_eq!(reloaded.last(), index.last());
            prop_assert!(reloaded.stretch().bytes.is_empty());
        }
    }

    #[test]
    fn a_damaged_file_is_not_taken_over() {
        assert!(ActiveIndex::<OffsetEntry>::from_file(&[0; 7], 1024).is_none());
        assert!(ActiveIndex::<OffsetEntry>::from_file(&[0; 16], 1024).is_none());
        assert_eq!(
            ActiveIndex::<OffsetEntry>::from_file(&[], 1024)
                .unwrap()
                .entries_max(),
            128
        );
    }
}
