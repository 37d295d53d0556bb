//! SyncGroup: the leader says who gets what, it goes to the log, and everybody is told.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::ids::TimestampMs;
use protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::join::validate_member;
use super::membership::Group;
use super::rebalance::{generation_record, hand_out, prepare_if_possible, refuse_syncs};
use super::request::Reply;
use super::state::State;
use super::write::{Assignment, Write, generation_error};
use super::{Actions, Groups};
use crate::machine::Token;

impl Groups {
    /// A member wants its assignment; the leader brings everybody's.
    pub(super) fn sync(
        &mut self,
        now: TimestampMs,
        token: Token,
        request: SyncGroupRequest<'static>,
        out: &mut Actions,
    ) {
        let (groups, mut work) = self.at_work(now, out);
        let Some((id, group)) = super::entry(groups, &request.group_id) else {
            return work.refuse_sync(token, ErrorCode::UnknownMemberId);
        };
        if let Err(error) = validate(group, &request) {
            return work.refuse_sync(token, error);
        }
        let member_id: Rc<str> = (&*request.member_id).into();
        match group.state() {
            State::Empty | State::Dead => work.refuse_sync(token, ErrorCode::UnknownMemberId),
            State::PreparingRebalance => work.refuse_sync(token, ErrorCode::RebalanceInProgress),
            State::CompletingRebalance => {
                let member = group.member_mut(&member_id).expect("it was validated");
                if let Some(before) = member.syncing.replace(token) {
                    work.refuse_sync(before, ErrorCode::RebalanceInProgress);
                }
                group.pending_sync.remove(&member_id);
                if group.is_leader(&member_id) {
                    let assignments: HashMap<String, Vec<u8>> = request
                        .assignments
                        .into_iter()
                        .map(|one| (one.member_id.into_owned(), one.assignment.into_owned()))
                        .collect();
                    let record = generation_record(&id, group, |member| {
                        assignments.get(member).map_or(&[], |bytes| &**bytes)
                    });
                    let write = work.writes.next_id();
                    let assignment = Assignment {
                        group: id,
                        generation: group.generation,
                        assignments,
                    };
                    work.append(write, vec![record], None, Write::Assignment(assignment));
                }
            }
            State::Stable => {
                group.pending_sync.remove(&member_id);
                let (protocol_type, protocol) =
                    (group.protocol_type.clone(), group.protocol.clone());
                let member = group.member_mut(&member_id).expect("it was validated");
                let response = SyncGroupResponse {
                    error_code: ErrorCode::None.code(),
                    protocol_type: protocol_type.map(Cow::Owned),
                    protocol_name: protocol.map(Cow::Owned),
                    assignment: Cow::Owned(member.assignment.clone()),
                    ..Default::default()
                };
                work.reply(token, Reply::Sync(response));
                work.renew_session(&id, &member_id, member);
            }
        }
    }

    /// The assignment is in the log, or is not.
    pub(super) fn finish_assignment(
        &mut self,
        now: TimestampMs,
        mut assignment: Assignment,
        result: Result<(), ErrorCode>,
        out: &mut Actions,
    ) {
        let (groups, mut work) = self.at_work(now, out);
        let id = assignment.group;
        let Some(group) = groups.get_mut(&id) else {
            return;
        };
        // Another rebalance may have begun meanwhile.
        let expected = group.state() == State::CompletingRebalance;
        if !expected || group.generation != assignment.generation {
            return;
        }
        match result {
            Ok(()) => {
                for member in group.member_ids() {
                    let given = assignment.assignments.remove(&*member);
                    let state = group.member_mut(&member).expect("it is a member");
                    state.assignment = given.unwrap_or_default();
                }
                hand_out(&id, group, &mut work);
                group.become_state(State::Stable, now);
            }
            Err(error) => {
                refuse_syncs(&id, group, generation_error(error), &mut work);
                prepare_if_possible(&id, group, &mut work);
            }
        }
    }
}

fn validate(group: &Group, request: &SyncGroupRequest<'_>) -> Result<(), ErrorCode> {
    if group.state() == State::Dead {
        return Err(ErrorCode::CoordinatorNotAvailable);
    }
    let instance = request.group_instance_id.as_deref();
    validate_member(group, &request.member_id, instance)?;
    if request.generation_id != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    let differs = |said: &Option<Cow<'_, str>>, known: &Option<String>| {
        said.is_some() && said.as_deref() != known.as_deref()
    };
    if differs(&request.protocol_type, &group.protocol_type)
        || differs(&request.protocol_name, &group.protocol)
    {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    Ok(())
}
