//! The transaction coordinator's place on the shards, and what it wants done: producer ids and
//! markers.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use controller::topic_name::TRANSACTION_STATE;
use coordinator::machine::Producer;
use coordinator::transaction::{Effect, Markers, Reply, Request, Settings, TopicPartition};
use protocol::batch::Compression;
use protocol::error::ErrorCode;

use super::internal_topic::partition_of;
use super::{AppendSettings, Coordinator, Driver, Drivers, consult};
use crate::markers::{self, Marker};
use crate::partition::Partition;
use crate::shard::Shard;

pub use coordinator::transaction::Coordinator as Transactions;

impl Coordinator for Transactions {
    const TOPIC: &'static str = TRANSACTION_STATE;

    fn new(shard: &Shard, partition: &Partition) -> Self {
        let told = &shard.config.transactions;
        let millis = |duration: std::time::Duration| duration.as_millis() as i64;
        let batch_bytes_max = match partition.log() {
            Ok(log) => log.config().batch_bytes_max as usize,
            Err(_) => 0, // Nothing can be written.
        };
        Transactions::new(Settings {
            coordinator_epoch: partition.leader().epoch(),
            timeout_ms_max: timeout_ms_max(shard),
            id_expiration_ms: millis(told.id_expiration),
            timed_out_check_interval_ms: millis(told.timed_out_check_interval),
            expired_check_interval_ms: millis(told.expired_check_interval),
            batch_bytes_max,
        })
    }

    fn drivers(shard: &Shard) -> &Drivers<Self> {
        &shard.transactions
    }

    fn append_settings(shard: &Shard) -> AppendSettings {
        AppendSettings {
            timeout: shard.config.request_timeout,
            compression: Compression::None,
        }
    }

    fn carry_out(driver: &Rc<Driver<Self>>, effect: Effect) {
        let driver = driver.clone();
        match effect {
            Effect::ProducerId(token) => ring::spawn(async move {
                let given = driver.shard.producer_ids.next(&driver.shard).await;
                driver.tell(move |machine, now, out| {
                    machine.on_producer_id(now, token, given, out);
                });
            }),
            Effect::WriteMarkers(markers) => ring::spawn(async move {
                let results = write_markers(&driver.shard, &markers).await;
                driver.tell(move |machine, now, out| {
                    machine.on_markers(now, markers.id, results, out);
                });
            }),
        }
    }
}

async fn write_markers(shard: &Rc<Shard>, markers: &Markers) -> Vec<(TopicPartition, ErrorCode)> {
    let marker = Marker {
        producer: markers.producer,
        result: markers.result,
        coordinator_epoch: markers.coordinator_epoch.0,
    };
    let partitions = &markers.partitions;
    let named = partitions.iter().map(|of| (&*of.topic, of.partition));
    let errors = markers::write(shard, marker, named).await;
    for (partition, error) in partitions.iter().zip(&errors) {
        let TopicPartition { topic, partition } = partition;
        let producer = marker.producer.id;
        match error {
            ErrorCode::None | ErrorCode::NotLeaderOrFollower => {}
            ErrorCode::UnknownTopicOrPartition => tracing::info!(
                "{topic}-{partition} is gone, so it needs no marker of producer {producer}"
            ),
            ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced => {
                tracing::warn!(
                    "{topic}-{partition} has seen a later producer or coordinator than this \
                     marker of producer {producer}: its transaction is left as it is"
                );
            }
            error => tracing::warn!(
                "{topic}-{partition} did not take the marker of producer {producer}, trying \
                 again: {}",
                error.name()
            ),
        }
    }
    partitions.iter().cloned().zip(errors).collect()
}

fn timeout_ms_max(shard: &Shard) -> i32 {
    shard.config.transactions.timeout_max.as_millis() as i32
}

/// Asks the coordinator of a transactional id.
pub async fn ask(shard: &Rc<Shard>, id: &str, request: Request) -> Result<Reply, ErrorCode> {
    if let Some(refusal) = request.refusal(timeout_ms_max(shard)) {
        return Err(refusal);
    }
    let key = partition_of(shard, TRANSACTION_STATE, id)?;
    match consult::<Transactions>(shard, key, request).await? {
        Reply::Refused(error) => Err(error),
        reply => Ok(reply),
    }
}

/// Asks whether partitions are part of a producer's transaction (KIP-890): each that is not, with
/// TRANSACTION_ABORTABLE; an error if there is no telling.
pub async fn verify(
    shard: &Rc<Shard>,
    id: &str,
    producer: Producer,
    partitions: BTreeSet<TopicPartition>,
) -> Result<Vec<(TopicPartition, ErrorCode)>, ErrorCode> {
    let transactional_id: Arc<str> = id.into();
    let request = Request::VerifyPartitions {
        transactional_id,
        producer,
        partitions,
    };
    match ask(shard, id, request).await? {
        Reply::Verified(mut results) => {
            results.retain(|(_, error)| *error != ErrorCode::None);
            Ok(results)
        }
        other => unreachable!("a verification is answered as one, not by {other:?}"),
    }
}
