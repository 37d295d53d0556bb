//! Record sets that Kafka's own code built: see ../golden/README.md.

use crate::golden::from_hex;
use protocol::batch::control::{EndMarker, TransactionResult};
use protocol::batch::{Batches, Compression, TimestampType};
use protocol::legacy_record_set;

const SETS: &str = include_str!("../golden/batches.txt");
const CONTENT_BYTES_MAX: usize = 1 << 20;

/// A set with its name, and its records as the file says they are.
struct Set {
    name: &'static str,
    bytes: Vec<u8>,
    records: Vec<String>,
}

fn sets() -> Vec<Set> {
    let mut sets: Vec<Set> = Vec::new();
    for line in SETS.lines() {
        match line.split_once(' ').unwrap() {
            ("set", rest) => {
                let (name, hex) = rest.split_once(" x").unwrap();
                sets.push(Set {
                    name,
                    bytes: from_hex(hex),
                    records: Vec::new(),
                });
            }
            ("record", rest) => sets.last_mut().unwrap().records.push(rest.to_owned()),
            _ => panic!("neither a set nor a record: {line}"),
        }
    }
    sets
}

fn hex(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "null".to_owned(),
        Some(bytes) => bytes
            .iter()
            .fold("x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    }
}

#[test]
fn batches_of_every_compression_are_read() {
    let mut seen = 0;
    for set in sets()
        .iter()
        .filter(|set| legacy_record_set::magic_of(&set.bytes) == Some(2))
    {
        let mut records = Vec::new();
        let mut scratch = Vec::new();
        for batch in Batches::new(&set.bytes) {
            let batch = batch.unwrap();
            batch
                .validate_strict(&mut scratch, CONTENT_BYTES_MAX)
                .unwrap();
            for record in batch.records_in(&mut scratch, CONTENT_BYTES_MAX).unwrap() {
                let record = record.unwrap();
                let mut line = format!(
                    "{} {} {} {}",
                    record.offset,
                    record.timestamp,
                    hex(record.key),
                    hex(record.value)
                );
                for (name, value) in record.headers {
                    line += &format!(" {}={}", hex(Some(name.as_bytes())), hex(value));
                }
                records.push(line);
            }
        }
        assert_eq!(records, set.records, "{}", set.name);
        seen += 1;
    }
    assert_eq!(seen, 2 * Compression::ALL.len() + 4);
}

#[test]
fn sets_of_the_old_formats_are_read() {
    let mut seen = 0;
    for set in sets() {
        let magic = legacy_record_set::magic_of(&set.bytes).unwrap();
        if magic == 2 {
            continue;
        }
        let mut records = Vec::new();
        legacy_record_set::read(&set.bytes, CONTENT_BYTES_MAX, &mut |record| {
            assert_eq!(record.magic, magic);
            records.push(format!(
                "{} {} {} {}",
                record.offset,
                record.timestamp.map_or(-1, |timestamp| timestamp.0),
                hex(record.key),
                hex(record.value)
            ));
        })
        .unwrap();
        assert_eq!(records, set.records, "{}", set.name);
        seen += 1;
    }
    assert_eq!(seen, 4 + 2 * 4);
}

#[test]
fn what_a_header_says_is_what_was_built() {
    for set in sets() {
        if legacy_record_set::magic_of(&set.bytes) != Some(2) {
            continue;
        }
        let batch = Batches::new(&set.bytes).next().unwrap().unwrap();
        let header = batch.header;
        match set.name {
            "idempotent" => {
                assert_eq!((header.producer_id.0, header.producer_epoch.0), (77, 3));
                assert_eq!(header.base_sequence, i32::MAX - 1);
                assert_eq!(header.last_sequence(), 3);
                assert_eq!(header.leader_epoch.0, 9);
                batch.validate_from_client().unwrap();
            }
            "transactional" => {
                assert!(header.attributes.is_transactional());
                batch.validate_from_client().unwrap();
            }
            "commit" | "abort" => {
                assert!(header.attributes.is_control());
                assert!(batch.validate_from_client().is_err());
                let record = batch.records().unwrap().next().unwrap().unwrap();
                let marker = EndMarker::parse(record.key.unwrap(), record.value).unwrap();
                let (result, epoch) = match set.name {
                    "commit" => (TransactionResult::Commit, 19),
                    _ => (TransactionResult::Abort, 20),
                };
                assert_eq!(
                    marker,
                    EndMarker {
                        result,
                        coordinator_epoch: epoch
                    }
                );
                let ours =
                    marker.batch(header.producer_id, header.producer_epoch, record.timestamp);
                let ours = Batches::new(&ours).next().unwrap().unwrap();
                let mut stored = ours
                    .patched_prefix(header.base_offset, header.leader_epoch)
                    .to_vec();
                stored.extend_from_slice(&ours.bytes[stored.len()..]);
                assert!(
                    stored == set.bytes,
                    "{} is built as Kafka builds it",
                    set.name
                );
            }
            name => {
                let is_append_time = name.ends_with("LogAppendTime");
                assert_eq!(
                    header.attributes.timestamp_type() == TimestampType::LogAppendTime,
                    is_append_time
                );
                assert!(name.contains(batch.compression().unwrap().name()));
            }
        }
    }
}
