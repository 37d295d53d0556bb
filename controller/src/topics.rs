//! Decisions about topics: create, delete, add partitions. Each takes the image and gives the
//! records to commit, and for every item of the request its result, in Kafka's own words.

pub mod create;
pub mod delete;
pub mod grow;
pub mod internal;
#[cfg(test)]
mod tests;

use protocol::ids::{BrokerId, Uuid};

use crate::decision::Refusal;
use crate::image::Image;
use crate::record::{PartitionRecord, Record};
use protocol::error::ErrorCode;

/// The most records one request may lead to; more is refused whole.
pub const RECORDS_PER_REQUEST_MAX: usize = 10_000;

/// What to do with the outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Do it.
    Commit,
    /// Only say what would happen.
    ValidateOnly,
}

/// The record of a partition nobody has written to.
fn new_partition(
    image: &Image,
    topic: Uuid,
    index: i32,
    replicas: &[BrokerId],
    isr: &[BrokerId],
) -> Record {
    let raw = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<i32>>();
    let directory = |id: &BrokerId| {
        image
            .broker(*id)
            .map_or(crate::image::DIRECTORY_UNASSIGNED, |broker| {
                broker.default_directory()
            })
    };
    Record::Partition(PartitionRecord {
        partition_id: index,
        topic_id: topic,
        replicas: raw(replicas),
        isr: raw(isr),
        leader: isr[0].0,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: replicas.iter().map(directory).collect(),
        ..PartitionRecord::default()
    })
}

/// The replicas that may be in sync from the start.
fn active(image: &Image, replicas: &[BrokerId]) -> Vec<BrokerId> {
    let is_active = |id: &&BrokerId| image.broker(**id).is_some_and(|broker| broker.is_active());
    replicas.iter().filter(is_active).copied().collect()
}

/// Checks the replicas a client chose by hand.
pub(crate) fn check_assignment(
    image: &Image,
    replicas: &[BrokerId],
    replication_factor: Option<usize>,
) -> Result<(), Refusal> {
    let refuse = |text: String| {
        Err(Refusal::new(
            ErrorCode::InvalidReplicaAssignment,
            format!("The manual partition assignment includes {text}"),
        ))
    };
    if replicas.is_empty() {
        return refuse("an empty replica list.".into());
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    for (at, id) in sorted.iter().enumerate() {
        if image.broker(*id).is_none() {
            return refuse(format!("broker {id}, but no such broker is registered."));
        }
        if at > 0 && sorted[at - 1] == *id {
            return refuse(format!("the broker {id} more than once."));
        }
    }
    match replication_factor {
        Some(expected) if expected != replicas.len() => refuse(format!(
            "a partition with {} replica(s), but this is not consistent with previous \
             partitions, which have {expected} replica(s).",
            replicas.len()
        )),
        _ => Ok(()),
    }
}

fn all_fenced(replication_factor: i16) -> Refusal {
    Refusal::new(
        ErrorCode::InvalidReplicationFactor,
        format!(
            "Unable to replicate the partition {replication_factor} time(s): \
             All brokers are currently fenced or in controlled shutdown."
        ),
    )
}

/// The refusal of a request that would write too many records.
pub fn too_large() -> Refusal {
    Refusal::new(
        ErrorCode::PolicyViolation,
        "Unable to perform excessively large batch operation.",
    )
}
