//! What the arrays of one frame may take in memory. Knows sizes, not what is in the arrays.
//!
//! Invariant: what was admitted never weighs more than the budget had at first.

/// See the module.
#[derive(Clone, Debug)]
pub struct Budget {
    left_bytes: usize,
    times: usize,
    beyond_bytes: usize,
}

impl Budget {
    /// Of so many bytes; an element weighs its own size.
    pub fn new(bytes: usize) -> Budget {
        Budget {
            left_bytes: bytes,
            times: 1,
            beyond_bytes: 0,
        }
    }

    /// An element weighs so many times its own size and `beyond_bytes`.
    pub fn weigh(&mut self, times: usize, beyond_bytes: usize) {
        self.times = times;
        self.beyond_bytes = beyond_bytes;
    }

    /// Whether `count` elements of this size fit; takes them out of the budget if so.
    pub fn admit(&mut self, count: usize, element_bytes: usize) -> bool {
        let each = self.times * element_bytes + self.beyond_bytes;
        let left = self.left_bytes.checked_sub(count.saturating_mul(each));
        if let Some(left) = left {
            self.left_bytes = left;
        }
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_admitted_and_nothing_more() {
        let mut budget = Budget::new(100);
        assert!(budget.admit(2, 20));
        budget.weigh(4, 10);
        assert!(!budget.admit(3, 5));
        assert!(!budget.admit(usize::MAX, 5));
        assert!(budget.admit(2, 5));
        assert!(!budget.admit(1, 0));
        assert!(budget.admit(0, 5));
    }
}
