//! `chiplog consumer-groups`: lists, describes and deletes groups, and resets or deletes their
//! offsets, with kafka-consumer-groups' flags and lines.
//!
//! As Kafka's tool does, it ends with exit code 0 though the cluster refused; what it refused is
//! printed.

mod delete;
mod describe;
mod list;
mod reset;
mod reset_plan;
mod reset_time;
mod topics;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::client::Client;
use crate::connect::{Connect, Output};
use crate::failure::Failure;
use crate::java_order::{java_hash, map_order};

/// kafka-consumer-groups' options, under its names.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    action: Action,
    /// The consumer group; may be given several times.
    #[arg(long, value_name = "consumer group")]
    group: Vec<String>,
    /// Apply to all consumer groups.
    #[arg(long)]
    all_groups: bool,
    /// The topic whose offsets are reset or deleted, as `topic` or `topic:0,1,2`; may be given
    /// several times.
    #[arg(long, value_name = "topic")]
    topic: Vec<String>,
    /// Reset offsets of all topics that the group has offsets of.
    #[arg(long)]
    all_topics: bool,
    /// Describe the members of the group.
    #[arg(long)]
    members: bool,
    /// Describe more: the partitions of each member.
    #[arg(long)]
    verbose: bool,
    /// Describe the offsets of the group; this is what --describe does by itself.
    #[arg(long)]
    offsets: bool,
    /// With --describe the state of the group; with --list the states of all, or only groups of
    /// these states.
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    state: Option<String>,
    /// With --list the types of all groups, or only groups of these types.
    #[arg(long = "type", num_args = 0..=1, default_missing_value = "")]
    kind: Option<String>,
    /// How long the cluster may take, in milliseconds.
    #[arg(long, value_name = "timeout (ms)", default_value_t = 5000)]
    timeout: u64,
    #[command(flatten)]
    reset: Reset,
    #[command(flatten)]
    output: Output,
}

/// What is to be done; exactly one of them.
#[derive(Args)]
struct Action {
    /// List all consumer groups.
    #[arg(long)]
    list: bool,
    /// Describe groups and how far they lag behind.
    #[arg(long)]
    describe: bool,
    /// Delete groups with their offsets.
    #[arg(long)]
    delete: bool,
    /// Reset offsets of groups without members.
    #[arg(long)]
    reset_offsets: bool,
    /// Delete offsets of a group.
    #[arg(long)]
    delete_offsets: bool,
}

/// Where offsets are reset to, and whether really.
#[derive(Args)]
struct Reset {
    /// Only show what would be done; this is the default.
    #[arg(long)]
    dry_run: bool,
    /// Do it.
    #[arg(long)]
    execute: bool,
    /// Print the plan as CSV, for --from-file.
    #[arg(long)]
    export: bool,
    /// Reset to this offset.
    #[arg(long, value_name = "offset", allow_negative_numbers = true)]
    to_offset: Option<i64>,
    /// Reset to the offsets in a CSV file.
    #[arg(long, value_name = "path to CSV file")]
    from_file: Option<PathBuf>,
    /// Reset to the first offset not older than 'YYYY-MM-DDTHH:mm:SS.sss'.
    #[arg(long, value_name = "datetime")]
    to_datetime: Option<String>,
    /// Reset to the first offset not older than 'PnDTnHnMnS' before now.
    #[arg(long, value_name = "duration")]
    by_duration: Option<String>,
    /// Reset to the first offset there is.
    #[arg(long)]
    to_earliest: bool,
    /// Reset to the end.
    #[arg(long)]
    to_latest: bool,
    /// Reset to the current offset.
    #[arg(long)]
    to_current: bool,
    /// Move the current offset by so many, forwards or backwards.
    #[arg(long, value_name = "number-of-offsets", allow_negative_numbers = true)]
    shift_by: Option<i64>,
}

impl Reset {
    /// The ways chosen; there must be one.
    fn scenarios(&self) -> Vec<&'static str> {
        let all = [
            ("to-offset", self.to_offset.is_some()),
            ("shift-by", self.shift_by.is_some()),
            ("to-datetime", self.to_datetime.is_some()),
            ("by-duration", self.by_duration.is_some()),
            ("to-earliest", self.to_earliest),
            ("to-latest", self.to_latest),
            ("to-current", self.to_current),
            ("from-file", self.from_file.is_some()),
        ];
        let given = all.into_iter().filter(|(_, given)| *given);
        given.map(|(name, _)| name).collect()
    }
}

/// Does it.
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
            let cause = match &failure {
                Failure::Client(error) => format!("{}: {error}", error.java_class()),
                other => other.to_string(),
            };
            let said = format!("Executing consumer group command failed due to {cause}");
            // With standard output gone there is nobody left to tell.
            let _ = print_error(out, &said);
            ExitCode::SUCCESS
        }
    }
}

fn act(options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    check(options)?;
    let within = Duration::from_millis(options.timeout);
    let mut client = options
        .connect
        .client_within("chiplog-consumer-groups", within)?;
    let action = &options.action;
    if action.list {
        list::list(&mut client, options, out)
    } else if action.describe {
        describe::describe(&mut client, options, out)
    } else if action.delete {
        delete::delete_groups(&mut client, options, out)
    } else if action.reset_offsets {
        reset::reset(&mut client, options, out)
    } else {
        delete::delete_offsets(&mut client, options, out)
    }
}

/// As Kafka's tool says that something went wrong.
fn print_error(out: &mut dyn Write, text: &str) -> io::Result<()> {
    writeln!(out, "\nError: {text}")
}

/// The groups meant, in the order of Kafka's tool.
fn chosen_groups(client: &mut Client, options: &Options) -> Result<Vec<String>, Failure> {
    let groups: Vec<String> = match options.all_groups {
        true => {
            let listed = client.list_groups(&[], &[])?.into_iter();
            listed.map(|group| group.group_id.into_owned()).collect()
        }
        false => {
            let mut groups = options.group.clone();
            groups.sort();
            groups.dedup();
            groups
        }
    };
    Ok(map_order(groups, 16, |group| java_hash(group)))
}

fn check(options: &Options) -> Result<(), Failure> {
    let action = &options.action;
    let actions = [
        ("list", action.list),
        ("describe", action.describe),
        ("delete", action.delete),
        ("reset-offsets", action.reset_offsets),
        ("delete-offsets", action.delete_offsets),
    ];
    let mut chosen = actions.iter().filter(|(_, given)| *given);
    let (Some((action_name, _)), None) = (chosen.next(), chosen.next()) else {
        return Err(Failure::usage(
            "Command must include exactly one action: --list, --describe, --delete, \
             --reset-offsets, --delete-offsets",
        ));
    };
    check_scope(options, action_name)?;
    check_report(options)?;
    for (name, is_given, fits) in [
        ("members", options.members, action.describe),
        ("verbose", options.verbose, action.describe),
        ("offsets", options.offsets, action.describe),
        (
            "state",
            options.state.is_some(),
            action.describe || action.list,
        ),
        ("type", options.kind.is_some(), action.list),
    ] {
        if is_given && !fits {
            return Err(Failure::usage(format!(
                "Option(s) [{name}] are unavailable given other options on the command line"
            )));
        }
    }
    match action.reset_offsets {
        true => check_reset(options),
        false => Ok(()),
    }
}

/// Which groups and topics the action is about.
fn check_scope(options: &Options, action_name: &str) -> Result<(), Failure> {
    let action = &options.action;
    let needs_groups = action.describe || action.delete || action.reset_offsets;
    if needs_groups && options.group.is_empty() && !options.all_groups {
        return Err(Failure::usage(format!(
            "Option [{action_name}] takes one of these options: [group], [all-groups]"
        )));
    }
    if action.delete_offsets && (options.group.is_empty() || options.topic.is_empty()) {
        return Err(Failure::usage(
            "Option [delete-offsets] takes the following options: [group], [topic]",
        ));
    }
    let cannot = |one: &str, other: &str| {
        Failure::usage(format!(
            "Option \"[{one}]\" can't be used with option \"[{other}]\""
        ))
    };
    if !options.group.is_empty() && options.all_groups {
        return Err(cannot("group", "all-groups"));
    }
    if !options.group.is_empty() && action.list {
        return Err(cannot("group", "list"));
    }
    if action.delete && !options.topic.is_empty() {
        return Err(Failure::usage(
            "The consumer does not support topic-specific offset deletion from a consumer group.",
        ));
    }
    if !options.topic.is_empty() && (action.list || action.describe) {
        return Err(cannot("topic", action_name));
    }
    Ok(())
}

/// What `--describe` is to tell: one thing.
fn check_report(options: &Options) -> Result<(), Failure> {
    let described = [options.members, options.offsets, options.state.is_some()];
    let described = described.iter().filter(|given| **given).count();
    if options.action.describe && described > 1 {
        return Err(Failure::usage(
            "Option [describe] takes at most one of these options: [members], [offsets], [state]",
        ));
    }
    if options.action.describe
        && options
            .state
            .as_deref()
            .is_some_and(|state| !state.is_empty())
    {
        return Err(Failure::usage(
            "Option [describe] does not take a value for [state]",
        ));
    }
    Ok(())
}

fn check_reset(options: &Options) -> Result<(), Failure> {
    let reset = &options.reset;
    if reset.dry_run && reset.execute {
        return Err(Failure::usage(
            "Option [reset-offsets] only accepts one of [execute] and [dry-run]",
        ));
    }
    if !reset.dry_run && !reset.execute {
        eprintln!("WARN: No action will be performed as the --execute option is missing.");
    }
    match &reset.scenarios()[..] {
        [] => Err(Failure::usage(
            "Option '[reset-offsets]' requires one of the following scenarios: [to-offset], \
             [shift-by], [to-datetime], [by-duration], [to-earliest], [to-latest], [to-current], \
             [from-file]",
        )),
        [_] => Ok(()),
        [one, other, ..] => Err(Failure::usage(format!(
            "Option \"[{one}]\" can't be used with option \"[{other}]\""
        ))),
    }
}
