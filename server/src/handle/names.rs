//! Which elements of a request are the same as an earlier one: a table of places in the frame, four
//! bytes each, in place of a set of owned names.
//!
//! Its size is set by the number of elements and never grows; what is not used of it is not
//! resident.

use std::hash::{BuildHasher, RandomState};

/// Whether an element is there for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Not before.
    First,
    /// The same as the one at this place.
    Again(u32),
}

/// While an answer is shorter than this, what is asked for again is told again, as Kafka does without
/// a limit: what is told may be many times as large as its name.
pub const TOLD_AGAIN_BYTES_MAX: usize = 1024 * 1024;

/// See the module.
pub struct Names {
    /// The place of an element plus one; 0 is free.
    slots: Vec<u32>,
    hasher: RandomState,
}

impl Names {
    /// For at most `count` elements.
    pub fn new(count: usize) -> Names {
        let slots = (count + count / 3 + 1).next_power_of_two();
        Names {
            slots: vec![0; slots],
            hasher: RandomState::new(),
        }
    }

    /// Adds the element at `place`, which is `name`; `at` reads the element at another place.
    ///
    /// # Panics
    /// If there are more elements than the table was made for.
    pub fn add<K: std::hash::Hash + Eq>(
        &mut self,
        place: u32,
        name: &K,
        at: impl Fn(u32) -> K,
    ) -> Seen {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(name) as usize & mask;
        for _ in 0..self.slots.len() {
            match self.slots[slot].checked_sub(1) {
                None => {
                    self.slots[slot] = place + 1;
                    return Seen::First;
                }
                Some(other) if at(other) == *name => return Seen::Again(other),
                Some(_) => slot = (slot + 1) & mask,
            }
        }
        panic!("the table of {} names is full", self.slots.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_twice_is_found_however_full_the_table_is() {
        let words: Vec<String> = (0..1000).map(|n| format!("{}", n % 700)).collect();
        let mut names = Names::new(words.len());
        for (place, word) in words.iter().enumerate() {
            let seen = names.add(place as u32, &word.as_str(), |at| &*words[at as usize]);
            let expected = match place {
                ..700 => Seen::First,
                _ => Seen::Again(place as u32 - 700),
            };
            assert_eq!(seen, expected, "{place}");
        }
    }
}
