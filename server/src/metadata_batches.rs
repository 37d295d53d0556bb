//! Metadata records as batches, for the log and for its snapshots.

use controller::{Record, record_codec};
use protocol::batch::control::ControlType;
use protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
use protocol::ids::{LeaderEpoch, Offset, TimestampMs};
use protocol::records::raft::{KRaftVersionRecord, SnapshotFooterRecord, SnapshotHeaderRecord};
use protocol::wire::Encoder;

use crate::clock;
use crate::replay::KraftVersion;

/// Records of one snapshot are written in batches of this many.
const SNAPSHOT_BATCH_RECORDS_MAX: usize = 1024;

/// One batch after another, of at most so many records each. The log gives them offsets.
pub fn in_batches(records: &[Record], epoch: LeaderEpoch, records_max: usize) -> Vec<u8> {
    let timestamp = clock::now_ms();
    let batches = records.chunks(records_max).map(|records| {
        let options = BatchOptions {
            leader_epoch: epoch,
            ..Default::default()
        };
        data_batch(records, timestamp, options)
    });
    batches.collect::<Vec<_>>().concat()
}

/// A snapshot's content (KIP-630): a header, the records, a footer.
pub fn snapshot(
    records: &[Record],
    epoch: LeaderEpoch,
    last_timestamp: TimestampMs,
    kraft: &KraftVersion,
) -> Vec<u8> {
    let now = clock::now_ms();
    let mut next = Offset::ZERO;
    let mut at = |count: usize| {
        let base_offset = next;
        next = Offset(next.0 + count as i64);
        BatchOptions {
            base_offset,
            leader_epoch: epoch,
            ..Default::default()
        }
    };
    let head = head_records(last_timestamp, kraft);
    let mut content = control_batch(&head, now, at(head.len()));
    for records in records.chunks(SNAPSHOT_BATCH_RECORDS_MAX) {
        content.extend(data_batch(records, now, at(records.len())));
    }
    let mut footer = Encoder::new();
    SnapshotFooterRecord { version: 0 }
        .encode(&mut footer, 0)
        .expect("version 0 has it");
    let footer = (ControlType::SnapshotFooter, footer.finish().bytes);
    content.extend(control_batch(&[footer], now, at(1)));
    content
}

/// The header, and the quorum's version and voters where they are not static.
fn head_records(last_timestamp: TimestampMs, kraft: &KraftVersion) -> Vec<(ControlType, Vec<u8>)> {
    let mut header = Encoder::new();
    let record = SnapshotHeaderRecord {
        version: 0,
        last_contained_log_timestamp: last_timestamp.0,
    };
    record.encode(&mut header, 0).expect("version 0 has it");
    let mut head = vec![(ControlType::SnapshotHeader, header.finish().bytes)];
    if kraft.level > 0 {
        let mut version = Encoder::new();
        let record = KRaftVersionRecord {
            version: 0,
            kraft_version: kraft.level,
        };
        record.encode(&mut version, 0).expect("version 0 has it");
        head.push((ControlType::KraftVersion, version.finish().bytes));
        let voters = kraft.voters.clone();
        head.extend(voters.map(|voters| (ControlType::KraftVoters, voters)));
    }
    head
}

fn data_batch(records: &[Record], timestamp: TimestampMs, options: BatchOptions) -> Vec<u8> {
    let mut batch = BatchBuilder::new(options);
    for record in records {
        let value = record_codec::encode(record);
        batch.append(&NewRecord {
            timestamp,
            value: Some(&value),
            ..Default::default()
        });
    }
    batch.finish()
}

fn control_batch(
    records: &[(ControlType, Vec<u8>)],
    timestamp: TimestampMs,
    options: BatchOptions,
) -> Vec<u8> {
    let mut batch = BatchBuilder::new(BatchOptions {
        control: true,
        ..options
    });
    for (kind, value) in records {
        batch.append(&NewRecord {
            timestamp,
            key: Some(&kind.key()),
            value: Some(value),
            ..Default::default()
        });
    }
    batch.finish()
}
