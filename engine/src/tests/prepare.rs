//! Records that are looked at one by one, and batches that are stored otherwise than they came.

use super::*;
use crate::config::{Cleanup, StoredCompression, TimestampType, Validation};
use crate::enqueue::Checked;
use proptest::prelude::*;
use protocol::batch::{BatchView, Compression, TimestampType as BatchTimestampType};
use protocol::compression::Encoding;
use protocol::error::ErrorCode;
use protocol::legacy_record_set::{LegacyBuilder, LegacyMagic};

/// Offset, timestamp, key and value.
type Record = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn always(compression: Compression) -> LogConfig {
    LogConfig {
        compression: StoredCompression::Always(compression.into()),
        ..LogConfig::default()
    }
}

/// A log, and what keeps its directory.
fn open(config: LogConfig) -> (Place, Log) {
    let place = Place::new(config);
    let log = place.open(Left::Closed);
    (place, log)
}

/// The log's batches from the start: their header and their records.
fn stored(log: &Log) -> Vec<(protocol::batch::BatchHeader, Vec<Record>)> {
    let bytes = read_bytes(log, Offset(0), 1 << 30);
    let batches = Batches::new(&bytes).map(|batch| {
        let batch = batch.unwrap();
        batch
            .validate_strict(&mut Vec::new(), usize::MAX >> 1)
            .unwrap();
        (batch.header, records_of(&batch))
    });
    batches.collect()
}

fn records_of(batch: &BatchView<'_>) -> Vec<Record> {
    let mut scratch = Vec::new();
    let records = batch.records_in(&mut scratch, usize::MAX >> 1).unwrap();
    let record = |record: Result<protocol::batch::RecordView<'_>, _>| {
        let record = record.unwrap();
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let (key, value) = (owned(record.key), owned(record.value));
        (record.offset.0, record.timestamp.0, key, value)
    };
    records.map(record).collect()
}

fn error_of(result: Result<Appended, AppendError>) -> (ErrorCode, Vec<i32>) {
    let error = result.unwrap_err();
    let indexes = error.record_errors().iter().map(|e| e.batch_index);
    (error.code(), indexes.collect())
}

#[test]
fn a_topics_compression_takes_the_place_of_the_producers() {
    for target in Compression::ALL {
        let (_place, mut log) = open(always(target));
        for (at, came) in Compression::ALL.into_iter().enumerate() {
            let options = BatchOptions {
                compression: came,
                producer_id: ProducerId(7),
                producer_epoch: ProducerEpoch(1),
                base_sequence: 50 * at as i32,
                ..BatchOptions::default()
            };
            let sent = batch_with(50, 1000, options);
            let appended = append(&mut log, sent.clone()).unwrap();
            assert_eq!(appended.first_offset, Offset(50 * at as i64));
            let (header, records) = stored(&log).pop().unwrap();
            assert_eq!(header.attributes.compression(), Ok(target));
            let sent = Batches::new(&sent).next().unwrap().unwrap();
            let expected: Vec<Record> = records_of(&sent)
                .into_iter()
                .map(|(offset, time, key, value)| (offset + 50 * at as i64, time, key, value))
                .collect();
            assert_eq!(records, expected, "{came:?} to {target:?}");
            assert_eq!(
                (header.producer_id, header.base_sequence),
                (ProducerId(7), 50 * at as i32)
            );
            assert_eq!(header.max_timestamp, sent.header.max_timestamp);
            if came == target {
                assert_eq!(
                    header.crc, sent.header.crc,
                    "what fits is stored as it came"
                );
            }
        }
    }
}

#[test]
fn levels_of_compression_reach_the_codec() {
    let text: Vec<u8> = (0..200_000u32)
        .flat_map(|n| (n.wrapping_mul(n) % 9973).to_be_bytes())
        .collect();
    for (compression, weak, strong) in [(Compression::Gzip, 1, 9), (Compression::Zstd, -5, 19)] {
        let sizes = [weak, strong].map(|level| {
            let mut config = always(compression);
            config.compression = StoredCompression::Always(Encoding {
                compression,
                level: Some(level),
            });
            let (_place, mut log) = open(config);
            let mut sent = BatchBuilder::new(BatchOptions::default());
            sent.append(&NewRecord {
                value: Some(&text),
                ..NewRecord::default()
            });
            append(&mut log, sent.finish().into()).unwrap();
            stored(&log)[0].0.size()
        });
        assert!(sizes[1] < sizes[0], "{compression:?}: {sizes:?}");
    }
}

#[test]
fn the_largest_batch_is_measured_before_and_after_it_is_compressed_anew() {
    let mut sent = BatchBuilder::new(BatchOptions::default());
    sent.append(&NewRecord {
        value: Some(&[b'x'; 5_000]),
        ..NewRecord::default()
    });
    let plain = sent.finish();
    let compressed = batch_with(
        200,
        1000,
        BatchOptions {
            compression: Compression::Zstd,
            ..BatchOptions::default()
        },
    );
    let config = |compression| LogConfig {
        batch_bytes_max: 2_000,
        ..always(compression)
    };
    let (_place, mut log) = open(config(Compression::Zstd));
    let refused = append(&mut log, plain.into());
    assert_eq!(error_of(refused).0, ErrorCode::MessageTooLarge, "before");
    assert!(append(&mut log, compressed.clone()).is_ok());
    let (_place, mut log) = open(config(Compression::None));
    let refused = append(&mut log, compressed);
    assert_eq!(error_of(refused).0, ErrorCode::MessageTooLarge, "after");
    let (_place, mut log) = open(LogConfig {
        segment_bytes_max: 1_000,
        ..always(Compression::None)
    });
    let large = batch_with(
        200,
        1000,
        BatchOptions {
            compression: Compression::Gzip,
            ..BatchOptions::default()
        },
    );
    let refused = append(&mut log, large);
    assert_eq!(error_of(refused).0, ErrorCode::RecordListTooLarge);
}

#[test]
fn a_batch_that_takes_too_much_memory_is_refused_by_every_codec_and_format() {
    // Zeroes by the MiB: far more than 128 times the largest batch.
    let zeroes = vec![0; 4 << 20];
    let config = |stored| LogConfig {
        batch_bytes_max: 20_000,
        compression: stored,
        ..LogConfig::default()
    };
    for came in [
        Compression::Gzip,
        Compression::Lz4,
        Compression::Zstd,
        Compression::Snappy,
    ] {
        let mut sent = BatchBuilder::new(BatchOptions {
            compression: came,
            ..BatchOptions::default()
        });
        let mut old = LegacyBuilder::new(LegacyMagic::V1, Compression::Gzip, None);
        for at in 0..4 {
            sent.append(&NewRecord {
                value: Some(&zeroes),
                ..NewRecord::default()
            });
            old.append(Offset(at), TimestampMs(1), None, Some(&zeroes));
        }
        let sent = Bytes::from(sent.finish());
        let other = match came {
            Compression::Gzip => Compression::Zstd,
            _ => Compression::Gzip,
        };
        for target in [other, Compression::None] {
            let (_place, mut log) = open(config(StoredCompression::Always(target.into())));
            let refused = append(&mut log, sent.clone());
            assert_eq!(error_of(refused).0, ErrorCode::MessageTooLarge, "{came:?}");
        }
        let (_place, mut log) = open(config(StoredCompression::Producer));
        let refused = append(&mut log, old.finish().into());
        assert_eq!(error_of(refused).0, ErrorCode::MessageTooLarge);
        assert_eq!(log.log_end_offset(), Offset(0));
    }
}

#[test]
fn each_record_that_is_out_of_time_is_named() {
    let config = LogConfig {
        timestamp_before_ms_max: 1000,
        ..LogConfig::default()
    };
    let times = [0, -5000, 1, -1001, -1000].map(|distance| TimestampMs(NOW.0 + distance));
    for compression in Compression::ALL {
        let mut sent = BatchBuilder::new(BatchOptions {
            compression,
            ..BatchOptions::default()
        });
        for timestamp in times {
            sent.append(&NewRecord {
                timestamp,
                ..NewRecord::default()
            });
        }
        let sent = of_client(sent.finish().into());
        let (_place, log) = open(config.clone());
        let Ok(Checked::Unprepared(preparation)) = log.check(sent) else {
            panic!("the records are to be looked at");
        };
        let error = preparation.run(Some(NOW)).unwrap_err();
        let indexes: Vec<i32> = error
            .record_errors()
            .iter()
            .map(|e| e.batch_index)
            .collect();
        assert_eq!(
            (error.code(), indexes),
            (ErrorCode::InvalidTimestamp, vec![1, 3])
        );
        assert!(preparation.run(Some(TimestampMs(NOW.0 - 4000))).is_ok());
    }
}

#[test]
fn a_producers_claim_of_append_time_becomes_its_own_time() {
    let claimed = BatchOptions {
        log_append_time: Some(TimestampMs(777)),
        ..BatchOptions::default()
    };
    let (_place, mut log) = open(LogConfig::default());
    append(&mut log, batch_with(2, 5, claimed)).unwrap();
    let (header, _) = stored(&log).pop().unwrap();
    assert_eq!(
        header.attributes.timestamp_type(),
        BatchTimestampType::CreateTime
    );
    assert_eq!(header.max_timestamp, TimestampMs(777));
    let (_place, mut log) = open(LogConfig {
        timestamp_type: TimestampType::LogAppendTime,
        ..LogConfig::default()
    });
    let refused = append(&mut log, batch_with(2, 5, claimed));
    assert_eq!(error_of(refused).0, ErrorCode::InvalidTimestamp);
}

#[test]
fn a_header_that_hides_its_latest_record_is_put_right_where_records_are_looked_at() {
    let mut sent = batch(3, 500).to_vec();
    sent[35..43].copy_from_slice(&9_i64.to_be_bytes());
    let crc = protocol::checksum::crc32c(&sent[21..]);
    sent[17..21].copy_from_slice(&crc.to_be_bytes());
    for (validation, expected) in [(Validation::Strict, 500), (Validation::Relaxed, 9)] {
        let (_place, mut log) = open(LogConfig {
            validation,
            ..LogConfig::default()
        });
        append(&mut log, sent.clone().into()).unwrap();
        assert_eq!(stored(&log)[0].0.max_timestamp, TimestampMs(expected));
    }
}

/// A set of the old formats: three records, the second without a key.
fn old_set(magic: LegacyMagic, compression: Compression) -> Vec<u8> {
    let mut old = LegacyBuilder::new(magic, compression, None);
    old.append(Offset(10), TimestampMs(1000), Some(b"k"), Some(b"one"));
    old.append(Offset(12), TimestampMs(900), None, Some(b"two"));
    old.append(Offset(13), TimestampMs(1100), Some(b"gone"), None);
    old.finish()
}

const OLD_CODECS: [Compression; 4] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
];

#[test]
fn sets_of_the_old_formats_are_stored_as_one_batch() {
    for (magic, times) in [
        (LegacyMagic::V0, [-1, -1, -1]),
        (LegacyMagic::V1, [1000, 900, 1100]),
    ] {
        for compression in OLD_CODECS {
            let (_place, mut log) = open(LogConfig::default());
            append(&mut log, batch(4, 1)).unwrap();
            let mut sent = old_set(magic, compression);
            // What is left of a client's buffer.
            sent.extend_from_within(..20);
            let appended = append(&mut log, sent.into()).unwrap();
            assert_eq!(
                (appended.first_offset, appended.last_offset),
                (Offset(4), Offset(6))
            );
            let (header, records) = stored(&log).pop().unwrap();
            assert_eq!(header.attributes.compression(), Ok(compression));
            assert_eq!(
                header.max_timestamp,
                TimestampMs(*times.iter().max().unwrap())
            );
            let bytes = |text: &str| Some(text.as_bytes().to_vec());
            assert_eq!(
                records,
                [
                    (4, times[0], bytes("k"), bytes("one")),
                    (5, times[1], None, bytes("two")),
                    (6, times[2], bytes("gone"), None),
                ]
            );
        }
    }
}

#[test]
fn sets_of_the_old_formats_follow_the_topics_rules() {
    let compacted = LogConfig {
        cleanup: Cleanup {
            delete: false,
            compact: true,
        },
        ..LogConfig::default()
    };
    let stamped = LogConfig {
        timestamp_type: TimestampType::LogAppendTime,
        ..always(Compression::Zstd)
    };
    for compression in OLD_CODECS {
        let sent = Bytes::from(old_set(LegacyMagic::V1, compression));
        let (_place, mut log) = open(compacted.clone());
        let refused = append(&mut log, sent.clone());
        assert_eq!(error_of(refused), (ErrorCode::InvalidRecord, vec![1]));
        let (_place, mut log) = open(stamped.clone());
        assert_eq!(append(&mut log, sent).unwrap().log_append_time, NOW);
        let (header, records) = stored(&log).pop().unwrap();
        assert_eq!(header.attributes.compression(), Ok(Compression::Zstd));
        assert!(records.iter().all(|record| record.1 == NOW.0));
    }
}

#[test]
fn damaged_sets_of_the_old_formats_are_refused() {
    let (_place, mut log) = open(LogConfig::default());
    let plain = old_set(LegacyMagic::V1, Compression::None);
    let wrapped = old_set(LegacyMagic::V1, Compression::Gzip);
    let other = old_set(LegacyMagic::V0, Compression::None);
    let mut wrong_crc = plain.clone();
    wrong_crc[14] ^= 1;
    let mut wrong_size = plain.clone();
    wrong_size[8..12].copy_from_slice(&3_i32.to_be_bytes());
    for (sent, code) in [
        (wrong_crc, ErrorCode::CorruptMessage),
        (wrong_size, ErrorCode::CorruptMessage),
        (plain[..20].to_vec(), ErrorCode::CorruptMessage),
        ([&wrapped[..], &wrapped].concat(), ErrorCode::InvalidRecord),
        ([&wrapped[..], &plain].concat(), ErrorCode::InvalidRecord),
        ([&plain[..], &other].concat(), ErrorCode::InvalidRecord),
    ] {
        assert_eq!(error_of(append(&mut log, sent.into())).0, code);
    }
    assert_eq!(log.log_end_offset(), Offset(0));
    assert_eq!(
        append_all(
            &mut log,
            [Append {
                origin: Origin::Leader,
                ..of_client(plain.into())
            }]
        )
        .pop()
        .unwrap()
        .unwrap_err()
        .code(),
        ErrorCode::UnsupportedForMessageFormat,
        "a leader sends batches"
    );
}

#[test]
fn what_is_much_work_is_not_done_at_once() {
    let (_place, log) = open(always(Compression::Zstd));
    let preparation = |sent| match log.check(of_client(sent)) {
        Ok(Checked::Unprepared(preparation)) => preparation,
        other => panic!("{other:?}"),
    };
    assert!(preparation(batch(50, 1)).run_if_small(None).is_some());
    assert!(preparation(batch(1000, 1)).run_if_small(None).is_none());
    let small_but_deep = batch_with(
        5000,
        1,
        BatchOptions {
            compression: Compression::Gzip,
            ..BatchOptions::default()
        },
    );
    assert!(small_but_deep.len() < 16 << 10);
    let preparation = preparation(small_but_deep);
    assert!(preparation.run_if_small(None).is_none());
    assert!(preparation.run(None).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever stands in place of a client's bytes: no panic, and what is stored is sound.
    #[test]
    fn damage_is_refused_or_stored_whole(
        old in any::<bool>(),
        codec in 0..4_usize,
        target in 0..5_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        resealed in any::<bool>(),
    ) {
        let codec = OLD_CODECS[codec];
        let mut sent = if old {
            old_set(LegacyMagic::V1, codec)
        } else {
            batch_with(5, 77, BatchOptions { compression: codec, ..BatchOptions::default() }).to_vec()
        };
        for (at, byte) in damage {
            let at = at.index(sent.len());
            sent[at] = byte;
        }
        if resealed {
            let (at, crc) = if old {
                (12, protocol::checksum::crc32(&sent[16..]))
            } else {
                (17, protocol::checksum::crc32c(&sent[21..]))
            };
            sent[at..at + 4].copy_from_slice(&crc.to_be_bytes());
        }
        let (_place, mut log) = open(always(Compression::ALL[target]));
        if append(&mut log, sent.into()).is_ok() && old {
            prop_assert_eq!(stored(&log).len(), 1);
        }
    }
}
