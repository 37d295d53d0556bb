//! Who is in a group, what they have in common, and the order of their generations.
//!
//! Keeps the counts that make every question about all members cheap. It does not answer anybody
//! and sets no alarms.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use protocol::ids::TimestampMs;
use protocol::records::consumer_protocol::ConsumerProtocolSubscription;
use protocol::records::group::GroupMetadataValue;
use protocol::wire::Decoder;

use super::alarm::Alarm;
use super::member::Member;
use super::offsets::Offsets;
use super::state::State;

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";

/// How the group waits for its members to join.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Joining {
    /// Until all have, or the rebalance timeout has passed.
    #[default]
    All,
    /// For a while, because it was empty and more may come (KIP-134).
    Initial {
        /// How long this time.
        delay_ms: i64,
        /// How long it may be put off further.
        remaining_ms: i64,
    },
}

/// One group.
#[derive(Default)]
pub struct Group {
    state: State,
    /// When it came into its state; none if the log does not say.
    pub state_since: Option<TimestampMs>,
    /// `consumer`, `connect` and so on; none before the first member.
    pub protocol_type: Option<String>,
    /// The protocol that the members chose for this generation.
    pub protocol: Option<String>,
    /// Counts rebalances.
    pub generation: i32,
    /// The member that assigns.
    pub leader: Option<Rc<str>>,
    members: BTreeMap<Rc<str>, Member>,
    statics: BTreeMap<String, Rc<str>>,
    /// Ids given to members that are to come back with them.
    pub pending: BTreeMap<Rc<str>, Alarm>,
    joining_count: usize,
    /// How many members know a protocol.
    supported: BTreeMap<String, usize>,
    /// Members of this generation that have not asked for their assignment.
    pub pending_sync: BTreeSet<Rc<str>>,
    /// The topics that consumers subscribe to; none if that is not known.
    subscribed: Option<BTreeSet<String>>,
    /// How it waits while preparing a rebalance.
    pub joining: Joining,
    /// A member came while the group waited for more.
    pub new_member_added: bool,
    /// When it stops to wait for members to join.
    pub join_alarm: Alarm,
    /// When it stops to wait for members to sync.
    pub sync_alarm: Alarm,
    /// What it committed.
    pub offsets: Offsets,
}

impl Group {
    /// A group as a record of the log says.
    pub fn of_record(value: &GroupMetadataValue<'_>, members: Vec<(Rc<str>, Member)>) -> Self {
        let mut group = Group {
            state: match members.is_empty() {
                true => State::Empty,
                false => State::Stable,
            },
            state_since: (value.current_state_timestamp != -1)
                .then_some(TimestampMs(value.current_state_timestamp)),
            protocol_type: Some(value.protocol_type.to_string()).filter(|name| !name.is_empty()),
            protocol: value.protocol.as_deref().map(str::to_owned),
            generation: value.generation,
            leader: value.leader.as_deref().map(Rc::from),
            ..Group::default()
        };
        for (id, member) in members {
            group.add(id, member);
        }
        let leader = group.leader.take();
        group.leader = leader
            .filter(|id| group.has(id))
            .or_else(|| group.first_member());
        group.subscribed = group.compute_subscribed();
        group
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Goes to another state.
    pub fn become_state(&mut self, next: State, now: TimestampMs) {
        let from = self.state;
        assert!(
            from.may_become(next),
            "a group goes from {from:?} to {next:?}"
        );
        self.state = next;
        self.state_since = Some(now);
    }

    /// Adds a member, which may wait for the next generation already.
    pub fn add(&mut self, id: Rc<str>, member: Member) {
        if let Some(instance) = &member.instance {
            let before = self.statics.insert(instance.clone(), id.clone());
            assert!(before.is_none(), "an instance is one member");
        }
        for (name, _) in &member.protocols {
            *self.supported.entry(name.clone()).or_default() += 1;
        }
        self.joining_count += usize::from(member.joining.is_some());
        self.leader.get_or_insert_with(|| id.clone());
        let before = self.members.insert(id, member);
        assert!(before.is_none(), "a member is added once");
    }

    /// Removes a member. What it waits for is the caller's to answer.
    pub fn remove(&mut self, id: &str) -> Option<Member> {
        self.pending_sync.remove(id);
        let member = self.members.remove(id)?;
        if let Some(instance) = &member.instance {
            self.statics.remove(instance);
        }
        self.forget_protocols(&member);
        self.joining_count -= usize::from(member.joining.is_some());
        if self.is_leader(id) {
            self.leader = self.first_member();
        }
        Some(member)
    }

    /// Gives a static member another id (KIP-345).
    pub fn rename(&mut self, from: &str, to: Rc<str>) {
        let member = self.members.remove(from).expect("it is a member");
        if let Some(instance) = &member.instance {
            self.statics.insert(instance.clone(), to.clone());
        }
        if self.is_leader(from) {
            self.leader = Some(to.clone());
        }
        if self.pending_sync.remove(from) {
            self.pending_sync.insert(to.clone());
        }
        self.members.insert(to, member);
    }

    /// Changes what a member joined with.
    pub fn set_protocols(&mut self, id: &str, protocols: Vec<(String, Vec<u8>)>) {
        let mut member = self.members.remove_entry(id).expect("it is a member");
        self.forget_protocols(&member.1);
        member.1.protocols = protocols;
        for (name, _) in &member.1.protocols {
            *self.supported.entry(name.clone()).or_default() += 1;
        }
        self.members.insert(member.0, member.1);
    }

    /// Changes what JoinGroup of a member waits; gives back the one that waited.
    pub fn set_joining(
        &mut self,
        id: &str,
        token: Option<crate::machine::Token>,
    ) -> Option<crate::machine::Token> {
        let member = self.members.get_mut(id)?;
        self.joining_count += usize::from(token.is_some());
        let before = std::mem::replace(&mut member.joining, token);
        self.joining_count -= usize::from(before.is_some());
        before
    }

    /// Begins the next generation with the members that are there: chooses the protocol.
    pub fn begin_generation(&mut self, now: TimestampMs) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.choose_protocol();
        self.subscribed = self.compute_subscribed();
        self.pending_sync.clear();
        let next = match self.members.is_empty() {
            true => State::Empty,
            false => State::CompletingRebalance,
        };
        self.become_state(next, now);
    }

    /// Makes a member that has joined the leader if the leader has not. Answers whether there is a
    /// leader that has joined.
    pub fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = self.leader.as_ref().and_then(|id| self.members.get(id)) else {
            return false;
        };
        if leader.joining.is_some() {
            return true;
        }
        let mut members = self.members.iter();
        match members.find(|(_, member)| member.joining.is_some()) {
            Some((id, _)) => {
                self.leader = Some(id.clone());
                true
            }
            None => false,
        }
    }

    /// Whether somebody with these protocols could be a member.
    pub fn supports(&self, protocol_type: &str, protocols: &[(String, Vec<u8>)]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let known_by_all = |name: &str| {
            let count = self.supported.get(name).copied().unwrap_or_default();
            count == self.members.len()
        };
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| known_by_all(name))
    }

    /// The protocol that most members would choose among those that all know; none without
    /// members.
    pub fn choose_protocol(&self) -> Option<String> {
        let all = self.members.len();
        let is_candidate = |name: &str| self.supported.get(name) == Some(&all);
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(choice) = member.vote(is_candidate) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let most = votes.into_iter().max_by_key(|(_, count)| *count);
        most.map(|(name, _)| name.to_owned())
    }

    /// A member.
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    /// A member, to change what does not touch the counts: neither protocols nor joining.
    pub fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.members.get_mut(id)
    }

    /// All members, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = (&Rc<str>, &Member)> {
        self.members.iter()
    }

    /// The ids of all members.
    pub fn member_ids(&self) -> Vec<Rc<str>> {
        self.members.keys().cloned().collect()
    }

    /// The member that a static member's name means.
    pub fn member_of_instance(&self, instance: &str) -> Option<&Rc<str>> {
        self.statics.get(instance)
    }

    /// Whether there is such a member.
    pub fn has(&self, id: &str) -> bool {
        self.members.contains_key(id)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// How many of them have joined for the next generation.
    pub fn joining_count(&self) -> usize {
        self.joining_count
    }

    /// Whether nobody is missing.
    pub fn have_all_joined(&self) -> bool {
        self.members.len() == self.joining_count && self.pending.is_empty()
    }

    /// Whether this member assigns.
    pub fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    /// The longest time a member may take to join anew.
    pub fn rebalance_timeout_ms(&self) -> i64 {
        let each = self.members.values();
        let longest = each.map(|member| member.rebalance_timeout_ms).max();
        i64::from(longest.unwrap_or(0).max(0))
    }

    /// A member has joined with other protocols, and no rebalance follows: what the members
    /// subscribe to is what the next record of the group will say.
    pub fn renew_subscribed(&mut self) {
        self.subscribed = self.compute_subscribed();
    }

    /// Whether the members are consumers.
    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// The topics that the members, consumers, subscribe to; none if that is not known.
    pub fn subscribed(&self) -> Option<&BTreeSet<String>> {
        self.subscribed.as_ref().filter(|_| self.is_of_consumers())
    }

    /// Whether nothing would be lost with it.
    pub fn is_idle(&self) -> bool {
        self.state == State::Empty && self.offsets.is_empty() && self.pending.is_empty()
    }

    fn first_member(&self) -> Option<Rc<str>> {
        self.members.keys().next().cloned()
    }

    fn forget_protocols(&mut self, member: &Member) {
        for (name, _) in &member.protocols {
            let count = self.supported.get_mut(name).expect("it was counted");
            *count -= 1;
            if *count == 0 {
                self.supported.remove(name);
            }
        }
    }

    fn compute_subscribed(&self) -> Option<BTreeSet<String>> {
        if !self.is_of_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let mut decoder = Decoder::new(member.metadata(protocol));
            decoder.i16(); // The version. Every one begins as version 0 does, and that is enough.
            let subscription = ConsumerProtocolSubscription::decode(&mut decoder, 0).ok()?;
            topics.extend(subscription.topics.iter().map(ToString::to_string));
        }
        Some(topics)
    }
}
