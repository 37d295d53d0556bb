//! Random bits flipped and files cut short in a directory, of every kind of file: opening never
//! panics, and no record comes out that was not put in.
//!
//! `CHIPLOG_DAMAGE_RUNS=<count>` makes more runs; `CHIPLOG_DAMAGE_SEED=<seed>` replays one.

use super::model::Chance;
use super::producers::{marker, transactional};
use super::*;
use crate::directory::{LoadOptions, LogDirectory};
use crate::meta_properties::{MetaProperties, MetaVersion};
use crate::read::Read;
use protocol::batch::control::TransactionResult;
use protocol::ids::{BrokerEpoch, BrokerId, Uuid};
use std::collections::BTreeSet;

const DEFAULT_RUNS: u64 = 150;
/// What the CRC does not cover: base offset, length, leader epoch, format, and the CRC itself.
const NOT_COVERED: usize = 21;

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
    for round in 0..6 {
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
    directory.mark_clean(BrokerEpoch(3)).unwrap();
    batches
        .into_iter()
        .map(|batch| batch[NOT_COVERED..].to_vec())
        .collect()
}

/// Every batch that reads give. A read that fails gives nothing.
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
            _ => break,
        };
        let Ok(bytes) = run(slice.bytes()) else { break };
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

fn damaged_run(seed: u64, intact: &Path, known: &BTreeSet<Vec<u8>>) {
    let chance = &mut Chance(seed);
    let place = tempfile::tempdir().unwrap();
    let files = copy(intact, place.path());
    let file = &files[chance.below(files.len() as i64) as usize];
    let _context = Context(seed, damage(file, chance));
    let clean = chance.one_in(2);
    if !clean {
        let _ = std::fs::remove_file(place.path().join(".kafka_cleanshutdown"));
        let _ = std::fs::remove_file(place.path().join("recovery-point-offset-checkpoint"));
    }
    let Ok(directory) = LogDirectory::open(place.path()) else {
        return;
    };
    let options = LoadOptions {
        threads: 1,
        now: NOW,
        config: &topic_config,
    };
    let loaded = directory.load_logs(&options).unwrap();
    for mut log in loaded.logs {
        for batch in served(&log) {
            // After a clean stop a client's own check of the CRC has to find it, as with Kafka.
            let sound = protocol::batch::BatchView::first_of(&batch)
                .is_ok_and(|batch| batch.validate_relaxed().is_ok());
            assert!(sound || clean, "a batch that was checked is damaged");
            assert!(
                !sound || known.contains(&batch[NOT_COVERED..]),
                "an unknown batch"
            );
        }
        if append(&mut log, batch(2, NOW.0)).is_ok() {
            log.close().unwrap();
        }
    }
}

#[test]
fn whatever_is_damaged_nothing_panics_and_no_wrong_record_is_served() {
    let root = tempfile::tempdir().unwrap();
    let intact_at = root.path().join("intact");
    let known = intact(&intact_at);
    let kinds = [
        ".txnindex",
        ".snapshot",
        "leader-epoch-checkpoint",
        "partition.metadata",
    ];
    let files = copy(&intact_at, &root.path().join("copy"));
    for kind in kinds {
        let is_there = files
            .iter()
            .any(|file| file.display().to_string().ends_with(kind));
        assert!(is_there, "{kind} is among {files:?}");
    }
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|text: String| text.parse::<u64>().unwrap())
    };
    match number("CHIPLOG_DAMAGE_SEED") {
        Some(seed) => damaged_run(seed, &intact_at, &known),
        None => {
            let runs = number("CHIPLOG_DAMAGE_RUNS").unwrap_or(DEFAULT_RUNS);
            (0..runs).for_each(|seed| damaged_run(seed, &intact_at, &known));
        }
    }
}
