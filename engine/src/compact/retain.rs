//! What stays of a batch. Offsets, sequence numbers and the batch's last offset never change; the
//! codec stays the producer's.
//!
//! Pure. A tombstone, and a marker of a transaction of which nothing is left, stays for
//! `delete.retention.ms` after the compaction that finds it first: that compaction writes the time
//! of its end into the batch's header (KIP-534).

use super::key_map::KeyMap;
use super::transactions::Transactions;
use crate::record_check::DECOMPRESSED_BYTES_MAX;
use crate::txn_index::Entry;
use protocol::batch::{
    Attributes, BatchBuilder, BatchHeader, BatchOptions, BatchView, Compression, NewRecord,
    RecordIter, RecordView, TimestampType, encode_batch,
};
use protocol::ids::{Offset, ProducerEpoch, ProducerId, TimestampMs};
use std::collections::HashMap;
use std::io;

/// What a producer wrote last: its sequence numbers must survive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastRecord {
    /// The last offset of its last batch of data.
    pub(crate) data: Option<Offset>,
    pub(crate) epoch: ProducerEpoch,
}

/// The rules of one compaction.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) keys: KeyMap,
    pub(crate) producers: HashMap<ProducerId, LastRecord>,
    pub(crate) now: TimestampMs,
    pub(crate) delete_retention_ms: i64,
}

/// What becomes of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Nothing,
    /// As it is.
    Whole,
    /// This in its place.
    Rewritten(Vec<u8>),
}

/// What to do with a batch, before its records are looked at.
struct Verdict {
    /// None of its records stays.
    discard: bool,
    /// It stays, even without records.
    even_if_empty: bool,
    /// It is a marker that goes when its time has come.
    waits_to_go: bool,
}

impl Rules {
    /// Decides on the next batch. A transaction that stays aborted is added to `aborted`.
    pub(crate) fn retain(
        &self,
        batch: &BatchView<'_>,
        transactions: &mut Transactions,
        aborted: &mut Vec<Entry>,
        scratch: &mut Vec<u8>,
    ) -> io::Result<Kept> {
        let header = &batch.header;
        let verdict = self.judge(batch, transactions, aborted)?;
        if verdict.discard && !verdict.even_if_empty {
            return Ok(Kept::Nothing);
        }
        if verdict.discard {
            return Ok(Kept::Rewritten(emptied(header)));
        }
        let records = batch
            .records_in(scratch, DECOMPRESSED_BYTES_MAX)
            .map_err(damaged)?;
        let (mut stay, mut tombstones) = (Vec::new(), false);
        for record in records.clone() {
            let record = record.map_err(damaged)?;
            let stays = header.attributes.is_control() || self.stays(header, &record);
            tombstones |= stays && record.value.is_none();
            stay.push(stays);
        }
        if !stay.contains(&true) {
            return Ok(match verdict.even_if_empty {
                true => Kept::Rewritten(emptied(header)),
                false => Kept::Nothing,
            });
        }
        let horizon = header.delete_horizon();
        let sets_horizon = horizon.is_none() && (tombstones || verdict.waits_to_go);
        if !stay.contains(&false) && !sets_horizon {
            return Ok(Kept::Whole);
        }
        let horizon = match sets_horizon {
            true => Some(TimestampMs(
                self.now.0.saturating_add(self.delete_retention_ms),
            )),
            false => horizon,
        };
        rewritten(header, records, &stay, horizon).map(Kept::Rewritten)
    }

    fn judge(
        &self,
        batch: &BatchView<'_>,
        transactions: &mut Transactions,
        aborted: &mut Vec<Entry>,
    ) -> io::Result<Verdict> {
        let header = &batch.header;
        let even_if_empty = header.has_producer() && self.is_last_of_producer(header);
        if !header.attributes.is_control() {
            return Ok(Verdict {
                discard: transactions.on_data(batch),
                even_if_empty,
                waits_to_go: false,
            });
        }
        let marker = transactions.on_control(batch)?;
        aborted.extend(marker.aborted);
        let is_over = header.delete_horizon().is_some_and(|at| at <= self.now);
        Ok(Verdict {
            discard: marker.may_go && is_over,
            even_if_empty,
            waits_to_go: marker.may_go,
        })
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let last = self.producers.get(&header.producer_id);
        last.is_some_and(|last| match last.data {
            Some(offset) => header.last_offset() == offset,
            None => header.attributes.is_control() && header.producer_epoch == last.epoch,
        })
    }

    fn stays(&self, header: &BatchHeader, record: &RecordView<'_>) -> bool {
        if self.is_beyond_map(record.offset) {
            return true;
        }
        let Some(key) = record.key else {
            return false;
        };
        let is_over = header.delete_horizon().is_some_and(|at| at <= self.now);
        self.is_newest(key, record.offset) && (record.value.is_some() || !is_over)
    }

    /// Whether nothing is known of the keys from an offset on.
    pub(super) fn is_beyond_map(&self, offset: Offset) -> bool {
        self.keys.latest().is_none_or(|latest| offset > latest)
    }

    pub(super) fn is_newest(&self, key: &[u8], offset: Offset) -> bool {
        let newest = self.keys.newest(key);
        newest.is_none_or(|newest| offset >= newest)
    }
}

/// The batch without its records: what is known of its producer stays known.
fn emptied(header: &BatchHeader) -> Vec<u8> {
    let mut attributes = Attributes::default()
        .with_compression(Compression::None)
        .with_timestamp_type(header.attributes.timestamp_type());
    if header.attributes.is_transactional() {
        attributes = attributes.transactional();
    }
    if header.attributes.is_control() {
        attributes = attributes.control();
    }
    let header = BatchHeader {
        attributes,
        base_timestamp: TimestampMs::NONE,
        records_count: 0,
        ..*header
    };
    encode_batch(&header, &[], Compression::None.into())
}

fn rewritten(
    header: &BatchHeader,
    records: RecordIter<'_>,
    stay: &[bool],
    delete_horizon: Option<TimestampMs>,
) -> io::Result<Vec<u8>> {
    let attributes = header.attributes;
    let by_log = attributes.timestamp_type() == TimestampType::LogAppendTime;
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: header.base_offset,
        leader_epoch: header.leader_epoch,
        compression: attributes.compression().map_err(damaged)?,
        log_append_time: by_log.then_some(header.max_timestamp),
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        transactional: attributes.is_transactional(),
        control: attributes.is_control(),
        delete_horizon,
    });
    for (record, _) in records.zip(stay).filter(|(_, stays)| **stays) {
        let RecordView {
            offset,
            timestamp,
            key,
            value,
            headers,
        } = record.map_err(damaged)?;
        let headers: Vec<_> = headers.collect();
        let record = NewRecord {
            timestamp,
            key,
            value,
            headers: &headers,
        };
        builder.append_at(offset, &record);
    }
    builder.extend_to(header.last_offset());
    Ok(builder.finish())
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
