//! A finished index, or the finished part of one, mapped into memory when it is first needed.
//!
//! Mapping opens the file and touches its pages, which may wait for the disk: only from start-up
//! code and `ring::offload`. Once mapped, look-ups read memory, until it is given up.
//!
//! Invariant, on which the safety of the maps rests: an index file is never shortened or written
//! below a length that a map was made of; a different content comes as a new file by rename.

use crate::disk;
use crate::index_entry::{Entry, is_sound};
use memmap2::{Mmap, MmapOptions};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The first `bytes` of an index file.
#[derive(Debug)]
pub(crate) struct IndexMap {
    /// Another number only once the index was made anew.
    bytes: AtomicUsize,
    content: Mutex<Option<Arc<Content>>>,
}

/// The entries of a map; they stay as long as this is held.
#[derive(Clone, Debug)]
pub(crate) struct Entries(Option<Arc<Content>>);

#[derive(Debug)]
enum Content {
    Mapped(Mmap),
    /// Made anew from the segment, since the file was damaged.
    Rebuilt(Vec<u8>),
}

impl IndexMap {
    /// Of a file's first `bytes`; nothing is opened yet.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(bytes),
            content: Mutex::new(None),
        }
    }

    /// How long the part is.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The entries, if they are mapped.
    pub(crate) fn entries(&self) -> Option<Entries> {
        if self.bytes() == 0 {
            return Some(Entries(None));
        }
        let content = self.content.lock().expect("nobody panics with it");
        Some(Entries(Some(content.clone()?)))
    }

    /// Gives the map up; whoever holds its entries keeps them.
    pub(crate) fn unmap(&self) {
        *self.content.lock().expect("nobody panics with it") = None;
    }

    /// Maps the file and checks it. `None` if it is not a sound index of that length.
    pub(crate) fn map<E: Entry>(&self, path: &Path) -> io::Result<Option<Entries>> {
        if let Some(entries) = self.entries() {
            return Ok(Some(entries));
        }
        self.map_file::<E>(&disk::open_to_read(path)?)
    }

    /// The same of a file that is open.
    pub(crate) fn map_file<E: Entry>(&self, file: &File) -> io::Result<Option<Entries>> {
        let bytes = self.bytes();
        if disk::length(file)? < bytes as u64 {
            return Ok(None);
        }
        // SAFETY: an index file is never shortened or rewritten below a length that was mapped
        // (the invariant above); other processes are kept out by the directory's lock.
        let map = unsafe { MmapOptions::new().len(bytes).populate().map(file)? };
        if !is_sound::<E>(&map) {
            return Ok(None);
        }
        Ok(Some(self.set(Content::Mapped(map))))
    }

    /// Takes entries that were made from the segment, in place of a damaged file.
    pub(crate) fn set_rebuilt(&self, entries: Vec<u8>) -> Entries {
        self.bytes.store(entries.len(), Ordering::Relaxed);
        self.set(Content::Rebuilt(entries))
    }

    fn set(&self, content: Content) -> Entries {
        let content = Arc::new(content);
        *self.content.lock().expect("nobody panics with it") = Some(content.clone());
        Entries(Some(content))
    }
}

impl Deref for Entries {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self.0.as_deref() {
            None => &[],
            Some(Content::Mapped(map)) => map,
            Some(Content::Rebuilt(entries)) => entries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index_entry::{OffsetEntry, floor_position};
    use protocol::ids::Position;

    #[test]
    fn a_file_is_mapped_when_asked_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("i");
        let mut content = Vec::new();
        OffsetEntry {
            relative_offset: 9,
            position: Position(70),
        }
        .encode(&mut content);
        std::fs::write(&path, &content).unwrap();
        let index = IndexMap::new(8);
        assert!(index.entries().is_none());
        let entries = index.map::<OffsetEntry>(&path).unwrap().unwrap();
        assert_eq!(floor_position(&entries, 9), Position(70));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(&*index.entries().unwrap(), &content[..]);
        index.unmap();
        assert_eq!(&*entries, &content[..], "who holds it keeps it");
        assert!(index.entries().is_none());
        std::fs::write(&path, &content).unwrap();
        assert!(index.map::<OffsetEntry>(&path).unwrap().is_some());
    }

    #[test]
    fn an_empty_index_needs_no_file_and_a_short_or_damaged_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("i");
        assert_eq!(&*IndexMap::new(0).entries().unwrap(), &[] as &[u8]);
        assert!(IndexMap::new(8).map::<OffsetEntry>(&path).is_err());
        std::fs::write(&path, [0; 8]).unwrap();
        assert!(
            IndexMap::new(16)
                .map::<OffsetEntry>(&path)
                .unwrap()
                .is_none()
        );
        std::fs::write(&path, [0; 16]).unwrap();
        assert!(
            IndexMap::new(16)
                .map::<OffsetEntry>(&path)
                .unwrap()
                .is_none()
        );
    }

    /// Page faults of this thread up to now, of both kinds.
    fn page_faults() -> u64 {
        let mut stat = [0; 512];
        let file = File::open("/proc/thread-self/stat").unwrap();
        let bytes = disk::read_at(&file, &mut stat, 0).unwrap();
        let stat = std::str::from_utf8(&stat[..bytes]).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let mut fields = fields.split(' ').map(|field| field.parse::<u64>());
        let minor = fields.nth(7).unwrap().unwrap();
        minor + fields.nth(1).unwrap().unwrap()
    }

    #[test]
    fn look_ups_near_the_end_need_no_page_but_the_last() {
        const ENTRIES: u32 = 1 << 20;
        // Pages of a file in memory cannot be dropped: not under /tmp, which may be there.
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let path = directory.path().join("i");
        let mut content = Vec::new();
        for at in 1..=ENTRIES {
            let (relative_offset, position) = (at * 10, Position(at * 100));
            OffsetEntry {
                relative_offset,
                position,
            }
            .encode(&mut content);
        }
        std::fs::write(&path, &content).unwrap();
        File::open(&path).unwrap().sync_all().unwrap();
        let index = IndexMap::new(content.len());
        let entries = index.map::<OffsetEntry>(&path).unwrap().unwrap();
        let file = File::open(&path).unwrap();
        let drop_pages = || {
            let Some(Content::Mapped(map)) = entries.0.as_deref() else {
                panic!("it is mapped");
            };
            // SAFETY: the map is of a file and read-only: what is dropped is read from it again.
            unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) }.unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        };
        let faults_of = |entry: u32| {
            let before = page_faults();
            assert_eq!(
                floor_position(&entries, entry * 10 + 5),
                Position(entry * 100)
            );
            page_faults() - before
        };
        page_faults();
        drop_pages();
        assert!(faults_of(ENTRIES / 3) > 5, "the pages were dropped");
        drop_pages();
        // The warm end lies in three pages at most.
        let newest = ENTRIES - 900..ENTRIES;
        let first: u64 = newest.clone().map(faults_of).sum();
        assert!((1..=3).contains(&first), "{first} page faults");
        assert_eq!(newest.map(faults_of).sum::<u64>(), 0);
        // And where the warm end begins.
        for entry in ENTRIES - 1030..ENTRIES - 1018 {
            faults_of(entry);
        }
    }
}
