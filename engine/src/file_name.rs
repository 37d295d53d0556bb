//! The names of a segment's files: twenty digits of base offset and what kind of file it is.
//!
//! Pure: touches no file.

use protocol::ids::Offset;
use std::path::{Path, PathBuf};

/// What a file of a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Record batches.
    Log,
    /// Offset to position.
    OffsetIndex,
    /// Timestamp to offset.
    TimeIndex,
    /// Aborted transactions.
    TxnIndex,
    /// Producers' states just before the offset in the name.
    Snapshot,
}

/// Something is on its way: what follows the kind in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In use.
    Settled,
    /// Given up, to be removed; so many files of that name were waiting for it already.
    Deleted(u32),
    /// Written by compaction, not yet valid.
    Cleaned,
    /// Valid, about to replace the segments it was made from.
    Swap,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Log,
        Self::OffsetIndex,
        Self::TimeIndex,
        Self::TxnIndex,
        Self::Snapshot,
    ];

    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::OffsetIndex => ".index",
            Self::TimeIndex => ".timeindex",
            Self::TxnIndex => ".txnindex",
            Self::Snapshot => ".snapshot",
        }
    }
}

impl Stage {
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Settled => "",
            Self::Deleted(_) => ".deleted",
            Self::Cleaned => ".cleaned",
            Self::Swap => ".swap",
        }
    }
}

/// A file of a segment, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileName {
    pub(crate) base_offset: Offset,
    pub(crate) kind: Kind,
    pub(crate) stage: Stage,
}

impl FileName {
    /// Reads a name; `None` if it is not that of a segment's file.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let staged = [Stage::Deleted(0), Stage::Cleaned, Stage::Swap]
            .into_iter()
            .find_map(|stage| Some((name.strip_suffix(stage.suffix())?, stage)));
        let (name, stage) = match staged {
            Some((name, Stage::Deleted(_))) => numbered(name),
            staged => staged.unwrap_or((name, Stage::Settled)),
        };
        let (digits, kind) = Kind::ALL
            .into_iter()
            .find_map(|kind| Some((name.strip_suffix(kind.suffix())?, kind)))?;
        if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            base_offset: Offset(digits.parse().ok()?),
            kind,
            stage,
        })
    }

    /// The file's path in a partition's directory.
    pub(crate) fn within(self, directory: &Path) -> PathBuf {
        let Self {
            base_offset,
            kind,
            stage,
        } = self;
        let number = match stage {
            Stage::Deleted(number @ 1..) => format!(".{number}"),
            _ => String::new(),
        };
        let (kind, stage) = (kind.suffix(), stage.suffix());
        directory.join(format!("{:020}{kind}{number}{stage}", base_offset.0))
    }
}

/// A name without `.deleted`, and perhaps a number before that: the second of that name has 1.
fn numbered(name: &str) -> (&str, Stage) {
    let number = name.rsplit_once('.').and_then(|(name, number)| {
        let plain = number.bytes().all(|b| b.is_ascii_digit());
        Some((name, number.parse().ok().filter(|_| plain)?))
    });
    let (name, number) = number.unwrap_or((name, 0));
    (name, Stage::Deleted(number))
}

/// The path of a segment's file that is in use.
pub(crate) fn path(directory: &Path, base_offset: Offset, kind: Kind) -> PathBuf {
    FileName {
        base_offset,
        kind,
        stage: Stage::Settled,
    }
    .within(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_and_read_back() {
        for kind in Kind::ALL {
            for stage in [
                Stage::Settled,
                Stage::Deleted(0),
                Stage::Deleted(12),
                Stage::Cleaned,
                Stage::Swap,
            ] {
                let name = FileName {
                    base_offset: Offset(1234567),
                    kind,
                    stage,
                };
                let path = name.within(Path::new("/d"));
                let text = path.file_name().unwrap().to_str().unwrap();
                assert_eq!(FileName::parse(text), Some(name), "{text}");
            }
        }
        let log = path(Path::new("/d"), Offset(0), Kind::Log);
        assert_eq!(log, Path::new("/d/00000000000000000000.log"));
    }

    #[test]
    fn other_files_are_left_alone() {
        let others = [
            "leader-epoch-checkpoint",
            "partition.metadata",
            "quorum-state",
            "0.log",
            "00000000000000000000.log.1",
            "00000000000000000000.log.+1.deleted",
            "00000000000000000000.logx",
            "0000000000000000000x.log",
            "00000000000000000000-0000000001.checkpoint.deleted",
            "00000000000000000000.kafka_kraft_version.index2",
        ];
        for other in others {
            assert_eq!(FileName::parse(other), None, "{other}");
        }
    }
}
