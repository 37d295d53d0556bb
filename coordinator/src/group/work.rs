//! What a group needs while it deals with one event: the time, the deadlines, the log, and where
//! answers go.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use protocol::error::ErrorCode;
use protocol::ids::TimestampMs;
use protocol::messages::join_group::JoinGroupResponse;
use protocol::messages::sync_group::SyncGroupResponse;

use super::alarm::{Alarm, Alarms};
use super::large_commit::LargeCommits;
use super::member::Member;
use super::request::Reply;
use super::write::Write;
use super::{Actions, Settings};
use crate::machine::{Action, Append, Producer, Record, Token, WriteId};

/// Whom a deadline concerns.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// A member of a group is given up.
    Session(Rc<str>, Rc<str>),
    /// A member does not come back with the id it was given.
    Pending(Rc<str>, Rc<str>),
    /// A group stops to wait for members to join.
    Join(Rc<str>),
    /// A group stops to wait for members to sync.
    Sync(Rc<str>),
    /// Offsets that are too old are looked for.
    Retention,
    /// A large commit goes on.
    LargeCommit,
}

/// The appends under way.
#[derive(Default)]
pub struct Writes {
    under_way: HashMap<WriteId, Write>,
    last: u64,
}

impl Writes {
    /// The number of the next append.
    pub fn next_id(&mut self) -> WriteId {
        self.last += 1;
        WriteId(self.last)
    }

    /// What an append was for.
    pub fn finish(&mut self, write: WriteId) -> Write {
        let stood_for = self.under_way.remove(&write);
        stood_for.expect("an append is reported once")
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }
}

/// See the module.
pub struct Work<'a> {
    /// The time.
    pub now: TimestampMs,
    /// What the broker's configuration says.
    pub settings: &'a Settings,
    /// All deadlines.
    pub alarms: &'a mut Alarms<Timer>,
    /// The appends under way.
    pub writes: &'a mut Writes,
    /// The commits that are dealt with in portions.
    pub large_commits: &'a mut LargeCommits,
    /// What is to be done.
    pub out: &'a mut Actions,
}

impl Work<'_> {
    /// Answers a request.
    pub fn reply(&mut self, token: Token, reply: Reply) {
        self.out.push(Action::Reply(token, reply));
    }

    /// Answers a JoinGroup with an error, and the id by which the member is to come back.
    pub fn refuse_join(&mut self, token: Token, member: &str, error: ErrorCode) {
        let response = JoinGroupResponse {
            error_code: error.code(),
            generation_id: -1,
            member_id: member.to_owned().into(),
            ..Default::default()
        };
        self.reply(token, Reply::Join(response));
    }

    /// Answers a SyncGroup with an error.
    pub fn refuse_sync(&mut self, token: Token, error: ErrorCode) {
        let response = SyncGroupResponse {
            error_code: error.code(),
            ..Default::default()
        };
        self.reply(token, Reply::Sync(response));
    }

    /// The member is alive: its session begins anew.
    pub fn renew_session(&mut self, group: &Rc<str>, id: &Rc<str>, member: &mut Member) {
        let timeout = i64::from(member.session_timeout_ms.max(1));
        self.expire_session_in(group, id, &mut member.session, timeout);
    }

    /// The member is gone.
    pub fn forget_session(&mut self, group: &Rc<str>, id: &Rc<str>, session: &mut Alarm) {
        let timer = Timer::Session(group.clone(), id.clone());
        self.alarms.forget(session, timer);
    }

    /// The member that was to come back has, or need not.
    pub fn forget_pending(&mut self, group: &Rc<str>, id: &Rc<str>, pending: &mut Alarm) {
        let timer = Timer::Pending(group.clone(), id.clone());
        self.alarms.forget(pending, timer);
    }

    /// The member is given up after this time.
    pub fn expire_session_in(
        &mut self,
        group: &Rc<str>,
        id: &Rc<str>,
        session: &mut Alarm,
        timeout_ms: i64,
    ) {
        let timer = Timer::Session(group.clone(), id.clone());
        self.alarms.set(session, self.now + timeout_ms, timer);
    }

    /// Has records appended.
    pub fn append(
        &mut self,
        write: WriteId,
        records: Vec<Record>,
        producer: Option<Producer>,
        stands_for: Write,
    ) {
        self.writes.under_way.insert(write, stands_for);
        self.out.push(Action::Append(Append {
            write,
            records,
            producer,
        }));
    }
}

/// Whole milliseconds.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
