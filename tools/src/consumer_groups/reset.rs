//! `consumer-groups --reset-offsets`: makes a plan for each group without members, prints it, and
//! with `--execute` carries it out.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::reset_plan::{self, Plan};
use super::{Options, chosen_groups, print_error, reset_time, topics};
use crate::client::{Client, Isolation, OffsetSpec, TopicPartition};
use crate::failure::Failure;
use crate::java_order::{map_order, partition_hash};

/// Resets, or shows what would be reset.
pub fn reset(client: &mut Client, options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let mut plans: Vec<(String, Vec<(TopicPartition, i64)>)> = Vec::new();
    for id in chosen_groups(client, options)? {
        let group = client.describe_group(&id)?;
        if !matches!(group.state.as_str(), "Empty" | "Dead") {
            print_error(
                out,
                &format!(
                    "Assignments can only be reset if the group '{id}' is inactive, but the \
                     current state is {}.",
                    group.state
                ),
            )?;
            plans.push((id, Vec::new()));
            continue;
        }
        let partitions = scope(client, options, &id)?;
        let plan = plan(client, options, &id, partitions, out)?;
        if options.reset.execute {
            client.alter_offsets(&id, &plan)?;
        }
        let plan = map_order(plan.into_iter().collect(), 16, |(at, _)| partition_hash(at));
        plans.push((id, plan));
    }
    if options.output.is_json() {
        print_json(&plans, out)
    } else if options.reset.export {
        print_csv(&plans, options, out)
    } else {
        print_table(&plans, out)
    }
}

/// The new offsets of each group, in the order in which Kafka's tool prints them.
type Plans = [(String, Vec<(TopicPartition, i64)>)];

fn print_json(plans: &Plans, out: &mut dyn Write) -> Result<(), Failure> {
    let rows = plans.iter().flat_map(|(group, plan)| {
        plan.iter().map(move |(at, offset)| {
            json!({
                "group": group,
                "topic": at.topic,
                "partition": at.partition,
                "newOffset": offset,
            })
        })
    });
    writeln!(out, "{}", json!(rows.collect::<Vec<Value>>()))?;
    Ok(())
}

fn print_csv(plans: &Plans, options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let with_groups = options.group.len() != 1;
    for (group, plan) in plans {
        for (at, offset) in plan {
            let line = reset_plan::line(with_groups.then_some(group.as_str()), at, *offset);
            writeln!(out, "{line}")?;
        }
    }
    writeln!(out)?;
    Ok(())
}

/// Kafka's tool breaks the line before the heading and nowhere else.
fn print_table(plans: &Plans, out: &mut dyn Write) -> Result<(), Failure> {
    let mut print = |group: &str, topic: &str, partition: &str, offset: &str| {
        write!(out, "{group:30} {topic:30} {partition:10} {offset:15}")
    };
    if !plans.is_empty() {
        print(
            "\nGROUP                         ",
            "TOPIC",
            "PARTITION",
            "NEW-OFFSET",
        )?;
    }
    for (group, plan) in plans {
        for (at, offset) in plan {
            print(
                group,
                &at.topic,
                &at.partition.to_string(),
                &offset.to_string(),
            )?;
        }
    }
    Ok(())
}

/// The partitions to be reset; none if they stand in a file.
fn scope(
    client: &mut Client,
    options: &Options,
    group: &str,
) -> Result<BTreeSet<TopicPartition>, Failure> {
    if options.all_topics {
        let committed = client.committed_offsets(group, None)?;
        Ok(committed.into_keys().collect())
    } else if !options.topic.is_empty() {
        let partitions = topics::partitions(client, &options.topic)?;
        Ok(partitions.into_iter().collect())
    } else if options.reset.from_file.is_some() {
        Ok(BTreeSet::new())
    } else {
        Err(Failure::usage(
            "One of the reset scopes should be defined: --all-topics, --topic.",
        ))
    }
}

fn plan(
    client: &mut Client,
    options: &Options,
    group: &str,
    partitions: BTreeSet<TopicPartition>,
    out: &mut dyn Write,
) -> Result<Plan, Failure> {
    let reset = &options.reset;
    if let Some(offset) = reset.to_offset {
        let wanted = partitions.into_iter().map(|at| (at, offset));
        within_logs(client, wanted.collect())
    } else if reset.to_earliest {
        offsets(client, &partitions, OffsetSpec::Earliest)
    } else if reset.to_latest {
        offsets(client, &partitions, OffsetSpec::Latest)
    } else if let Some(shift) = reset.shift_by {
        let committed = client.committed_offsets(group, None)?;
        let mut wanted = Plan::new();
        for at in partitions {
            let Some(committed) = committed.get(&at) else {
                return Err(Failure::usage(format!(
                    "Cannot shift offset for partition {at} since there is no current committed \
                     offset"
                )));
            };
            wanted.insert(at, committed.offset.saturating_add(shift));
        }
        within_logs(client, wanted)
    } else if let Some(text) = &reset.to_datetime {
        let timestamp = reset_time::datetime(text)?;
        at_time(client, &partitions, timestamp, out)
    } else if let Some(text) = &reset.by_duration {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_millis() as i64);
        let timestamp = now.saturating_sub(reset_time::duration_millis(text)?);
        at_time(client, &partitions, timestamp, out)
    } else if let Some(path) = &reset.from_file {
        let only_group = match &options.group[..] {
            [group] => Some(group.as_str()),
            _ => None,
        };
        match reset_plan::read(path, only_group)?.remove(group) {
            Some(wanted) => within_logs(client, wanted),
            None => {
                print_error(out, &format!("No reset plan for group {group} found"))?;
                Ok(Plan::new())
            }
        }
    } else {
        let committed = client.committed_offsets(group, None)?;
        let without = partitions.iter().filter(|at| !committed.contains_key(*at));
        let mut plan = offsets(client, &without.cloned().collect(), OffsetSpec::Latest)?;
        for at in partitions {
            if let Some(committed) = committed.get(&at) {
                plan.insert(at, committed.offset);
            }
        }
        Ok(plan)
    }
}

fn offsets(
    client: &mut Client,
    partitions: &BTreeSet<TopicPartition>,
    spec: OffsetSpec,
) -> Result<Plan, Failure> {
    let wanted = partitions.iter().map(|at| (at.clone(), spec)).collect();
    let found = client.list_offsets(&wanted, Isolation::ReadUncommitted)?;
    let mut plan = Plan::new();
    for (at, found) in found {
        plan.insert(at, found?.offset);
    }
    Ok(plan)
}

/// The first offsets not older; the ends of partitions without such a record.
fn at_time(
    client: &mut Client,
    partitions: &BTreeSet<TopicPartition>,
    timestamp: i64,
    out: &mut dyn Write,
) -> Result<Plan, Failure> {
    let mut plan = offsets(client, partitions, OffsetSpec::Timestamp(timestamp))?;
    let without = plan.iter().filter(|(_, offset)| **offset == -1);
    let without: BTreeSet<TopicPartition> = without.map(|(at, _)| at.clone()).collect();
    let ordered = map_order(without.iter().collect(), 16, |at: &&TopicPartition| {
        partition_hash(at)
    });
    for at in ordered {
        writeln!(
            out,
            "\nWarn: Partition {} from topic {} is empty. Falling back to latest known offset.",
            at.partition, at.topic
        )?;
    }
    plan.extend(offsets(client, &without, OffsetSpec::Latest)?);
    Ok(plan)
}

/// Offsets before the first one or beyond the end are moved there, with a warning.
fn within_logs(client: &mut Client, wanted: Plan) -> Result<Plan, Failure> {
    let partitions: BTreeSet<TopicPartition> = wanted.keys().cloned().collect();
    let first = offsets(client, &partitions, OffsetSpec::Earliest)?;
    let ends = offsets(client, &partitions, OffsetSpec::Latest)?;
    let mut plan = BTreeMap::new();
    for (at, offset) in wanted {
        let (first, end) = (first[&at], ends[&at]);
        let (within, other) = match offset {
            offset if offset > end => (end, "higher than latest"),
            offset if offset < first => (first, "lower than earliest"),
            offset => (offset, ""),
        };
        if within != offset {
            eprintln!(
                "WARN New offset ({offset}) is {other} offset for topic partition {at}. Value \
                 will be set to {within}"
            );
        }
        plan.insert(at, within);
    }
    Ok(plan)
}
