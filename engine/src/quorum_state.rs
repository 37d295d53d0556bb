//! `quorum-state` in the metadata log's directory: which KRaft leader epoch this node has seen, and
//! for whom it voted. A later leader takes a higher epoch, so it is durable before the first
//! record of an epoch.
//!
//! One line of JSON, which Kafka writes with a fixed set of keys. Version 0 is that of a static
//! quorum (`controller.quorum.voters`), version 1 that of one with kraft.version 1 (KIP-853).

use crate::atomic_file;
use protocol::ids::{BrokerId, LeaderEpoch, Uuid};
use std::io;
use std::path::Path;

const FILE: &str = "quorum-state";

/// What a node remembers of elections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumState {
    /// The version of the file.
    pub version: u8,
    /// The leader, if this node knew it.
    pub leader: Option<BrokerId>,
    /// The latest epoch.
    pub leader_epoch: LeaderEpoch,
    /// The voters; version 1 does not name them.
    pub voters: Vec<BrokerId>,
}

impl QuorumState {
    /// Reads the file of the metadata log's directory; `None` if there is none.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        let path = directory.join(FILE);
        let Some(text) = atomic_file::read(&path)? else {
            return Ok(None);
        };
        Self::parse(&text).map(Some).ok_or_else(|| {
            let what = format!("{} is damaged: {text:?}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        })
    }

    /// Replaces the file, durably.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        atomic_file::replace(&directory.join(FILE), self.print().as_bytes())
    }

    fn parse(text: &str) -> Option<Self> {
        let version = *numbers(text, "data_version").first()?;
        let leader = *numbers(text, "leaderId").first()?;
        let voters = numbers(text, "voterId").into_iter();
        Some(Self {
            version: u8::try_from(version).ok().filter(|v| *v <= 1)?,
            leader: (leader >= 0).then_some(BrokerId(leader)),
            leader_epoch: LeaderEpoch(*numbers(text, "leaderEpoch").first()?),
            voters: voters.map(BrokerId).collect(),
        })
    }

    fn print(&self) -> String {
        let leader = self.leader.map_or(-1, |leader| leader.0);
        let epoch = self.leader_epoch;
        if self.version > 0 {
            return format!(
                "{{\"leaderId\":{leader},\"leaderEpoch\":{epoch},\"votedId\":-1,\
                 \"votedDirectoryId\":\"{}\",\"data_version\":{}}}",
                Uuid::ZERO,
                self.version
            );
        }
        let voters: Vec<String> = self
            .voters
            .iter()
            .map(|voter| format!("{{\"voterId\":{voter}}}"))
            .collect();
        format!(
            "{{\"clusterId\":\"\",\"leaderId\":{leader},\"leaderEpoch\":{epoch},\"votedId\":-1,\
             \"appliedOffset\":0,\"currentVoters\":[{}],\"data_version\":0}}",
            voters.join(",")
        )
    }
}

/// The numbers that stand behind a key, wherever it is.
fn numbers(text: &str, key: &str) -> Vec<i32> {
    let key = format!("\"{key}\"");
    let behind = text.split(&key).skip(1).filter_map(|rest| {
        let value = rest.trim_start().strip_prefix(':')?.trim_start();
        let end = value.find(|c: char| c != '-' && !c.is_ascii_digit());
        value[..end.unwrap_or(value.len())].parse().ok()
    });
    behind.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_file_is_read_and_written() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(QuorumState::read(directory.path()).unwrap(), None);
        let text = "{\"clusterId\":\"\",\"leaderId\":1,\"leaderEpoch\":7,\"votedId\":-1,\
                    \"appliedOffset\":0,\"currentVoters\":[{\"voterId\":1}],\"data_version\":0}";
        let state = QuorumState {
            version: 0,
            leader: Some(BrokerId(1)),
            leader_epoch: LeaderEpoch(7),
            voters: vec![BrokerId(1)],
        };
        assert_eq!(QuorumState::parse(text), Some(state.clone()));
        state.write(directory.path()).unwrap();
        let written = std::fs::read_to_string(directory.path().join(FILE)).unwrap();
        assert_eq!(written, text);
        assert_eq!(QuorumState::read(directory.path()).unwrap(), Some(state));
    }

    #[test]
    fn a_dynamic_quorum_has_version_1() {
        let text = "{\"leaderId\":-1,\"leaderEpoch\":2,\"votedId\":1,\
                    \"votedDirectoryId\":\"J8aAPcfLQt2bqs1JT_rMgQ\",\"data_version\":1}";
        let state = QuorumState::parse(text).unwrap();
        assert_eq!((state.version, state.leader), (1, None));
        assert_eq!(state.leader_epoch, LeaderEpoch(2));
        assert_eq!(QuorumState::parse(&state.print()), Some(state));
        for bad in [
            "",
            "{}",
            "{\"leaderId\":1,\"leaderEpoch\":2,\"data_version\":2}",
        ] {
            assert_eq!(QuorumState::parse(bad), None, "{bad}");
        }
    }
}
