//! The watches on one shard's partitions by the ticket of their fetch, so that a fetch that ends
//! can cancel them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::watch::{Ticket, Watch};

/// Owned by the shard of the partitions.
#[derive(Default)]
pub struct Watches {
    by_ticket: RefCell<HashMap<Ticket, Rc<Watch>>>,
}

impl Watches {
    /// Remembers a watch; an earlier one of the same fetch is cancelled.
    pub fn add(&self, ticket: Ticket, watch: Rc<Watch>) {
        if let Some(earlier) = self.by_ticket.borrow_mut().insert(ticket, watch) {
            earlier.cancel();
        }
    }

    /// The fetch has ended.
    pub fn cancel(&self, ticket: Ticket) {
        if let Some(watch) = self.by_ticket.borrow_mut().remove(&ticket) {
            watch.cancel();
        }
    }
}
