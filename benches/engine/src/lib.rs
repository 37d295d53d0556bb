//! Logs to measure the engine with: made in a directory of their own, filled with batches of
//! 1,000-byte records.
//!
//! Measures nothing itself: see `benches/engine.rs`.

mod dirty_log;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use engine::append::{Append, Origin};
use engine::config::LogConfig;
use engine::directory::{LoadOptions, LogDirectory};
use engine::log::Log;
use engine::{Done, OffsetQuery, Read, ReadFrom, TopicPartition};
use protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
use protocol::ids::{LeaderEpoch, Offset, PartitionIndex, TimestampMs, Uuid};
use tempfile::TempDir;

pub use dirty_log::{DirtyLog, Turn};

/// When the logs' first records were made.
const BEGAN: TimestampMs = TimestampMs(1_700_000_000_000);
const VALUE: [u8; 1000] = [b'x'; 1000];

/// A log in a directory that goes with it.
pub struct Bench {
    directory: TempDir,
    log: Log,
    next: i64,
}

/// A batch of `records` records of 1,000 bytes, all of `timestamp`.
#[must_use]
pub fn batch(records: usize, timestamp: TimestampMs) -> Bytes {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    for _ in 0..records {
        batch.append(&NewRecord {
            timestamp,
            value: Some(&VALUE),
            ..NewRecord::default()
        });
    }
    batch.finish().into()
}

impl Bench {
    /// An empty log whose segments end at `segment_bytes_max`, under `parent`.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new(parent: &Path, segment_bytes_max: u32) -> Self {
        let directory = TempDir::new_in(parent).expect("a directory");
        let log = LogDirectory::open(directory.path())
            .expect("a log directory")
            .create_log(
                &partition(),
                Uuid([1; 16]),
                config(segment_bytes_max),
                BEGAN,
            )
            .expect("a log");
        Self {
            directory,
            log,
            next: 0,
        }
    }

    /// Appends `batch` `times` times in one write.
    ///
    /// # Panics
    /// If one is refused.
    pub async fn append(&mut self, batch: &Bytes, times: usize) {
        for token in 0..times as u64 {
            self.log
                .enqueue(Append {
                    token,
                    batches: batch.clone(),
                    leader_epoch: LeaderEpoch(0),
                    origin: Origin::Client,
                })
                .expect("the batch is sound");
        }
        let mut done: Vec<Done> = Vec::new();
        while let Some(write) = self.log.start_write(BEGAN) {
            self.log.finish_write(write.run().await, &mut done);
        }
        assert_eq!(done.len(), times);
        assert!(done.iter().all(|(_, result)| result.is_ok()), "{done:?}");
    }

    /// Appends `batches` batches of 16 records, a second apart in time.
    pub async fn fill(&mut self, batches: i64) {
        for _ in 0..batches {
            let batch = batch(16, TimestampMs(BEGAN.0 + self.next * 1000));
            self.append(&batch, 1).await;
            self.next += 1;
        }
    }

    /// The log's end.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.log.log_end_offset().0
    }

    /// Where in its file the batch with `offset` begins.
    ///
    /// # Panics
    /// If it is not there.
    pub async fn position_of(&self, offset: i64) -> u64 {
        let read = self.log.read(ReadFrom {
            offset: Offset(offset),
            upper_bound: self.log.log_end_offset(),
            bytes_max: 1,
            min_one_batch: true,
        });
        let slice = match read.expect("the offset is in the log") {
            Read::Ready(slice) => slice,
            Read::Pending(read) => read.run().await.expect("the file can be read"),
        };
        assert!(slice.len > 0);
        slice.position
    }

    /// The offset of the batch that was filled in `seconds` after the first.
    ///
    /// # Panics
    /// If it is not there.
    pub fn offset_at(&self, seconds: i64) -> i64 {
        let query = OffsetQuery::At(TimestampMs(BEGAN.0 + seconds * 1000));
        let lookup = self.log.offset_for_timestamp(query);
        let found = lookup.run_blocking().expect("the files can be read");
        found.expect("a record of that time is in the log").offset.0
    }

    /// Forgets the log, as kill -9 would: its directory is left without the mark of a clean stop
    /// and without indexes.
    ///
    /// # Panics
    /// If an index cannot be removed.
    #[must_use]
    pub fn killed(self) -> Killed {
        let Self {
            directory,
            log,
            next: _,
        } = self;
        let end = log.log_end_offset();
        let segment_bytes_max = log.config().segment_bytes_max;
        let path = log.directory().to_owned();
        drop(log);
        for entry in fs::read_dir(&path).expect("the log's directory") {
            let path = entry.expect("a file").path();
            if path
                .extension()
                .is_some_and(|kind| kind == "index" || kind == "timeindex")
            {
                fs::remove_file(path).expect("it was there");
            }
        }
        Killed {
            directory,
            segment_bytes_max,
            end,
        }
    }
}

/// A log directory without an owner.
pub struct Killed {
    directory: TempDir,
    segment_bytes_max: u32,
    end: Offset,
}

impl Killed {
    /// Recovers the log: every batch is checked, every index built.
    ///
    /// # Panics
    /// If not all of it comes back.
    pub fn recover(&self) {
        let directory = LogDirectory::open(self.directory.path()).expect("a log directory");
        let config = config(self.segment_bytes_max);
        let loaded = directory
            .load_logs(&LoadOptions {
                threads: 1,
                now: BEGAN,
                config: &|_| config.clone(),
            })
            .expect("the directory can be read");
        assert!(loaded.failed.is_empty(), "{:?}", loaded.failed);
        assert_eq!(loaded.logs[0].log_end_offset(), self.end);
    }
}

fn partition() -> TopicPartition {
    TopicPartition::new("bench", PartitionIndex(0))
}

fn config(segment_bytes_max: u32) -> Arc<LogConfig> {
    Arc::new(LogConfig {
        segment_bytes_max,
        ..LogConfig::default()
    })
}
