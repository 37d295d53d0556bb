//! `consumer-groups --list`.

use std::io::Write;

use serde_json::json;

use super::Options;
use crate::client::Client;
use crate::failure::Failure;
use crate::java_order::{java_hash, map_order};

const STATES: [&str; 7] = [
    "PreparingRebalance",
    "CompletingRebalance",
    "Stable",
    "Dead",
    "Empty",
    "Assigning",
    "Reconciling",
];
const TYPES: [&str; 2] = ["Consumer", "Classic"];

/// Prints the ids of groups, or a table with their states and types.
pub fn list(client: &mut Client, options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let states = names(options.state.as_deref(), &STATES, "state list", "states")?;
    let types = names(options.kind.as_deref(), &TYPES, "types list", "types")?;
    let groups = client.list_groups(&states, &types)?;
    let groups = map_order(groups, 16, |group| java_hash(&group.group_id));
    let kind = |text: &str| known(text, &TYPES).unwrap_or("Unknown");
    let state = |text: &str| known(text, &STATES).unwrap_or("Unknown");
    if options.output.is_json() {
        let rows = groups.iter().map(|group| {
            json!({
                "group": group.group_id,
                "state": state(&group.group_state),
                "type": kind(&group.group_type),
            })
        });
        writeln!(out, "{}", json!(rows.collect::<Vec<_>>()))?;
        return Ok(());
    }
    let (with_type, with_state) = (options.kind.is_some(), options.state.is_some());
    if !with_type && !with_state {
        for group in groups {
            writeln!(out, "{}", group.group_id)?;
        }
        return Ok(());
    }
    let widest = groups.iter().map(|group| group.group_id.chars().count());
    let width = widest.max().unwrap_or(0).max(15) + 10;
    let mut row = |id: &str, kind: &str, state: &str| {
        write!(out, "{id:width$}")?;
        if with_type {
            write!(out, " {kind:20}")?;
        }
        if with_state {
            write!(out, " {state:20}")?;
        }
        writeln!(out)
    };
    row("GROUP", "TYPE", "STATE")?;
    for group in groups {
        row(
            &group.group_id,
            kind(&group.group_type),
            state(&group.group_state),
        )?;
    }
    Ok(())
}

/// Kafka's spelling of each name in a list.
fn names(
    list: Option<&str>,
    all: &[&'static str],
    what: &str,
    plural: &str,
) -> Result<Vec<String>, Failure> {
    let Some(list) = list.filter(|list| !list.is_empty()) else {
        return Ok(Vec::new());
    };
    let name = |text: &str| {
        known(text.trim(), all).map(str::to_owned).ok_or_else(|| {
            Failure::usage(format!(
                "Invalid {what} '{list}'. Valid {plural} are: {}",
                all.join(", ")
            ))
        })
    };
    list.split(',').map(name).collect()
}

fn known(text: &str, all: &[&'static str]) -> Option<&'static str> {
    let mut all = all.iter().copied();
    all.find(|known| known.eq_ignore_ascii_case(text))
}
