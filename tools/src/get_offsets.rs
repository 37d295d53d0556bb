//! `chiplog get-offsets`: offsets of partitions, with kafka-get-offsets' flags and lines.

mod partition_rules;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::client::{Isolation, OffsetSpec, TopicPartition};
use crate::connect::{Connect, Output};
use crate::failure::Failure;
use crate::topic_filter::is_internal;

use partition_rules::Rules;

/// kafka-get-offsets' options, under its names.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    connect: Connect,
    /// Comma separated list of topic-partition patterns: a regular expression for topics, then
    /// optionally a colon and a partition, or a range of them such as 0-3, 5- or -3 (the upper
    /// bound is not part of it).
    #[arg(long, value_name = "topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3")]
    topic_partitions: Option<String>,
    /// A regular expression for the topics. Without it, all topics.
    #[arg(long, value_name = "topic")]
    topic: Option<String>,
    /// Comma separated list of partition ids. Without it, all partitions.
    #[arg(long, value_name = "partition ids")]
    partitions: Option<String>,
    /// Which offset: a timestamp in milliseconds for the first record not older, or -1 or latest,
    /// -2 or earliest, -3 or max-timestamp, -4 or earliest-local, -5 or latest-tiered.
    #[arg(long, default_value = "latest", allow_hyphen_values = true)]
    time: String,
    /// Leave internal topics out.
    #[arg(long)]
    exclude_internal_topics: bool,
    #[command(flatten)]
    output: Output,
}

/// Prints the offsets.
pub fn run(options: &Options) -> ExitCode {
    match get_offsets(options, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe() => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("Error occurred: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn get_offsets(options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let spec = offset_spec(&options.time)?;
    let rules = Rules::new(
        options.topic_partitions.as_deref(),
        options.topic.as_deref(),
        options.partitions.as_deref(),
    )?;
    let mut client = options.connect.client("GetOffsetShell")?;
    let mut wanted = BTreeMap::new();
    for topic in client.all_topics()? {
        if options.exclude_internal_topics && is_internal(&topic) {
            continue;
        }
        let partitions = topic.all_partitions();
        wanted.extend(partitions.filter(|at| rules.allow(at)).map(|at| (at, spec)));
    }
    if wanted.is_empty() {
        return Err(Failure::said(
            "Could not match any topic-partitions with the specified filters",
        ));
    }
    let mut found: BTreeMap<String, (TopicPartition, i64)> = BTreeMap::new();
    for (at, answer) in client.list_offsets(&wanted, Isolation::ReadUncommitted)? {
        match answer {
            Ok(answer) if answer.offset == -1 => {}
            Ok(answer) => {
                // Sorted as texts: `topic-10` comes before `topic-2`.
                found.insert(at.to_string(), (at, answer.offset));
            }
            Err(error) => eprintln!(
                "Skip getting offsets for topic-partition {at} due to error: {}: {error}",
                error.java_class()
            ),
        }
    }
    if options.output.is_json() {
        let rows = found.values().map(
            |(at, offset)| json!({"topic": at.topic, "partition": at.partition, "offset": offset}),
        );
        writeln!(out, "{}", json!(rows.collect::<Vec<_>>()))?;
        return Ok(());
    }
    for (at, offset) in found.values() {
        writeln!(out, "{}:{}:{offset}", at.topic, at.partition)?;
    }
    Ok(())
}

fn offset_spec(text: &str) -> Result<OffsetSpec, Failure> {
    Ok(match text {
        "latest" | "-1" => OffsetSpec::Latest,
        "earliest" | "-2" => OffsetSpec::Earliest,
        "max-timestamp" | "-3" => OffsetSpec::MaxTimestamp,
        "earliest-local" | "-4" => OffsetSpec::EarliestLocal,
        "latest-tiered" | "-5" => OffsetSpec::LatestTiered,
        number => match number.parse() {
            Ok(millis) => OffsetSpec::Timestamp(millis),
            Err(_) => {
                return Err(Failure::said(format!(
                    "Malformed time argument {number}. Please use -1 or latest / -2 or earliest / \
                     -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered, or a \
                     specified long format timestamp"
                )));
            }
        },
    })
}
