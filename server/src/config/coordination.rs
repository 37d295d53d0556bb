//! What the coordinators of groups and transactions are told.

use std::time::Duration;

use controller::topics::internal::InternalTopics;
use protocol::batch::Compression;

use super::Values;

/// Consumer groups and committed offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max: Duration,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`.
    pub members_max: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.topic.compression.codec`.
    pub offsets_compression: Compression,
    /// `offsets.commit.timeout.ms`.
    pub offsets_commit_timeout: Duration,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
}

/// Transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionSettings {
    /// `transaction.max.timeout.ms`.
    pub timeout_max: Duration,
    /// `transactional.id.expiration.ms`.
    pub id_expiration: Duration,
    /// `transaction.partition.verification.enable`.
    pub partition_verification_enable: bool,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub timed_out_check_interval: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub expired_check_interval: Duration,
}

impl GroupSettings {
    pub(super) fn of(values: &Values) -> Self {
        Self {
            session_timeout_min: values.millis("group.min.session.timeout.ms"),
            session_timeout_max: values.millis("group.max.session.timeout.ms"),
            initial_rebalance_delay: values.millis("group.initial.rebalance.delay.ms"),
            members_max: values.count("group.max.size"),
            offset_metadata_bytes_max: values.count("offset.metadata.max.bytes"),
            offsets_compression: u8::try_from(values.whole("offsets.topic.compression.codec"))
                .ok()
                .and_then(Compression::from_id)
                .unwrap_or_default(),
            offsets_commit_timeout: values.millis("offsets.commit.timeout.ms"),
            offsets_retention: Duration::from_secs(
                60 * values.count("offsets.retention.minutes") as u64,
            ),
            offsets_retention_check_interval: values.millis("offsets.retention.check.interval.ms"),
        }
    }
}

impl TransactionSettings {
    pub(super) fn of(values: &Values) -> Self {
        Self {
            timeout_max: values.millis("transaction.max.timeout.ms"),
            id_expiration: values.millis("transactional.id.expiration.ms"),
            partition_verification_enable: values.flag("transaction.partition.verification.enable"),
            timed_out_check_interval: values
                .millis("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
            expired_check_interval: values
                .millis("transaction.remove.expired.transaction.cleanup.interval.ms"),
        }
    }
}

/// How the internal topics are created.
pub(super) fn internal_topics(values: &Values) -> InternalTopics {
    let int = |name| i32::try_from(values.whole(name)).expect("an INT key");
    let short = |name| i16::try_from(values.whole(name)).expect("a SHORT key");
    InternalTopics {
        offsets_partitions: int("offsets.topic.num.partitions"),
        offsets_replication_factor: short("offsets.topic.replication.factor"),
        offsets_segment_bytes: int("offsets.topic.segment.bytes"),
        transaction_partitions: int("transaction.state.log.num.partitions"),
        transaction_replication_factor: short("transaction.state.log.replication.factor"),
        transaction_segment_bytes: int("transaction.state.log.segment.bytes"),
        transaction_min_isr: int("transaction.state.log.min.isr"),
    }
}
