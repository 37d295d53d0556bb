//! A log directory as an orderly stop or a crash leaves it, and the input as edits to its files: bits
//! flipped, bytes set, ends cut off or added, files exchanged, removed, or named as if they were on
//! their way. It must open or be refused, never panic, and never serve a record that was not
//! written; after an unclean stop no damaged batch either.

#![no_main]

use bytes::Bytes;
use engine::append::{Append, Origin};
use engine::config::LogConfig;
use engine::directory::{LoadOptions, LogDirectory};
use engine::log::Log;
use engine::{FlushTo, MetaProperties, MetaVersion, OffsetQuery, ReadFrom, TopicPartition};
use libfuzzer_sys::fuzz_target;
use protocol::batch::control::{EndMarker, TransactionResult};
use protocol::batch::{BatchBuilder, BatchOptions, BatchView, Batches, NewRecord};
use protocol::ids::{
    BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId,
    TimestampMs, Uuid,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);
const MARKER: &str = ".kafka_cleanshutdown";
/// What the CRC does not cover: base offset, length, leader epoch, format, and the CRC itself.
const NOT_COVERED: usize = 21;
const EDIT_BYTES: usize = 5;
const EDITS_MAX: usize = 12;

/// The directory before it is damaged.
struct Intact {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Its batches, as far as their CRC covers them.
    batches: BTreeSet<Vec<u8>>,
}

static INTACT: LazyLock<Intact> = LazyLock::new(make);

thread_local! {
    static RUNTIME: RefCell<ring::Runtime> =
        RefCell::new(ring::Runtime::new(ring::Options::default()).expect("io_uring"));
}

fn run<F: Future>(future: F) -> F::Output {
    RUNTIME.with_borrow_mut(|runtime| runtime.block_on(future))
}

fn config(_: &str) -> Arc<LogConfig> {
    Arc::new(LogConfig {
        segment_bytes_max: 900,
        index_interval_bytes: 150,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    })
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", PartitionIndex(0))
}

fn place() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let parent = match memory.is_dir() {
        true => memory.to_owned(),
        false => std::env::temp_dir(),
    };
    tempfile::tempdir_in(parent).expect("a directory")
}

fn batch(records: usize, timestamp: i64, options: BatchOptions) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for at in 0..records {
        builder.append(&NewRecord {
            timestamp: TimestampMs(timestamp),
            key: Some(&[at as u8]),
            value: Some(&[7; 20]),
            ..NewRecord::default()
        });
    }
    builder.finish().into()
}

fn append(log: &mut Log, batches: Bytes, origin: Origin, epoch: i32) -> bool {
    let append = Append {
        token: 1,
        batches,
        leader_epoch: LeaderEpoch(epoch),
        origin,
    };
    log.append_now(append, NOW).is_ok()
}

fn make() -> Intact {
    let place = place();
    let directory = LogDirectory::open(place.path()).expect("it is new");
    let identity = MetaProperties {
        version: MetaVersion::V1,
        node_id: Some(BrokerId(1)),
        cluster_id: Some("c".to_owned()),
        directory_id: Some(Uuid([9; 16])),
        others: BTreeMap::new(),
    };
    directory.write_identity(&identity).expect("it is written");
    let log = directory.create_log(&partition(), Uuid([7; 16]), config("t"), NOW);
    let mut log = log.expect("it is made");
    for round in 0..4 {
        log.begin_leader_epoch(LeaderEpoch(round));
        let options = BatchOptions {
            producer_id: ProducerId(1),
            producer_epoch: ProducerEpoch(0),
            base_sequence: round,
            transactional: true,
            ..BatchOptions::default()
        };
        let time = NOW.0 + i64::from(round);
        assert!(append(
            &mut log,
            batch(1, time, options),
            Origin::Coordinator,
            round
        ));
        let plain = batch(3, time, BatchOptions::default());
        assert!(append(&mut log, plain.clone(), Origin::Client, round));
        let marker = EndMarker {
            result: match round % 2 {
                0 => TransactionResult::Abort,
                _ => TransactionResult::Commit,
            },
            coordinator_epoch: 1,
        };
        let marker = marker.batch(ProducerId(1), ProducerEpoch(0), NOW);
        assert!(append(&mut log, marker.into(), Origin::Coordinator, round));
        for _ in 0..3 {
            assert!(append(&mut log, plain.clone(), Origin::Client, round));
        }
    }
    assert!(log.segment_count() > 3);
    let batches = read(&log);
    let closed = log.close().expect("it closes");
    let point = [(partition(), closed.recovery_point)];
    directory.write_recovery_points(&point).expect("written");
    directory.write_high_watermarks(&point).expect("written");
    let start = [(partition(), Offset(2))];
    directory.write_log_start_offsets(&start).expect("written");
    directory.write_cleaned(&start).expect("written");
    directory.mark_clean(BrokerEpoch(3)).expect("marked");
    drop(directory);
    let mut files = BTreeMap::new();
    collect(place.path(), Path::new(""), &mut files);
    Intact {
        files,
        batches: batches.iter().map(|b| b[NOT_COVERED..].to_vec()).collect(),
    }
}

fn collect(root: &Path, below: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(root.join(below)).expect("it is there") {
        let name = below.join(entry.expect("an entry").file_name());
        let path = root.join(&name);
        if path.is_dir() {
            collect(root, &name, into);
        } else if !name.ends_with(".lock") {
            into.insert(name, fs::read(path).expect("a file"));
        }
    }
}

/// Every batch that reads give.
fn read(log: &Log) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    let mut next = log.log_start_offset();
    while next < log.log_end_offset() {
        let before = next;
        let from = ReadFrom {
            offset: next,
            upper_bound: log.log_end_offset(),
            bytes_max: 700,
            min_one_batch: true,
        };
        let Ok(Ok(slice)) = log.read(from).map(|read| run(read.run())) else {
            break;
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

/// One edit: what is done, to which file, where, with what.
fn edit(files: &mut BTreeMap<PathBuf, Vec<u8>>, edit: &[u8]) {
    let names: Vec<PathBuf> = files.keys().cloned().collect();
    let Some(name) = names.get(usize::from(edit[1]) % names.len().max(1)) else {
        return;
    };
    let content = files.get_mut(name).expect("it is listed");
    let at = usize::from(u16::from_be_bytes([edit[2], edit[3]])) % content.len().max(1);
    let value = edit[4];
    match edit[0] % 9 {
        0 if !content.is_empty() => content[at] ^= 1 << (value % 8),
        1 if !content.is_empty() => content[at] = value,
        2 => content.truncate(at),
        3 => content.extend(std::iter::repeat_n(value, at + 1)),
        4 => {
            files.remove(name);
        }
        5 => {
            let content = content.clone();
            let other = &names[usize::from(value) % names.len()];
            files.insert(other.clone(), content);
        }
        6 => {
            let suffixes = [".deleted", ".cleaned", ".swap", ".tmp"];
            let mut staged = name.clone().into_os_string();
            staged.push(suffixes[usize::from(value) % suffixes.len()]);
            let content = content.clone();
            if at % 2 == 0 {
                files.remove(name);
            }
            files.insert(staged.into(), content);
        }
        7 => content[at..].fill(0),
        8 if content.len() > at + 8 => content[at..at + 8].copy_from_slice(
            &[i64::MIN, -1, 0, 1, i64::MAX, 1 << 31, 1 << 32, -2][usize::from(value) % 8]
                .to_be_bytes(),
        ),
        _ => {}
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((first, edits)) = input.split_first() else {
        return;
    };
    let mut files = INTACT.files.clone();
    let clean = first % 2 == 0;
    if !clean {
        files.remove(Path::new(MARKER));
        files.remove(Path::new("recovery-point-offset-checkpoint"));
    }
    for one in edits.chunks_exact(EDIT_BYTES).take(EDITS_MAX) {
        edit(&mut files, one);
    }
    // An edit may have taken it away, or put it back.
    let clean = files.contains_key(Path::new(MARKER));
    let points = files.contains_key(Path::new("recovery-point-offset-checkpoint"));
    let place = place();
    for (name, content) in &files {
        let path = place.path().join(name);
        let _ = fs::create_dir_all(path.parent().expect("it is in the directory"));
        fs::write(path, content).expect("there is room");
    }
    use_directory(place.path(), clean || points);
});

fn use_directory(path: &Path, trusted: bool) {
    let options = LoadOptions {
        threads: 1,
        now: NOW,
        config: &config,
    };
    let Ok(directory) = LogDirectory::open(path) else {
        return;
    };
    let _ = directory.survey();
    let _ = directory.high_watermarks();
    let Ok(loaded) = directory.load_logs(&options) else {
        return;
    };
    let mut all_closed = true;
    for mut log in loaded.logs {
        check(&log, trusted);
        for query in [
            OffsetQuery::MaxTimestamp,
            OffsetQuery::At(TimestampMs(NOW.0 + 2)),
        ] {
            let _ = run(log.offset_for_timestamp(query).run());
        }
        let end = log.log_end_offset();
        let _ = run(log.aborted_transactions(Offset(0), end).run());
        if append(
            &mut log,
            batch(2, NOW.0, BatchOptions::default()),
            Origin::Client,
            9,
        ) {
            let flush = log.start_flush(FlushTo::LogEnd).expect("something is new");
            log.finish_flush(run(flush.run()))
                .expect("the disk is sound");
            let from = ReadFrom {
                offset: end,
                upper_bound: log.log_end_offset(),
                bytes_max: 1 << 20,
                min_one_batch: true,
            };
            let slice = run(log.read(from).expect("it is there").run()).expect("it is found");
            assert!(!slice.is_empty(), "what was appended can be read");
        }
        all_closed &= log.close().is_ok();
    }
    drop(directory);
    let Ok(directory) = LogDirectory::open(path) else {
        return;
    };
    if all_closed {
        let _ = directory.mark_clean(BrokerEpoch(4));
    }
    if let Ok(loaded) = directory.load_logs(&options) {
        for log in &loaded.logs {
            check(log, true);
        }
    }
}

/// What is served was written once, or its own CRC says that it was not.
fn check(log: &Log, trusted: bool) {
    for batch in read(log) {
        let sound = BatchView::first_of(&batch).is_ok_and(|b| b.validate_relaxed().is_ok());
        assert!(sound || trusted, "a batch that was checked is damaged");
        let covered = &batch[NOT_COVERED..];
        let appended = covered == &batch_of_the_end()[NOT_COVERED..];
        assert!(
            !sound || appended || INTACT.batches.contains(covered),
            "an unknown batch"
        );
    }
    let _ = log.replay(log.log_start_offset(), &mut |_| {
        std::ops::ControlFlow::Continue(())
    });
}

fn batch_of_the_end() -> Bytes {
    batch(2, NOW.0, BatchOptions::default())
}
