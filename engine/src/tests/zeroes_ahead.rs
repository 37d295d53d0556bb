//! The zeroes behind a log that is flushed a little at a time (`reserve`): there while its segment
//! is open, and never taken for anything else.

use super::*;
use crate::flush::FlushTo;

/// Appends and flushes, as `flush.messages=1` has it.
fn append_flushed(log: &mut Log, batches: usize) {
    for n in 0..batches {
        append(log, batch(2, n as i64)).unwrap();
        let flush = log.start_flush(FlushTo::LogEnd).unwrap();
        let flushed = run(flush.run());
        log.finish_flush(flushed).unwrap();
    }
}

fn length(place: &Place, base: i64) -> u64 {
    std::fs::metadata(place.path(base, Kind::Log))
        .unwrap()
        .len()
}

fn set_length(place: &Place, base: i64, bytes: u64) {
    let path = place.path(base, Kind::Log);
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(bytes).unwrap();
}

fn roll(log: &mut Log) {
    let write = log.start_roll(TimestampMs(1)).unwrap();
    let mut done = Vec::new();
    log.finish_write(run(write.run()), &mut done);
}

#[test]
fn closing_a_segment_cuts_them() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    append_flushed(&mut log, 5);
    let first = log.size_bytes();
    let bytes = std::fs::read(place.path(0, Kind::Log)).unwrap();
    let behind = &bytes[first as usize..];
    assert!(!behind.is_empty() && behind.iter().all(|byte| *byte == 0));
    assert_eq!(offsets(&log).len(), 5);
    roll(&mut log);
    assert_eq!(length(&place, 0), first);
    append_flushed(&mut log, 5);
    let second = log.size_bytes() - first;
    assert!(length(&place, 10) > second);
    log.close().unwrap();
    assert_eq!((length(&place, 0), length(&place, 10)), (first, second));
    let log = place.open(Left::Closed);
    assert_eq!(offsets(&log).len(), 10);
}

#[test]
fn a_crash_leaves_them_and_recovery_cuts_them() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    append_flushed(&mut log, 20);
    let (size, end) = (log.size_bytes(), log.log_end_offset());
    drop(log);
    for recovery_point in [Offset(0), Offset(7), end] {
        assert!(length(&place, 0) > size);
        let log = place.open(Left::Crashed { recovery_point });
        assert_eq!((log.log_end_offset(), length(&place, 0)), (end, size));
        assert_eq!(offsets(&log).len(), 20);
        set_length(&place, 0, size + 4000);
    }
}

#[test]
fn so_few_that_a_batch_may_begin_with_them_are_named_as_damage() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    append_flushed(&mut log, 3);
    let size = log.size_bytes();
    drop(log);
    let recovery_point = Offset(0);
    for (zeroes, named) in [(11, true), (12, false)] {
        set_length(&place, 0, size);
        set_length(&place, 0, size + zeroes);
        let (end, heard) = heard::during(|| {
            let log = place.open(Left::Crashed { recovery_point });
            log.log_end_offset()
        });
        assert_eq!((end, length(&place, 0)), (Offset(6), size));
        assert_eq!(heard.contains(".log"), named, "{zeroes}: {heard}");
    }
}

#[test]
fn zeroes_that_come_back_behind_a_closed_segment_cost_nothing() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    append_flushed(&mut log, 5);
    let (first, longer) = (log.size_bytes(), length(&place, 0));
    roll(&mut log);
    append_flushed(&mut log, 5);
    drop(log);
    // The cut of a closed segment is durable with the flush that follows; until then it may not be.
    set_length(&place, 0, longer);
    let recovery_point = Offset(0);
    let log = place.open(Left::Crashed { recovery_point });
    assert_eq!(length(&place, 0), first);
    assert_eq!(
        (log.log_end_offset(), offsets(&log).len()),
        (Offset(20), 10)
    );
}

#[test]
fn zeroes_in_place_of_a_closed_segments_batches_are_damage() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    append_flushed(&mut log, 4);
    let sound = log.size_bytes();
    append_flushed(&mut log, 1);
    let first = log.size_bytes();
    roll(&mut log);
    append_flushed(&mut log, 5);
    drop(log);
    set_length(&place, 0, sound);
    set_length(&place, 0, first);
    // One past the hole is no evidence that it is there by right.
    let recovery_point = Offset(10);
    let log = place.open(Left::Crashed { recovery_point });
    assert_eq!(log.log_end_offset(), Offset(8));
    assert_eq!(offsets(&log).len(), 4);
}
