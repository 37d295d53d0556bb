//! The files of a partition's directory that are not a segment's.

use crate::atomic_file;
use protocol::ids::Uuid;
use std::io;
use std::path::Path;

/// Where each leader epoch starts.
pub(crate) const EPOCHS: &str = "leader-epoch-checkpoint";

/// The topic's id.
pub(crate) const METADATA: &str = "partition.metadata";

/// Reads the topic's id; `None` if the directory has none.
pub(crate) fn read_topic_id(directory: &Path) -> io::Result<Option<Uuid>> {
    let path = directory.join(METADATA);
    let Some(text) = atomic_file::read(&path)? else {
        return Ok(None);
    };
    if is_cut(&text) {
        tracing::warn!(file = %path.display(), "its content was lost in a crash");
        return Ok(None);
    }
    let bad = |what: &str| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: {what}", path.display()),
        )
    };
    let value = |line: Option<&str>, key: &str| -> Option<String> {
        Some(
            line?
                .strip_prefix(key)?
                .strip_prefix(':')?
                .trim()
                .to_owned(),
        )
    };
    let mut lines = text.lines();
    let version = value(lines.next(), "version").and_then(|version| version.parse::<u32>().ok());
    version.ok_or_else(|| bad("its first line is not a version"))?;
    let id = value(lines.next(), "topic_id").and_then(|id| id.parse::<Uuid>().ok());
    match id {
        Some(id) if !id.is_zero() => Ok(Some(id)),
        _ => Err(bad("its second line is not a topic id")),
    }
}

/// Whether a text is nothing but the beginning of one with an id, and perhaps zeroes.
fn is_cut(text: &str) -> bool {
    const BEFORE_ID: &str = "version: 0\ntopic_id: ";
    const ID_BYTES: usize = 22;
    let text = text.trim_end_matches('\0');
    let id = text.strip_prefix(BEFORE_ID);
    BEFORE_ID.starts_with(text) || id.is_some_and(|id| id.len() < ID_BYTES)
}

/// Writes the topic's id. Not synced: an id is worth no more than the records, and the first flush
/// makes it durable with them. Whoever finds it lost finds an empty log.
pub(crate) fn write_topic_id(directory: &Path, id: Uuid) -> io::Result<()> {
    let text = format!("version: 0\ntopic_id: {id}");
    atomic_file::replace_derived(&directory.join(METADATA), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_is_written_as_kafka_does_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read_topic_id(directory.path()).unwrap(), None);
        let id = Uuid(*b"0123456789abcdef");
        write_topic_id(directory.path(), id).unwrap();
        let text = std::fs::read_to_string(directory.path().join(METADATA)).unwrap();
        assert_eq!(text, "version: 0\ntopic_id: MDEyMzQ1Njc4OWFiY2RlZg");
        assert_eq!(read_topic_id(directory.path()).unwrap(), Some(id));
        let cut = &text[..text.len() - 1];
        let zeroes = format!("{}\0\0", &text[..30]);
        for lost in ["", "\0\0\0", "ver", &text[..11], &text[..30], cut, &zeroes] {
            std::fs::write(directory.path().join(METADATA), lost).unwrap();
            assert_eq!(read_topic_id(directory.path()).unwrap(), None);
        }
        for bad in [
            "version: x\ntopic_id: MDEyMzQ1Njc4OWFiY2RlZg",
            "version: 0\ntopic_id: MDEyMzQ1Njc4OWFiY2RlZ!",
            "topic_id: MDEyMzQ1Njc4OWFiY2RlZg",
        ] {
            std::fs::write(directory.path().join(METADATA), bad).unwrap();
            assert!(read_topic_id(directory.path()).is_err(), "{bad:?}");
        }
    }
}
