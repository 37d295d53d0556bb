//! Maps whose keys nobody outside can choose, because the node drew or counted them: a multiplication
//! does for their hash.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map whose keys hash themselves as one number.
pub type DrawnKeys<K, V> = HashMap<K, V, BuildHasherDefault<OneNumber>>;

/// The hash of one number.
#[derive(Default)]
pub struct OneNumber(u64);

/// Odd, and without a pattern: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for OneNumber {
    fn write(&mut self, bytes: &[u8]) {
        unreachable!("keys of {} bytes are not one number", bytes.len());
    }

    fn write_u64(&mut self, number: u64) {
        // The map looks at the lowest and at the highest bits.
        let spread = number.wrapping_mul(SPREAD);
        self.0 = spread ^ spread >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::OneNumber;

    #[test]
    fn numbers_in_a_row_differ_in_the_bits_that_a_map_looks_at() {
        let hash = |number: u64| BuildHasherDefault::<OneNumber>::default().hash_one(number);
        let lowest: HashSet<_> = (0..1024).map(|number| hash(number) & 1023).collect();
        let highest: HashSet<_> = (0..128).map(|number| hash(number) >> 57).collect();
        assert!(lowest.len() > 600, "{} of 1024", lowest.len());
        assert!(highest.len() > 75, "{} of 128", highest.len());
    }
}
