//! What the appends under way are for, so that their end can be dealt with.

use std::collections::HashMap;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::ids::ProducerId;
use protocol::messages::offset_delete::OffsetDeleteResponse;

use super::offsets::CommittedOffset;
use crate::machine::Token;

/// An append that is under way.
pub enum Write {
    /// Offsets that a member commits.
    Commit(Commit),
    /// What the leader of a new generation assigned.
    Assignment(Assignment),
    /// A generation without members: nobody waits for it. Lost, it leaves the one before, whose
    /// members are given up in time.
    EmptyGeneration,
    /// A static member's new id.
    StaticMember(Box<StaticMember>),
    /// Tombstones.
    Removal(Removal),
}

/// Offsets on their way to the log.
pub struct Commit {
    /// The request that waits.
    pub token: Token,
    /// What of the request it is.
    pub share: Share,
    /// Whose they are.
    pub group: Rc<str>,
    /// The producer in whose transaction they stand.
    pub producer: Option<ProducerId>,
    /// The partitions, those that were refused too.
    pub topics: Vec<CommitTopic>,
}

/// What a commit is of the request that asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// All of it.
    Whole,
    /// Some of its partitions.
    Portion {
        /// Which, from 0 on.
        number: usize,
        /// What was decided on the whole.
        fate: Fate,
    },
}

/// What is to become of a large commit, as it was decided when it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Each portion is appended, unless that is not allowed any more.
    Accepted,
    /// It may not be committed.
    Refused(ErrorCode),
    /// The log would not take the whole, so that it takes nothing.
    TooLarge,
}

/// One topic of a commit.
pub struct CommitTopic {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: Vec<CommitPartition>,
}

/// One partition of a commit.
pub struct CommitPartition {
    /// Which one.
    pub index: i32,
    /// What is committed.
    pub offset: CommittedOffset,
    /// NONE, or why not.
    pub error: ErrorCode,
}

/// Who gets what in a generation.
pub struct Assignment {
    /// The group.
    pub group: Rc<str>,
    /// The generation.
    pub generation: i32,
    /// By member.
    pub assignments: HashMap<String, Vec<u8>>,
}

/// A static member that came back under a new id, in a group that goes on.
pub struct StaticMember {
    /// Its JoinGroup, which waits.
    pub token: Token,
    /// The group.
    pub group: Rc<str>,
    /// The group's generation.
    pub generation: i32,
    /// The new id.
    pub member: Rc<str>,
    /// The leader before.
    pub leader_before: String,
    /// The client knows that a leader may have nothing to assign.
    pub may_skip_assignment: bool,
}

/// Tombstones for offsets, and perhaps for the group itself.
pub struct Removal {
    /// The group.
    pub group: Rc<str>,
    /// Topics and partitions.
    pub offsets: Vec<(String, i32)>,
    /// What is to be done afterwards.
    pub then: Then,
}

/// What follows tombstones.
pub enum Then {
    /// Nothing: more are on their way, or nobody waits.
    Nothing,
    /// A request is answered.
    Answer(Token, OffsetDeleteResponse<'static>),
    /// The group goes, and a request is answered if one waits.
    GroupGoes(Option<Token>),
    /// The same when its offsets from this topic's partition on have gone.
    MoreGoes(Option<Token>, (String, i32)),
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

/// The code the members are told when the append of a generation fails, as Kafka translates it.
pub fn generation_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::RequestTimedOut => ErrorCode::RebalanceInProgress,
        ErrorCode::MessageTooLarge
        | ErrorCode::RecordListTooLarge
        | ErrorCode::InvalidFetchSize => ErrorCode::UnknownServerError,
        other => other,
    }
}
