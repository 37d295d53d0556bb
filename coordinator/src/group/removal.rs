//! What goes: groups and offsets that an administrator deletes, offsets of deleted topics, offsets
//! that are too old (KIP-211), and groups of which nothing is left.
//!
//! Tombstones first; what is in memory goes when they are in the log. So a removal that cannot be
//! written has not happened.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::ids::{Offset, TimestampMs};
use protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

use super::membership::Group;
use super::record::{self, group_key, offset_key};
use super::request::Reply;
use super::state::State;
use super::work::{Timer, Work, millis};
use super::write::{Removal, Then, Write, commit_error};
use super::{Actions, Groups};
use crate::machine::{Record, Token};

/// How far the look for old offsets has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// This topic and partition of the group is next.
    Within(Rc<str>, (String, i32)),
    /// The next group is.
    After(Rc<str>),
}

/// Tombstones of one batch: far below any sensible `max.message.bytes`.
const BATCH_BYTES_MAX: usize = 256 << 10;

impl Groups {
    /// A group is to go.
    pub(super) fn delete(&mut self, now: TimestampMs, token: Token, id: &str, out: &mut Actions) {
        let (groups, mut work) = self.at_work(now, out);
        let error = match super::entry(groups, id) {
            None => ErrorCode::GroupIdNotFound,
            Some((id, group)) => match group.state() {
                State::Dead => ErrorCode::GroupIdNotFound,
                State::Empty => return remove_group(&id, group, Some(token), &mut work),
                State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                    ErrorCode::NonEmptyGroup
                }
            },
        };
        work.reply(token, Reply::Delete(error));
    }

    /// Offsets are to go, but those of topics that members are subscribed to.
    pub(super) fn delete_offsets(
        &mut self,
        now: TimestampMs,
        token: Token,
        request: &OffsetDeleteRequest<'static>,
        out: &mut Actions,
    ) {
        let (groups, mut work) = self.at_work(now, out);
        let found = super::entry(groups, &request.group_id);
        let error = match &found {
            None => ErrorCode::GroupIdNotFound,
            Some((_, group)) => match group.state() {
                State::Dead => ErrorCode::GroupIdNotFound,
                State::Empty => ErrorCode::None,
                _ if group.is_of_consumers() => ErrorCode::None,
                _ => ErrorCode::NonEmptyGroup,
            },
        };
        let mut response = OffsetDeleteResponse {
            error_code: error.code(),
            ..Default::default()
        };
        let (Some((id, group)), ErrorCode::None) = (found, error) else {
            return work.reply(token, Reply::DeleteOffsets(response));
        };
        let mut offsets = Vec::new();
        for topic in &request.topics {
            let in_use = group.state() != State::Empty
                && group
                    .subscribed()
                    .is_none_or(|topics| topics.contains(&*topic.name));
            let error = match in_use {
                true => ErrorCode::GroupSubscribedToTopic,
                false => ErrorCode::None,
            };
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let index = partition.partition_index;
                partitions.push(OffsetDeleteResponsePartition {
                    partition_index: index,
                    error_code: error.code(),
                });
                if !in_use && group.offsets.is_known(&topic.name, index) {
                    offsets.push((topic.name.to_string(), index));
                }
            }
            response.topics.push(OffsetDeleteResponseTopic {
                name: topic.name.clone(),
                partitions,
            });
        }
        if offsets.is_empty() {
            work.reply(token, Reply::DeleteOffsets(response));
        } else {
            write_tombstones(&id, offsets, None, Then::Answer(token, response), &mut work);
        }
    }

    /// Topics are deleted.
    pub(super) fn topics_deleted(
        &mut self,
        now: TimestampMs,
        topics: &[String],
        out: &mut Actions,
    ) {
        let (groups, mut work) = self.at_work(now, out);
        for (id, group) in groups.iter() {
            let known = topics.iter().flat_map(|topic| {
                let partitions = group.offsets.of_topic(topic).into_iter();
                partitions.map(move |partition| (topic.clone(), partition))
            });
            let offsets: Vec<_> = known.collect();
            if !offsets.is_empty() {
                write_tombstones(id, offsets, None, Then::Nothing, &mut work);
            }
        }
    }

    /// Looks for what is too old, and for groups of which nothing is left: so many offsets, then
    /// others are heard before it goes on.
    pub(super) fn look_for_expired(&mut self, now: TimestampMs, out: &mut Actions) {
        let retention_ms = millis(self.settings.offsets_retention);
        let mut left = self.settings.steps_max;
        let mut at = self.retention_at.take();
        while left > 0 {
            let Some((id, (topic, partition))) = next_group(&self.groups, at.as_ref()) else {
                let interval_ms = millis(self.settings.offsets_retention_check_interval).max(1);
                let timer = Timer::Retention;
                return self
                    .alarms
                    .set(&mut self.retention, now + interval_ms, timer);
            };
            let (groups, mut work) = self.at_work(now, out);
            let group = groups.get_mut(&id).expect("just seen");
            let looked = look_at(group, (&topic, partition), left, (now, retention_ms));
            match looked.expired.is_empty() {
                true => self.remove_if_idle(now, &id, out),
                false => write_tombstones(&id, looked.expired, None, Then::Nothing, &mut work),
            }
            // A group without offsets takes a step too.
            left -= looked.steps.clamp(1, left);
            at = Some(match looked.next {
                Some(next) => Place::Within(id, next),
                None => Place::After(id),
            });
        }
        self.retention_at = at;
        self.alarms
            .set(&mut self.retention, now + 1, Timer::Retention);
    }

    /// Tombstones are in the log, or are not.
    pub(super) fn finish_removal(
        &mut self,
        now: TimestampMs,
        removal: Removal,
        result: Result<Offset, ErrorCode>,
        out: &mut Actions,
    ) {
        let id = removal.group;
        if let (Ok(at), Some(group)) = (result, self.groups.get_mut(&id)) {
            for (topic, partition) in &removal.offsets {
                group.offsets.remove(topic, *partition, at);
            }
        }
        let (groups, mut work) = self.at_work(now, out);
        match removal.then {
            Then::Nothing => {}
            Then::Answer(token, mut response) => {
                let topics = response.topics.iter_mut();
                for partition in topics.flat_map(|topic| &mut topic.partitions) {
                    if let (Err(error), 0) = (result, partition.error_code) {
                        partition.error_code = commit_error(error).code();
                    }
                }
                work.reply(token, Reply::DeleteOffsets(response));
            }
            Then::GroupGoes(token) => {
                let error = result.err().map_or(ErrorCode::None, commit_error);
                if let Some(token) = token {
                    work.reply(token, Reply::Delete(error));
                }
                match (result, groups.get_mut(&id)) {
                    (Ok(_), _) => self.drop_group(&id),
                    (Err(_), Some(group)) => group.become_state(State::Empty, now),
                    (Err(_), None) => {}
                }
                return;
            }
            Then::MoreGoes(token, next) => {
                let group = groups
                    .get_mut(&id)
                    .expect("a dead group stays until all has gone");
                match result {
                    Ok(_) => remove_from(&id, group, next, token, &mut work),
                    Err(error) => {
                        group.become_state(State::Empty, now);
                        if let Some(token) = token {
                            work.reply(token, Reply::Delete(commit_error(error)));
                        }
                    }
                }
                return;
            }
        }
        if result.is_ok() {
            self.remove_if_idle(now, &id, out);
        }
    }

    /// A group of which nothing is left goes, with a tombstone if the log speaks of it.
    fn remove_if_idle(&mut self, now: TimestampMs, id: &Rc<str>, out: &mut Actions) {
        let (groups, mut work) = self.at_work(now, out);
        let Some(group) = groups.get_mut(id).filter(|group| group.is_idle()) else {
            return;
        };
        if group.generation > 0 {
            remove_group(id, group, None, &mut work);
        } else {
            self.drop_group(id);
        }
    }

    fn drop_group(&mut self, id: &Rc<str>) {
        if let Some(group) = self.groups.remove(id) {
            for (member, mut alarm) in group.pending {
                let timer = Timer::Pending(id.clone(), member);
                self.alarms.forget(&mut alarm, timer);
            }
            for producer in group.offsets.producers() {
                self.forget_producer(producer, id);
            }
        }
    }
}

/// A group without members goes, with all its offsets.
fn remove_group(id: &Rc<str>, group: &mut Group, token: Option<Token>, work: &mut Work<'_>) {
    group.become_state(State::Dead, work.now);
    remove_from(id, group, (String::new(), i32::MIN), token, work);
}

/// So many offsets of a dead group go, from a topic's partition on, and others are heard before the
/// next ones; at last the group.
fn remove_from(
    id: &Rc<str>,
    group: &Group,
    (topic, partition): (String, i32),
    token: Option<Token>,
    work: &mut Work<'_>,
) {
    let count_max = work.settings.steps_max;
    let (offsets, next) = group.offsets.known_from(&topic, partition, count_max);
    if let Some(next) = next {
        return write_tombstones(id, offsets, None, Then::MoreGoes(token, next), work);
    }
    // Of a group without generations the log has no record. An append it is nevertheless: the
    // group is gone when the log says so, and something has to say it.
    let last = (group.generation > 0 || offsets.is_empty()).then(|| group_key(id));
    write_tombstones(id, offsets, last, Then::GroupGoes(token), work);
}

/// Has tombstones appended for these offsets and, at last, for the key `last`.
fn write_tombstones(
    id: &Rc<str>,
    offsets: Vec<(String, i32)>,
    last: Option<Vec<u8>>,
    then: Then,
    work: &mut Work<'_>,
) {
    let mut records: Vec<Record> = Vec::new();
    let mut batch: Vec<(String, i32)> = Vec::new();
    let mut bytes = 0;
    for (topic, partition) in offsets {
        let key = offset_key(id, &topic, partition);
        if bytes > 0 && bytes + key.len() > BATCH_BYTES_MAX {
            let removal = Removal {
                group: id.clone(),
                offsets: std::mem::take(&mut batch),
                then: Then::Nothing,
            };
            let write = work.writes.next_id();
            let full = std::mem::take(&mut records);
            work.append(write, full, None, Write::Removal(removal));
            bytes = 0;
        }
        bytes += key.len();
        batch.push((topic, partition));
        records.push(record::tombstone(key));
    }
    records.extend(last.map(record::tombstone));
    let removal = Removal {
        group: id.clone(),
        offsets: batch,
        then,
    };
    let write = work.writes.next_id();
    work.append(write, records, None, Write::Removal(removal));
}

/// The group to look at next, and its topic and partition to begin with.
fn next_group(
    groups: &BTreeMap<Rc<str>, Group>,
    at: Option<&Place>,
) -> Option<(Rc<str>, (String, i32))> {
    let first = match at {
        None => Bound::Unbounded,
        Some(Place::Within(id, _)) => Bound::Included(&**id),
        Some(Place::After(id)) => Bound::Excluded(&**id),
    };
    let (id, _) = groups.range::<str, _>((first, Bound::Unbounded)).next()?;
    let from = match at {
        Some(Place::Within(within, from)) if within == id => from.clone(),
        _ => (String::new(), i32::MIN),
    };
    Some((id.clone(), from))
}

/// What a look at some of a group's offsets gave.
struct Looked {
    expired: Vec<(String, i32)>,
    steps: usize,
    /// The first that was not looked at.
    next: Option<(String, i32)>,
}

/// Looks at so many offsets of a group, from a topic's partition on, for those that are too old.
fn look_at(
    group: &Group,
    (topic, partition): (&str, i32),
    steps_max: usize,
    (now, retention_ms): (TimestampMs, i64),
) -> Looked {
    let mut looked = Looked {
        expired: Vec::new(),
        steps: 0,
        next: None,
    };
    let since_empty = match (&group.protocol_type, group.state()) {
        (Some(_), State::Empty) => group.state_since,
        (Some(_), State::Stable) if group.subscribed().is_some() => None,
        (None, _) => None,
        (Some(_), _) => return looked,
    };
    let in_use = |topic: &str| {
        group.state() == State::Stable
            && group
                .subscribed()
                .is_some_and(|topics| topics.contains(topic))
    };
    for (topic, partition, committed) in group.offsets.all_from(topic, partition) {
        if looked.steps == steps_max {
            looked.next = Some((topic.to_owned(), partition));
            break;
        }
        looked.steps += 1;
        let is_old = match committed.expire_timestamp {
            Some(at) => now >= at,
            None => {
                // A client may have said any time.
                let since = since_empty.unwrap_or(committed.commit_timestamp);
                now.0.saturating_sub(since.0) >= retention_ms
            }
        };
        if is_old && !in_use(topic) && !group.offsets.is_on_its_way(topic, partition) {
            looked.expired.push((topic.to_owned(), partition));
        }
    }
    looked
}
