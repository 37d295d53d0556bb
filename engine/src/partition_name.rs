//! A partition's name and the names of its directory, as Kafka spells them:
//! `orders-7`, `orders-7.<32 hex>-delete`, `orders-7.<32 hex>-future`, `orders-7.<32 hex>-stray`.
//!
//! Pure: touches no file.

use protocol::ids::PartitionIndex;
use std::fmt;
use std::sync::Arc;

/// The longest file name that file systems take.
const NAME_BYTES_MAX: usize = 255;

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: PartitionIndex,
}

/// What a directory with a partition's files is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The partition's log.
    Current,
    /// Deleted; only waits for its removal.
    Deleted,
    /// A copy being filled, to take the place of the current one in another log directory.
    Future,
    /// Set aside because the cluster does not know it.
    Stray,
}

impl Standing {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Current => "",
            Self::Deleted => "-delete",
            Self::Future => "-future",
            Self::Stray => "-stray",
        }
    }
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: &str, partition: PartitionIndex) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }

    /// Reads a directory's name; `None` if it is not that of a partition.
    ///
    /// `a-b-7` is partition 7 of topic `a-b`.
    #[must_use]
    pub fn from_directory_name(name: &str) -> Option<(Self, Standing)> {
        let marked = [Standing::Deleted, Standing::Future, Standing::Stray];
        let standing = marked.into_iter().find(|s| name.ends_with(s.suffix()));
        let (name, standing) = match standing {
            Some(standing) => (name.rsplit_once('.')?.0, standing),
            None => (name, Standing::Current),
        };
        let (topic, partition) = name.rsplit_once('-')?;
        let digits = !partition.is_empty() && partition.bytes().all(|b| b.is_ascii_digit());
        if topic.is_empty() || topic.contains(char::is_whitespace) || !digits {
            return None;
        }
        let partition = PartitionIndex(partition.parse().ok()?);
        Some((
            Self {
                topic: topic.into(),
                partition,
            },
            standing,
        ))
    }

    /// The directory's name once it is not the partition's log any more. A long topic name is cut.
    pub(crate) fn directory_name_as(&self, standing: Standing, unique: [u8; 16]) -> String {
        let unique = u128::from_be_bytes(unique);
        let tail = format!("-{}.{unique:032x}{}", self.partition, standing.suffix());
        let kept = self.topic.len().min(NAME_BYTES_MAX - tail.len());
        format!("{}{tail}", &self.topic[..kept])
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str) -> Option<(String, Standing)> {
        TopicPartition::from_directory_name(name).map(|(tp, s)| (tp.to_string(), s))
    }

    #[test]
    fn directory_names_are_read_as_kafka_does() {
        assert_eq!(parsed("a-b-7"), Some(("a-b-7".into(), Standing::Current)));
        let gone = "t-0.0f0e0d0c0b0a09080706050403020100-delete";
        assert_eq!(parsed(gone), Some(("t-0".into(), Standing::Deleted)));
        assert_eq!(
            parsed("t-0.x-future"),
            Some(("t-0".into(), Standing::Future))
        );
        assert_eq!(
            parsed("t.u-1.x-stray"),
            Some(("t.u-1".into(), Standing::Stray))
        );
        for not in [
            "lost+found",
            "t",
            "-0",
            "t-",
            "t-x",
            "t-0-delete",
            "t-99999999999",
            "t--1x",
        ] {
            assert_eq!(parsed(not), None, "{not}");
        }
    }

    #[test]
    fn the_name_of_a_deleted_directory_fits_and_names_the_partition() {
        let long = TopicPartition::new(&"x".repeat(249), PartitionIndex(12));
        let name = long.directory_name_as(Standing::Deleted, [0xab; 16]);
        assert_eq!(name.len(), NAME_BYTES_MAX);
        assert!(
            name.ends_with(&format!("-12.{}-delete", "ab".repeat(16))),
            "{name}"
        );
        let short = TopicPartition::new("t", PartitionIndex(0));
        assert_eq!(
            parsed(&short.directory_name_as(Standing::Stray, [1; 16])),
            Some(("t-0".into(), Standing::Stray))
        );
    }
}
