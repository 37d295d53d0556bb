//! A log to compact: keyed records, each key many times over, in closed segments.
//!
//! Compaction leaves old segments as they are and renames them, so every turn begins with hard
//! links to the same files: nothing is copied, and nothing else is dirty in the page cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use engine::append::{Append, Origin};
use engine::compact::{Brake, Limits, Step, Throttle};
use engine::config::{Cleanup, LogConfig};
use engine::directory::{LoadOptions, LogDirectory};
use engine::log::Log;
use protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
use protocol::ids::{LeaderEpoch, TimestampMs, Uuid};
use tempfile::TempDir;

use crate::{BEGAN, VALUE, partition};

const RECORDS_A_BATCH: u64 = 16;
/// A step through the keys that comes to all of them and keeps no order.
const KEY_STEP: u64 = 7_919;

/// A log that is not in use.
pub struct DirtyLog {
    parent: PathBuf,
    directory: TempDir,
    config: Arc<LogConfig>,
    keys: u64,
}

/// The same in use, in a directory of its own.
pub struct Turn {
    _directory: TempDir,
    log: Log,
    keys: u64,
}

impl DirtyLog {
    /// A log under `parent` of `batches` batches of 16 records of 1,000 bytes with `keys` keys in
    /// turn.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn fill(parent: &Path, segment_bytes_max: u32, batches: u64, keys: u64) -> Self {
        let directory = TempDir::new_in(parent).expect("a directory");
        let config = Arc::new(LogConfig {
            segment_bytes_max,
            cleanup: Cleanup {
                delete: false,
                compact: true,
            },
            ..LogConfig::default()
        });
        let mut log = LogDirectory::open(directory.path())
            .expect("a log directory")
            .create_log(&partition(), Uuid([1; 16]), config.clone(), BEGAN)
            .expect("a log");
        for at in 0..batches {
            append(&mut log, keyed(at * RECORDS_A_BATCH, keys)).await;
        }
        if let Some(roll) = log.start_roll(BEGAN) {
            log.finish_write(roll.run().await, &mut Vec::new());
        }
        log.close().expect("it can be closed");
        Self {
            parent: parent.to_owned(),
            directory,
            config,
            keys,
        }
    }

    /// The log in use, as it was filled.
    ///
    /// # Panics
    /// If it cannot be opened.
    #[must_use]
    pub fn turn(&self) -> Turn {
        let directory = TempDir::new_in(&self.parent).expect("a directory");
        let name = partition().to_string();
        fs::create_dir(directory.path().join(&name)).expect("a directory");
        for file in fs::read_dir(self.directory.path().join(&name)).expect("the log's directory") {
            let file = file.expect("a file");
            let link = directory.path().join(&name).join(file.file_name());
            fs::hard_link(file.path(), link).expect("on the same file system");
        }
        let opened = LogDirectory::open(directory.path()).expect("a log directory");
        let loaded = opened.load_logs(&LoadOptions {
            threads: 1,
            now: BEGAN,
            config: &|_| self.config.clone(),
        });
        let mut loaded = loaded.expect("the directory can be read");
        assert!(loaded.failed.is_empty(), "{:?}", loaded.failed);
        Turn {
            _directory: directory,
            log: loaded.logs.pop().expect("the log"),
            keys: self.keys,
        }
    }
}

impl Turn {
    /// Compacts the log: learns the keys, rewrites the segments, syncs them and puts them in place.
    /// Its directory goes with what is returned.
    ///
    /// # Panics
    /// If it fails, or does not come to one record a key.
    #[must_use]
    pub fn compact(mut self) -> Self {
        let end = self.log.log_end_offset();
        let check = self.log.check_dirt(end).expect("it is compacted");
        let looked = check.run_blocking(BEGAN).expect("the files can be read");
        let cleanable = looked.expect("it is dirty");
        let compaction = self.log.start_compaction(cleanable, limits(), BEGAN);
        let mut compaction = compaction.expect("it can be compacted");
        loop {
            match compaction.step_blocking().expect("the files can be read") {
                Step::Group(group) => {
                    let swap = self.log.start_swap(group).expect("nothing else changes it");
                    let (swapped, removal) = swap.run_blocking().expect("files can be renamed");
                    self.log.finish_swap(swapped);
                    removal.run_blocking();
                }
                Step::Finished(cleaned) => {
                    self.log.finish_compaction(&cleaned);
                    assert_eq!((cleaned.end, cleaned.keys as u64), (end, self.keys));
                    return self;
                }
            }
        }
    }
}

async fn append(log: &mut Log, batches: Bytes) {
    log.enqueue(Append {
        token: 0,
        batches,
        leader_epoch: LeaderEpoch(0),
        origin: Origin::Client,
    })
    .expect("the batch is sound");
    let mut done = Vec::new();
    while let Some(write) = log.start_write(BEGAN) {
        log.finish_write(write.run().await, &mut done);
    }
    assert!(matches!(done[..], [(_, Ok(_))]), "{done:?}");
}

fn keyed(first: u64, keys: u64) -> Bytes {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    for at in first..first + RECORDS_A_BATCH {
        let key = (at * KEY_STEP % keys).to_be_bytes();
        batch.append(&NewRecord {
            timestamp: TimestampMs(BEGAN.0 + at as i64),
            key: Some(&key),
            value: Some(&VALUE),
            ..NewRecord::default()
        });
    }
    batch.finish().into()
}

/// Kafka's buffers for one thread.
fn limits() -> Limits {
    Limits {
        key_map_bytes: 128 << 20,
        load_factor: 0.9,
        io_buffer_bytes: 512 << 10,
        throttle: Arc::new(Throttle::new(f64::MAX)),
        brake: Arc::new(Brake::default()),
    }
}
