//! Several answers on one shard: slots filled in any order, given on together when all are there.
//!
//! Lives on one shard; never crosses threads. Invariant: a slot is filled exactly once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

type Complete<T> = Box<dyn FnOnce(Vec<T>)>;

/// `n` slots and what is done with them once they are filled.
pub struct Gather<T> {
    slots: RefCell<Vec<Option<T>>>,
    missing: Cell<usize>,
    complete: Cell<Option<Complete<T>>>,
}

impl<T> Gather<T> {
    /// A gather of `n` empty slots; `complete` gets all values in slot order, as soon as the last
    /// one is there.
    pub fn new(n: usize, complete: impl FnOnce(Vec<T>) + 'static) -> Rc<Gather<T>> {
        assert!(n > 0, "a gather of nothing would never complete");
        Rc::new(Gather {
            slots: RefCell::new((0..n).map(|_| None).collect()),
            missing: Cell::new(n),
            complete: Cell::new(Some(Box::new(complete))),
        })
    }

    /// Fills slot `index`. Panics if it is filled already: an answer given twice is a bug.
    pub fn put(&self, index: usize, value: T) {
        let before = self.slots.borrow_mut()[index].replace(value);
        assert!(before.is_none(), "slot {index} answered twice");
        self.missing.set(self.missing.get() - 1);
        if self.missing.get() == 0 {
            let slots = std::mem::take(&mut *self.slots.borrow_mut());
            let values = slots
                .into_iter()
                .map(|slot| slot.expect("every slot is filled"));
            let complete = self.complete.take().expect("it completes once");
            complete(values.collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_all_values_in_slot_order_once_the_last_is_there() {
        let given = Rc::new(RefCell::new(Vec::new()));
        let gather = Gather::new(2, {
            let given = given.clone();
            move |values| given.borrow_mut().extend(values)
        });
        gather.put(1, "b");
        assert!(given.borrow().is_empty());
        gather.put(0, "a");
        assert_eq!(*given.borrow(), ["a", "b"]);
    }

    #[test]
    fn a_second_answer_to_one_slot_is_refused() {
        let twice = std::panic::catch_unwind(|| {
            let gather = Gather::new(2, |_| {});
            gather.put(0, 1);
            gather.put(0, 2);
        });
        assert!(twice.is_err());
    }
}
