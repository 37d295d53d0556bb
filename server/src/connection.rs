//! One connection on the shard that accepted it: frames in, replies out in request order.
//!
//! Reading stops while too many of its requests are unanswered, while the shard's buffers are over
//! their budget, while a large request waits or is served, or while another shard's mailbox is
//! full.
//! Invariant: requests are begun in the order they came in.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use ring::event::{Event, once};
use ring::net::{Piece, Stream};

use crate::dispatch::{self, Admission, Order};
use crate::frame::FrameReader;
use crate::reply_queue::{Outcome, ReplyQueue};
use crate::room::HEAVY_BYTES;
use crate::shard::Shard;

/// Requests of one connection that may wait for their answers at a time.
const REQUESTS_IN_FLIGHT_MAX: usize = 64;

/// See the module. Owned by one shard.
pub struct Connection {
    /// The listener it came in by.
    pub listener: usize,
    /// Where from.
    pub peer: SocketAddr,
    stream: Stream,
    replies: Rc<ReplyQueue>,
    /// How many requests there had been with the last that [`Order::Changes`].
    changes: Cell<u64>,
    /// With the last that [`Order::Appends`].
    appends: Cell<u64>,
    last_active: Cell<Instant>,
    partial: Cell<bool>,
    sending: Cell<bool>,
    reason: RefCell<Option<String>>,
    /// Notified when the connection has ended: fetches that wait for it give up.
    pub ended: Event,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(listener: usize, peer: SocketAddr, stream: Stream) -> Rc<Connection> {
        Rc::new(Connection {
            listener,
            peer,
            stream,
            replies: ReplyQueue::new(),
            changes: Cell::new(0),
            appends: Cell::new(0),
            last_active: Cell::new(ring::timer::now()),
            partial: Cell::new(false),
            sending: Cell::new(false),
            reason: RefCell::new(None),
            ended: Event::new(),
        })
    }

    /// Serves the connection until either side ends it.
    pub async fn run(self: Rc<Self>, shard: Rc<Shard>) {
        let writer = self.write_replies(&shard);
        let reader = self.read_requests(&shard);
        ring::event::first_of(reader, writer).await;
        self.stream.shutdown();
        self.ended.notify();
        if let Some(reason) = self.reason.take() {
            tracing::info!("connection from {} closed: {reason}", self.peer);
        }
    }

    /// Ends the connection; what is under way for it is dropped.
    pub fn close(&self, reason: &str) {
        self.reason
            .borrow_mut()
            .get_or_insert_with(|| reason.to_owned());
        self.stream.shutdown();
    }

    /// When bytes last moved, in either direction.
    pub fn last_active(&self) -> Instant {
        self.last_active.get()
    }

    /// Whether a request has begun to arrive and is not complete.
    pub fn is_partial(&self) -> bool {
        self.partial.get()
    }

    /// Whether answers are being sent.
    pub fn is_sending(&self) -> bool {
        self.sending.get()
    }

    /// Whether no request waits for its answer.
    pub fn is_idle(&self) -> bool {
        self.replies.is_empty()
    }

    async fn read_requests(self: &Rc<Self>, shard: &Rc<Shard>) {
        let mut reader = FrameReader::new(shard.config.socket_request_max_bytes);
        let mut frames = Vec::new();
        let mut favour = None;
        loop {
            self.replies.wait_below(REQUESTS_IN_FLIGHT_MAX).await;
            let partial = reader.partial_bytes() > 0;
            let holds = || partial || !self.replies.is_empty();
            shard.wait_for_room(partial, holds, &mut favour).await;
            let (buffer, limit) = reader.take_buffer();
            let (received, buffer) = self.stream.recv_at_most(buffer, limit).await;
            match received {
                Ok(0) => return,
                Ok(_) => self.last_active.set(ring::timer::now()),
                Err(error) => {
                    tracing::debug!("receiving from {}: {error}", self.peer);
                    return;
                }
            }
            if let Err(error) = reader.put_buffer(buffer, &mut frames) {
                self.close(&error.to_string());
                return;
            }
            self.partial.set(reader.partial_bytes() > 0);
            for frame in frames.drain(..) {
                self.begin(shard, frame).await;
            }
        }
    }

    /// Begins a request. A large one waits for its place and is served alone, so that requests of
    /// one connection stay in order however many pieces they are served in. Others stand to each
    /// other as their [`Order`] says.
    async fn begin(self: &Rc<Self>, shard: &Rc<Shard>, frame: Bytes) {
        let weight = dispatch::weight_bytes(&frame);
        if weight < HEAVY_BYTES {
            let mut admission = Admission::default();
            let mut next_may_begin = None;
            let order = dispatch::order_of(&frame);
            match order {
                Order::Free | Order::Appends | Order::AppendsAndHoldsNext | Order::Changes => {}
                Order::Reads => self.replies.wait_for_answers(self.changes.get()).await,
                Order::ReadsLogs | Order::ChangesLogs => {
                    let last = self.changes.get().max(self.appends.get());
                    self.replies.wait_for_answers(last).await;
                }
            }
            let number = self.replies.begun() + 1;
            match order {
                Order::Free | Order::Reads | Order::ReadsLogs => {}
                Order::Appends => self.appends.set(number),
                Order::AppendsAndHoldsNext => {
                    self.appends.set(number);
                    let (next, taker) = once();
                    (admission.next, next_may_begin) = (Some(next), Some(taker));
                }
                Order::Changes | Order::ChangesLogs => self.changes.set(number),
            }
            dispatch::begin(shard, self, frame, admission, self.replies.reserve());
            if let Some(next_may_begin) = next_may_begin {
                next_may_begin.await;
            }
            return;
        }
        self.replies.wait_below(1).await;
        let place = shard.room.admit(weight).await;
        // To weigh it took a walk through the whole frame, and to decode it takes another.
        ring::yield_now().await;
        let admission = Admission {
            place: Some(place),
            next: None,
        };
        dispatch::begin(shard, self, frame, admission, self.replies.reserve());
        self.replies.wait_below(1).await;
    }

    async fn write_replies(&self, shard: &Shard) {
        loop {
            let mut pieces: Vec<Piece> = Vec::new();
            let mut close = None;
            for outcome in self.replies.ready().await {
                match outcome {
                    Outcome::Reply(reply) => pieces.extend(reply),
                    Outcome::NoReply => {}
                    Outcome::Close(reason) => {
                        close = Some(reason);
                        break;
                    }
                }
            }
            self.sending.set(true);
            if !pieces.is_empty()
                && let Err(error) = self.stream.send_pieces(pieces).await
            {
                tracing::debug!("sending to {}: {error}", self.peer);
                return;
            }
            self.sending.set(false);
            self.last_active.set(ring::timer::now());
            if let Some(reason) = close {
                self.close(&reason);
                return;
            }
            if shard.is_stopping() && self.is_idle() {
                return;
            }
        }
    }
}
