//! The group coordinator's place on the shards.

use std::convert::Infallible;
use std::rc::Rc;

use controller::topic_name::CONSUMER_OFFSETS;
use coordinator::group::Settings;
use coordinator::group::request::{Reply, Request};
use coordinator::machine::Producer;
use coordinator::transaction::TopicPartition;
use engine::append::Origin;
use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::Offset;

use super::internal_topic::partition_of;
use super::{
    AppendSettings, Coordinator, Driver, Drivers, consult, consult_as, consult_each, transactions,
};
use crate::gather::Gather;
use crate::handle::STEPS_MAX;
use crate::partition::{Partition, PartitionKey};
use crate::shard::Shard;
use crate::transactional_append::{BeginVerification, Transaction};

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
            steps_max: STEPS_MAX,
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
    if let Some(refusal) = request.refusal() {
        return Err(refusal);
    }
    let key = partition_of(shard, CONSUMER_OFFSETS, group)?;
    consult::<Groups>(shard, key, request).await
}

/// Asks the coordinator of a group to commit offsets in a producer's transaction, once that is
/// known to have the partition that keeps the group's offsets (KIP-890).
pub async fn ask_in_transaction(
    shard: &Rc<Shard>,
    group: &str,
    request: Request,
    transaction: &Transaction,
) -> Result<Reply, ErrorCode> {
    if let Some(refusal) = request.refusal() {
        return Err(refusal);
    }
    let key = partition_of(shard, CONSUMER_OFFSETS, group)?;
    let origin = verified_origin(shard, key, transaction)
        .await
        .map_err(told)?;
    consult_as::<Groups>(shard, key, request, origin).await
}

async fn verified_origin(
    shard: &Rc<Shard>,
    key: PartitionKey,
    transaction: &Transaction,
) -> Result<Origin, ErrorCode> {
    if !shard.live().transactions.partition_verification_enable {
        return Ok(Origin::Coordinator);
    }
    let producer = transaction.producer;
    let begin = BeginVerification { key, producer };
    let guard = shard.ask(shard.owner(&key), begin).await?;
    if guard.is_some() {
        let offsets = TopicPartition {
            topic: CONSUMER_OFFSETS.into(),
            partition: key.partition,
        };
        let (id, partitions) = (&transaction.transactional_id, [offsets].into());
        let refusals = transactions::verify(shard, id, producer, partitions).await;
        let refusal = refusals.map(|refusals| refusals.into_iter().next());
        match refusal {
            Ok(None) => {}
            Ok(Some((_, error))) | Err(error) => return Err(transaction.told(error)),
        }
    }
    Ok(Origin::GuardedCoordinator(guard))
}

/// What a committer is told of an error of the log or of the verification.
fn told(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        error => error,
    }
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
        let request = Request::TopicsDeleted(topics.to_vec());
        driver.consult(request, Origin::Coordinator, nobody_waits, 0);
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
