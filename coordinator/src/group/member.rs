//! One member of a group.

use crate::machine::Token;

use super::alarm::Alarm;

/// What a member joined with, and what it waits for.
#[derive(Clone, Debug)]
pub struct Member {
    /// `group.instance.id` of a static member (KIP-345).
    pub instance: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// How long it may be silent, in milliseconds.
    pub session_timeout_ms: i32,
    /// How long it may take to join anew, in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// The protocols it knows with its metadata for each, the one it prefers first.
    pub protocols: Vec<(String, Vec<u8>)>,
    /// What the leader gave it; empty before.
    pub assignment: Vec<u8>,
    /// Its JoinGroup that waits.
    pub joining: Option<Token>,
    /// Its SyncGroup that waits.
    pub syncing: Option<Token>,
    /// It has not been through a rebalance, and cannot send heartbeats yet.
    pub is_new: bool,
    /// When it is given up.
    pub session: Alarm,
}

impl Member {
    /// Its metadata for a protocol that it knows; empty for another.
    pub fn metadata(&self, protocol: &str) -> &[u8] {
        let mut known = self.protocols.iter();
        let found = known.find(|(name, _)| name == protocol);
        found.map_or(&[], |(_, metadata)| metadata)
    }

    /// The first of its protocols that is a candidate.
    pub fn vote(&self, is_candidate: impl Fn(&str) -> bool) -> Option<&str> {
        let mut names = self.protocols.iter().map(|(name, _)| &**name);
        names.find(|name| is_candidate(name))
    }

    /// Whether its silence has no consequence now: it waits for an answer of ours.
    pub fn is_excused(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }
}
