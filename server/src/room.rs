//! Who may begin a large request, or one with a large answer: one after another, while the shard's
//! account of memory has room for it.
//!
//! A place is held until the answer is sent. Invariants: places are given in the order in which
//! they were asked for; if nobody has one, the next is given whatever the account says, so that
//! somebody always goes on.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ring::buffer::{Charge, pool};

/// What costs less begins at once.
pub const HEAVY_BYTES: usize = 256 * 1024;

/// How often one who waits looks again.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// See the module. Owned by one shard.
#[derive(Default)]
pub struct Room {
    waiting: RefCell<VecDeque<u64>>,
    next: Cell<u64>,
    /// One reference for each place that is held; answers may be dropped on another thread.
    held: Arc<()>,
    /// A second reference while a connection is favoured.
    favoured: Rc<()>,
}

/// One connection may receive the rest of its request though the account is full: if all waited
/// for the others, none would ever have a whole one. Dropped, another one is favoured.
pub struct Favour {
    _favoured: Rc<()>,
}

/// What one large request and its answer cost, in the shard's account until it is dropped.
pub struct Place {
    charge: Charge,
    _held: Arc<()>,
}

impl Place {
    /// It costs `bytes` now.
    pub fn resize(&mut self, bytes: usize) {
        self.charge.resize(bytes);
    }
}

impl Room {
    /// Waits for a place of `bytes`.
    pub async fn admit(&self, bytes: usize) -> Place {
        let turn = Turn::new(self);
        while !self.may_begin(turn.number, bytes) {
            ring::timer::sleep(LOOK_INTERVAL).await;
        }
        Place {
            charge: Charge::new(bytes),
            _held: self.held.clone(),
        }
    }

    /// Whether somebody waits for a place.
    pub fn is_full(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// The favour, if nobody has it.
    pub fn favour(&self) -> Option<Favour> {
        let is_free = Rc::strong_count(&self.favoured) == 1;
        is_free.then(|| Favour {
            _favoured: self.favoured.clone(),
        })
    }

    fn may_begin(&self, number: u64, bytes: usize) -> bool {
        let nobody_else = Arc::strong_count(&self.held) == 1;
        let fits = pool().in_use_bytes() + bytes <= pool().limit_bytes();
        self.waiting.borrow().front() == Some(&number) && (fits || nobody_else)
    }
}

/// A turn in the queue; dropped, it is given up.
struct Turn<'a> {
    room: &'a Room,
    number: u64,
}

impl<'a> Turn<'a> {
    fn new(room: &'a Room) -> Turn<'a> {
        let number = room.next.get();
        room.next.set(number + 1);
        room.waiting.borrow_mut().push_back(number);
        Turn { room, number }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut waiting = self.room.waiting.borrow_mut();
        waiting.retain(|number| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_requests_wait_in_order_for_room_and_one_always_goes_on() {
        let options = ring::Options {
            buffer_bytes_max: 1000,
            ..ring::Options::default()
        };
        let mut runtime = ring::Runtime::new(options).expect("a ring");
        runtime.block_on(async {
            let room = Room::default();
            let soon = Duration::from_millis(20);
            let larger_than_all = room.admit(5000).await;
            assert!(ring::timer::timeout(soon, room.admit(1)).await.is_err());
            assert!(!room.is_full(), "who gives up leaves the queue");
            drop(larger_than_all);
            let mut first = room.admit(600).await;
            assert!(ring::timer::timeout(soon, room.admit(600)).await.is_err());
            first.resize(300);
            let second = room.admit(600).await;
            assert!(ring::timer::timeout(soon, room.admit(600)).await.is_err());
            drop((first, second));
            assert_eq!(pool().in_use_bytes(), 0);
        });
    }
}
