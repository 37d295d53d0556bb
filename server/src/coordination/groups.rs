//! The group coordinator's place on the shards.

use std::convert::Infallible;
use std::rc::Rc;

use controller::topic_name::CONSUMER_OFFSETS;
use coordinator::group::Settings;
use coordinator::group::request::{Reply, Request};
use coordinator::machine::Producer;
use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{Offset, PartitionIndex};

use super::internal_topic::partition_of;
use super::{AppendSettings, Coordinator, Driver, Drivers, consult};
use crate::partition::PartitionKey;
use crate::shard::Shard;

pub use coordinator::group::Groups;

impl Coordinator for Groups {
    const TOPIC: &'static str = CONSUMER_OFFSETS;

    fn new(shard: &Shard, _partition: PartitionIndex) -> Self {
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

/// Takes note of a transaction's marker that has been appended to a partition of this shard.
#[allow(dead_code)]
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
