//! Failing writes: nothing half-done stays, nothing is acknowledged, and the log goes on where it
//! can.

use super::*;
use crate::fault::{self, Fault, Strike};
use protocol::error::ErrorCode;
use rustix::io::Errno;

fn no_space(bytes_written: usize) -> Fault {
    Fault {
        bytes_written,
        errno: Errno::NOSPC.raw_os_error(),
        truncate_errno: None,
    }
}

fn length(place: &Place) -> u64 {
    std::fs::metadata(place.path(0, Kind::Log)).unwrap().len()
}

#[test]
fn a_full_disk_undoes_the_write_and_the_next_one_tries_again() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    append(&mut log, idempotent(1, 0, 0, 2)).unwrap();
    let before = length(&place);
    let sent = || {
        [
            idempotent(1, 0, 2, 2),
            idempotent(1, 0, 4, 2),
            idempotent(1, 0, 2, 2),
        ]
        .map(of_client)
    };
    for bytes_written in [0, 5, 100, 200] {
        fault::inject(no_space(bytes_written));
        let results = append_all(&mut log, sent());
        for result in results {
            let error = result.unwrap_err();
            assert!(matches!(error, AppendError::WriteFailed(_)), "{error:?}");
            assert_eq!(error.code(), ErrorCode::KafkaStorageError);
        }
        assert_eq!(length(&place), before, "cut back");
        assert_eq!(log.log_end_offset(), Offset(2));
        assert!(!log.is_offline());
    }
    fault::inject(no_space(10));
    let mixed = [idempotent(1, 0, 0, 2), idempotent(1, 0, 2, 2)].map(of_client);
    let results = append_all(&mut log, mixed);
    assert!(
        results[0].as_ref().unwrap().duplicate,
        "stored before, so it stays answered"
    );
    assert!(results[1].is_err());
    let results = append_all(&mut log, sent());
    let firsts: Vec<_> = results
        .iter()
        .map(|r| r.as_ref().unwrap().first_offset.0)
        .collect();
    assert_eq!(firsts, [2, 4, 2]);
    log.close().unwrap();
    verify_indexes(&place.directory);
    assert_eq!(offsets(&place.open(Left::Closed)), [(0, 1), (2, 3), (4, 5)]);
}

/// On this thread, whose disk is watched.
fn append_here(log: &mut Log) -> Result<Appended, AppendError> {
    log.enqueue(of_client(batch(1, 1)))?;
    let write = log.start_write(NOW).unwrap();
    let mut done = Vec::new();
    log.finish_write(write.run_blocking(), &mut done);
    done.pop().unwrap().1
}

#[test]
fn a_segment_that_may_not_be_made_leaves_the_old_one_in_use() {
    let config = LogConfig {
        index_interval_bytes: 1 << 20,
        ..small_segments()
    };
    let rolling = {
        let place = Place::new(config.clone());
        let mut log = place.open(Left::Closed);
        while log.segment_count() == 1 {
            append_here(&mut log).unwrap();
        }
        log.log_end_offset().0
    };
    // The first calls of the append that rolls: the old segment's ends, the new one's files.
    for at in 0..10 {
        let place = Place::new(config.clone());
        let mut log = place.open(Left::Closed);
        for _ in 1..rolling {
            append_here(&mut log).unwrap();
        }
        fault::watch(Some((at, Strike::Error(Errno::PERM.raw_os_error()))));
        let error = append_here(&mut log).expect_err("the call was struck");
        fault::unwatch();
        assert!(
            matches!(error, AppendError::WriteFailed(_)),
            "{at}: {error:?}"
        );
        assert!(!log.is_offline());
        assert_eq!(log.segment_count(), 1);
        assert_eq!(append_here(&mut log).unwrap().first_offset.0, rolling - 1);
        assert_eq!(log.segment_count(), 2);
        log.close().unwrap();
        verify_indexes(&place.directory);
        assert_eq!(offsets(&place.open(Left::Closed)).len() as i64, rolling);
    }
}

#[test]
fn an_io_error_or_a_failed_cut_takes_the_log_offline() {
    let faults = [
        Fault {
            bytes_written: 7,
            errno: Errno::IO.raw_os_error(),
            truncate_errno: None,
        },
        Fault {
            truncate_errno: Some(Errno::IO.raw_os_error()),
            ..no_space(7)
        },
    ];
    for fault in faults {
        let place = Place::new(LogConfig::default());
        let mut log = place.open(Left::Closed);
        append(&mut log, batch(1, 1)).unwrap();
        fault::inject(fault);
        log.enqueue(of_client(batch(1, 2))).unwrap();
        let write = log.start_write(NOW).unwrap();
        log.enqueue(Append {
            token: 2,
            ..of_client(batch(1, 3))
        })
        .unwrap();
        let mut done = Vec::new();
        log.finish_write(run(write.run()), &mut done);
        assert!(log.is_offline());
        let write = log.start_write(NOW).expect("who waits is answered");
        log.finish_write(run(write.run()), &mut done);
        assert_eq!(
            done.iter().map(|(token, _)| *token).collect::<Vec<_>>(),
            [1, 2]
        );
        assert!(
            done.iter()
                .all(|(_, r)| matches!(r, Err(AppendError::Offline(_)))),
            "{done:?}"
        );
        let refused = log.enqueue(of_client(batch(1, 4)));
        assert!(matches!(refused, Err(AppendError::Offline(_))));
        assert_eq!(offsets(&log), [(0, 0)], "what is there can be read");
        assert!(log.start_flush(crate::FlushTo::LogEnd).is_none());
        assert!(log.close().is_err(), "its directory is not clean");
        let log = place.open(Left::Crashed {
            recovery_point: Offset(0),
        });
        assert_eq!(offsets(&log), [(0, 0)]);
    }
}

#[test]
fn a_segment_that_cannot_be_made_leaves_the_old_one_in_use() {
    let place = Place::new(small_segments());
    let mut log = place.open(Left::Closed);
    let mut at = 0;
    while log.segment_count() < 3 {
        append(&mut log, idempotent(1, 0, at, 1)).unwrap();
        at += 1;
    }
    // Nothing can be made in a directory that is not there.
    let moved = place.directory.with_file_name("elsewhere");
    std::fs::rename(&place.directory, &moved).unwrap();
    let segments = log.segment_count();
    let mut failed = None;
    for _ in 0..40 {
        match append(&mut log, idempotent(1, 0, at, 1)) {
            Ok(_) => at += 1,
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    assert!(
        matches!(failed, Some(AppendError::Offline(_))),
        "{failed:?}"
    );
    assert_eq!(
        (log.segment_count(), log.log_end_offset()),
        (segments, Offset(at.into()))
    );
}

#[test]
fn a_failure_in_one_log_takes_every_log_of_its_directory_offline() {
    let health = Arc::new(crate::DirectoryHealth::default());
    let places = [(); 2].map(|()| Place::new(LogConfig::default()));
    let [mut failing, mut other] = places.each_ref().map(|place| Log {
        health: health.clone(),
        ..place.open(Left::Closed)
    });
    append(&mut other, batch(1, 1)).unwrap();
    let flush = other.start_flush(crate::FlushTo::LogEnd).unwrap();
    other.enqueue(of_client(batch(1, 2))).unwrap();
    let write = other.start_write(NOW).unwrap();
    fault::inject(Fault {
        bytes_written: 0,
        errno: Errno::IO.raw_os_error(),
        truncate_errno: None,
    });
    assert!(append(&mut failing, batch(1, 1)).is_err());
    let flushed = run(flush.run());
    assert!(matches!(
        other.finish_flush(flushed),
        Err(AppendError::Offline(_))
    ));
    assert_eq!(
        other.recovery_point(),
        Offset(0),
        "the sync is not believed"
    );
    let mut done = Vec::new();
    other.finish_write(run(write.run()), &mut done);
    assert!(
        matches!(done[..], [(1, Err(AppendError::Offline(_)))]),
        "what was under way is not acknowledged: {done:?}"
    );
    assert!(other.enqueue(of_client(batch(1, 3))).is_err());
    assert_eq!((other.flush_due(), other.is_offline()), (None, true));
    assert!(other.close().is_err());
}

#[test]
fn writes_go_on_while_a_flush_runs_and_the_next_flush_covers_them() {
    let place = Place::new(LogConfig {
        flush_records: 1,
        ..LogConfig::default()
    });
    let mut log = place.open(Left::Closed);
    append(&mut log, batch(2, 1)).unwrap();
    assert_eq!(log.flush_due(), Some(crate::FlushTo::LogEnd));
    let first = log.start_flush(crate::FlushTo::LogEnd).unwrap();
    assert_eq!(log.flush_due(), None, "the flush in flight reaches the end");
    append(&mut log, batch(3, 1)).unwrap();
    assert_eq!(log.flush_due(), Some(crate::FlushTo::LogEnd));
    assert!(
        log.start_flush(crate::FlushTo::LogEnd).is_none(),
        "one at a time"
    );
    let flushed = run(first.run());
    log.finish_flush(flushed).unwrap();
    assert_eq!(log.recovery_point(), Offset(2));
    let second = log.start_flush(crate::FlushTo::LogEnd).unwrap();
    let flushed = run(second.run());
    log.finish_flush(flushed).unwrap();
    assert_eq!((log.recovery_point(), log.flush_due()), (Offset(5), None));
}
