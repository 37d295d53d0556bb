//! What is accepted, what is refused, and what is on disk afterwards.

use super::*;
use crate::config::{Cleanup, TimestampType, Validation};
use crate::pieces::copied_bytes;
use protocol::batch::{Compression, TimestampType as BatchTimestampType};
use protocol::error::ErrorCode;

fn code(result: &Result<Appended, AppendError>) -> ErrorCode {
    result.as_ref().unwrap_err().code()
}

#[test]
fn offsets_and_epochs_are_stamped_and_nothing_else_is_touched() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    // One write: of small batches, which are copied side by side, and of one that is not.
    let sent = [batch(3, 100), batch(500, 150), batch(2, 200), batch(1, 250)];
    let is_copied = sent.each_ref().map(|b| copied_bytes(b.len()) == b.len());
    assert_eq!(is_copied, [true, false, true, true]);
    let appends = sent.clone().map(|batch| Append {
        leader_epoch: LeaderEpoch(7),
        ..of_client(batch)
    });
    let results = append_all(&mut log, appends);
    let expected = [(0, 2), (3, 502), (503, 504), (505, 505)].map(|(first, last)| {
        Ok(Appended {
            first_offset: Offset(first),
            last_offset: Offset(last),
            log_append_time: TimestampMs::NONE,
            log_start_offset: Offset(0),
            duplicate: false,
        })
    });
    assert_eq!(results, expected);
    let stored = std::fs::read(place.path(0, Kind::Log)).unwrap();
    let mut rest = &stored[..];
    for (sent, base) in sent.iter().zip([0i64, 3, 503, 505]) {
        assert_eq!(rest[..8], base.to_be_bytes());
        assert_eq!(rest[8..12], sent[8..12]);
        assert_eq!(rest[12..16], 7i32.to_be_bytes());
        assert_eq!(rest[16..sent.len()], sent[16..]);
        rest = &rest[sent.len()..];
    }
    assert!(rest.is_empty());
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(7)));
    let checkpoint = std::fs::read_to_string(place.directory.join("leader-epoch-checkpoint"));
    assert_eq!(
        checkpoint.unwrap(),
        "0\n1\n7 0\n",
        "written before the batches"
    );
}

fn assert_refused(cases: impl IntoIterator<Item = (Bytes, ErrorCode)>) {
    let place = Place::new(LogConfig {
        batch_bytes_max: 500,
        ..LogConfig::default()
    });
    let mut log = place.open(Left::Closed);
    for (at, (bytes, expected)) in cases.into_iter().enumerate() {
        assert_eq!(code(&append(&mut log, bytes)), expected, "case {at}");
    }
    assert_eq!(log.log_end_offset(), Offset(0));
    assert_eq!(
        std::fs::metadata(place.path(0, Kind::Log)).unwrap().len(),
        0
    );
}

#[test]
fn damaged_batches_are_refused() {
    let good = batch(2, 100);
    let changed = |at: usize, bytes: &[u8]| {
        let mut changed = good.to_vec();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        Bytes::from(changed)
    };
    let resealed = |at: usize, bytes: &[u8]| {
        let mut sealed = changed(at, bytes).to_vec();
        let crc = protocol::checksum::crc32c(&sealed[21..]);
        sealed[17..21].copy_from_slice(&crc.to_be_bytes());
        Bytes::from(sealed)
    };
    assert_refused([
        (Bytes::new(), ErrorCode::InvalidRecord),
        (changed(0, &9i64.to_be_bytes()), ErrorCode::InvalidRecord),
        (changed(16, &[1]), ErrorCode::CorruptMessage),
        (changed(16, &[9]), ErrorCode::CorruptMessage),
        (changed(17, &[1, 2, 3, 4]), ErrorCode::CorruptMessage),
        (good.slice(..good.len() - 1), ErrorCode::CorruptMessage),
        (good.slice(..30), ErrorCode::CorruptMessage),
        (changed(8, &3i32.to_be_bytes()), ErrorCode::CorruptMessage),
        (changed(23, &7i32.to_be_bytes()), ErrorCode::CorruptMessage),
        (changed(57, &7i32.to_be_bytes()), ErrorCode::CorruptMessage),
        (resealed(57, &7i32.to_be_bytes()), ErrorCode::InvalidRecord),
        (resealed(57, &1i32.to_be_bytes()), ErrorCode::InvalidRecord),
        (
            Bytes::from([&good[..], &good[..]].concat()),
            ErrorCode::InvalidRecord,
        ),
    ]);
}

#[test]
fn what_a_client_may_not_send_is_refused() {
    let plain = BatchOptions::default();
    let (producer_id, producer_epoch) = (ProducerId(1), ProducerEpoch(0));
    let producer = BatchOptions {
        producer_id,
        producer_epoch,
        ..plain
    };
    let cases = [
        (
            BatchOptions {
                control: true,
                ..plain
            },
            ErrorCode::InvalidRecord,
        ),
        (producer, ErrorCode::InvalidRecord),
        (
            BatchOptions {
                transactional: true,
                base_sequence: 0,
                ..producer
            },
            ErrorCode::InvalidTxnState,
        ),
        (
            BatchOptions {
                log_append_time: Some(TimestampMs::NONE),
                ..plain
            },
            ErrorCode::InvalidTimestamp,
        ),
    ];
    assert_refused(cases.map(|(options, code)| (batch_with(1, 100, options), code)));
    assert_refused([(batch(30, 100), ErrorCode::MessageTooLarge)]);
}

#[test]
fn a_record_set_larger_than_a_segment_is_refused() {
    let place = Place::new(LogConfig {
        segment_bytes_max: 300,
        ..LogConfig::default()
    });
    let mut log = place.open(Left::Closed);
    assert_eq!(
        code(&append(&mut log, batch(20, 1))),
        ErrorCode::RecordListTooLarge
    );
}

#[test]
fn timestamps_are_held_to_their_limits() {
    let config = LogConfig {
        timestamp_before_ms_max: 1000,
        timestamp_after_ms_max: 50,
        ..LogConfig::default()
    };
    let place = Place::new(config);
    let mut log = place.open(Left::Closed);
    for (distance, accepted) in [
        (0, true),
        (50, true),
        (51, false),
        (-1000, true),
        (-1001, false),
    ] {
        let result = append(&mut log, batch(1, NOW.0 + distance));
        assert_eq!(result.is_ok(), accepted, "{distance}: {result:?}");
        if !accepted {
            assert_eq!(code(&result), ErrorCode::InvalidTimestamp);
        }
    }
    assert!(
        append(&mut log, batch(1, -1)).is_ok(),
        "without a timestamp"
    );
}

#[test]
fn log_append_time_takes_the_place_of_the_producers() {
    let config = LogConfig {
        timestamp_type: TimestampType::LogAppendTime,
        ..LogConfig::default()
    };
    let place = Place::new(config);
    let mut log = place.open(Left::Closed);
    let options = BatchOptions {
        compression: Compression::Lz4,
        ..BatchOptions::default()
    };
    for bytes in [batch(3, 100), batch_with(3, 100, options)] {
        assert_eq!(append(&mut log, bytes).unwrap().log_append_time, NOW);
    }
    for stored in Batches::new(&read_bytes(&log, Offset(0), 10_000)) {
        let stored = stored.unwrap();
        stored.validate_relaxed().unwrap();
        assert_eq!(stored.header.max_timestamp, NOW);
        let kind = stored.header.attributes.timestamp_type();
        assert_eq!(kind, BatchTimestampType::LogAppendTime);
        stored.validate_strict(&mut Vec::new(), 10_000).unwrap();
    }
}

#[test]
fn a_compacted_topic_takes_no_record_without_a_key() {
    let cleanup = Cleanup {
        delete: false,
        compact: true,
    };
    let place = Place::new(LogConfig {
        cleanup,
        ..LogConfig::default()
    });
    let mut log = place.open(Left::Closed);
    for compression in Compression::ALL {
        let options = BatchOptions {
            compression,
            ..BatchOptions::default()
        };
        assert!(
            append(&mut log, batch_with(3, 100, options)).is_ok(),
            "{compression:?}"
        );
        let mut keyless = BatchBuilder::new(options);
        keyless.append(&NewRecord {
            key: Some(b"k"),
            ..NewRecord::default()
        });
        keyless.append(&NewRecord {
            value: Some(b"v"),
            ..NewRecord::default()
        });
        match append(&mut log, keyless.finish().into()) {
            Err(AppendError::InvalidRecords { errors }) => {
                assert_eq!(
                    errors.iter().map(|e| e.batch_index).collect::<Vec<_>>(),
                    [1]
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn validation_goes_as_deep_as_it_is_told() {
    let crc_at = 17;
    let wrong_crc = |bytes: &Bytes| {
        let mut bytes = bytes.to_vec();
        bytes[crc_at] ^= 1;
        Bytes::from(bytes)
    };
    // The second record's length is one too many; the CRC is right.
    let mut damaged = batch(2, 100).to_vec();
    let second = damaged.len() - (damaged.len() - 61) / 2;
    damaged[second] += 2;
    let crc = protocol::checksum::crc32c(&damaged[21..]);
    damaged[crc_at..crc_at + 4].copy_from_slice(&crc.to_be_bytes());
    let damaged = Bytes::from(damaged);
    for (validation, takes_wrong_crc, takes_damaged_record) in [
        (Validation::None, true, true),
        (Validation::Relaxed, false, true),
        (Validation::Strict, false, false),
    ] {
        let place = Place::new(LogConfig {
            validation,
            ..LogConfig::default()
        });
        let mut log = place.open(Left::Closed);
        assert_eq!(
            append(&mut log, wrong_crc(&batch(1, 1))).is_ok(),
            takes_wrong_crc
        );
        assert_eq!(
            append(&mut log, damaged.clone()).is_ok(),
            takes_damaged_record
        );
        assert!(append(&mut log, batch(5, 1)).is_ok());
    }
}

#[test]
fn segments_are_closed_by_size_and_by_their_records_age() {
    let config = LogConfig {
        segment_bytes_max: 1000,
        segment_age_ms_max: 500,
        index_interval_bytes: 100,
        ..LogConfig::default()
    };
    let place = Place::new(config);
    let mut log = place.open(Left::Closed);
    for at in 0..40 {
        append(&mut log, batch(2, 1000 + at)).unwrap();
    }
    let by_size = place.bases();
    assert!(by_size.len() > 4, "{by_size:?}");
    for base in &by_size {
        assert!(
            std::fs::metadata(place.path(*base, Kind::Log))
                .unwrap()
                .len()
                <= 1000
        );
    }
    append(&mut log, batch(1, 2000)).unwrap();
    assert_eq!(
        place.bases().last(),
        Some(&80),
        "the records are too far apart in time"
    );
    append(&mut log, batch(1, 2500)).unwrap();
    assert_eq!(place.bases().last(), Some(&80));
    log.close().unwrap();
    verify_indexes(&place.directory);
}

#[test]
fn a_segment_is_closed_when_its_index_is_full() {
    let config = LogConfig {
        index_bytes_max: 40,
        index_interval_bytes: 0,
        ..LogConfig::default()
    };
    let place = Place::new(config);
    let mut log = place.open(Left::Closed);
    append_all(&mut log, (0..50).map(|at| of_client(batch(1, at))))
        .iter()
        .for_each(|r| assert!(r.is_ok()));
    assert!(place.bases().len() > 10, "{:?}", place.bases());
    log.close().unwrap();
    verify_indexes(&place.directory);
    for base in place.bases() {
        assert!(
            std::fs::metadata(place.path(base, Kind::OffsetIndex))
                .unwrap()
                .len()
                <= 40
        );
        assert!(
            std::fs::metadata(place.path(base, Kind::TimeIndex))
                .unwrap()
                .len()
                <= 40
        );
    }
}

#[test]
fn a_followers_append_keeps_what_the_leader_wrote() {
    let leader = Place::new(small_segments());
    let mut log = leader.open(Left::Closed);
    for at in 0..30 {
        let append = Append {
            leader_epoch: LeaderEpoch(at / 10),
            ..of_client(batch(3, at.into()))
        };
        append_all(&mut log, [append]);
    }
    let follower = Place::new(LogConfig {
        segment_bytes_max: 3000,
        ..small_segments()
    });
    let mut copy = follower.open(Left::Closed);
    while copy.log_end_offset() < log.log_end_offset() {
        let fetched = read_bytes(&log, copy.log_end_offset(), 700);
        let whole: usize = Batches::new(&fetched)
            .map_while(Result::ok)
            .map(|b| b.bytes.len())
            .sum();
        let batches = Bytes::from(fetched).slice(..whole);
        let origin = Origin::Leader;
        let append = Append {
            token: 0,
            batches,
            leader_epoch: LeaderEpoch(9),
            origin,
        };
        append_all(&mut copy, [append]).pop().unwrap().unwrap();
    }
    assert_eq!(offsets(&copy), offsets(&log));
    assert_eq!(copy.epochs, log.epochs);
    let again = read_bytes(&log, Offset(0), 1);
    let append = Append {
        origin: Origin::Leader,
        ..of_client(again.into())
    };
    let refused = append_all(&mut copy, [append]).pop().unwrap();
    assert!(
        matches!(refused, Err(AppendError::UnexpectedOffset { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_follower_takes_gaps_and_opens_a_segment_where_the_index_cannot_reach() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    let far = i64::from(i32::MAX) + 100;
    for base in [0, 50, far] {
        let options = BatchOptions {
            base_offset: Offset(base),
            ..BatchOptions::default()
        };
        let append = Append {
            origin: Origin::Leader,
            ..of_client(batch_with(2, 1, options))
        };
        append_all(&mut log, [append]).pop().unwrap().unwrap();
    }
    assert_eq!(place.bases(), [0, far]);
    assert_eq!(offsets(&log), [(0, 1), (50, 51), (far, far + 1)]);
    let in_gap = read_bytes(&log, Offset(20), 10_000);
    assert_eq!(in_gap[..8], 50i64.to_be_bytes());
    let behind_gap = read_bytes(&log, Offset(1000), 10_000);
    assert_eq!(
        behind_gap[..8],
        far.to_be_bytes(),
        "the next segment's first batch"
    );
}

#[test]
fn too_much_waiting_is_pushed_back() {
    let place = Place::new(LogConfig {
        queued_bytes_max: 400,
        ..LogConfig::default()
    });
    let mut log = place.open(Left::Closed);
    let one = batch(5, 1);
    assert!(one.len() < 300 && one.len() > 200);
    assert_eq!(log.enqueue(of_client(one.clone())), Ok(()));
    assert_eq!(
        log.enqueue(of_client(one.clone())),
        Err(AppendError::QueueFull)
    );
    assert_eq!(log.queued_bytes(), one.len());
    let write = log.start_write(NOW).unwrap();
    assert_eq!(log.queued_bytes(), 0);
    assert_eq!(
        log.enqueue(of_client(one)),
        Ok(()),
        "the write has taken its share"
    );
    assert!(log.start_write(NOW).is_none(), "one write at a time");
    let mut done = Vec::new();
    log.finish_write(run(write.run()), &mut done);
    assert_eq!(done.len(), 1);
}

#[test]
fn one_write_takes_all_that_waits_up_to_its_limit() {
    let place = Place::new(LogConfig {
        write_bytes_max: 1000,
        ..LogConfig::default()
    });
    let mut log = place.open(Left::Closed);
    let one = batch(5, 1);
    for token in 0..10 {
        log.enqueue(Append {
            token,
            ..of_client(one.clone())
        })
        .unwrap();
    }
    let mut per_write = Vec::new();
    while let Some(write) = log.start_write(NOW) {
        let mut done = Vec::new();
        log.finish_write(run(write.run()), &mut done);
        per_write.push(done.len());
    }
    assert_eq!(per_write, [4, 4, 2]);
    assert_eq!(log.log_end_offset(), Offset(50));
}

#[test]
fn blocking_appends_do_the_same() {
    let place = Place::new(small_segments());
    let mut log = place.open(Left::Closed);
    let raft = |batches| Append {
        origin: Origin::Raft,
        ..of_client(batches)
    };
    for at in 0..30 {
        let two = Bytes::from([batch(2, at), batch(3, at)].map(|b| b.to_vec()).concat());
        let done = log.append_now(raft(two), NOW).unwrap();
        assert_eq!(done.first_offset, Offset(at * 5));
        assert_eq!(done.last_offset, Offset(at * 5 + 4));
    }
    assert!(place.bases().len() > 2);
    let mut seen = Vec::new();
    log.replay(Offset(13), &mut |batch| {
        seen.push(batch.header.base_offset.0);
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(seen[..4], [12, 15, 17, 20]);
    assert_eq!(seen.last(), Some(&147));
    log.close().unwrap();
    verify_indexes(&place.directory);
}
