//! A process without a descriptor left still closes segments and flushes them: those that are only
//! kept open for readers give way. A process of its own, since it takes all of the process's files.

use bytes::Bytes;
use engine::append::{Append, Origin};
use engine::config::LogConfig;
use engine::directory::LogDirectory;
use engine::log::Log;
use engine::{FlushTo, ReadFrom, TopicPartition};
use protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
use protocol::ids::{LeaderEpoch, Offset, PartitionIndex, TimestampMs, Uuid};
use std::fs::File;
use std::sync::Arc;

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);
const SEGMENTS: i64 = 40;

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

fn flush(runtime: &mut ring::Runtime, log: &mut Log) {
    let flush = log.start_flush(FlushTo::ActiveSegment).unwrap();
    let flushed = runtime.block_on(flush.run());
    log.finish_flush(flushed).unwrap();
}

#[test]
fn what_is_only_read_gives_way_to_what_is_written() {
    let root = tempfile::tempdir().unwrap();
    let directory = LogDirectory::open(root.path()).unwrap();
    let config = Arc::new(LogConfig {
        segment_bytes_max: 200,
        ..LogConfig::default()
    });
    let partition = TopicPartition::new("t", PartitionIndex(0));
    let mut log = directory
        .create_log(&partition, Uuid([1; 16]), config, NOW)
        .unwrap();
    let mut runtime = ring::Runtime::new(ring::Options::default()).unwrap();
    for _ in 0..SEGMENTS {
        append(&mut runtime, &mut log);
    }
    flush(&mut runtime, &mut log);
    // They are open now, for readers.
    for offset in 0..SEGMENTS - 1 {
        let read = log.read(ReadFrom {
            offset: Offset(offset),
            upper_bound: Offset(SEGMENTS),
            bytes_max: 1,
            min_one_batch: true,
        });
        assert!(runtime.block_on(read.unwrap().run()).unwrap().len > 0);
    }
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    append(&mut runtime, &mut log);
    append(&mut runtime, &mut log);
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    flush(&mut runtime, &mut log);
    assert_eq!(log.recovery_point(), Offset(SEGMENTS + 1));
    drop(hoard);
    log.close().unwrap();
}
