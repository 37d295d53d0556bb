//! A request's changes in portions: each is decided, committed and answered before the next is made
//! ready, so that what is held for a request does not grow with how much it wants changed.
//!
//! What a request wants is refused if it wants it twice, so a request of several portions is looked
//! through first: what is named more than once is given twice in one portion, and not again.

use std::hash::Hash;

use protocol::wire::{Elements, Iter};

use super::names::{Names, Seen};
use super::walk::{STEPS_MAX, breathe};

/// See the module. `T` is a change.
pub struct Portions<'a, T> {
    each: Iter<'a, T>,
    cost: fn(&T) -> usize,
    /// None if there is one portion only.
    repeats: Option<Repeats>,
}

impl<'a, T: Clone> Portions<'a, T> {
    /// The portions of `changes`: each is of the thing that `key` gives, and takes `cost` steps.
    pub async fn new<K: Hash + Eq>(
        changes: &Elements<'a, T>,
        key: impl Fn(T) -> K,
        cost: fn(&T) -> usize,
    ) -> Portions<'a, T> {
        let mut steps = 0;
        for (n, change) in changes.iter().enumerate() {
            steps += cost(&change);
            breathe(n).await;
        }
        Portions {
            each: changes.iter(),
            cost,
            repeats: match steps > STEPS_MAX {
                true => Some(Repeats::among(changes, key).await),
                false => None,
            },
        }
    }

    /// The next portion; None after the last.
    pub async fn next(&mut self) -> Option<Vec<T>> {
        let (mut portion, mut steps) = (Vec::new(), 0);
        for n in 0.. {
            let place = self.each.bytes_left();
            let Some(change) = self.each.next() else {
                break;
            };
            let repeats = self.repeats.as_ref();
            match repeats.map_or(Times::Once, |repeats| repeats.of(place)) {
                Times::Again => {}
                Times::Once => {
                    steps += (self.cost)(&change);
                    portion.push(change);
                }
                Times::Twice => {
                    steps += 2;
                    portion.extend([change.clone(), change]);
                }
            }
            if steps >= STEPS_MAX && self.repeats.is_some() {
                break;
            }
            breathe(n).await;
        }
        (!portion.is_empty()).then_some(portion)
    }
}

/// How often an element is named.
enum Times {
    Once,
    /// More often, and here for the first time.
    Twice,
    /// It was named before.
    Again,
}

/// Which elements are named more than once: two bits for each place in the frame.
struct Repeats {
    twice: Vec<u64>,
    again: Vec<u64>,
}

impl Repeats {
    async fn among<T, K: Hash + Eq>(elements: &Elements<'_, T>, key: impl Fn(T) -> K) -> Repeats {
        let mut each = elements.iter();
        let words = each.bytes_left() as usize / 64 + 1;
        let mut repeats = Repeats {
            twice: vec![0; words],
            again: vec![0; words],
        };
        let mut names = Names::new(elements.len());
        for n in 0..elements.len() {
            let place = each.bytes_left();
            let name = key(each.next().expect("one of so many"));
            if let Seen::Again(first) = names.add(place, &name, |at| key(elements.at(at))) {
                repeats.twice[first as usize / 64] |= 1 << (first % 64);
                repeats.again[place as usize / 64] |= 1 << (place % 64);
            }
            breathe(n).await;
        }
        repeats
    }

    fn of(&self, place: u32) -> Times {
        let has = |bits: &[u64]| bits[place as usize / 64] >> (place % 64) & 1 != 0;
        if has(&self.again) {
            Times::Again
        } else if has(&self.twice) {
            Times::Twice
        } else {
            Times::Once
        }
    }
}
