//! `chiplog transactions`: lists and describes transactions, finds and aborts hanging ones, with
//! kafka-transactions' subcommands, flags and lines.

mod abort;
mod find_hanging;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};

use crate::client::{Client, Error, TopicPartition};
use crate::connect::{Connect, Output};
use crate::failure::Failure;
use crate::java_order::{java_hash, map_order, partition_hash};

use table::Table;

/// kafka-transactions' options, under its names.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List transactions.
    List {
        /// Only those that run for longer, in milliseconds.
        #[arg(long, allow_negative_numbers = true)]
        duration_filter: Option<i64>,
    },
    /// Describe the state of an active transactional-id.
    Describe {
        /// The transactional id.
        #[arg(long)]
        transactional_id: String,
    },
    /// Describe the states of active producers for a topic partition.
    DescribeProducers {
        /// Ask this replica rather than the leader.
        #[arg(long)]
        broker_id: Option<i32>,
        /// The topic's name.
        #[arg(long)]
        topic: String,
        /// The partition's number.
        #[arg(long)]
        partition: i32,
    },
    /// Abort a hanging transaction.
    Abort(abort::Options),
    /// Find hanging transactions.
    FindHanging(find_hanging::Options),
}

/// Does it.
pub fn run(options: &Options) -> ExitCode {
    match act(options, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe() => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn act(options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let mut client = options.connect.client("chiplog-transactions")?;
    let table = match &options.command {
        Command::List { duration_filter } => list(&mut client, duration_filter.unwrap_or(-1))?,
        Command::Describe { transactional_id } => describe(&mut client, transactional_id)?,
        Command::DescribeProducers {
            broker_id,
            topic,
            partition,
        } => {
            let at = TopicPartition::new(topic, *partition);
            describe_producers(&mut client, *broker_id, at)?
        }
        Command::Abort(options) => return abort::abort(&mut client, options),
        Command::FindHanging(options) => find_hanging::find(&mut client, options)?,
    };
    Ok(table.print(options.output.is_json(), out)?)
}

/// As Kafka's tool says that something failed.
fn failed(what: &str, error: &Error) -> Failure {
    Failure::said(format!(
        "{what}: {error}. Enable debug logging for additional detail."
    ))
}

/// Milliseconds since 1970.
fn now_millis() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |since| since.as_millis() as i64)
}

fn list(client: &mut Client, duration_millis: i64) -> Result<Table, Failure> {
    let listed = client.list_transactions(&[], duration_millis);
    let listed = listed.map_err(|error| failed("Failed to list transactions", &error))?;
    let mut table = Table::new(&[
        "TransactionalId",
        "Coordinator",
        "ProducerId",
        "TransactionState",
    ]);
    for (broker, transaction) in listed {
        table.push(vec![
            transaction.transactional_id.into_owned(),
            broker.to_string(),
            transaction.producer_id.to_string(),
            transaction.transaction_state.into_owned(),
        ]);
    }
    Ok(table)
}

fn describe(client: &mut Client, id: &str) -> Result<Table, Failure> {
    let described = client.describe_transaction(id);
    let (coordinator, transaction) = described.map_err(|error| {
        let what = format!("Failed to describe transaction state of transactional-id `{id}`");
        failed(&what, &error)
    })?;
    let mut table = Table::new(&[
        "CoordinatorId",
        "TransactionalId",
        "ProducerId",
        "ProducerEpoch",
        "TransactionState",
        "TransactionTimeoutMs",
        "CurrentTransactionStartTimeMs",
        "TransactionDurationMs",
        "TopicPartitions",
    ]);
    let begun = Some(transaction.transaction_start_time_ms).filter(|begun| *begun >= 0);
    let or_none = |number: Option<i64>| number.map_or("None".to_owned(), |it| it.to_string());
    let mut partitions = Vec::new();
    for topic in &transaction.topics {
        let of_topic = topic.partitions.iter();
        partitions.extend(of_topic.map(|at| TopicPartition::new(topic.topic.as_ref(), *at)));
    }
    let count = partitions.len();
    let partitions = map_order(partitions, count, partition_hash);
    let partitions: Vec<String> = partitions.iter().map(TopicPartition::to_string).collect();
    table.push(vec![
        coordinator.to_string(),
        id.to_owned(),
        transaction.producer_id.to_string(),
        transaction.producer_epoch.to_string(),
        transaction.transaction_state.into_owned(),
        transaction.transaction_timeout_ms.to_string(),
        or_none(begun),
        or_none(begun.map(|begun| now_millis() - begun)),
        partitions.join(","),
    ]);
    Ok(table)
}

fn describe_producers(
    client: &mut Client,
    broker: Option<i32>,
    at: TopicPartition,
) -> Result<Table, Failure> {
    let whom = broker.map_or("leader".to_owned(), |id| format!("broker {id}"));
    let what = format!("Failed to describe producers for partition {at} on {whom}");
    let described = client.describe_producers(broker, std::slice::from_ref(&at));
    let mut described = described.map_err(|error| failed(&what, &error))?;
    let producers = described.remove(&at).unwrap_or(Ok(Vec::new()));
    let producers = producers.map_err(|error| failed(&what, &error))?;
    let mut table = Table::new(&[
        "ProducerId",
        "ProducerEpoch",
        "LatestCoordinatorEpoch",
        "LastSequence",
        "LastTimestamp",
        "CurrentTransactionStartOffset",
    ]);
    for producer in producers {
        let begun = producer.current_txn_start_offset;
        table.push(vec![
            producer.producer_id.to_string(),
            producer.producer_epoch.to_string(),
            producer.coordinator_epoch.max(-1).to_string(),
            producer.last_sequence.to_string(),
            producer.last_timestamp.to_string(),
            match begun {
                -1 => "None".to_owned(),
                begun => begun.to_string(),
            },
        ]);
    }
    Ok(table)
}

/// The order in which Kafka's tool meets topics.
fn in_map_order(names: Vec<String>) -> Vec<String> {
    map_order(names, 16, |name| java_hash(name))
}
