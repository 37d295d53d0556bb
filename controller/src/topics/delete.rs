//! DeleteTopics, by name and by id.

use std::collections::{BTreeMap, BTreeSet};

use protocol::error::ErrorCode;
use protocol::ids::Uuid;

use crate::decision::{Decision, Refusal};
use crate::image::Image;
use crate::record::{Record, RemoveTopicRecord};

/// What a client wants deleted. Versions that know no ids leave the id zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// By name.
    pub name: Option<String>,
    /// Or by id.
    pub id: Uuid,
}

/// What became of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Its name, where it is known.
    pub name: Option<String>,
    /// Its id; zero where it is not known.
    pub id: Uuid,
    /// Why it was not deleted.
    pub result: Result<(), Refusal>,
}

/// Decides on all topics of one request.
pub fn delete(image: &Image, topics: &[Doomed]) -> Decision<Vec<Deleted>> {
    let mut asked = Asked::default();
    for topic in topics {
        asked.add(topic);
    }
    let mut outcome = asked.refused;
    for name in &asked.names.twice {
        let refusal = Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
        outcome.push(refused(Some(name.clone()), Uuid::ZERO, refusal));
    }
    for id in &asked.ids.twice {
        let refusal = Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic id.");
        outcome.push(refused(None, *id, refusal));
    }
    let mut found: BTreeMap<Uuid, String> = BTreeMap::new();
    for id in asked.ids.once {
        match image.topic_by_id(id) {
            Some(topic) => {
                found.insert(id, topic.name.to_string());
            }
            None => outcome.push(refused(
                None,
                id,
                Refusal::silent(ErrorCode::UnknownTopicId),
            )),
        }
    }
    for name in asked.names.once {
        let Some(topic) = image.topic(&name) else {
            let refusal = Refusal::silent(ErrorCode::UnknownTopicOrPartition);
            outcome.push(refused(Some(name), Uuid::ZERO, refusal));
            continue;
        };
        let is_second = asked.ids.twice.contains(&topic.id) || found.contains_key(&topic.id);
        if is_second {
            found.remove(&topic.id);
            asked.ids.twice.insert(topic.id);
            let text = "The provided topic name maps to an ID that was already supplied.";
            let refusal = Refusal::new(ErrorCode::InvalidRequest, text);
            outcome.push(refused(Some(name), topic.id, refusal));
        } else {
            found.insert(topic.id, name);
        }
    }
    let mut records = Vec::new();
    for (id, name) in found {
        records.push(Record::RemoveTopic(RemoveTopicRecord { topic_id: id }));
        outcome.push(Deleted {
            name: Some(name),
            id,
            result: Ok(()),
        });
    }
    Decision { records, outcome }
}

/// What was asked for once, and what more often.
struct Counted<T> {
    once: BTreeSet<T>,
    twice: BTreeSet<T>,
}

impl<T: Ord + Clone> Counted<T> {
    fn add(&mut self, item: T) {
        if self.twice.contains(&item) || !self.once.insert(item.clone()) {
            self.once.remove(&item);
            self.twice.insert(item);
        }
    }
}

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Self {
            once: BTreeSet::new(),
            twice: BTreeSet::new(),
        }
    }
}

#[derive(Default)]
struct Asked {
    names: Counted<String>,
    ids: Counted<Uuid>,
    refused: Vec<Deleted>,
}

impl Asked {
    fn add(&mut self, topic: &Doomed) {
        let refuse = |text: &str| Refusal::new(ErrorCode::InvalidRequest, text);
        match (&topic.name, topic.id.is_zero()) {
            (None, true) => {
                let refusal = refuse("Neither topic name nor id were specified.");
                self.refused.push(refused(None, Uuid::ZERO, refusal));
            }
            (None, false) => self.ids.add(topic.id),
            (Some(name), true) => self.names.add(name.clone()),
            (Some(name), false) => {
                let refusal = refuse("You may not specify both topic name and topic id.");
                self.refused
                    .push(refused(Some(name.clone()), topic.id, refusal));
            }
        }
    }
}

fn refused(name: Option<String>, id: Uuid, refusal: Refusal) -> Deleted {
    Deleted {
        name,
        id,
        result: Err(refusal),
    }
}
