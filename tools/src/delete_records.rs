//! `chiplog delete-records`: deletes records before given offsets, with kafka-delete-records' flags
//! and lines.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use serde_json::{Value, json};

use crate::client::{ByPartition, Client, Error, TopicPartition};
use crate::connect::{Connect, Output, required};
use crate::failure::Failure;
use crate::java_order::{map_order, partition_hash};

/// kafka-delete-records' options, under its names.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    connect: Connect,
    /// REQUIRED: The JSON file with an offset for each partition:
    /// {"partitions": [{"topic": "foo", "partition": 1, "offset": 1}], "version": 1}.
    /// Records before the offset are deleted; -1 means all there are.
    #[arg(long, value_name = "Offset json file path")]
    offset_json_file: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// Deletes the records.
pub fn run(options: &Options) -> ExitCode {
    match delete(options, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe() => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn delete(options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let path = required(options.offset_json_file.as_ref(), "offset-json-file")?;
    let mut client = options.connect.client("chiplog-delete-records")?;
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::said(format!("{}: {error}", path.display())))?;
    let offsets = parse(&text)?;
    let is_json = options.output.is_json();
    if !is_json {
        writeln!(out, "Executing records delete operation")?;
    }
    let answers = delete_before(&mut client, &offsets)?;
    if is_json {
        let rows = answers.iter().map(|(at, answer)| match answer {
            Ok(low) => {
                json!({"topic": at.topic, "partition": at.partition, "lowWatermark": low})
            }
            Err(error) => json!({
                "topic": at.topic, "partition": at.partition, "error": error.to_string(),
            }),
        });
        writeln!(out, "{}", json!(rows.collect::<Vec<_>>()))?;
        return Ok(());
    }
    writeln!(out, "Records delete operation completed:")?;
    for (at, answer) in map_order(answers.into_iter().collect(), 16, |(at, _)| {
        partition_hash(at)
    }) {
        match answer {
            Ok(low) => writeln!(out, "partition: {at}\tlow_watermark: {low}")?,
            Err(error) => {
                writeln!(
                    out,
                    "partition: {at}\terror: {}: {error}",
                    error.java_class()
                )?;
            }
        }
    }
    Ok(())
}

/// Gives the first offset that is left of each partition.
fn delete_before(
    client: &mut Client,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> Result<ByPartition<i64>, Error> {
    client.ask_leaders(offsets.keys().cloned(), |client, leader, partitions| {
        let wanted = partitions.iter().map(|at| (at, offsets[at]));
        let topics = TopicPartition::by_topic(wanted).into_iter();
        let partition = |(partition_index, offset)| DeleteRecordsPartition {
            partition_index,
            offset,
        };
        let request = DeleteRecordsRequest {
            topics: topics
                .map(|(name, wanted)| DeleteRecordsTopic {
                    name: name.into(),
                    partitions: wanted.into_iter().map(partition).collect(),
                })
                .collect(),
            timeout_ms: client.settings().request_timeout.as_millis() as i32,
        };
        let answer = client.ask_broker(leader, &request)?;
        let mut answers = ByPartition::new();
        for topic in answer.topics {
            for partition in topic.partitions {
                let at = TopicPartition::new(topic.name.as_ref(), partition.partition_index);
                let checked = Error::check(partition.error_code, None);
                answers.insert(at, checked.map(|()| partition.low_watermark));
            }
        }
        Ok(answers)
    })
}

/// Reads the file. A partition may stand in it only once.
fn parse(text: &str) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
    let json: Value = serde_json::from_str(text)
        .map_err(|_| Failure::said("The input string is not a valid JSON"))?;
    match json.get("version").map(Value::as_i64) {
        None | Some(Some(1)) => {}
        Some(_) => {
            return Err(Failure::said(format!(
                "Not supported version field value {}",
                json["version"]
            )));
        }
    }
    let partitions = json
        .get("partitions")
        .and_then(Value::as_array)
        .ok_or_else(|| Failure::said("Missing partitions field"))?;
    let mut offsets = BTreeMap::new();
    let mut twice = Vec::new();
    for entry in partitions {
        let topic = entry.get("topic").and_then(Value::as_str);
        let partition = entry.get("partition").and_then(Value::as_i64);
        let partition = partition.and_then(|index| i32::try_from(index).ok());
        let offset = entry.get("offset").and_then(Value::as_i64);
        let (Some(topic), Some(partition), Some(offset)) = (topic, partition, offset) else {
            return Err(Failure::said(format!(
                "A partition needs a topic, a partition and an offset: {entry}"
            )));
        };
        let at = TopicPartition::new(topic, partition);
        if offsets.insert(at.clone(), offset).is_some() {
            twice.push(at.to_string());
        }
    }
    match twice.is_empty() {
        true => Ok(offsets),
        false => Err(Failure::said(format!(
            "Offset json file contains duplicate topic partitions: {}",
            twice.join(",")
        ))),
    }
}
