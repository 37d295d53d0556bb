//! All transactional ids of one partition of `__transaction_state`, the appends under way, and who
//! waits for them.
//!
//! Invariants: an id has at most one change under way; a standing holds once its record is in the
//! log, and not before; what may be in the log though its append failed is appended until that
//! succeeds, so that the log never says anything else than what was thought to hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{Offset, TimestampMs};

use super::metadata::{Pending, Standing, Transaction};
use super::requests::Initialising;
use super::state::State;
use super::timers::Timers;
use super::{MarkersId, Reply, Request, Settings, record};
use crate::machine::{
    Action, Append, BatchOrigin, Machine, Producer, Record, ReplayError, Token, WriteId,
};

/// What is put out.
pub(super) type Out = Vec<Action<Coordinator>>;

/// See the module. Made for one load of a partition.
#[derive(Debug)]
pub struct Coordinator {
    pub(super) settings: Settings,
    /// In order, so that what is done for all of them is done in the same order everywhere.
    pub(super) transactions: BTreeMap<Arc<str>, Transaction>,
    /// Those with a transaction going on: few, of very many, and the only ones to run out of time.
    pub(super) ongoing: BTreeSet<Arc<str>>,
    /// Appends under way.
    writes: HashMap<WriteId, Write>,
    /// Requests that wait for a producer id.
    pub(super) initialising: HashMap<Token, Initialising>,
    /// Markers under way, with the id whose transaction they end.
    pub(super) marking: HashMap<MarkersId, Arc<str>>,
    pub(super) timers: Timers,
    next_id: u64,
}

/// What an append makes true.
#[derive(Debug)]
pub(super) enum Write {
    /// The next standing of an id.
    Standing(Move),
    /// These ids are forgotten.
    Tombstones(Vec<Arc<str>>),
    /// The same: an attempt to record it may have succeeded.
    TombstonesInDoubt(Vec<Arc<str>>),
}

/// An id's way to its next standing.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) transactional_id: Arc<str>,
    pub(super) to: Standing,
    pub(super) then: Then,
}

/// What comes after a move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Then {
    /// InitProducerId is answered.
    Initialised(Token),
    /// AddPartitionsToTxn or AddOffsetsToTxn is answered.
    Added(Token),
    /// The decision is answered, and markers are sent.
    Decided(DecidedBy),
    /// Nobody waits for the end of a transaction.
    Completed,
    /// Whoever waited has been answered.
    Nothing,
}

/// Who decided how a transaction ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DecidedBy {
    /// Its producer.
    Producer(Token),
    /// A producer that takes its place, and has to ask again.
    Successor(Token),
    /// Time, or an attempt to record the decision whose asker has been answered.
    Nobody,
    /// Time, which fences the producer.
    Time,
}

impl Coordinator {
    /// A coordinator that knows no ids yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            transactions: BTreeMap::new(),
            ongoing: BTreeSet::new(),
            writes: HashMap::new(),
            initialising: HashMap::new(),
            marking: HashMap::new(),
            timers: Timers::default(),
            next_id: 0,
        }
    }

    /// Begins to record a move.
    pub(super) fn record(&mut self, to_make: Move, out: &mut Out) {
        let id = &to_make.transactional_id;
        let transaction = self.transactions.get_mut(id).expect("only known ids move");
        transaction.pending = Some(Pending::Write);
        self.append(Write::Standing(to_make), out);
    }

    pub(super) fn append(&mut self, makes: Write, out: &mut Out) {
        let write = WriteId(self.next_id());
        let records = makes.records();
        self.writes.insert(write, makes);
        out.push(Action::Append(Append {
            write,
            records,
            producer: None,
        }));
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn recorded(&mut self, now: TimestampMs, made: Move, out: &mut Out) {
        let Move {
            transactional_id: id,
            to,
            then,
        } = made;
        let transaction = self.transactions.get_mut(&id).expect("it is moving");
        let producer = to.producer;
        transaction.standing = to;
        transaction.pending = None;
        match transaction.standing.state {
            State::Ongoing => self.ongoing.insert(id.clone()),
            _ => self.ongoing.remove(&id),
        };
        match then {
            Then::Initialised(token) => out.push(Action::Reply(token, Reply::Producer(producer))),
            Then::Added(token) => out.push(Action::Reply(token, Reply::Done)),
            Then::Completed => transaction.failed_fence = false,
            Then::Nothing => {}
            Then::Decided(by) => {
                match by {
                    DecidedBy::Producer(token) => out.push(Action::Reply(token, Reply::Done)),
                    DecidedBy::Successor(token) => {
                        refuse(token, ErrorCode::ConcurrentTransactions, out);
                    }
                    DecidedBy::Nobody | DecidedBy::Time => {}
                }
                self.send_markers(now, &id, out);
            }
        }
    }

    fn not_recorded(
        &mut self,
        now: TimestampMs,
        mut failed: Move,
        error: ErrorCode,
        out: &mut Out,
    ) {
        if let Some(token) = failed.then.token() {
            refuse(token, told(error), out);
        }
        if failed.then.is_certain() || may_be_stored(error) {
            failed.then = match failed.then {
                Then::Initialised(_) | Then::Added(_) | Then::Nothing => Then::Nothing,
                Then::Decided(_) => Then::Decided(DecidedBy::Nobody),
                Then::Completed => Then::Completed,
            };
            return self.timers.write_later(now, Write::Standing(failed));
        }
        let id = &failed.transactional_id;
        let transaction = self.transactions.get_mut(id).expect("it is moving");
        transaction.pending = None;
        if let Then::Decided(by) = failed.then {
            transaction.failed_fence |= by.fences();
        }
    }

    fn forgotten(&mut self, ids: &[Arc<str>], result: Result<Offset, ErrorCode>) {
        for id in ids {
            if result.is_ok() {
                self.transactions.remove(id);
            } else if let Some(transaction) = self.transactions.get_mut(id) {
                transaction.pending = None;
            }
        }
    }
}

impl Machine for Coordinator {
    type Request = Request;
    type Reply = Reply;
    type Effect = super::Effect;

    fn replay(
        &mut self,
        _origin: &BatchOrigin,
        _offset: Offset,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), ReplayError> {
        match record::decode(key, value)? {
            (id, None) => self.transactions.remove(&id),
            (id, Some(transaction)) => self.transactions.insert(id, transaction),
        };
        Ok(())
    }

    /// There are none: nothing of this log is part of a transaction.
    fn replay_marker(&mut self, _producer: Producer, _result: TransactionResult, _offset: Offset) {}

    fn on_loaded(&mut self, now: TimestampMs, out: &mut Out) {
        self.timers.start(now, &self.settings);
        let all = self.transactions.iter();
        let ongoing = all.filter(|(_, of)| of.standing.state == State::Ongoing);
        self.ongoing = ongoing.map(|(id, _)| id.clone()).collect();
        let decided = |(id, of): (&Arc<str>, &Transaction)| {
            of.standing.result().is_some().then(|| id.clone())
        };
        let decided: Vec<_> = self.transactions.iter().filter_map(decided).collect();
        for id in decided {
            self.send_markers(now, &id, out);
        }
    }

    fn on_request(&mut self, now: TimestampMs, token: Token, request: Request, out: &mut Out) {
        self.serve(now, token, request, out);
    }

    fn on_appended(
        &mut self,
        now: TimestampMs,
        write: WriteId,
        result: Result<Offset, ErrorCode>,
        out: &mut Out,
    ) {
        let write = self.writes.remove(&write).expect("an append ends once");
        match (write, result) {
            (Write::Standing(made), Ok(_)) => self.recorded(now, made, out),
            (Write::Standing(failed), Err(error)) => self.not_recorded(now, failed, error, out),
            (Write::Tombstones(ids), Err(error)) if may_be_stored(error) => {
                self.timers.write_later(now, Write::TombstonesInDoubt(ids));
            }
            (Write::TombstonesInDoubt(ids), Err(_)) => {
                self.timers.write_later(now, Write::TombstonesInDoubt(ids));
            }
            (Write::Tombstones(ids) | Write::TombstonesInDoubt(ids), result) => {
                self.forgotten(&ids, result);
            }
        }
    }

    fn on_time(&mut self, now: TimestampMs, out: &mut Out) {
        self.look_at_the_clock(now, out);
    }

    fn next_deadline(&self) -> Option<TimestampMs> {
        self.timers.next_deadline(!self.transactions.is_empty())
    }

    fn on_unload(&mut self, out: &mut Out) {
        let tokens = self.writes.values().filter_map(|write| match write {
            Write::Standing(under_way) => under_way.then.token(),
            Write::Tombstones(_) | Write::TombstonesInDoubt(_) => None,
        });
        let mut tokens: Vec<_> = tokens.chain(self.initialising.keys().copied()).collect();
        tokens.sort_unstable();
        for token in tokens {
            refuse(token, ErrorCode::NotCoordinator, out);
        }
        *self = Self::new(self.settings.clone());
    }
}

impl Write {
    fn records(&self) -> Vec<Record> {
        match self {
            Write::Standing(to_make) => vec![record::of(&to_make.transactional_id, &to_make.to)],
            Write::Tombstones(ids) | Write::TombstonesInDoubt(ids) => {
                ids.iter().map(|id| record::tombstone(id)).collect()
            }
        }
    }
}

impl Then {
    /// Who waits for it.
    fn token(self) -> Option<Token> {
        match self {
            Then::Initialised(token)
            | Then::Added(token)
            | Then::Decided(DecidedBy::Producer(token) | DecidedBy::Successor(token)) => {
                Some(token)
            }
            Then::Decided(DecidedBy::Nobody | DecidedBy::Time)
            | Then::Completed
            | Then::Nothing => None,
        }
    }

    /// Whether the move has to be made: there is no other way, or an attempt to record it may have
    /// succeeded.
    fn is_certain(self) -> bool {
        matches!(
            self,
            Then::Completed | Then::Nothing | Then::Decided(DecidedBy::Nobody)
        )
    }
}

impl DecidedBy {
    /// Whether the producer was given a new epoch by it.
    fn fences(self) -> bool {
        matches!(self, DecidedBy::Successor(_) | DecidedBy::Time)
    }
}

pub(super) fn refuse(token: Token, error: ErrorCode, out: &mut Out) {
    out.push(Action::Reply(token, Reply::Refused(error)));
}

/// Whether the records may be in the log, now or later, though the append failed.
fn may_be_stored(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::RequestTimedOut | ErrorCode::NotEnoughReplicasAfterAppend
    )
}

/// What a client is told when an append failed.
fn told(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        other => other,
    }
}
