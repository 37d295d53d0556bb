//! What is asked of the group coordinator, and what it answers.

use protocol::messages::offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
use protocol::messages::offset_fetch::{OffsetFetchRequestTopics, OffsetFetchResponseGroup};

/// A request about one group, or about what the groups of this partition have in common.
pub enum Request {
    /// Offsets to be committed, of partitions that exist.
    Commit(Box<OffsetCommitRequest<'static>>),
    /// What is committed.
    Fetch(FetchOffsets),
}

/// The answer to the request of the same name.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// An error code for each partition.
    Commit(OffsetCommitResponse<'static>),
    /// The offsets.
    Fetch(OffsetFetchResponseGroup<'static>),
}

/// One group's part of an OffsetFetch request.
pub struct FetchOffsets {
    /// The group.
    pub group: String,
    /// Which partitions; none for all that have an offset.
    pub topics: Option<Vec<OffsetFetchRequestTopics<'static>>>,
    /// Refuse what a transaction may replace at any moment (KIP-447).
    pub require_stable: bool,
}
