//! docs/on_disk_format.md against the code: files that the engine writes are taken apart by the
//! document's tables, its examples are compared with what is written for the same values, and its
//! numbers with the constants. Here, and not among the end-to-end tests, since the constants are
//! the engine's own.

use super::producers::{marker, transactional};
use super::*;
use crate::active_index::{STORE_ENTRIES_MIN, WARM_ENTRIES};
use crate::checkpoint::{EpochStart, write_epochs, write_offsets};
use crate::compact::KEY_BYTES;
use crate::directory::LogDirectory;
use crate::hot_tail::BATCHES_MAX;
use crate::index_entry::RELATIVE_OFFSET_MAX;
use crate::metadata_snapshot::{self, SnapshotId};
use crate::partition_name::Standing;
use crate::producer_entry::BATCHES_REMEMBERED;
use crate::{MetaProperties, MetaVersion, QuorumState};
use crate::{producer_snapshot, reserve, txn_index};
use protocol::batch::control::{ControlType, TransactionResult};
use protocol::batch::{Attributes, BATCH_OVERHEAD, Compression, LOG_OVERHEAD};
use protocol::ids::{BrokerEpoch, BrokerId, Uuid};
use protocol::legacy_record_set::{LegacyBuilder, LegacyMagic};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const DOCUMENT: &str = include_str!("../../../docs/on_disk_format.md");
const ID: Uuid = Uuid([9; 16]);

/// What stands below a heading, up to the next one.
fn section(heading: &str) -> impl Iterator<Item = &'static str> {
    let is_it =
        move |line: &&str| line.starts_with('#') && line.trim_start_matches('#').trim() == heading;
    assert_eq!(
        DOCUMENT.lines().filter(is_it).count(),
        1,
        "heading {heading:?}"
    );
    let from = DOCUMENT
        .lines()
        .skip_while(move |line| !is_it(line))
        .skip(1);
    let mut in_code = false;
    from.take_while(move |line| {
        in_code ^= line.starts_with("```");
        in_code || !line.starts_with('#')
    })
}

/// The cells of the table below a heading, without its head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let rows = section(heading)
        .filter(|line| line.starts_with('|'))
        .skip(2);
    let cell = |cell: &str| {
        let cell = cell.trim();
        let code = cell.strip_prefix('`').and_then(|c| c.strip_suffix('`'));
        code.unwrap_or(cell).to_owned()
    };
    let rows: Vec<Vec<String>> = rows
        .map(|row| row.trim_matches('|').split('|').map(cell).collect())
        .collect();
    assert!(!rows.is_empty(), "no table below {heading:?}");
    rows
}

/// The first column of a table.
fn names(heading: &str) -> BTreeSet<String> {
    table(heading)
        .into_iter()
        .map(|row| row[0].clone())
        .collect()
}

/// The example below a heading.
fn example(heading: &str) -> String {
    let code = section(heading)
        .skip_while(|line| !line.starts_with("```"))
        .skip(1);
    let lines: Vec<&str> = code.take_while(|line| !line.starts_with("```")).collect();
    lines.join("\n")
}

/// The fields of a table of places, which must leave no gap.
fn places(heading: &str) -> Vec<(String, usize, usize)> {
    let mut end = 0;
    let field = |row: Vec<String>| {
        let number = |text: &str| {
            text.parse()
                .unwrap_or_else(|_| panic!("{heading}: {row:?}"))
        };
        let (at, bytes): (usize, usize) = (number(&row[1]), number(&row[2]));
        assert_eq!(at, end, "{heading}: {} does not follow", row[0]);
        end += bytes;
        (row[0].clone(), at, bytes)
    };
    table(heading).into_iter().map(field).collect()
}

/// How many bytes the fields of a table take.
fn size(heading: &str) -> usize {
    places(heading)
        .last()
        .map_or(0, |(_, at, bytes)| at + bytes)
}

/// The number in a field of at most eight bytes.
fn number(bytes: &[u8]) -> i64 {
    let sign = if bytes[0] >= 0x80 { -1 } else { 0 };
    bytes.iter().fold(sign, |n, byte| n << 8 | i64::from(*byte))
}

/// Takes bytes apart as a table says, and compares with what they ought to say. Of a field whose
/// value is not known beforehand, `None` is expected.
fn assert_fields(heading: &str, bytes: &[u8], expected: &[(&str, Option<i64>)]) {
    let found = places(heading).into_iter().map(|(name, at, length)| {
        let value = number(&bytes[at..at + length]);
        let known = expected.iter().find(|(n, _)| *n == name);
        let value = known.is_none_or(|(_, v)| v.is_some()).then_some(value);
        (name, value)
    });
    let expected = expected
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value));
    assert_eq!(
        found.collect::<Vec<_>>(),
        expected.collect::<Vec<_>>(),
        "{heading}"
    );
}

fn names_in(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
    entries.map(|entry| name(entry).unwrap()).collect()
}

/// A log with every kind of file: a transaction that was aborted, in a closed segment.
fn written() -> (Place, Log) {
    let place = Place::new(small_segments());
    let mut log = place.open(Left::Closed);
    let of_epoch_4 = |batches| Append {
        leader_epoch: LeaderEpoch(4),
        ..of_client(batches)
    };
    let first = [
        transactional(5, 3, Origin::VerifiedClient),
        marker(5, TransactionResult::Abort),
        of_epoch_4(idempotent(6, 2, 10, 3)),
    ];
    let others = (0..40).map(|at| of_epoch_4(batch(4, NOW.0 + at)));
    for result in append_all(&mut log, first.into_iter().chain(others)) {
        result.unwrap();
    }
    (place, log)
}

#[test]
fn every_file_of_a_log_directory_is_named() {
    let place = tempfile::tempdir().unwrap();
    let directory = LogDirectory::open(place.path()).unwrap();
    let offsets = [(TopicPartition::new("orders", PartitionIndex(7)), Offset(1))];
    directory
        .write_identity(&identity(MetaVersion::V1))
        .unwrap();
    directory.write_recovery_points(&offsets).unwrap();
    directory.write_log_start_offsets(&offsets).unwrap();
    directory.write_high_watermarks(&offsets).unwrap();
    directory.write_cleaned(&offsets).unwrap();
    directory.mark_clean(BrokerEpoch(12)).unwrap();
    assert_eq!(names_in(place.path()), names("Files of a log directory"));
    let marker = fs::read_to_string(place.path().join(".kafka_cleanshutdown")).unwrap();
    assert_eq!(marker, example(".kafka_cleanshutdown"));
}

fn identity(version: MetaVersion) -> MetaProperties {
    MetaProperties {
        version,
        node_id: Some(BrokerId(3)),
        cluster_id: Some("MkU3OEVBNTcwNTJENDM2Qg".to_owned()),
        directory_id: Some(ID),
        others: BTreeMap::new(),
    }
}

#[test]
fn partitions_directories_are_named_as_it_says() {
    let partition = TopicPartition::new("orders", PartitionIndex(7));
    let unique: [u8; 16] = std::array::from_fn(|at| 15 - at as u8);
    let marked = [Standing::Deleted, Standing::Future, Standing::Stray];
    let marked = marked.map(|standing| partition.directory_name_as(standing, unique));
    let all = marked.into_iter().chain([partition.to_string()]);
    assert_eq!(
        all.collect::<BTreeSet<_>>(),
        names("Names of a partition's directory")
    );
}

#[test]
fn every_file_of_a_partition_is_named() {
    let (place, log) = written();
    let directory = place.directory.clone();
    crate::partition_files::write_topic_id(&directory, ID).unwrap();
    log.close().unwrap();
    let kind = |name: String| match FileName::parse(&name) {
        Some(file) => format!("<offset>{}", file.kind.suffix()),
        None => name,
    };
    let found: BTreeSet<_> = names_in(&directory).into_iter().map(kind).collect();
    assert_eq!(found, names("Files of a partition"));
    assert_eq!(Kind::ALL.len() + 2, found.len(), "each kind was written");
    let stages = [Stage::Deleted(0), Stage::Cleaned, Stage::Swap];
    let suffixes = stages.map(|stage| stage.suffix().to_owned());
    let suffixes = suffixes.into_iter().chain([".tmp".to_owned()]);
    assert_eq!(
        suffixes.collect::<BTreeSet<_>>(),
        names("What follows a name")
    );
}

#[test]
fn every_file_of_the_metadata_log_is_named() {
    let place = tempfile::tempdir().unwrap();
    let at = place.path();
    quorum(1).write(at).unwrap();
    let id = SnapshotId {
        epoch: LeaderEpoch(4),
        offset: Offset(77),
    };
    metadata_snapshot::write(at, id, &batch(1, 1)).unwrap();
    let snapshot = "00000000000000000077-0000000004";
    let short = |name: String| name.replace(snapshot, "<offset>-<epoch>");
    let mut found: BTreeSet<_> = names_in(at).into_iter().map(short).collect();
    let removed = names("Files of the metadata log");
    let removed = removed.difference(&found).cloned().collect::<Vec<_>>();
    assert_eq!(removed.len(), 2, "{removed:?}");
    for name in &removed {
        fs::write(at.join(name.replace("<offset>-<epoch>", snapshot)), "x").unwrap();
    }
    assert_eq!(metadata_snapshot::list(at).unwrap(), [id]);
    assert_eq!(names_in(at).len(), 2, "what the document says is removed");
    found.extend(removed);
    assert_eq!(found, names("Files of the metadata log"));
}

fn quorum(version: u8) -> QuorumState {
    QuorumState {
        version,
        leader: Some(BrokerId(3)),
        leader_epoch: LeaderEpoch(7),
        voters: vec![BrokerId(3)],
    }
}

#[test]
fn the_examples_of_small_files_are_what_is_written() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let read = |name: &str| fs::read_to_string(at(name)).unwrap();
    for (version, heading) in [
        (MetaVersion::V0, "meta.properties, version 0"),
        (MetaVersion::V1, "meta.properties, version 1"),
    ] {
        identity(version).write(place.path()).unwrap();
        assert_eq!(read("meta.properties"), example(heading) + "\n");
    }
    for (version, heading) in [
        (0, "quorum-state, version 0"),
        (1, "quorum-state, version 1"),
    ] {
        quorum(version).write(place.path()).unwrap();
        assert_eq!(read("quorum-state"), example(heading));
    }
    crate::partition_files::write_topic_id(place.path(), ID).unwrap();
    assert_eq!(read("partition.metadata"), example("partition.metadata"));
    let starts = [(0, 0), (4, 1234)].map(|(epoch, start)| EpochStart {
        epoch: LeaderEpoch(epoch),
        start_offset: Offset(start),
    });
    write_epochs(&at("epochs"), &starts).unwrap();
    assert_eq!(read("epochs"), example("leader-epoch-checkpoint") + "\n");
    let offsets = [("orders", 7, 1234), ("payments-eu", 0, i64::MAX)];
    let offsets = offsets.map(|(topic, partition, offset)| {
        let partition = TopicPartition::new(topic, PartitionIndex(partition));
        (partition, Offset(offset))
    });
    write_offsets(&at("offsets"), &offsets).unwrap();
    assert_eq!(read("offsets"), example("Checkpoints of offsets") + "\n");
}

#[test]
fn batches_are_laid_out_as_it_says() {
    let (place, _log) = written();
    let log = fs::read(place.path(0, Kind::Log)).unwrap();
    let third = Batches::new(&log).nth(2).unwrap().unwrap().bytes;
    let heading = "Batch, format 2";
    assert_eq!(size(heading), BATCH_OVERHEAD);
    let expected = [
        ("base offset", Some(2)),
        ("length", Some((third.len() - LOG_OVERHEAD) as i64)),
        ("leader epoch", Some(4)),
        ("magic", Some(2)),
        ("CRC", None),
        ("attributes", Some(0)),
        ("last offset delta", Some(2)),
        ("base timestamp", Some(NOW.0)),
        ("max timestamp", Some(NOW.0)),
        ("producer id", Some(6)),
        ("producer epoch", Some(2)),
        ("base sequence", Some(10)),
        ("records", Some(3)),
    ];
    assert_fields(heading, third, &expected);
    let (_, at, _) = places(heading).into_iter().find(|f| f.0 == "CRC").unwrap();
    let (_, from, _) = places(heading)
        .into_iter()
        .find(|f| f.0 == "attributes")
        .unwrap();
    let crc = protocol::checksum::crc32c(&third[from..]);
    assert_eq!(third[at..at + 4], crc.to_be_bytes());
}

#[test]
fn attributes_and_control_types_have_the_bits_it_says() {
    let rows = table("Attributes");
    let mask = |row: &Vec<String>| row[1].parse::<i16>().unwrap();
    let one = Attributes::default();
    let expected = [
        (
            "codec",
            Compression::ALL.iter().fold(0, |all, c| all | *c as i16),
        ),
        (
            "LogAppendTime",
            one.with_timestamp_type(protocol::batch::TimestampType::LogAppendTime)
                .0,
        ),
        ("transactional", one.transactional().0),
        ("control", one.control().0),
        ("delete horizon", one.with_delete_horizon().0),
    ];
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row[0].as_str(), mask(row)))
        .collect();
    assert_eq!(found, expected);
    let codecs = Compression::ALL.map(|codec| format!("{} {}", codec as u8, codec.name()));
    assert_eq!(rows[0][2], codecs.join(", "));
    let types = ControlType::ALL.map(|t| vec![(t as i16).to_string(), format!("{t:?}")]);
    assert_eq!(table("Control records"), types);
}

/// A varint, and what follows it.
fn varint(bytes: &[u8]) -> (i64, &[u8]) {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let (taken, rest) = bytes.split_at(length);
    let zigzag = taken
        .iter()
        .rev()
        .fold(0u64, |n, byte| n << 7 | u64::from(byte & 0x7f));
    ((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64), rest)
}

#[test]
fn records_are_laid_out_as_it_says() {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    for (timestamp, key) in [(NOW, "first"), (NOW + 300, "key")] {
        batch.append(&NewRecord {
            timestamp,
            key: Some(key.as_bytes()),
            value: Some(b"value"),
            headers: &[("header", Some(b"of it"))],
        });
    }
    let batch = batch.finish();
    let (first_bytes, rest) = varint(&batch[BATCH_OVERHEAD..]);
    let mut rest = &rest[first_bytes as usize..];
    let mut fields = Vec::new();
    let mut last = 0;
    for row in table("Record") {
        let text = match row[1].as_str() {
            "varint" => {
                (last, rest) = varint(rest);
                last.to_string()
            }
            "int8" => {
                let byte = rest[0];
                rest = &rest[1..];
                byte.to_string()
            }
            "bytes" => {
                let (bytes, after) = rest.split_at(last as usize);
                rest = after;
                String::from_utf8(bytes.to_vec()).unwrap()
            }
            other => panic!("a type {other:?}"),
        };
        fields.push((row[0].clone(), text));
    }
    assert!(rest.is_empty(), "{} bytes are not in the table", rest.len());
    let expected = [
        ("length", "28"),
        ("attributes", "0"),
        ("timestamp delta", "300"),
        ("offset delta", "1"),
        ("key length", "3"),
        ("key", "key"),
        ("value length", "5"),
        ("value", "value"),
        ("headers", "1"),
        ("header name length", "6"),
        ("header name", "header"),
        ("header value length", "5"),
        ("header value", "of it"),
    ];
    assert_eq!(
        fields,
        expected.map(|(name, text)| (name.to_owned(), text.to_owned()))
    );
}

#[test]
fn old_messages_are_laid_out_as_it_says() {
    let heading = "Message, formats 0 and 1";
    for (magic, number) in [(LegacyMagic::V0, 0), (LegacyMagic::V1, 1)] {
        let mut set = LegacyBuilder::new(magic, Compression::None, None);
        set.append(Offset(17), NOW, Some(b"key"), Some(b"value"));
        let set = set.finish();
        let mut expected = vec![
            ("offset", Some(17)),
            ("length", Some(set.len() as i64 - LOG_OVERHEAD as i64)),
            ("CRC", None),
            ("magic", Some(number)),
            ("attributes", Some(0)),
            ("timestamp", Some(NOW.0)),
        ];
        let mut head = size(heading);
        if number == 0 {
            expected[5].1 = None;
            head -= places(heading).last().unwrap().2;
        }
        assert_fields(heading, &set, &expected);
        assert_eq!(set[head..], *b"\0\0\0\x03key\0\0\0\x05value");
        let crc = protocol::checksum::crc32(&set[places(heading)[3].1..]);
        assert_eq!(set[places(heading)[2].1..][..4], crc.to_be_bytes());
    }
}

#[test]
fn index_entries_are_laid_out_as_it_says() {
    let (place, log) = written();
    drop(log);
    let read = |kind| fs::read(place.path(0, kind)).unwrap();
    let batches = read(Kind::Log);
    let mut position = 0;
    let mut indexed = Vec::new();
    for batch in Batches::new(&batches).map(Result::unwrap) {
        let last = batch.header.last_offset().0;
        indexed.push((last, position, batch.header.max_timestamp.0));
        position += batch.bytes.len() as i64;
    }
    let offsets = read(Kind::OffsetIndex);
    assert_eq!(offsets.len() % size(".index entry"), 0);
    let entry = &offsets[..size(".index entry")];
    let (offset, position, _) = *indexed.iter().find(|b| b.0 == number(&entry[..4])).unwrap();
    let expected = [
        ("relative offset", Some(offset)),
        ("position", Some(position)),
    ];
    assert_fields(".index entry", entry, &expected);
    let times = read(Kind::TimeIndex);
    assert_eq!(times.len() % size(".timeindex entry"), 0);
    let entry = &times[times.len() - size(".timeindex entry")..];
    let (offset, _, time) = *indexed.last().unwrap();
    let expected = [("timestamp", Some(time)), ("relative offset", Some(offset))];
    assert_fields(".timeindex entry", entry, &expected);
    let expected = [
        ("version", Some(0)),
        ("producer id", Some(5)),
        ("first offset", Some(0)),
        ("last offset", Some(1)),
        ("last stable offset", Some(2)),
    ];
    assert_fields(".txnindex entry", &read(Kind::TxnIndex), &expected);
}

#[test]
fn producer_snapshots_are_laid_out_as_it_says() {
    let (place, log) = written();
    let end = log.log_end_offset();
    log.close().unwrap();
    let content = fs::read(place.path(end.0, Kind::Snapshot)).unwrap();
    let (head, entries) = content.split_at(size(".snapshot head"));
    let expected = [("version", Some(1)), ("CRC", None), ("producers", Some(2))];
    assert_fields(".snapshot head", head, &expected);
    let crc = protocol::checksum::crc32c(&content[places(".snapshot head")[2].1..]);
    assert_eq!(
        content[places(".snapshot head")[1].1..][..4],
        crc.to_be_bytes()
    );
    assert_eq!(entries.len(), 2 * size(".snapshot entry"));
    let (aborted, idempotent) = entries.split_at(size(".snapshot entry"));
    let entry = |values: [i64; 8]| {
        let names = [
            "producer id",
            "producer epoch",
            "last sequence",
            "last offset",
            "offset delta",
            "timestamp",
            "coordinator epoch",
            "transaction start",
        ];
        let mut values = values.into_iter().map(Some);
        names.map(|name| (name, values.next().unwrap()))
    };
    let expected = entry([5, 0, 3, 0, 0, NOW.0, 1, -1]);
    assert_fields(".snapshot entry", aborted, &expected);
    let expected = entry([6, 2, 12, 4, 2, NOW.0, -1, -1]);
    assert_fields(".snapshot entry", idempotent, &expected);
}

#[test]
fn its_numbers_are_those_of_the_code() {
    let config = LogConfig::default();
    let numbers = [
        ("segment.bytes", i64::from(config.segment_bytes_max)),
        ("segment.ms", config.segment_age_ms_max),
        ("segment.index.bytes", i64::from(config.index_bytes_max)),
        (
            "index.interval.bytes",
            i64::from(config.index_interval_bytes),
        ),
        ("file.delete.delay.ms", config.file_delete_delay_ms),
        ("producer.id.expiration.ms", config.producer_expiration_ms),
        ("delete.retention.ms", config.delete_retention_ms),
        ("flush.messages", config.flush_records),
        ("flush.ms", config.flush_interval_ms),
        ("largest relative offset in an index", RELATIVE_OFFSET_MAX),
        ("bytes of a batch's head", BATCH_OVERHEAD as i64),
        (
            "smallest length field of a batch",
            (BATCH_OVERHEAD - LOG_OVERHEAD) as i64,
        ),
        ("bytes of an `.index` entry", OffsetEntry::BYTES as i64),
        ("bytes of a `.timeindex` entry", TimeEntry::BYTES as i64),
        (
            "bytes of a `.txnindex` entry",
            txn_index::ENTRY_BYTES as i64,
        ),
        (
            "bytes of a `.snapshot` head",
            producer_snapshot::HEAD_BYTES as i64,
        ),
        (
            "bytes of a `.snapshot` entry",
            producer_snapshot::ENTRY_BYTES as i64,
        ),
        (
            "batches of a producer that are remembered in memory",
            BATCHES_REMEMBERED as i64,
        ),
        (
            "batches at a log's end whose places are in memory",
            BATCHES_MAX as i64,
        ),
        (
            "newest entries of each index that stay in memory",
            WARM_ENTRIES as i64,
        ),
        (
            "entries of an index that wait for a write",
            STORE_ENTRIES_MIN as i64,
        ),
        (
            "bytes written before blocks are reserved",
            reserve::WRITTEN_BYTES_MIN as i64,
        ),
        (
            "bytes reserved ahead at most",
            reserve::BLOCKS_AHEAD_MAX as i64,
        ),
        (
            "bytes of a flush that zeroes are written ahead for, at most",
            reserve::SMALL_FLUSH_BYTES_MAX as i64,
        ),
        (
            "bytes of zeroes ahead at most, and the rest of a page",
            reserve::ZEROES_AHEAD_MAX as i64,
        ),
        (
            "bytes of one cleaned key in the cleaner's map",
            KEY_BYTES as i64,
        ),
    ];
    let expected = numbers.map(|(name, value)| vec![name.to_owned(), value.to_string()]);
    assert_eq!(table("Numbers"), expected);
    for (entry, bytes) in [
        (".index entry", OffsetEntry::BYTES),
        (".timeindex entry", TimeEntry::BYTES),
        (".txnindex entry", txn_index::ENTRY_BYTES),
        (".snapshot head", producer_snapshot::HEAD_BYTES),
        (".snapshot entry", producer_snapshot::ENTRY_BYTES),
    ] {
        assert_eq!(size(entry), bytes, "{entry}");
    }
}
