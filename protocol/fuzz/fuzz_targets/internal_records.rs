//! Records of internal topics: two bytes choose kind and version, the rest is the record.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::records::any::AnyMetadataRecord;
use protocol::records::{consumer_protocol, group, principal, raft, transaction};
use protocol::wire::{Decoder, Encoder};

/// Decodes, encodes and decodes again.
macro_rules! check {
    ($type:ty, $frame:expr, $version:expr) => {{
        if let Ok(record) = <$type>::decode(&mut Decoder::new($frame), $version) {
            let mut e = Encoder::new();
            record
                .encode(&mut e, $version)
                .expect("what was decoded can be encoded");
            let bytes = e.finish().bytes;
            let mut d = Decoder::with_budget(&bytes, usize::MAX);
            assert_eq!(<$type>::decode(&mut d, $version), Ok(record));
        }
    }};
}

fn metadata(key: i16, frame: &[u8], version: i16) {
    let Ok(record) = AnyMetadataRecord::decode(key, &mut Decoder::new(frame), version) else {
        return;
    };
    let mut first = Encoder::new();
    record
        .encode(&mut first, version)
        .expect("what was decoded can be encoded");
    let first = first.finish().bytes;
    let mut d = Decoder::with_budget(&first, usize::MAX);
    let again =
        AnyMetadataRecord::decode(key, &mut d, version).expect("what was encoded can be decoded");
    // Not compared as values: a quota may be not a number.
    let mut second = Encoder::new();
    again
        .encode(&mut second, version)
        .expect("what was decoded can be encoded");
    assert_eq!(first, second.finish().bytes);
}

fuzz_target!(|input: &[u8]| {
    let [kind, version, frame @ ..] = input else {
        return;
    };
    let version = i16::from(*version);
    match kind {
        0..100 => metadata(i16::from(*kind), frame, version),
        100 => check!(
            consumer_protocol::ConsumerProtocolAssignment<'_>,
            frame,
            version
        ),
        101 => check!(
            consumer_protocol::ConsumerProtocolSubscription<'_>,
            frame,
            version
        ),
        102 => check!(principal::DefaultPrincipalData<'_>, frame, version),
        103 => check!(transaction::TransactionLogKey<'_>, frame, version),
        104 => check!(transaction::TransactionLogValue<'_>, frame, version),
        105 => check!(raft::KRaftVersionRecord, frame, version),
        106 => check!(raft::LeaderChangeMessage, frame, version),
        107 => check!(raft::SnapshotHeaderRecord, frame, version),
        108 => check!(raft::SnapshotFooterRecord, frame, version),
        109 => check!(raft::VotersRecord<'_>, frame, version),
        110 => check!(raft::QuorumStateData<'_>, frame, version),
        111 => check!(group::OffsetCommitKey<'_>, frame, version),
        112 => check!(group::OffsetCommitValue<'_>, frame, version),
        113 => check!(group::GroupMetadataKey<'_>, frame, version),
        114 => check!(group::GroupMetadataValue<'_>, frame, version),
        115 => check!(group::ConsumerGroupMemberMetadataValue<'_>, frame, version),
        116 => check!(
            group::ConsumerGroupPartitionMetadataValue<'_>,
            frame,
            version
        ),
        117 => check!(
            group::ConsumerGroupTargetAssignmentMemberValue,
            frame,
            version
        ),
        118 => check!(
            group::ConsumerGroupCurrentMemberAssignmentValue,
            frame,
            version
        ),
        119 => check!(group::ShareGroupMemberMetadataValue<'_>, frame, version),
        120 => check!(group::ShareGroupPartitionMetadataValue<'_>, frame, version),
        _ => {}
    }
});
