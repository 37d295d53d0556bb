//! What is asked of the group coordinator, and what it answers.

use std::sync::Arc;

use protocol::error::ErrorCode;
use protocol::ids::Uuid;
use protocol::messages::describe_groups::DescribedGroup;
use protocol::messages::heartbeat::HeartbeatRequest;
use protocol::messages::join_group::{JoinGroupRequest, JoinGroupResponse};
use protocol::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse};
use protocol::messages::list_groups::ListedGroup;
use protocol::messages::offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
use protocol::messages::offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
use protocol::messages::offset_fetch::{OffsetFetchRequestTopics, OffsetFetchResponseGroup};
use protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};
use protocol::messages::txn_offset_commit::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use crate::page::Page;

/// A request about one group, or about what the groups of this partition have in common. Who asks
/// has seen that there is no [`Request::refusal`].
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// A member wants to join.
    Join(Box<Join>),
    /// A member wants its assignment.
    Sync(Box<SyncGroupRequest<'static>>),
    /// A member is alive.
    Heartbeat(Box<HeartbeatRequest<'static>>),
    /// Members leave. Versions before 3 name theirs in `members` too.
    Leave(Box<LeaveGroupRequest<'static>>),
    /// Offsets to be committed, of partitions that exist.
    Commit(Box<CommitOffsets>),
    /// Offsets to be committed with a transaction, of partitions that exist.
    TxnCommit(Box<CommitInTransaction>),
    /// What is committed.
    Fetch(FetchOffsets),
    /// Which groups there are, in the order of their ids and after this one.
    List(ListFilter, Option<String>),
    /// Who is in this group.
    Describe(String),
    /// This group is to go.
    Delete(String),
    /// Offsets of a group are to go.
    DeleteOffsets(Box<OffsetDeleteRequest<'static>>),
    /// These topics are deleted, and with them the offsets committed for them.
    TopicsDeleted(Vec<String>),
}

impl Request {
    /// Why it is refused whatever holds, also while its partition is being read: what has members
    /// has an id, and only offsets are kept for a group whose id is empty, as old clients have it.
    #[must_use]
    pub fn refusal(&self) -> Option<ErrorCode> {
        let group = match self {
            Request::Join(join) => &join.request.group_id,
            Request::Sync(asked) => &asked.group_id,
            Request::Heartbeat(asked) => &asked.group_id,
            Request::Leave(asked) => &asked.group_id,
            Request::TxnCommit(asked) => &asked.request.group_id,
            Request::DeleteOffsets(asked) => &asked.group_id,
            Request::Commit(_)
            | Request::Fetch(_)
            | Request::List(..)
            | Request::Describe(_)
            | Request::Delete(_)
            | Request::TopicsDeleted(_) => return None,
        };
        group.is_empty().then_some(ErrorCode::InvalidGroupId)
    }
}

/// The answer to the request of the same name.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// The generation, or an error. A protocol name of none is the empty one before version 7.
    Join(JoinGroupResponse<'static>),
    /// The assignment, or an error.
    Sync(SyncGroupResponse<'static>),
    /// NONE, or what the member is to know.
    Heartbeat(ErrorCode),
    /// An error code for each member.
    Leave(LeaveGroupResponse<'static>),
    /// An error code for each partition.
    Commit(OffsetCommitResponse<'static>),
    /// An error code for each partition.
    TxnCommit(TxnOffsetCommitResponse<'static>),
    /// The offsets.
    Fetch(OffsetFetchResponseGroup<'static>),
    /// Some of the groups.
    List(Page<ListedGroup<'static>>),
    /// The group; one that is not there is dead.
    Describe(DescribedGroup<'static>),
    /// NONE, or why not.
    Delete(ErrorCode),
    /// An error code for the group, or for each partition.
    DeleteOffsets(OffsetDeleteResponse<'static>),
    /// It is being done.
    TopicsDeleted,
}

/// A JoinGroup and what is known of its sender. In version 0 the rebalance timeout is the
/// session's.
#[derive(Clone, PartialEq, Debug)]
pub struct Join {
    /// The request.
    pub request: JoinGroupRequest<'static>,
    /// The client's name for itself.
    pub client_id: String,
    /// Where it is, as Java prints an address.
    pub client_host: String,
    /// Part of the member's id, if it gets one.
    pub random_id: Uuid,
    /// A member without an id gets one and is to come back with it (from version 4, KIP-394; not
    /// static members).
    pub requires_known_id: bool,
    /// The client knows that a leader may have nothing to assign (from version 9, KIP-814).
    pub may_skip_assignment: bool,
}

/// An OffsetCommit request, and how large the batch of its records may be: what is larger would be
/// refused by the log. No limit where the log compresses it.
#[derive(Clone, PartialEq, Debug)]
pub struct CommitOffsets {
    /// The request.
    pub request: OffsetCommitRequest<'static>,
    /// The limit.
    pub batch_bytes_max: Option<usize>,
}

/// A TxnOffsetCommit, and how large a batch may be, as for [`CommitOffsets`].
#[derive(Clone, PartialEq, Debug)]
pub struct CommitInTransaction {
    /// The request.
    pub request: TxnOffsetCommitRequest<'static>,
    /// The limit.
    pub batch_bytes_max: Option<usize>,
}

/// One group's part of an OffsetFetch request.
#[derive(Clone, PartialEq, Debug)]
pub struct FetchOffsets {
    /// The group.
    pub group: String,
    /// Which partitions; none for all that have an offset.
    pub topics: Option<Vec<OffsetFetchRequestTopics<'static>>>,
    /// Refuse what a transaction may replace at any moment (KIP-447).
    pub require_stable: bool,
}

/// Which groups are listed; an empty list is all.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ListFilter {
    /// Names of states, in any case (KIP-518). Each partition is sent the same.
    pub states: Arc<[String]>,
    /// Names of types, in any case (KIP-848).
    pub types: Arc<[String]>,
}
