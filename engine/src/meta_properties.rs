//! `meta.properties`: whose log directory it is.
//!
//! Version 1 (KRaft and standalone) has `node.id`, version 0 (ZooKeeper) `broker.id`; both have
//! `cluster.id` and `directory.id`. Keys of others are kept. A Java properties file: the few rules
//! of its syntax that matter here are at the end.

use crate::atomic_file;
use protocol::ids::{BrokerId, Uuid};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

const FILE: &str = "meta.properties";

/// How a node keeps its metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaVersion {
    /// In ZooKeeper.
    V0,
    /// In a metadata log.
    V1,
}

/// Whose log directory it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// The file's version.
    pub version: MetaVersion,
    /// The node; absent only in version 0 before its first start.
    pub node_id: Option<BrokerId>,
    /// The cluster, as text: Kafka does not insist on a UUID.
    pub cluster_id: Option<String>,
    /// This directory among the node's.
    pub directory_id: Option<Uuid>,
    /// What else is in the file.
    pub others: BTreeMap<String, String>,
}

impl MetaVersion {
    const fn number(self) -> &'static str {
        match self {
            Self::V0 => "0",
            Self::V1 => "1",
        }
    }

    const fn id_key(self) -> &'static str {
        match self {
            Self::V0 => "broker.id",
            Self::V1 => "node.id",
        }
    }
}

impl MetaProperties {
    /// Reads a directory's file; `None` if it has none.
    pub(crate) fn read(directory: &Path) -> io::Result<Option<Self>> {
        let path = directory.join(FILE);
        let Some(text) = atomic_file::read(&path)? else {
            return Ok(None);
        };
        Self::parse(&text).map(Some).map_err(|what| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: {what}", path.display()),
            )
        })
    }

    /// Writes a directory's file.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        atomic_file::replace(&directory.join(FILE), self.print().as_bytes())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut values = parse_properties(text);
        let version = match values.remove("version").as_deref() {
            None | Some("0") => MetaVersion::V0,
            Some("1") => MetaVersion::V1,
            Some(other) => return Err(format!("unknown version {other:?}")),
        };
        let node_id = match values.remove(version.id_key()) {
            None => None,
            Some(id) => Some(
                id.parse()
                    .map(BrokerId)
                    .map_err(|_| format!("bad node id {id:?}"))?,
            ),
        };
        let directory_id = match values.remove("directory.id") {
            None => None,
            Some(id) => Some(id.parse().map_err(|_| format!("bad directory.id {id:?}"))?),
        };
        let cluster_id = values.remove("cluster.id");
        if version == MetaVersion::V1 && (node_id.is_none() || cluster_id.is_none()) {
            return Err("node.id or cluster.id is missing".to_owned());
        }
        Ok(Self {
            version,
            node_id,
            cluster_id,
            directory_id,
            others: values,
        })
    }

    /// The file's text, its keys in the order in which Kafka's come out.
    fn print(&self) -> String {
        let id = self.node_id.map(|id| id.to_string());
        let directory_id = self.directory_id.map(|id| id.to_string());
        let known = [
            (self.version.id_key(), id),
            ("directory.id", directory_id),
            ("version", Some(self.version.number().to_owned())),
            ("cluster.id", self.cluster_id.clone()),
        ];
        let known = known
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        let others = self
            .others
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()));
        let mut text = String::from("#\n");
        for (key, value) in known.chain(others) {
            text.push_str(&format!("{}={}\n", escaped(key), escaped(&value)));
        }
        text
    }
}

/// Lines of `key=value` or `key: value`; comments begin with `#` or `!`; a backslash takes the
/// next character as it is.
fn parse_properties(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for line in text.lines().map(str::trim_start) {
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let (mut key, mut value, mut in_value) = (String::new(), String::new(), false);
        let mut letters = line.chars();
        while let Some(letter) = letters.next() {
            let separates = !in_value && matches!(letter, '=' | ':');
            let letter = if letter == '\\' {
                letters.next().unwrap_or('\\')
            } else {
                letter
            };
            match (separates, in_value) {
                (true, _) => in_value = true,
                (false, true) => value.push(letter),
                (false, false) => key.push(letter),
            }
        }
        values.insert(key.trim_end().to_owned(), value.trim_start().to_owned());
    }
    values
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if matches!(letter, '=' | ':' | '#' | '!' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_files_are_read() {
        let text = "#\n#Sun Nov 22 17:00:00 UTC 2026\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\n\
                    directory.id=ASNFZ4mrze_-3LqYdlQyEA\nnode.id=1\nversion=1\n";
        let read = MetaProperties::parse(text).unwrap();
        assert_eq!(read.version, MetaVersion::V1);
        assert_eq!(read.node_id, Some(BrokerId(1)));
        assert_eq!(read.cluster_id.as_deref(), Some("MkU3OEVBNTcwNTJENDM2Qg"));
        assert_eq!(
            read.directory_id.unwrap().to_string(),
            "ASNFZ4mrze_-3LqYdlQyEA"
        );
        let text = "broker.id=7\nversion=0\ncluster.id=a\\:b\nother = x\n";
        let read = MetaProperties::parse(text).unwrap();
        assert_eq!(
            (read.version, read.node_id),
            (MetaVersion::V0, Some(BrokerId(7)))
        );
        assert_eq!(read.cluster_id.as_deref(), Some("a:b"));
        assert_eq!(read.others["other"], "x");
        for bad in [
            "version=2",
            "version=1\nnode.id=1",
            "version=1\nnode.id=x\ncluster.id=c",
        ] {
            assert!(MetaProperties::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(MetaProperties::read(directory.path()).unwrap(), None);
        let properties = MetaProperties {
            version: MetaVersion::V1,
            node_id: Some(BrokerId(3)),
            cluster_id: Some("a=b#c".to_owned()),
            directory_id: Some(Uuid([9; 16])),
            others: [("k:1".to_owned(), "v\\".to_owned())].into(),
        };
        properties.write(directory.path()).unwrap();
        assert_eq!(
            MetaProperties::read(directory.path()).unwrap(),
            Some(properties)
        );
    }
}
