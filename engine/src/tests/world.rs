//! A log directory in use, and what its user was promised: for tests in which a call fails.
//!
//! Every step that fails is tried once more, as the failure has passed then: it must succeed, unless
//! the directory took itself offline, or the process is as good as dead. Every error must name what
//! was tried and where.

use super::*;
use crate::close::Closed;
use crate::directory::{LoadOptions, LogDirectory};
use crate::fault::{self, Durable};
use crate::flush::FlushTo;
use crate::partition_name::Standing;
use protocol::ids::Uuid;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::ControlFlow;

pub(super) const ID: Uuid = Uuid([7; 16]);

/// The steps end here: the directory is offline, or the process is.
#[derive(Debug)]
pub(super) struct Stop;

/// A batch: its last offset and its timestamp.
type Stored = (i64, i64);

/// What the user of one partition knows.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Acknowledged, by first offset.
    pub(super) must: BTreeMap<i64, Stored>,
    /// Not acknowledged, or about to be deleted.
    pub(super) may: BTreeMap<i64, Stored>,
    /// Acknowledged ends of transactions that were aborted: producer and first offset.
    pub(super) aborted: Vec<(i64, i64)>,
    /// Everything below was deleted, durably.
    pub(super) start: i64,
    /// Everything below was flushed.
    pub(super) flushed: i64,
    /// The log itself is about to be deleted.
    pub(super) may_be_gone: bool,
}

/// See the module.
pub(super) struct World {
    pub(super) root: tempfile::TempDir,
    pub(super) directory: Option<LogDirectory>,
    /// Another one, where logs may be moved to; within the first.
    pub(super) second: Option<LogDirectory>,
    pub(super) told: BTreeMap<TopicPartition, Told>,
    pub(super) errors: Vec<String>,
    clock: i64,
}

pub(super) fn config(topic: &str) -> Arc<LogConfig> {
    let small = LogConfig {
        segment_bytes_max: 700,
        index_interval_bytes: 150,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    };
    Arc::new(match topic {
        "large" => LogConfig {
            index_interval_bytes: 0,
            file_delete_delay_ms: 0,
            ..LogConfig::default()
        },
        "compacted" => LogConfig {
            cleanup: crate::config::Cleanup {
                delete: false,
                compact: true,
            },
            cleanable_ratio_min: 0.0,
            ..small
        },
        "short" => LogConfig {
            retention_ms_max: Some(1000),
            ..small
        },
        _ => small,
    })
}

pub(super) fn partition(topic: &str) -> TopicPartition {
    TopicPartition::new(topic, PartitionIndex(0))
}

/// A batch of one record with a key.
pub(super) fn keyed(key: u8, timestamp: i64) -> Append {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(&NewRecord {
        timestamp: TimestampMs(timestamp),
        key: Some(&[key]),
        value: Some(&[key; 60]),
        ..NewRecord::default()
    });
    of_client(builder.finish().into())
}

/// In memory if the system has a place for that: nothing here depends on what a sync does.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            root: in_memory(),
            directory: None,
            second: None,
            told: BTreeMap::new(),
            errors: Vec::new(),
            clock: NOW.0,
        }
    }

    pub(super) fn path(&self, topic: &str) -> PathBuf {
        self.root.path().join(partition(topic).to_string())
    }

    pub(super) fn told(&mut self, log: &Log) -> &mut Told {
        self.told.entry(log.topic_partition().clone()).or_default()
    }

    pub(super) fn tick(&mut self) -> i64 {
        self.clock += 1;
        self.clock
    }

    /// Tries a step, and once more if it fails.
    pub(super) fn step<T, E: Display>(
        &mut self,
        mut step: impl FnMut(&mut Self) -> Result<T, E>,
    ) -> Result<T, Stop> {
        for _ in 0..2 {
            match step(self) {
                Ok(done) => return Ok(done),
                Err(error) => self.note(&error)?,
            }
        }
        panic!("it still fails: {:?}", self.errors);
    }

    /// An error: must say what it is about. Whether one may go on.
    pub(super) fn note(&mut self, error: &impl Display) -> Result<(), Stop> {
        let text = error.to_string();
        let root = self.root.path().display().to_string();
        assert!(
            text.contains(&root) && text.contains("cannot "),
            "what failed, and where? {text}"
        );
        self.errors.push(text);
        let mut used = self.directory.iter().chain(&self.second);
        let offline = used.any(|d| d.health().failure().is_some());
        match fault::has_crashed() || offline {
            true => Err(Stop),
            false => Ok(()),
        }
    }

    pub(super) fn open(&mut self) -> Result<(), Stop> {
        self.directory = None;
        let path = self.root.path().to_owned();
        let opened = self.step(|_| LogDirectory::open(&path))?;
        self.directory = Some(opened);
        Ok(())
    }

    pub(super) fn directory(&self) -> &LogDirectory {
        self.directory.as_ref().expect("it is open")
    }

    pub(super) fn open_second(&mut self) -> Result<(), Stop> {
        self.second = None;
        let path = self.root.path().join("second");
        let opened = self.step(|_| LogDirectory::open(&path))?;
        self.second = Some(opened);
        Ok(())
    }

    pub(super) fn second(&self) -> &LogDirectory {
        self.second.as_ref().expect("it is open")
    }

    /// What was moved, or is about to be: a copy without its log is complete.
    fn moved(&mut self) -> Vec<Log> {
        if !self.root.path().join("second").exists() {
            return Vec::new();
        }
        self.open_second().unwrap();
        let here = self.directory().partitions().unwrap();
        for found in self.second().futures().unwrap() {
            if !here.contains(&found.partition) {
                let renamed = self.second().rename_future(&found, Standing::Current);
                renamed.unwrap();
            }
        }
        let there = self.second().partitions().unwrap();
        assert!(there.iter().all(|moved| !here.contains(moved)), "{there:?}");
        let options = LoadOptions {
            threads: 1,
            now: NOW,
            config: &config,
        };
        self.second().load_logs(&options).unwrap().logs
    }

    pub(super) fn create(&mut self, topic: &str) -> Result<Log, Stop> {
        let log = self.step(|world| {
            let partition = partition(topic);
            world
                .directory()
                .create_log(&partition, ID, config(topic), NOW)
        })?;
        self.told(&log);
        Ok(log)
    }

    /// Loads all logs, those that fail once more.
    pub(super) fn load(&mut self) -> Result<Vec<Log>, Stop> {
        let mut loaded = self.step(|world| {
            world.directory().load_logs(&LoadOptions {
                threads: 1,
                now: NOW,
                config: &config,
            })
        })?;
        for (path, error) in loaded.failed {
            self.note(&error)?;
            let name = path.file_name().unwrap().to_str().unwrap();
            let (partition, _) = TopicPartition::from_directory_name(name).unwrap();
            let topic = config(&partition.topic);
            let opened =
                self.step(|world| world.directory().open_log(&partition, topic.clone(), NOW))?;
            loaded.logs.push(opened.expect("it is there"));
        }
        Ok(loaded.logs)
    }

    pub(super) fn load_one(&mut self, topic: &str) -> Result<Log, Stop> {
        let logs = self.load()?;
        let wanted = |log: &Log| *log.topic_partition() == partition(topic);
        Ok(logs.into_iter().find(wanted).expect("it is there"))
    }

    /// Appends one batch, or several from a leader.
    pub(super) fn append(&mut self, log: &mut Log, append: &Append) -> Result<(), Stop> {
        self.append_by(log, append, |log, append| {
            append_all(log, [append]).pop().unwrap()
        })
    }

    pub(super) fn append_by(
        &mut self,
        log: &mut Log,
        append: &Append,
        write: impl Fn(&mut Log, Append) -> Result<Appended, AppendError>,
    ) -> Result<(), Stop> {
        let first = log.log_end_offset().0;
        let mut next = first;
        let mut batches = BTreeMap::new();
        for batch in Batches::new(&append.batches) {
            let header = batch.unwrap().header;
            let last = next + i64::from(header.last_offset_delta);
            batches.insert(next, (last, header.max_timestamp.0));
            next = last + 1;
        }
        for _ in 0..2 {
            match write(log, append.clone()) {
                Ok(appended) => {
                    assert_eq!(appended.first_offset, Offset(first));
                    self.told(log).must.append(&mut batches);
                    return Ok(());
                }
                Err(error) => {
                    if log.is_offline() || fault::has_crashed() {
                        self.told(log).may.append(&mut batches);
                    }
                    self.note(&error)?;
                }
            }
        }
        panic!("it still fails: {:?}", self.errors);
    }

    /// Appends a batch of some records, with a timestamp of its own.
    pub(super) fn fill(&mut self, log: &mut Log, batches: usize) -> Result<(), Stop> {
        for _ in 0..batches {
            let sent = of_client(batch(2, self.tick()));
            self.append(log, &sent)?;
        }
        Ok(())
    }

    /// A transaction of one record, which is aborted.
    pub(super) fn abort(&mut self, log: &mut Log, producer: i64, round: i32) -> Result<(), Stop> {
        let first = log.log_end_offset().0;
        let sent = super::producers::transactional(producer, round, Origin::Coordinator);
        self.append(log, &sent)?;
        let result = protocol::batch::control::TransactionResult::Abort;
        self.append(log, &super::producers::marker(producer, result))?;
        self.told(log).aborted.push((producer, first));
        Ok(())
    }

    pub(super) fn flush(&mut self, log: &mut Log, to: FlushTo) -> Result<(), Stop> {
        self.step(|_| match log.start_flush(to) {
            Some(flush) => {
                let flushed = run(flush.run());
                log.finish_flush(flushed)
            }
            None => Ok(()),
        })?;
        self.told(log).flushed = log.recovery_point().0;
        Ok(())
    }

    pub(super) fn roll(&mut self, log: &mut Log) -> Result<(), Stop> {
        for _ in 0..2 {
            let segments = log.segment_count();
            let Some(write) = log.start_roll(NOW) else {
                return Err(Stop);
            };
            let written = run(write.run());
            log.finish_write(written, &mut Vec::new());
            if log.segment_count() > segments {
                return Ok(());
            }
            if log.is_offline() || fault::has_crashed() {
                return Err(Stop);
            }
        }
        panic!("no new segment");
    }

    /// Reads all there is, cold and near the end, and looks up times.
    pub(super) fn read(&mut self, log: &Log) -> Result<(), Stop> {
        let mut next = log.log_start_offset();
        while next < log.log_end_offset() {
            let from = ReadFrom {
                offset: next,
                upper_bound: Offset(log.log_end_offset().0 - 1),
                bytes_max: 400,
                min_one_batch: true,
            };
            let bytes = self.step(|_| {
                let slice = run(log.read(from).unwrap().run())?;
                run(slice.bytes())
            })?;
            let last = Batches::new(&bytes).map_while(Result::ok).last();
            match last {
                Some(batch) => next = batch.header.next_offset(),
                None => break,
            }
        }
        let end = log.log_end_offset();
        let aborted = self.step(|_| run(log.aborted_transactions(Offset(0), end).run()))?;
        for (producer, first) in &self.told(log).aborted {
            let there = |a: &crate::AbortedTransaction| {
                (a.producer_id.0, a.first_offset.0) == (*producer, *first)
            };
            assert!(aborted.iter().any(there), "{aborted:?} lacks {producer}");
        }
        Ok(())
    }

    pub(super) fn look_up(&mut self, log: &Log) -> Result<(), Stop> {
        use crate::offset_lookup::OffsetQuery;
        for query in [
            OffsetQuery::MaxTimestamp,
            OffsetQuery::At(TimestampMs(NOW.0 + 3)),
            OffsetQuery::At(TimestampMs(self.clock)),
        ] {
            let found = self.step(|_| run(log.offset_for_timestamp(query).run()))?;
            assert!(found.is_some(), "{query:?}");
        }
        Ok(())
    }

    pub(super) fn checkpoint(&mut self, log: &Log) -> Result<(), Stop> {
        let at = |offset| [(log.topic_partition().clone(), offset)];
        let (point, start) = (at(log.recovery_point()), at(log.log_start_offset()));
        let cleaned: Vec<_> = log.cleaned_to().map(at).into_iter().flatten().collect();
        self.step(|world| world.directory().write_recovery_points(&point))?;
        self.step(|world| world.directory().write_high_watermarks(&point))?;
        self.step(|world| world.directory().write_cleaned(&cleaned))?;
        self.step(|world| world.directory().write_log_start_offsets(&start))?;
        self.told(log).start = log.log_start_offset().0;
        Ok(())
    }

    /// What cannot be closed is left as after a kill.
    pub(super) fn close(&mut self, log: Log) -> Result<Closed, Stop> {
        let partition = log.topic_partition().clone();
        let closed = log.close().map_err(|error| {
            let _ = self.note(&error);
            Stop
        })?;
        self.told.entry(partition).or_default().flushed = closed.recovery_point.0;
        Ok(closed)
    }

    /// Everything told so far was made durable.
    pub(super) fn all_is_flushed(&mut self) {
        for told in self.told.values_mut() {
            let last = told.must.values().map(|(last, _)| *last).max();
            told.flushed = last.map_or(0, |last| last + 1);
        }
    }

    /// The power fails: what was not flushed may be gone, and what was taken away may be back.
    pub(super) fn lose_power(&mut self, durable: &Durable, below: &mut dyn FnMut(usize) -> usize) {
        self.directory = None;
        self.second = None;
        for told in self.told.values_mut() {
            let flushed = told.flushed;
            told.may_be_gone |= flushed == 0;
            let is_flushed = |last: i64| last < flushed;
            let marker = |first: i64| told.must.range(first + 1..).next();
            told.aborted.retain(|(_, first)| {
                marker(*first).is_some_and(|(_, (last, _))| is_flushed(*last))
            });
            let lost = told.must.extract_if(.., |_, (last, _)| !is_flushed(*last));
            let lost: Vec<_> = lost.collect();
            told.may.extend(lost);
        }
        durable.lose_power(self.root.path(), below);
    }

    /// Opens what is left: all that was promised is there and nothing else, and the log goes on.
    pub(super) fn check(mut self) {
        self.directory = None;
        self.second = None;
        self.errors.clear();
        self.open().unwrap();
        let mut logs = self.moved();
        logs.extend(self.load().unwrap());
        assert_eq!(self.errors, [] as [&str; 0]);
        for (partition, told) in std::mem::take(&mut self.told) {
            let log = logs
                .iter_mut()
                .find(|log| *log.topic_partition() == partition);
            let Some(log) = log else {
                assert!(told.may_be_gone, "{partition} is gone");
                continue;
            };
            let found = stored(log);
            let start = log.log_start_offset().0;
            assert!(start >= told.start, "deleted records are back");
            for (first, batch) in told.must.iter().filter(|(_, batch)| batch.0 >= told.start) {
                assert_eq!(found.get(first), Some(batch), "{first} of {found:?}");
            }
            for (first, batch) in &found {
                let known = [told.must.get(first), told.may.get(first)];
                assert!(
                    known.contains(&Some(batch)),
                    "{first} of {found:?}; {told:?}"
                );
            }
            let read: BTreeMap<_, _> = offsets(log).into_iter().collect();
            assert!(
                found
                    .iter()
                    .all(|(first, (last, _))| read.get(first) == Some(last))
            );
            let end = log.log_end_offset();
            let aborted = run(log.aborted_transactions(Offset(0), end).run()).unwrap();
            for (producer, first) in told.aborted {
                assert!(
                    aborted
                        .iter()
                        .any(|a| (a.producer_id.0, a.first_offset.0) == (producer, first)),
                    "{aborted:?} lacks {producer}"
                );
            }
            let appended = append(log, batch(1, NOW.0)).unwrap();
            assert_eq!(appended.first_offset, end);
        }
        for log in logs {
            let directory = log.directory().to_owned();
            log.close().unwrap();
            verify_indexes(&directory);
        }
    }
}

fn stored(log: &Log) -> BTreeMap<i64, Stored> {
    let mut found = BTreeMap::new();
    log.replay(log.log_start_offset(), &mut |batch| {
        let header = &batch.header;
        let stored = (header.last_offset().0, header.max_timestamp.0);
        found.insert(header.base_offset.0, stored);
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

/// Batches as a leader sends them, in one append.
pub(super) fn of_leader(first: i64, count: i64) -> Append {
    let mut bytes = Vec::new();
    for at in first..first + count {
        let mut builder = BatchBuilder::new(BatchOptions {
            base_offset: Offset(at),
            leader_epoch: LeaderEpoch(0),
            ..BatchOptions::default()
        });
        builder.append(&NewRecord {
            timestamp: TimestampMs(NOW.0 + at),
            value: Some(&[1; 1000]),
            ..NewRecord::default()
        });
        bytes.extend(builder.finish());
    }
    Append {
        origin: Origin::Leader,
        ..of_client(bytes.into())
    }
}
