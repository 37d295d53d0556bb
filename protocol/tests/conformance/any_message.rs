//! Decodes and encodes a message that is known by its kind and name.

use protocol::api::{AnyRequest, AnyResponse, ApiKey};
use protocol::messages::header::{RequestHeader, ResponseHeader};
use protocol::records::any::AnyMetadataRecord;
use protocol::records::{consumer_protocol, group, principal, raft, transaction};
use protocol::wire::{DecodeError, Decoder, Encoder};

/// Decodes the whole frame and encodes it again; also by way of a copy that does not borrow.
pub fn recode(
    kind: &str,
    name: &str,
    key: i16,
    version: i16,
    frame: &[u8],
) -> Result<Vec<u8>, DecodeError> {
    let mut d = Decoder::new(frame);
    let mut e = Encoder::new();
    macro_rules! whole {
        ($message:expr, $owned:ident => $into_owned:expr) => {{
            let message = $message?;
            d.expect_end()?;
            let $owned = message.clone();
            let owned = $into_owned;
            assert_eq!(
                owned, message,
                "{name} {version} changes when it is made owned"
            );
            owned
                .encode(&mut e, version)
                .expect("what was decoded can be encoded");
        }};
    }
    macro_rules! by_name {
        ($($module:ident: $($plain:ident)* | $($borrowing:ident)*;)*) => {
            match name {
                $($(stringify!($plain) => {
                    whole!($module::$plain::decode(&mut d, version), message => message)
                })*
                $(stringify!($borrowing) => {
                    whole!($module::$borrowing::decode(&mut d, version),
                        message => message.into_owned())
                })*)*
                "ResponseHeader" => {
                    whole!(ResponseHeader::decode(&mut d, version), message => message)
                }
                "RequestHeader" => {
                    whole!(RequestHeader::decode(&mut d, version), message => message.into_owned())
                }
                _ => panic!("{kind} {name} is not known here"),
            }
        };
    }
    let api = || ApiKey::from_code(key).ok_or(DecodeError::UnknownKey(key));
    match kind {
        "request" => whole!(AnyRequest::decode(api()?, &mut d, version), m => m.into_owned()),
        "response" => whole!(AnyResponse::decode(api()?, &mut d, version), m => m.into_owned()),
        "metadata" => whole!(AnyMetadataRecord::decode(key, &mut d, version), m => m.into_owned()),
        _ => by_name! {
            consumer_protocol: | ConsumerProtocolAssignment ConsumerProtocolSubscription;
            principal: | DefaultPrincipalData;
            transaction: | TransactionLogKey TransactionLogValue;
            raft: KRaftVersionRecord LeaderChangeMessage SnapshotFooterRecord SnapshotHeaderRecord
                | VotersRecord QuorumStateData;
            group: ConsumerGroupMetadataValue ConsumerGroupTargetAssignmentMetadataValue
                ConsumerGroupCurrentMemberAssignmentValue ConsumerGroupTargetAssignmentMemberValue
                ShareGroupMetadataValue
                | ConsumerGroupCurrentMemberAssignmentKey ConsumerGroupMemberMetadataKey
                ConsumerGroupMemberMetadataValue ConsumerGroupMetadataKey
                ConsumerGroupPartitionMetadataKey ConsumerGroupPartitionMetadataValue
                ConsumerGroupTargetAssignmentMemberKey ConsumerGroupTargetAssignmentMetadataKey
                GroupMetadataKey GroupMetadataValue OffsetCommitKey OffsetCommitValue
                ShareGroupMemberMetadataKey ShareGroupMemberMetadataValue ShareGroupMetadataKey
                ShareGroupPartitionMetadataKey ShareGroupPartitionMetadataValue;
        },
    }
    let encoded = e.finish();
    assert!(encoded.splices.is_empty());
    Ok(encoded.bytes)
}
