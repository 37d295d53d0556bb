//! The group coordinator: the groups whose ids belong to one partition of `__consumer_offsets`,
//! with the offsets they committed.
//!
//! Behaves as Kafka 3.9's coordinator of classic groups. Must not know which shard or partition it
//! is for, nor which topics exist: who asks has looked that up.
//! Invariants: what is in memory of offsets is what a replay of the log gives; at most one
//! generation of a group is in force, and only its members are heard; whoever waits is a member's
//! JoinGroup or SyncGroup, or waits for an append.

mod alarm;
mod commit;
mod describe;
mod fetch_offsets;
mod join;
mod large_commit;
mod liveness;
mod member;
mod membership;
mod offsets;
mod per_partition;
mod rebalance;
mod record;
mod removal;
mod replay;
pub mod request;
mod settings;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod work;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::rc::Rc;

use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{Offset, ProducerId, TimestampMs};

use crate::machine::{Action, BatchOrigin, Machine, Producer, ReplayError, Token, WriteId};
use alarm::{Alarm, Alarms};
use large_commit::LargeCommits;
use membership::Group;
use rebalance::{on_join_alarm, on_sync_alarm};
use request::{Reply, Request};
pub use settings::Settings;
use work::{Timer, Work, Writes};
use write::Write;

/// See the module.
pub struct Groups {
    settings: Settings,
    groups: BTreeMap<Rc<str>, Group>,
    /// The groups in which a producer has offsets in an open transaction.
    transactions: BTreeMap<ProducerId, BTreeSet<Rc<str>>>,
    writes: Writes,
    alarms: Alarms<Timer>,
    large_commits: LargeCommits,
    /// When offsets that are too old are looked for.
    retention: Alarm,
    /// Where that goes on, if it is under way.
    retention_at: Option<removal::Place>,
}

type Actions = Vec<Action<Groups>>;

impl Groups {
    /// No groups.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            groups: BTreeMap::new(),
            transactions: BTreeMap::new(),
            writes: Writes::default(),
            alarms: Alarms::default(),
            large_commits: LargeCommits::default(),
            retention: Alarm::default(),
            retention_at: None,
        }
    }

    /// The groups, and what is needed to work on them.
    fn at_work<'a>(
        &'a mut self,
        now: TimestampMs,
        out: &'a mut Actions,
    ) -> (&'a mut BTreeMap<Rc<str>, Group>, Work<'a>) {
        let work = Work {
            now,
            settings: &self.settings,
            alarms: &mut self.alarms,
            writes: &mut self.writes,
            large_commits: &mut self.large_commits,
            out,
        };
        (&mut self.groups, work)
    }

    fn on_timer(&mut self, entry: TimestampMs, now: TimestampMs, timer: Timer, out: &mut Actions) {
        match timer {
            Timer::Session(id, member) => self.on_session_alarm(entry, now, (id, member), out),
            Timer::Pending(id, member) => self.on_pending_alarm(entry, now, (id, member), out),
            Timer::Join(id) => {
                let (groups, mut work) = self.at_work(now, out);
                if let Some(group) = groups.get_mut(&id) {
                    let timer = Timer::Join(id.clone());
                    if work.alarms.rings(&mut group.join_alarm, entry, now, timer) {
                        on_join_alarm(&id, group, &mut work);
                    }
                }
            }
            Timer::Sync(id) => {
                let (groups, mut work) = self.at_work(now, out);
                if let Some(group) = groups.get_mut(&id) {
                    let timer = Timer::Sync(id.clone());
                    if work.alarms.rings(&mut group.sync_alarm, entry, now, timer) {
                        on_sync_alarm(&id, group, &mut work);
                    }
                }
            }
            Timer::Retention => {
                let alarm = &mut self.retention;
                if self.alarms.rings(alarm, entry, now, Timer::Retention) {
                    self.look_for_expired(now, out);
                }
            }
            Timer::LargeCommit => self.on_large_commit_alarm(entry, now, out),
        }
    }
}

/// A group with its own id.
fn entry<'a>(
    groups: &'a mut BTreeMap<Rc<str>, Group>,
    id: &str,
) -> Option<(Rc<str>, &'a mut Group)> {
    let id = groups.get_key_value(id)?.0.clone();
    let group = groups.get_mut(&id)?;
    Some((id, group))
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

    fn on_loaded(&mut self, now: TimestampMs, out: &mut Actions) {
        self.begin(now, out);
    }

    fn on_request(&mut self, now: TimestampMs, token: Token, request: Request, out: &mut Actions) {
        let reply = match request {
            Request::Join(join) => return self.join(now, token, *join, out),
            Request::Sync(request) => return self.sync(now, token, *request, out),
            Request::Leave(request) => return self.leave(now, token, *request, out),
            Request::Commit(commit) => return self.commit(now, token, *commit, out),
            Request::TxnCommit(request) => {
                return self.commit_in_transaction(now, token, &request, out);
            }
            Request::Delete(id) => return self.delete(now, token, &id, out),
            Request::DeleteOffsets(request) => {
                return self.delete_offsets(now, token, &request, out);
            }
            Request::Heartbeat(request) => Reply::Heartbeat(self.heartbeat(now, &request, out)),
            Request::Fetch(request) => Reply::Fetch(self.fetch_offsets(&request)),
            Request::List(filter, after) => Reply::List(self.list(&filter, after.as_deref())),
            Request::Describe(id) => Reply::Describe(self.describe(&id)),
            Request::TopicsDeleted(topics) => {
                self.topics_deleted(now, &topics, out);
                Reply::TopicsDeleted
            }
        };
        out.push(Action::Reply(token, reply));
    }

    fn on_appended(
        &mut self,
        now: TimestampMs,
        write: WriteId,
        result: Result<Offset, ErrorCode>,
        out: &mut Actions,
    ) {
        let done = result.map(|_| ());
        match self.writes.finish(write) {
            Write::Commit(commit) => self.finish_commit(now, write, commit, result, out),
            Write::Assignment(assignment) => self.finish_assignment(now, assignment, done, out),
            Write::EmptyGeneration => {}
            Write::StaticMember(change) => self.finish_static_member(now, *change, done, out),
            Write::Removal(removal) => self.finish_removal(now, removal, result, out),
        }
    }

    fn on_time(&mut self, now: TimestampMs, out: &mut Actions) {
        while let Some((entry, timer)) = self.alarms.pop(now) {
            self.on_timer(entry, now, timer, out);
        }
    }

    fn next_deadline(&self) -> Option<TimestampMs> {
        self.alarms.next()
    }

    fn on_unload(&mut self, out: &mut Actions) {
        assert!(self.writes.is_empty(), "nothing is under way");
        self.give_up_large_commits(out);
        let (groups, mut work) = self.at_work(TimestampMs::NONE, out);
        for group in groups.values_mut() {
            for member in group.member_ids() {
                if let Some(token) = group.set_joining(&member, None) {
                    work.refuse_join(token, &member, ErrorCode::NotCoordinator);
                }
                let state = group.member_mut(&member).expect("it is a member");
                if let Some(token) = state.syncing.take() {
                    work.refuse_sync(token, ErrorCode::NotCoordinator);
                }
            }
        }
    }
}
