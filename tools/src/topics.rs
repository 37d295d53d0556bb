//! `chiplog topics`: creates, lists, describes, alters and deletes topics, with kafka-topics'
//! flags and lines.

mod create;
mod describe;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use protocol::messages::delete_topics::DeleteTopicsRequest;
use serde_json::json;

use crate::client::{Client, Topic};
use crate::connect::{Connect, Output, required};
use crate::failure::Failure;
use crate::topic_filter::{TopicFilter, is_internal};

/// kafka-topics' options, under its names.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    action: Action,
    /// The topic; a regular expression, except for --create.
    #[arg(long, value_name = "topic")]
    topic: Option<String>,
    /// The id of the topic to describe.
    #[arg(long, value_name = "topic-id")]
    topic_id: Option<String>,
    /// A setting of the topic to be created; may be given several times.
    #[arg(long, value_name = "name=value")]
    config: Vec<String>,
    /// The number of partitions of the topic; without it, the cluster's default.
    #[arg(long, value_name = "# of partitions", allow_negative_numbers = true)]
    partitions: Option<i32>,
    /// The number of replicas of each partition; without it, the cluster's default.
    #[arg(long, value_name = "replication factor", allow_negative_numbers = true)]
    replication_factor: Option<i32>,
    /// The brokers of each partition.
    #[arg(long, value_name = "broker_id_for_part1_replica1:..., ...")]
    replica_assignment: Option<String>,
    /// When describing, only partitions that have fewer in-sync replicas than replicas.
    #[arg(long)]
    under_replicated_partitions: bool,
    /// When describing, only partitions whose leader is not available.
    #[arg(long)]
    unavailable_partitions: bool,
    /// When describing, only partitions that have fewer in-sync replicas than min.insync.replicas.
    #[arg(long)]
    under_min_isr_partitions: bool,
    /// When describing, only partitions that have exactly min.insync.replicas in sync.
    #[arg(long)]
    at_min_isr_partitions: bool,
    /// When describing, only topics that have settings of their own.
    #[arg(long)]
    topics_with_overrides: bool,
    /// When altering, deleting or describing, do nothing if there is no such topic.
    #[arg(long)]
    if_exists: bool,
    /// When creating, do nothing if there is such a topic.
    #[arg(long)]
    if_not_exists: bool,
    /// Leave internal topics out.
    #[arg(long)]
    exclude_internal: bool,
    /// How many partitions one answer of the broker may describe.
    #[arg(long, value_name = "number of partitions", default_value_t = 2000)]
    partition_size_limit_per_response: i32,
    #[command(flatten)]
    output: Output,
}

/// What is to be done; exactly one of them.
#[derive(Args)]
struct Action {
    /// List all available topics.
    #[arg(long)]
    list: bool,
    /// Create a new topic.
    #[arg(long)]
    create: bool,
    /// Delete a topic.
    #[arg(long)]
    delete: bool,
    /// Alter the number of partitions and replica assignment.
    #[arg(long)]
    alter: bool,
    /// List details for the given topics.
    #[arg(long)]
    describe: bool,
}

/// Does it. What the cluster refuses goes to standard output, as Kafka's tool has it.
pub fn run(options: &Options) -> ExitCode {
    let out = &mut io::stdout().lock();
    match act(options, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe() => ExitCode::FAILURE,
        Err(Failure::Usage(text)) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
        Err(failure) => {
            // With standard output gone there is nobody left to tell.
            let _ = writeln!(out, "Error while executing topic command : {failure}");
            ExitCode::FAILURE
        }
    }
}

fn act(options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    check(options)?;
    let mut client = options.connect.client("chiplog-topics")?;
    let action = &options.action;
    if action.create {
        create::create(&mut client, options, out)
    } else if action.alter {
        alter(&mut client, options)
    } else if action.list {
        list(&mut client, options, out)
    } else if action.describe {
        describe::describe(&mut client, options, out)
    } else {
        delete(&mut client, options)
    }
}

fn check(options: &Options) -> Result<(), Failure> {
    let action = &options.action;
    let chosen = chosen_action(action)?;
    if action.describe && options.if_exists && options.topic.is_none() && options.topic_id.is_none()
    {
        return Err(Failure::usage(
            "--topic or --topic-id is required to describe a topic",
        ));
    }
    if !action.list && !action.describe {
        required(options.topic.as_deref(), "topic")?;
    }
    if action.alter && !options.config.is_empty() {
        return Err(Failure::usage(
            "Option combination \"[[bootstrap-server], [config]]\" can't be used with option \
             \"[alter]\" (the kafka-configs CLI supports altering topic configs with a \
             --bootstrap-server option)",
        ));
    }
    if action.alter {
        required(options.partitions.as_ref(), "partitions")?;
    }
    match unfit_option(options) {
        Some(name) => Err(Failure::usage(format!(
            "Option \"[{name}]\" can't be used with option \"[{chosen}]\""
        ))),
        None => check_assignment(options),
    }
}

/// The name of the one action that is given.
fn chosen_action(action: &Action) -> Result<&'static str, Failure> {
    let actions = [
        ("list", action.list),
        ("describe", action.describe),
        ("create", action.create),
        ("alter", action.alter),
        ("delete", action.delete),
    ];
    let mut chosen = actions.iter().filter(|(_, given)| *given);
    match (chosen.next(), chosen.next()) {
        (Some((name, _)), None) => Ok(*name),
        _ => Err(Failure::usage(
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
        )),
    }
}

/// An option that is given and says nothing about the action.
fn unfit_option(options: &Options) -> Option<&'static str> {
    let action = &options.action;
    let reports = [
        options.under_replicated_partitions,
        options.unavailable_partitions,
        options.under_min_isr_partitions,
        options.at_min_isr_partitions,
    ];
    let given = [
        ("config", !options.config.is_empty(), action.create),
        (
            "partitions",
            options.partitions.is_some(),
            action.create || action.alter,
        ),
        (
            "replication-factor",
            options.replication_factor.is_some(),
            action.create,
        ),
        (
            "replica-assignment",
            options.replica_assignment.is_some(),
            action.create || action.alter,
        ),
        ("if-not-exists", options.if_not_exists, action.create),
        (
            "if-exists",
            options.if_exists,
            !action.create && !action.list,
        ),
        (
            "exclude-internal",
            options.exclude_internal,
            action.list || action.describe,
        ),
        (
            "topics-with-overrides",
            options.topics_with_overrides,
            action.describe,
        ),
        (
            "under-replicated-partitions",
            reports.contains(&true),
            action.describe,
        ),
    ];
    let unfit = given.iter().find(|(_, is_given, fits)| *is_given && !fits);
    unfit.map(|(name, ..)| *name)
}

/// Brokers named for each partition of a new topic leave no number to be given.
fn check_assignment(options: &Options) -> Result<(), Failure> {
    let counts = [
        ("partitions", options.partitions.is_some()),
        ("replication-factor", options.replication_factor.is_some()),
    ];
    let count = counts.iter().find(|(_, is_given)| *is_given);
    match (&options.replica_assignment, count) {
        (Some(_), Some((name, _))) if options.action.create => Err(Failure::usage(format!(
            "Option \"[replica-assignment]\" can't be used with option \"[{name}]\""
        ))),
        _ => Ok(()),
    }
}

/// The topics that `--topic` means, by name.
fn chosen_topics(client: &mut Client, options: &Options) -> Result<Vec<Topic>, Failure> {
    let filter = match &options.topic {
        Some(pattern) => TopicFilter::new(pattern)?,
        None => TopicFilter::all(),
    };
    let mut topics = client.all_topics()?;
    topics.retain(|topic| {
        filter.allows(&topic.name) && !(options.exclude_internal && is_internal(topic))
    });
    Ok(topics)
}

/// Fails if a topic was named and there is none.
fn ensure_topic_exists(found: &[Topic], options: &Options) -> Result<(), Failure> {
    match options.topic.as_deref().filter(|name| !name.is_empty()) {
        // The word is in what Kafka's tool prints.
        Some(name) if found.is_empty() && !options.if_exists => Err(Failure::said(format!(
            "Topic 'Optional[{name}]' does not exist as expected"
        ))),
        _ => Ok(()),
    }
}

fn list(client: &mut Client, options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let topics = chosen_topics(client, options)?;
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    if options.output.is_json() {
        writeln!(out, "{}", json!(names))?;
    } else {
        writeln!(out, "{}", names.join("\n"))?;
    }
    Ok(())
}

fn alter(client: &mut Client, options: &Options) -> Result<(), Failure> {
    let partitions = required(options.partitions.as_ref(), "partitions")?;
    let assignment = create::assignment(options)?;
    let topics = chosen_topics(client, options)?;
    ensure_topic_exists(&topics, options)?;
    let topic = |topic: &Topic| CreatePartitionsTopic {
        name: topic.name.clone().into(),
        count: *partitions,
        assignments: assignment.as_ref().map(|assignment| {
            let new = assignment.iter().skip(topic.partitions.len());
            new.map(|brokers| CreatePartitionsAssignment {
                broker_ids: brokers.clone(),
            })
            .collect()
        }),
    };
    if topics.is_empty() {
        return Ok(());
    }
    let request = CreatePartitionsRequest {
        topics: topics.iter().map(topic).collect(),
        timeout_ms: client.settings().request_timeout.as_millis() as i32,
        validate_only: false,
    };
    client.change(|client| {
        let results = client.ask_controller(&request)?.results.into_iter();
        let decided = results.map(|result| (result.error_code, result.error_message));
        Ok(decided.collect())
    })?;
    Ok(())
}

fn delete(client: &mut Client, options: &Options) -> Result<(), Failure> {
    let topics = chosen_topics(client, options)?;
    ensure_topic_exists(&topics, options)?;
    if topics.is_empty() {
        return Ok(());
    }
    let names = topics.iter().map(|topic| topic.name.clone().into());
    let request = DeleteTopicsRequest {
        topic_names: names.collect(),
        timeout_ms: client.settings().request_timeout.as_millis() as i32,
        ..Default::default()
    };
    client.change(|client| {
        let results = client.ask_controller(&request)?.responses.into_iter();
        let decided = results.map(|result| (result.error_code, result.error_message));
        Ok(decided.collect())
    })?;
    Ok(())
}
