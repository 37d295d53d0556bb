//! Checks that acknowledged batches lie side by side in a partition: no offset is given twice and
//! none is left out, however the answers of several connections interleave.

use std::collections::BTreeMap;

/// One partition's acknowledged offsets.
///
/// Invariant: `next` is the first offset that nobody was given yet, and every key of `ahead` is
/// greater than it.
#[derive(Debug)]
pub struct Tiling {
    next: i64,
    ahead: BTreeMap<i64, i64>,
    records: u64,
}

/// Two batches were given the same offset.
#[derive(Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The first offset of the batch that came later.
    pub base: i64,
    /// What it may be at least.
    pub expected_at_least: i64,
}

impl Tiling {
    /// A partition whose next record gets the offset `next`.
    pub fn new(next: i64) -> Tiling {
        Tiling {
            next,
            ahead: BTreeMap::new(),
            records: 0,
        }
    }

    /// Places a batch that was given the offsets `base .. base + count`.
    pub fn place(&mut self, base: i64, count: u32) -> Result<(), Overlap> {
        let end = base + i64::from(count);
        self.records += u64::from(count);
        if base > self.next {
            return self.place_ahead(base, end);
        }
        if base < self.next {
            return Err(Overlap {
                base,
                expected_at_least: self.next,
            });
        }
        self.next = end;
        while let Some((&base, &end)) = self.ahead.first_key_value() {
            if base > self.next {
                break;
            }
            if base < self.next {
                return Err(Overlap {
                    base,
                    expected_at_least: self.next,
                });
            }
            self.next = end;
            self.ahead.pop_first();
        }
        Ok(())
    }

    /// How many records were placed.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The first offset that nobody was given.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// The first gap, as (first missing offset, offset after it), once all answers are in.
    pub fn gap(&self) -> Option<(i64, i64)> {
        self.ahead
            .first_key_value()
            .map(|(&base, _)| (self.next, base))
    }

    fn place_ahead(&mut self, base: i64, end: i64) -> Result<(), Overlap> {
        match self.ahead.insert(base, end) {
            Some(_) => Err(Overlap {
                base,
                expected_at_least: end,
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_in_any_order_close_up() {
        let mut tiling = Tiling::new(100);
        for (base, count) in [(110, 5), (100, 10), (130, 1), (115, 15)] {
            tiling.place(base, count).expect("no overlap");
        }
        assert_eq!(
            (tiling.next(), tiling.gap(), tiling.records()),
            (131, None, 31)
        );
    }

    #[test]
    fn gaps_and_overlaps_are_seen() {
        let mut tiling = Tiling::new(0);
        tiling.place(0, 10).expect("first");
        tiling.place(12, 3).expect("ahead");
        assert_eq!(tiling.gap(), Some((10, 12)));
        assert_eq!(
            tiling.place(5, 1),
            Err(Overlap {
                base: 5,
                expected_at_least: 10
            })
        );
        assert!(tiling.place(12, 1).is_err());
        assert!(tiling.place(10, 3).is_err());
    }
}
