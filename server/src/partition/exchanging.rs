//! The copy of a partition's log takes the log's place: for that moment nothing is written, flushed,
//! compacted or deleted. Readers go on, and appends wait in the queue.

use std::cell::Ref;
use std::rc::Rc;

use engine::log::Log;
use engine::{Exchanged, Removal};

use super::Partition;

/// Who writes next.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Hold {
    /// Whatever is queued.
    #[default]
    None,
    /// Whoever waits in [`Partition::hold`].
    Wanted,
    /// It has the turn: `writing` is its.
    Given,
}

/// A partition whose files nobody changes while this lives.
pub struct Held {
    partition: Rc<Partition>,
}

impl Partition {
    /// While a log is moved it is not compacted: what its copy has would not be what it has.
    pub fn set_moving(&self, moving: bool) {
        self.state.borrow_mut().moving = moving;
        if moving {
            self.stop_compaction();
        }
    }

    /// Waits until a compaction that was stopped has ended.
    pub async fn wait_for_cleaning(&self) {
        while self.state.borrow().cleaning {
            self.written.wait().await;
        }
    }

    /// Waits for what is under way, and holds back the rest. `None` if the partition is given up.
    pub async fn hold(self: &Rc<Self>) -> Option<Held> {
        // In this order, because who deletes old segments may wait for its turn to write.
        while std::mem::replace(&mut self.state.borrow_mut().cleaning, true) {
            self.written.wait().await;
        }
        while !self.take_writing() {
            self.written.wait().await;
        }
        while std::mem::replace(&mut self.state.borrow_mut().flushing, true) {
            self.written.wait().await;
        }
        let held = Held {
            partition: self.clone(),
        };
        let is_there = self.state.borrow().log.is_some();
        is_there.then_some(held)
    }

    fn take_writing(&self) -> bool {
        let mut state = self.state.borrow_mut();
        if state.hold != Hold::Given && std::mem::replace(&mut state.writing, true) {
            state.hold = Hold::Wanted;
            return false;
        }
        state.hold = Hold::None;
        true
    }
}

impl Held {
    /// The log.
    pub fn log(&self) -> Ref<'_, Log> {
        Ref::map(self.partition.state.borrow(), |state| {
            state.log.as_ref().expect("a partition that is held has it")
        })
    }

    /// From now on `copy` is the log. Answers the old one, see [`Log::finish_exchange`].
    pub fn put_in_place(self, copy: Log, exchanged: Exchanged) -> (Log, Removal) {
        let mut state = self.partition.state.borrow_mut();
        state.log_in_use().finish_exchange(copy, exchanged)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let partition = &self.partition;
        let mut state = partition.state.borrow_mut();
        state.cleaning = false;
        state.flushing = false;
        let is_there = state.log.is_some();
        state.writing = is_there;
        drop(state);
        if is_there {
            // What was queued meanwhile is written now.
            ring::spawn(partition.clone().write_queued());
            partition.start_flushing();
        }
        partition.written.notify();
    }
}
