//! Records taken back from the end.

use super::*;
use crate::offset_lookup::OffsetQuery;

fn filled(place: &Place) -> Log {
    let mut log = place.open(Left::Closed);
    for at in 0..60 {
        let append = Append {
            leader_epoch: LeaderEpoch(at / 7),
            ..of_client(batch(3, 1000 + i64::from(at)))
        };
        append_all(&mut log, [append]).pop().unwrap().unwrap();
    }
    log
}

#[test]
fn every_target_is_cut_to_its_batch_and_the_log_goes_on_there() {
    for target in (0..180).step_by(7) {
        let place = Place::new(small_segments());
        let mut log = filled(&place);
        let removals = log.truncate_to(Offset(target), NOW).unwrap();
        assert_eq!(log.log_end_offset(), Offset(target));
        let whole = target / 3;
        let expected: Vec<_> = (0..whole).map(|at| (at * 3, at * 3 + 2)).collect();
        assert_eq!(offsets(&log), expected);
        assert!(
            log.epoch_entries()
                .iter()
                .all(|e| e.start_offset < Offset(target))
        );
        let latest = run(log.offset_for_timestamp(OffsetQuery::MaxTimestamp).run()).unwrap();
        assert_eq!(
            latest.map(|f| f.timestamp.0),
            (whole > 0).then_some(999 + whole),
            "{target}"
        );
        removals
            .into_iter()
            .for_each(|removal| removal.run_blocking());
        let deleted = crate::leftovers::list(&place.directory).unwrap();
        assert!(deleted.iter().all(|f| f.stage == Stage::Settled));
        let appended = append(&mut log, batch(3, 2000)).unwrap();
        assert_eq!(appended.first_offset, Offset(target));
        for at in 0..20 {
            append(&mut log, batch(3, 2001 + at)).unwrap();
        }
        let read = offsets(&log);
        assert_eq!(read.len() as i64, whole + 21);
        log.close().unwrap();
        verify_indexes(&place.directory);
        assert_eq!(offsets(&place.open(Left::Closed)), read);
    }
}

#[test]
fn a_target_beyond_the_end_only_drops_epochs_that_have_no_records() {
    let place = Place::new(small_segments());
    let mut log = filled(&place);
    log.begin_leader_epoch(LeaderEpoch(50));
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(50)));
    assert!(log.truncate_to(Offset(500), NOW).unwrap().is_empty());
    assert_eq!(log.log_end_offset(), Offset(180));
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(8)));
}

#[test]
fn a_log_begins_anew_elsewhere() {
    let place = Place::new(small_segments());
    let mut log = filled(&place);
    append(&mut log, idempotent(1, 0, 0, 1)).unwrap();
    for start in [1000, 1000, 5] {
        let removals = log.truncate_fully_and_start_at(Offset(start), NOW).unwrap();
        removals
            .into_iter()
            .for_each(|removal| removal.run_blocking());
        assert_eq!(
            (log.log_start_offset(), log.log_end_offset()),
            (Offset(start), Offset(start))
        );
        assert_eq!(place.bases(), [start]);
        assert_eq!((log.producer_count(), log.latest_epoch()), (0, None));
        assert_eq!(
            append(&mut log, batch(2, 1)).unwrap().first_offset,
            Offset(start)
        );
        assert_eq!(offsets(&log), [(start, start + 1)]);
    }
    drop(log);
    let log = place.open(Left::Crashed {
        recovery_point: Offset(0),
    });
    assert_eq!(offsets(&log), [(5, 6)]);
}

#[test]
fn a_target_before_the_first_segment_begins_anew_there() {
    let place = Place::new(small_segments());
    let mut log = place.open_from(Left::Closed, Offset(100));
    append(&mut log, batch(2, 1)).unwrap();
    let _ = log.truncate_to(Offset(40), NOW).unwrap();
    assert_eq!(
        (log.log_start_offset(), log.log_end_offset()),
        (Offset(40), Offset(40))
    );
}

#[test]
fn producers_are_as_they_were_at_the_target() {
    let place = Place::new(small_segments());
    let mut log = place.open(Left::Closed);
    for at in 0..60 {
        append(&mut log, idempotent(1, 0, at, 1)).unwrap();
    }
    for at in 0..5 {
        append(&mut log, idempotent(2, 0, at, 1)).unwrap();
    }
    let _ = log.truncate_to(Offset(50), NOW).unwrap();
    assert_eq!(log.producer_count(), 1);
    assert!(append(&mut log, idempotent(1, 0, 51, 1)).is_err());
    assert!(append(&mut log, idempotent(1, 0, 49, 1)).unwrap().duplicate);
    assert_eq!(
        append(&mut log, idempotent(1, 0, 50, 1))
            .unwrap()
            .first_offset,
        Offset(50)
    );
}

/// The same names are given up three times within the delay, by truncation and by retention; who
/// began to read a segment reads that one, also when files of its name were removed before.
#[test]
fn a_name_that_is_given_up_again_neither_replaces_the_first_nor_goes_with_it() {
    let place = Place::new(small_segments());
    let mut log = place.open(Left::Closed);
    let mut reads = Vec::new();
    let mut removals = Vec::new();
    for generation in 0..3 {
        for at in 0..30 {
            append(&mut log, batch(3, 1000 * (generation + 1) + at)).unwrap();
        }
        let base = log.segments.sealed[1].base_offset;
        let from = |upper_bound: Offset| ReadFrom {
            offset: base,
            upper_bound,
            bytes_max: 1,
            min_one_batch: true,
        };
        // Its file was not opened yet, and the read of the end needs the index, too.
        log.segments.sealed[1].close_files();
        reads.push(log.read(from(base + 3)).unwrap());
        removals.extend(log.truncate_to(Offset(6), NOW).unwrap());
    }
    let deleted = || {
        let files = crate::leftovers::list(&place.directory).unwrap();
        files
            .iter()
            .filter(|f| matches!(f.stage, Stage::Deleted(_)))
            .count()
    };
    let waiting = deleted();
    assert_eq!(waiting % 3, 0, "each generation is there");
    for (generation, read) in (1..).zip(reads) {
        let slice = run(read.run()).unwrap();
        let bytes = run(slice.bytes()).unwrap();
        let timestamp = Batches::new(&bytes).next().unwrap().unwrap();
        let timestamp = timestamp.header.max_timestamp.0;
        assert_eq!(timestamp / 1000, generation, "{timestamp}");
        let before = deleted();
        removals.remove(0).run_blocking();
        assert_eq!(before - deleted(), waiting / 3);
    }
    assert_eq!(deleted(), 0);
}
