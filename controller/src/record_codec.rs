//! Metadata records as bytes: frame version, key and version as varints, then the body.
//!
//! It must not know batches: the server puts the bytes into them as record values, without keys.
//! Versions are those that a controller writes at metadata.version 3.9-IV0, so that Kafka's own
//! tools read the log. Invariant: `decode(encode(record)) == record`.

use protocol::records::any::AnyMetadataRecord;
use protocol::wire::{DecodeError, Decoder, Encoder};

use crate::record::{BrokerRegistrationChangeRecord, Record};

/// The only frame version there ever was in a release.
const FRAME_VERSION: u32 = 1;

/// Why bytes are no record of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableRecord {
    /// A frame version that nobody has defined.
    #[error("frame version {0} is not known, only {FRAME_VERSION} is")]
    FrameVersion(u32),
    /// A key or version beyond what fits.
    #[error("{0} is too large for a record's key or version")]
    TooLarge(u32),
    /// A kind that Kafka 3.9 does not know.
    #[error("records of kind {0} are not known")]
    Kind(i16),
    /// The body is damaged or of a later version.
    #[error("a record of kind {kind} cannot be read: {source}")]
    Body {
        /// Its kind.
        kind: i16,
        /// Why not.
        source: DecodeError,
    },
}

/// The value of the log record that holds `record`.
///
/// # Panics
/// When a record has fields that its version does not have, which is our own mistake.
pub fn encode(record: &Record) -> Vec<u8> {
    let (key, version) = (key(record), version(record));
    let mut out = Encoder::new();
    out.unsigned_varint(FRAME_VERSION);
    out.unsigned_varint(key.unsigned_abs().into());
    out.unsigned_varint(version.unsigned_abs().into());
    let written = match record {
        Record::RegisterBroker(body) => body.encode(&mut out, version),
        Record::UnregisterBroker(body) => body.encode(&mut out, version),
        Record::Topic(body) => body.encode(&mut out, version),
        Record::Partition(body) => body.encode(&mut out, version),
        Record::Config(body) => body.encode(&mut out, version),
        Record::PartitionChange(body) => body.encode(&mut out, version),
        Record::FenceBroker(body) => body.encode(&mut out, version),
        Record::UnfenceBroker(body) => body.encode(&mut out, version),
        Record::RemoveTopic(body) => body.encode(&mut out, version),
        Record::FeatureLevel(body) => body.encode(&mut out, version),
        Record::ProducerIds(body) => body.encode(&mut out, version),
        Record::BrokerRegistrationChange(body) => body.encode(&mut out, version),
        Record::NoOp(body) => body.encode(&mut out, version),
        Record::ZkMigrationState(body) => body.encode(&mut out, version),
        Record::BeginTransaction(body) => body.encode(&mut out, version),
        Record::EndTransaction(body) => body.encode(&mut out, version),
        Record::AbortTransaction(body) => body.encode(&mut out, version),
        Record::RegisterController(body) => body.encode(&mut out, version),
        Record::DelegationToken(body) => body.encode(&mut out, version),
        Record::RemoveDelegationToken(body) => body.encode(&mut out, version),
        Record::UserScramCredential(body) => body.encode(&mut out, version),
        Record::RemoveUserScramCredential(body) => body.encode(&mut out, version),
        Record::ClientQuota(body) => body.encode(&mut out, version),
        Record::AccessControlEntry(body) => body.encode(&mut out, version),
        Record::RemoveAccessControlEntry(body) => body.encode(&mut out, version),
    };
    written.unwrap_or_else(|error| panic!("{record:?} has no form in version {version}: {error}"));
    out.finish().bytes
}

/// The record in the value of a log record.
pub fn decode(value: &[u8]) -> Result<Record, UnreadableRecord> {
    let mut input = Decoder::new(value);
    let damaged = |kind| move |source| UnreadableRecord::Body { kind, source };
    let frame = input.unsigned_varint();
    let (key, version) = (input.unsigned_varint(), input.unsigned_varint());
    input.status().map_err(damaged(-1))?;
    if frame != FRAME_VERSION {
        return Err(UnreadableRecord::FrameVersion(frame));
    }
    let small = |number: u32| i16::try_from(number).map_err(|_| UnreadableRecord::TooLarge(number));
    let (key, version) = (small(key)?, small(version)?);
    let body =
        AnyMetadataRecord::decode(key, &mut input, version).map_err(|source| match source {
            DecodeError::UnknownKey(kind) => UnreadableRecord::Kind(kind),
            source => UnreadableRecord::Body { kind: key, source },
        })?;
    input.expect_end().map_err(damaged(key))?;
    Ok(owned(body))
}

fn owned(body: AnyMetadataRecord<'_>) -> Record {
    use AnyMetadataRecord as Any;
    match body {
        Any::RegisterBrokerRecord(body) => Record::RegisterBroker(body.into_owned()),
        Any::UnregisterBrokerRecord(body) => Record::UnregisterBroker(body),
        Any::TopicRecord(body) => Record::Topic(body.into_owned()),
        Any::PartitionRecord(body) => Record::Partition(body),
        Any::ConfigRecord(body) => Record::Config(body.into_owned()),
        Any::PartitionChangeRecord(body) => Record::PartitionChange(body),
        Any::FenceBrokerRecord(body) => Record::FenceBroker(body),
        Any::UnfenceBrokerRecord(body) => Record::UnfenceBroker(body),
        Any::RemoveTopicRecord(body) => Record::RemoveTopic(body),
        Any::FeatureLevelRecord(body) => Record::FeatureLevel(body.into_owned()),
        Any::ProducerIdsRecord(body) => Record::ProducerIds(body),
        Any::BrokerRegistrationChangeRecord(body) => Record::BrokerRegistrationChange(body),
        Any::NoOpRecord(body) => Record::NoOp(body),
        Any::ZkMigrationStateRecord(body) => Record::ZkMigrationState(body),
        Any::BeginTransactionRecord(body) => Record::BeginTransaction(body.into_owned()),
        Any::EndTransactionRecord(body) => Record::EndTransaction(body),
        Any::AbortTransactionRecord(body) => Record::AbortTransaction(body.into_owned()),
        Any::RegisterControllerRecord(body) => Record::RegisterController(body.into_owned()),
        Any::DelegationTokenRecord(body) => Record::DelegationToken(body.into_owned()),
        Any::RemoveDelegationTokenRecord(body) => Record::RemoveDelegationToken(body.into_owned()),
        Any::UserScramCredentialRecord(body) => Record::UserScramCredential(body.into_owned()),
        Any::RemoveUserScramCredentialRecord(body) => {
            Record::RemoveUserScramCredential(body.into_owned())
        }
        Any::ClientQuotaRecord(body) => Record::ClientQuota(body.into_owned()),
        Any::AccessControlEntryRecord(body) => Record::AccessControlEntry(body.into_owned()),
        Any::RemoveAccessControlEntryRecord(body) => Record::RemoveAccessControlEntry(body),
    }
}

fn key(record: &Record) -> i16 {
    use protocol::records::metadata as wire;
    match record {
        Record::RegisterBroker(_) => wire::RegisterBrokerRecord::KEY,
        Record::UnregisterBroker(_) => wire::UnregisterBrokerRecord::KEY,
        Record::Topic(_) => wire::TopicRecord::KEY,
        Record::Partition(_) => wire::PartitionRecord::KEY,
        Record::Config(_) => wire::ConfigRecord::KEY,
        Record::PartitionChange(_) => wire::PartitionChangeRecord::KEY,
        Record::FenceBroker(_) => wire::FenceBrokerRecord::KEY,
        Record::UnfenceBroker(_) => wire::UnfenceBrokerRecord::KEY,
        Record::RemoveTopic(_) => wire::RemoveTopicRecord::KEY,
        Record::FeatureLevel(_) => wire::FeatureLevelRecord::KEY,
        Record::ProducerIds(_) => wire::ProducerIdsRecord::KEY,
        Record::BrokerRegistrationChange(_) => wire::BrokerRegistrationChangeRecord::KEY,
        Record::NoOp(_) => wire::NoOpRecord::KEY,
        Record::ZkMigrationState(_) => wire::ZkMigrationStateRecord::KEY,
        Record::BeginTransaction(_) => wire::BeginTransactionRecord::KEY,
        Record::EndTransaction(_) => wire::EndTransactionRecord::KEY,
        Record::AbortTransaction(_) => wire::AbortTransactionRecord::KEY,
        Record::RegisterController(_) => wire::RegisterControllerRecord::KEY,
        Record::DelegationToken(_) => wire::DelegationTokenRecord::KEY,
        Record::RemoveDelegationToken(_) => wire::RemoveDelegationTokenRecord::KEY,
        Record::UserScramCredential(_) => wire::UserScramCredentialRecord::KEY,
        Record::RemoveUserScramCredential(_) => wire::RemoveUserScramCredentialRecord::KEY,
        Record::ClientQuota(_) => wire::ClientQuotaRecord::KEY,
        Record::AccessControlEntry(_) => wire::AccessControlEntryRecord::KEY,
        Record::RemoveAccessControlEntry(_) => wire::RemoveAccessControlEntryRecord::KEY,
    }
}

/// The version a 3.9-IV0 controller writes: log directories are told (3.7-IV2), eligible leader
/// replicas are not yet (4.0-IV0).
fn version(record: &Record) -> i16 {
    match record {
        Record::RegisterBroker(_) => 3,
        Record::Partition(_) | Record::PartitionChange(_) => 1,
        Record::BrokerRegistrationChange(change) => registration_change_version(change),
        _ => 0,
    }
}

/// The lowest version that has what is said.
fn registration_change_version(change: &BrokerRegistrationChangeRecord) -> i16 {
    match (change.log_dirs.is_empty(), change.in_controlled_shutdown) {
        (false, _) => 2,
        (true, 0) => 0,
        (true, _) => 1,
    }
}
