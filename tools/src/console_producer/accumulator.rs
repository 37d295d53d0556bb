//! Batches that are being filled, one a partition.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
use protocol::ids::{ProducerId, TimestampMs};

use super::line::Record;

/// A batch and since when it waits.
struct OpenBatch {
    builder: BatchBuilder,
    producer_id: ProducerId,
    since: Instant,
}

/// A batch as it is sent.
pub struct ClosedBatch {
    /// Where to.
    pub partition: i32,
    /// The producer id in it.
    pub producer_id: ProducerId,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How many records it has.
    pub records: i32,
}

/// The open batches.
#[derive(Default)]
pub struct Accumulator {
    open: BTreeMap<i32, OpenBatch>,
}

impl Accumulator {
    /// Adds a record; `options` begin a batch if none is open. Gives how large it is now.
    pub fn add(
        &mut self,
        partition: i32,
        record: &Record,
        options: impl FnOnce() -> BatchOptions,
    ) -> usize {
        let open = self.open.entry(partition).or_insert_with(|| {
            let options = options();
            OpenBatch {
                builder: BatchBuilder::new(options),
                producer_id: options.producer_id,
                since: Instant::now(),
            }
        });
        let headers = record.headers.iter();
        let headers: Vec<(&str, Option<&[u8]>)> = headers
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        open.builder.append(&NewRecord {
            timestamp: TimestampMs(now.map_or(0, |since| since.as_millis() as i64)),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        });
        open.builder.size_uncompressed()
    }

    /// When the batch that waits longest has waited for `linger`.
    pub fn next_deadline(&self, linger: Duration) -> Option<Instant> {
        self.open.values().map(|batch| batch.since + linger).min()
    }

    /// Closes the batch of a partition.
    pub fn take(&mut self, partition: i32) -> Option<ClosedBatch> {
        let batch = self.open.remove(&partition)?;
        Some(ClosedBatch {
            partition,
            producer_id: batch.producer_id,
            records: batch.builder.records_count(),
            bytes: batch.builder.finish(),
        })
    }

    /// Closes all batches that have waited for `linger`.
    pub fn take_due(&mut self, linger: Duration) -> Vec<ClosedBatch> {
        let now = Instant::now();
        let due = self
            .open
            .iter()
            .filter(|(_, batch)| batch.since + linger <= now);
        let due: Vec<i32> = due.map(|(partition, _)| *partition).collect();
        due.into_iter().filter_map(|at| self.take(at)).collect()
    }
}
