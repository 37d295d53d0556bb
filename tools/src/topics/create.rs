//! `topics --create`, and the replica assignment that `--alter` takes too.

use std::io::Write;

use protocol::error::ErrorCode;
use protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};

use super::Options;
use crate::client::{Client, Error};
use crate::connect::required;
use crate::failure::Failure;

/// Creates the topic.
pub fn create(client: &mut Client, options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let name = required(options.topic.as_deref(), "topic")?;
    let assignment = assignment(options)?;
    let configs = configs(&options.config)?;
    if name.contains(['.', '_']) {
        writeln!(
            out,
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore \
             ('_') could collide. To avoid issues it is best to use either, but not both."
        )?;
    }
    if !(1..=i32::from(i16::MAX)).contains(&options.replication_factor.unwrap_or(1)) {
        return Err(Failure::said(
            "The replication factor must be between 1 and 32767 inclusive",
        ));
    }
    if options.partitions.is_some_and(|partitions| partitions < 1) {
        return Err(Failure::said("The partitions must be greater than 0"));
    }
    let assignments = (0..).zip(assignment.iter().flatten());
    let assignments = assignments.map(|(partition_index, brokers)| CreatableReplicaAssignment {
        partition_index,
        broker_ids: brokers.clone(),
    });
    let is_assigned = assignment.is_some();
    let by_count = |count: Option<i32>| match is_assigned {
        true => -1,
        false => count.unwrap_or(-1),
    };
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.into(),
            num_partitions: by_count(options.partitions),
            replication_factor: by_count(options.replication_factor) as i16,
            assignments: assignments.collect(),
            configs,
        }],
        timeout_ms: client.settings().request_timeout.as_millis() as i32,
        validate_only: false,
    };
    let answer = client.retried(|client| {
        let answer = client.ask_controller(&request)?;
        let Some(topic) = answer.topics.into_iter().next() else {
            return Err(Error::of(ErrorCode::UnknownServerError));
        };
        Error::settled(topic.error_code, topic.error_message)
    })?;
    match answer {
        Err(Error::Refused { code, .. })
            if options.if_not_exists && code == ErrorCode::TopicAlreadyExists.code() => {}
        answer => {
            answer?;
            writeln!(out, "Created topic {name}.")?;
        }
    }
    Ok(())
}

fn configs(given: &[String]) -> Result<Vec<CreatableTopicConfig<'static>>, Failure> {
    let config = |text: &String| match text.split_once('=') {
        Some((key, value)) if !value.trim().is_empty() && !value.contains('=') => {
            Ok(CreatableTopicConfig {
                name: key.trim().to_owned().into(),
                value: Some(value.trim().to_owned().into()),
            })
        }
        _ => Err(Failure::said(
            "requirement failed: Invalid topic config: all configs to be added must be in the \
             format \"key=val\".",
        )),
    };
    given.iter().map(config).collect()
}

/// The brokers of each partition: `1:2,2:3` are two partitions of two replicas.
pub fn assignment(options: &Options) -> Result<Option<Vec<Vec<i32>>>, Failure> {
    match options.replica_assignment.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => parse_assignment(text).map(Some),
    }
}

fn parse_assignment(text: &str) -> Result<Vec<Vec<i32>>, Failure> {
    let mut partitions: Vec<Vec<i32>> = Vec::new();
    for (at, list) in text.split(',').enumerate() {
        let brokers = list.split(':').map(str::trim).map(|id| {
            id.parse::<i32>()
                .map_err(|_| Failure::said(format!("For input string: \"{id}\"")))
        });
        let brokers = brokers.collect::<Result<Vec<i32>, Failure>>()?;
        let twice = (1..brokers.len()).find(|at| brokers[..*at].contains(&brokers[*at]));
        if let Some(twice) = twice {
            return Err(Failure::said(format!(
                "Partition replica lists may not contain duplicate entries: {}",
                brokers[twice]
            )));
        }
        if partitions
            .first()
            .is_some_and(|first| first.len() != brokers.len())
        {
            return Err(Failure::said(format!(
                "Partition {at} has different replication factor: {brokers:?}"
            )));
        }
        partitions.push(brokers);
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_has_as_many_replicas_everywhere_and_none_twice() {
        assert_eq!(parse_assignment("1:2, 2:3").unwrap(), [[1, 2], [2, 3]]);
        for wrong in ["1:1", "1:2,3", "1:x"] {
            assert!(parse_assignment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_setting_has_a_key_and_a_value() {
        let read = configs(&["a = b".to_owned()]).unwrap();
        assert_eq!((&*read[0].name, read[0].value.as_deref()), ("a", Some("b")));
        assert!(configs(&["a".to_owned()]).is_err());
        assert!(configs(&["a=".to_owned()]).is_err());
    }
}
