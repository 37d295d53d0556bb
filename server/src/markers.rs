//! The question "append the marker that ends this transaction" to the shards that own partitions.
//!
//! Asked by the transaction coordinator, and by whoever sends WriteTxnMarkers. A marker for a
//! partition of `__consumer_offsets` also ends the transaction for the group coordinator there.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use coordinator::machine::Producer;
use engine::append::Origin;
use protocol::batch::control::{EndMarker, TransactionResult};
use protocol::error::ErrorCode;
use protocol::ids::PartitionIndex;

use crate::clock;
use crate::coordination::groups;
use crate::gather::Gather;
use crate::mail::{Done, Question};
use crate::partition::{Acks, AppendOutcome, AppendWait, PartitionKey};
use crate::scatter::Scatter;
use crate::shard::Shard;

/// The end of a producer's transaction.
#[derive(Clone, Copy, Debug)]
pub struct Marker {
    /// Whose.
    pub producer: Producer,
    /// How.
    pub result: TransactionResult,
    /// The epoch of the coordinator that decided.
    pub coordinator_epoch: i32,
}

/// The partitions of one shard that get a marker; answered with an error code a partition.
struct MarkerQuestion {
    marker: Marker,
    deadline: Instant,
    partitions: Vec<PartitionKey>,
}

/// Appends a marker to partitions, for all replicas. Answers NONE, or why there is no marker, for
/// each; UNKNOWN_TOPIC_OR_PARTITION if there is no such partition.
pub async fn write<'a>(
    shard: &Rc<Shard>,
    marker: Marker,
    partitions: impl Iterator<Item = (&'a str, PartitionIndex)>,
) -> Vec<ErrorCode> {
    let deadline = ring::timer::now() + shard.config.request_timeout;
    let image = shard.image();
    let mut scatter = Scatter::new(shard.count());
    for (topic, partition) in partitions {
        let known = image.topic(topic);
        match known.filter(|known| known.partition(partition).is_some()) {
            None => scatter.answered(ErrorCode::UnknownTopicOrPartition),
            Some(known) => {
                let key = PartitionKey {
                    topic_id: known.id,
                    partition,
                };
                scatter.ask(shard.owner(&key), key);
            }
        }
    }
    let question = |partitions| MarkerQuestion {
        marker,
        deadline,
        partitions,
    };
    scatter.gather(shard, question).await
}

impl Question for MarkerQuestion {
    type Answer = Vec<ErrorCode>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Vec<ErrorCode>>) {
        let Marker {
            producer,
            result,
            coordinator_epoch,
        } = self.marker;
        let end = EndMarker {
            result,
            coordinator_epoch,
        };
        let batch = Bytes::from(end.batch(producer.id, producer.epoch, clock::now_ms()));
        let (home, keys) = (shard.clone(), self.partitions.clone());
        let gather = Gather::new(keys.len(), move |outcomes: Vec<AppendOutcome>| {
            for (key, outcome) in keys.iter().zip(&outcomes) {
                if outcome.error == ErrorCode::None {
                    let at = outcome.base_offset;
                    groups::marker_appended(&home, key, producer, result, at);
                }
            }
            done.put(outcomes.iter().map(|outcome| outcome.error).collect());
        });
        for (slot, key) in self.partitions.iter().enumerate() {
            let partition = shard.partition(key);
            // The image has it, or nobody would ask: its log could not be opened.
            let partition = partition.ok_or(ErrorCode::KafkaStorageError);
            let ready = partition.and_then(|partition| {
                partition.require_in_sync()?;
                Ok(partition)
            });
            match ready {
                Err(error) => gather.put(slot, AppendOutcome::refused(error)),
                Ok(partition) => {
                    let wait = AppendWait {
                        acks: Acks::All,
                        deadline: self.deadline,
                        gather: gather.clone(),
                        slot,
                    };
                    partition.append(batch.clone(), Origin::Coordinator, wait);
                }
            }
        }
    }
}
