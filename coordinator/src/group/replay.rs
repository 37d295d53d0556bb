//! The log read back: records become groups and offsets again.

use std::collections::HashSet;
use std::rc::Rc;

use protocol::batch::control::TransactionResult;
use protocol::ids::{Offset, ProducerId, TimestampMs};
use protocol::records::group::{GroupMetadataValue, MemberMetadata};

use super::member::Member;
use super::membership::Group;
use super::rebalance::prepare;
use super::record::{self, Key};
use super::state::State;
use super::work::Timer;
use super::{Actions, Groups};
use crate::machine::{BatchOrigin, ReplayError};

/// Records of groups from this version on have a rebalance timeout.
const REBALANCE_TIMEOUT_SINCE: i16 = 1;

impl Groups {
    /// Takes in one record.
    pub(super) fn replay_record(
        &mut self,
        origin: &BatchOrigin,
        at: Offset,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), ReplayError> {
        match Key::decode(key)? {
            Key::Offset(key) => {
                let committed = value.map(record::decode_offset).transpose()?;
                let (topic, partition) = (&*key.topic, key.partition);
                let id: Rc<str> = (&*key.group).into();
                let offsets = &mut self.groups.entry(id.clone()).or_default().offsets;
                match (origin.producer, committed) {
                    (None, Some(committed)) => offsets.put(topic, partition, at, committed),
                    (None, None) => offsets.remove(topic, partition, at),
                    (Some(producer), committed) => {
                        offsets.replay_in_transaction(producer.id, topic, partition, at, committed);
                        self.transactions.entry(producer.id).or_default().insert(id);
                    }
                }
            }
            Key::Group(key) => {
                let mut group = match value {
                    None => Group::default(),
                    Some(value) => {
                        let (value, version) = record::decode_group(value)?;
                        Group::of_record(&value, members(&value, version))
                    }
                };
                let known = self.groups.entry((&*key.group).into()).or_default();
                group.offsets = std::mem::take(&mut known.offsets);
                *known = group;
            }
        }
        Ok(())
    }

    /// A producer's transaction has ended: its offsets hold, or never did.
    pub(super) fn end_transaction(&mut self, producer: ProducerId, result: TransactionResult) {
        let Some(mut groups) = self.transactions.remove(&producer) else {
            return;
        };
        groups.retain(|id| {
            let group = self.groups.get_mut(id);
            group.is_some_and(|group| !group.offsets.end_transaction(producer, result))
        });
        if !groups.is_empty() {
            self.transactions.insert(producer, groups);
        }
    }

    /// All is read: the members' sessions begin.
    pub(super) fn begin(&mut self, now: TimestampMs, out: &mut Actions) {
        self.groups
            .retain(|_, group| group.generation > 0 || !group.is_idle());
        let (groups, mut work) = self.at_work(now, out);
        for (id, group) in groups.iter_mut() {
            for member in group.member_ids() {
                let state = group.member_mut(&member).expect("it is a member");
                work.renew_session(id, &member, state);
            }
            if group.state() == State::Stable && group.len() > work.settings.members_max {
                prepare(id, group, &mut work);
            }
        }
        self.alarms.set(&mut self.retention, now, Timer::Retention);
    }
}

/// The members of a record, each once.
fn members(value: &GroupMetadataValue<'_>, version: i16) -> Vec<(Rc<str>, Member)> {
    let mut members: Vec<(Rc<str>, Member)> = Vec::with_capacity(value.members.len());
    let (mut ids, mut instances) = (HashSet::new(), HashSet::new());
    for recorded in &value.members {
        let instance = recorded.group_instance_id.as_deref();
        if !ids.contains(&*recorded.member_id)
            && instance.is_none_or(|instance| instances.insert(instance))
        {
            ids.insert(&*recorded.member_id);
            let protocol = value.protocol.as_deref().unwrap_or_default();
            members.push((
                (&*recorded.member_id).into(),
                member(recorded, protocol, version),
            ));
        }
    }
    members
}

fn member(recorded: &MemberMetadata<'_>, protocol: &str, version: i16) -> Member {
    Member {
        instance: recorded.group_instance_id.as_deref().map(str::to_owned),
        client_id: recorded.client_id.to_string(),
        client_host: recorded.client_host.to_string(),
        session_timeout_ms: recorded.session_timeout,
        rebalance_timeout_ms: match version >= REBALANCE_TIMEOUT_SINCE {
            true => recorded.rebalance_timeout,
            false => recorded.session_timeout,
        },
        protocols: vec![(protocol.to_owned(), recorded.subscription.to_vec())],
        assignment: recorded.assignment.to_vec(),
        joining: None,
        syncing: None,
        is_new: false,
        session: Default::default(),
    }
}
