//! Control records: what brokers and controllers write into logs for each other, in batches that
//! the control bit marks. Consumers skip them, but see where transactions end.
//!
//! A control record's key is its version and its type, two int16. The values of those of KRaft are
//! messages in [`crate::records::raft`].

use super::{BatchBuilder, BatchOptions, NewRecord};
use crate::ids::{ProducerEpoch, ProducerId, TimestampMs};

const KEY_VERSION: i16 = 0;
const END_MARKER_VERSION: i16 = 0;

/// What a control record says, and the type its key has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(i16)]
pub enum ControlType {
    /// The producer's open transaction on this partition was aborted.
    Abort = 0,
    /// The producer's open transaction on this partition was committed.
    Commit = 1,
    /// A KRaft leader was elected: `LeaderChangeMessage`.
    LeaderChange = 2,
    /// The first record of a snapshot: `SnapshotHeaderRecord`.
    SnapshotHeader = 3,
    /// The last record of a snapshot: `SnapshotFooterRecord`.
    SnapshotFooter = 4,
    /// The version of KRaft in use: `KRaftVersionRecord`.
    KraftVersion = 5,
    /// The voters of the KRaft quorum: `VotersRecord`.
    KraftVoters = 6,
}

impl ControlType {
    /// All types.
    pub const ALL: [ControlType; 7] = [
        ControlType::Abort,
        ControlType::Commit,
        ControlType::LeaderChange,
        ControlType::SnapshotHeader,
        ControlType::SnapshotFooter,
        ControlType::KraftVersion,
        ControlType::KraftVoters,
    ];

    /// The type that a control record's key has; None if it is cut short, or of a type that came
    /// after Kafka 3.9 and is to be skipped.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<ControlType> {
        let &[_, _, high, low, ..] = key else {
            return None;
        };
        let id = i16::from_be_bytes([high, low]);
        usize::try_from(id)
            .ok()
            .and_then(|at| ControlType::ALL.get(at))
            .copied()
    }

    /// The key of a control record of this type.
    #[must_use]
    pub fn key(self) -> [u8; 4] {
        let [a, b] = KEY_VERSION.to_be_bytes();
        let [c, d] = (self as i16).to_be_bytes();
        [a, b, c, d]
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TransactionResult {
    /// Its records count.
    Commit,
    /// Its records are skipped by whoever reads committed ones.
    Abort,
}

/// The control record that ends a transaction on one partition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EndMarker {
    /// How it ended.
    pub result: TransactionResult,
    /// The epoch of the transaction coordinator that decided.
    pub coordinator_epoch: i32,
}

impl EndMarker {
    /// The marker that a control record is; None if it is another control record, or damaged.
    #[must_use]
    pub fn parse(key: &[u8], value: Option<&[u8]>) -> Option<EndMarker> {
        let result = match ControlType::from_key(key)? {
            ControlType::Commit => TransactionResult::Commit,
            ControlType::Abort => TransactionResult::Abort,
            _ => return None,
        };
        let &[_, _, a, b, c, d, ..] = value? else {
            return None;
        };
        Some(EndMarker {
            result,
            coordinator_epoch: i32::from_be_bytes([a, b, c, d]),
        })
    }

    /// The value of the control record.
    #[must_use]
    pub fn value(&self) -> [u8; 6] {
        let [a, b] = END_MARKER_VERSION.to_be_bytes();
        let [c, d, e, f] = self.coordinator_epoch.to_be_bytes();
        [a, b, c, d, e, f]
    }

    /// The batch that ends the transaction of a producer on one partition.
    #[must_use]
    pub fn batch(
        &self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        timestamp: TimestampMs,
    ) -> Vec<u8> {
        let key = match self.result {
            TransactionResult::Commit => ControlType::Commit.key(),
            TransactionResult::Abort => ControlType::Abort.key(),
        };
        let mut builder = BatchBuilder::new(BatchOptions {
            producer_id,
            producer_epoch,
            transactional: true,
            control: true,
            ..BatchOptions::default()
        });
        builder.append(&NewRecord {
            timestamp,
            key: Some(&key),
            value: Some(&self.value()),
            headers: &[],
        });
        builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::BatchView;
    use super::*;

    #[test]
    fn types_are_known_by_their_keys() {
        for control_type in ControlType::ALL {
            assert_eq!(
                ControlType::from_key(&control_type.key()),
                Some(control_type)
            );
        }
        assert_eq!(ControlType::from_key(&[0, 0, 0, 7]), None);
        assert_eq!(ControlType::from_key(&[0, 0, 0xff, 0xff]), None);
        assert_eq!(ControlType::from_key(&[0, 0, 0]), None);
    }

    #[test]
    fn an_end_marker_is_read_back_from_its_batch() {
        for result in [TransactionResult::Commit, TransactionResult::Abort] {
            let marker = EndMarker {
                result,
                coordinator_epoch: 17,
            };
            let bytes = marker.batch(ProducerId(3), ProducerEpoch(4), TimestampMs(5));
            let batch = BatchView::first_of(&bytes).unwrap();
            batch.validate_relaxed().unwrap();
            assert!(batch.header.attributes.is_control());
            assert!(batch.header.attributes.is_transactional());
            assert_eq!(batch.header.last_sequence(), -1);
            let record = batch.records().unwrap().next().unwrap().unwrap();
            assert_eq!(
                EndMarker::parse(record.key.unwrap(), record.value),
                Some(marker)
            );
        }
    }
}
