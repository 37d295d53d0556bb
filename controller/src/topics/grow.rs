//! CreatePartitions: more partitions for a topic that exists.

use std::collections::BTreeSet;

use protocol::error::ErrorCode;
use protocol::ids::BrokerId;

use super::{
    Mode, RECORDS_PER_REQUEST_MAX, active, all_fenced, check_assignment, new_partition, too_large,
};
use crate::decision::{Decision, Draw, Refusal};
use crate::image::{Image, Topic};
use crate::placement::place;
use crate::record::Record;

/// A topic that is to have more partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The topic.
    pub name: String,
    /// How many partitions it is to have in all.
    pub count: i32,
    /// Replicas of the new partitions, in order, where the client chose them.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// One result for every topic.
pub type Results = Vec<(String, Result<(), Refusal>)>;

/// Decides on all topics of one request. An `Err` refuses the request whole.
pub fn grow(
    image: &Image,
    topics: &[Growth],
    mode: Mode,
    draw: &mut dyn Draw,
) -> Result<Decision<Results>, Refusal> {
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for topic in topics {
        if !seen.insert(&*topic.name) {
            twice.insert(&*topic.name);
        }
    }
    let mut results = Results::new();
    for name in &twice {
        let refusal = Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
        results.push(((*name).into(), Err(refusal)));
    }
    let mut records = Vec::new();
    for topic in topics.iter().filter(|topic| !twice.contains(&*topic.name)) {
        let result = grow_one(image, topic, draw).map(|more| records.extend(more));
        if records.len() > RECORDS_PER_REQUEST_MAX {
            return Err(too_large());
        }
        results.push((topic.name.clone(), result));
    }
    if mode == Mode::ValidateOnly {
        records.clear();
    }
    Ok(Decision {
        records,
        outcome: results,
    })
}

fn grow_one(image: &Image, growth: &Growth, draw: &mut dyn Draw) -> Result<Vec<Record>, Refusal> {
    let topic = image
        .topic(&growth.name)
        .ok_or(Refusal::silent(ErrorCode::UnknownTopicOrPartition))?;
    let present = topic.partitions.len();
    let additional = check_count(growth, present)?;
    if let Some(assignments) = &growth.assignments
        && assignments.len() != additional
    {
        return Err(Refusal::new(
            ErrorCode::InvalidReplicaAssignment,
            format!(
                "Attempted to add {additional} additional partition(s), but only {} \
                 assignment(s) were specified.",
                assignments.len()
            ),
        ));
    }
    if additional > RECORDS_PER_REQUEST_MAX {
        return Err(too_large());
    }
    let factor = replication_factor(topic)?;
    let placed = match &growth.assignments {
        Some(assignments) => assigned(image, assignments, factor, present)?,
        None => place(image, additional as i32, factor as i16, draw)
            .map_err(|reason| Refusal::new(ErrorCode::InvalidReplicationFactor, reason))?,
    };
    let records = (present as i32..).zip(placed).map(|(index, replicas)| {
        let isr = active(image, &replicas);
        if isr.is_empty() {
            return Err(all_fenced(factor as i16));
        }
        Ok(new_partition(image, topic.id, index, &replicas, &isr))
    });
    records.collect()
}

/// How many partitions come on top.
fn check_count(growth: &Growth, present: usize) -> Result<usize, Refusal> {
    let refuse = |text: String| Err(Refusal::new(ErrorCode::InvalidPartitions, text));
    match usize::try_from(growth.count) {
        Ok(count) if count == present => {
            refuse(format!("Topic already has {present} partition(s)."))
        }
        Ok(count) if count > present => Ok(count - present),
        _ => refuse(format!(
            "The topic {} currently has {present} partition(s); {} would not be an increase.",
            growth.name, growth.count
        )),
    }
}

fn replication_factor(topic: &Topic) -> Result<usize, Refusal> {
    match topic.partitions.values().next() {
        Some(first) => Ok(first.replicas.len()),
        None => Err(Refusal::new(
            ErrorCode::UnknownServerError,
            format!(
                "Invalid state: topic {} appears to have no partitions.",
                topic.name
            ),
        )),
    }
}

fn assigned(
    image: &Image,
    assignments: &[Vec<BrokerId>],
    factor: usize,
    present: usize,
) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    for (index, replicas) in (present..).zip(assignments) {
        check_assignment(image, replicas, Some(factor))?;
        if active(image, replicas).is_empty() {
            return Err(Refusal::new(
                ErrorCode::InvalidReplicaAssignment,
                format!(
                    "All brokers specified in the manual partition assignment for partition \
                     {index} are fenced or in controlled shutdown."
                ),
            ));
        }
    }
    Ok(assignments.to_vec())
}
