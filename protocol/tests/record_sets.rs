//! Record sets of arbitrary records: what is built is read, in every format and compression, and
//! no damage goes unnoticed or does harm.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use protocol::batch::{
    BatchBuilder, BatchOptions, BatchView, Batches, CRC_AT, Compression, NewRecord,
};
use protocol::ids::{Offset, TimestampMs};
use protocol::legacy_record_set::{self, LegacyBuilder, LegacyMagic};

const LIMIT: usize = 1 << 20;

#[derive(Clone, PartialEq, Debug)]
struct Plain {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    of(vec(any::<u8>(), 0..200))
}

/// Records with ascending offsets, from 0 to 40 of them.
fn records() -> impl Strategy<Value = Vec<Plain>> {
    let record = (
        1..1000i64,
        0..4_000_000_000_000i64,
        bytes(),
        bytes(),
        vec((".{0,9}", bytes()), 0..4),
    );
    vec(record, 0..40).prop_map(|records| {
        let mut offset = -1;
        records
            .into_iter()
            .map(|(step, timestamp, key, value, headers)| {
                offset += step;
                Plain {
                    offset,
                    timestamp,
                    key,
                    value,
                    headers,
                }
            })
            .collect()
    })
}

fn compression() -> impl Strategy<Value = Compression> {
    (0..5u8).prop_map(|id| Compression::from_id(id).unwrap())
}

fn build(records: &[Plain], compression: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions {
        compression,
        ..BatchOptions::default()
    });
    for record in records {
        let headers: Vec<(&str, Option<&[u8]>)> = record
            .headers
            .iter()
            .map(|(name, value)| (&**name, value.as_deref()))
            .collect();
        builder.append_at(
            Offset(record.offset),
            &NewRecord {
                timestamp: TimestampMs(record.timestamp),
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            },
        );
    }
    builder.extend_to(Offset(1_000_000));
    builder.finish()
}

fn read(batch: &BatchView<'_>) -> Vec<Plain> {
    let mut scratch = Vec::new();
    batch
        .records_in(&mut scratch, LIMIT)
        .unwrap()
        .map(|record| {
            let record = record.unwrap();
            Plain {
                offset: record.offset.0,
                timestamp: record.timestamp.0,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: record
                    .headers
                    .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
                    .collect(),
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn batches_come_back(records in records(), compression in compression()) {
        let bytes = build(&records, compression);
        let batch = BatchView::first_of(&bytes).unwrap();
        batch.validate_strict(&mut Vec::new(), LIMIT).unwrap();
        prop_assert_eq!(batch.header.records_count as usize, records.len());
        prop_assert_eq!(batch.header.last_offset(), Offset(1_000_000));
        let latest = records.iter().map(|record| record.timestamp).max().unwrap_or(-1);
        prop_assert_eq!(batch.header.max_timestamp.0, latest);
        prop_assert_eq!(read(&batch), records);
    }

    #[test]
    fn a_changed_byte_is_noticed(
        records in records(),
        compression in compression(),
        at in any::<proptest::sample::Index>(),
        change in 1..=255u8,
    ) {
        let mut bytes = build(&records, compression);
        let at = CRC_AT + at.index(bytes.len() - CRC_AT);
        bytes[at] ^= change;
        let batch = BatchView::first_of(&bytes).unwrap();
        prop_assert!(batch.validate_relaxed().is_err());
        // Reading it all the same is harmless.
        let mut scratch = Vec::new();
        if let Ok(records) = batch.records_in(&mut scratch, LIMIT) {
            records.for_each(drop);
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..300)) {
        for batch in Batches::new(&bytes).flatten() {
            let _ = batch.validate_strict(&mut Vec::new(), LIMIT);
        }
        let _ = legacy_record_set::read(&bytes, LIMIT, &mut |_| {});
    }

    #[test]
    fn old_sets_come_back(records in records(), compression in 0..4u8, is_v1 in any::<bool>()) {
        let compression = Compression::from_id(compression).unwrap();
        let magic = if is_v1 { LegacyMagic::V1 } else { LegacyMagic::V0 };
        let mut builder = LegacyBuilder::new(magic, compression, None);
        for record in &records {
            builder.append(
                Offset(record.offset),
                TimestampMs(record.timestamp),
                record.key.as_deref(),
                record.value.as_deref(),
            );
        }
        let set = builder.finish();
        let mut again = Vec::new();
        legacy_record_set::read(&set, LIMIT, &mut |record| {
            again.push(Plain {
                offset: record.offset.0,
                timestamp: record.timestamp.map_or(-1, |timestamp| timestamp.0),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: Vec::new(),
            });
        })
        .unwrap();
        let expected: Vec<Plain> = records
            .into_iter()
            .map(|record| Plain {
                timestamp: if is_v1 { record.timestamp } else { -1 },
                headers: Vec::new(),
                ..record
            })
            .collect();
        prop_assert_eq!(again, expected);
    }
}
