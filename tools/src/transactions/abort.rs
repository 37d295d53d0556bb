//! `transactions abort`: writes the marker that a hanging transaction waits for.

use clap::Args;

use super::failed;
use crate::client::{Client, HangingTransaction, TopicPartition};
use crate::failure::Failure;

/// Which transaction.
#[derive(Args)]
pub struct Options {
    /// The topic's name.
    #[arg(long)]
    topic: String,
    /// The partition's number.
    #[arg(long)]
    partition: i32,
    /// Where the transaction begins; all that is needed for brokers from 3.0 on.
    #[arg(long)]
    start_offset: Option<i64>,
    /// For older brokers: the producer's id.
    #[arg(long)]
    producer_id: Option<i64>,
    /// For older brokers: the producer's epoch.
    #[arg(long)]
    producer_epoch: Option<i16>,
    /// For older brokers: the coordinator's epoch.
    #[arg(long, allow_negative_numbers = true)]
    coordinator_epoch: Option<i32>,
}

/// Aborts it.
pub fn abort(client: &mut Client, options: &Options) -> Result<(), Failure> {
    let at = TopicPartition::new(&options.topic, options.partition);
    let transaction = match (options.start_offset, options.producer_id) {
        (Some(offset), _) => find(client, &at, offset)?,
        (None, Some(producer_id)) => {
            let missing = |name: &str| Failure::said(format!("Missing required argument --{name}"));
            let epoch = options
                .producer_epoch
                .ok_or_else(|| missing("producer-epoch"))?;
            let coordinator = options.coordinator_epoch;
            let coordinator = coordinator.ok_or_else(|| missing("coordinator-epoch"))?;
            HangingTransaction {
                producer_id,
                producer_epoch: epoch,
                // A producer's first transaction has seen none; 0 is not above any.
                coordinator_epoch: coordinator.max(0),
            }
        }
        (None, None) => {
            return Err(Failure::said(
                "The transaction to abort must be identified either with --start-offset (for \
                 brokers on 3.0 or above) or with --producer-id, --producer-epoch, and \
                 --coordinator-epoch (for older brokers)",
            ));
        }
    };
    client.abort_transaction(&at, transaction).map_err(|error| {
        let what = format!(
            "Failed to abort transaction AbortTransactionSpec(topicPartition={at}, producerId={}, \
             producerEpoch={}, coordinatorEpoch={})",
            transaction.producer_id, transaction.producer_epoch, transaction.coordinator_epoch
        );
        failed(&what, &error)
    })
}

fn find(
    client: &mut Client,
    at: &TopicPartition,
    offset: i64,
) -> Result<HangingTransaction, Failure> {
    let what = format!("Failed to validate producer state for partition {at}");
    let described = client.describe_producers(None, std::slice::from_ref(at));
    let mut described = described.map_err(|error| failed(&what, &error))?;
    let producers = described.remove(at).unwrap_or(Ok(Vec::new()));
    let producers = producers.map_err(|error| failed(&what, &error))?;
    let mut producers = producers.iter();
    let producer = producers.find(|producer| producer.current_txn_start_offset == offset);
    match producer {
        Some(producer) => Ok(HangingTransaction {
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch as i16,
            coordinator_epoch: producer.coordinator_epoch.max(0),
        }),
        None => Err(Failure::said(format!(
            "Could not find any open transactions starting at offset {offset} on partition {at}"
        ))),
    }
}
