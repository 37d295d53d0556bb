//! Writes seeds for the targets, from the golden bytes of the tests, into `corpus/`.

use protocol::compression::{Compression, compress};
use std::fs;
use std::path::{Path, PathBuf};

const MESSAGES: &str = include_str!("../../tests/golden/messages.txt");
const SETS: &str = include_str!("../../tests/golden/batches.txt");

/// The kinds of records that the target `internal_records` knows by a number, from this one on.
const FIRST_DATA: u8 = 100;
const DATA: [&str; 21] = [
    "ConsumerProtocolAssignment",
    "ConsumerProtocolSubscription",
    "DefaultPrincipalData",
    "TransactionLogKey",
    "TransactionLogValue",
    "KRaftVersionRecord",
    "LeaderChangeMessage",
    "SnapshotHeaderRecord",
    "SnapshotFooterRecord",
    "VotersRecord",
    "QuorumStateData",
    "OffsetCommitKey",
    "OffsetCommitValue",
    "GroupMetadataKey",
    "GroupMetadataValue",
    "ConsumerGroupMemberMetadataValue",
    "ConsumerGroupPartitionMetadataValue",
    "ConsumerGroupTargetAssignmentMemberValue",
    "ConsumerGroupCurrentMemberAssignmentValue",
    "ShareGroupMemberMetadataValue",
    "ShareGroupPartitionMetadataValue",
];

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut seeds = Seeds { corpus, written: 0 };
    for line in MESSAGES.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, key, version, hex] = words[..] else {
            panic!("not a message: {line}")
        };
        let version: u8 = version.parse().expect("a version");
        let frame = from_hex(hex);
        let number = || key.parse().expect("a key");
        match (kind, key) {
            ("request", _) => seeds.write("requests", &[number(), version], &frame)?,
            ("response", _) => seeds.write("responses", &[number(), version], &frame)?,
            ("metadata", _) => seeds.write("internal_records", &[number(), version], &frame)?,
            (_, "RequestHeaderData") => seeds.write("headers", &[version << 1], &frame)?,
            (_, "ResponseHeaderData") => seeds.write("headers", &[version << 1 | 1], &frame)?,
            (_, name) => {
                if let Some(at) = DATA.iter().position(|known| *known == name) {
                    seeds.write(
                        "internal_records",
                        &[FIRST_DATA + at as u8, version],
                        &frame,
                    )?;
                }
            }
        }
    }
    for set in SETS.lines().filter_map(|line| line.strip_prefix("set ")) {
        let (_, hex) = set.split_once(" x").expect("a name and bytes");
        let set = from_hex(hex);
        let target = if set[16] == 2 {
            "batches"
        } else {
            "legacy_record_sets"
        };
        seeds.write(target, &[], &set)?;
    }
    for compression in Compression::ALL {
        let mut compressed = Vec::new();
        compress(
            compression,
            &b"some text that repeats, ".repeat(20),
            &mut compressed,
        );
        seeds.write("compression", &[compression as u8], &compressed)?;
    }
    println!("{} seeds in {}", seeds.written, seeds.corpus.display());
    Ok(())
}

struct Seeds {
    corpus: PathBuf,
    written: u32,
}

impl Seeds {
    fn write(&mut self, target: &str, front: &[u8], bytes: &[u8]) -> std::io::Result<()> {
        let folder = self.corpus.join(target);
        fs::create_dir_all(&folder)?;
        self.written += 1;
        fs::write(
            folder.join(format!("seed-{}", self.written)),
            [front, bytes].concat(),
        )
    }
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .bytes()
        .map(|b| (b as char).to_digit(16).expect("a hex digit") as u8)
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
