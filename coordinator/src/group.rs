//! The group coordinator: the groups whose ids belong to one partition of `__consumer_offsets`,
//! with the offsets they committed.
//!
//! Behaves as Kafka 3.9's coordinator of classic groups. Must not know which shard or partition it
//! is for, nor which topics exist: who asks has looked that up.
//! Invariants: what is in memory of offsets is what a replay of the log gives; a group is there as
//! long as it has members, offsets, or something under way.

mod commit;
mod fetch_offsets;
pub mod offsets;
mod per_partition;
mod record;
mod replay;
pub mod request;
mod settings;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::rc::Rc;

use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{Offset, ProducerId, TimestampMs};

use crate::machine::{
    Action, Append, BatchOrigin, Machine, Producer, Record, ReplayError, Token, WriteId,
};
use offsets::Offsets;
use request::{Reply, Request};
pub use settings::Settings;
use write::Write;

/// See the module.
pub struct Groups {
    settings: Settings,
    groups: BTreeMap<Rc<str>, Group>,
    /// The groups in which a producer has offsets in an open transaction.
    transactions: BTreeMap<ProducerId, BTreeSet<Rc<str>>>,
    /// What the appends under way are for.
    writes: HashMap<WriteId, Write>,
    next_write: u64,
}

/// One group.
#[derive(Default)]
struct Group {
    offsets: Offsets,
}

type Actions = Vec<Action<Groups>>;

impl Groups {
    /// No groups.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            groups: BTreeMap::new(),
            transactions: BTreeMap::new(),
            writes: HashMap::new(),
            next_write: 0,
        }
    }

    /// The number of the next append.
    fn take_write_id(&mut self) -> WriteId {
        self.next_write += 1;
        WriteId(self.next_write)
    }

    /// Has records appended.
    fn append(
        &mut self,
        write: WriteId,
        records: Vec<Record>,
        producer: Option<Producer>,
        stands_for: Write,
        out: &mut Actions,
    ) {
        self.writes.insert(write, stands_for);
        out.push(Action::Append(Append {
            write,
            records,
            producer,
        }));
    }
}

impl Machine for Groups {
    type Request = Request;
    type Reply = Reply;
    type Effect = Infallible;

    fn replay(
        &mut self,
        origin: &BatchOrigin,
        offset: Offset,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), ReplayError> {
        self.replay_record(origin, offset, key, value)
    }

    fn replay_marker(&mut self, producer: Producer, result: TransactionResult, _offset: Offset) {
        self.end_transaction(producer.id, result);
    }

    fn on_loaded(&mut self, _now: TimestampMs, _out: &mut Actions) {}

    fn on_request(&mut self, now: TimestampMs, token: Token, request: Request, out: &mut Actions) {
        match request {
            Request::Commit(request) => self.commit(now, token, *request, out),
            Request::Fetch(request) => {
                let offsets = self.fetch_offsets(&request);
                out.push(Action::Reply(token, Reply::Fetch(offsets)));
            }
        }
    }

    fn on_appended(
        &mut self,
        _now: TimestampMs,
        write: WriteId,
        result: Result<Offset, ErrorCode>,
        out: &mut Actions,
    ) {
        let stood_for = self.writes.remove(&write);
        match stood_for.expect("an append is reported once") {
            Write::Commit(commit) => self.finish_commit(write, commit, result, out),
        }
    }

    fn on_time(&mut self, _now: TimestampMs, _out: &mut Actions) {}

    fn next_deadline(&self) -> Option<TimestampMs> {
        None
    }

    fn on_unload(&mut self, _out: &mut Actions) {
        assert!(self.writes.is_empty(), "nothing is under way");
    }
}
