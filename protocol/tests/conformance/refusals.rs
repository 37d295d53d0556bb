//! What a version cannot carry is refused, or left out where Kafka says that it may be.

use protocol::api::ApiKey;
use protocol::messages::api_versions::ApiVersionsResponse;
use protocol::messages::fetch::{FetchRequest, FetchResponse};
use protocol::messages::header::RequestHeader;
use protocol::messages::metadata::MetadataRequest;
use protocol::messages::produce::ProduceRequest;
use protocol::wire::{DecodeError, Decoder, EncodeError, Encoder};
use std::borrow::Cow;

#[test]
fn a_value_that_a_version_lacks_is_refused() {
    let request = ProduceRequest {
        transactional_id: Some(Cow::Borrowed("t")),
        ..Default::default()
    };
    assert!(request.encode(&mut Encoder::new(), 3).is_ok());
    assert_eq!(
        request.encode(&mut Encoder::new(), 2),
        Err(EncodeError::NotInVersion {
            field: "transactional_id",
            version: 2
        })
    );
}

#[test]
fn a_value_that_may_be_ignored_is_left_out() {
    let request = FetchRequest {
        max_bytes: 5,
        ..Default::default()
    };
    let mut plain = Encoder::new();
    FetchRequest::default().encode(&mut plain, 2).unwrap();
    let mut e = Encoder::new();
    request.encode(&mut e, 2).unwrap();
    assert_eq!(e.finish(), plain.finish());
}

#[test]
fn null_is_refused_where_a_version_has_none() {
    let request = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    assert!(request.encode(&mut Encoder::new(), 1).is_ok());
    assert_eq!(
        request.encode(&mut Encoder::new(), 0),
        Err(EncodeError::UnexpectedNull {
            field: "topics",
            version: 0
        })
    );
    let frame = [0xff; 4];
    let decode = |version| MetadataRequest::decode(&mut Decoder::new(&frame), version);
    assert_eq!(decode(0), Err(DecodeError::UnexpectedNull));
    assert_eq!(decode(1).map(|request| request.topics), Ok(None));
}

#[test]
fn versions_that_do_not_exist_are_refused() {
    for version in [-1, 5, i16::MAX] {
        assert_eq!(
            ApiVersionsResponse::decode(&mut Decoder::new(&[0; 100]), version),
            Err(DecodeError::UnsupportedVersion(version))
        );
        assert_eq!(
            ApiVersionsResponse::default().encode(&mut Encoder::new(), version),
            Err(EncodeError::UnsupportedVersion(version))
        );
    }
}

#[test]
fn tagged_fields_with_their_defaults_are_not_written() {
    // librdkafka 2.0.2 cannot read them.
    let mut e = Encoder::new();
    ApiVersionsResponse::default().encode(&mut e, 3).unwrap();
    assert_eq!(e.finish().bytes, [0, 0, 1, 0, 0, 0, 0, 0]);
}

#[test]
fn a_client_id_is_never_compact() {
    let header = RequestHeader {
        request_api_key: ApiKey::Metadata.code(),
        request_api_version: 12,
        correlation_id: 7,
        client_id: Some(Cow::Borrowed("me")),
    };
    let mut e = Encoder::new();
    header.encode(&mut e, 2).unwrap();
    assert_eq!(
        e.finish().bytes,
        [0, 3, 0, 12, 0, 0, 0, 7, 0, 2, b'm', b'e', 0]
    );
}

#[test]
fn defaults_are_the_schemas() {
    let request = FetchRequest::default();
    assert_eq!((request.replica_id, request.max_bytes), (-1, i32::MAX));
    assert_eq!(request.session_epoch, -1);
    assert_eq!(FetchResponse::default().responses, []);
    assert_eq!(MetadataRequest::default().topics, Some(Vec::new()));
    assert!(MetadataRequest::default().allow_auto_topic_creation);
}
