//! Which partition a record goes to, as Kafka's default partitioner decides: by the hash of its
//! key, and without one to the same partition until a batch's worth of bytes went there.

use std::hash::{BuildHasher, RandomState};

/// Murmur2 as Kafka's clients have it.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key.
pub fn of_key(key: &[u8], partitions: usize) -> usize {
    (murmur2(key) & 0x7fff_ffff) as usize % partitions
}

/// Where records without a key go.
#[derive(Default)]
pub struct Sticky {
    current: Option<usize>,
    bytes: usize,
}

impl Sticky {
    /// The partition for the next record of so many bytes.
    pub fn next(&mut self, bytes: usize, switch_after: usize, partitions: usize) -> usize {
        if self.bytes >= switch_after {
            self.current = None;
        }
        let current = *self.current.get_or_insert_with(|| {
            self.bytes = 0;
            RandomState::new().hash_one(0) as usize % partitions
        });
        self.bytes += bytes;
        current % partitions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafkas_clients() {
        // From the test of Kafka's Utils.murmur2.
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
    }

    #[test]
    fn records_without_key_stay_together_for_a_batch() {
        let mut sticky = Sticky::default();
        let first = sticky.next(10, 30, 1000);
        assert_eq!(sticky.next(10, 30, 1000), first);
        assert_eq!(sticky.next(10, 30, 1000), first);
        assert_eq!(sticky.bytes, 30);
        sticky.next(10, 30, 1000);
        assert_eq!(sticky.bytes, 10);
    }
}
