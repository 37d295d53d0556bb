//! What a client asks before it gets to work, answered just well enough: API versions, one broker
//! that leads everything, and offsets.

use std::net::SocketAddr;

use protocol::api::ApiKey;
use protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use protocol::messages::header::{RequestHeader, ResponseHeader};
use protocol::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use protocol::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use protocol::wire::{DecodeError, Decoder, EncodeError, Encoded, Encoder};

use crate::Error;

/// What the bare loops speak: (API, the only version).
const SPOKEN: [(ApiKey, i16); 5] = [
    (ApiKey::Produce, 9),
    (ApiKey::Fetch, 12),
    (ApiKey::ListOffsets, 7),
    (ApiKey::Metadata, 9),
    (ApiKey::ApiVersions, 3),
];

/// The first bytes of every request.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Which API, as a number.
    pub key: i16,
    /// Which version of it.
    pub version: i16,
    /// What the answer must repeat.
    pub correlation: i32,
}

/// What a bare loop pretends to be.
#[derive(Clone, Debug)]
pub struct Pretence {
    /// Where it listens.
    pub address: SocketAddr,
    /// The partitions of any topic: how many records each has.
    pub records: Vec<i64>,
}

impl Head {
    /// Reads key, version and correlation id; nothing else of a request.
    pub fn of(frame: &[u8]) -> Result<Head, Error> {
        let [k0, k1, v0, v1, c0, c1, c2, c3, ..] = *frame else {
            return Err(Error::Broken(
                "a request is shorter than its header".to_owned(),
            ));
        };
        Ok(Head {
            key: i16::from_be_bytes([k0, k1]),
            version: i16::from_be_bytes([v0, v1]),
            correlation: i32::from_be_bytes([c0, c1, c2, c3]),
        })
    }

    /// Whether it is a request of this API in the version that is spoken.
    pub fn is(self, key: ApiKey) -> bool {
        self.key == key.code() && SPOKEN.contains(&(key, self.version))
    }
}

/// Answers ApiVersions, Metadata or ListOffsets with a whole frame.
pub fn answer(frame: &[u8], pretence: &Pretence) -> Result<Vec<u8>, Error> {
    let head = Head::of(frame)?;
    let known = SPOKEN.into_iter().find(|&(key, _)| head.is(key));
    let encoded = match known {
        Some((ApiKey::ApiVersions, version)) => {
            let response = api_versions();
            write(ApiKey::ApiVersions, head, |out| {
                response.encode(out, version)
            })
        }
        Some((ApiKey::Metadata, version)) => {
            let request = body(frame, ApiKey::Metadata, version, |decoder| {
                MetadataRequest::decode(decoder, version)
            })?;
            let response = metadata(&request, pretence);
            write(ApiKey::Metadata, head, |out| response.encode(out, version))
        }
        Some((ApiKey::ListOffsets, version)) => {
            let request = body(frame, ApiKey::ListOffsets, version, |decoder| {
                ListOffsetsRequest::decode(decoder, version)
            })?;
            let response = list_offsets(&request, pretence);
            write(ApiKey::ListOffsets, head, |out| {
                response.encode(out, version)
            })
        }
        _ => return Err(Error::Broken(format!("a bare loop cannot answer {head:?}"))),
    };
    Ok(encoded?.bytes)
}

/// Reads the body of a request.
pub fn body<'a, T>(
    frame: &'a [u8],
    key: ApiKey,
    version: i16,
    read: impl FnOnce(&mut Decoder<'a>) -> Result<T, DecodeError>,
) -> Result<T, Error> {
    let wrap = |source| Error::Decode {
        doing: format!("reading {key:?} v{version}"),
        source,
    };
    let mut decoder = Decoder::new(frame);
    RequestHeader::decode(&mut decoder, key.spec().request_header_version(version))
        .map_err(wrap)?;
    read(&mut decoder).map_err(wrap)
}

/// Writes an answer as a whole frame.
pub fn write(
    key: ApiKey,
    head: Head,
    body: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>,
) -> Result<Encoded, Error> {
    let wrap = |source| Error::Encode {
        doing: format!("answering {key:?}"),
        source,
    };
    let mut encoder = Encoder::with_capacity(512);
    encoder.i32(0);
    let header = ResponseHeader {
        correlation_id: head.correlation,
    };
    header
        .encode(
            &mut encoder,
            key.spec().response_header_version(head.version),
        )
        .map_err(wrap)?;
    body(&mut encoder).map_err(wrap)?;
    let length = encoder.wire_len() - 4;
    encoder.patch_i32(0, length as i32);
    Ok(encoder.finish())
}

fn api_versions() -> ApiVersionsResponse<'static> {
    let spoken = |(key, version): (ApiKey, i16)| ApiVersion {
        api_key: key.code(),
        min_version: version,
        max_version: version,
    };
    ApiVersionsResponse {
        api_keys: SPOKEN.map(spoken).to_vec(),
        ..Default::default()
    }
}

fn metadata<'a>(request: &MetadataRequest<'a>, pretence: &Pretence) -> MetadataResponse<'a> {
    let partition = |index| MetadataResponsePartition {
        partition_index: index,
        leader_id: 0,
        leader_epoch: 0,
        replica_nodes: vec![0],
        isr_nodes: vec![0],
        ..MetadataResponsePartition::default()
    };
    let topics = request
        .topics
        .iter()
        .flatten()
        .map(|topic| MetadataResponseTopic {
            name: topic.name.clone(),
            partitions: (0..pretence.records.len() as i32).map(partition).collect(),
            ..MetadataResponseTopic::default()
        });
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: 0,
            host: pretence.address.ip().to_string().into(),
            port: i32::from(pretence.address.port()),
            ..MetadataResponseBroker::default()
        }],
        topics: topics.collect(),
        ..MetadataResponse::default()
    }
}

fn list_offsets<'a>(
    request: &ListOffsetsRequest<'a>,
    pretence: &Pretence,
) -> ListOffsetsResponse<'a> {
    let topics = request.topics.iter().map(|topic| ListOffsetsTopicResponse {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|asked| {
                let records = pretence
                    .records
                    .get(asked.partition_index as usize)
                    .copied();
                ListOffsetsPartitionResponse {
                    partition_index: asked.partition_index,
                    offset: if asked.timestamp == -2 {
                        0
                    } else {
                        records.unwrap_or(-1)
                    },
                    ..ListOffsetsPartitionResponse::default()
                }
            })
            .collect(),
    });
    ListOffsetsResponse {
        topics: topics.collect(),
        ..ListOffsetsResponse::default()
    }
}
