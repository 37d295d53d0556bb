//! Where a read begins, and where it ends.

use super::*;
use crate::offset_lookup::{FoundOffset, OffsetQuery};
use crate::read::{Read, ReadError};
use protocol::batch::Compression;

/// Three batches of ten records in each of many small segments.
fn filled() -> (Place, Log) {
    let place = Place::new(LogConfig {
        segment_bytes_max: 1200,
        ..small_segments()
    });
    let mut log = place.open(Left::Closed);
    for at in 0..20 {
        append(&mut log, batch(10, 1000 + at * 10)).unwrap();
    }
    assert!(log.segment_count() > 5);
    (place, log)
}

fn first_offset(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.get(..8)?.try_into().unwrap()))
}

#[test]
fn every_offset_is_found_hot_and_cold() {
    let (place, log) = filled();
    log.close().unwrap();
    let mut log = place.open(Left::Closed);
    append(&mut log, batch(10, 5000)).unwrap();
    for offset in 0..210 {
        let bytes = read_bytes(&log, Offset(offset), 1);
        assert_eq!(first_offset(&bytes), Some(offset / 10 * 10));
        assert_eq!(
            Batches::new(&bytes).count(),
            1,
            "one batch though it is larger"
        );
    }
    assert!(read_bytes(&log, Offset(210), 100).is_empty());
}

#[test]
fn offsets_outside_the_log_are_refused() {
    let (_place, log) = filled();
    let (log_start, log_end) = (Offset(0), Offset(200));
    for offset in [Offset(-1), Offset(201)] {
        let from = ReadFrom {
            offset,
            upper_bound: log_end,
            bytes_max: 1,
            min_one_batch: true,
        };
        let refused = log.read(from).unwrap_err();
        assert_eq!(
            refused,
            ReadError::OffsetOutOfRange {
                offset,
                log_start,
                log_end
            }
        );
    }
}

#[test]
fn nothing_is_read_beyond_the_upper_bound() {
    let (place, log) = filled();
    log.close().unwrap();
    let mut log = place.open(Left::Closed);
    append(&mut log, batch(10, 5000)).unwrap();
    for upper in (0..=210).step_by(10) {
        for offset in 0..=210 {
            let from = ReadFrom {
                offset: Offset(offset),
                upper_bound: Offset(upper),
                bytes_max: 1 << 20,
                min_one_batch: true,
            };
            let bytes = read(&log, from);
            let last = Batches::new(&bytes)
                .last()
                .map(|b| b.unwrap().header.last_offset().0);
            if offset >= upper {
                assert_eq!(last, None, "{offset} {upper}");
            } else {
                assert_eq!(
                    first_offset(&bytes),
                    Some(offset / 10 * 10),
                    "{offset} {upper}"
                );
                assert!(last.unwrap() < upper, "{offset} {upper}: {last:?}");
            }
        }
    }
}

#[test]
fn the_byte_limit_holds_unless_one_batch_is_wanted() {
    let (_place, log) = filled();
    let size = read_bytes(&log, Offset(0), 1).len() as u32;
    for offset in [0, 195] {
        let from = |bytes_max, min_one_batch| ReadFrom {
            offset: Offset(offset),
            upper_bound: Offset(200),
            bytes_max,
            min_one_batch,
        };
        let slice = |from| run(log.read(from).unwrap().run()).unwrap();
        let short = slice(from(size - 1, false));
        assert_eq!((short.len, short.first_batch_incomplete), (size - 1, true));
        let one = slice(from(size - 1, true));
        assert_eq!((one.len, one.first_batch_incomplete), (size, false));
        let none = slice(from(0, false));
        assert_eq!((none.len, none.first_batch_incomplete), (0, false));
    }
    let hot = ReadFrom {
        offset: Offset(180),
        upper_bound: Offset(200),
        bytes_max: size + size / 2,
        min_one_batch: true,
    };
    match log.read(hot).unwrap() {
        Read::Ready(slice) => assert_eq!(slice.len, size, "hot reads end with a whole batch"),
        Read::Pending(_) => panic!("the log's end is answered from memory"),
    }
}

#[test]
fn a_reader_that_goes_on_is_answered_from_memory() {
    let place = Place::new(LogConfig {
        segment_bytes_max: 20_000,
        ..small_segments()
    });
    let mut log = place.open(Left::Closed);
    for at in 0..200 {
        append(&mut log, batch(10, 1000 + at)).unwrap();
    }
    log.close().unwrap();
    let mut log = place.open(Left::Closed);
    assert!(log.segment_count() > 2);
    let size = std::fs::read(place.path(0, Kind::Log)).unwrap()[11] as u32 + 256 + 12;
    let (mut next, mut ready, mut pending) = (0, 0, 0);
    while next < 2000 {
        let from = ReadFrom {
            offset: Offset(next),
            upper_bound: Offset(2000),
            bytes_max: 8 * size + 10,
            min_one_batch: true,
        };
        let read = log.read(from).unwrap();
        *(if matches!(read, Read::Ready(_)) {
            &mut ready
        } else {
            &mut pending
        }) += 1;
        let slice = run(read.run()).unwrap();
        let bytes = run(slice.bytes()).unwrap();
        assert_eq!(first_offset(&bytes), Some(next));
        next = Batches::new(&bytes)
            .map_while(Result::ok)
            .last()
            .unwrap()
            .header
            .next_offset()
            .0;
    }
    assert!(ready > pending, "{ready} {pending}");
    let _ = log.truncate_to(Offset(155), NOW).unwrap();
    append(&mut log, batch(3, 5000)).unwrap();
    assert_eq!(first_offset(&read_bytes(&log, Offset(155), 10)), Some(155));
}

#[test]
fn a_segment_s_files_may_go_while_a_read_holds_them() {
    let (place, log) = filled();
    let from = ReadFrom {
        offset: Offset(0),
        upper_bound: Offset(200),
        bytes_max: 100,
        min_one_batch: true,
    };
    let slice = run(log.read(from).unwrap().run()).unwrap();
    std::fs::remove_file(place.path(0, Kind::Log)).unwrap();
    assert_eq!(first_offset(&run(slice.bytes()).unwrap()), Some(0));
}

#[test]
fn a_damaged_index_is_made_anew_when_it_is_needed() {
    let (place, log) = filled();
    log.close().unwrap();
    for base in place.bases() {
        for kind in [Kind::OffsetIndex, Kind::TimeIndex] {
            let path = place.path(base, kind);
            let length = std::fs::metadata(&path).unwrap().len() as usize;
            std::fs::write(&path, vec![0; length.max(24)]).unwrap();
        }
    }
    let log = place.open(Left::Closed);
    for offset in 0..200 {
        assert_eq!(
            first_offset(&read_bytes(&log, Offset(offset), 1)),
            Some(offset / 10 * 10)
        );
    }
    let found = lookup(&log, OffsetQuery::At(TimestampMs(1055)));
    assert_eq!(found.map(|f| f.offset), Some(Offset(60)));
    log.close().unwrap();
    verify_indexes(&place.directory);
}

fn lookup(log: &Log, query: OffsetQuery) -> Option<FoundOffset> {
    run(log.offset_for_timestamp(query).run()).unwrap()
}

#[test]
fn offsets_are_found_by_time() {
    let (place, mut log) = filled();
    let found = |timestamp, offset| {
        Some(FoundOffset {
            timestamp: TimestampMs(timestamp),
            offset: Offset(offset),
            leader_epoch: LeaderEpoch(0),
        })
    };
    let at = |time| OffsetQuery::At(TimestampMs(time));
    for reopened in [false, true] {
        if reopened {
            log.close().unwrap();
            log = place.open(Left::Closed);
        }
        assert_eq!(lookup(&log, OffsetQuery::Earliest), found(-1, 0));
        assert_eq!(lookup(&log, OffsetQuery::EarliestLocal), found(-1, 0));
        assert_eq!(lookup(&log, OffsetQuery::Latest), found(-1, 200));
        assert_eq!(
            lookup(&log, OffsetQuery::LatestTiered).unwrap().offset,
            Offset(-1)
        );
        assert_eq!(lookup(&log, OffsetQuery::MaxTimestamp), found(1190, 190));
        assert_eq!(lookup(&log, at(0)), found(1000, 0));
        for step in 0..20 {
            assert_eq!(
                lookup(&log, at(1000 + step * 10)),
                found(1000 + step * 10, step * 10)
            );
            let next = if step < 19 {
                found(1010 + step * 10, step * 10 + 10)
            } else {
                None
            };
            assert_eq!(lookup(&log, at(1001 + step * 10)), next);
        }
    }
}

#[test]
fn the_record_is_found_inside_its_batch_compressed_or_not() {
    for compression in Compression::ALL {
        let place = Place::new(LogConfig::default());
        let mut log = place.open(Left::Closed);
        let options = BatchOptions {
            compression,
            ..BatchOptions::default()
        };
        for start in [0, 100] {
            let mut builder = BatchBuilder::new(options);
            for at in 0..50 {
                let timestamp = TimestampMs(start + (at * 7) % 50);
                builder.append(&NewRecord {
                    timestamp,
                    ..NewRecord::default()
                });
            }
            append(&mut log, builder.finish().into()).unwrap();
        }
        // Within a batch, record i has the timestamp start + 7 i mod 50.
        let at = |time| lookup(&log, OffsetQuery::At(TimestampMs(time))).unwrap();
        assert_eq!(at(49).offset, Offset(7), "{compression:?}");
        assert_eq!(at(48).offset, Offset(7));
        assert_eq!(at(36).offset, Offset(6));
        assert_eq!(at(50).offset, Offset(50));
        assert_eq!(at(149).offset, Offset(57));
        assert_eq!(
            lookup(&log, OffsetQuery::MaxTimestamp).unwrap().offset,
            Offset(57)
        );
        assert_eq!(lookup(&log, OffsetQuery::At(TimestampMs(150))), None);
    }
}

#[test]
fn a_log_without_timestamps_has_no_largest() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    assert_eq!(lookup(&log, OffsetQuery::MaxTimestamp), None);
    append(&mut log, batch(1, -1)).unwrap();
    assert_eq!(lookup(&log, OffsetQuery::MaxTimestamp), None);
    assert_eq!(lookup(&log, OffsetQuery::At(TimestampMs(5))), None);
}
