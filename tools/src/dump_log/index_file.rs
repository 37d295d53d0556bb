//! The entries of an index file, whole ones only; a tail of less than an entry is not looked at.

use std::path::Path;

use super::fatal::Fatal;

/// An index in memory.
pub struct IndexFile<const ENTRY_BYTES: usize> {
    bytes: Vec<u8>,
    /// The offset that its relative offsets count from.
    pub base_offset: i64,
}

impl<const ENTRY_BYTES: usize> IndexFile<ENTRY_BYTES> {
    /// Reads an index.
    pub fn open(path: &Path) -> Result<Self, Fatal> {
        let base_offset = super::base_offset(path)?;
        let bytes = std::fs::read(path).map_err(|error| Fatal::file(path, &error))?;
        Ok(Self { bytes, base_offset })
    }

    /// How many whole entries there are, empty ones at the end included.
    pub fn entries(&self) -> usize {
        self.bytes.len() / ENTRY_BYTES
    }

    /// The size of the file in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the file ends with an entry.
    pub fn is_even(&self) -> bool {
        self.bytes.len().is_multiple_of(ENTRY_BYTES)
    }

    /// One entry.
    pub fn entry(&self, at: usize) -> &[u8; ENTRY_BYTES] {
        let (entries, _) = self.bytes.as_chunks();
        &entries[at]
    }
}
