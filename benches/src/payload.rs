//! Record values: random bytes from a seed, so that two runs send the same and nothing on the way
//! can compress them (unless a part of them is asked to be constant).

/// SplitMix64: small, fast, and good enough to look random to a compressor.
pub struct Noise(u64);

impl Noise {
    /// The same seed gives the same bytes.
    pub fn new(seed: u64) -> Noise {
        Noise(seed)
    }

    /// A value of `len` bytes of which the first `random_ratio` (0 to 1) are random and the rest
    /// are blanks.
    pub fn value(&mut self, len: usize, random_ratio: f64) -> Vec<u8> {
        let random = ((len as f64 * random_ratio.clamp(0.0, 1.0)).round() as usize).min(len);
        let mut value = Vec::with_capacity(len + 8);
        while value.len() < random {
            value.extend_from_slice(&self.next().to_le_bytes());
        }
        value.truncate(random);
        value.resize(len, b' ');
        value
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_values_and_the_ratio_holds() {
        assert_eq!(
            Noise::new(7).value(1000, 1.0),
            Noise::new(7).value(1000, 1.0)
        );
        assert_ne!(
            Noise::new(7).value(1000, 1.0),
            Noise::new(8).value(1000, 1.0)
        );
        let half = Noise::new(7).value(1001, 0.5);
        assert!(half[501..].iter().all(|&byte| byte == b' ') && half.len() == 1001);
    }
}
