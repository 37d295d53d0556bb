//! The order in which Scala's hash sets and maps give out what is in them, which Kafka's tool
//! prints in: by bucket, and within a bucket by hash.

/// Entries with their hashes, as a Scala collection would hold them.
pub struct ScalaOrder<T> {
    buckets: usize,
    entries: Vec<(i32, T)>,
}

impl<T> Default for ScalaOrder<T> {
    fn default() -> Self {
        Self {
            buckets: 16,
            entries: Vec::new(),
        }
    }
}

impl<T: PartialEq> ScalaOrder<T> {
    /// Makes room for so many more, as adding a whole collection does.
    pub fn make_room(&mut self, more: usize) {
        let wanted = (more + 1) * 4 / 3;
        let buckets = (wanted.max(1) - 1).max(4).ilog2() + 1;
        self.buckets = self.buckets.max(1 << buckets);
    }

    /// Adds an entry with its Java hash code, unless it is there.
    pub fn insert(&mut self, hash: i32, entry: T) {
        // A table grows before it is three quarters full.
        if self.entries.len() + 1 >= self.buckets * 3 / 4 {
            self.buckets *= 2;
        }
        let hash = hash ^ (hash as u32 >> 16) as i32;
        if !self.entries.iter().any(|(_, other)| *other == entry) {
            self.entries.push((hash, entry));
        }
    }

    /// All entries in order.
    pub fn into_entries(mut self) -> impl Iterator<Item = T> {
        let mask = self.buckets as i32 - 1;
        self.entries.sort_by_key(|(hash, _)| (hash & mask, *hash));
        self.entries.into_iter().map(|(_, entry)| entry)
    }
}
