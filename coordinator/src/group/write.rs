//! What the appends under way are for, so that their end can be dealt with.

use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::messages::offset_commit::OffsetCommitResponse;

use super::offsets::CommittedOffset;
use crate::machine::Token;

/// An append that is under way.
pub enum Write {
    /// Offsets committed by a member.
    Commit(Commit),
}

/// Offsets on their way to the log.
pub struct Commit {
    /// The request that waits.
    pub token: Token,
    /// Whose they are.
    pub group: Rc<str>,
    /// By topic and partition.
    pub offsets: Vec<(String, i32, CommittedOffset)>,
    /// The answer if the append succeeds: some partitions may have been refused.
    pub response: OffsetCommitResponse<'static>,
}

/// The code a committing client is told when its append fails, as Kafka translates it.
pub fn commit_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NetworkException => ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge
        | ErrorCode::RecordListTooLarge
        | ErrorCode::InvalidFetchSize => ErrorCode::InvalidCommitOffsetSize,
        other => other,
    }
}
