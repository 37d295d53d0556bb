//! The group coordinator's place on the shards.

use std::convert::Infallible;
use std::rc::Rc;

use controller::topic_name::CONSUMER_OFFSETS;
use coordinator::group::Settings;
use coordinator::group::request::{Reply, Request};
use coordinator::machine::Producer;
use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::Offset;

use super::internal_topic::partition_of;
use super::{AppendSettings, Coordinator, Driver, Drivers, consult, consult_each};
use crate::gather::Gather;
use crate::partition::{Partition, PartitionKey};
use crate::shard::Shard;

pub use coordinator::group::Groups;

impl Coordinator for Groups {
    const TOPIC: &'static str = CONSUMER_OFFSETS;

    fn new(shard: &Shard, _partition: &Partition) -> Self {
        let told = &shard.config.groups;
        Groups::new(Settings {
            session_timeout_min: told.session_timeout_min,
            session_timeout_max: told.session_timeout_max,
            initial_rebalance_delay: told.initial_rebalance_delay,
            members_max: told.members_max,
            offset_metadata_max: told.offset_metadata_bytes_max,
            offsets_retention: told.offsets_retention,
            offsets_retention_check_interval: told.offsets_retention_check_interval,
        })
    }

    fn drivers(shard: &Shard) -> &Drivers<Self> {
        &shard.groups
    }

    fn append_settings(shard: &Shard) -> AppendSettings {
        AppendSettings {
            timeout: shard.config.groups.offsets_commit_timeout,
            compression: shard.config.groups.offsets_compression,
        }
    }

    fn carry_out(_driver: &Rc<Driver<Self>>, effect: Infallible) {
        match effect {}
    }
}

/// Asks the coordinator of a group.
pub async fn ask(shard: &Rc<Shard>, group: &str, request: Request) -> Result<Reply, ErrorCode> {
    let key = partition_of(shard, CONSUMER_OFFSETS, group)?;
    consult::<Groups>(shard, key, request).await
}

/// Asks the coordinators of several groups; answered in the order of their ids.
pub async fn ask_each(
    shard: &Rc<Shard>,
    ids: Vec<String>,
    request: impl Fn(String) -> Request,
) -> Vec<(String, Result<Reply, ErrorCode>)> {
    let Some(first) = ids.first() else {
        return Vec::new();
    };
    if let Err(error) = partition_of(shard, CONSUMER_OFFSETS, first) {
        return ids.into_iter().map(|id| (id, Err(error))).collect();
    }
    let part = |id: &String| {
        let key = partition_of(shard, CONSUMER_OFFSETS, id).expect("the topic is there");
        (key, request(id.clone()))
    };
    let parts = ids.iter().map(part).collect();
    let answers = consult_each::<Groups>(shard, parts).await;
    ids.into_iter().zip(answers).collect()
}

/// Has the offsets forgotten that this shard's groups committed for topics that are deleted.
pub fn topics_deleted(shard: &Shard, topics: &[String]) {
    for driver in shard.groups.all() {
        let nobody_waits = Gather::new(1, |_| {});
        driver.consult(Request::TopicsDeleted(topics.to_vec()), nobody_waits, 0);
    }
}

/// Takes note of a transaction's marker that has been appended to a partition of this shard.
pub fn marker_appended(
    shard: &Shard,
    key: &PartitionKey,
    producer: Producer,
    result: TransactionResult,
    at: Offset,
) {
    if let Some(driver) = shard.groups.of(key) {
        driver.marker_appended(producer, result, at);
    }
}
