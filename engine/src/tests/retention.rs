//! Which segments are deleted, and what goes with them.

use super::{Left, NOW, Place, append, batch, idempotent, offsets, read, run, small_segments};
use crate::config::LogConfig;
use crate::file_name::{Kind, Stage};
use crate::log::Log;
use crate::offset_lookup::OffsetQuery;
use crate::read::ReadFrom;
use crate::removal::Removal;
use protocol::ids::{LeaderEpoch, Offset, TimestampMs};

const HOUR_MS: i64 = 3_600_000;

/// What the server does: look, close the active segment if it has to go, drop.
fn expire(log: &mut Log, high_watermark: Offset, now: TimestampMs) -> Option<Removal> {
    let expired = log
        .check_retention(high_watermark)?
        .run_blocking(now)
        .unwrap()?;
    if expired.takes_active()
        && let Some(write) = log.start_roll(now)
    {
        let written = run(write.run());
        log.finish_write(written, &mut Vec::new());
    }
    Some(log.drop_expired(expired)?.run_blocking().unwrap())
}

/// A log of several segments, a batch of ten records each, one hour apart.
fn hourly(place: &Place, batches: i64) -> Log {
    let mut log = place.open(Left::Closed);
    for at in 0..batches {
        append(&mut log, batch(40, NOW.0 + at * HOUR_MS)).unwrap();
    }
    assert_eq!(log.segment_count() as i64, batches);
    log
}

fn config() -> LogConfig {
    LogConfig {
        segment_age_ms_max: 1,
        retention_ms_max: None,
        ..small_segments()
    }
}

#[test]
fn segments_go_when_all_their_records_are_too_old_and_the_active_one_too() {
    let retention_ms_max = Some(2 * HOUR_MS);
    let place = Place::new(LogConfig {
        retention_ms_max,
        ..config()
    });
    let mut log = hourly(&place, 5);
    let end = log.log_end_offset();
    let at = |hours: i64| TimestampMs(NOW.0 + hours * HOUR_MS);
    assert!(
        expire(&mut log, end, at(2)).is_none(),
        "not older, just as old"
    );
    let _ = expire(&mut log, end, at(4)).unwrap();
    assert_eq!(place.bases(), [80, 120, 160]);
    assert_eq!(log.log_start_offset(), Offset(80));
    let _ = expire(&mut log, end, at(9)).unwrap();
    assert_eq!(place.bases(), [200], "an empty segment takes their place");
    assert_eq!(log.log_start_offset(), end);
    assert!(expire(&mut log, end, at(99)).is_none(), "nothing is left");
    append(&mut log, batch(1, at(9).0)).unwrap();
    assert_eq!(offsets(&log), [(200, 200)]);
    drop(log);
    let log = place.open_from(
        Left::Crashed {
            recovery_point: end,
        },
        end,
    );
    assert_eq!(offsets(&log), [(200, 200)]);
}

#[test]
fn the_oldest_go_while_the_rest_is_large_enough() {
    let bytes = batch(40, NOW.0).len() as u64;
    let place = Place::new(LogConfig {
        retention_bytes_max: Some(2 * bytes + 1),
        ..config()
    });
    let mut log = hourly(&place, 5);
    let end = log.log_end_offset();
    let _ = expire(&mut log, end, NOW).unwrap();
    assert_eq!(place.bases(), [80, 120, 160]);
    assert!(expire(&mut log, end, NOW).is_none());
}

#[test]
fn nothing_at_or_above_the_high_watermark_goes() {
    let place = Place::new(LogConfig {
        retention_bytes_max: Some(0),
        ..config()
    });
    let mut log = hourly(&place, 5);
    let _ = expire(&mut log, Offset(119), NOW).unwrap();
    assert_eq!(place.bases(), [80, 120, 160]);
    assert_eq!(log.log_start_offset(), Offset(80));
}

#[test]
fn segments_below_the_logs_start_go_whatever_the_policy_says() {
    let mut config = config();
    config.cleanup.delete = false;
    config.retention_bytes_max = Some(0);
    let place = Place::new(config);
    let mut log = hourly(&place, 4);
    let end = log.log_end_offset();
    assert!(expire(&mut log, end, NOW).is_none());
    log.advance_log_start(Offset(95));
    let _ = expire(&mut log, end, NOW).unwrap();
    assert_eq!(place.bases(), [80, 120]);
    assert_eq!(log.log_start_offset(), Offset(95), "it stays where it was");
}

#[test]
fn snapshots_and_epochs_of_what_went_go_as_well() {
    let place = Place::new(LogConfig {
        retention_bytes_max: Some(0),
        ..config()
    });
    let mut log = place.open(Left::Closed);
    for sequence in 0..3 {
        append(&mut log, idempotent(7, 0, sequence * 40, 40)).unwrap();
        log.begin_leader_epoch(LeaderEpoch(sequence + 1));
        let write = log.start_roll(NOW).unwrap();
        let written = run(write.run());
        log.finish_write(written, &mut Vec::new());
    }
    let end = log.log_end_offset();
    let removal = expire(&mut log, end, NOW).unwrap();
    let files = || crate::leftovers::list(&place.directory).unwrap();
    let snapshots = |stage| {
        let found = files().into_iter().filter(move |f| f.stage == stage);
        let mut found: Vec<i64> = found
            .filter(|f| f.kind == Kind::Snapshot)
            .map(|f| f.base_offset.0)
            .collect();
        found.sort_unstable();
        found
    };
    assert_eq!(snapshots(Stage::Settled), [120]);
    assert_eq!(snapshots(Stage::Deleted(0)), [40, 80]);
    removal.run_blocking();
    assert!(files().iter().all(|f| f.stage == Stage::Settled));
    assert_eq!(log.epoch_of(end), Some(LeaderEpoch(3)));
    assert_eq!(log.epoch_of(Offset(0)), None);
}

#[test]
fn a_read_that_began_before_goes_on() {
    let place = Place::new(LogConfig {
        retention_bytes_max: Some(0),
        ..config()
    });
    hourly(&place, 4).close().unwrap();
    let log = place.open(Left::Closed);
    let from = ReadFrom {
        offset: Offset(40),
        upper_bound: log.log_end_offset(),
        bytes_max: 10_000,
        min_one_batch: true,
    };
    let whole = read(&log, from);
    let end = log.log_end_offset();
    drop(log);
    // Nothing is open yet.
    let mut log = place.open(Left::Closed);
    let begun = log.read(from).unwrap();
    let removal = expire(&mut log, end, NOW).unwrap();
    assert!(log.read(from).is_err(), "it is below the log's start");
    let slice = run(begun.run()).unwrap();
    assert_eq!(run(slice.bytes()).unwrap().to_vec(), whole);
    removal.run_blocking();
}

#[test]
fn segments_are_found_by_the_time_they_were_changed() {
    let place = Place::new(config());
    let mut log = hourly(&place, 3);
    for (base, hours) in [(0, 1), (40, 2), (80, 3)] {
        let mut options = std::fs::File::options();
        let file = options
            .append(true)
            .open(place.path(base, Kind::Log))
            .unwrap();
        let since = std::time::Duration::from_millis((NOW.0 + hours * HOUR_MS) as u64);
        file.set_modified(std::time::UNIX_EPOCH + since).unwrap();
    }
    let now = TimestampMs(NOW.0 + 9 * HOUR_MS);
    let ask = |log: &Log, query, count_max| {
        let found = log.segment_offsets().run_blocking(query, now, count_max);
        found
            .unwrap()
            .into_iter()
            .map(|offset| offset.0)
            .collect::<Vec<_>>()
    };
    let at = |hours: i64| OffsetQuery::At(TimestampMs(NOW.0 + hours * HOUR_MS));
    assert_eq!(ask(&log, OffsetQuery::Latest, 9), [120, 80, 40, 0]);
    assert_eq!(ask(&log, OffsetQuery::Latest, 2), [120, 80]);
    assert_eq!(ask(&log, OffsetQuery::Earliest, 9), [0]);
    assert_eq!(ask(&log, at(2), 9), [40, 0]);
    assert_eq!(ask(&log, at(9), 1), [120]);
    assert!(ask(&log, at(0), 9).is_empty());
    log.advance_log_start(Offset(45));
    assert_eq!(ask(&log, at(2), 9), [45, 45]);
}
