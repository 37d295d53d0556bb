//! Questions between shards: each shard has one mailbox; a question runs on the shard that owns
//! what it asks about, and its answer comes back to the asking shard's mailbox.
//!
//! A question to the own shard runs at once, without a mailbox. Serving never waits in the drain
//! loop, so two shards that write to each other cannot block each other.
//! Invariants: letters between two shards keep their order; a question is answered exactly once,
//! or its `Done` is dropped, which the asker sees as the panic of the shard that dropped it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use ring::event::{Giver, Taker, once};
use ring::mailbox::Sender;

use crate::drawn_keys::DrawnKeys;
use crate::shard::{Shard, ShardId};

/// Something one shard asks another. `serve` runs on the shard asked; it may answer at once or
/// keep `done` and answer later, but it must not block.
pub trait Question: Send + 'static {
    /// What comes back.
    type Answer: Send + 'static;

    /// Runs on the shard asked.
    fn serve(self, shard: &Rc<Shard>, done: Done<Self::Answer>);
}

/// A letter: work for the shard whose mailbox it is in.
pub type Letter = Box<dyn FnOnce(&Rc<Shard>) + Send>;

/// How many letters a mailbox holds; a sender that finds it full keeps its letters in order and
/// tries again at the end of its turn.
pub const MAILBOX_LETTERS_MAX: usize = 4096;

/// Where the answer to a question goes.
pub enum Done<A> {
    /// The asker is on this shard.
    Local(Giver<A>),
    /// The asker is on shard `home` and knows the question as `call`.
    Remote {
        /// The asking shard.
        home: ShardId,
        /// Its number for the question.
        call: u64,
        /// The type of the answer.
        answer: PhantomData<fn(A)>,
        /// The shard that answers: letters leave through its post office.
        from: Rc<PostOffice>,
    },
}

impl<A: Send + 'static> Done<A> {
    /// Gives the answer.
    pub fn put(self, answer: A) {
        match self {
            Done::Local(giver) => giver.give(answer),
            Done::Remote {
                home, call, from, ..
            } if home == from.here => from.resolve(call, answer),
            Done::Remote {
                home, call, from, ..
            } => from.post(
                home,
                Box::new(move |shard: &Rc<Shard>| shard.post_office.resolve(call, answer)),
            ),
        }
    }
}

/// A place for an answer beside a question's own, for what is known later than that. It goes with
/// the question to the shard that is asked.
pub struct Promise<A> {
    home: ShardId,
    call: u64,
    answer: PhantomData<fn(A)>,
}

impl<A> Promise<A> {
    /// Where the answer goes, on the shard that will give it.
    pub fn done(self, shard: &Shard) -> Done<A> {
        Done::Remote {
            home: self.home,
            call: self.call,
            answer: PhantomData,
            from: shard.post_office.clone(),
        }
    }
}

/// The answer to come.
pub struct Asked<A> {
    taker: Taker<A>,
    call: Option<(Rc<PostOffice>, u64)>,
}

impl<A> Future for Asked<A> {
    type Output = A;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<A> {
        let answer = ready!(Pin::new(&mut self.taker).poll(context));
        Poll::Ready(answer.expect("every question is answered"))
    }
}

impl<A> Drop for Asked<A> {
    fn drop(&mut self) {
        if let Some((office, call)) = &self.call {
            office.calls.borrow_mut().remove(call);
        }
    }
}

/// One shard's end of all mailboxes. Owned by that shard.
pub struct PostOffice {
    here: ShardId,
    senders: Vec<Sender<Letter>>,
    waiting: Vec<RefCell<VecDeque<Letter>>>,
    retrying: Cell<bool>,
    calls: RefCell<DrawnKeys<u64, Box<dyn Any>>>,
    next_call: Cell<u64>,
}

impl PostOffice {
    /// The post office of shard `here`; `senders[n]` writes to shard n's mailbox.
    pub fn new(here: ShardId, senders: Vec<Sender<Letter>>) -> Rc<PostOffice> {
        let waiting = senders
            .iter()
            .map(|_| RefCell::new(VecDeque::new()))
            .collect();
        Rc::new(PostOffice {
            here,
            senders,
            waiting,
            retrying: Cell::new(false),
            calls: RefCell::default(),
            next_call: Cell::new(0),
        })
    }

    /// Sends a letter to another shard, in order after those sent before.
    pub fn post(self: &Rc<Self>, to: ShardId, letter: Letter) {
        let mut waiting = self.waiting[to.0].borrow_mut();
        if waiting.is_empty() {
            match self.senders[to.0].try_send(letter) {
                Ok(()) => return,
                Err(full) => waiting.push_back(full.0),
            }
        } else {
            waiting.push_back(letter);
        }
        drop(waiting);
        if !self.retrying.replace(true) {
            ring::spawn(self.clone().retry());
        }
    }

    /// How many letters wait because a peer's mailbox is full; connections stop reading meanwhile.
    pub fn backlog(&self) -> usize {
        self.waiting
            .iter()
            .map(|waiting| waiting.borrow().len())
            .sum()
    }

    async fn retry(self: Rc<Self>) {
        while self.backlog() > 0 {
            ring::timer::sleep(std::time::Duration::from_micros(200)).await;
            for (to, waiting) in self.waiting.iter().enumerate() {
                let mut waiting = waiting.borrow_mut();
                while let Some(letter) = waiting.pop_front() {
                    if let Err(full) = self.senders[to].try_send(letter) {
                        waiting.push_front(full.0);
                        break;
                    }
                }
            }
        }
        self.retrying.set(false);
    }

    /// A number under which an answer will come.
    fn await_answer<A: 'static>(&self, giver: Giver<A>) -> u64 {
        let call = self.next_call.get();
        self.next_call.set(call + 1);
        self.calls.borrow_mut().insert(call, Box::new(giver));
        call
    }

    fn resolve<A: 'static>(&self, call: u64, answer: A) {
        let Some(giver) = self.calls.borrow_mut().remove(&call) else {
            return; // The asker has gone: its connection was closed.
        };
        let giver = giver
            .downcast::<Giver<A>>()
            .expect("an answer has its question's type");
        giver.give(answer);
    }
}

impl Shard {
    /// Asks shard `to`. The question is under way when this returns, also if the future is not
    /// polled yet: two questions to one shard are served in the order they were asked.
    pub fn ask<Q: Question>(self: &Rc<Self>, to: ShardId, question: Q) -> Asked<Q::Answer> {
        let (giver, taker) = once();
        if to == self.id {
            question.serve(self, Done::Local(giver));
            return Asked { taker, call: None };
        }
        let office = &self.post_office;
        let call = office.await_answer(giver);
        let home = office.here;
        office.post(
            to,
            Box::new(move |shard: &Rc<Shard>| {
                let from = shard.post_office.clone();
                question.serve(
                    shard,
                    Done::Remote {
                        home,
                        call,
                        answer: PhantomData,
                        from,
                    },
                );
            }),
        );
        Asked {
            taker,
            call: Some((office.clone(), call)),
        }
    }

    /// A promise that goes with a question, and what will be given for it.
    pub fn promise<A: Send + 'static>(&self) -> (Promise<A>, Asked<A>) {
        let (giver, taker) = once();
        let office = &self.post_office;
        let call = office.await_answer(giver);
        let promise = Promise {
            home: office.here,
            call,
            answer: PhantomData,
        };
        let call = Some((office.clone(), call));
        (promise, Asked { taker, call })
    }
}
