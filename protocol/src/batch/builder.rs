//! Builds one batch from records: for the coordinators' logs, control records, compaction, tools
//! and tests. The produce path never does; it stores what clients built.

use super::header::{
    Attributes, BATCH_OVERHEAD, BatchHeader, CRC_AT, CRC_COVERS_FROM, Compression, LOG_OVERHEAD,
    TimestampType,
};
use crate::compression::{self, Encoding};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};
use crate::wire::{Encoder, varint_len, varlong_len};

/// What is said once for a whole batch. The default is a plain batch of a producer that is not
/// idempotent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchOptions {
    /// The offset of the first record, unless records are placed otherwise.
    pub base_offset: Offset,
    /// The epoch of the leader that appends the batch.
    pub leader_epoch: LeaderEpoch,
    /// How to compress the records.
    pub compression: Compression,
    /// With `Some`, the broker's time, which all records then have.
    pub log_append_time: Option<TimestampMs>,
    /// The idempotent producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The sequence number of the first record.
    pub base_sequence: i32,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
    /// Whether the records are control records.
    pub control: bool,
    /// From when on tombstones in the batch may be dropped: compaction sets it.
    pub delete_horizon: Option<TimestampMs>,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::NONE,
            compression: Compression::None,
            log_append_time: None,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: -1,
            transactional: false,
            control: false,
            delete_horizon: None,
        }
    }
}

/// A record to be put into a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NewRecord<'a> {
    /// Its timestamp.
    pub timestamp: TimestampMs,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none makes it a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers: names, with values that may be absent.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Collects the records of one batch.
#[derive(Debug)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// The header's place, and then the records, not compressed.
    encoder: Encoder,
    base_timestamp: Option<TimestampMs>,
    max_timestamp: TimestampMs,
    last_offset_delta: i32,
    records_count: i32,
}

impl BatchBuilder {
    /// A batch without records.
    #[must_use]
    pub fn new(options: BatchOptions) -> Self {
        let mut encoder = Encoder::new();
        encoder.raw(&[0; BATCH_OVERHEAD]);
        Self {
            options,
            encoder,
            base_timestamp: options.delete_horizon,
            max_timestamp: TimestampMs::NONE,
            last_offset_delta: -1,
            records_count: 0,
        }
    }

    /// How many records there are.
    #[must_use]
    pub const fn records_count(&self) -> i32 {
        self.records_count
    }

    /// How many bytes the batch would have now, not compressed.
    #[must_use]
    pub fn size_uncompressed(&self) -> usize {
        self.encoder.len()
    }

    /// Adds a record at the next offset.
    pub fn append(&mut self, record: &NewRecord<'_>) {
        self.append_at(
            self.options.base_offset + i64::from(self.last_offset_delta) + 1,
            record,
        );
    }

    /// Adds a record at `offset`: compaction keeps the records' offsets.
    ///
    /// # Panics
    /// If `offset` is not above the last record's, or too far from the base offset for a batch.
    pub fn append_at(&mut self, offset: Offset, record: &NewRecord<'_>) {
        let offset_delta = i32::try_from(offset - self.options.base_offset)
            .expect("the offsets of a batch differ by an int32");
        assert!(
            offset_delta > self.last_offset_delta,
            "offsets ascend within a batch: delta {offset_delta} after {}",
            self.last_offset_delta
        );
        let base = *self.base_timestamp.get_or_insert(record.timestamp);
        // Clients of old formats may say anything; the delta wraps, and wraps back when it is read.
        let timestamp_delta = record.timestamp.0.wrapping_sub(base.0);
        self.write(offset_delta, timestamp_delta, record);
        self.last_offset_delta = offset_delta;
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.records_count += 1;
    }

    /// Makes the batch end at `offset` though its last records are gone: compaction keeps it.
    ///
    /// # Panics
    /// If a record lies beyond it, or it is too far from the base offset for a batch.
    pub fn extend_to(&mut self, offset: Offset) {
        let delta = i32::try_from(offset - self.options.base_offset)
            .expect("the offsets of a batch differ by an int32");
        assert!(
            delta >= self.last_offset_delta,
            "a batch ends at its last record or after it"
        );
        self.last_offset_delta = delta;
    }

    fn write(&mut self, offset_delta: i32, timestamp_delta: i64, record: &NewRecord<'_>) {
        let bytes_len =
            |bytes: Option<&[u8]>| bytes.map_or(1, |b| varint_len(b.len() as i32) + b.len());
        let headers_len: usize = record
            .headers
            .iter()
            .map(|(name, value)| bytes_len(Some(name.as_bytes())) + bytes_len(*value))
            .sum();
        let len = 1
            + varlong_len(timestamp_delta)
            + varint_len(offset_delta)
            + bytes_len(record.key)
            + bytes_len(record.value)
            + varint_len(record.headers.len() as i32)
            + headers_len;
        let out = &mut self.encoder;
        out.varint(i32::try_from(len).expect("a record is smaller than 2 GiB"));
        out.i8(0);
        out.varlong(timestamp_delta);
        out.varint(offset_delta);
        write_bytes(out, record.key);
        write_bytes(out, record.value);
        out.varint(record.headers.len() as i32);
        for (name, value) in record.headers {
            write_bytes(out, Some(name.as_bytes()));
            write_bytes(out, *value);
        }
    }

    fn attributes(&self) -> Attributes {
        let options = &self.options;
        let mut attributes = Attributes::default().with_compression(options.compression);
        if options.log_append_time.is_some() {
            attributes = attributes.with_timestamp_type(TimestampType::LogAppendTime);
        }
        if options.transactional {
            attributes = attributes.transactional();
        }
        if options.control {
            attributes = attributes.control();
        }
        if options.delete_horizon.is_some() {
            attributes = attributes.with_delete_horizon();
        }
        attributes
    }

    /// The batch, as it stands in a log or a produce request.
    ///
    /// # Panics
    /// If it has neither records nor an end set by [`BatchBuilder::extend_to`].
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let encoding = self.options.compression.into();
        self.finish_with(encoding)
    }

    /// The same, compressed so, whatever the options said.
    ///
    /// # Panics
    /// As [`BatchBuilder::finish`].
    #[must_use]
    pub fn finish_with(mut self, encoding: Encoding) -> Vec<u8> {
        self.options.compression = encoding.compression;
        assert!(
            self.last_offset_delta >= 0,
            "a batch spans at least one offset"
        );
        let header = BatchHeader {
            base_offset: self.options.base_offset,
            length: 0,
            leader_epoch: self.options.leader_epoch,
            crc: 0,
            attributes: self.attributes(),
            last_offset_delta: self.last_offset_delta,
            base_timestamp: self.base_timestamp.unwrap_or(TimestampMs::NONE),
            max_timestamp: self.options.log_append_time.unwrap_or(self.max_timestamp),
            producer_id: self.options.producer_id,
            producer_epoch: self.options.producer_epoch,
            base_sequence: self.options.base_sequence,
            records_count: self.records_count,
        };
        let mut bytes = self.encoder.finish().bytes;
        if self.options.compression != Compression::None {
            let records = bytes.split_off(BATCH_OVERHEAD);
            compression::compress(encoding, &records, &mut bytes);
        }
        seal(header, &mut bytes);
        bytes
    }
}

/// The batch that has this header, but for length, CRC and compression, and these records, which
/// are not compressed: what a broker stores that compresses them otherwise than the producer did.
///
/// # Panics
/// If it would have 2 GiB or more.
#[must_use]
pub fn encode_batch(header: &BatchHeader, records: &[u8], encoding: Encoding) -> Vec<u8> {
    let mut bytes = vec![0; BATCH_OVERHEAD];
    compression::compress(encoding, records, &mut bytes);
    let attributes = header.attributes.with_compression(encoding.compression);
    seal(
        BatchHeader {
            attributes,
            ..*header
        },
        &mut bytes,
    );
    bytes
}

/// Writes the header in front of the records, with their length and CRC.
fn seal(mut header: BatchHeader, bytes: &mut [u8]) {
    header.length = i32::try_from(bytes.len() - LOG_OVERHEAD).expect("a batch is under 2 GiB");
    let front = bytes
        .first_chunk_mut::<BATCH_OVERHEAD>()
        .expect("there is room for it");
    header.write(front);
    let crc = crate::checksum::crc32c(&bytes[CRC_COVERS_FROM..]);
    bytes[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
}

fn write_bytes(out: &mut Encoder, bytes: Option<&[u8]>) {
    out.varint(bytes.map_or(-1, |bytes| bytes.len() as i32));
    out.raw(bytes.unwrap_or_default());
}
