//! Batches as they lie in memory: walking from one to the next, and checking one.

use super::header::{
    ATTRIBUTES_AT, BASE_OFFSET_AT, BATCH_OVERHEAD, BatchHeader, CRC_AT, CRC_COVERS_FROM,
    LEADER_EPOCH_AT, LENGTH_AT, LOG_OVERHEAD, MAGIC_AT, MAX_TIMESTAMP_AT, PATCHED_LEN, RECORDS_AT,
    TimestampType,
};
use super::record::{RECORD_BYTES_MIN, RecordIter};
use super::{BatchError, Compression};
use crate::compression;
use crate::ids::{LeaderEpoch, Offset, TimestampMs};

/// Walks the batches of a record set, one after the other.
///
/// After an error it ends; [`Batches::position`] then is where the bad batch begins. Only lengths
/// and magic are looked at on the way.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Walks `bytes` from their beginning.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            failed: false,
        }
    }

    /// Where the next batch begins, in bytes from the beginning.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.position..];
        if rest.is_empty() || self.failed {
            return None;
        }
        let batch = BatchView::first_of(rest);
        match &batch {
            Ok(view) => self.position += view.bytes.len(),
            Err(_) => self.failed = true,
        }
        Some(batch)
    }
}

/// One batch: its header, and its bytes, header included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchView<'a> {
    /// The parsed header.
    pub header: BatchHeader,
    /// The whole batch.
    pub bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch at the front of `bytes`; others may follow.
    pub fn first_of(bytes: &'a [u8]) -> Result<BatchView<'a>, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        match bytes.get(..header.size()) {
            Some(bytes) => Ok(BatchView { header, bytes }),
            None => Err(BatchError::Truncated {
                needed: header.size(),
                available: bytes.len(),
            }),
        }
    }

    /// The records, as they are on the wire: compressed, if the batch is.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[RECORDS_AT..]
    }

    /// The compression, if it is one that exists.
    pub const fn compression(&self) -> Result<Compression, BatchError> {
        self.header.attributes.compression()
    }

    /// The CRC that the batch ought to have.
    #[must_use]
    pub fn computed_crc(&self) -> u32 {
        crate::checksum::crc32c(&self.bytes[CRC_COVERS_FROM..])
    }

    /// Checks what can be checked without decompressing: length, magic, CRC, compression type,
    /// counts. The CRC comes before what it covers: a damaged count is damage. Holds for every batch of
    /// an undamaged log, compacted ones too.
    pub fn validate_relaxed(&self) -> Result<(), BatchError> {
        let header = &self.header;
        let computed = self.computed_crc();
        if computed != header.crc {
            return Err(BatchError::Crc {
                stored: header.crc,
                computed,
            });
        }
        let count = header.records_count;
        let payload_bytes = self.payload().len();
        let may_hold = match self.compression()? {
            Compression::None => payload_bytes / RECORD_BYTES_MIN,
            _ => i32::MAX as usize,
        };
        if count < 0
            || header.last_offset_delta < 0
            || i64::from(count) > i64::from(header.last_offset_delta) + 1
            || count as usize > may_hold
        {
            return Err(BatchError::InvalidCount {
                count,
                last_offset_delta: header.last_offset_delta,
                payload_bytes,
            });
        }
        Ok(())
    }

    /// Checks what a client may send beyond that: offsets without gaps, at least one record, no
    /// control records, a sequence number if there is a producer id. Does not compute the CRC.
    pub fn validate_from_client(&self) -> Result<(), BatchError> {
        let header = &self.header;
        let refuse = |why| Err(BatchError::NotFromClient(why));
        if header.records_count < 1 {
            return refuse("it has no records");
        }
        if i64::from(header.records_count) != i64::from(header.last_offset_delta) + 1 {
            return refuse("its count of records does not match its offsets");
        }
        if header.attributes.is_control() {
            return refuse("it is a control batch");
        }
        if header.has_producer() && header.base_sequence < 0 {
            return refuse("it has a producer id and no sequence number");
        }
        Ok(())
    }

    /// Checks every record besides: lengths, offsets, headers' names, nothing left over. Compressed
    /// records are decompressed into `scratch`, at most `limit` bytes.
    pub fn validate_strict(&self, scratch: &mut Vec<u8>, limit: usize) -> Result<(), BatchError> {
        self.validate_relaxed()?;
        self.records_in(scratch, limit)?
            .try_for_each(|record| record.map(drop))
    }

    /// The records, decompressed into `scratch` if need be, at most `limit` bytes of them.
    pub fn records_in<'s>(
        &self,
        scratch: &'s mut Vec<u8>,
        limit: usize,
    ) -> Result<RecordIter<'s>, BatchError>
    where
        'a: 's,
    {
        let compression = self.compression()?;
        if compression == Compression::None {
            return Ok(RecordIter::new(&self.header, self.payload()));
        }
        compression::decompress(compression, self.payload(), limit, scratch)?;
        Ok(RecordIter::new(&self.header, scratch))
    }

    /// The records of an uncompressed batch.
    pub fn records(&self) -> Result<RecordIter<'a>, BatchError> {
        match self.compression()? {
            Compression::None => Ok(RecordIter::new(&self.header, self.payload())),
            _ => Err(BatchError::Compressed),
        }
    }

    /// The front of the batch, up to the CRC, with this base offset and leader epoch. What is
    /// stored is these bytes and then `bytes[PATCHED_LEN..]`; the CRC stays right.
    #[must_use]
    pub fn patched_prefix(
        &self,
        base_offset: Offset,
        leader_epoch: LeaderEpoch,
    ) -> [u8; PATCHED_LEN] {
        let mut prefix = [0; PATCHED_LEN];
        prefix[BASE_OFFSET_AT..][..8].copy_from_slice(&base_offset.0.to_be_bytes());
        prefix[LENGTH_AT..][..4].copy_from_slice(&self.header.length.to_be_bytes());
        prefix[LEADER_EPOCH_AT..][..4].copy_from_slice(&leader_epoch.0.to_be_bytes());
        prefix[MAGIC_AT] = self.bytes[MAGIC_AT];
        prefix
    }

    /// The whole header with this base offset and leader epoch, and with the broker's time in
    /// place of the producer's. What is stored is these bytes and then `bytes[RECORDS_AT..]`.
    #[must_use]
    pub fn patched_header_with_append_time(
        &self,
        base_offset: Offset,
        leader_epoch: LeaderEpoch,
        append_time: TimestampMs,
    ) -> [u8; BATCH_OVERHEAD] {
        let mut header = [0; BATCH_OVERHEAD];
        header.copy_from_slice(&self.bytes[..BATCH_OVERHEAD]);
        header[..PATCHED_LEN].copy_from_slice(&self.patched_prefix(base_offset, leader_epoch));
        let attributes = self
            .header
            .attributes
            .with_timestamp_type(TimestampType::LogAppendTime);
        header[ATTRIBUTES_AT..][..2].copy_from_slice(&attributes.0.to_be_bytes());
        header[MAX_TIMESTAMP_AT..][..8].copy_from_slice(&append_time.0.to_be_bytes());
        let crc = crate::checksum::crc32c_append(
            crate::checksum::crc32c(&header[CRC_COVERS_FROM..]),
            self.payload(),
        );
        header[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
        header
    }
}

const _: () = assert!(LOG_OVERHEAD < PATCHED_LEN && PATCHED_LEN < BATCH_OVERHEAD);
