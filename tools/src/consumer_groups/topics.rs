//! What `--topic` means: `topic`, all its partitions, or `topic:0,1,2`.

use crate::client::{Client, TopicPartition};
use crate::failure::Failure;

/// The partitions named, and the topics of which all partitions are meant.
pub fn parse(arguments: &[String]) -> Result<(Vec<TopicPartition>, Vec<String>), Failure> {
    let mut partitions = Vec::new();
    let mut topics = Vec::new();
    for argument in arguments {
        let Some((topic, list)) = argument.split_once(':') else {
            topics.push(argument.clone());
            continue;
        };
        if list.is_empty() || list.contains(':') {
            return Err(Failure::usage(format!(
                "Invalid topic arg '{argument}', expected topic name and partitions"
            )));
        }
        for number in list.split(',') {
            let index = number.parse().map_err(|_| {
                Failure::usage(format!(
                    "Invalid partition '{number}' specified in topic arg '{argument}''"
                ))
            })?;
            partitions.push(TopicPartition::new(topic, index));
        }
    }
    Ok((partitions, topics))
}

/// All partitions meant.
pub fn partitions(
    client: &mut Client,
    arguments: &[String],
) -> Result<Vec<TopicPartition>, Failure> {
    let (mut partitions, topics) = parse(arguments)?;
    for topic in topics {
        partitions.extend(client.topic(&topic)?.all_partitions());
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_stand_behind_a_colon() {
        let words = ["a:0,2", "b"].map(str::to_owned);
        let (partitions, topics) = parse(&words).unwrap();
        let expected = [TopicPartition::new("a", 0), TopicPartition::new("a", 2)];
        assert_eq!((&partitions[..], &topics[..]), (&expected[..], &words[1..]));
        for wrong in ["a:", "a:x", "a:1:2"] {
            assert!(parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
