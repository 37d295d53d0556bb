//! `consumer-groups --describe`: offsets, members or states. Rows begin with a line break rather
//! than end with one where Kafka's tool has it so.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};

use super::{Options, chosen_groups, print_error};
use crate::client::{Client, Committed, Group, Isolation, Member, OffsetSpec, TopicPartition};
use crate::failure::Failure;
use crate::java_order::{map_order, partition_hash};

const NOTHING: &str = "-";

/// A line of the table of offsets.
struct Row {
    at: TopicPartition,
    current: Option<i64>,
    end: Option<i64>,
    /// Member id, host and client id.
    member: [String; 3],
}

/// Describes the groups chosen, by id.
pub fn describe(
    client: &mut Client,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut ids = chosen_groups(client, options)?;
    ids.sort();
    let groups = ids.iter().map(|id| client.describe_group(id));
    let groups = groups.collect::<Result<Vec<Group>, _>>()?;
    let is_json = options.output.is_json();
    let mut described = Vec::new();
    for group in &groups {
        if options.members {
            match is_json {
                true => described.push(members_json(group)),
                false => print_members(group, options.verbose, out)?,
            }
        } else if options.state.is_some() {
            match is_json {
                true => described.push(state_json(group)),
                false => print_state(group, out)?,
            }
        } else {
            let rows = rows(client, group)?;
            match is_json {
                true => described.push(offsets_json(group, &rows)),
                false => print_offsets(group, &rows, out)?,
            }
        }
    }
    if is_json {
        writeln!(out, "{}", json!(described))?;
    }
    Ok(())
}

/// Says what is special about the group's state; false if there is nothing more to print.
fn shows(group: &Group, rows: usize, out: &mut dyn Write) -> Result<bool, Failure> {
    let id = &group.id;
    match group.state.as_str() {
        "Dead" => print_error(out, &format!("Consumer group '{id}' does not exist."))?,
        "Empty" => eprintln!("\nConsumer group '{id}' has no active members."),
        "Stable" => {}
        _ => eprintln!("\nWarning: Consumer group '{id}' is rebalancing."),
    }
    Ok(group.state != "Dead" && rows > 0)
}

/// First members, those with most partitions first; then what is committed and nobody's.
fn rows(client: &mut Client, group: &Group) -> Result<Vec<Row>, Failure> {
    let committed = client.committed_offsets(&group.id, None)?;
    let mut members: Vec<&Member> = group.members.iter().collect();
    members.retain(|member| !member.assignment.is_empty());
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let mut rows = Vec::new();
    let mut unassigned: BTreeMap<TopicPartition, Committed> = committed.clone();
    for member in members {
        let named = [&member.id, &member.host, &member.client_id].map(String::clone);
        unassigned.retain(|at, _| !member.assignment.contains(at));
        rows.extend(rows_of(client, &member.assignment, &committed, &named)?);
    }
    let unassigned: Vec<TopicPartition> = unassigned.into_keys().collect();
    let nobody = [NOTHING; 3].map(str::to_owned);
    rows.extend(rows_of(client, &unassigned, &committed, &nobody)?);
    Ok(rows)
}

fn rows_of(
    client: &mut Client,
    partitions: &[TopicPartition],
    committed: &BTreeMap<TopicPartition, Committed>,
    member: &[String; 3],
) -> Result<Vec<Row>, Failure> {
    let mut sorted = partitions.to_vec();
    sorted.sort_by_key(|at| at.partition);
    let wanted = sorted.iter().map(|at| (at.clone(), OffsetSpec::Latest));
    let mut ends = client.list_offsets(&wanted.collect(), Isolation::ReadUncommitted)?;
    let mut rows = Vec::new();
    for at in map_order(sorted, 16, partition_hash) {
        let end = match ends.remove(&at) {
            Some(end) => Some(end?.offset),
            None => None,
        };
        rows.push(Row {
            current: committed.get(&at).map(|committed| committed.offset),
            end,
            at,
            member: member.clone(),
        });
    }
    Ok(rows)
}

impl Row {
    fn lag(&self) -> Option<i64> {
        Some(self.end? - self.current?)
    }
}

fn print_offsets(group: &Group, rows: &[Row], out: &mut dyn Write) -> Result<(), Failure> {
    if !shows(group, rows.len(), out)? {
        return Ok(());
    }
    let widest = |text: &dyn Fn(&Row) -> usize| rows.iter().map(text).max().unwrap_or(0).max(15);
    let group_width = group.id.chars().count().max(15);
    let topic_width = widest(&|row| row.at.topic.chars().count());
    let id_width = widest(&|row| row.member[0].chars().count());
    let host_width = widest(&|row| row.member[1].chars().count());
    let mut print = |cells: [&str; 9]| {
        let [
            id,
            topic,
            partition,
            current,
            end,
            lag,
            member,
            host,
            client,
        ] = cells;
        write!(
            out,
            "\n{id:group_width$} {topic:topic_width$} {partition:10} {current:15} {end:15} \
             {lag:15} {member:id_width$} {host:host_width$} {client}"
        )
    };
    print([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ])?;
    let or_nothing = |number: Option<i64>| match number {
        Some(number) => number.to_string(),
        None => NOTHING.to_owned(),
    };
    for row in rows {
        let [member, host, client] = &row.member;
        print([
            &group.id,
            &row.at.topic,
            &row.at.partition.to_string(),
            &or_nothing(row.current),
            &or_nothing(row.end),
            &or_nothing(row.lag()),
            member,
            host,
            client,
        ])?;
    }
    Ok(())
}

fn print_members(group: &Group, verbose: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let mut widths = [15; 5];
    widths[2] = 17;
    let mut has_instances = false;
    if shows(group, group.members.len(), out)? {
        for member in &group.members {
            let instance = member.instance_id.as_deref().unwrap_or_default();
            has_instances |= !instance.is_empty();
            let cells = [
                &group.id,
                &member.id,
                instance,
                &member.host,
                &member.client_id,
            ];
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
    }
    writeln!(out)?;
    let mut print = |cells: [&str; 6], assignment: &str| {
        let [id, member, instance, host, client, count] = cells;
        let [
            group_width,
            member_width,
            instance_width,
            host_width,
            client_width,
        ] = widths;
        write!(out, "{id:group_width$} {member:member_width$} ")?;
        if has_instances {
            write!(out, "{instance:instance_width$} ")?;
        }
        write!(out, "{host:host_width$} {client:client_width$} {count:15} ")?;
        writeln!(out, "{}", if verbose { assignment } else { "" })
    };
    let head = [
        "GROUP",
        "CONSUMER-ID",
        "GROUP-INSTANCE-ID",
        "HOST",
        "CLIENT-ID",
        "#PARTITIONS",
    ];
    print(head, "ASSIGNMENT")?;
    for member in &group.members {
        let cells = [
            &group.id,
            &member.id,
            member.instance_id.as_deref().unwrap_or_default(),
            &member.host,
            &member.client_id,
            &member.assignment.len().to_string(),
        ];
        print(cells, &assignment_text(&member.assignment))?;
    }
    Ok(())
}

fn print_state(group: &Group, out: &mut dyn Write) -> Result<(), Failure> {
    if !shows(group, 1, out)? {
        return Ok(());
    }
    let (id, address) = &group.coordinator;
    let coordinator = format!("{address}  ({id})");
    let width = coordinator.chars().count().max(25);
    for [group, coordinator, assignor, state, members] in [
        [
            "GROUP",
            "COORDINATOR (ID)",
            "ASSIGNMENT-STRATEGY",
            "STATE",
            "#MEMBERS",
        ],
        [
            &group.id,
            &coordinator,
            &group.assignor,
            &group.state,
            &group.members.len().to_string(),
        ],
    ] {
        write!(
            out,
            "\n{group:width$} {coordinator:25} {assignor:20} {state:15} {members}"
        )?;
    }
    writeln!(out)?;
    Ok(())
}

/// `(0,1), (2)`: the partitions of each topic; the topics are not named.
fn assignment_text(partitions: &[TopicPartition]) -> String {
    if partitions.is_empty() {
        return NOTHING.to_owned();
    }
    let topics = TopicPartition::by_topic(partitions.iter().map(|at| (at, ())));
    let mut texts: Vec<String> = Vec::new();
    for indexes in topics.into_values() {
        // They are sorted as texts.
        let mut indexes: Vec<String> = indexes
            .iter()
            .map(|(index, ())| index.to_string())
            .collect();
        indexes.sort();
        texts.push(format!("({})", indexes.join(",")));
    }
    texts.sort();
    texts.join(", ")
}

fn offsets_json(group: &Group, rows: &[Row]) -> Value {
    let rows = rows.iter().map(|row| {
        let [member, host, client] = row
            .member
            .each_ref()
            .map(|text| Some(text.as_str()).filter(|text| *text != NOTHING));
        json!({
            "topic": row.at.topic,
            "partition": row.at.partition,
            "currentOffset": row.current,
            "logEndOffset": row.end,
            "lag": row.lag(),
            "consumerId": member,
            "host": host,
            "clientId": client,
        })
    });
    let rows: Vec<Value> = rows.collect();
    json!({"group": group.id, "state": group.state, "offsets": rows})
}

fn members_json(group: &Group) -> Value {
    let members = group.members.iter().map(|member| {
        let partitions = member.assignment.iter();
        let partitions = partitions.map(|at| json!({"topic": at.topic, "partition": at.partition}));
        json!({
            "consumerId": member.id,
            "groupInstanceId": member.instance_id,
            "host": member.host,
            "clientId": member.client_id,
            "partitions": partitions.collect::<Vec<Value>>(),
        })
    });
    let members: Vec<Value> = members.collect();
    json!({"group": group.id, "state": group.state, "members": members})
}

fn state_json(group: &Group) -> Value {
    let (id, address) = &group.coordinator;
    json!({
        "group": group.id,
        "coordinator": {"id": id, "address": address},
        "assignmentStrategy": group.assignor,
        "state": group.state,
        "members": group.members.len(),
    })
}
