//! `consumer-groups --delete` and `--delete-offsets`.

use std::io::Write;

use protocol::error::ErrorCode;
use serde_json::{Value, json};

use super::{Options, chosen_groups, print_error, topics};
use crate::client::{Client, Error, TopicPartition};
use crate::failure::Failure;

/// Deletes groups, and says which could not be deleted.
pub fn delete_groups(
    client: &mut Client,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut deleted = Vec::new();
    let mut failed = Vec::new();
    for group in chosen_groups(client, options)? {
        match client.delete_group(&group) {
            Ok(()) => deleted.push(group),
            Err(error) => failed.push((group, error)),
        }
    }
    if options.output.is_json() {
        let deleted = deleted.iter().map(|group| (group, None));
        let failed = failed
            .iter()
            .map(|(group, error)| (group, Some(said(error))));
        let rows = deleted.chain(failed);
        let rows: Vec<Value> = rows
            .map(|(group, error)| json!({"group": group, "error": error}))
            .collect();
        writeln!(out, "{}", json!(rows))?;
        return Ok(());
    }
    if failed.is_empty() {
        writeln!(
            out,
            "Deletion of requested consumer groups ('{}') was successful.",
            deleted.join(", ")
        )?;
        return Ok(());
    }
    print_error(out, "Deletion of some consumer groups failed:")?;
    for (group, error) in failed {
        writeln!(
            out,
            "* Group '{group}' could not be deleted due to: \
             java.util.concurrent.ExecutionException: {}",
            said(&error)
        )?;
    }
    if !deleted.is_empty() {
        writeln!(
            out,
            "\nThese consumer groups were deleted successfully: '{}', '",
            deleted.join("'")
        )?;
    }
    Ok(())
}

/// Deletes offsets of one group, and says so for each partition.
pub fn delete_offsets(
    client: &mut Client,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let [group] = &options.group[..] else {
        return Err(Failure::said(
            "Found multiple arguments for option group, but you asked for only one",
        ));
    };
    let (mut partitions, without) = topics::parse(&options.topic)?;
    let mut results: Vec<(TopicPartition, Result<(), Error>)> = Vec::new();
    for topic in without {
        match client.topic(&topic) {
            Ok(topic) => partitions.extend(topic.all_partitions()),
            Err(error) => results.push((TopicPartition::new(topic, -1), Err(error))),
        }
    }
    partitions.sort();
    partitions.dedup();
    let answers = client.delete_offsets(group, &partitions);
    let first_error = match &answers {
        Ok(answers) => answers.values().find_map(|answer| answer.as_ref().err()),
        Err(error) => Some(error),
    };
    if !options.output.is_json() {
        say_result(group, options, first_error, out)?;
    }
    match answers {
        Ok(answers) => results.extend(answers),
        Err(error) => {
            let text = said(&error);
            let refused = |at| (at, Err(Error::Settings(text.clone())));
            results.extend(partitions.into_iter().map(refused));
        }
    }
    results.sort_by_key(|(at, _)| format!("{}{}", at.topic, at.partition));
    if options.output.is_json() {
        let rows = results.iter().map(|(at, result)| {
            json!({
                "group": group,
                "topic": at.topic,
                "partition": (at.partition >= 0).then_some(at.partition),
                "error": result.as_ref().err().map(said),
            })
        });
        writeln!(out, "{}", json!(rows.collect::<Vec<Value>>()))?;
        return Ok(());
    }
    write!(out, "\n{:30} {:15} {:15}", "TOPIC", "PARTITION", "STATUS")?;
    for (at, result) in results {
        let partition = match at.partition {
            -1 => "Not Provided".to_owned(),
            index => index.to_string(),
        };
        let status = match result {
            Ok(()) => "Successful".to_owned(),
            Err(error) => format!("Error: :{}", said(&error)),
        };
        write!(out, "{:30} {partition:15} {status:15}", at.topic)?;
    }
    Ok(())
}

/// An error as Java prints it; the text of one that was put into words before.
fn said(error: &Error) -> String {
    match error {
        Error::Settings(text) => text.clone(),
        error => format!("{}: {error}", error.java_class()),
    }
}

fn say_result(
    group: &str,
    options: &Options,
    error: Option<&Error>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Some(error) = error else {
        writeln!(
            out,
            "Request succeed for deleting offsets with topic {} group {group}",
            options.topic.join(", ")
        )?;
        return Ok(());
    };
    let said = match error.code() {
        Some(ErrorCode::InvalidGroupId) => format!("'{group}' is not valid."),
        Some(ErrorCode::GroupIdNotFound) => format!("'{group}' does not exist."),
        Some(ErrorCode::GroupAuthorizationFailed) => {
            format!("Access to '{group}' is not authorized.")
        }
        Some(ErrorCode::NonEmptyGroup) => format!(
            "Deleting offsets of a consumer group '{group}' is forbidden if the group is not empty."
        ),
        Some(
            ErrorCode::GroupSubscribedToTopic
            | ErrorCode::TopicAuthorizationFailed
            | ErrorCode::UnknownTopicOrPartition,
        ) => "Encounter some partition level error, see the follow-up details:".to_owned(),
        code => format!(
            "Encounter some unknown error: {}",
            code.map_or("UNKNOWN_SERVER_ERROR", ErrorCode::name)
        ),
    };
    print_error(out, &said)?;
    Ok(())
}
