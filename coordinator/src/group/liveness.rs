//! Heartbeat and LeaveGroup, and what happens to members who do neither.

use std::borrow::Cow;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::ids::TimestampMs;
use protocol::messages::heartbeat::HeartbeatRequest;
use protocol::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};

use super::join::validate_member;
use super::membership::Group;
use super::rebalance::{complete_if_all_joined, leave};
use super::request::Reply;
use super::state::State;
use super::work::{Timer, Work};
use super::{Actions, Groups};
use crate::machine::Token;

impl Groups {
    /// A member is alive.
    pub(super) fn heartbeat(
        &mut self,
        now: TimestampMs,
        request: &HeartbeatRequest<'_>,
        out: &mut Actions,
    ) -> ErrorCode {
        let (groups, mut work) = self.at_work(now, out);
        let Some((id, group)) = super::entry(groups, &request.group_id) else {
            return ErrorCode::UnknownMemberId;
        };
        if group.state() == State::Dead {
            return ErrorCode::CoordinatorNotAvailable;
        }
        let instance = request.group_instance_id.as_deref();
        if let Err(error) = validate_member(group, &request.member_id, instance) {
            return error;
        }
        if request.generation_id != group.generation {
            return ErrorCode::IllegalGeneration;
        }
        renew(&id, group, &request.member_id, &mut work);
        match group.state() {
            State::PreparingRebalance => ErrorCode::RebalanceInProgress,
            State::CompletingRebalance | State::Stable => ErrorCode::None,
            State::Empty | State::Dead => ErrorCode::UnknownMemberId,
        }
    }

    /// Members leave, or are removed by an administrator, who names static members without their
    /// ids.
    pub(super) fn leave(
        &mut self,
        now: TimestampMs,
        token: Token,
        request: LeaveGroupRequest<'static>,
        out: &mut Actions,
    ) {
        let (groups, mut work) = self.at_work(now, out);
        let mut found = super::entry(groups, &request.group_id);
        if matches!(&found, Some((_, group)) if group.state() == State::Dead) {
            let response = LeaveGroupResponse {
                error_code: ErrorCode::CoordinatorNotAvailable.code(),
                ..Default::default()
            };
            return work.reply(token, Reply::Leave(response));
        }
        let mut members = Vec::with_capacity(request.members.len());
        for leaving in request.members {
            let instance = leaving.group_instance_id.as_deref();
            let error = match &mut found {
                None => ErrorCode::UnknownMemberId,
                Some((id, group)) => leave_one(id, group, &leaving.member_id, instance, &mut work),
            };
            members.push(MemberResponse {
                member_id: leaving.member_id,
                group_instance_id: leaving
                    .group_instance_id
                    .map(Cow::into_owned)
                    .map(Cow::Owned),
                error_code: error.code(),
            });
        }
        let response = LeaveGroupResponse {
            members,
            ..Default::default()
        };
        work.reply(token, Reply::Leave(response));
    }

    /// A member has been silent for too long.
    pub(super) fn on_session_alarm(
        &mut self,
        entry: TimestampMs,
        now: TimestampMs,
        (id, member): (Rc<str>, Rc<str>),
        out: &mut Actions,
    ) {
        let (groups, mut work) = self.at_work(now, out);
        let Some(group) = groups.get_mut(&id) else {
            return;
        };
        let Some(state) = group.member_mut(&member) else {
            return;
        };
        let timer = Timer::Session(id.clone(), member.clone());
        let rings = work.alarms.rings(&mut state.session, entry, now, timer);
        if rings && !state.is_excused() {
            leave(&id, group, &member, &mut work);
        }
    }

    /// A member has not come back with the id it was given.
    pub(super) fn on_pending_alarm(
        &mut self,
        entry: TimestampMs,
        now: TimestampMs,
        (id, member): (Rc<str>, Rc<str>),
        out: &mut Actions,
    ) {
        let (groups, mut work) = self.at_work(now, out);
        let Some(group) = groups.get_mut(&id) else {
            return;
        };
        let Some(alarm) = group.pending.get_mut(&member) else {
            return;
        };
        let timer = Timer::Pending(id.clone(), member.clone());
        if work.alarms.rings(alarm, entry, now, timer) {
            group.pending.remove(&member);
            complete_if_all_joined(&id, group, &mut work);
        }
    }
}

/// Begins a member's session anew.
pub fn renew(id: &Rc<str>, group: &mut Group, member: &str, work: &mut Work<'_>) {
    let member_id: Rc<str> = member.into();
    if let Some(member) = group.member_mut(member) {
        work.renew_session(id, &member_id, member);
    }
}

fn leave_one(
    id: &Rc<str>,
    group: &mut Group,
    member: &str,
    instance: Option<&str>,
    work: &mut Work<'_>,
) -> ErrorCode {
    if member.is_empty() {
        let current = instance.and_then(|instance| group.member_of_instance(instance));
        let Some(current) = current.cloned() else {
            return ErrorCode::UnknownMemberId;
        };
        leave(id, group, &current, work);
        return ErrorCode::None;
    }
    let member_id: Rc<str> = member.into();
    if let Some(mut pending) = group.pending.remove(member) {
        work.forget_pending(id, &member_id, &mut pending);
        complete_if_all_joined(id, group, work);
        return ErrorCode::None;
    }
    match validate_member(group, member, instance) {
        Err(error) => error,
        Ok(()) => {
            leave(id, group, &member_id, work);
            ErrorCode::None
        }
    }
}
