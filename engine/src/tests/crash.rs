//! One history of a log, struck at every call that touches the disk: by a crash of the process, by
//! a power loss that leaves of what was not synced whatever chance says, and by errors.
//!
//! `CHIPLOG_CRASH_RUNS=<count>` makes so many random crash runs instead of the few default ones; a
//! failing run names its seed, and `CHIPLOG_CRASH_SEED=<seed>` replays it alone. With a count,
//! every error strikes every call; otherwise each call meets one of them.

use super::model::Chance;
use super::*;
use crate::fault::{self, Durable, Strike};
use crate::flush::FlushTo;
use rustix::io::Errno;

const STEPS: usize = 60;
const DEFAULT_RUNS: u64 = 24;

/// What a history told its writer.
#[derive(Default)]
struct Told {
    /// Every batch that was handed in, in order: first and last offset, timestamp.
    tried: Vec<(i64, i64, i64)>,
    /// Up to where appends were acknowledged.
    acknowledged: i64,
    /// Up to where a flush has succeeded.
    durable: i64,
    /// The recovery points that a checkpoint may hold.
    points: Vec<i64>,
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes_max: 1200,
        index_interval_bytes: 150,
        ..LogConfig::default()
    }
}

/// Appends, flushes, new leaders and orderly restarts by chance, until the log refuses. An error
/// that passes is survived.
fn history(place: &Place, chance: &mut Chance) -> Told {
    let mut told = Told {
        points: vec![0],
        ..Told::default()
    };
    let mut log = match place.try_open(Left::Closed) {
        Ok(log) => log,
        Err(_) => return told,
    };
    let (mut epoch, mut sequence) = (0, 0);
    for step in 0..STEPS {
        match chance.below(20) {
            0..13 => {
                let records = 1 + chance.below(4) as usize;
                let first = log.log_end_offset().0;
                let timestamp = NOW.0 + step as i64;
                let options = BatchOptions {
                    producer_id: ProducerId(7),
                    producer_epoch: ProducerEpoch(0),
                    base_sequence: sequence,
                    ..BatchOptions::default()
                };
                let append = Append {
                    leader_epoch: LeaderEpoch(epoch),
                    ..of_client(batch_with(records, timestamp, options))
                };
                let tried = (first, first + records as i64 - 1, timestamp);
                match log.append_now(append, NOW) {
                    Ok(appended) => {
                        assert_eq!(appended.first_offset, Offset(first));
                        told.tried.retain(|(at, ..)| *at < first);
                        told.tried.push(tried);
                        told.acknowledged = tried.1 + 1;
                        sequence += records as i32;
                    }
                    Err(AppendError::Offline(_)) => {
                        // It may be in the file, and may not.
                        told.tried.push(tried);
                        return told;
                    }
                    Err(_) => {}
                }
            }
            13..17 => {
                let Some(flush) = log.start_flush(FlushTo::LogEnd) else {
                    continue;
                };
                match log.finish_flush(flush.run_blocking()) {
                    Ok(()) => {
                        told.durable = log.recovery_point().0;
                        told.points.push(told.durable);
                    }
                    Err(_) if log.is_offline() => return told,
                    Err(_) => {}
                }
            }
            17 | 18 => {
                epoch += 1;
                log.begin_leader_epoch(LeaderEpoch(epoch));
            }
            _ => {
                let Ok(closed) = log.close() else { return told };
                told.durable = closed.recovery_point.0;
                told.points.push(told.durable);
                log = match place.try_open(Left::Closed) {
                    Ok(log) => log,
                    Err(_) => return told,
                };
            }
        }
    }
    told
}

/// Opens what is left, and checks that every batch up to `at_least` is there, and after them without
/// a gap some of those that were tried; then that the log goes on.
fn check(place: &Place, told: &Told, recovery_point: i64, at_least: i64) {
    let recovery_point = Offset(recovery_point);
    let mut log = place.open(Left::Crashed { recovery_point });
    let found = offsets(&log);
    let tried: Vec<_> = told
        .tried
        .iter()
        .map(|(first, last, _)| (*first, *last))
        .collect();
    let promised = tried.iter().filter(|(first, _)| *first < at_least).count();
    assert!(
        found.starts_with(&tried[..promised]),
        "found {found:?}, and {at_least} of {tried:?} are promised"
    );
    // If nothing was synced, the first segment may be lost.
    let first = found.first().map_or(0, |first| {
        let at = tried.iter().position(|tried| tried == first);
        at.expect("it was tried")
    });
    assert!(
        tried[first..].starts_with(&found),
        "found {found:?}, and tried {tried:?}"
    );
    assert_eq!(found, stored(place), "what is stored is read");
    let end = log.log_end_offset().0;
    append(&mut log, batch(3, NOW.0 + 1000)).unwrap();
    log.close().unwrap();
    verify_indexes(&place.directory);
    let log = place.open(Left::Closed);
    assert_eq!(offsets(&log).last(), Some(&(end, end + 2)));
}

/// Base and last offsets of the batches in the segments' files.
fn stored(place: &Place) -> Vec<(i64, i64)> {
    let content = |base| std::fs::read(place.path(base, Kind::Log)).unwrap();
    let contents: Vec<_> = place.bases().into_iter().map(content).collect();
    let batches = contents.iter().flat_map(|content| Batches::new(content));
    let header = |batch: Result<protocol::batch::BatchView<'_>, _>| batch.unwrap().header;
    batches
        .map(header)
        .map(|header| (header.base_offset.0, header.last_offset().0))
        .collect()
}

fn calls_of(seed: u64) -> u64 {
    fault::watch(None);
    let place = Place::new(config());
    history(&place, &mut Chance(seed));
    fault::unwatch().calls
}

fn struck(seed: u64, at: u64, strike: Strike) -> (Place, Told, Durable) {
    let place = Place::new(config());
    fault::watch(Some((at, strike)));
    let told = history(&place, &mut Chance(seed));
    let durable = fault::unwatch().durable;
    (place, told, durable)
}

/// Says how to replay when a run unwinds.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "replay with: CHIPLOG_CRASH_SEED={} cargo test -p chiplog-engine crash",
                self.0
            );
        }
    }
}

fn crash_run(seed: u64) {
    let _replay = Replay(seed);
    let mut chance = Chance(seed ^ 0x5EED);
    let history_seed = seed / 8;
    let at = chance.below(calls_of(history_seed) as i64) as u64;
    let (place, told, durable) = struck(history_seed, at, Strike::Crash);
    let point = told.points[chance.below(told.points.len() as i64) as usize];
    if chance.one_in(3) {
        // The process only: what it wrote is there.
        check(&place, &told, point, told.acknowledged);
    } else {
        durable.lose_power(&place.directory, &mut |end| {
            chance.below(end as i64) as usize
        });
        check(&place, &told, point, told.durable);
    }
}

#[test]
fn a_crash_at_any_call_loses_nothing_that_was_synced_and_invents_nothing() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|text: String| text.parse::<u64>().unwrap())
    };
    match number("CHIPLOG_CRASH_SEED") {
        Some(seed) => crash_run(seed),
        None => (0..number("CHIPLOG_CRASH_RUNS").unwrap_or(DEFAULT_RUNS)).for_each(crash_run),
    }
}

#[test]
fn an_error_at_any_call_loses_nothing_that_was_acknowledged() {
    let seed = 3;
    let calls = calls_of(seed);
    assert!(calls > 100, "{calls}");
    let thorough = std::env::var_os("CHIPLOG_CRASH_RUNS").is_some();
    for (turn, errno) in (0..3).zip([Errno::NOSPC, Errno::IO, Errno::MFILE]) {
        for at in (0..calls).filter(|at| thorough || at % 3 == turn) {
            let _context = Context(at, errno);
            let (place, told, _) = struck(seed, at, Strike::Error(errno.raw_os_error()));
            check(
                &place,
                &told,
                *told.points.last().unwrap(),
                told.acknowledged,
            );
        }
    }
}

/// Says which call was struck when a run unwinds.
struct Context(u64, Errno);

impl Drop for Context {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("struck was call {} with {:?}", self.0, self.1);
        }
    }
}
