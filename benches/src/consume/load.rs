//! One thread of consumers: each has a connection to every leader, with one Fetch in flight on it,
//! as Kafka's own consumers do.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::batch::BatchView;

use crate::Error;
use crate::clock::Nanos;
use crate::connection::{Connection, Piece, Received};
use crate::consume::request::{self, Brought, Cursor, Session, Wire};
use crate::latency::Latencies;
use crate::poller::{Interest, Poller};
use crate::window::Window;

/// The loop wakes at least this often to see whether it is to end, or answers fail to come.
const WAKE_AT_LEAST: Nanos = Nanos(100_000_000);

/// What all threads of a run share.
pub struct Plan<'a> {
    /// How requests are written.
    pub wire: Wire,
    /// The measured part of the run.
    pub window: &'a Window,
    /// How long an answer may take.
    pub timeout: Nanos,
    /// When all threads together have so many records, they end; cursors at their ends too.
    pub enough: &'a AtomicU64,
    /// Records that all threads have so far.
    pub so_far: &'a AtomicU64,
}

/// What a thread has counted within the window.
#[derive(Clone, Default)]
pub struct Tally {
    /// What was fetched.
    pub brought: Brought,
    /// Answers.
    pub fetches: u64,
    /// From request to answer, for answers that brought something.
    pub from_sent: Latencies,
    /// When something last came.
    pub last_at: Nanos,
}

impl Tally {
    /// Adds what another thread has counted.
    pub fn merge(&mut self, other: &Tally) {
        self.add(&other.brought);
        self.fetches += other.fetches;
        self.from_sent.merge(&other.from_sent);
        self.last_at = self.last_at.max(other.last_at);
    }

    fn add(&mut self, brought: &Brought) {
        self.brought.records += brought.records;
        self.brought.batches += brought.batches;
        self.brought.bytes += brought.bytes;
        self.brought.checksum = self.brought.checksum.wrapping_add(brought.checksum);
    }
}

/// One thread's consumers.
pub struct Load<'a> {
    plan: &'a Plan<'a>,
    links: Vec<Link>,
    poller: Poller,
    tally: Tally,
}

struct Link {
    connection: Connection,
    address: SocketAddr,
    cursors: Vec<Cursor>,
    session: Session,
    correlation: i32,
    sent_at: Option<Nanos>,
}

impl<'a> Load<'a> {
    /// A thread without consumers.
    pub fn new(plan: &'a Plan<'a>) -> Result<Load<'a>, Error> {
        Ok(Load {
            plan,
            links: Vec::new(),
            poller: Poller::new().map_err(Error::io("creating an epoll instance"))?,
            tally: Tally::default(),
        })
    }

    /// Adds a consumer's connection to one leader.
    pub fn add(
        &mut self,
        address: SocketAddr,
        cursors: Vec<Cursor>,
        session: Session,
    ) -> Result<(), Error> {
        let connecting = || format!("connecting to {address}");
        let connection = Connection::open(address).map_err(Error::io(connecting()))?;
        let token = self.links.len() as u64;
        self.poller
            .add(&connection, token, Interest::Read)
            .map_err(Error::io(connecting()))?;
        self.links.push(Link {
            connection,
            address,
            cursors,
            session,
            correlation: 0,
            sent_at: None,
        });
        Ok(())
    }

    /// Fetches until every cursor is at its end or there is enough, and shows each batch with the
    /// time at which it came.
    pub fn run(
        mut self,
        mut seen: impl FnMut(&BatchView<'_>, Nanos) -> Result<(), Error>,
    ) -> Result<Tally, Error> {
        let mut ready = Vec::new();
        for link in 0..self.links.len() {
            self.fetch(link)?;
        }
        while !self.is_done() {
            let waiting = self.poller.wait(Some(WAKE_AT_LEAST), &mut ready);
            waiting.map_err(Error::io("waiting for answers"))?;
            for event in &ready {
                self.receive(event.token as usize, &mut seen)?;
            }
            self.look_for_silence()?;
        }
        Ok(self.tally)
    }

    fn is_done(&self) -> bool {
        let enough = self.plan.enough.load(Ordering::Acquire);
        self.plan.so_far.load(Ordering::Acquire) >= enough
            || self.links.iter().all(|link| link.sent_at.is_none())
    }

    /// Asks for what a connection's cursors want next, if they want anything.
    fn fetch(&mut self, at: usize) -> Result<(), Error> {
        let link = &mut self.links[at];
        if link.cursors.iter().all(|cursor| cursor.next >= cursor.end) {
            return Ok(());
        }
        link.correlation = (link.correlation + 1) & i32::MAX;
        let frame = request::write(
            &self.plan.wire,
            &link.cursors,
            &mut link.session,
            link.correlation,
        )?;
        link.connection.queue(Piece::Owned(frame.bytes));
        // A request is small and only one is under way, so it always fits into the socket.
        let sending = || format!("sending to {}", link.address);
        link.connection.flush().map_err(Error::io(sending()))?;
        link.sent_at = Some(Nanos::now());
        Ok(())
    }

    fn receive(
        &mut self,
        at: usize,
        seen: &mut impl FnMut(&BatchView<'_>, Nanos) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let link = &mut self.links[at];
        let receiving = || format!("receiving from {}", link.address);
        match link.connection.receive().map_err(Error::io(receiving()))? {
            Received::Some => {}
            Received::Nothing => return Ok(()),
            Received::Closed => {
                return Err(Error::Broken(format!(
                    "{} closed the connection",
                    link.address
                )));
            }
        }
        let Some(frame) = link
            .connection
            .next_frame()
            .map_err(Error::io(receiving()))?
        else {
            return Ok(());
        };
        let now = Nanos::now();
        let sent_at = link
            .sent_at
            .take()
            .ok_or_else(|| Error::Broken(format!("{} answered what nobody asked", link.address)))?;
        let (cursors, session) = (&mut link.cursors, &mut link.session);
        let wire = &self.plan.wire;
        let brought =
            request::read_answer(frame, wire, link.correlation, cursors, session, |batch| {
                seen(batch, now)
            })?;
        // Another partition comes first the next time, in case the answer's size is the limit.
        cursors.rotate_left(1);
        self.plan
            .so_far
            .fetch_add(brought.records, Ordering::AcqRel);
        if self.plan.window.is_open(now) {
            self.tally.fetches += 1;
            self.tally.add(&brought);
            if brought.records > 0 {
                self.tally.last_at = now;
                self.tally.from_sent.record(now.since(sent_at));
            }
        }
        self.fetch(at)
    }

    fn look_for_silence(&self) -> Result<(), Error> {
        let now = Nanos::now();
        for link in &self.links {
            if link
                .sent_at
                .is_some_and(|sent_at| now.since(sent_at) > self.plan.timeout)
            {
                let doing = format!("fetching from {}", link.address);
                return Err(Error::TimedOut {
                    doing,
                    seconds: self.plan.timeout.seconds(),
                });
            }
        }
        Ok(())
    }
}
