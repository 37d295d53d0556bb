//! JoinGroup: who may come in, under which id, and whether that begins a rebalance.

use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};

use super::member::Member;
use super::membership::Group;
use super::rebalance::{
    complete_if_all_joined, generation_record, joined, prepare, prepare_if_possible, remove_member,
};
use super::request::{Join, Reply};
use super::state::State;
use super::work::{Timer, Work, millis};
use super::write::{StaticMember, Write, generation_error};
use super::{Actions, Groups};
use crate::machine::Token;
use protocol::ids::TimestampMs;

/// How long a new member waits to be admitted: it has no heartbeats yet, and may be gone.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1000;
/// So much of a client's name becomes part of its member id, which must fit a string's length.
const MEMBER_ID_PREFIX_BYTES_MAX: usize = 32_000;

/// A JoinGroup that may be let in.
struct Joiner {
    token: Token,
    request: Join,
    protocols: Vec<(String, Vec<u8>)>,
}

impl Joiner {
    fn asked(&self) -> &JoinGroupRequest<'static> {
        &self.request.request
    }

    fn instance(&self) -> Option<&str> {
        self.asked().group_instance_id.as_deref()
    }
}

impl Groups {
    /// A member wants to join.
    pub(super) fn join(&mut self, now: TimestampMs, token: Token, join: Join, out: &mut Actions) {
        let (groups, mut work) = self.at_work(now, out);
        let work = &mut work;
        let mut join = join;
        let protocols = take_protocols(&mut join.request);
        let joiner = Joiner {
            token,
            request: join,
            protocols,
        };
        let asked = joiner.asked();
        let member_id = asked.member_id.to_string();
        let session_ms = i64::from(asked.session_timeout_ms);
        if session_ms < millis(work.settings.session_timeout_min)
            || session_ms > millis(work.settings.session_timeout_max)
        {
            return work.refuse_join(token, &member_id, ErrorCode::InvalidSessionTimeout);
        }
        let id: Rc<str> = (&*asked.group_id).into();
        if member_id.is_empty() {
            groups.entry(id.clone()).or_default();
        }
        let Some(group) = groups.get_mut(&id) else {
            return work.refuse_join(token, &member_id, ErrorCode::UnknownMemberId);
        };
        if !has_room(group, &member_id, work.settings.members_max) {
            let (member, error) = (member_id.into(), ErrorCode::GroupMaxSizeReached);
            remove_member(&id, group, &member, error, work);
            work.refuse_join(token, "", ErrorCode::GroupMaxSizeReached);
        } else if member_id.is_empty() {
            join_anew(&id, group, joiner, work);
        } else {
            join_again(&id, group, &member_id, joiner, work);
        }
        complete_if_all_joined(&id, group, work);
    }

    /// A static member's new id is in the log, or is not.
    pub(super) fn finish_static_member(
        &mut self,
        now: TimestampMs,
        change: StaticMember,
        result: Result<(), ErrorCode>,
        out: &mut Actions,
    ) {
        let (groups, mut work) = self.at_work(now, out);
        let Some(group) = groups.get_mut(&change.group) else {
            return;
        };
        let waits = group
            .member(&change.member)
            .is_some_and(|member| member.joining == Some(change.token));
        if !waits || group.state() != State::Stable || group.generation != change.generation {
            return; // It is answered by whatever came between.
        }
        group.set_joining(&change.member, None);
        let mut response = joined(group, &change.member);
        match result {
            Ok(()) if change.may_skip_assignment => {
                response.skip_assignment = group.is_leader(&change.member);
            }
            Ok(()) => {
                // A leader of before must not take itself for the leader: it would assign, and the
                // group, which is stable, would not listen.
                response.leader = Cow::Owned(change.leader_before);
                response.members.clear();
            }
            Err(error) => {
                // The log knows the member by its old id: the next generation mends that.
                let error = generation_error(error);
                work.refuse_join(change.token, "", error);
                return prepare_if_possible(&change.group, group, &mut work);
            }
        }
        let member = group.member_mut(&change.member).expect("it is a member");
        work.renew_session(&change.group, &change.member, member);
        work.reply(change.token, Reply::Join(response));
    }
}

/// The protocols, each once.
fn take_protocols(request: &mut JoinGroupRequest<'static>) -> Vec<(String, Vec<u8>)> {
    let mut seen = HashSet::new();
    let protocols = std::mem::take(&mut request.protocols).into_iter();
    let owned = |protocol: JoinGroupRequestProtocol<'static>| {
        (protocol.name.into_owned(), protocol.metadata.into_owned())
    };
    protocols
        .map(owned)
        .filter(|(name, _)| seen.insert(name.clone()))
        .collect()
}

/// Whether `group.max.size` lets a member in. While a rebalance is prepared those count who have
/// joined, so that the last to come are left out if the limit was lowered.
fn has_room(group: &Group, member: &str, members_max: usize) -> bool {
    match group.state() {
        State::Empty | State::Dead => true,
        State::PreparingRebalance => {
            let known = group.member(member);
            known.is_some_and(|known| known.joining.is_some())
                || group.joining_count() < members_max
        }
        State::CompletingRebalance | State::Stable => {
            group.has(member) || group.len() < members_max
        }
    }
}

/// Somebody without a member id.
fn join_anew(id: &Rc<str>, group: &mut Group, joiner: Joiner, work: &mut Work<'_>) {
    if let Err(error) = is_acceptable(group, &joiner) {
        return work.refuse_join(joiner.token, "", error);
    }
    let new_id = new_member_id(&joiner.request);
    let Some(instance) = joiner.instance() else {
        if joiner.request.requires_known_id {
            // It is to come back with the id: so one that gives up and asks again leaves no
            // member behind (KIP-394).
            let alarm = group.pending.entry(new_id.clone()).or_default();
            let until = work.now + i64::from(joiner.asked().session_timeout_ms);
            let timer = Timer::Pending(id.clone(), new_id.clone());
            work.alarms.set(alarm, until, timer);
            return work.refuse_join(joiner.token, &new_id, ErrorCode::MemberIdRequired);
        }
        return add(id, group, new_id, joiner, work);
    };
    match group.member_of_instance(instance).cloned() {
        Some(old_id) => replace_static(id, group, old_id, new_id, joiner, work),
        None => add(id, group, new_id, joiner, work),
    }
}

/// Somebody with a member id.
fn join_again(id: &Rc<str>, group: &mut Group, member: &str, joiner: Joiner, work: &mut Work<'_>) {
    if let Err(error) = is_acceptable(group, &joiner) {
        return work.refuse_join(joiner.token, member, error);
    }
    if let Some((known, _)) = group.pending.get_key_value(member) {
        if joiner.instance().is_some() {
            return work.refuse_join(joiner.token, "", ErrorCode::UnknownServerError);
        }
        let known = known.clone();
        return add(id, group, known, joiner, work);
    }
    if let Err(error) = validate_member(group, member, joiner.instance()) {
        return work.refuse_join(joiner.token, member, error);
    }
    let same = group
        .member(member)
        .is_some_and(|known| known.protocols == joiner.protocols);
    let rebalances = match group.state() {
        State::PreparingRebalance => true,
        // It may have missed the answer to its first JoinGroup.
        State::CompletingRebalance => !same,
        // The leader wants to assign anew: topics have changed, perhaps.
        State::Stable => !same || group.is_leader(member),
        State::Empty | State::Dead => {
            return work.refuse_join(joiner.token, member, ErrorCode::UnknownMemberId);
        }
    };
    if rebalances {
        update(group, member, joiner, work);
        return prepare_if_possible(id, group, work);
    }
    let mut response = joined(group, member);
    if group.state() == State::Stable {
        response.members.clear();
    }
    work.reply(joiner.token, Reply::Join(response));
}

fn is_acceptable(group: &Group, joiner: &Joiner) -> Result<(), ErrorCode> {
    if group.state() == State::Dead {
        return Err(ErrorCode::CoordinatorNotAvailable);
    }
    match group.supports(&joiner.asked().protocol_type, &joiner.protocols) {
        true => Ok(()),
        false => Err(ErrorCode::InconsistentGroupProtocol),
    }
}

/// Whether a request comes from a member, and if it is a static one, from its latest incarnation
/// (KIP-345).
pub fn validate_member(
    group: &Group,
    member: &str,
    instance: Option<&str>,
) -> Result<(), ErrorCode> {
    if let Some(instance) = instance {
        match group.member_of_instance(instance) {
            None => return Err(ErrorCode::UnknownMemberId),
            Some(current) if **current != *member => return Err(ErrorCode::FencedInstanceId),
            Some(_) => {}
        }
    }
    match group.has(member) {
        true => Ok(()),
        false => Err(ErrorCode::UnknownMemberId),
    }
}

fn new_member_id(join: &Join) -> Rc<str> {
    let prefix = join.request.group_instance_id.as_deref();
    let prefix = prefix.unwrap_or(&join.client_id);
    let end = prefix.floor_char_boundary(MEMBER_ID_PREFIX_BYTES_MAX);
    let random = join.random_id.0.map(|byte| format!("{byte:02x}")).concat();
    let (a, rest) = random.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{}-{a}-{b}-{c}-{d}-{e}", &prefix[..end]).into()
}

/// Takes in a new member, and begins a rebalance.
fn add(id: &Rc<str>, group: &mut Group, member_id: Rc<str>, joiner: Joiner, work: &mut Work<'_>) {
    let Joiner {
        token,
        request:
            Join {
                request,
                client_id,
                client_host,
                ..
            },
        protocols,
    } = joiner;
    if group.state() == State::PreparingRebalance && group.generation == 0 {
        group.new_member_added = true;
    }
    if group.len() == 0 {
        group.protocol_type = Some(request.protocol_type.into_owned());
    }
    let mut member = Member {
        instance: request.group_instance_id.map(Cow::into_owned),
        client_id,
        client_host,
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocols,
        assignment: Vec::new(),
        joining: Some(token),
        syncing: None,
        is_new: true,
        session: Default::default(),
    };
    let timeout_ms = NEW_MEMBER_JOIN_TIMEOUT_MS;
    work.expire_session_in(id, &member_id, &mut member.session, timeout_ms);
    if let Some(mut pending) = group.pending.remove(&member_id) {
        work.forget_pending(id, &member_id, &mut pending);
    }
    group.add(member_id, member);
    prepare_if_possible(id, group, work);
}

/// A member joins again, with what it says now.
fn update(group: &mut Group, member: &str, joiner: Joiner, work: &mut Work<'_>) {
    let (session_ms, rebalance_ms) = {
        let asked = joiner.asked();
        (asked.session_timeout_ms, asked.rebalance_timeout_ms)
    };
    group.set_protocols(member, joiner.protocols);
    let state = group.member_mut(member).expect("it is a member");
    state.session_timeout_ms = session_ms;
    state.rebalance_timeout_ms = rebalance_ms;
    if let Some(before) = group.set_joining(member, Some(joiner.token)) {
        // Its first request has been given up, or it would not ask again.
        work.refuse_join(before, member, ErrorCode::RebalanceInProgress);
    }
}

/// A static member comes back without its id: it takes the place of its former self.
fn replace_static(
    id: &Rc<str>,
    group: &mut Group,
    old_id: Rc<str>,
    new_id: Rc<str>,
    joiner: Joiner,
    work: &mut Work<'_>,
) {
    let leader_before = group.leader.as_deref().unwrap_or_default().to_owned();
    if let Some(token) = group.set_joining(&old_id, None) {
        work.refuse_join(token, &old_id, ErrorCode::FencedInstanceId);
    }
    let member = group.member_mut(&old_id).expect("it is a member");
    if let Some(token) = member.syncing.take() {
        work.refuse_sync(token, ErrorCode::FencedInstanceId);
    }
    work.forget_session(id, &old_id, &mut member.session); // It belongs to the id.
    group.rename(&old_id, new_id.clone());
    let (token, may_skip_assignment) = (joiner.token, joiner.request.may_skip_assignment);
    update(group, &new_id, joiner, work);
    let member = group.member_mut(&new_id).expect("it is a member");
    work.renew_session(id, &new_id, member);
    match group.state() {
        State::Stable if group.choose_protocol() == group.protocol => {
            // Nothing changes for the others: no rebalance, only another id in the log.
            group.renew_subscribed();
            let assignment = |member: &str| &*group.member(member).expect("a member").assignment;
            let record = generation_record(id, group, assignment);
            let change = StaticMember {
                token,
                group: id.clone(),
                generation: group.generation,
                member: new_id,
                leader_before,
                may_skip_assignment,
            };
            let write = work.writes.next_id();
            work.append(
                write,
                vec![record],
                None,
                Write::StaticMember(Box::new(change)),
            );
        }
        State::Stable => prepare_if_possible(id, group, work),
        // The leader may be assigning to the old id.
        State::CompletingRebalance => prepare(id, group, work),
        State::PreparingRebalance | State::Empty | State::Dead => {}
    }
}
