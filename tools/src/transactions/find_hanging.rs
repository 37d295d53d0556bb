//! `transactions find-hanging`: transactions that are open in a partition for longer than any may
//! be, and that no coordinator is about to end.

use std::collections::BTreeMap;

use clap::Args;
use protocol::error::ErrorCode;
use protocol::messages::describe_producers::ProducerState;

use super::table::Table;
use super::{failed, in_map_order, now_millis};
use crate::client::{Client, Topic, TopicPartition};
use crate::failure::Failure;

/// How many partitions are asked about at once.
const PARTITIONS_AT_ONCE: usize = 500;

/// Where to look.
#[derive(Args)]
pub struct Options {
    /// Only partitions of this broker, which is asked.
    #[arg(long)]
    broker_id: Option<i32>,
    /// How long a transaction may be open, in minutes.
    #[arg(long, default_value_t = 15)]
    max_transaction_timeout: i64,
    /// Only this topic.
    #[arg(long)]
    topic: Option<String>,
    /// Only this partition of the topic.
    #[arg(long)]
    partition: Option<i32>,
}

type Open = (TopicPartition, ProducerState);

/// Finds them.
pub fn find(client: &mut Client, options: &Options) -> Result<Table, Failure> {
    if options.topic.is_none() && options.broker_id.is_none() {
        return Err(Failure::said(
            "The `find-hanging` command requires either --topic or --broker-id to limit the scope \
             of the search",
        ));
    }
    if options.partition.is_some() && options.topic.is_none() {
        return Err(Failure::said(
            "The --partition argument requires --topic to be provided",
        ));
    }
    let partitions = partitions(client, options)?;
    let open = open_for_too_long(client, options, &partitions)?;
    let mut table = Table::new(&[
        "Topic",
        "Partition",
        "ProducerId",
        "ProducerEpoch",
        "CoordinatorEpoch",
        "StartOffset",
        "LastTimestamp",
        "Duration(min)",
    ]);
    for (at, producer) in hanging(client, open)? {
        let minutes = (now_millis() - producer.last_timestamp) / 60_000;
        table.push(vec![
            at.topic,
            at.partition.to_string(),
            producer.producer_id.to_string(),
            producer.producer_epoch.to_string(),
            producer.coordinator_epoch.max(-1).to_string(),
            producer.current_txn_start_offset.to_string(),
            producer.last_timestamp.to_string(),
            minutes.to_string(),
        ]);
    }
    Ok(table)
}

fn partitions(client: &mut Client, options: &Options) -> Result<Vec<TopicPartition>, Failure> {
    if let (Some(topic), Some(partition)) = (&options.topic, options.partition) {
        return Ok(vec![TopicPartition::new(topic, partition)]);
    }
    let topics: Vec<Topic> = match &options.topic {
        Some(name) => {
            let topic = client.topic(name);
            vec![topic.map_err(|error| failed("Failed to describe 1 topics", &error))?]
        }
        None => {
            let all = client.all_topics();
            all.map_err(|error| failed("Failed to list topics", &error))?
        }
    };
    let is_held = |replicas: &[i32]| options.broker_id.is_none_or(|id| replicas.contains(&id));
    let mut partitions = Vec::new();
    let names = in_map_order(topics.iter().map(|topic| topic.name.clone()).collect());
    for name in names {
        let topic = topics.iter().find(|topic| topic.name == name);
        for partition in topic.iter().flat_map(|topic| &topic.partitions) {
            if is_held(&partition.replicas) {
                partitions.push(TopicPartition::new(&name, partition.index));
            }
        }
    }
    Ok(partitions)
}

fn open_for_too_long(
    client: &mut Client,
    options: &Options,
    partitions: &[TopicPartition],
) -> Result<Vec<Open>, Failure> {
    let limit_millis = options.max_transaction_timeout.saturating_mul(60_000);
    let mut open = Vec::new();
    for some in partitions.chunks(PARTITIONS_AT_ONCE) {
        let what = || {
            let broker = options.broker_id;
            let broker = broker.map_or("Optional.empty".to_owned(), |id| format!("Optional[{id}]"));
            format!(
                "Failed to describe producers for {} partitions on broker {broker}",
                some.len()
            )
        };
        let described = client.describe_producers(options.broker_id, some);
        for (at, producers) in described.map_err(|error| failed(&what(), &error))? {
            for producer in producers.map_err(|error| failed(&what(), &error))? {
                let age_millis = now_millis() - producer.last_timestamp;
                if producer.current_txn_start_offset >= 0 && age_millis > limit_millis {
                    open.push((at.clone(), producer));
                }
            }
        }
    }
    Ok(open)
}

/// Those that belong to no transactional id, or to one whose transaction has not this partition.
fn hanging(client: &mut Client, open: Vec<Open>) -> Result<Vec<Open>, Failure> {
    let mut producers: Vec<i64> = open
        .iter()
        .map(|(_, producer)| producer.producer_id)
        .collect();
    producers.sort_unstable();
    producers.dedup();
    if producers.is_empty() {
        return Ok(Vec::new());
    }
    let listed = client.list_transactions(&producers, -1).map_err(|error| {
        let what = format!(
            "Failed to list transactions for {} producers",
            producers.len()
        );
        failed(&what, &error)
    })?;
    let mut expected: BTreeMap<i64, Vec<TopicPartition>> = BTreeMap::new();
    for (_, transaction) in listed {
        match client.describe_transaction(&transaction.transactional_id) {
            Ok((_, described)) => {
                let partitions = expected.entry(transaction.producer_id).or_default();
                for topic in described.topics {
                    let of_topic = topic.partitions.iter();
                    let topic = topic.topic.as_ref();
                    partitions.extend(of_topic.map(|at| TopicPartition::new(topic, *at)));
                }
            }
            Err(error) if error.code() == Some(ErrorCode::TransactionalIdNotFound) => {}
            Err(error) => return Err(failed("Failed to describe 1 transactions", &error)),
        }
    }
    let will_end = |(at, producer): &Open| {
        let partitions = expected.get(&producer.producer_id);
        partitions.is_some_and(|partitions| partitions.contains(at))
    };
    Ok(open.into_iter().filter(|open| !will_end(open)).collect())
}
