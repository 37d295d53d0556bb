//! A process without a descriptor left still closes segments and flushes them: those that are only
//! kept open for readers give way. A process of its own, since it takes all of the process's files.

mod append;
mod small_segments;

use engine::directory::LogDirectory;
use engine::{ReadFrom, TopicPartition};
use protocol::ids::{Offset, PartitionIndex, Uuid};
use std::fs::File;

use append::NOW;
use small_segments::{append_record, config, flush};

const SEGMENTS: i64 = 40;

#[test]
fn what_is_only_read_gives_way_to_what_is_written() {
    let root = tempfile::tempdir().unwrap();
    let directory = LogDirectory::open(root.path()).unwrap();
    let partition = TopicPartition::new("t", PartitionIndex(0));
    let mut log = directory
        .create_log(&partition, Uuid([1; 16]), config(), NOW)
        .unwrap();
    let mut runtime = ring::Runtime::new(ring::Options::default()).unwrap();
    for _ in 0..SEGMENTS {
        append_record(&mut runtime, &mut log);
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
    append_record(&mut runtime, &mut log);
    append_record(&mut runtime, &mut log);
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    flush(&mut runtime, &mut log);
    assert_eq!(log.recovery_point(), Offset(SEGMENTS + 1));
    drop(hoard);
    log.close().unwrap();
}
