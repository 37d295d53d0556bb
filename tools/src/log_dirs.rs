//! `chiplog log-dirs`: the log directories of brokers and what is in them, with kafka-log-dirs'
//! flags and lines. What it prints is JSON in any case; `--output json` leaves out the two lines
//! before it.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use protocol::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResult,
};
use serde_json::json;

use crate::client::{Client, Error, TopicPartition};
use crate::connect::{Connect, Output};
use crate::failure::Failure;
use crate::java_order::{java_hash, map_order, partition_hash};

/// kafka-log-dirs' options, under its names.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    connect: Connect,
    /// REQUIRED: Describe the specified log directories on the specified brokers.
    #[arg(long)]
    describe: bool,
    /// The topics, in the form "topic1,topic2,topic3". All without it.
    #[arg(long, value_name = "Topic list", default_value = "")]
    topic_list: String,
    /// The brokers, in the form "0,1,2". All without it.
    #[arg(long, value_name = "Broker list", default_value = "")]
    broker_list: String,
    #[command(flatten)]
    output: Output,
}

/// Prints the directories.
pub fn run(options: &Options) -> ExitCode {
    match describe(options, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe() => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn describe(options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    if !options.describe {
        return Err(Failure::usage("Missing required argument \"[describe]\""));
    }
    let chosen = brokers(&options.broker_list)?;
    let topics: BTreeSet<&str> = words(&options.topic_list).collect();
    let mut client = options.connect.client("log-dirs-tool")?;
    client.retried(Client::refresh)?;
    let existing: BTreeSet<i32> = client.broker_ids().into_iter().collect();
    let missing: BTreeSet<i32> = chosen.difference(&existing).copied().collect();
    if !missing.is_empty() {
        return Err(Failure::said(format!(
            "ERROR: The given brokers do not exist from --broker-list: {}. Current existent \
             brokers: {}",
            joined(&missing),
            joined(&existing)
        )));
    }
    let asked = if chosen.is_empty() { existing } else { chosen };
    if !options.output.is_json() {
        writeln!(out, "Querying brokers for log directories information")?;
    }
    let mut described = Vec::new();
    for broker in &asked {
        let request = DescribeLogDirsRequest { topics: None };
        let answer = client.retried(|client| client.ask_broker(*broker, &request))?;
        Error::check(answer.error_code, None)?;
        let directories = answer.results;
        let directories = map_order(directories, 16, |directory| java_hash(&directory.log_dir));
        let directories: Vec<String> = directories
            .into_iter()
            .map(|directory| json_of(directory, &topics))
            .collect();
        described.push(object(vec![
            ("broker", broker.to_string()),
            ("logDirs", array(&directories)),
        ]));
    }
    if !options.output.is_json() {
        writeln!(
            out,
            "Received log directory information from brokers {}",
            joined(&asked)
        )?;
    }
    let all = vec![("version", "1".to_owned()), ("brokers", array(&described))];
    writeln!(out, "{}", object(all))?;
    Ok(())
}

fn json_of(directory: DescribeLogDirsResult<'_>, topics: &BTreeSet<&str>) -> String {
    let error = match Error::check(directory.error_code, None) {
        Ok(()) => "null".to_owned(),
        Err(error) => text(&error.java_class()),
    };
    let mut replicas: Vec<(TopicPartition, DescribeLogDirsPartition)> = Vec::new();
    for topic in directory.topics {
        if !topics.is_empty() && !topics.contains(topic.name.as_ref()) {
            continue;
        }
        for partition in topic.partitions {
            let at = TopicPartition::new(topic.name.as_ref(), partition.partition_index);
            replicas.push((at, partition));
        }
    }
    let replicas = map_order(replicas, 16, |(at, _)| partition_hash(at));
    let partitions = replicas.into_iter().map(|(at, replica)| {
        object(vec![
            ("partition", text(&at.to_string())),
            ("size", replica.partition_size.to_string()),
            ("offsetLag", replica.offset_lag.to_string()),
            ("isFuture", replica.is_future_key.to_string()),
        ])
    });
    let partitions: Vec<String> = partitions.collect();
    object(vec![
        ("logDir", text(&directory.log_dir)),
        ("error", error),
        ("partitions", array(&partitions)),
    ])
}

/// An object with its members in the order of Java's map.
fn object(members: Vec<(&str, String)>) -> String {
    let members = map_order(members, 16, |(name, _)| java_hash(name));
    let members = members
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", members.collect::<Vec<String>>().join(","))
}

fn array(elements: &[String]) -> String {
    format!("[{}]", elements.join(","))
}

fn text(value: &str) -> String {
    json!(value).to_string()
}

fn brokers(list: &str) -> Result<BTreeSet<i32>, Failure> {
    let id = |word: &str| {
        let wrong = |_| Failure::said(format!("For input string: \"{word}\""));
        word.parse().map_err(wrong)
    };
    words(list).map(id).collect()
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|word| !word.is_empty())
}

fn joined(ids: &BTreeSet<i32>) -> String {
    let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
    ids.join(",")
}
