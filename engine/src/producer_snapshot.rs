//! A `.snapshot` file: every producer's state at one offset, as Kafka writes it.
//!
//! Layout, big-endian: version int16 = 1; CRC-32C uint32 of all that follows; count int32; per
//! producer: id int64, epoch int16, last sequence int32, last offset int64, offset delta int32,
//! timestamp int64, coordinator epoch int32, first offset of the open transaction int64 (-1: none).
//! Only the last batch of a producer is kept. In order of their ids, as Kafka's come out as long as
//! there are few. Pure.

use crate::producer_entry::{ProducerEntry, RememberedBatch};
use protocol::checksum::crc32c;
use protocol::ids::{Offset, ProducerEpoch, ProducerId, TimestampMs};

const VERSION: i16 = 1;
const CRC_COVERS_FROM: usize = 6;
pub(crate) const HEAD_BYTES: usize = 10;
pub(crate) const ENTRY_BYTES: usize = 46;

/// Why a file is not a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("its version is {0}, not 1")]
    Version(i16),
    #[error("its CRC is wrong")]
    Crc,
    #[error("its length is not that of its entries")]
    Length,
}

/// The file's content.
pub(crate) fn encode<'a>(
    producers: impl ExactSizeIterator<Item = (ProducerId, &'a ProducerEntry)>,
) -> Vec<u8> {
    let count = producers.len();
    let mut out = Vec::with_capacity(HEAD_BYTES + count * ENTRY_BYTES);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(count as i32).to_be_bytes());
    let mut producers: Vec<_> = producers.collect();
    producers.sort_unstable_by_key(|(producer, _)| *producer);
    for (producer, entry) in producers {
        let last = entry.batches().last();
        out.extend_from_slice(&producer.0.to_be_bytes());
        out.extend_from_slice(&entry.epoch.0.to_be_bytes());
        out.extend_from_slice(&entry.last_sequence().to_be_bytes());
        out.extend_from_slice(&last.map_or(-1, |b| b.last_offset.0).to_be_bytes());
        out.extend_from_slice(&last.map_or(0, |b| b.offset_delta).to_be_bytes());
        out.extend_from_slice(&entry.last_timestamp.0.to_be_bytes());
        out.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        out.extend_from_slice(&entry.transaction_start.map_or(-1, |o| o.0).to_be_bytes());
    }
    let crc = crc32c(&out[CRC_COVERS_FROM..]);
    out[2..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
    out
}

/// Reads a file's content.
pub(crate) fn decode(content: &[u8]) -> Result<Vec<(ProducerId, ProducerEntry)>, SnapshotError> {
    let Some((head, entries)) = content.split_first_chunk::<HEAD_BYTES>() else {
        return Err(SnapshotError::Length);
    };
    let version = i16::from_be_bytes([head[0], head[1]]);
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let crc = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
    if crc != crc32c(&content[CRC_COVERS_FROM..]) {
        return Err(SnapshotError::Crc);
    }
    let count = i32::from_be_bytes([head[6], head[7], head[8], head[9]]);
    if i64::from(count) * ENTRY_BYTES as i64 != entries.len() as i64 {
        return Err(SnapshotError::Length);
    }
    Ok(entries
        .chunks_exact(ENTRY_BYTES)
        .map(decode_entry)
        .collect())
}

fn decode_entry(bytes: &[u8]) -> (ProducerId, ProducerEntry) {
    let i64_at = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let i32_at = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let last_offset = Offset(i64_at(14));
    let timestamp = TimestampMs(i64_at(26));
    let transaction_start = i64_at(38);
    let mut entry = ProducerEntry::UNKNOWN;
    entry.epoch = ProducerEpoch(i16::from_be_bytes([bytes[8], bytes[9]]));
    entry.coordinator_epoch = i32_at(34);
    entry.last_timestamp = timestamp;
    entry.transaction_start = (transaction_start >= 0).then_some(Offset(transaction_start));
    if last_offset.0 >= 0 {
        entry.remember(RememberedBatch {
            last_sequence: i32_at(10),
            last_offset,
            offset_delta: i32_at(22),
            timestamp,
        });
    }
    (ProducerId(i64_at(0)), entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<(ProducerId, ProducerEntry)> {
        let mut writer = ProducerEntry::UNKNOWN;
        writer.epoch = ProducerEpoch(3);
        writer.coordinator_epoch = 4;
        writer.last_timestamp = TimestampMs(1234);
        writer.transaction_start = Some(Offset(77));
        writer.remember(RememberedBatch {
            last_sequence: 9,
            last_offset: Offset(80),
            offset_delta: 2,
            timestamp: TimestampMs(1234),
        });
        let mut idle = ProducerEntry::UNKNOWN;
        idle.epoch = ProducerEpoch(1);
        vec![(ProducerId(1000), writer), (ProducerId(1001), idle)]
    }

    #[test]
    fn producers_are_written_and_read_back() {
        let content = encode(some().iter().map(|(p, e)| (*p, e)));
        assert_eq!(content.len(), HEAD_BYTES + 2 * ENTRY_BYTES);
        assert_eq!(decode(&content).unwrap(), some());
        assert_eq!(decode(&encode([].into_iter())).unwrap(), []);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let content = encode(some().iter().map(|(p, e)| (*p, e)));
        for bit in 0..content.len() * 8 {
            let mut damaged = content.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged).is_err(), "bit {bit}");
        }
        for cut in 0..content.len() {
            assert!(decode(&content[..cut]).is_err(), "cut at {cut}");
        }
    }
}
