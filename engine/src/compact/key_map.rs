//! The newest offset of each key, in memory of a fixed size: 16 bytes of hash and 8 of offset a
//! key, as in Kafka.
//!
//! Pure. A key is known by its hash alone; the hash is keyed by chance, so that nobody can choose
//! keys that are taken for each other. Invariant: never fuller than its limit.

use protocol::ids::Offset;
use std::hash::{BuildHasher, RandomState};

/// What one key takes.
pub(crate) const SLOT_BYTES: usize = 24;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: [u64; 2],
    /// One more than the offset; 0 is an empty slot.
    offset_plus_one: u64,
}

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES);

/// See the module.
#[derive(Debug)]
pub(crate) struct KeyMap {
    slots: Vec<Slot>,
    keys: usize,
    keys_max: usize,
    hashers: [RandomState; 2],
    latest: Option<Offset>,
}

/// There is no room for one more key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl KeyMap {
    /// A map that takes so many bytes, and of its slots uses so large a share.
    pub(crate) fn new(bytes: usize, load_factor: f64) -> Self {
        // One slot is always empty, so that every search ends.
        let slots = (bytes / SLOT_BYTES).max(3);
        let keys_max = ((slots as f64 * load_factor) as usize).clamp(2, slots - 1);
        Self {
            slots: vec![Slot::default(); slots],
            keys: 0,
            keys_max,
            hashers: [RandomState::new(), RandomState::new()],
            latest: None,
        }
    }

    /// A record with this key is at this offset, which is above all before.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> Result<(), Full> {
        if self.keys >= self.keys_max {
            return Err(Full);
        }
        let hash = self.hash(key);
        let at = self.find(hash);
        let slot = &mut self.slots[at];
        self.keys += usize::from(slot.offset_plus_one == 0);
        *slot = Slot {
            hash,
            offset_plus_one: offset.0 as u64 + 1,
        };
        self.latest = Some(offset);
        Ok(())
    }

    /// The newest offset of a key.
    pub(crate) fn newest(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slots[self.find(self.hash(key))];
        let offset = slot.offset_plus_one.checked_sub(1)?;
        Some(Offset(offset as i64))
    }

    /// Every record up to here was put in.
    pub(crate) fn complete_to(&mut self, offset: Offset) {
        self.latest = Some(offset);
    }

    /// Up to where every record was put in.
    pub(crate) fn latest(&self) -> Option<Offset> {
        self.latest
    }

    /// How many keys it knows.
    pub(crate) fn len(&self) -> usize {
        self.keys
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let [a, b] = &self.hashers;
        [a.hash_one(key), b.hash_one(key)]
    }

    /// The slot of a key, or the empty one where it would be.
    fn find(&self, hash: [u64; 2]) -> usize {
        let mut at = (hash[0] % self.slots.len() as u64) as usize;
        loop {
            let slot = &self.slots[at];
            if slot.offset_plus_one == 0 || slot.hash == hash {
                return at;
            }
            at = (at + 1) % self.slots.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn it_takes_as_many_keys_as_it_may_and_no_more() {
        let mut map = KeyMap::new(24 * 100, 0.9);
        for at in 0..90_i64 {
            map.put(&at.to_be_bytes(), Offset(at)).unwrap();
        }
        assert_eq!(map.put(b"one more", Offset(90)), Err(Full));
        assert_eq!((map.len(), map.latest()), (90, Some(Offset(89))));
        assert_eq!(map.newest(&5_i64.to_be_bytes()), Some(Offset(5)));
        assert_eq!(map.newest(b"one more"), None);
    }

    proptest! {
        #[test]
        fn it_knows_what_a_map_knows(keys in proptest::collection::vec(0..50_u8, 0..200)) {
            let mut map = KeyMap::new(24 * 64, 0.9);
            let mut model = HashMap::new();
            for (offset, key) in keys.iter().enumerate() {
                map.put(&[*key], Offset(offset as i64)).unwrap();
                model.insert(*key, Offset(offset as i64));
            }
            prop_assert_eq!(map.len(), model.len());
            for key in 0..50_u8 {
                prop_assert_eq!(map.newest(&[key]), model.get(&key).copied());
            }
        }
    }
}
