//! Compaction takes the memory that it is given and little more, however many keys a log has: more
//! keys take more passes. A process of its own, since it counts allocations.

mod append;

use bytes::Bytes;
use engine::TopicPartition;
use engine::compact::{Brake, Cleanable, Cleaned, Limits, Step, Throttle};
use engine::config::{Cleanup, LogConfig};
use engine::directory::LogDirectory;
use engine::log::Log;
use protocol::batch::{BatchBuilder, BatchOptions, Compression, NewRecord};
use protocol::ids::{Offset, PartitionIndex, Uuid};
use std::collections::BTreeMap;
use std::sync::Arc;

use append::{NOW, append};

const KEYS: u64 = 60_000;
/// Each key so often.
const ROUNDS: u64 = 2;
const RECORDS_A_BATCH: u64 = 100;
/// Takes 9,830 keys at Kafka's load factor: a sixth of them.
const KEY_MAP_BYTES: usize = 256 << 10;
const IO_BUFFER_BYTES: usize = 64 << 10;
/// What else one compaction may hold, whatever the log is like: lists of segments and groups, the
/// indexes of the segment that is being written, one batch decompressed and compressed anew, and the
/// state of a compressor (gzip's is the largest; Zstandard's own allocations are not seen here).
const OTHER_BYTES_MAX: usize = 768 << 10;

/// A record's key, and offset and value of the newest.
type Newest = BTreeMap<Vec<u8>, (i64, Vec<u8>)>;

fn limits() -> Limits {
    Limits {
        key_map_bytes: KEY_MAP_BYTES,
        load_factor: 0.9,
        io_buffer_bytes: IO_BUFFER_BYTES,
        throttle: Arc::new(Throttle::new(f64::MAX)),
        brake: Arc::new(Brake::default()),
    }
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes_max: 500_000,
        cleanup: Cleanup {
            delete: false,
            compact: true,
        },
        ..LogConfig::default()
    }
}

/// The newest records, and how many records there are.
fn read(log: &Log) -> (Newest, usize) {
    let (mut newest, mut count) = (Newest::new(), 0);
    let mut scratch = Vec::new();
    log.replay(Offset::ZERO, &mut |batch| {
        for record in batch.records_in(&mut scratch, 1 << 20).unwrap() {
            let record = record.unwrap();
            let value = record.value.unwrap().to_vec();
            newest.insert(record.key.unwrap().to_vec(), (record.offset.0, value));
            count += 1;
        }
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    (newest, count)
}

fn batch(first: u64, compression: Compression) -> (Bytes, Newest) {
    let mut newest = Newest::new();
    let mut builder = BatchBuilder::new(BatchOptions {
        compression,
        ..BatchOptions::default()
    });
    for at in first..first + RECORDS_A_BATCH {
        let key = (at % KEYS * 7_919 % KEYS).to_be_bytes();
        let value = format!("value {at}").into_bytes();
        builder.append(&NewRecord {
            timestamp: NOW,
            key: Some(&key),
            value: Some(&value),
            ..NewRecord::default()
        });
        newest.insert(key.to_vec(), (at as i64, value));
    }
    (builder.finish().into(), newest)
}

fn fill(runtime: &mut ring::Runtime, log: &mut Log) -> Newest {
    let mut expected = Newest::new();
    let firsts = (0..KEYS * ROUNDS).step_by(RECORDS_A_BATCH as usize);
    for (at, first) in firsts.enumerate() {
        let (batch, newest) = batch(first, Compression::ALL[at % 5]);
        expected.extend(newest);
        append(runtime, log, batch);
    }
    let roll = log.start_roll(NOW).unwrap();
    log.finish_write(runtime.block_on(roll.run()), &mut Vec::new());
    expected
}

fn dirty(log: &Log) -> Option<Cleanable> {
    let check = log.check_dirt(log.log_end_offset()).unwrap();
    let cleanable = check.run_blocking(NOW).unwrap()?;
    (cleanable.first_dirty < cleanable.first_uncleanable).then_some(cleanable)
}

/// One pass: what came of it, and the most memory that it held at a time.
fn compact(log: &mut Log, cleanable: Cleanable) -> (Cleaned, u64) {
    let mut cleaned = None;
    let measured = allocation_counter::measure(|| {
        let compaction = log.start_compaction(cleanable, limits(), NOW);
        let mut compaction = compaction.unwrap();
        cleaned = loop {
            match compaction.step_blocking().unwrap() {
                Step::Group(group) => {
                    let (swapped, removal) = log.start_swap(group).unwrap().run_blocking().unwrap();
                    log.finish_swap(swapped);
                    removal.run_blocking();
                }
                Step::Finished(cleaned) => break Some(cleaned),
            }
        };
    });
    let cleaned = cleaned.unwrap();
    log.finish_compaction(&cleaned);
    (cleaned, measured.bytes_max)
}

#[test]
fn more_keys_than_fit_take_more_passes_and_no_more_memory() {
    let place = tempfile::tempdir().unwrap();
    let mut runtime = ring::Runtime::new(ring::Options::default()).unwrap();
    let mut log = LogDirectory::open(place.path())
        .unwrap()
        .create_log(
            &TopicPartition::new("t", PartitionIndex(0)),
            Uuid([1; 16]),
            Arc::new(config()),
            NOW,
        )
        .unwrap();
    let expected = fill(&mut runtime, &mut log);
    assert_eq!(read(&log).1 as u64, KEYS * ROUNDS);
    let (mut passes, mut bytes_max) = (0, 0);
    while let Some(cleanable) = dirty(&log) {
        let (cleaned, bytes) = compact(&mut log, cleanable);
        assert!(cleaned.end > cleanable.first_dirty, "a pass gets on");
        assert!(cleaned.keys * 24 <= KEY_MAP_BYTES);
        bytes_max = bytes_max.max(bytes);
        passes += 1;
    }
    println!("{passes} passes, {bytes_max} bytes at most");
    assert!(
        passes >= 12,
        "{passes} passes are too few for so small a map"
    );
    let allowed = KEY_MAP_BYTES + IO_BUFFER_BYTES + OTHER_BYTES_MAX;
    assert!(
        bytes_max <= allowed as u64,
        "{bytes_max} bytes, {allowed} allowed"
    );
    let (newest, count) = read(&log);
    assert_eq!(count as u64, KEYS, "one record of each key is left");
    assert!(newest == expected, "it is the newest, at its offset");
}
