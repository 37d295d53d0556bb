//! Record sets of magic 0 and 1: plain, compressed, damaged.

use super::*;

const CODECS: [Compression; 4] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
];

type Owned = (i64, Option<i64>, Option<Vec<u8>>, Option<Vec<u8>>);

fn read_all(set: &[u8], limit: usize) -> Result<Vec<Owned>, LegacyError> {
    let mut records = Vec::new();
    read(set, limit, &mut |record| {
        records.push((
            record.offset.0,
            record.timestamp.map(|timestamp| timestamp.0),
            record.key.map(<[u8]>::to_vec),
            record.value.map(<[u8]>::to_vec),
        ));
    })
    .map(|()| records)
}

fn set(magic: LegacyMagic, compression: Compression, append: Option<i64>) -> Vec<u8> {
    let mut builder = LegacyBuilder::new(magic, compression, append.map(TimestampMs));
    builder.append(Offset(10), TimestampMs(1000), Some(b"k"), Some(b"one"));
    builder.append(Offset(11), TimestampMs(900), None, Some(b"two"));
    builder.append(Offset(13), TimestampMs(1100), Some(b"gone"), None);
    builder.finish()
}

#[test]
fn what_is_built_is_read_back() {
    for compression in CODECS {
        for (magic, append) in [
            (LegacyMagic::V0, None),
            (LegacyMagic::V1, None),
            (LegacyMagic::V1, Some(77)),
        ] {
            let time = |timestamp| match magic {
                LegacyMagic::V0 => None,
                LegacyMagic::V1 => append.or(Some(timestamp)),
            };
            let expected = [
                (10, time(1000), Some(b"k".to_vec()), Some(b"one".to_vec())),
                (11, time(900), None, Some(b"two".to_vec())),
                (13, time(1100), Some(b"gone".to_vec()), None),
            ];
            let set = set(magic, compression, append);
            assert_eq!(magic_of(&set), Some(i8::from(magic == LegacyMagic::V1)));
            assert_eq!(
                read_all(&set, 1000).unwrap(),
                expected,
                "{magic:?} {compression:?}"
            );
        }
    }
}

#[test]
fn damage_is_found() {
    for compression in CODECS {
        let good = set(LegacyMagic::V1, compression, None);
        // Only an entry's offset is not covered by a CRC or a check.
        let first_size = usize::from(good[11]);
        for at in 12..ENTRY_OVERHEAD + first_size {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(
                read_all(&bad, 1000).is_err(),
                "{compression:?}: a changed byte at {at}"
            );
        }
        for len in 1..good.len() {
            assert!(compression == Compression::None || read_all(&good[..len], 1000).is_err());
        }
    }
    let good = set(LegacyMagic::V1, Compression::None, None);
    let mut entries = Entries::new(&good[..good.len() - 1]);
    assert_eq!(entries.by_ref().filter(Result::is_ok).count(), 2);
    assert!(entries.position() > 0);
}

#[test]
fn wrappers_share_one_limit() {
    let one = set(LegacyMagic::V1, Compression::Gzip, None);
    let content: usize = set(LegacyMagic::V1, Compression::None, None).len();
    let two = [one.clone(), one].concat();
    assert_eq!(read_all(&two, 2 * content).unwrap().len(), 6);
    let limit = 2 * content - 1;
    assert_eq!(read_all(&two, limit), Err(LegacyError::TooLarge { limit }));
}

#[test]
fn wrappers_do_not_nest() {
    let inner = set(LegacyMagic::V1, Compression::Gzip, None);
    let mut content = Vec::new();
    compression::compress(Compression::Gzip, &inner, &mut content);
    let mut builder = LegacyBuilder::new(LegacyMagic::V1, Compression::None, None);
    builder.append(Offset(0), TimestampMs(0), None, Some(&content));
    let mut nested = builder.finish();
    // Make the plain message a wrapper: set its compression, and its CRC anew.
    nested[17] = Compression::Gzip as u8;
    let crc = checksum::crc32(&nested[16..]);
    nested[12..16].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(
        read_all(&nested, 1000),
        Err(LegacyError::Damaged("a wrapper holds a wrapper"))
    );
}

mod down {
    use super::*;
    use crate::batch::control::EndMarker;
    use crate::batch::{BatchBuilder, BatchOptions, BatchView, NewRecord};
    use crate::ids::{ProducerEpoch, ProducerId};
    use proptest::prelude::*;

    fn batch(options: BatchOptions) -> Vec<u8> {
        let mut builder = BatchBuilder::new(options);
        for (timestamp, key, value) in [
            (1000, Some(&b"k"[..]), Some(&b"one"[..])),
            (900, None, Some(b"two")),
            (1100, Some(b"gone"), None),
        ] {
            let timestamp = TimestampMs(timestamp);
            let headers = &[("header", Some(&b"is dropped"[..]))];
            builder.append(&NewRecord {
                timestamp,
                key,
                value,
                headers,
            });
        }
        builder.finish()
    }

    fn converted(bytes: &[u8], magic: LegacyMagic, from: i64) -> Vec<u8> {
        let batch = BatchView::first_of(bytes).unwrap();
        down_convert(&batch, magic, Offset(from), 10_000).unwrap()
    }

    #[test]
    fn records_keep_all_that_the_old_format_can_say() {
        for compression in CODECS {
            for append_time in [None, Some(TimestampMs(77))] {
                let batch = batch(BatchOptions {
                    base_offset: Offset(10),
                    compression,
                    log_append_time: append_time,
                    ..BatchOptions::default()
                });
                let set = converted(&batch, LegacyMagic::V1, 0);
                let time = |own| Some(append_time.map_or(own, |time| time.0));
                let text = |text: &str| Some(text.as_bytes().to_vec());
                assert_eq!(
                    read_all(&set, 10_000).unwrap(),
                    [
                        (10, time(1000), text("k"), text("one")),
                        (11, time(900), None, text("two")),
                        (12, time(1100), text("gone"), None),
                    ]
                );
                let first = Entries::new(&set).next().unwrap().unwrap();
                assert_eq!(first.compression(), Ok(compression));
                let expected = match append_time {
                    Some(_) => TimestampType::LogAppendTime,
                    None => TimestampType::CreateTime,
                };
                assert_eq!(first.timestamp_type(), expected);
                let set = converted(&batch, LegacyMagic::V0, 0);
                let records = read_all(&set, 10_000).unwrap();
                assert!(records.iter().all(|record| record.1.is_none()));
                assert_eq!(magic_of(&set), Some(0));
            }
        }
    }

    #[test]
    fn records_before_the_offset_wanted_are_left_out_of_plain_batches_only() {
        for (compression, expected) in [
            (Compression::None, vec![1, 2]),
            (Compression::Gzip, vec![0, 1, 2]),
        ] {
            let batch = batch(BatchOptions {
                compression,
                ..BatchOptions::default()
            });
            let set = converted(&batch, LegacyMagic::V1, 1);
            let offsets: Vec<i64> = read_all(&set, 10_000)
                .unwrap()
                .iter()
                .map(|record| record.0)
                .collect();
            assert_eq!(offsets, expected);
            assert!(converted(&batch, LegacyMagic::V1, 3).is_empty() || expected.len() == 3);
        }
    }

    #[test]
    fn what_cannot_be_said_is_left_out_or_refused() {
        let marker = EndMarker {
            result: crate::batch::control::TransactionResult::Commit,
            coordinator_epoch: 1,
        };
        let control = marker.batch(ProducerId(1), ProducerEpoch(0), TimestampMs(1));
        assert!(converted(&control, LegacyMagic::V1, 0).is_empty());
        let zstd = batch(BatchOptions {
            compression: Compression::Zstd,
            ..BatchOptions::default()
        });
        let zstd = BatchView::first_of(&zstd).unwrap();
        assert_eq!(
            down_convert(&zstd, LegacyMagic::V1, Offset(0), 10_000),
            Err(DownConversionError::Zstandard)
        );
        let message = too_large_message();
        assert_eq!(read_all(&message, 0), Err(LegacyError::Truncated));
    }

    proptest! {
        /// Damage in a stored batch is an error for an old client, never a panic.
        #[test]
        fn damage_does_not_panic(
            codec in 0..4_usize,
            damage in prop::collection::vec((61..200_usize, any::<u8>()), 1..5),
        ) {
            let mut bytes = batch(BatchOptions { compression: CODECS[codec], ..BatchOptions::default() });
            for (at, byte) in damage {
                let at = 61 + at % (bytes.len() - 61);
                bytes[at] = byte;
            }
            let batch = BatchView::first_of(&bytes).unwrap();
            if let Ok(set) = down_convert(&batch, LegacyMagic::V1, Offset(0), 10_000) {
                prop_assert!(read_all(&set, 10_000).is_ok());
            }
        }
    }
}
