//! Tests of the log as a whole, on real files. This file has what they share.

mod append;
mod call_sites;
mod compaction;
mod crash;
mod damage;
mod directory;
mod faults;
mod heard;
mod model;
mod moving;
mod on_disk_format;
mod power_loss;
mod prepare;
mod producers;
mod read;
mod recovery;
mod retention;
mod scenarios;
mod truncate;
mod world;
mod zeroes_ahead;

use crate::append::{Append, AppendError, Appended, Origin};
use crate::config::LogConfig;
use crate::file_name::{FileName, Kind, Stage};
use crate::index_entry::{Entry, OffsetEntry, TimeEntry};
use crate::load::LoadFrom;
use crate::log::Log;
use crate::partition_name::TopicPartition;
use crate::read::ReadFrom;
use bytes::Bytes;
use protocol::batch::{BatchBuilder, BatchOptions, Batches, NewRecord};
use protocol::ids::{LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TimestampMs};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

thread_local! {
    static RUNTIME: RefCell<Option<ring::Runtime>> = const { RefCell::new(None) };
}

/// Runs a plan on this thread's ring.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    RUNTIME.with_borrow_mut(|runtime| {
        runtime
            .get_or_insert_with(|| ring::Runtime::new(ring::Options::default()).expect("io_uring"))
            .block_on(future)
    })
}

/// A partition's directory, and how its log is opened.
pub(crate) struct Place {
    _temporary: tempfile::TempDir,
    pub(crate) directory: PathBuf,
    pub(crate) config: Arc<LogConfig>,
}

/// How a log was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Closed,
    Crashed { recovery_point: Offset },
}

impl Place {
    pub(crate) fn new(config: LogConfig) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("t-0");
        Self {
            _temporary: temporary,
            directory,
            config: Arc::new(config),
        }
    }

    pub(crate) fn open(&self, left: Left) -> Log {
        self.open_from(left, Offset::ZERO)
    }

    pub(crate) fn open_from(&self, left: Left, log_start: Offset) -> Log {
        self.try_open_from(left, log_start).unwrap()
    }

    pub(crate) fn try_open(&self, left: Left) -> Result<Log, crate::OpenError> {
        self.try_open_from(left, Offset::ZERO)
    }

    fn try_open_from(&self, left: Left, log_start: Offset) -> Result<Log, crate::OpenError> {
        let (clean, recovery_point) = match left {
            Left::Closed => (true, Offset::ZERO),
            Left::Crashed { recovery_point } => (false, recovery_point),
        };
        Log::load(LoadFrom {
            directory: self.directory.clone(),
            topic_partition: TopicPartition::new("t", PartitionIndex(0)),
            config: self.config.clone(),
            log_start,
            recovery_point,
            clean,
            may_have_gaps: self.config.cleanup.compact,
            now: NOW,
            health: Arc::default(),
        })
    }

    pub(crate) fn path(&self, base: i64, kind: Kind) -> PathBuf {
        crate::file_name::path(&self.directory, Offset(base), kind)
    }

    /// Base offsets of the segments on disk.
    pub(crate) fn bases(&self) -> Vec<i64> {
        let files = crate::leftovers::list(&self.directory).unwrap();
        let logs = files
            .iter()
            .filter(|f| f.kind == Kind::Log && f.stage == Stage::Settled);
        let mut bases: Vec<i64> = logs.map(|f| f.base_offset.0).collect();
        bases.sort_unstable();
        bases
    }
}

pub(crate) fn small_segments() -> LogConfig {
    LogConfig {
        segment_bytes_max: 2000,
        index_interval_bytes: 200,
        ..LogConfig::default()
    }
}

/// A batch as a client sends it: so many records, of one timestamp.
pub(crate) fn batch(records: usize, timestamp: i64) -> Bytes {
    batch_with(records, timestamp, BatchOptions::default())
}

pub(crate) fn batch_with(records: usize, timestamp: i64, options: BatchOptions) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for at in 0..records {
        let value = [at as u8; 20];
        let (key, value) = (Some(&b"k"[..]), Some(&value[..]));
        let timestamp = TimestampMs(timestamp);
        builder.append(&NewRecord {
            timestamp,
            key,
            value,
            ..NewRecord::default()
        });
    }
    builder.finish().into()
}

/// A batch of an idempotent producer.
pub(crate) fn idempotent(producer: i64, epoch: i16, sequence: i32, records: usize) -> Bytes {
    let options = BatchOptions {
        producer_id: ProducerId(producer),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: sequence,
        ..BatchOptions::default()
    };
    batch_with(records, NOW.0, options)
}

pub(crate) fn of_client(batches: Bytes) -> Append {
    Append {
        token: 1,
        batches,
        leader_epoch: LeaderEpoch(0),
        origin: Origin::Client,
    }
}

/// Queues appends, and writes until all are answered.
pub(crate) fn append_all(
    log: &mut Log,
    appends: impl IntoIterator<Item = Append>,
) -> Vec<Result<Appended, AppendError>> {
    let mut results = Vec::new();
    let mut refused = Vec::new();
    for (token, append) in appends.into_iter().enumerate() {
        if let Err(error) = log.enqueue(Append {
            token: token as u64,
            ..append
        }) {
            refused.push((token as u64, Err(error)));
        }
    }
    while let Some(write) = log.start_write(NOW) {
        let written = run(write.run());
        log.finish_write(written, &mut results);
    }
    results.extend(refused);
    results.sort_by_key(|(token, _)| *token);
    results.into_iter().map(|(_, result)| result).collect()
}

pub(crate) fn append(log: &mut Log, batches: Bytes) -> Result<Appended, AppendError> {
    append_all(log, [of_client(batches)]).pop().unwrap()
}

/// The bytes of a read up to the log's end.
pub(crate) fn read_bytes(log: &Log, offset: Offset, bytes_max: u32) -> Vec<u8> {
    let from = ReadFrom {
        offset,
        upper_bound: log.log_end_offset(),
        bytes_max,
        min_one_batch: true,
    };
    read(log, from)
}

pub(crate) fn read(log: &Log, from: ReadFrom) -> Vec<u8> {
    let slice = run(log.read(from).unwrap().run()).unwrap();
    run(slice.bytes()).unwrap().to_vec()
}

/// Base and last offsets of all batches, by reading the log from its start to its end.
pub(crate) fn offsets(log: &Log) -> Vec<(i64, i64)> {
    let mut found = Vec::new();
    let mut next = log.log_start_offset();
    while next < log.log_end_offset() {
        let bytes = read_bytes(log, next, 1500);
        let before = next;
        for batch in Batches::new(&bytes).map_while(Result::ok) {
            batch.validate_relaxed().unwrap();
            found.push((batch.header.base_offset.0, batch.header.last_offset().0));
            next = batch.header.next_offset();
        }
        if next == before {
            break;
        }
    }
    found
}

/// Checks every index entry against the batches, as `kafka-dump-log --verify-index-only` does; and
/// that the files of closed segments have nothing else in them.
pub(crate) fn verify_indexes(directory: &Path) {
    for FileName {
        base_offset,
        kind,
        stage,
    } in crate::leftovers::list(directory).unwrap()
    {
        if kind != Kind::Log || stage != Stage::Settled {
            continue;
        }
        let read =
            |kind| std::fs::read(crate::file_name::path(directory, base_offset, kind)).unwrap();
        let (log, offsets, times) = (
            read(Kind::Log),
            read(Kind::OffsetIndex),
            read(Kind::TimeIndex),
        );
        let mut batches = Vec::new();
        let mut position = 0;
        for batch in Batches::new(&log) {
            let batch = batch.unwrap();
            batches.push((position, batch.header));
            position += batch.bytes.len() as u32;
        }
        assert_eq!(offsets.len() % OffsetEntry::BYTES, 0);
        for entry in offsets
            .chunks_exact(OffsetEntry::BYTES)
            .map(OffsetEntry::decode)
        {
            let (_, header) = batches
                .iter()
                .find(|(at, _)| *at == entry.position.0)
                .unwrap();
            assert_eq!(
                header.last_offset(),
                base_offset + i64::from(entry.relative_offset)
            );
        }
        assert_eq!(times.len() % TimeEntry::BYTES, 0);
        for entry in times.chunks_exact(TimeEntry::BYTES).map(TimeEntry::decode) {
            let offset = base_offset + i64::from(entry.relative_offset);
            let (_, header) = batches
                .iter()
                .find(|(_, h)| h.last_offset() == offset)
                .unwrap();
            assert_eq!(header.max_timestamp, entry.timestamp);
        }
        let max = batches.iter().map(|(_, h)| h.max_timestamp).max();
        // Records may have none.
        let max = max.filter(|max| *max >= TimestampMs(0));
        let last = times.len().checked_sub(TimeEntry::BYTES);
        assert_eq!(
            last.map(|at| TimeEntry::decode(&times[at..]).timestamp),
            max
        );
    }
}
