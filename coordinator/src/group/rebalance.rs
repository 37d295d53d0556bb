//! From one generation to the next: members are called to join, those who do not come are left
//! behind, and the leader is asked who gets what.

use std::borrow::Cow;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::messages::join_group::{JoinGroupResponse, JoinGroupResponseMember};
use protocol::messages::sync_group::SyncGroupResponse;
use protocol::records::group::{GroupMetadataValue, MemberMetadata};

use super::membership::{Group, Joining};
use super::record;
use super::request::Reply;
use super::state::State;
use super::work::{Timer, Work, millis};
use super::write::Write;
use crate::machine::Record;

/// A group in which nobody rejoins is looked at again after this at the earliest.
const WAIT_AGAIN_MS_MIN: i64 = 100;

/// Calls the members to join, if the group is not doing so already.
pub fn prepare_if_possible(id: &Rc<str>, group: &mut Group, work: &mut Work<'_>) {
    if group.state().may_become(State::PreparingRebalance) {
        prepare(id, group, work);
    }
}

/// Calls the members to join.
pub fn prepare(id: &Rc<str>, group: &mut Group, work: &mut Work<'_>) {
    if group.state() == State::CompletingRebalance {
        refuse_syncs(id, group, ErrorCode::RebalanceInProgress, work);
    }
    group.pending_sync.clear();
    group.sync_alarm.clear();
    let timeout_ms = group.rebalance_timeout_ms();
    let initial_ms = millis(work.settings.initial_rebalance_delay);
    let (joining, wait_ms) = match group.state() {
        State::Empty => {
            let remaining_ms = (timeout_ms - initial_ms).max(0);
            let initial = Joining::Initial {
                delay_ms: initial_ms,
                remaining_ms,
            };
            (initial, initial_ms)
        }
        _ => (Joining::All, timeout_ms),
    };
    group.become_state(State::PreparingRebalance, work.now);
    wait_for_members(id, group, joining, wait_ms, work);
    complete_if_all_joined(id, group, work);
}

fn wait_for_members(
    id: &Rc<str>,
    group: &mut Group,
    joining: Joining,
    wait_ms: i64,
    work: &mut Work<'_>,
) {
    group.joining = joining;
    let timer = Timer::Join(id.clone());
    work.alarms
        .set(&mut group.join_alarm, work.now + wait_ms, timer);
}

/// Begins the next generation if nobody is missing. A group that was empty waits nevertheless.
pub fn complete_if_all_joined(id: &Rc<str>, group: &mut Group, work: &mut Work<'_>) {
    if group.state() == State::PreparingRebalance
        && group.joining == Joining::All
        && group.have_all_joined()
    {
        complete(id, group, work);
    }
}

/// The time to join is over.
pub fn on_join_alarm(id: &Rc<str>, group: &mut Group, work: &mut Work<'_>) {
    if group.state() != State::PreparingRebalance {
        return;
    }
    match group.joining {
        Joining::Initial {
            delay_ms,
            remaining_ms,
        } if group.new_member_added && remaining_ms != 0 => {
            group.new_member_added = false;
            let wait_ms = millis(work.settings.initial_rebalance_delay).min(remaining_ms);
            let initial = Joining::Initial {
                delay_ms: wait_ms,
                remaining_ms: (remaining_ms - delay_ms).max(0),
            };
            wait_for_members(id, group, initial, wait_ms, work);
        }
        _ => complete(id, group, work),
    }
}

/// Begins the next generation with those who have joined, and with static members.
fn complete(id: &Rc<str>, group: &mut Group, work: &mut Work<'_>) {
    let missing = |group: &Group| -> Vec<Rc<str>> {
        let members = group.members();
        members
            .filter(|(_, member)| member.joining.is_none() && member.instance.is_none())
            .map(|(id, _)| id.clone())
            .collect()
    };
    for gone in missing(group) {
        remove_member(id, group, &gone, ErrorCode::UnknownMemberId, work);
    }
    if !group.elect_joined_leader() && group.len() > 0 {
        // Static members who have not come back may do so until their sessions end.
        let wait_ms = group.rebalance_timeout_ms().max(WAIT_AGAIN_MS_MIN);
        wait_for_members(id, group, Joining::All, wait_ms, work);
        return;
    }
    group.join_alarm.clear();
    group.begin_generation(work.now);
    if group.state() == State::Empty {
        let record = generation_record(id, group, |_| &[]);
        let write = work.writes.next_id();
        work.append(write, vec![record], None, Write::EmptyGeneration);
        return;
    }
    for member in group.member_ids() {
        if let Some(token) = group.set_joining(&member, None) {
            let response = joined(group, &member);
            work.reply(token, Reply::Join(response));
        }
        let state = group.member_mut(&member).expect("it is a member");
        state.is_new = false;
        work.renew_session(id, &member, state);
        group.pending_sync.insert(member);
    }
    let timer = Timer::Sync(id.clone());
    let until = work.now + group.rebalance_timeout_ms();
    work.alarms.set(&mut group.sync_alarm, until, timer);
}

/// The time to sync is over: who has not asked for its assignment is left behind.
pub fn on_sync_alarm(id: &Rc<str>, group: &mut Group, work: &mut Work<'_>) {
    let syncing = matches!(group.state(), State::CompletingRebalance | State::Stable);
    if !syncing || group.pending_sync.is_empty() {
        return;
    }
    for member in std::mem::take(&mut group.pending_sync) {
        remove_member(id, group, &member, ErrorCode::UnknownMemberId, work);
    }
    prepare(id, group, work);
}

/// What a member is told who belongs to the current generation; the leader learns of all members.
pub fn joined(group: &Group, member: &str) -> JoinGroupResponse<'static> {
    let protocol = group.protocol.as_deref().unwrap_or_default();
    let members = match group.is_leader(member) {
        true => group
            .members()
            .map(|(id, member)| JoinGroupResponseMember {
                member_id: Cow::Owned(id.to_string()),
                group_instance_id: member.instance.clone().map(Cow::Owned),
                metadata: Cow::Owned(member.metadata(protocol).to_vec()),
            })
            .collect(),
        false => Vec::new(),
    };
    JoinGroupResponse {
        error_code: ErrorCode::None.code(),
        generation_id: group.generation,
        protocol_type: group.protocol_type.clone().map(Cow::Owned),
        protocol_name: group.protocol.clone().map(Cow::Owned),
        leader: Cow::Owned(group.leader.as_deref().unwrap_or_default().to_owned()),
        skip_assignment: false,
        member_id: Cow::Owned(member.to_owned()),
        members,
        ..Default::default()
    }
}

/// Every member gets its assignment.
pub fn hand_out(id: &Rc<str>, group: &mut Group, work: &mut Work<'_>) {
    for member in group.member_ids() {
        let (protocol_type, protocol_name) = (group.protocol_type.clone(), group.protocol.clone());
        let state = group.member_mut(&member).expect("it is a member");
        if let Some(token) = state.syncing.take() {
            let response = SyncGroupResponse {
                error_code: ErrorCode::None.code(),
                protocol_type: protocol_type.map(Cow::Owned),
                protocol_name: protocol_name.map(Cow::Owned),
                assignment: Cow::Owned(state.assignment.clone()),
                ..Default::default()
            };
            work.reply(token, Reply::Sync(response));
            work.renew_session(id, &member, state);
        }
    }
}

/// Nobody gets an assignment: who asked for it is told why.
pub fn refuse_syncs(id: &Rc<str>, group: &mut Group, error: ErrorCode, work: &mut Work<'_>) {
    for member in group.member_ids() {
        let state = group.member_mut(&member).expect("it is a member");
        state.assignment.clear();
        if let Some(token) = state.syncing.take() {
            work.refuse_sync(token, error);
            work.renew_session(id, &member, state);
        }
    }
}

/// Removes a member, or one that was to come back, and tells it why if it waits for something.
pub fn remove_member(
    id: &Rc<str>,
    group: &mut Group,
    member: &Rc<str>,
    error: ErrorCode,
    work: &mut Work<'_>,
) {
    if let Some(mut pending) = group.pending.remove(member) {
        work.forget_pending(id, member, &mut pending);
    }
    let Some(mut gone) = group.remove(member) else {
        return;
    };
    work.forget_session(id, member, &mut gone.session);
    if let Some(token) = gone.joining {
        work.refuse_join(token, "", error);
    }
    if let Some(token) = gone.syncing {
        work.refuse_sync(token, error);
    }
}

/// Removes a member of a group that goes on without it.
pub fn leave(id: &Rc<str>, group: &mut Group, member: &Rc<str>, work: &mut Work<'_>) {
    remove_member(id, group, member, ErrorCode::UnknownMemberId, work);
    match group.state() {
        State::Stable | State::CompletingRebalance => prepare_if_possible(id, group, work),
        State::PreparingRebalance => complete_if_all_joined(id, group, work),
        State::Empty | State::Dead => {}
    }
}

/// The record of the group's generation.
pub fn generation_record<'a>(
    id: &str,
    group: &'a Group,
    assignment: impl Fn(&str) -> &'a [u8],
) -> Record {
    let protocol = group.protocol.as_deref();
    let members = group.members().map(|(id, member)| MemberMetadata {
        member_id: Cow::Borrowed(id),
        group_instance_id: member.instance.as_deref().map(Cow::Borrowed),
        client_id: Cow::Borrowed(&member.client_id),
        client_host: Cow::Borrowed(&member.client_host),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: Cow::Borrowed(member.metadata(protocol.unwrap_or_default())),
        assignment: Cow::Borrowed(assignment(id)),
    });
    let value = GroupMetadataValue {
        protocol_type: Cow::Borrowed(group.protocol_type.as_deref().unwrap_or_default()),
        generation: group.generation,
        protocol: protocol.map(Cow::Borrowed),
        leader: group.leader.as_deref().map(Cow::Borrowed),
        current_state_timestamp: group.state_since.map_or(-1, |since| since.0),
        members: members.collect(),
    };
    record::group(id, &value)
}
