//! Closed segments that no flush has reached hold their files open, but only so many: who closes
//! segments faster than they are flushed waits for the disk, and not for the flushes of others. A process of its own, since it counts
//! the process's files.

use bytes::Bytes;
use engine::append::{Append, Origin};
use engine::config::LogConfig;
use engine::directory::LogDirectory;
use engine::log::Log;
use engine::{FlushTo, TopicPartition};
use protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
use protocol::ids::{LeaderEpoch, Offset, PartitionIndex, TimestampMs, Uuid};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);
const PARTITIONS: usize = 8;
const SEGMENTS: usize = 30;
/// What may be open of closed segments; each log has one more file.
const OPEN_MAX: usize = 32;
const APPENDS_WITHIN: Duration = Duration::from_secs(60);

fn one_record() -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(&NewRecord {
        timestamp: NOW,
        value: Some(&[7; 120]),
        ..NewRecord::default()
    });
    builder.finish().into()
}

fn append(runtime: &mut ring::Runtime, log: &mut Log) {
    log.enqueue(Append {
        token: 0,
        batches: one_record(),
        leader_epoch: LeaderEpoch(0),
        origin: Origin::Client,
    })
    .unwrap();
    let write = log.start_write(NOW).unwrap();
    let mut done = Vec::new();
    log.finish_write(runtime.block_on(write.run()), &mut done);
    assert!(matches!(done[..], [(0, Ok(_))]), "{done:?}");
}

/// How many segments' files this process has open.
fn open_files() -> usize {
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    let paths = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .count()
}

#[test]
fn however_many_segments_are_closed_before_a_flush_few_files_are_open() {
    engine::set_open_segments_max(OPEN_MAX);
    let root = tempfile::tempdir().unwrap();
    let directory = LogDirectory::open(root.path()).unwrap();
    let config = Arc::new(LogConfig {
        segment_bytes_max: 200,
        ..LogConfig::default()
    });
    let mut runtime = ring::Runtime::new(ring::Options::default()).unwrap();
    let mut logs: Vec<Log> = (0..PARTITIONS)
        .map(|n| {
            let partition = TopicPartition::new("t", PartitionIndex(n as i32));
            directory
                .create_log(&partition, Uuid([1; 16]), config.clone(), NOW)
                .unwrap()
        })
        .collect();
    // As if other logs' closed segments were being flushed all the time.
    let (go_on, held) = mpsc::channel::<()>();
    let others = ring::offload_unhurried(move || held.recv_timeout(APPENDS_WITHIN));
    for _ in 0..SEGMENTS {
        for log in &mut logs {
            append(&mut runtime, log);
        }
    }
    go_on.send(()).expect("no append has waited for it");
    runtime.block_on(others).expect("it was told to go on");
    let open = open_files();
    assert!(open <= PARTITIONS + OPEN_MAX, "{open} files");
    assert!(open > PARTITIONS, "those that wait for a flush stay open");
    for log in &mut logs {
        assert_eq!(log.segment_count(), SEGMENTS);
        assert_eq!(log.flush_due(), Some(FlushTo::ActiveSegment));
        let flush = log.start_flush(FlushTo::ActiveSegment).unwrap();
        let flushed = runtime.block_on(flush.run());
        log.finish_flush(flushed).unwrap();
        assert_eq!(log.recovery_point(), Offset(SEGMENTS as i64 - 1));
    }
    for _ in 0..OPEN_MAX {
        append(&mut runtime, &mut logs[0]);
    }
    let open = open_files();
    assert!(open <= PARTITIONS + OPEN_MAX, "{open} files");
    for log in logs {
        log.close().unwrap();
    }
}
