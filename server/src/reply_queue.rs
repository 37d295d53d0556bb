//! Replies of one connection, sent in the order of its requests whatever order they are ready in.
//!
//! Invariant: a reply leaves only when all earlier ones have left or need none.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use ring::event::Event;
use ring::net::Piece;

/// What a request ends with.
pub enum Outcome {
    /// Bytes and file slices to send, length prefix included.
    Reply(Vec<Piece>),
    /// Nothing is sent (a produce request with acks=0).
    NoReply,
    /// The connection is closed once earlier replies have left; the reason goes to the log.
    Close(String),
}

/// The replies of one connection. Owned by its shard.
pub struct ReplyQueue {
    slots: RefCell<VecDeque<Option<Outcome>>>,
    /// The number of the request whose slot is at the front.
    front: Cell<u64>,
    changed: Event,
    drained: Event,
}

/// The place of one request's reply. Dropped unfilled, it closes the connection.
pub struct Slot {
    queue: Rc<ReplyQueue>,
    number: u64,
    filled: bool,
}

impl ReplyQueue {
    /// An empty queue.
    pub fn new() -> Rc<ReplyQueue> {
        Rc::new(ReplyQueue {
            slots: RefCell::new(VecDeque::new()),
            front: Cell::new(0),
            changed: Event::new(),
            drained: Event::new(),
        })
    }

    /// The place for the next request's reply.
    pub fn reserve(self: &Rc<Self>) -> Slot {
        let mut slots = self.slots.borrow_mut();
        slots.push_back(None);
        let number = self.front.get() + slots.len() as u64 - 1;
        Slot {
            queue: self.clone(),
            number,
            filled: false,
        }
    }

    /// Whether no request waits for its answer.
    pub fn is_empty(&self) -> bool {
        self.slots.borrow().is_empty()
    }

    /// Waits until fewer than `requests` are not answered.
    pub async fn wait_below(&self, requests: usize) {
        while self.slots.borrow().len() >= requests {
            self.drained.wait().await;
        }
    }

    /// How many requests there have been.
    pub fn begun(&self) -> u64 {
        self.front.get() + self.slots.borrow().len() as u64
    }

    /// Waits until the first `requests` of all that have been are answered.
    pub async fn wait_for_answers(&self, requests: u64) {
        while self.front.get() < requests {
            self.drained.wait().await;
        }
    }

    /// Takes the outcomes that may leave now, oldest first; waits until there is one.
    pub async fn ready(&self) -> Vec<Outcome> {
        loop {
            let ready = self.take_ready();
            if !ready.is_empty() {
                self.drained.notify();
                return ready;
            }
            self.changed.wait().await;
        }
    }

    fn take_ready(&self) -> Vec<Outcome> {
        let mut ready = Vec::new();
        let mut slots = self.slots.borrow_mut();
        while let Some(Some(_)) = slots.front() {
            ready.extend(slots.pop_front().flatten());
            self.front.set(self.front.get() + 1);
        }
        ready
    }

    fn fill(&self, number: u64, outcome: Outcome) {
        let index = (number - self.front.get()) as usize;
        let mut slots = self.slots.borrow_mut();
        slots[index] = Some(outcome);
        drop(slots);
        if index == 0 {
            self.changed.notify();
        }
    }
}

impl Slot {
    /// Gives the request's outcome.
    pub fn fill(mut self, outcome: Outcome) {
        self.filled = true;
        self.queue.fill(self.number, outcome);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.filled {
            let reason = "its request was dropped unanswered".to_owned();
            self.queue.fill(self.number, Outcome::Close(reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &'static str) -> Outcome {
        Outcome::Reply(vec![Piece::Bytes(bytes::Bytes::from_static(
            text.as_bytes(),
        ))])
    }

    fn texts(outcomes: &[Outcome]) -> Vec<String> {
        let text = |outcome: &Outcome| match outcome {
            Outcome::Reply(pieces) => match &pieces[0] {
                Piece::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Piece::File { .. } => "file".to_owned(),
            },
            Outcome::NoReply => "none".to_owned(),
            Outcome::Close(reason) => reason.clone(),
        };
        outcomes.iter().map(text).collect()
    }

    #[test]
    fn replies_leave_in_request_order_whatever_order_they_are_ready_in() {
        let mut runtime = ring::Runtime::new(ring::Options::default()).expect("a ring");
        runtime.block_on(async {
            let queue = ReplyQueue::new();
            let (first, second, third) = (queue.reserve(), queue.reserve(), queue.reserve());
            third.fill(reply("3"));
            first.fill(reply("1"));
            assert_eq!(texts(&queue.ready().await), ["1"]);
            second.fill(Outcome::NoReply);
            assert_eq!(texts(&queue.ready().await), ["none", "3"]);
            assert!(queue.is_empty());
            drop(queue.reserve());
            let closed = queue.ready().await;
            assert!(
                matches!(&closed[..], [Outcome::Close(_)]),
                "{:?}",
                texts(&closed)
            );
        });
    }
}
