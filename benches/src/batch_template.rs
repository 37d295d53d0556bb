//! Batches that are ready to send: the records are built once, and a batch of any number of them
//! is a header of 61 bytes and a part of the same bytes.
//!
//! A batch of n records begins with the same bytes as a larger one, because all records have the
//! batch's timestamp and count their offsets from its first. So no record is ever copied: a header
//! is patched (time, producer, sequence) and its CRC is put together from that of the patched part
//! and the known one of the records.
//!
//! Example: with records of 1,000 bytes and batches of at most 131,072 the template has 129
//! records; a batch of 3 is a header with count 3 and the first 3 x 1,010 bytes or so of them.

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::batch::{
    BASE_SEQUENCE_AT, BASE_TIMESTAMP_AT, BATCH_OVERHEAD, BatchBuilder, BatchOptions, CRC_AT,
    CRC_COVERS_FROM, Compression, MAX_TIMESTAMP_AT, NewRecord, PRODUCER_EPOCH_AT, PRODUCER_ID_AT,
    sequence_after,
};
use protocol::checksum::{crc32c, crc32c_append};

use crate::clock::Nanos;
use crate::payload::Noise;

/// Below this, a CRC is computed from the start rather than combined.
const COMBINE_FROM_BYTES: usize = 2048;
/// Record counts a batch may have at most: offsets deltas of it stay small.
const RECORDS_MAX: usize = 1_000_000;

/// What the records of a template are like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Bytes of a value.
    pub record_bytes: usize,
    /// The part of it that is random, 0 to 1.
    pub random_ratio: f64,
    /// The seed of the random bytes.
    pub seed: u64,
    /// The size of a whole batch, before compression; one record is always allowed.
    pub batch_bytes_max: usize,
    /// The most records in a batch.
    pub batch_records_max: usize,
    /// How batches are compressed.
    pub compression: Compression,
    /// How many keys the records have in turn; 0: they have none.
    pub keys: u64,
}

/// A step through the keys that keeps no order.
const KEY_STEP: u64 = 2_654_435_761;

/// The records that all batches of a run are made from.
pub struct BatchTemplate {
    shape: Shape,
    values: Vec<Vec<u8>>,
    /// Where the n-th record ends, counted from the first one's begin; `ends[0]` is 0.
    ends: Vec<usize>,
    /// By number of records less one.
    sizes: Vec<OnceLock<Sizing>>,
    plain: Arc<[u8]>,
}

/// All there is to know of batches with one certain number of records.
struct Sizing {
    header: [u8; BATCH_OVERHEAD],
    records: Arc<[u8]>,
    records_bytes: usize,
    records_crc: u32,
    /// What the CRC of the header contributes to that of the batch, bit by bit: CRCs are linear.
    header_bits: Option<[u32; 32]>,
}

/// Who sends: the identity of an idempotent producer, or of none.
#[derive(Clone, Debug)]
pub struct Sender {
    identity: Option<(i64, i16)>,
    sequences: Vec<i32>,
    records_keyed: u64,
}

/// A batch to send: its header, and the records as a part of shared bytes.
pub struct ReadyBatch {
    /// The 61 bytes in front.
    pub header: [u8; BATCH_OVERHEAD],
    /// The shared bytes; the batch's records are the first `records_bytes` of them.
    pub records: Arc<[u8]>,
    /// How many of them.
    pub records_bytes: usize,
}

impl ReadyBatch {
    /// The size of the whole batch.
    pub fn bytes(&self) -> usize {
        BATCH_OVERHEAD + self.records_bytes
    }
}

impl Sender {
    /// A producer that is not idempotent.
    pub fn plain() -> Sender {
        Sender {
            identity: None,
            sequences: Vec::new(),
            records_keyed: 0,
        }
    }

    /// An idempotent producer at its first sequence number in each partition.
    pub fn idempotent(producer_id: i64, epoch: i16, partitions: usize) -> Sender {
        Sender {
            identity: Some((producer_id, epoch)),
            sequences: vec![0; partitions],
            records_keyed: 0,
        }
    }

    /// The (producer id, epoch, base sequence) of the next batch for a partition.
    fn next(&mut self, partition: usize, records: u32) -> (i64, i16, i32) {
        let Some((producer_id, epoch)) = self.identity else {
            return (-1, -1, -1);
        };
        let sequence = self.sequences[partition];
        self.sequences[partition] = sequence_after(sequence, records as i32);
        (producer_id, epoch, sequence)
    }
}

impl BatchTemplate {
    /// Builds the records of the largest batch.
    pub fn new(shape: Shape) -> BatchTemplate {
        let mut noise = Noise::new(shape.seed);
        let mut values = Vec::new();
        let mut ends = vec![0];
        let mut builder = BatchBuilder::new(BatchOptions::default());
        loop {
            let value = noise.value(shape.record_bytes, shape.random_ratio);
            builder.append(&record(&value, shape.keys));
            let fits = builder.size_uncompressed() <= shape.batch_bytes_max;
            if !values.is_empty() && !fits {
                break;
            }
            values.push(value);
            ends.push(builder.size_uncompressed() - BATCH_OVERHEAD);
            if values.len() >= shape.batch_records_max.min(RECORDS_MAX) {
                break;
            }
        }
        let sizes = (0..values.len()).map(|_| OnceLock::new()).collect();
        let plain = build(&values, shape.keys, Compression::None)[BATCH_OVERHEAD..].into();
        BatchTemplate {
            shape,
            values,
            ends,
            sizes,
            plain,
        }
    }

    /// Records in the largest batch.
    pub fn records_max(&self) -> u32 {
        self.values.len() as u32
    }

    /// The most bytes that one record takes in a batch, before compression.
    pub fn record_bytes_max(&self) -> usize {
        self.ends
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap_or(0)
    }

    /// What the records of a batch are like.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// CRC-32C of the first so many records, for checksums.
    pub fn payload_crc(&self, records: u32) -> u32 {
        self.sized(records).records_crc
    }

    /// A batch of so many records for a partition, with the time of day as their timestamp.
    pub fn batch(&self, records: u32, sender: &mut Sender, partition: usize) -> ReadyBatch {
        if self.shape.keys > 0 {
            return self.keyed_batch(records, sender, partition);
        }
        let sized = self.sized(records);
        let mut header = sized.header;
        patch(&mut header, sender.next(partition, records));
        let covered = &header[CRC_COVERS_FROM..];
        let crc = match &sized.header_bits {
            Some(bits) => combine(bits, crc32c(covered)) ^ sized.records_crc,
            None => crc32c_append(crc32c(covered), &sized.records[..sized.records_bytes]),
        };
        header[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
        let records = sized.records.clone();
        ReadyBatch {
            header,
            records,
            records_bytes: sized.records_bytes,
        }
    }

    /// A batch of its own whose values begin with a time, for end-to-end latencies: eight bytes,
    /// big endian, as `stamp` gives it for each record.
    pub fn stamped_batch(
        &self,
        records: u32,
        sender: &mut Sender,
        partition: usize,
        stamp: impl Fn(u64) -> Nanos,
    ) -> ReadyBatch {
        self.patched_batch(records, sender, partition, |bytes, record, value_at| {
            bytes[value_at..][..8].copy_from_slice(&stamp(record).0.to_be_bytes());
        })
    }

    /// A batch of its own whose records have keys.
    fn keyed_batch(&self, records: u32, sender: &mut Sender, partition: usize) -> ReadyBatch {
        let first = sender.records_keyed;
        sender.records_keyed += u64::from(records);
        let length_bytes = varint_bytes(self.shape.record_bytes);
        self.patched_batch(records, sender, partition, |bytes, record, value_at| {
            // The key stands before the value's length.
            let key = (first + record).wrapping_mul(KEY_STEP) % self.shape.keys;
            bytes[value_at - length_bytes - 8..][..8].copy_from_slice(&key.to_be_bytes());
        })
    }

    /// A batch of its own, each record of which `change` has changed: it is given all bytes, the
    /// record's number, and where its value stands.
    fn patched_batch(
        &self,
        records: u32,
        sender: &mut Sender,
        partition: usize,
        change: impl Fn(&mut [u8], u64, usize),
    ) -> ReadyBatch {
        let mut header = self.sized(records).header;
        patch(&mut header, sender.next(partition, records));
        let records_bytes = self.ends[records as usize];
        let mut bytes = self.plain[..records_bytes].to_vec();
        for record in 0..records as usize {
            // A record ends with its value and one byte that says that it has no headers.
            let value_at = self.ends[record + 1] - 1 - self.shape.record_bytes;
            change(&mut bytes, record as u64, value_at);
        }
        let crc = crc32c_append(crc32c(&header[CRC_COVERS_FROM..]), &bytes);
        header[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
        ReadyBatch {
            header,
            records: bytes.into(),
            records_bytes,
        }
    }

    fn sized(&self, records: u32) -> &Sizing {
        self.sizes[records as usize - 1].get_or_init(|| self.size(records as usize))
    }

    fn size(&self, records: usize) -> Sizing {
        let batch = build(
            &self.values[..records],
            self.shape.keys,
            self.shape.compression,
        );
        let (header, payload) = batch.split_at(BATCH_OVERHEAD);
        let shared = match self.shape.compression {
            Compression::None => {
                assert_eq!(
                    payload,
                    &self.plain[..self.ends[records]],
                    "batches share a prefix"
                );
                self.plain.clone()
            }
            _ => payload.into(),
        };
        let header_bits = (payload.len() >= COMBINE_FROM_BYTES).then(|| header_bits(payload.len()));
        Sizing {
            header: header.try_into().expect("a header has a fixed size"),
            records: shared,
            records_bytes: payload.len(),
            records_crc: crc32c(payload),
            header_bits,
        }
    }
}

fn record(value: &[u8], keys: u64) -> NewRecord<'_> {
    NewRecord {
        key: (keys > 0).then_some(&[0; 8]),
        value: Some(value),
        ..NewRecord::default()
    }
}

fn build(values: &[Vec<u8>], keys: u64, compression: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions {
        compression,
        ..BatchOptions::default()
    });
    values
        .iter()
        .for_each(|value| builder.append(&record(value, keys)));
    builder.finish()
}

/// How many bytes a length takes in a record.
fn varint_bytes(length: usize) -> usize {
    let zigzag = (length as u64) << 1;
    (64 - zigzag.leading_zeros()).max(1).div_ceil(7) as usize
}

/// Writes time and producer into a header.
fn patch(header: &mut [u8; BATCH_OVERHEAD], (id, epoch, sequence): (i64, i16, i32)) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let millis = (now.as_millis() as i64).to_be_bytes();
    header[BASE_TIMESTAMP_AT..][..8].copy_from_slice(&millis);
    header[MAX_TIMESTAMP_AT..][..8].copy_from_slice(&millis);
    header[PRODUCER_ID_AT..][..8].copy_from_slice(&id.to_be_bytes());
    header[PRODUCER_EPOCH_AT..][..2].copy_from_slice(&epoch.to_be_bytes());
    header[BASE_SEQUENCE_AT..][..4].copy_from_slice(&sequence.to_be_bytes());
}

/// What each bit of a CRC becomes when `len` bytes follow what it was computed of.
fn header_bits(len: usize) -> [u32; 32] {
    std::array::from_fn(|bit| crc32c::crc32c_combine(1 << bit, 0, len))
}

fn combine(bits: &[u32; 32], crc: u32) -> u32 {
    let set = (0..32).filter(|bit| crc >> bit & 1 == 1);
    set.fold(0, |sum, bit| sum ^ bits[bit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::batch::BatchView;

    fn template(record_bytes: usize, compression: Compression) -> BatchTemplate {
        BatchTemplate::new(Shape {
            record_bytes,
            random_ratio: 0.5,
            seed: 1,
            batch_bytes_max: 16_384,
            batch_records_max: usize::MAX,
            compression,
            keys: 0,
        })
    }

    fn whole(batch: &ReadyBatch) -> Vec<u8> {
        [&batch.header[..], &batch.records[..batch.records_bytes]].concat()
    }

    #[test]
    fn batches_of_every_size_are_valid() {
        for record_bytes in [0, 10, 100, 1000] {
            let template = template(record_bytes, Compression::None);
            let mut sender = Sender::idempotent(77, 3, 2);
            let mut sequence = 0;
            for records in 1..=template.records_max() {
                let batch = template.batch(records, &mut sender, 1);
                let bytes = whole(&batch);
                assert!(bytes.len() <= 16_384 && bytes.len() == batch.bytes());
                let view = BatchView::first_of(&bytes).expect("a batch");
                view.validate_relaxed().expect("valid");
                assert_eq!(view.header.base_sequence, sequence);
                assert_eq!(view.records().expect("plain").count(), records as usize);
                sequence += records as i32;
            }
        }
    }

    #[test]
    fn compressed_batches_are_valid() {
        for compression in Compression::ALL {
            let template = template(100, compression);
            for records in [1, 2, template.records_max()] {
                let bytes = whole(&template.batch(records, &mut Sender::plain(), 0));
                let view = BatchView::first_of(&bytes).expect("a batch");
                view.validate_relaxed().expect("valid");
                assert_eq!(view.compression(), Ok(compression));
                assert_eq!(view.header.records_count, records as i32);
            }
        }
    }

    #[test]
    fn stamps_stand_at_the_front_of_the_values() {
        let template = template(100, Compression::None);
        let stamp = |record| Nanos(1_000_000 + record);
        let batch = template.stamped_batch(70, &mut Sender::plain(), 0, stamp);
        let bytes = whole(&batch);
        let view = BatchView::first_of(&bytes).expect("a batch");
        view.validate_relaxed().expect("valid");
        for (at, record) in view.records().expect("plain").enumerate() {
            let value = record.expect("record").value.expect("value");
            assert_eq!(value.len(), 100);
            assert_eq!(value[..8], stamp(at as u64).0.to_be_bytes());
        }
    }

    #[test]
    fn keys_come_in_turn_and_batches_stay_valid() {
        for record_bytes in [8, 63, 64, 1000] {
            let template = BatchTemplate::new(Shape {
                record_bytes,
                keys: 50,
                ..*template(record_bytes, Compression::None).shape()
            });
            let mut sender = Sender::plain();
            let mut seen = std::collections::HashMap::new();
            for _ in 0..25 {
                let bytes = whole(&template.batch(8, &mut sender, 0));
                let view = BatchView::first_of(&bytes).expect("a batch");
                view.validate_relaxed().expect("valid");
                for record in view.records().expect("plain").map(Result::unwrap) {
                    assert_eq!(record.value.map(<[u8]>::len), Some(record_bytes));
                    *seen.entry(record.key.expect("a key").to_vec()).or_insert(0) += 1;
                }
            }
            assert_eq!(seen.len(), 50);
            assert!(seen.values().all(|&times| times == 4), "{seen:?}");
        }
    }

    #[test]
    fn one_record_is_allowed_however_large() {
        assert_eq!(template(100_000, Compression::None).records_max(), 1);
    }
}
