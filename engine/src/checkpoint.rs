//! Kafka's checkpoint files: a version, a count, and one line an entry. Offsets of partitions
//! (`recovery-point-offset-checkpoint` and its like) and leader epochs.
//!
//! Blocking system calls: for start-up and `ring::offload`.

use crate::atomic_file;
use crate::disk;
use crate::partition_name::TopicPartition;
use protocol::ids::{LeaderEpoch, Offset, PartitionIndex};
use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::path::Path;

const VERSION: &str = "0";

/// Where an epoch's records begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochStart {
    pub(crate) epoch: LeaderEpoch,
    pub(crate) start_offset: Offset,
}

/// Reads offsets of partitions. A missing or empty file has none.
pub(crate) fn read_offsets(path: &Path) -> io::Result<HashMap<TopicPartition, Offset>> {
    read_entries(path, |words| match words {
        [topic, partition, offset] => {
            let partition = PartitionIndex(partition.parse().ok()?);
            Some((
                TopicPartition::new(topic, partition),
                Offset(offset.parse().ok()?),
            ))
        }
        _ => None,
    })
    .map(|entries| entries.into_iter().collect())
}

/// Replaces a file of offsets of partitions.
pub(crate) fn write_offsets(path: &Path, offsets: &[(TopicPartition, Offset)]) -> io::Result<()> {
    let mut text = head(offsets.len());
    for (TopicPartition { topic, partition }, offset) in offsets {
        writeln!(text, "{topic} {partition} {offset}").expect("a string takes all");
    }
    atomic_file::replace(path, text.as_bytes())
}

/// Reads a `leader-epoch-checkpoint`.
pub(crate) fn read_epochs(path: &Path) -> io::Result<Vec<EpochStart>> {
    read_entries(path, |words| match words {
        [epoch, offset] => Some(EpochStart {
            epoch: LeaderEpoch(epoch.parse().ok()?),
            start_offset: Offset(offset.parse().ok()?),
        }),
        _ => None,
    })
}

/// The entries of a `leader-epoch-checkpoint`; `None` if it is damaged, or empty as a crash may leave
/// it: the batches know their epochs as well.
pub(crate) fn read_sound_epochs(path: &Path) -> io::Result<Option<Vec<EpochStart>>> {
    let damaged = |why: &str| {
        tracing::warn!(file = %path.display(), why, "damaged; making it anew from the batches");
        Ok(None)
    };
    match read_epochs(path) {
        Ok(entries) if entries.is_empty() && is_empty_file(path)? => damaged("it is empty"),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => damaged(&error.to_string()),
        read => read.map(Some),
    }
}

fn is_empty_file(path: &Path) -> io::Result<bool> {
    match disk::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => found.map(|found| found.len() == 0),
    }
}

/// Replaces a `leader-epoch-checkpoint`. Not synced: it has to be as durable as the batches of its
/// epochs, and a flush sees to both.
pub(crate) fn write_epochs(path: &Path, epochs: &[EpochStart]) -> io::Result<()> {
    let mut text = head(epochs.len());
    for EpochStart {
        epoch,
        start_offset,
    } in epochs
    {
        writeln!(text, "{epoch} {start_offset}").expect("a string takes all");
    }
    atomic_file::replace_derived(path, text.as_bytes())
}

fn head(count: usize) -> String {
    format!("{VERSION}\n{count}\n")
}

fn read_entries<T>(path: &Path, parse: impl Fn(&[&str]) -> Option<T>) -> io::Result<Vec<T>> {
    let Some(text) = atomic_file::read(path)? else {
        return Ok(Vec::new());
    };
    let mut lines = text.lines();
    let bad = |what: &str| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: {what}", path.display()),
        )
    };
    match lines.next() {
        None => return Ok(Vec::new()),
        Some(VERSION) => {}
        Some(other) => return Err(bad(&format!("unknown checkpoint version {other:?}"))),
    }
    let Some(count) = lines.next() else {
        return Ok(Vec::new());
    };
    let count: usize = count
        .parse()
        .map_err(|_| bad(&format!("malformed count {count:?}")))?;
    let mut entries = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        entries.push(parse(&words).ok_or_else(|| bad(&format!("malformed line {line:?}")))?);
    }
    if entries.len() != count {
        return Err(bad(&format!(
            "expected {count} entries, found {}",
            entries.len()
        )));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn offsets_are_written_as_kafka_does_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("recovery-point-offset-checkpoint");
        assert!(read_offsets(&path).unwrap().is_empty());
        let entries = [("a-b", 0, 17), ("c", 12, i64::MAX)].map(|(topic, partition, offset)| {
            (
                TopicPartition::new(topic, PartitionIndex(partition)),
                Offset(offset),
            )
        });
        write_offsets(&path, &entries).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "0\n2\na-b 0 17\nc 12 9223372036854775807\n");
        assert_eq!(read_offsets(&path).unwrap(), entries.into_iter().collect());
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            1,
            "no .tmp is left"
        );
    }

    #[test]
    fn damage_is_an_error_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leader-epoch-checkpoint");
        for bad in [
            "1\n0\n",
            "x",
            "0\nmany\n",
            "0\n2\n0 0\n",
            "0\n1\n0\n",
            "0\n1\n0 x\n",
        ] {
            fs::write(&path, bad).unwrap();
            let error = read_epochs(&path).unwrap_err().to_string();
            assert!(
                error.contains("leader-epoch-checkpoint"),
                "{bad:?}: {error}"
            );
        }
        for empty in ["", "0\n", "0\n0\n"] {
            fs::write(&path, empty).unwrap();
            assert_eq!(read_epochs(&path).unwrap(), []);
        }
    }
}
