//! One thread of load: its producers' connections, one epoll loop.
//!
//! A producer has one connection to each leader. A request is built when the connection has a free
//! place in flight and the feed has something to send; an answer is checked, counted, and makes
//! room for the next request. What one look at a connection brings about is sent together. Nothing
//! is retried.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;

use crate::Error;
use crate::batch_template::{BatchTemplate, Sender};
use crate::clock::Nanos;
use crate::connection::{Connection, Flushed, Received};
use crate::latency::Latencies;
use crate::poller::{Interest, Poller};
use crate::produce::feed::{Feed, Lane, Limits, Portion};
use crate::produce::request::{self, Answer, Wire};
use crate::tiling::Tiling;
use crate::window::Window;

/// The loop wakes at least this often to look for answers that do not come.
const WAKE_AT_LEAST: Nanos = Nanos(500_000_000);

/// What all threads of a run share.
pub struct Plan {
    /// How requests are written.
    pub wire: Wire,
    /// What batches are made from.
    pub template: BatchTemplate,
    /// What limits a request.
    pub limits: Limits,
    /// Requests in flight on each connection.
    pub in_flight_max: usize,
    /// The offsets each partition has acknowledged.
    pub tilings: Vec<Mutex<Tiling>>,
    /// When sending begins.
    pub begin: Nanos,
    /// When a flood ends.
    pub stop_at: Nanos,
    /// The measured part of the run.
    pub window: Window,
    /// How long an answer may take.
    pub timeout: Nanos,
}

/// One producer: its supply, and its identity if it is idempotent.
pub struct Producer {
    /// What it has to send.
    pub feed: Feed,
    /// Producer id and epoch, and the next sequence number of each partition.
    pub sender: Sender,
}

/// What a thread has counted within the window.
#[derive(Clone, Default)]
pub struct Tally {
    /// Records acknowledged.
    pub records: u64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Requests acknowledged.
    pub requests: u64,
    /// Bytes of those requests on the wire.
    pub wire_bytes: u64,
    /// Records acknowledged since the beginning, warm-up included.
    pub records_ever: u64,
    /// From when a record ought to have been sent to its acknowledgement.
    pub from_intended: Latencies,
    /// From when its request was sent.
    pub from_sent: Latencies,
    /// The last acknowledgement.
    pub last_ack: Nanos,
    /// A sum over what was acknowledged.
    pub checksum: u64,
}

impl Tally {
    /// Adds what another thread has counted.
    pub fn merge(&mut self, other: &Tally) {
        self.records += other.records;
        self.batches += other.batches;
        self.requests += other.requests;
        self.wire_bytes += other.wire_bytes;
        self.records_ever += other.records_ever;
        self.from_intended.merge(&other.from_intended);
        self.from_sent.merge(&other.from_sent);
        self.last_ack = self.last_ack.max(other.last_ack);
        self.checksum = self.checksum.wrapping_add(other.checksum);
    }
}

/// One thread's load.
pub struct Load<'a> {
    plan: &'a Plan,
    producers: Vec<Producer>,
    links: Vec<Link>,
    poller: Poller,
    tally: Tally,
    answers: Vec<Answer>,
}

/// A connection of a producer to a leader.
///
/// Invariant: `in_flight` holds the requests that were built and not answered, oldest first.
struct Link {
    connection: Connection,
    address: SocketAddr,
    producer: usize,
    lane: Lane,
    in_flight: VecDeque<InFlight>,
    correlation_next: i32,
    flushed: Flushed,
}

struct InFlight {
    correlation: i32,
    sent_at: Nanos,
    wire_bytes: u64,
    portions: Vec<Portion>,
}

impl<'a> Load<'a> {
    /// A thread's load without producers.
    pub fn new(plan: &'a Plan) -> Result<Load<'a>, Error> {
        Ok(Load {
            plan,
            producers: Vec::new(),
            links: Vec::new(),
            poller: Poller::new().map_err(Error::io("creating an epoll instance"))?,
            tally: Tally::default(),
            answers: Vec::new(),
        })
    }

    /// Adds a producer with its connections: one for each leader, and the partitions it leads.
    pub fn add(
        &mut self,
        producer: Producer,
        lanes: impl IntoIterator<Item = (SocketAddr, Connection, Lane)>,
    ) -> Result<(), Error> {
        for (address, connection, lane) in lanes {
            let connecting = || format!("connecting to {address}");
            let token = self.links.len() as u64;
            self.poller
                .add(&connection, token, Interest::Read)
                .map_err(Error::io(connecting()))?;
            self.links.push(Link {
                connection,
                address,
                producer: self.producers.len(),
                lane,
                in_flight: VecDeque::new(),
                correlation_next: 0,
                flushed: Flushed::All,
            });
        }
        self.producers.push(producer);
        Ok(())
    }

    /// Sends until the feeds are used up, and waits for all answers.
    pub fn run(mut self) -> Result<Tally, Error> {
        let mut ready = Vec::new();
        self.plan.begin.since(Nanos::now()).pause();
        loop {
            let now = Nanos::now();
            self.plan.window.is_open(now);
            if now >= self.plan.stop_at {
                self.producers
                    .iter_mut()
                    .for_each(|producer| producer.feed.stop());
            }
            for link in 0..self.links.len() {
                self.send_due(link, now)?;
            }
            let Some(timeout) = self.sleep_for()? else {
                return Ok(self.tally);
            };
            let waiting = self.poller.wait(Some(timeout), &mut ready);
            waiting.map_err(Error::io("waiting for answers"))?;
            for event in &ready {
                let link = event.token as usize;
                if event.writable {
                    self.flush(link)?;
                }
                if event.readable {
                    self.receive(link)?;
                }
            }
        }
    }

    /// Sends what may go on this connection.
    fn send_due(&mut self, at: usize, now: Nanos) -> Result<(), Error> {
        while self.queue_due(at, now)? {
            self.flush(at)?;
        }
        Ok(())
    }

    /// Builds the requests that may go on this connection. Answers whether there was any.
    fn queue_due(&mut self, at: usize, now: Nanos) -> Result<bool, Error> {
        let plan = self.plan;
        let link = &mut self.links[at];
        let producer = &mut self.producers[link.producer];
        let mut any = false;
        while link.flushed == Flushed::All && link.in_flight.len() < plan.in_flight_max {
            let mut portions = Vec::new();
            producer
                .feed
                .take(&mut link.lane, now, &plan.limits, &mut portions);
            if portions.is_empty() {
                break;
            }
            any = true;
            let correlation = link.correlation_next;
            link.correlation_next = correlation.wrapping_add(1) & i32::MAX;
            let wire_bytes = request::queue(
                &mut link.connection,
                &plan.wire,
                &plan.template,
                producer,
                &portions,
                correlation,
            )?;
            let wire_bytes = wire_bytes as u64;
            link.in_flight.push_back(InFlight {
                correlation,
                sent_at: now,
                wire_bytes,
                portions,
            });
        }
        Ok(any)
    }

    /// Hands queued bytes to the kernel; watches for room if it does not take all.
    fn flush(&mut self, at: usize) -> Result<(), Error> {
        let link = &mut self.links[at];
        let failed = |error| Error::io(format!("sending to {}", link.address))(error);
        let flushed = link.connection.flush().map_err(failed)?;
        if flushed != link.flushed {
            link.flushed = flushed;
            let interest = match flushed {
                Flushed::All => Interest::Read,
                Flushed::Partly => Interest::ReadWrite,
            };
            let changed = self.poller.change(&link.connection, at as u64, interest);
            changed.map_err(Error::io("changing what is waited for"))?;
        }
        if flushed == Flushed::All && self.plan.wire.acks == 0 {
            let now = Nanos::now();
            while let Some(sent) = self.links[at].in_flight.pop_front() {
                self.count(&sent, at, now);
            }
        }
        Ok(())
    }

    fn receive(&mut self, at: usize) -> Result<(), Error> {
        let address = self.links[at].address;
        let failed = |error| Error::io(format!("receiving from {address}"))(error);
        match self.links[at].connection.receive().map_err(failed)? {
            Received::Some => {}
            Received::Nothing => return Ok(()),
            Received::Closed => {
                return Err(Error::Broken(format!("{address} closed the connection")));
            }
        }
        let now = Nanos::now();
        loop {
            let link = &mut self.links[at];
            let Some(frame) = link.connection.next_frame().map_err(failed)? else {
                return self.send_due(at, now);
            };
            let Some(sent) = link.in_flight.pop_front() else {
                return Err(Error::Broken(format!(
                    "{address} answered what nobody asked"
                )));
            };
            request::read_answer(frame, &self.plan.wire, sent.correlation, &mut self.answers)?;
            self.check(&sent)?;
            self.count(&sent, at, now);
        }
    }

    /// Every portion must be answered, with offsets that nobody else was given.
    fn check(&self, sent: &InFlight) -> Result<(), Error> {
        if self.plan.wire.is_raw() {
            return Ok(());
        }
        for portion in &sent.portions {
            let partition = portion.partition;
            let answer = self
                .answers
                .iter()
                .find(|answer| answer.partition == partition);
            let Some(answer) = answer else {
                let said = format!("partition {partition} is missing in a Produce answer");
                return Err(Error::Broken(said));
            };
            Error::refused(
                || format!("producing to partition {partition}"),
                answer.error_code,
            )?;
            let mut tiling = self.plan.tilings[partition]
                .lock()
                .expect("no thread panicked");
            if let Err(overlap) = tiling.place(answer.base_offset, portion.records) {
                return Err(Error::Broken(format!(
                    "partition {partition} acknowledged offset {} after all below {}",
                    overlap.base, overlap.expected_at_least
                )));
            }
        }
        Ok(())
    }

    fn count(&mut self, sent: &InFlight, at: usize, now: Nanos) {
        let tally = &mut self.tally;
        tally.last_ack = now;
        let opens_at = self.plan.window.opens_at();
        let within = self.plan.window.is_open(now);
        if within {
            tally.requests += 1;
            tally.wire_bytes += sent.wire_bytes;
            tally.batches += sent.portions.len() as u64;
        }
        let feed = &self.producers[self.links[at].producer].feed;
        for portion in &sent.portions {
            let records = u64::from(portion.records);
            tally.records_ever += records;
            tally.checksum = tally
                .checksum
                .wrapping_add(checksum_of(&self.plan.template, portion));
            if within {
                tally.records += records;
            }
            if sent.sent_at >= opens_at {
                tally
                    .from_sent
                    .record_many(now.since(sent.sent_at), records);
            }
            for record in 0..records {
                match feed.intended(portion.first_local + record * portion.stride) {
                    None => break,
                    Some(intended) if intended < opens_at => {}
                    Some(intended) => tally.from_intended.record(now.since(intended)),
                }
            }
        }
    }

    /// How long to wait for the next event; none if all is done.
    fn sleep_for(&self) -> Result<Option<Nanos>, Error> {
        let now = Nanos::now();
        let mut wake_at = now.plus(WAKE_AT_LEAST);
        let mut all_done = self
            .producers
            .iter()
            .all(|producer| producer.feed.used_up());
        for link in &self.links {
            if let Some(oldest) = link.in_flight.front() {
                all_done = false;
                if now.since(oldest.sent_at) > self.plan.timeout {
                    let doing = format!("producing to {}", link.address);
                    let seconds = self.plan.timeout.seconds();
                    return Err(Error::TimedOut { doing, seconds });
                }
            }
            if link.flushed == Flushed::All && link.in_flight.len() < self.plan.in_flight_max {
                let feed = &self.producers[link.producer].feed;
                let ready_at = feed.ready_at(&link.lane, &self.plan.limits);
                wake_at = wake_at.min(ready_at.unwrap_or(wake_at));
            }
        }
        Ok((!all_done).then(|| wake_at.since(now)))
    }
}

/// What a portion adds to the checksum: which records were acknowledged where, in any order.
fn checksum_of(template: &BatchTemplate, portion: &Portion) -> u64 {
    let payload = u64::from(template.payload_crc(portion.records));
    let place = (portion.partition as u64) << 32 | u64::from(portion.records);
    (payload << 32 | payload).wrapping_mul(place | 1)
}
