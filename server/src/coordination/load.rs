//! Reading a partition of an internal topic into its machine, record by record, from the log's
//! first offset to its end.
//!
//! In stretches, between which the shard does other work. Whatever is appended meanwhile is read
//! too: nothing is awaited between the last look at the log's end and the return.

use std::io;
use std::rc::Rc;

use coordinator::machine::{BatchOrigin, Producer};
use engine::{Read, ReadFrom};
use protocol::batch::control::EndMarker;
use protocol::batch::{BatchError, BatchView};
use protocol::ids::{Offset, TimestampMs};
use protocol::legacy_record_set::{self, Entries};

use super::{Coordinator, Driver};
use crate::kafka_error;

/// How much is read at a time; a larger batch is read whole.
const STRETCH_BYTES: u32 = 128 << 10;
/// A batch's records may take so much when decompressed.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// Why a partition cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its log is not to be had.
    #[error("its log is not available: {0}")]
    NoLog(&'static str),
    /// Its files cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A batch is damaged.
    #[error("the batch at offset {0} is damaged: {1}")]
    Batch(Offset, String),
}

/// Replays the log into the driver's machine. Answers how many records there were.
pub async fn replay<C: Coordinator>(driver: &Rc<Driver<C>>) -> Result<u64, LoadError> {
    let mut loading = Loading {
        driver,
        next: Offset::ZERO,
        looked_to: Offset::ZERO,
        records: 0,
        scratch: Vec::new(),
    };
    while let Some(read) = loading.plan()? {
        let slice = match read {
            Read::Ready(slice) => slice,
            Read::Pending(plan) => plan.run().await?,
        };
        if slice.is_empty() {
            // Compaction took what was there; more may have come behind it since.
            loading.next = loading.looked_to;
            continue;
        }
        let bytes = slice.bytes().await?.freeze();
        loading.replay_stretch(&bytes)?;
        ring::yield_to_end_of_turn().await;
    }
    Ok(loading.records)
}

struct Loading<'a, C: Coordinator> {
    driver: &'a Driver<C>,
    next: Offset,
    /// The log's end as it was when the read under way was planned.
    looked_to: Offset,
    records: u64,
    scratch: Vec<u8>,
}

impl<C: Coordinator> Loading<'_, C> {
    /// What is to be read next, if there is anything.
    fn plan(&mut self) -> Result<Option<Read>, LoadError> {
        let log = self.driver.partition().log();
        let log = log.map_err(|error| LoadError::NoLog(error.name()))?;
        self.next = self.next.max(log.log_start_offset());
        self.looked_to = log.log_end_offset();
        if self.next >= self.looked_to {
            return Ok(None);
        }
        let from = ReadFrom {
            offset: self.next,
            upper_bound: self.looked_to,
            bytes_max: STRETCH_BYTES,
            min_one_batch: true,
        };
        let read = log.read(from);
        let read = read.map_err(|error| LoadError::NoLog(kafka_error::of_read(&error).name()))?;
        Ok(Some(read))
    }

    /// Replays the batches that are whole.
    fn replay_stretch(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let begin = self.next;
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = match BatchView::first_of(rest) {
                Ok(batch) => {
                    self.replay_batch(&batch)?;
                    batch.bytes.len()
                }
                Err(BatchError::OtherMagic(0 | 1)) => match self.replay_old(rest)? {
                    Some(taken) => taken,
                    None => break,
                },
                Err(BatchError::Truncated { .. }) => break,
                Err(error) => return Err(LoadError::Batch(self.next, error.to_string())),
            };
            rest = &rest[taken..];
        }
        match self.next > begin {
            true => Ok(()),
            false => Err(LoadError::Batch(begin, "it is not whole".to_owned())),
        }
    }

    fn replay_batch(&mut self, batch: &BatchView<'_>) -> Result<(), LoadError> {
        let header = &batch.header;
        let damaged = |error: BatchError| LoadError::Batch(header.base_offset, error.to_string());
        batch.validate_relaxed().map_err(damaged)?;
        let producer = Producer {
            id: header.producer_id,
            epoch: header.producer_epoch,
        };
        let origin = BatchOrigin {
            producer: header.attributes.is_transactional().then_some(producer),
            timestamp: header.max_timestamp,
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        let records = batch.records_in(&mut scratch, DECOMPRESSED_BYTES_MAX);
        for record in records.map_err(damaged)? {
            let record = record.map_err(damaged)?;
            self.records += 1;
            if !header.attributes.is_control() {
                self.replay_record(&origin, record.offset, record.key, record.value);
            } else if let Some(marker) =
                EndMarker::parse(record.key.unwrap_or_default(), record.value)
            {
                let replay = |machine: &mut C| {
                    machine.replay_marker(producer, marker.result, record.offset);
                };
                self.driver.with_machine(replay);
            }
        }
        self.scratch = scratch;
        self.next = header.last_offset().next();
        Ok(())
    }

    /// Replays a message of the formats before batches, as an adopted log may have them. Answers
    /// its size, or that it is not whole.
    fn replay_old(&mut self, bytes: &[u8]) -> Result<Option<usize>, LoadError> {
        let mut entries = Entries::new(bytes);
        let Some(Ok(_)) = entries.next() else {
            return Ok(None);
        };
        let size = entries.position();
        let mut last = self.next;
        let mut each = |record: legacy_record_set::LegacyRecord<'_>| {
            let origin = BatchOrigin {
                producer: None,
                timestamp: record.timestamp.unwrap_or(TimestampMs::NONE),
            };
            self.records += 1;
            self.replay_record(&origin, record.offset, record.key, record.value);
            last = last.max(record.offset);
        };
        legacy_record_set::read(&bytes[..size], DECOMPRESSED_BYTES_MAX, &mut each)
            .map_err(|error| LoadError::Batch(self.next, error.to_string()))?;
        self.next = last.next();
        Ok(Some(size))
    }

    /// A record that says nothing we understand is passed over, as in Kafka.
    fn replay_record(
        &self,
        origin: &BatchOrigin,
        offset: Offset,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) {
        let key = key.unwrap_or_default();
        let replay = |machine: &mut C| machine.replay(origin, offset, key, value);
        if let Err(error) = self.driver.with_machine(replay) {
            tracing::warn!(
                "{}-{}: the record at offset {offset} is passed over: {error}",
                C::TOPIC,
                self.driver.partition().key.partition
            );
        }
    }
}
