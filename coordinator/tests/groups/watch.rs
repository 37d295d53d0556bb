//! What may happen to a group in one step: how it looks before and after is compared with what was
//! answered and written between. Each check has its name.

use std::collections::{BTreeMap, BTreeSet};

use coordinator::group::Groups;
use coordinator::group::request::{Reply, Request};
use coordinator::machine::{Action, Machine, Token};
use protocol::error::ErrorCode;
use protocol::ids::TimestampMs;
use protocol::messages::join_group::JoinGroupResponse;

use super::client::topics_of;
use super::log::{Place, Spoken, understand};
use super::world::{GROUPS, OFFSETS_RETENTION_MS, Pending, World};

/// As clients join with.
pub const SESSION_TIMEOUT_MS: i32 = 10_000;
/// As clients join with.
pub const REBALANCE_TIMEOUT_MS: i32 = 20_000;

/// A group as DescribeGroups tells it.
#[derive(Clone, Debug, Default)]
pub struct Look {
    pub state: String,
    /// By id, with the names of static ones.
    members: BTreeMap<String, Option<String>>,
    /// What the members of a stable group are subscribed to.
    pub topics: BTreeSet<String>,
}

/// What made the machine take a step.
#[derive(Clone, Debug)]
pub enum Cause {
    /// A member of the group asks to join, with this id.
    Join(&'static str, String),
    Time,
    Other,
}

/// What the checks remember.
#[derive(Default)]
pub struct Watch {
    /// How the groups look since the last step; nothing before the first, and after a crash.
    looks: Vec<Look>,
    /// The latest generation that began, and when.
    begun: BTreeMap<&'static str, (i32, TimestampMs)>,
    /// When a group last had members.
    inhabited: BTreeMap<&'static str, TimestampMs>,
    /// When it last was stable: that is in the log.
    stable: BTreeMap<&'static str, TimestampMs>,
    /// The ids that members are to come back with, and when they were given.
    given_ids: BTreeMap<(&'static str, String), TimestampMs>,
    /// When each offset was committed: clients commit each only once.
    pub committed: BTreeMap<i64, TimestampMs>,
}

impl Watch {
    /// Only what is in the log is left.
    pub fn crashed(&mut self) {
        self.looks.clear();
        self.begun.clear();
        self.given_ids.clear();
        for (group, at) in &mut self.inhabited {
            // Members that came after that are forgotten, and when the group had become empty before
            // is in its record.
            *at = self.stable.get(group).copied().unwrap_or(TimestampMs(0));
        }
    }

    /// The group is gone, with all who were to come back.
    pub fn group_gone(&mut self, group: &'static str) {
        self.begun.remove(group);
        self.given_ids.retain(|(of, _), _| *of != group);
    }

    /// A member does not come back.
    pub fn forget_id(&mut self, group: &'static str, id: &str) {
        self.given_ids.remove(&(group, id.to_owned()));
    }
}

impl World {
    /// How a group looks since the last step.
    pub fn look(&mut self, group: &str) -> Look {
        let known = GROUPS.iter().position(|of| *of == group);
        let at = known.expect("one of ours");
        if self.watch.looks.is_empty() {
            self.watch.looks = GROUPS.map(|group| self.look_now(group)).to_vec();
        }
        self.watch.looks[at].clone()
    }

    fn look_now(&mut self, group: &str) -> Look {
        let mut out = Vec::new();
        let request = Request::Describe(group.to_owned());
        let nobody = Token(u64::MAX);
        self.machine.on_request(self.now, nobody, request, &mut out);
        let Some(Action::Reply(_, Reply::Describe(described))) = out.pop() else {
            panic!("a description is given at once");
        };
        let members = described.members.iter();
        let topics = members.clone().flat_map(|member| {
            let known = described.group_state == "Stable";
            known.then(|| topics_of(&member.member_metadata))
        });
        Look {
            state: described.group_state.to_string(),
            topics: topics.flatten().collect(),
            members: members
                .map(|member| {
                    let instance = member.group_instance_id.as_deref();
                    (member.member_id.to_string(), instance.map(str::to_owned))
                })
                .collect(),
        }
    }

    /// Has the machine take a step.
    pub fn call(
        &mut self,
        cause: &Cause,
        call: impl FnOnce(&mut Groups, &mut Vec<Action<Groups>>),
    ) {
        let before = GROUPS.map(|group| self.look(group));
        let mut out = Vec::new();
        call(&mut self.machine, &mut out);
        self.watch.looks.clear();
        for (group, before) in GROUPS.into_iter().zip(before) {
            let after = self.look_now(group);
            if !before.members.is_empty() || !after.members.is_empty() {
                self.watch.inhabited.insert(group, self.now);
            }
            if after.state == "Stable" {
                self.watch.stable.insert(group, self.now);
            }
            self.check_joins(group, cause, &out, (&before, &after));
            if matches!(cause, Cause::Time) {
                self.check_expiry(group, &before, &out);
                self.check_that_all_sync(group, &after, &out);
            }
            self.watch.looks.push(after);
        }
        self.carry_out(out);
    }

    fn check_joins(
        &mut self,
        group: &'static str,
        cause: &Cause,
        out: &[Action<Groups>],
        (before, after): (&Look, &Look),
    ) {
        let answers: Vec<&JoinGroupResponse<'_>> = out
            .iter()
            .filter_map(|action| match action {
                Action::Reply(token, Reply::Join(response)) => {
                    let asked = self.asked.get(token)?;
                    (self.clients[asked.client].group == group).then_some(response)
                }
                _ => None,
            })
            .collect();
        if let Cause::Join(of, id) = cause
            && *of == group
        {
            self.watch.forget_id(group, id);
        }
        for answer in &answers {
            if answer.error_code == ErrorCode::MemberIdRequired.code() {
                let id = answer.member_id.to_string();
                self.watch.given_ids.insert((group, id), self.now);
            }
        }
        let joined = answers.iter().filter(|answer| answer.error_code == 0);
        let joined: Vec<_> = joined.copied().collect();
        if joined.is_empty() || after.state != "CompletingRebalance" {
            return;
        }
        let leaders: BTreeSet<_> = joined.iter().map(|answer| &*answer.leader).collect();
        assert_eq!(leaders.len(), 1, "ONE LEADER: {leaders:?} of {group}");
        for leader in joined.iter().filter(|of| of.leader == of.member_id) {
            let listed = leader.members.iter().map(|of| of.member_id.to_string());
            let all: BTreeSet<_> = after.members.keys().cloned().collect();
            assert_eq!(
                listed.collect::<BTreeSet<_>>(),
                all,
                "THE LEADER KNOWS ALL: {group}"
            );
        }
        let generation = joined[0].generation_id;
        if self
            .watch
            .begun
            .get(group)
            .is_some_and(|(known, _)| *known == generation)
        {
            return;
        }
        self.watch.begun.insert(group, (generation, self.now));
        for (id, instance) in &after.members {
            let has_joined = joined.iter().any(|answer| *answer.member_id == **id);
            assert!(
                instance.is_some() || has_joined,
                "WHO IS IN HAS JOINED: {id} of {group} in generation {generation}"
            );
        }
        if let Cause::Join(of, asked_with) = cause
            && *of == group
        {
            self.check_that_nobody_was_left_behind(group, asked_with, (before, after));
        }
    }

    /// A generation that begins because somebody joins waits for all others: it is time that goes
    /// on without them.
    fn check_that_nobody_was_left_behind(
        &self,
        group: &'static str,
        asked_with: &str,
        (before, after): (&Look, &Look),
    ) {
        for (id, instance) in &before.members {
            let has_new_id = instance.is_some() && after.members.values().any(|of| of == instance);
            assert!(
                after.members.contains_key(id) || has_new_id || id == asked_with,
                "NOBODY IS LEFT BEHIND: {id} of {group}"
            );
        }
        for ((of, id), given) in &self.watch.given_ids {
            assert!(
                *of != group || self.now - *given >= i64::from(SESSION_TIMEOUT_MS),
                "NOBODY IS LEFT BEHIND: {id} was to come back to {group}"
            );
        }
    }

    /// Offsets go when they are old, and nobody consumes the topic.
    fn check_expiry(&self, group: &'static str, before: &Look, out: &[Action<Groups>]) {
        for place in tombstones(out).filter(|place| place.0 == group) {
            let again = self.pending.iter().any(|pending| match pending {
                Pending::Append(append) if append.producer.is_none() => {
                    let mut records = append.records.iter().map(understand);
                    records.any(|spoken| matches!(spoken, Spoken::Of(p, Some(_)) if p == place))
                }
                Pending::Append(_) | Pending::Marker(..) => false,
            });
            assert!(
                !again,
                "ONLY WHAT IS OLD EXPIRES: {place:?} is being committed"
            );
            let Some((offset, _)) = self.log.committed().remove(&place) else {
                continue;
            };
            let age_ms = self.now - self.watch.committed[&offset];
            let empty_ms = self.watch.inhabited.get(group).map(|at| self.now - *at);
            let (since_ms, in_use) = match (&*before.state, empty_ms) {
                ("Stable", _) => (age_ms, before.topics.contains(&place.1)),
                (_, Some(empty_ms)) => (empty_ms, false),
                (_, None) => (age_ms, false),
            };
            assert!(
                since_ms >= OFFSETS_RETENTION_MS && !in_use,
                "ONLY WHAT IS OLD EXPIRES: {place:?} after {since_ms} ms, in use: {in_use}"
            );
        }
    }

    /// A group does not wait for ever for members who do not ask for their assignment.
    fn check_that_all_sync(&self, group: &'static str, after: &Look, out: &[Action<Groups>]) {
        if after.state != "CompletingRebalance" || !self.pending.is_empty() || !out.is_empty() {
            return;
        }
        if let Some((generation, since)) = self.watch.begun.get(group) {
            assert!(
                self.now - *since <= i64::from(REBALANCE_TIMEOUT_MS),
                "SYNC IN TIME: generation {generation} of {group} since {since}"
            );
        }
    }
}

/// The places whose offsets are taken away.
pub fn tombstones(out: &[Action<Groups>]) -> impl Iterator<Item = Place> {
    let records = out.iter().flat_map(|action| match action {
        Action::Append(append) => &append.records[..],
        _ => &[],
    });
    records.filter_map(|record| match understand(record) {
        Spoken::Of(place, None) => Some(place),
        _ => None,
    })
}
