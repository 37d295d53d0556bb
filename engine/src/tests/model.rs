//! Random histories of one log against a plain list of batches.
//!
//! A failing run prints its seed; `ENGINE_MODEL_SEED=<seed> cargo test -p chiplog-engine model`
//! replays it alone; `ENGINE_MODEL_SEEDS=<count>` runs more of them.

use super::*;
use crate::fault::{self, Fault};
use crate::flush::FlushTo;
use crate::offset_lookup::OffsetQuery;
use crate::read::Read;
use protocol::batch::{Compression, PATCHED_LEN};
use protocol::error::ErrorCode;

const SEEDS: u64 = 40;
const STEPS: usize = 120;

/// SplitMix64.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: i64) -> i64 {
        (self.next() % end.max(1) as u64) as i64
    }

    pub(super) fn one_in(&mut self, times: i64) -> bool {
        self.below(times) == 0
    }
}

/// A batch as it ought to be in the log.
#[derive(Clone)]
struct Expected {
    first: i64,
    last: i64,
    epoch: i32,
    timestamp: i64,
    producer: Option<(i64, i32)>,
    bytes: Vec<u8>,
}

struct Model {
    chance: Chance,
    place: Place,
    batches: Vec<Expected>,
    /// Ends may differ after a truncation into a batch.
    end: i64,
    epoch: i32,
    clock: i64,
    flushed: i64,
}

#[test]
fn random_histories() {
    let seed = std::env::var("ENGINE_MODEL_SEED")
        .ok()
        .map(|seed| seed.parse().unwrap());
    let more = std::env::var("ENGINE_MODEL_SEEDS")
        .ok()
        .map(|count| count.parse().unwrap());
    let seeds = seed.map_or(0..more.unwrap_or(SEEDS), |seed: u64| seed..seed + 1);
    for seed in seeds {
        let replay = Replay(seed);
        Model::new(seed).run();
        std::mem::forget(replay);
    }
}

/// Says how to replay when a run unwinds.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        eprintln!(
            "replay with: ENGINE_MODEL_SEED={} cargo test -p chiplog-engine model",
            self.0
        );
    }
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let config = LogConfig {
            segment_bytes_max: 1500 + chance.below(6000) as u32,
            index_interval_bytes: chance.below(600) as u32,
            index_bytes_max: 120 + chance.below(2000) as u32,
            write_bytes_max: 400 + chance.below(4000) as usize,
            segment_age_ms_max: if chance.one_in(3) { 3000 } else { 1 << 40 },
            producer_expiration_ms: i64::MAX,
            ..LogConfig::default()
        };
        Self {
            chance,
            place: Place::new(config),
            batches: Vec::new(),
            end: 0,
            epoch: 0,
            clock: 1000,
            flushed: 0,
        }
    }

    fn run(&mut self) {
        let mut log = self.place.open(Left::Closed);
        for _ in 0..STEPS {
            match self.chance.below(100) {
                0..50 => self.append(&mut log),
                50..75 => self.read(&log),
                75..82 => self.look_up(&log),
                82..85 => self.next_leader(&mut log),
                85..88 => self.flush(&mut log),
                88..91 => self.truncate(&mut log),
                91..95 => log = self.reopen(log),
                _ => log = self.crash(log),
            }
            self.check(&log);
        }
        self.read_all(&log);
        log.close().unwrap();
        verify_indexes(&self.place.directory);
    }

    fn check(&self, log: &Log) {
        assert_eq!(log.log_end_offset(), Offset(self.end));
        assert_eq!(log.log_start_offset(), Offset(0));
        assert!(log.recovery_point() <= log.log_end_offset());
    }

    /// The sequence number that a producer's next batch must have; `None` if the log does not know
    /// it.
    fn next_sequence(&self, producer: i64) -> Option<(i32, i32)> {
        let of = |b: &&Expected| b.producer.is_some_and(|(id, _)| id == producer);
        let last = self.batches.iter().rev().find(of)?;
        let first = last.producer.unwrap().1;
        Some((first, first + (last.last - last.first) as i32 + 1))
    }

    fn append(&mut self, log: &mut Log) {
        let count = 1 + self.chance.below(6);
        let faulty = self.chance.one_in(12);
        if faulty {
            let bytes_written = self.chance.below(900) as usize;
            let errno = rustix::io::Errno::NOSPC.raw_os_error();
            fault::inject(Fault {
                bytes_written,
                errno,
                truncate_errno: None,
            });
        }
        let (before, end) = (self.batches.clone(), self.end);
        let mut expected = Vec::new();
        for token in 0..count as u64 {
            let (bytes, outcome) = self.one_batch();
            let leader_epoch = LeaderEpoch(self.epoch);
            let append = Append {
                token,
                batches: bytes,
                leader_epoch,
                origin: Origin::Client,
            };
            log.enqueue(append).unwrap();
            expected.push(outcome);
        }
        let mut done = Vec::new();
        let write = log.start_write(TimestampMs(self.clock)).unwrap();
        log.finish_write(run(write.run()), &mut done);
        fault::clear();
        if done
            .iter()
            .any(|(_, r)| matches!(r, Err(AppendError::WriteFailed(_))))
        {
            assert!(faulty);
            (self.batches, self.end) = (before, end);
            self.check(log);
            // What did not fit into the failed write finds sequence numbers missing, or not.
            self.drain(log);
            return;
        }
        while let Some(write) = log.start_write(TimestampMs(self.clock)) {
            let failed = run(write.run());
            log.finish_write(failed, &mut done);
        }
        done.sort_by_key(|(token, _)| *token);
        for ((_, result), expected) in done.into_iter().zip(expected) {
            match (result, expected) {
                (Ok(done), Ok((first, last))) => {
                    assert_eq!((done.first_offset.0, done.last_offset.0), (first, last));
                }
                (Err(error), Err(code)) => assert_eq!(error.code(), code),
                (result, expected) => panic!("{result:?}, and not {expected:?}"),
            }
        }
    }

    /// Lets go of what a failed write left in the queue: what of it is stored is whatever the log
    /// says.
    fn drain(&mut self, log: &mut Log) {
        let mut done = Vec::new();
        while let Some(write) = log.start_write(TimestampMs(self.clock)) {
            log.finish_write(run(write.run()), &mut done);
        }
        let stored = read_bytes(log, Offset(self.end), u32::MAX >> 2);
        let mut next = self.end;
        let mut bytes = stored;
        while next < log.log_end_offset().0 {
            for batch in Batches::new(&bytes).map(Result::unwrap) {
                let header = batch.header;
                self.batches.push(Expected {
                    first: header.base_offset.0,
                    last: header.last_offset().0,
                    epoch: header.leader_epoch.0,
                    timestamp: header.max_timestamp.0,
                    producer: header
                        .has_producer()
                        .then_some((header.producer_id.0, header.base_sequence)),
                    bytes: batch.bytes.to_vec(),
                });
                next = header.next_offset().0;
            }
            bytes = read_bytes(log, Offset(next), u32::MAX >> 2);
        }
        self.end = next;
    }

    /// A batch to send, and what is to become of it.
    fn one_batch(&mut self) -> (Bytes, Result<(i64, i64), ErrorCode>) {
        self.clock += self.chance.below(40);
        let timestamp = self.clock - self.chance.below(300);
        let records = 1 + self.chance.below(8) as usize;
        let compression = Compression::ALL[self.chance.below(5) as usize];
        let mut options = BatchOptions {
            compression,
            ..BatchOptions::default()
        };
        let mut producer = None;
        let mut outcome = Ok((self.end, self.end + records as i64 - 1));
        if self.chance.one_in(2) {
            let id = self.chance.below(3);
            let known = self.next_sequence(id);
            let (previous, next) = known.unwrap_or((-1, self.chance.below(50) as i32));
            let mut sequence = next;
            match self.chance.below(8) {
                0 if known.is_some() => {
                    sequence = next + 1 + self.chance.below(5) as i32;
                    outcome = Err(ErrorCode::OutOfOrderSequenceNumber);
                }
                1 if known.is_some() => {
                    let of = |b: &&Expected| b.producer == Some((id, previous));
                    let last = self.batches.iter().rev().find(of).unwrap();
                    let records = (last.last - last.first + 1) as usize;
                    let options = BatchOptions {
                        producer_id: ProducerId(id),
                        producer_epoch: ProducerEpoch(0),
                        base_sequence: previous,
                        ..options
                    };
                    return (
                        batch_with(records, timestamp, options),
                        Ok((last.first, last.last)),
                    );
                }
                _ => {}
            }
            options.producer_id = ProducerId(id);
            options.producer_epoch = ProducerEpoch(0);
            options.base_sequence = sequence;
            producer = Some((id, sequence));
        }
        let bytes = batch_with(records, timestamp, options);
        if let Ok((first, last)) = outcome {
            let view = Batches::new(&bytes).next().unwrap().unwrap();
            let prefix = view.patched_prefix(Offset(first), LeaderEpoch(self.epoch));
            let stored = [&prefix[..], &bytes[PATCHED_LEN..]].concat();
            let epoch = self.epoch;
            self.batches.push(Expected {
                first,
                last,
                epoch,
                timestamp,
                producer,
                bytes: stored,
            });
            self.end = last + 1;
        }
        (bytes, outcome)
    }

    fn read(&mut self, log: &Log) {
        let offset = self.chance.below(self.end + 1);
        let upper = self
            .chance
            .below(self.end + 1)
            .max(self.chance.below(self.end + 1));
        let bytes_max = self.chance.below(3000) as u32;
        let from = ReadFrom {
            offset: Offset(offset),
            upper_bound: Offset(upper),
            bytes_max,
            min_one_batch: self.chance.one_in(2),
        };
        let slice = run(log.read(from).unwrap().run()).unwrap();
        let bytes = run(slice.bytes()).unwrap();
        // A bound within a batch hides it.
        let visible: Vec<&Expected> = self
            .batches
            .iter()
            .filter(|b| b.last >= offset && b.last < upper)
            .collect();
        if offset >= upper {
            assert!(bytes.is_empty());
            return;
        }
        let Some(first) = visible.first() else {
            assert!(bytes.is_empty(), "{offset} {upper}");
            return;
        };
        let all = visible
            .iter()
            .map(|b| &b.bytes[..])
            .collect::<Vec<_>>()
            .concat();
        assert!(all.starts_with(&bytes), "{from:?}");
        let least = if from.min_one_batch {
            first.bytes.len()
        } else {
            0
        };
        assert!(bytes.len() <= (bytes_max as usize).max(least));
        assert!(bytes.len() >= least.min(all.len()));
        if bytes_max as usize >= first.bytes.len() {
            assert!(bytes.len() >= first.bytes.len(), "progress");
        }
        assert_eq!(
            slice.first_batch_incomplete,
            !bytes.is_empty() && bytes.len() < first.bytes.len()
        );
    }

    fn read_all(&self, log: &Log) {
        let mut all = Vec::new();
        let mut next = Offset(0);
        while next < log.log_end_offset() {
            let from = ReadFrom {
                offset: next,
                upper_bound: log.log_end,
                bytes_max: 2000,
                min_one_batch: true,
            };
            let read = log.read(from).unwrap();
            let hot = matches!(read, Read::Ready(_));
            let slice = run(read.run()).unwrap();
            let bytes = run(slice.bytes()).unwrap();
            let before = next;
            for batch in Batches::new(&bytes).map_while(Result::ok) {
                all.extend_from_slice(batch.bytes);
                next = batch.header.next_offset();
            }
            if next == before {
                assert!(!hot || bytes.is_empty());
                break;
            }
        }
        let found: Vec<_> = Batches::new(&all)
            .map(|b| b.unwrap().header.base_offset.0)
            .collect();
        let expected: Vec<_> = self.batches.iter().map(|b| b.first).collect();
        if found != expected {
            for s in log.segments.sealed.iter() {
                eprintln!(
                    "{:?} file {}",
                    s,
                    std::fs::metadata(s.path(Kind::Log)).unwrap().len()
                );
            }
            eprintln!(
                "{:?} {:?}",
                log.segments.active.base_offset, log.recovery_point
            );
        }
        assert_eq!(found, expected);
        assert!(
            all == self
                .batches
                .iter()
                .map(|b| &b.bytes[..])
                .collect::<Vec<_>>()
                .concat()
        );
    }

    fn look_up(&mut self, log: &Log) {
        let time = self.clock - self.chance.below(1500);
        let query = OffsetQuery::At(TimestampMs(time));
        let found = run(log.offset_for_timestamp(query).run()).unwrap();
        let expected = self
            .batches
            .iter()
            .find(|b| b.timestamp >= time)
            .map(|b| (b.timestamp, b.first));
        assert_eq!(found.map(|f| (f.timestamp.0, f.offset.0)), expected);
        let found = run(log.offset_for_timestamp(OffsetQuery::MaxTimestamp).run()).unwrap();
        let max = self.batches.iter().map(|b| b.timestamp).max();
        let expected = max.map(|max| self.batches.iter().find(|b| b.timestamp == max).unwrap());
        assert_eq!(
            found.map(|f| (f.timestamp.0, f.offset.0)),
            expected.map(|b| (b.timestamp, b.first))
        );
        let epoch = self.chance.below(i64::from(self.epoch) + 2) as i32;
        let end = log
            .offset_for_leader_epoch(LeaderEpoch(epoch))
            .map(|e| e.end_offset.0);
        let Some(last) = self.batches.iter().rev().find(|b| b.epoch == epoch) else {
            return;
        };
        let after = self.batches.iter().find(|b| b.epoch > epoch);
        let next = after.map_or(self.end, |b| b.first);
        // A cut within a batch leaves offsets without records between the two.
        assert!(
            end.is_some_and(|end| end > last.last && end <= next),
            "{end:?}"
        );
    }

    fn next_leader(&mut self, log: &mut Log) {
        self.epoch += 1 + self.chance.below(2) as i32;
        log.begin_leader_epoch(LeaderEpoch(self.epoch));
        assert_eq!(log.latest_epoch(), Some(LeaderEpoch(self.epoch)));
    }

    fn flush(&mut self, log: &mut Log) {
        let to = if self.chance.one_in(2) {
            FlushTo::LogEnd
        } else {
            FlushTo::ActiveSegment
        };
        if let Some(flush) = log.start_flush(to) {
            let flushed = run(flush.run());
            log.finish_flush(flushed).unwrap();
        }
        self.flushed = log.recovery_point().0;
        assert!(to == FlushTo::ActiveSegment || self.flushed == self.end);
    }

    fn truncate(&mut self, log: &mut Log) {
        let target = if self.chance.one_in(3) {
            self.chance.below(self.end + 5)
        } else {
            self.end - self.chance.below(self.end.min(40) + 1)
        };
        let removals = log
            .truncate_to(Offset(target), TimestampMs(self.clock))
            .unwrap();
        removals
            .into_iter()
            .for_each(|removal| removal.run_blocking());
        self.batches.retain(|b| b.last < target);
        self.end = self.end.min(target);
        self.flushed = self.flushed.min(target);
        self.fill_gap(log);
    }

    /// A cut within a batch leaves the log's end above its last record, which recovery cannot
    /// know: write something there.
    fn fill_gap(&mut self, log: &mut Log) {
        if self.batches.last().map_or(0, |b| b.last + 1) != self.end {
            let before = self.batches.len();
            let (bytes, outcome) = loop {
                let made = self.one_batch();
                if self.batches.len() > before {
                    break made;
                }
            };
            let append = Append {
                leader_epoch: LeaderEpoch(self.epoch),
                ..of_client(bytes)
            };
            let done = append_all(log, [append]).pop().unwrap().unwrap();
            assert_eq!((done.first_offset.0, done.last_offset.0), outcome.unwrap());
        }
    }

    fn reopen(&mut self, log: Log) -> Log {
        let closed = log.close().unwrap();
        assert_eq!(closed.recovery_point, Offset(self.end));
        verify_indexes(&self.place.directory);
        self.flushed = self.end;
        let log = self.place.open(Left::Closed);
        self.read_all(&log);
        log
    }

    /// The process dies, and perhaps the end of the file that was not flushed is lost.
    fn crash(&mut self, log: Log) -> Log {
        let recovery_point = log.recovery_point();
        drop(log);
        let base = *self.place.bases().last().unwrap();
        let path = self.place.path(base, Kind::Log);
        if self.chance.one_in(2) {
            let length = std::fs::metadata(&path).unwrap().len();
            let in_segment = self.batches.iter().filter(|b| b.first >= base);
            let durable: usize = in_segment
                .filter(|b| b.last < recovery_point.0)
                .map(|b| b.bytes.len())
                .sum();
            let cut = durable as i64 + self.chance.below(length as i64 - durable as i64 + 1);
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_len(cut as u64).unwrap();
            let mut at = 0;
            self.batches.retain(|b| {
                at += if b.first >= base {
                    b.bytes.len() as i64
                } else {
                    0
                };
                at <= cut || b.first < base
            });
            self.end = self.batches.last().map_or(0, |b| b.last + 1).max(base);
        }
        let log = self.place.open(Left::Crashed { recovery_point });
        assert!(log.recovery_point() == recovery_point.min(log.log_end_offset()));
        self.read_all(&log);
        log
    }
}
