//! Waiting for several answers on one shard: slots filled in any order, taken when all are there.
//!
//! Lives on one shard; never crosses threads. Invariant: a slot is filled exactly once.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// `n` slots and the task that waits for all of them.
pub struct Gather<T> {
    slots: RefCell<Vec<Option<T>>>,
    missing: Cell<usize>,
    waiting: Cell<Option<Waker>>,
}

impl<T> Gather<T> {
    /// A gather of `n` empty slots.
    pub fn new(n: usize) -> Rc<Gather<T>> {
        Rc::new(Gather {
            slots: RefCell::new((0..n).map(|_| None).collect()),
            missing: Cell::new(n),
            waiting: Cell::new(None),
        })
    }

    /// Fills slot `index`. Panics if it is filled already: an answer given twice is a bug.
    pub fn put(&self, index: usize, value: T) {
        let before = self.slots.borrow_mut()[index].replace(value);
        assert!(before.is_none(), "slot {index} answered twice");
        self.missing.set(self.missing.get() - 1);
        if self.missing.get() == 0
            && let Some(waker) = self.waiting.take()
        {
            waker.wake();
        }
    }

    /// Resolves to all values, in slot order, once every slot is filled.
    pub fn all(self: Rc<Self>) -> All<T> {
        All { gather: self }
    }
}

/// See [`Gather::all`].
pub struct All<T> {
    gather: Rc<Gather<T>>,
}

impl<T> Future for All<T> {
    type Output = Vec<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Vec<T>> {
        if self.gather.missing.get() > 0 {
            self.gather.waiting.set(Some(context.waker().clone()));
            return Poll::Pending;
        }
        let slots = std::mem::take(&mut *self.gather.slots.borrow_mut());
        Poll::Ready(
            slots
                .into_iter()
                .map(|slot| slot.expect("every slot is filled"))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    #[test]
    fn resolves_in_slot_order_once_all_are_there() {
        let gather = Gather::new(2);
        let mut all = pin!(gather.clone().all());
        let mut context = Context::from_waker(Waker::noop());
        gather.put(1, "b");
        assert!(all.as_mut().poll(&mut context).is_pending());
        gather.put(0, "a");
        assert_eq!(all.as_mut().poll(&mut context), Poll::Ready(vec!["a", "b"]));
    }

    #[test]
    #[should_panic(expected = "answered twice")]
    fn a_second_answer_to_one_slot_is_refused() {
        let gather = Gather::new(2);
        gather.put(0, 1);
        gather.put(0, 2);
    }
}
