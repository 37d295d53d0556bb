//! Idempotent and transactional producers: through writes, restarts and truncations.

use super::*;
use protocol::batch::control::{EndMarker, TransactionResult};
use protocol::error::ErrorCode;

fn crash() -> Left {
    Left::Crashed {
        recovery_point: Offset(0),
    }
}

pub(super) fn marker(producer: i64, result: TransactionResult) -> Append {
    let marker = EndMarker {
        result,
        coordinator_epoch: 1,
    };
    let batches = marker.batch(ProducerId(producer), ProducerEpoch(0), NOW);
    Append {
        origin: Origin::Coordinator,
        ..of_client(batches.into())
    }
}

pub(super) fn transactional(producer: i64, sequence: i32, origin: Origin) -> Append {
    let options = BatchOptions {
        producer_id: ProducerId(producer),
        producer_epoch: ProducerEpoch(0),
        base_sequence: sequence,
        transactional: true,
        ..BatchOptions::default()
    };
    Append {
        origin,
        ..of_client(batch_with(1, NOW.0, options))
    }
}

#[test]
fn duplicates_are_answered_with_what_was_stored() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    let originals: Vec<_> = (0..6)
        .map(|at| append(&mut log, idempotent(7, 0, at * 3, 3)).unwrap())
        .collect();
    for at in 1..6 {
        let again = append(&mut log, idempotent(7, 0, at * 3, 3)).unwrap();
        let original = originals[at as usize];
        assert!(again.duplicate && !original.duplicate);
        assert_eq!(again.first_offset, original.first_offset);
        assert_eq!(again.last_offset, original.last_offset);
        assert_eq!(again.log_append_time, NOW);
    }
    let forgotten = append(&mut log, idempotent(7, 0, 0, 3)).unwrap_err();
    assert_eq!(forgotten.code(), ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(log.log_end_offset(), Offset(18));
}

#[test]
fn a_duplicate_in_the_same_write_gets_the_same_offsets() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    let sent = [
        idempotent(1, 0, 0, 2),
        idempotent(1, 0, 0, 2),
        idempotent(1, 0, 2, 1),
    ];
    let results = append_all(&mut log, sent.map(of_client));
    let firsts: Vec<_> = results
        .iter()
        .map(|r| r.as_ref().unwrap().first_offset.0)
        .collect();
    assert_eq!(firsts, [0, 0, 2]);
    assert_eq!(log.log_end_offset(), Offset(3));
}

#[test]
fn gaps_and_old_epochs_are_refused_and_do_no_harm_to_others() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    let results = append_all(
        &mut log,
        [
            idempotent(1, 5, 10, 1),
            idempotent(1, 5, 12, 1),
            idempotent(2, 0, 0, 1),
            idempotent(1, 4, 11, 1),
            idempotent(1, 6, 11, 1),
            idempotent(1, 5, 11, 1),
            idempotent(1, 6, 0, 1),
            idempotent(1, 5, 12, 1),
        ]
        .map(of_client),
    );
    let codes: Vec<_> = results
        .iter()
        .map(|r| r.as_ref().err().map(AppendError::code))
        .collect();
    let (order, epoch) = (
        ErrorCode::OutOfOrderSequenceNumber,
        ErrorCode::InvalidProducerEpoch,
    );
    assert_eq!(
        codes,
        [
            None,
            Some(order),
            None,
            Some(epoch),
            Some(order),
            None,
            None,
            Some(epoch)
        ]
    );
    assert_eq!(log.log_end_offset(), Offset(4));
}

#[test]
fn producers_outlive_restarts_clean_and_unclean() {
    for left in [Left::Closed, crash()] {
        let place = Place::new(small_segments());
        let mut log = place.open(Left::Closed);
        for at in 0..60 {
            append(&mut log, idempotent(7, 0, at * 2, 2)).unwrap();
        }
        assert!(log.segment_count() > 2);
        if left == Left::Closed {
            log.close().unwrap();
        } else {
            drop(log);
        }
        let mut log = place.open(left);
        assert_eq!(log.producer_count(), 1);
        assert!(
            append(&mut log, idempotent(7, 0, 118, 2))
                .unwrap()
                .duplicate
        );
        let gap = append(&mut log, idempotent(7, 0, 121, 1)).unwrap_err();
        assert_eq!(gap.code(), ErrorCode::OutOfOrderSequenceNumber);
        assert!(
            !append(&mut log, idempotent(7, 0, 120, 2))
                .unwrap()
                .duplicate
        );
    }
}

#[test]
fn snapshots_are_kept_at_segments_and_at_the_end() {
    let place = Place::new(small_segments());
    let mut log = place.open(Left::Closed);
    for at in 0..60 {
        append(&mut log, idempotent(7, 0, at, 1)).unwrap();
    }
    let snapshots = || {
        let files = crate::leftovers::list(&place.directory).unwrap();
        let mut at: Vec<i64> = files
            .iter()
            .filter(|f| f.kind == Kind::Snapshot)
            .map(|f| f.base_offset.0)
            .collect();
        at.sort_unstable();
        at
    };
    assert_eq!(
        snapshots(),
        place.bases()[1..],
        "one where each segment begins"
    );
    log.close().unwrap();
    let closed: Vec<i64> = place.bases()[1..].iter().copied().chain([60]).collect();
    assert_eq!(snapshots(), closed);
    for offset in [1, 59] {
        std::fs::write(place.path(offset, Kind::Snapshot), b"stray").unwrap();
    }
    place.open(Left::Closed);
    assert_eq!(snapshots(), closed, "strays are gone");
}

#[test]
fn a_damaged_snapshot_is_passed_over() {
    let place = Place::new(small_segments());
    let mut log = place.open(Left::Closed);
    for at in 0..60 {
        append(&mut log, idempotent(7, 0, at, 1)).unwrap();
    }
    log.close().unwrap();
    for base in place.bases().iter().skip(2).copied().chain([60]) {
        std::fs::write(place.path(base, Kind::Snapshot), b"not a snapshot").unwrap();
    }
    let mut log = place.open(Left::Closed);
    assert!(append(&mut log, idempotent(7, 0, 59, 1)).unwrap().duplicate);
    assert!(append(&mut log, idempotent(7, 0, 60, 1)).is_ok());
}

#[test]
fn silent_producers_are_forgotten() {
    let place = Place::new(LogConfig {
        producer_expiration_ms: 1000,
        ..LogConfig::default()
    });
    let mut log = place.open(Left::Closed);
    append(&mut log, idempotent(7, 0, 0, 1)).unwrap();
    log.expire_producers(NOW + 999);
    assert_eq!(log.producer_count(), 1);
    log.expire_producers(NOW + 1000);
    assert_eq!(log.producer_count(), 0);
    assert!(
        append(&mut log, idempotent(7, 0, 55, 1)).is_ok(),
        "a new one to the log"
    );
}

#[test]
fn a_transaction_must_be_verified_once_and_ends_with_its_marker() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    let mut send = |append| append_all(&mut log, [append]).pop().unwrap();
    let refused = send(transactional(5, 0, Origin::Client)).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidTxnState);
    send(transactional(5, 0, Origin::VerifiedClient)).unwrap();
    send(transactional(5, 1, Origin::Client)).unwrap();
    let outside = send(of_client(idempotent(5, 0, 2, 1))).unwrap_err();
    assert_eq!(outside.code(), ErrorCode::InvalidTxnState);
    send(marker(5, TransactionResult::Commit)).unwrap();
    let after = send(transactional(5, 2, Origin::Client)).unwrap_err();
    assert_eq!(after.code(), ErrorCode::InvalidTxnState);
}

#[test]
fn a_guard_is_void_once_the_producer_has_written_or_its_transaction_has_ended() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    let begin = |log: &mut Log| {
        let (id, epoch) = (ProducerId(5), ProducerEpoch(0));
        log.begin_verification(id, epoch, 0, NOW)
    };
    let stale = begin(&mut log).expect("it has not written");
    assert_eq!(
        begin(&mut log),
        Some(stale),
        "the same until something is written"
    );
    let send = |log: &mut Log, append| append_all(log, [append]).pop().unwrap();
    send(&mut log, marker(5, TransactionResult::Abort)).unwrap();
    let late = send(&mut log, transactional(5, 0, Origin::Guarded(stale)));
    assert_eq!(late.unwrap_err().code(), ErrorCode::InvalidTxnState);

    let guard = begin(&mut log).expect("it has still not written");
    assert_ne!(guard, stale);
    let in_one_write = [
        transactional(5, 0, Origin::Guarded(guard)),
        transactional(5, 1, Origin::Client),
        marker(5, TransactionResult::Commit),
        transactional(5, 2, Origin::Guarded(guard)),
    ];
    let outcomes = append_all(&mut log, in_one_write);
    assert!(outcomes[..3].iter().all(Result::is_ok), "{outcomes:?}");
    let late = outcomes[3].clone().unwrap_err();
    assert_eq!(
        late.code(),
        ErrorCode::InvalidTxnState,
        "the marker is between"
    );

    let guard = begin(&mut log).expect("the transaction has ended");
    send(&mut log, transactional(5, 2, Origin::Guarded(guard))).unwrap_err();
    assert_eq!(
        log.last_stable_offset(log.log_end_offset()),
        log.log_end_offset()
    );
}

#[test]
fn what_a_coordinator_writes_in_a_transaction_needs_it_open_or_a_guard() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    let send = |log: &mut Log, origin| {
        let append = transactional(5, 0, origin);
        append_all(log, [append]).pop().unwrap()
    };
    let unopened = send(&mut log, Origin::GuardedCoordinator(None));
    assert_eq!(unopened.unwrap_err().code(), ErrorCode::InvalidTxnState);
    let guard = log.begin_verification(ProducerId(5), ProducerEpoch(0), -1, NOW);
    assert!(guard.is_some());
    send(&mut log, Origin::GuardedCoordinator(guard)).unwrap();
    send(&mut log, Origin::GuardedCoordinator(None)).unwrap();
    append_all(&mut log, [marker(5, TransactionResult::Abort)]);
    for late in [guard, None] {
        let late = send(&mut log, Origin::GuardedCoordinator(late));
        assert_eq!(late.unwrap_err().code(), ErrorCode::InvalidTxnState);
    }
}

#[test]
fn a_batch_that_overtakes_an_unverified_one_waits_for_it() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    let begin = |log: &mut Log, epoch, sequence| {
        log.begin_verification(ProducerId(5), ProducerEpoch(epoch), sequence, NOW)
            .expect("it has not written")
    };
    let send = |log: &mut Log, append| append_all(log, [append]).pop().unwrap();
    begin(&mut log, 0, 4);
    begin(&mut log, 0, 3);
    let guard = begin(&mut log, 0, 4);
    let early = send(&mut log, transactional(5, 4, Origin::Guarded(guard)));
    let early = early.unwrap_err().code();
    assert_eq!(early, ErrorCode::OutOfOrderSequenceNumber);
    send(&mut log, transactional(5, 3, Origin::Guarded(guard))).unwrap();
    send(&mut log, transactional(5, 4, Origin::Guarded(guard))).unwrap();
}

#[test]
fn tools_are_told_of_every_producer() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    append_all(&mut log, [transactional(5, 0, Origin::VerifiedClient)]);
    append_all(&mut log, [transactional(6, 3, Origin::VerifiedClient)]);
    append_all(&mut log, [marker(5, TransactionResult::Commit)]);
    let mut active: Vec<_> = log.active_producers().collect();
    active.sort_by_key(|producer| producer.id);
    assert_eq!(active.len(), 2);
    assert_eq!(active[0].transaction_start, None);
    assert_eq!((active[0].id, active[0].last_sequence), (ProducerId(5), 0));
    assert!(active[0].coordinator_epoch >= 0);
    assert_eq!(active[1].transaction_start, Some(Offset(1)));
    assert_eq!((active[1].id, active[1].last_sequence), (ProducerId(6), 3));
    assert_eq!(active[1].coordinator_epoch, -1);
}

#[test]
fn the_last_stable_offset_follows_transactions_and_survives_restarts() {
    for left in [None, Some(Left::Closed), Some(crash())] {
        let place = Place::new(LogConfig::default());
        let mut log = place.open(Left::Closed);
        let plain = || of_client(batch(1, 1000));
        append_all(
            &mut log,
            [
                plain(),
                transactional(5, 0, Origin::VerifiedClient),
                plain(),
            ],
        );
        append_all(&mut log, [transactional(6, 0, Origin::VerifiedClient)]);
        append_all(&mut log, [marker(5, TransactionResult::Abort), plain()]);
        let stable = |log: &Log, mark| log.last_stable_offset(Offset(mark)).0;
        assert_eq!(stable(&log, 1), 1);
        assert_eq!(stable(&log, 4), 1, "the marker is not replicated");
        assert_eq!(stable(&log, 6), 3);
        if let Some(left) = left {
            if left == Left::Closed {
                log.close().unwrap();
            }
            log = place.open(left);
        }
        assert_eq!(stable(&log, 6), 3);
        append_all(&mut log, [marker(6, TransactionResult::Commit)]);
        log.on_high_watermark(Offset(6));
        assert_eq!(stable(&log, 6), 3);
        assert_eq!(stable(&log, 7), 7);
    }
}

/// Eight rounds of a transaction that is aborted and one that is not, over several segments.
fn with_aborted(place: &Place) -> Log {
    let mut log = place.open(Left::Closed);
    let plain = || of_client(batch(3, NOW.0));
    let origin = Origin::VerifiedClient;
    for round in 0..8 {
        append_all(
            &mut log,
            [plain(), transactional(5, round, origin), plain()],
        );
        append_all(&mut log, [transactional(6, round, origin), plain()]);
        append_all(&mut log, [marker(5, TransactionResult::Abort), plain()]);
        append_all(&mut log, [marker(6, TransactionResult::Commit), plain()]);
    }
    assert!(log.segment_count() > 5);
    log
}

fn aborted(log: &Log, from: i64, to: i64) -> Vec<(i64, i64)> {
    let found = run(log.aborted_transactions(Offset(from), Offset(to)).run()).unwrap();
    found
        .into_iter()
        .map(|a| (a.producer_id.0, a.first_offset.0))
        .collect()
}

fn txn_indexes(place: &Place) -> Vec<(i64, Vec<u8>)> {
    let listed = crate::leftovers::list(&place.directory).unwrap();
    let indexes = listed.into_iter().filter(|f| f.kind == Kind::TxnIndex);
    let content = |f: FileName| std::fs::read(f.within(&place.directory)).unwrap();
    let mut files: Vec<_> = indexes.map(|f| (f.base_offset.0, content(f))).collect();
    files.sort();
    files
}

#[test]
fn aborted_transactions_are_indexed_as_kafka_does() {
    let place = Place::new(LogConfig {
        segment_bytes_max: 700,
        ..small_segments()
    });
    let log = with_aborted(&place);
    let end = log.log_end_offset().0;
    let round = end / 8;
    let expected: Vec<_> = (0..8).map(|at| (5, at * round + 3)).collect();
    assert_eq!(aborted(&log, 0, end), expected);
    assert_eq!(aborted(&log, round * 2, round * 3), expected[2..3]);
    assert_eq!(
        aborted(&log, round * 2 + 12, round * 3),
        [],
        "it has ended before"
    );
    // Version, producer, first offset, the marker's offset, last stable offset after it.
    let numbers = [5i64, 3, 11, 7].into_iter().flat_map(i64::to_be_bytes);
    let entry: Vec<u8> = [0u8, 0].into_iter().chain(numbers).collect();
    assert!(txn_indexes(&place)[0].1.starts_with(&entry));
}

#[test]
fn the_index_of_aborted_transactions_survives_restarts_and_truncations() {
    let place = Place::new(LogConfig {
        segment_bytes_max: 700,
        ..small_segments()
    });
    let log = with_aborted(&place);
    let end = log.log_end_offset().0;
    let expected = aborted(&log, 0, end);
    let written = txn_indexes(&place);
    log.close().unwrap();
    let log = place.open(Left::Closed);
    assert_eq!(aborted(&log, 0, end), expected);
    drop(log);
    for (base, _) in &written {
        std::fs::write(place.path(*base, Kind::TxnIndex), b"rubbish").unwrap();
    }
    let mut log = place.open(crash());
    assert_eq!(txn_indexes(&place), written, "made anew");
    assert_eq!(aborted(&log, 0, end), expected);
    let _ = log.truncate_to(Offset(end / 2), NOW).unwrap();
    assert_eq!(aborted(&log, 0, end), expected[..4]);
}
