//! Which topics a pattern means: a regular expression over the whole name, in which a comma
//! separates alternatives.

use regex::Regex;

use crate::client::Topic;
use crate::failure::Failure;

/// Topics to be taken.
pub struct TopicFilter {
    pattern: Regex,
}

impl TopicFilter {
    /// The topics that `pattern` matches.
    pub fn new(pattern: &str) -> Result<TopicFilter, Failure> {
        let text = pattern.trim().replace(',', "|").replace(' ', "");
        let text = text.trim_matches(['"', '\'']);
        match Regex::new(&format!("^(?:{text})$")) {
            Ok(pattern) => Ok(TopicFilter { pattern }),
            Err(_) => Err(Failure::said(format!("{text} is an invalid regex."))),
        }
    }

    /// All topics.
    pub fn all() -> TopicFilter {
        TopicFilter::new(".*").expect("it is a regular expression")
    }

    /// Whether the name is matched as a whole.
    pub fn allows(&self, name: &str) -> bool {
        self.pattern.is_match(name)
    }
}

/// The topics of Kafka itself, which `--exclude-internal` leaves out.
pub fn is_internal(topic: &Topic) -> bool {
    let names = [
        "__consumer_offsets",
        "__transaction_state",
        "__share_group_state",
    ];
    topic.is_internal || names.contains(&topic.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names_and_commas_separate() {
        let filter = TopicFilter::new("\"ships, har.*\"").unwrap();
        for (name, allowed) in [
            ("ships", true),
            ("harbours", true),
            ("ships2", false),
            ("a-ships", false),
        ] {
            assert_eq!(filter.allows(name), allowed, "{name}");
        }
        assert!(TopicFilter::new("(").is_err());
    }
}
