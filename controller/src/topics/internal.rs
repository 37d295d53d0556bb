//! The internal topics, as they are created when a client first needs them.

use crate::topic_name::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use crate::topics::create::NewTopic;

/// The broker's settings for its internal topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InternalTopics {
    /// `offsets.topic.num.partitions`.
    pub offsets_partitions: i32,
    /// `offsets.topic.replication.factor`.
    pub offsets_replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub offsets_segment_bytes: i32,
    /// `transaction.state.log.num.partitions`.
    pub transaction_partitions: i32,
    /// `transaction.state.log.replication.factor`.
    pub transaction_replication_factor: i16,
    /// `transaction.state.log.segment.bytes`.
    pub transaction_segment_bytes: i32,
    /// `transaction.state.log.min.isr`.
    pub transaction_min_isr: i32,
}

/// What to create when a client asks for a topic that is not there.
pub fn new_topic(name: &str, settings: &InternalTopics) -> NewTopic {
    let (partitions, replication_factor, configs) = match name {
        CONSUMER_OFFSETS => (
            settings.offsets_partitions,
            settings.offsets_replication_factor,
            vec![
                ("cleanup.policy", "compact".to_owned()),
                ("compression.type", "producer".to_owned()),
                ("segment.bytes", settings.offsets_segment_bytes.to_string()),
            ],
        ),
        TRANSACTION_STATE => (
            settings.transaction_partitions,
            settings.transaction_replication_factor,
            vec![
                ("cleanup.policy", "compact".to_owned()),
                ("compression.type", "uncompressed".to_owned()),
                (
                    "min.insync.replicas",
                    settings.transaction_min_isr.to_string(),
                ),
                (
                    "segment.bytes",
                    settings.transaction_segment_bytes.to_string(),
                ),
                ("unclean.leader.election.enable", "false".to_owned()),
            ],
        ),
        _ => return NewTopic::with_defaults(name),
    };
    let configs = configs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Some(value)))
        .collect();
    let name = name.to_owned();
    NewTopic {
        name,
        partitions,
        replication_factor,
        assignments: Vec::new(),
        configs,
    }
}
