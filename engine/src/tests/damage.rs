//! Random bits flipped and files cut short in a directory, of every kind of file: opening never
//! panics, no record comes out that was not put in, and what was damaged is named in the log or in an
//! error. What cannot be seen by the nature of a file is listed with the reason.
//!
//! `CHIPLOG_DAMAGE_RUNS=<count>` makes more runs; `CHIPLOG_DAMAGE_SEED=<seed>` replays one.

use super::model::Chance;
use super::producers::{marker, transactional};
use super::*;
use crate::directory::{LoadOptions, LogDirectory};
use crate::meta_properties::{MetaProperties, MetaVersion};
use crate::metadata_snapshot::{self, SnapshotId};
use crate::offset_lookup::OffsetQuery;
use crate::quorum_state::QuorumState;
use crate::read::Read;
use protocol::batch::control::TransactionResult;
use protocol::ids::{BrokerEpoch, BrokerId, Uuid};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

const DEFAULT_RUNS: u64 = 150;
/// What the CRC does not cover: base offset, length, leader epoch, format, and the CRC itself.
const NOT_COVERED: usize = 21;

const SNAPSHOT: SnapshotId = SnapshotId {
    epoch: LeaderEpoch(1),
    offset: Offset(5),
};

fn quorum_state() -> QuorumState {
    QuorumState {
        version: 0,
        leader: Some(BrokerId(1)),
        leader_epoch: LeaderEpoch(1),
        voters: vec![BrokerId(1)],
    }
}

fn topic_config(_: &str) -> Arc<LogConfig> {
    Arc::new(small_segments())
}

/// A directory as an orderly stop leaves it, with every kind of file. Gives what its batches are,
/// as far as their CRC covers them.
fn intact(root: &Path) -> BTreeSet<Vec<u8>> {
    let directory = LogDirectory::open(root).unwrap();
    let identity = MetaProperties {
        version: MetaVersion::V1,
        node_id: Some(BrokerId(1)),
        cluster_id: Some("c".to_owned()),
        directory_id: Some(Uuid([9; 16])),
        others: Default::default(),
    };
    directory.write_identity(&identity).unwrap();
    let tp = TopicPartition::new("t", PartitionIndex(0));
    let created = directory.create_log(&tp, Uuid([7; 16]), topic_config("t"), NOW);
    let mut log = created.unwrap();
    for round in 0..ROUNDS as i32 {
        log.begin_leader_epoch(LeaderEpoch(round));
        append_all(&mut log, [transactional(1, round * 2, Origin::Coordinator)]);
        append(&mut log, batch(3, NOW.0 + i64::from(round))).unwrap();
        let result = match round % 2 {
            0 => TransactionResult::Abort,
            _ => TransactionResult::Commit,
        };
        append_all(&mut log, [marker(1, result)]);
        for _ in 0..4 {
            append(&mut log, batch(4, NOW.0 + i64::from(round))).unwrap();
        }
    }
    assert!(log.segment_count() > 2);
    let batches = served(&log);
    let closed = log.close().unwrap();
    let point = [(tp.clone(), closed.recovery_point)];
    directory.write_recovery_points(&point).unwrap();
    directory.write_high_watermarks(&point).unwrap();
    directory
        .write_log_start_offsets(&[(tp, Offset(0))])
        .unwrap();
    directory
        .write_cleaned(&[(TopicPartition::new("t", PartitionIndex(0)), Offset(0))])
        .unwrap();
    directory.mark_clean(BrokerEpoch(3)).unwrap();
    let metadata = root.join("__cluster_metadata-0");
    std::fs::create_dir(&metadata).unwrap();
    quorum_state().write(&metadata).unwrap();
    metadata_snapshot::write(&metadata, SNAPSHOT, &batch(5, NOW.0)).unwrap();
    batches
        .into_iter()
        .map(|batch| batch[NOT_COVERED..].to_vec())
        .collect()
}

/// Every batch that reads give. A read that fails gives nothing, and is said.
fn served(log: &Log) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    let mut next = log.log_start_offset();
    while next < log.log_end_offset() {
        let before = next;
        let from = ReadFrom {
            offset: next,
            upper_bound: log.log_end_offset(),
            bytes_max: 1500,
            min_one_batch: true,
        };
        let slice = match log.read(from).map(|read| match read {
            Read::Ready(slice) => Ok(slice),
            Read::Pending(plan) => run(plan.run()),
        }) {
            Ok(Ok(slice)) => slice,
            Ok(Err(error)) => {
                heard::say(&error);
                break;
            }
            Err(error) => {
                heard::say(&error);
                break;
            }
        };
        let bytes = match run(slice.bytes()) {
            Ok(bytes) => bytes,
            Err(error) => {
                heard::say(&error);
                break;
            }
        };
        for batch in Batches::new(&bytes).map_while(Result::ok) {
            batches.push(batch.bytes.to_vec());
            next = batch.header.next_offset();
        }
        if next <= before {
            break;
        }
    }
    batches
}

fn copy(from: &Path, to: &Path) -> Vec<PathBuf> {
    std::fs::create_dir_all(to).unwrap();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            files.extend(copy(&from, &to));
        } else if from.file_name() != Some(".lock".as_ref()) {
            std::fs::copy(&from, &to).unwrap();
            files.push(to);
        }
    }
    files.sort();
    files
}

fn damage(file: &Path, chance: &mut Chance) -> String {
    let mut content = std::fs::read(file).unwrap();
    let what = if content.is_empty() {
        content.push(chance.below(256) as u8);
        "a byte added".to_owned()
    } else if chance.one_in(3) {
        content.truncate(chance.below(content.len() as i64) as usize);
        format!("cut to {}", content.len())
    } else {
        let bit = chance.below(content.len() as i64 * 8) as usize;
        content[bit / 8] ^= 1 << (bit % 8);
        format!("bit {bit} flipped")
    };
    std::fs::write(file, content).unwrap();
    format!("{}: {what}", file.display())
}

/// Says what was damaged when a run unwinds.
struct Context(u64, String);

impl Drop for Context {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}; replay with CHIPLOG_DAMAGE_SEED={}", self.1, self.0);
        }
    }
}

/// What is done with a directory that may be damaged. Whether it was left by a clean stop, and a batch
/// was served whose CRC is wrong.
fn use_directory(root: &Path, clean: bool, known: &BTreeSet<Vec<u8>>) -> bool {
    let metadata = root.join("__cluster_metadata-0");
    match QuorumState::read(&metadata) {
        Ok(found) => assert!(found.is_some()),
        Err(error) => heard::say(&error),
    }
    let read = metadata_snapshot::read(&metadata, SNAPSHOT, &mut |_| ControlFlow::Continue(()));
    let _ = read.map_err(|error| heard::say(&error));
    let directory = match LogDirectory::open(root) {
        Ok(directory) => directory,
        Err(error) => {
            heard::say(&error);
            return false;
        }
    };
    let _ = directory
        .high_watermarks()
        .map_err(|error| heard::say(&error));
    let options = LoadOptions {
        threads: 1,
        now: NOW,
        config: &topic_config,
    };
    let loaded = directory.load_logs(&options).unwrap();
    for (_, error) in loaded.failed {
        heard::say(&error);
    }
    let mut client_sees = false;
    for mut log in loaded.logs {
        for batch in served(&log) {
            // After a clean stop a client's own check of the CRC has to find it, as with Kafka.
            let sound = protocol::batch::BatchView::first_of(&batch)
                .is_ok_and(|batch| batch.validate_relaxed().is_ok());
            assert!(sound || clean, "a batch that was checked is damaged");
            client_sees |= !sound;
            assert!(
                !sound || known.contains(&batch[NOT_COVERED..]),
                "an unknown batch"
            );
        }
        for query in [OffsetQuery::MaxTimestamp, OffsetQuery::At(NOW)] {
            let found = run(log.offset_for_timestamp(query).run());
            let _ = found.map_err(|error| heard::say(&error));
        }
        let all = log.aborted_transactions(Offset(0), log.log_end_offset());
        let _ = run(all.run()).map_err(|error| heard::say(&error));
        match append(&mut log, batch(2, NOW.0)) {
            Ok(_) => drop(log.close().unwrap()),
            Err(error) => heard::say(&error),
        }
    }
    client_sees
}

/// What a log answers to every question that an index is used for.
#[derive(Debug, PartialEq, Eq)]
struct Answers {
    /// By offset and bound: the first offset of what is read.
    reads: Vec<(i64, i64, Option<i64>)>,
    times: Vec<(i64, Option<(i64, i64)>)>,
    /// By the clock: before which offset everything is too old.
    too_old: Vec<(i64, String)>,
}

const ROUNDS: i64 = 6;

impl Answers {
    fn of(log: &mut Log) -> Self {
        let end = log.log_end_offset().0;
        let bounds = |offset: i64| [offset + 1, offset + 9, end];
        let questions = (0..end).flat_map(|at| bounds(at).map(|bound| (at, bound.min(end))));
        let reads = questions.map(|(offset, bound)| {
            let from = ReadFrom {
                offset: Offset(offset),
                upper_bound: Offset(bound),
                bytes_max: 500,
                min_one_batch: true,
            };
            let slice = run(log.read(from).unwrap().run()).unwrap();
            let bytes = run(slice.bytes()).unwrap();
            let batches = Batches::new(&bytes).map_while(Result::ok);
            let firsts: Vec<_> = batches.map(|batch| batch.header.base_offset.0).collect();
            assert!(firsts.iter().all(|first| *first < bound), "beyond {bound}");
            (offset, bound, firsts.first().copied())
        });
        let reads = reads.collect();
        let look_up = |query| run(log.offset_for_timestamp(query).run()).unwrap();
        let times = (-1..=ROUNDS).map(|at| {
            let query = match at {
                -1 => OffsetQuery::MaxTimestamp,
                at => OffsetQuery::At(TimestampMs(NOW.0 + at)),
            };
            (
                at,
                look_up(query).map(|found| (found.offset.0, found.timestamp.0)),
            )
        });
        let times = times.collect();
        log.set_config(Arc::new(LogConfig {
            retention_ms_max: Some(0),
            ..(*topic_config("t")).clone()
        }));
        let too_old = (0..=ROUNDS).map(|at| {
            let check = log.check_retention(log.log_end_offset()).unwrap();
            let expired = check.run_blocking(TimestampMs(NOW.0 + at)).unwrap();
            (at, format!("{expired:?}"))
        });
        let too_old = too_old.collect();
        log.set_config(topic_config("t"));
        Self {
            reads,
            times,
            too_old,
        }
    }

    fn of_directory(root: &Path) -> Self {
        let directory = LogDirectory::open(root).unwrap();
        let options = LoadOptions {
            threads: 1,
            now: NOW,
            config: &topic_config,
        };
        let mut logs = directory.load_logs(&options).unwrap().logs;
        let mut log = logs.pop().unwrap();
        let first = Self::of(&mut log);
        // Of what was found wrong, nothing must be left of it.
        assert_eq!(Self::of(&mut log), first);
        log.close().unwrap();
        first
    }
}

/// Every single bit of an index, after an orderly stop: who asks is answered as if nothing were
/// damaged, and what would have led a look-up astray is named.
#[test]
fn no_bit_of_an_index_changes_an_answer() {
    let root = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
    let intact_at = root.path().join("intact");
    intact(&intact_at);
    let place = root.path().join("place");
    let files = copy(&intact_at, &place);
    let expected = Answers::of_directory(&place);
    let is_index = |file: &&PathBuf| file.display().to_string().ends_with("index");
    let indexes: Vec<_> = files.iter().filter(is_index).collect();
    let every = match std::env::var_os("CHIPLOG_DAMAGE_RUNS") {
        Some(_) => 1,
        None => 23,
    };
    let (mut all, mut named) = (0, 0);
    for file in indexes {
        let name = file.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".txnindex") {
            continue;
        }
        let bits = std::fs::metadata(file).unwrap().len() * 8;
        for bit in (all % every..bits).step_by(every as usize) {
            copy(&intact_at, &place);
            let mut content = std::fs::read(file).unwrap();
            content[bit as usize / 8] ^= 1 << (bit % 8);
            std::fs::write(file, content).unwrap();
            let context = Context(bit, format!("bit {bit} of {name}"));
            let (answers, heard) = heard::during(|| Answers::of_directory(&place));
            assert_eq!(answers.reads, expected.reads, "{}: {heard}", context.1);
            assert_eq!(answers.times, expected.times, "{}: {heard}", context.1);
            assert_eq!(answers.too_old, expected.too_old, "{}: {heard}", context.1);
            all += 1;
            let segment = name.split('.').next().unwrap();
            named += u64::from(heard.contains(name) || heard.contains(&format!("{segment}.log")));
        }
    }
    println!("{named} of {all} named; the others change no answer");
    assert!(all > 50 && named > all / 2, "{named} of {all}");
}

/// Why damage to a file of this kind may go unseen, and what it can do then.
const UNSEEN: &[(&str, &str)] = &[
    (
        ".index",
        "recovery makes it anew unasked, or no look-up meets the entry or is led astray by it: what is answered is the same",
    ),
    (
        ".timeindex",
        "recovery makes it anew unasked, or no look-up meets the entry or is led astray by it: what is answered is the same",
    ),
    (
        ".txnindex",
        "no checksum: another producer's number, another offset in order",
    ),
    (
        ".snapshot",
        "only the newest is read; the older ones are there in case it is gone",
    ),
    (
        "leader-epoch-checkpoint",
        "no checksum: another number in order",
    ),
    (
        "partition.metadata",
        "no checksum: another id, which the metadata's own is held against",
    ),
    (
        "-checkpoint",
        "no checksum: another number; recovery takes it for where to begin, no further",
    ),
    (
        "meta.properties",
        "no checksum: another id, which the other directories' are held against",
    ),
    (
        "quorum-state",
        "no checksum: another epoch, which only rises",
    ),
    (".kafka_cleanshutdown", "no checksum: another broker epoch"),
    (
        ".checkpoint",
        "offsets and epochs are not under the CRC, and mean nothing there; what lacks whole batches lacks its footer, and its reader misses that",
    ),
    (
        ".log",
        "offsets and epochs are not under the CRC; a segment that lacks whole batches looks compacted",
    ),
];

/// Damages one file. Answers which, and whether it was named.
fn damaged_run(seed: u64, intact: &Path, known: &BTreeSet<Vec<u8>>) -> (String, bool) {
    let chance = &mut Chance(seed);
    let place = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
    let files = copy(intact, place.path());
    let file = &files[chance.below(files.len() as i64) as usize];
    let before = std::fs::read(file).unwrap();
    let context = Context(seed, damage(file, chance));
    let clean = chance.one_in(2);
    if !clean {
        let _ = std::fs::remove_file(place.path().join(".kafka_cleanshutdown"));
        let _ = std::fs::remove_file(place.path().join("recovery-point-offset-checkpoint"));
    }
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let there = file.exists();
    let after = std::fs::read(file).unwrap_or_default();
    let (client_sees, heard) = heard::during(|| use_directory(place.path(), clean, known));
    // An index may be named by its segment.
    let segment = name.split('.').next().unwrap();
    let of_segment = name.ends_with("index") && heard.contains(&format!("{segment}.log"));
    let named = heard.contains(&name) || of_segment || client_sees;
    assert!(
        named || !there || may_go_unseen(&name, &before, &after),
        "{} is not named in {heard:?}",
        context.1
    );
    (name, named)
}

/// Whether this very damage can be missed by the nature of the file.
fn may_go_unseen(name: &str, before: &[u8], after: &[u8]) -> bool {
    let kind = UNSEEN.iter().find(|(kind, _)| name.ends_with(kind));
    let Some((kind, _)) = kind else { return false };
    match *kind {
        // Seen wherever the CRC is looked at; unseen is what it does not cover, and whole batches.
        ".log" | ".checkpoint" => {
            let positions = batch_starts(before);
            let differs = before.iter().zip(after).position(|(a, b)| a != b);
            match differs {
                Some(at) => {
                    let start = positions.iter().rev().find(|start| **start <= at).unwrap();
                    at - start < 8 || (12..16).contains(&(at - start))
                }
                None => positions.contains(&after.len()),
            }
        }
        ".txnindex" => after.len().is_multiple_of(34),
        ".index" | ".timeindex" | ".snapshot" => true,
        // A text that is cut within a line is seen, unless what is left is one as well.
        _ => std::str::from_utf8(after).is_ok(),
    }
}

fn batch_starts(content: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    for batch in Batches::new(content) {
        starts.push(starts.last().unwrap() + batch.unwrap().bytes.len());
    }
    starts
}

#[test]
fn whatever_is_damaged_is_named_nothing_panics_and_no_wrong_record_is_served() {
    let root = tempfile::tempdir().unwrap();
    let intact_at = root.path().join("intact");
    let known = intact(&intact_at);
    let files = copy(&intact_at, &root.path().join("copy"));
    let is_of = |name: &str, kind: &str| name.ends_with(kind);
    for (kind, _) in UNSEEN {
        let there = files
            .iter()
            .any(|file| is_of(&file.display().to_string(), kind));
        assert!(there, "{kind} is among {files:?}");
    }
    let (_, heard) = heard::during(|| use_directory(&root.path().join("copy"), true, &known));
    assert_eq!(heard, "", "nothing is damaged");
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|text: String| text.parse::<u64>().unwrap())
    };
    if let Some(seed) = number("CHIPLOG_DAMAGE_SEED") {
        damaged_run(seed, &intact_at, &known);
        return;
    }
    let runs = number("CHIPLOG_DAMAGE_RUNS").unwrap_or(DEFAULT_RUNS);
    let found: Vec<_> = (0..runs)
        .map(|seed| damaged_run(seed, &intact_at, &known))
        .collect();
    for (kind, reason) in UNSEEN {
        let of_kind = || found.iter().filter(|(name, _)| is_of(name, kind));
        let (all, named) = (
            of_kind().count(),
            of_kind().filter(|(_, named)| *named).count(),
        );
        println!("{kind}: {named} of {all} named; the others: {reason}");
        assert!(all < 8 || named > 0, "damage to {kind} is never seen");
    }
}
