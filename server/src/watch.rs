//! A fetcher's wait for bytes: it is woken once the partitions it watches on one shard have
//! committed as many bytes as it still needs.
//!
//! Made on the shard that owns the partitions; the fetcher may be on another shard.
//! Invariant: it wakes its fetcher at most once.

use std::cell::Cell;
use std::rc::Rc;

use crate::shard::{Shard, ShardId};

/// Names a waiting fetch for all shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The shard of the fetcher's connection.
    pub home: ShardId,
    /// Its number there.
    pub number: u64,
}

/// See the module.
pub struct Watch {
    ticket: Ticket,
    needed_bytes: Cell<u64>,
    over: Cell<bool>,
    shard: Rc<Shard>,
}

impl Watch {
    /// A watch that wakes `ticket` after `needed_bytes` committed bytes.
    pub fn new(ticket: Ticket, needed_bytes: u64, shard: Rc<Shard>) -> Rc<Watch> {
        let needed_bytes = Cell::new(needed_bytes);
        Rc::new(Watch {
            ticket,
            needed_bytes,
            over: Cell::new(false),
            shard,
        })
    }

    /// A watched partition committed `bytes` more.
    pub fn saw(&self, bytes: u64) {
        let needed = self.needed_bytes.get().saturating_sub(bytes);
        self.needed_bytes.set(needed);
        if needed == 0 && !self.over.replace(true) {
            let number = self.ticket.number;
            self.shard
                .post_to(self.ticket.home, move |home| home.fetch_waits.wake(number));
        }
    }

    /// What the partition now has to say is no bytes: the fetcher looks again at once.
    pub fn wake(&self) {
        self.saw(self.needed_bytes.get());
    }

    /// `bytes` were there when the fetcher looked: so many fewer have to come, but at least one.
    pub fn has(&self, bytes: u64) {
        self.needed_bytes
            .set(self.needed_bytes.get().saturating_sub(bytes).max(1));
    }

    /// Nobody waits any more.
    pub fn cancel(&self) {
        self.over.set(true);
    }

    /// It has woken its fetcher or was cancelled.
    pub fn is_over(&self) -> bool {
        self.over.get()
    }
}
