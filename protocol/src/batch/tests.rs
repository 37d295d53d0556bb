//! Batches: building, parsing, validating, damage.

use super::*;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};

fn record(timestamp: i64, value: &'static [u8]) -> NewRecord<'static> {
    NewRecord {
        timestamp: TimestampMs(timestamp),
        key: Some(b"key"),
        value: Some(value),
        headers: &[("name", Some(b"x")), ("empty", None)],
    }
}

fn batch_of_three() -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: Offset(40),
        leader_epoch: LeaderEpoch(7),
        producer_id: ProducerId(9),
        producer_epoch: ProducerEpoch(1),
        base_sequence: i32::MAX,
        transactional: true,
        ..BatchOptions::default()
    });
    builder.append(&record(1000, b"one"));
    builder.append(&record(900, b"two"));
    builder.append(&NewRecord {
        timestamp: TimestampMs(5_000_000_000_000),
        ..NewRecord::default()
    });
    builder.finish()
}

#[test]
fn what_is_built_is_read_back() {
    let bytes = batch_of_three();
    let batch = BatchView::first_of(&bytes).unwrap();
    assert_eq!(batch.header.base_offset, Offset(40));
    assert_eq!(batch.header.last_offset(), Offset(42));
    assert_eq!(batch.header.next_offset(), Offset(43));
    assert_eq!(batch.header.size(), bytes.len());
    assert_eq!(batch.header.base_timestamp, TimestampMs(1000));
    assert_eq!(batch.header.max_timestamp, TimestampMs(5_000_000_000_000));
    assert_eq!(batch.header.last_sequence(), 1);
    assert!(batch.header.attributes.is_transactional());
    assert!(!batch.header.attributes.is_control());
    batch.validate_relaxed().unwrap();
    batch.validate_from_client().unwrap();

    let records: Vec<_> = batch.records().unwrap().map(Result::unwrap).collect();
    assert_eq!(records.len(), 3);
    assert_eq!(records[1].offset, Offset(41));
    assert_eq!(records[1].timestamp, TimestampMs(900));
    assert_eq!(records[1].key, Some(&b"key"[..]));
    assert_eq!(records[1].value, Some(&b"two"[..]));
    let headers: Vec<_> = records[1].headers.collect();
    assert_eq!(headers, [("name", Some(&b"x"[..])), ("empty", None)]);
    assert_eq!(records[2].timestamp, TimestampMs(5_000_000_000_000));
    assert_eq!((records[2].key, records[2].value), (None, None));
}

#[test]
fn patching_the_front_keeps_the_crc() {
    let bytes = batch_of_three();
    let batch = BatchView::first_of(&bytes).unwrap();
    let mut stored = batch
        .patched_prefix(Offset(1 << 40), LeaderEpoch(8))
        .to_vec();
    stored.extend_from_slice(&bytes[PATCHED_LEN..]);
    let patched = BatchView::first_of(&stored).unwrap();
    patched.validate_relaxed().unwrap();
    assert_eq!(patched.header.base_offset, Offset(1 << 40));
    assert_eq!(patched.header.leader_epoch, LeaderEpoch(8));
    assert_eq!(patched.header.crc, batch.header.crc);

    let time = TimestampMs(77);
    let mut stored = batch
        .patched_header_with_append_time(Offset(3), LeaderEpoch(9), time)
        .to_vec();
    stored.extend_from_slice(batch.payload());
    let patched = BatchView::first_of(&stored).unwrap();
    patched.validate_relaxed().unwrap();
    assert!(
        patched
            .records()
            .unwrap()
            .all(|record| record.unwrap().timestamp == time)
    );
}

#[test]
fn batches_are_walked_to_the_torn_tail() {
    let one = batch_of_three();
    let mut log = [one.clone(), one.clone()].concat();
    log.extend_from_slice(&one[..20]);
    let mut batches = Batches::new(&log);
    assert!(batches.next().unwrap().is_ok());
    assert!(batches.next().unwrap().is_ok());
    let torn = BatchError::Truncated {
        needed: BATCH_OVERHEAD,
        available: 20,
    };
    assert_eq!(batches.next(), Some(Err(torn)));
    assert_eq!(batches.position(), 2 * one.len());
    assert_eq!(batches.next(), None);
}

#[test]
fn damage_is_found() {
    let good = batch_of_three();
    for at in CRC_AT..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let batch = BatchView::first_of(&bad).unwrap();
        assert!(
            batch.validate_relaxed().is_err(),
            "a changed byte at {at} was not found"
        );
    }
    let mut bad = good.clone();
    bad[MAGIC_AT] = 1;
    assert_eq!(BatchView::first_of(&bad), Err(BatchError::OtherMagic(1)));
    let mut bad = good.clone();
    bad[LENGTH_AT..][..4].copy_from_slice(&48i32.to_be_bytes());
    assert_eq!(
        BatchView::first_of(&bad),
        Err(BatchError::InvalidLength(48))
    );
    bad[LENGTH_AT..][..4].copy_from_slice(&(-1i32).to_be_bytes());
    assert_eq!(
        BatchView::first_of(&bad),
        Err(BatchError::InvalidLength(-1))
    );
}

#[test]
fn a_compacted_batch_keeps_its_span() {
    let horizon = Some(TimestampMs(5000));
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: Offset(10),
        delete_horizon: horizon,
        ..BatchOptions::default()
    });
    builder.append_at(Offset(12), &record(1000, b"kept"));
    builder.extend_to(Offset(19));
    let bytes = builder.finish();
    let batch = BatchView::first_of(&bytes).unwrap();
    batch.validate_relaxed().unwrap();
    assert!(batch.validate_from_client().is_err());
    assert_eq!(batch.header.delete_horizon(), horizon);
    assert_eq!(batch.header.next_offset(), Offset(20));
    let kept = batch.records().unwrap().next().unwrap().unwrap();
    assert_eq!(
        (kept.offset, kept.timestamp),
        (Offset(12), TimestampMs(1000))
    );

    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.extend_to(Offset(3));
    let bytes = builder.finish();
    let batch = BatchView::first_of(&bytes).unwrap();
    batch.validate_relaxed().unwrap();
    assert_eq!(batch.records().unwrap().count(), 0);
}

#[test]
fn compressed_batches_are_read_back() {
    for compression in Compression::ALL {
        let mut builder = BatchBuilder::new(BatchOptions {
            compression,
            ..BatchOptions::default()
        });
        for at in 0..1000 {
            builder.append(&record(at, b"a value that is like the others"));
        }
        let plain = builder.size_uncompressed();
        let bytes = builder.finish();
        let batch = BatchView::first_of(&bytes).unwrap();
        assert_eq!(batch.compression(), Ok(compression));
        let mut scratch = Vec::new();
        batch.validate_strict(&mut scratch, plain).unwrap();
        let records: Result<Vec<_>, _> = batch.records_in(&mut scratch, plain).unwrap().collect();
        assert_eq!(records.unwrap().len(), 1000);
        if compression != Compression::None {
            assert!(bytes.len() < plain / 2);
            assert_eq!(batch.records().err(), Some(BatchError::Compressed));
            let limit = 1000;
            let result = batch.validate_strict(&mut scratch, limit);
            assert_eq!(result, Err(BatchError::TooLarge { limit }));
        }
    }
}

/// The batch with its CRC made right again.
fn with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crate::checksum::crc32c(&bytes[CRC_COVERS_FROM..]);
    bytes[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn strict_validation_reads_every_record() {
    let good = batch_of_three();
    let mut scratch = Vec::new();
    let strict = |bytes: Vec<u8>, scratch: &mut Vec<u8>| {
        let bytes = with_crc(bytes);
        let batch = BatchView::first_of(&bytes).unwrap();
        batch.validate_relaxed().unwrap();
        batch.validate_strict(scratch, 1000)
    };
    strict(good.clone(), &mut scratch).unwrap();

    // One record more than the header says, and one less.
    let mut bad = good.clone();
    bad[RECORDS_COUNT_AT + 3] = 2;
    let trailing = BatchError::InvalidRecord {
        index: 2,
        what: "there is something after the last record",
    };
    assert_eq!(strict(bad, &mut scratch), Err(trailing));
    let mut bad = good.clone();
    bad[RECORDS_COUNT_AT + 3] = 4;
    bad[LAST_OFFSET_DELTA_AT + 3] = 3;
    assert_eq!(
        strict(bad, &mut scratch),
        Err(BatchError::InvalidRecord {
            index: 3,
            what: "it is cut short"
        })
    );
    // A record whose offset does not ascend: the delta of the second is its fifth byte.
    let second = RECORDS_AT + 1 + usize::from(good[RECORDS_AT] >> 1);
    let mut bad = good.clone();
    assert_eq!(bad[second + 4], 2, "the zigzag of 1");
    bad[second + 4] = 0;
    assert_eq!(
        strict(bad, &mut scratch),
        Err(BatchError::InvalidRecord {
            index: 1,
            what: "its offset is out of order, or beyond the batch"
        })
    );
}
