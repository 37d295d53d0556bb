//! Which partitions `--topic-partitions`, or `--topic` with `--partitions`, mean.

use std::ops::Range;

use crate::client::TopicPartition;
use crate::failure::Failure;
use crate::topic_filter::TopicFilter;

/// A partition is taken if one of the rules takes it.
pub struct Rules(Vec<Rule>);

struct Rule {
    topics: TopicFilter,
    partitions: Partitions,
}

enum Partitions {
    Range(Range<i32>),
    These(Vec<i32>),
}

impl Rules {
    /// What the three options mean together.
    pub fn new(
        topic_partitions: Option<&str>,
        topic: Option<&str>,
        partitions: Option<&str>,
    ) -> Result<Rules, Failure> {
        if let Some(list) = topic_partitions {
            if topic.is_some() || partitions.is_some() {
                return Err(Failure::said(
                    "--topic-partitions cannot be used with --topic or --partitions",
                ));
            }
            return list
                .split(',')
                .map(Rule::parse)
                .collect::<Result<_, _>>()
                .map(Rules);
        }
        let partitions = match partitions.filter(|list| !list.is_empty()) {
            None => Partitions::Range(0..i32::MAX),
            Some(list) => {
                let numbers = list.split(',').map(str::parse).collect::<Result<_, _>>();
                let numbers = numbers.map_err(|_| {
                    Failure::said(format!(
                        "--partitions expects a comma separated list of numeric partition ids, \
                         but received: {list}"
                    ))
                })?;
                Partitions::These(numbers)
            }
        };
        let topics = TopicFilter::new(topic.unwrap_or(".*"))?;
        Ok(Rules(vec![Rule { topics, partitions }]))
    }

    /// Whether the partition is taken.
    pub fn allow(&self, at: &TopicPartition) -> bool {
        self.0.iter().any(|rule| {
            let takes = match &rule.partitions {
                Partitions::Range(range) => range.contains(&at.partition),
                Partitions::These(numbers) => numbers.contains(&at.partition),
            };
            takes && rule.topics.allows(&at.topic)
        })
    }
}

impl Rule {
    /// `TOPIC`, `TOPIC:3`, `TOPIC:1-3`, `TOPIC:1-`, `TOPIC:-3`; the topic may be left out.
    fn parse(text: &str) -> Result<Rule, Failure> {
        let invalid = || Failure::said(format!("Invalid rule specification: {text}"));
        let (topic, partitions) = text.split_once(':').unwrap_or((text, ""));
        let number = |digits: &str, default: i32| match digits {
            "" => Ok(default),
            digits if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().map_err(|_| invalid())
            }
            _ => Err(invalid()),
        };
        let range = match partitions.split_once('-') {
            Some((from, to)) => number(from, 0)?..number(to, i32::MAX)?,
            None if partitions.is_empty() => 0..i32::MAX,
            None => {
                let only = number(partitions, 0)?;
                only..only.saturating_add(1)
            }
        };
        Ok(Rule {
            topics: TopicFilter::new(if topic.is_empty() { ".*" } else { topic })?,
            partitions: Partitions::Range(range),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rules: &Rules) -> String {
        let partitions = (0..5)
            .flat_map(|partition| ["a", "b"].map(|topic| TopicPartition::new(topic, partition)));
        let taken = partitions.filter(|at| rules.allow(at));
        taken
            .map(|at| format!("{}{} ", at.topic, at.partition))
            .collect()
    }

    #[test]
    fn lists_of_patterns_are_joined() {
        for (list, expected) in [
            ("a:1", "a1 "),
            ("a:1-3", "a1 a2 "),
            ("b:3-,a:-1", "a0 b3 b4 "),
            (":2", "a2 b2 "),
            ("b:0-1,b:2-3", "b0 b2 "),
        ] {
            assert_eq!(
                taken(&Rules::new(Some(list), None, None).unwrap()),
                expected,
                "{list}"
            );
        }
        for wrong in ["a:x", "a:1-2-3", "a:1:2"] {
            assert!(Rules::new(Some(wrong), None, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn topic_and_partitions_go_together_but_not_with_patterns() {
        let rules = Rules::new(None, Some("a|c"), Some("0,3")).unwrap();
        assert_eq!(taken(&rules), "a0 a3 ");
        assert!(Rules::new(Some("a"), Some("a"), None).is_err());
        assert!(Rules::new(None, None, Some("0,x")).is_err());
    }
}
