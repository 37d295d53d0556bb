//! Record batches of magic 2 by hand: built record by record, and read back as far as a consumer
//! has to understand them to know what it may hand out.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::messages::{GZIP, gzip};
use crate::raw::Body;

/// Bytes 0 to 16 of a batch come before its CRC; the CRC itself takes 17 to 20.
const CRC_AT: usize = 17;
const CRC_COVERS_FROM: usize = 21;
const RECORDS_AT: usize = 61;
const IS_TRANSACTIONAL: i16 = 0x10;
const IS_CONTROL: i16 = 0x20;

/// One record to be built.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// In milliseconds.
    pub timestamp_ms: i64,
}

impl<'a> Record<'a> {
    /// A record of now without a key.
    pub fn of_now(value: &'a [u8]) -> Record<'a> {
        // Brokers forget producers by the time of their last batch, so it must be a time of today.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("the clock is set").as_millis();
        Record {
            key: None,
            value: Some(value),
            timestamp_ms: i64::try_from(now).expect("the clock is not mad"),
        }
    }
}

/// A batch to be built.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// The producer's id, or -1.
    pub producer: i64,
    /// The producer's epoch, or -1.
    pub epoch: i16,
    /// The sequence number of the first record, or -1.
    pub sequence: i32,
    /// It is part of a transaction.
    pub transactional: bool,
    /// Its records are compressed with gzip.
    pub compressed: bool,
}

impl Batch {
    /// By no idempotent producer.
    pub const PLAIN: Batch = Batch {
        producer: -1,
        epoch: -1,
        sequence: -1,
        transactional: false,
        compressed: false,
    };

    /// The batch with these records.
    pub fn of(&self, records: &[Record<'_>]) -> Vec<u8> {
        let count = i32::try_from(records.len()).expect("test batches are small");
        let times = records.iter().map(|record| record.timestamp_ms);
        let first_ms = records.first().map_or(0, |record| record.timestamp_ms);
        let mut attributes = 0;
        let mut encoded = encode(records, first_ms);
        if self.compressed {
            attributes |= i16::from(GZIP);
            encoded = gzip(&encoded);
        }
        if self.transactional {
            attributes |= IS_TRANSACTIONAL;
        }
        let covered = Body::new()
            .i16(attributes)
            .i32(count - 1)
            .i64(first_ms)
            .i64(times.max().unwrap_or(first_ms))
            .i64(self.producer)
            .i16(self.epoch)
            .i32(self.sequence)
            .i32(count)
            .raw(&encoded);
        let length = i32::try_from(covered.0.len() + 9).expect("test batches are small");
        let front = Body::new().i64(0).i32(length).i32(-1).i8(2).i32(0);
        let mut batch = front.raw(&covered.0).0;
        let crc = crc32c::crc32c(&batch[CRC_COVERS_FROM..]);
        batch[CRC_AT..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
        batch
    }
}

fn encode(records: &[Record<'_>], first_ms: i64) -> Vec<u8> {
    let mut encoded = Body::new();
    for (delta, record) in records.iter().enumerate() {
        let delta = i32::try_from(delta).expect("test batches are small");
        let later_ms = i32::try_from(record.timestamp_ms - first_ms);
        let later_ms = later_ms.expect("the records of a test batch are close in time");
        let mut one = Body::new().i8(0).varint(later_ms).varint(delta);
        for field in [record.key, record.value] {
            one = match field {
                None => one.varint(-1),
                Some(bytes) => {
                    let length = i32::try_from(bytes.len()).expect("test values are small");
                    one.varint(length).raw(bytes)
                }
            };
        }
        let one = one.varint(0); // headers
        let length = i32::try_from(one.0.len()).expect("test values are small");
        encoded = encoded.varint(length).raw(&one.0);
    }
    encoded.0
}

/// A batch as a broker hands it out.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a>(&'a [u8]);

impl<'a> Stored<'a> {
    /// The whole batches in a record set; a consumer ignores a part of one at the end.
    pub fn all(set: &'a [u8]) -> impl Iterator<Item = Stored<'a>> {
        let mut rest = set;
        std::iter::from_fn(move || {
            let length = i32::from_be_bytes(rest.get(8..12)?.try_into().ok()?);
            let size = 12 + usize::try_from(length).expect("a length is not negative");
            let batch = rest.get(..size)?;
            rest = &rest[size..];
            Some(Stored(batch))
        })
    }

    fn i64_at(&self, at: usize) -> i64 {
        i64::from_be_bytes(self.0[at..at + 8].try_into().expect("eight bytes"))
    }

    fn attributes(&self) -> i16 {
        i16::from_be_bytes([self.0[21], self.0[22]])
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// The value of its first record, if it is not compressed; null is `None`.
    pub fn first_value(&self) -> Option<&'a [u8]> {
        let mut rest = &self.0[RECORDS_AT..];
        varint(&mut rest); // length
        rest = &rest[1..];
        varint(&mut rest); // timestamp delta
        varint(&mut rest); // offset delta
        let key_length = usize::try_from(varint(&mut rest)).unwrap_or(0);
        rest = &rest[key_length..];
        let length = usize::try_from(varint(&mut rest)).ok()?;
        rest.get(..length)
    }

    /// The offset that it was given.
    pub fn base_offset(&self) -> i64 {
        self.i64_at(0)
    }

    /// The last offset that it spans.
    pub fn last_offset(&self) -> i64 {
        let delta = i32::from_be_bytes(self.0[23..27].try_into().expect("four bytes"));
        self.base_offset() + i64::from(delta)
    }

    /// The producer's id.
    pub fn producer(&self) -> i64 {
        self.i64_at(43)
    }

    /// Whether it is part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes() & IS_TRANSACTIONAL != 0
    }

    /// Whether it holds a marker.
    pub fn is_control(&self) -> bool {
        self.attributes() & IS_CONTROL != 0
    }

    /// Whether it holds the marker of an aborted transaction: the key of its record is version 0,
    /// type 0.
    pub fn is_abort(&self) -> bool {
        // One byte each for length, attributes, timestamp delta, offset delta and key length.
        let key = &self.0[RECORDS_AT + 5..RECORDS_AT + 9];
        self.is_control() && key == [0, 0, 0, 0]
    }

    /// The offsets of its records; of a compressed one, of all that it spans.
    pub fn offsets(&self) -> Vec<i64> {
        let base = self.base_offset();
        if self.attributes() & 7 != 0 {
            return (base..=self.last_offset()).collect();
        }
        let count = i32::from_be_bytes(self.0[57..61].try_into().expect("four bytes"));
        let mut rest = &self.0[RECORDS_AT..];
        let each = (0..count).map(|_| {
            let length = varint(&mut rest);
            let (mut record, after) = rest.split_at(usize::try_from(length).expect("positive"));
            rest = after;
            record = &record[1..];
            varint(&mut record); // timestamp delta
            base + varint(&mut record)
        });
        each.collect()
    }
}

fn varint(bytes: &mut &[u8]) -> i64 {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
