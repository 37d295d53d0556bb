//! The fetches of one shard's connections that wait for more bytes or for their time to end.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use ring::event::Event;

/// Waiting fetches by number. Owned by the shard of their connections.
#[derive(Default)]
pub struct FetchWaits {
    waiting: RefCell<HashMap<u64, Rc<Event>>>,
    next: Cell<u64>,
    over: Cell<bool>,
}

/// One waiting fetch; dropped, it is forgotten.
pub struct FetchWait<'a> {
    waits: &'a FetchWaits,
    /// Its number, for a [`crate::watch::Ticket`].
    pub number: u64,
    /// Notified when bytes arrived.
    pub woken: Rc<Event>,
}

impl FetchWaits {
    /// Registers a fetch.
    pub fn register(&self) -> FetchWait<'_> {
        let number = self.next.get();
        self.next.set(number + 1);
        let woken = Rc::new(Event::new());
        self.waiting.borrow_mut().insert(number, woken.clone());
        FetchWait {
            waits: self,
            number,
            woken,
        }
    }

    /// Bytes arrived for fetch `number`, if it still waits.
    pub fn wake(&self, number: u64) {
        if let Some(woken) = self.waiting.borrow().get(&number) {
            woken.notify();
        }
    }

    /// The node stops: those that wait are woken, and nobody waits any more.
    pub fn end(&self) {
        self.over.set(true);
        self.waiting
            .borrow()
            .values()
            .for_each(|woken| woken.notify());
    }

    /// Whether a fetch may wait.
    pub fn may_wait(&self) -> bool {
        !self.over.get()
    }
}

impl Drop for FetchWait<'_> {
    fn drop(&mut self) {
        self.waits.waiting.borrow_mut().remove(&self.number);
    }
}
