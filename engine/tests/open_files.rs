//! Closed segments that no flush has reached hold their files open, but only so many: who closes
//! segments faster than they are flushed waits for the disk, and not for the flushes of others. A
//! process of its own, since it counts the process's files.

mod append;
mod small_segments;

use engine::directory::LogDirectory;
use engine::log::Log;
use engine::{FlushTo, TopicPartition};
use protocol::ids::{Offset, PartitionIndex, Uuid};
use std::sync::mpsc;
use std::time::Duration;

use append::NOW;
use small_segments::{append_record, config, flush};

const PARTITIONS: usize = 8;
const SEGMENTS: usize = 30;
/// What may be open of closed segments; each log has one more file.
const OPEN_MAX: usize = 32;
const APPENDS_WITHIN: Duration = Duration::from_secs(60);

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
    let mut runtime = ring::Runtime::new(ring::Options::default()).unwrap();
    let mut logs: Vec<Log> = (0..PARTITIONS)
        .map(|n| {
            let partition = TopicPartition::new("t", PartitionIndex(n as i32));
            directory
                .create_log(&partition, Uuid([1; 16]), config(), NOW)
                .unwrap()
        })
        .collect();
    // As if other logs' closed segments were being flushed all the time.
    let (go_on, held) = mpsc::channel::<()>();
    let others = ring::offload_unhurried(move || held.recv_timeout(APPENDS_WITHIN));
    for _ in 0..SEGMENTS {
        for log in &mut logs {
            append_record(&mut runtime, log);
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
        flush(&mut runtime, log);
        assert_eq!(log.recovery_point(), Offset(SEGMENTS as i64 - 1));
    }
    for _ in 0..OPEN_MAX {
        append_record(&mut runtime, &mut logs[0]);
    }
    let open = open_files();
    assert!(open <= PARTITIONS + OPEN_MAX, "{open} files");
    for log in logs {
        log.close().unwrap();
    }
}
