//! What has to be asked of a cluster before and after the load: who leads which partition, topics
//! to create and delete, offsets, producer ids. One blocking connection, one request at a time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use protocol::api::ApiKey;
use protocol::error::ErrorCode;
use protocol::ids::Uuid;
use protocol::messages::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use protocol::messages::delete_topics::{
    DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use protocol::wire::{DecodeError, Decoder, EncodeError, Encoder};

use crate::Error;
use crate::clock::Nanos;
use crate::frames;

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a new topic may take to get its leaders.
const LEADERS_WITHIN: Nanos = Nanos(30_000_000_000);
/// How long to wait before asking again.
const ASK_AGAIN_AFTER: Nanos = Nanos(20_000_000);
/// The version of ApiVersions that is asked for: every broker since 2.4 knows it.
const API_VERSIONS_VERSION: i16 = 3;
/// A topic, in requests about settings.
const RESOURCE_TOPIC: i8 = 2;
/// A setting is given a value, in such requests.
const OPERATION_SET: i8 = 0;

/// A connection to any broker of the cluster.
pub struct Cluster {
    stream: TcpStream,
    address: SocketAddr,
    versions: Vec<ApiVersion>,
    correlation: i32,
}

/// A topic and who leads its partitions.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id; zero from brokers that have none.
    pub id: Uuid,
    /// By partition: the address of its leader.
    pub leaders: Vec<SocketAddr>,
}

/// A topic to be created.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// How many replicas of each.
    pub replication_factor: i16,
    /// Its settings, as (key, value).
    pub settings: Vec<(String, String)>,
}

/// Which offset of a partition is asked for.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// The first that can be fetched.
    Earliest,
    /// The one the next record will get.
    Latest,
}

impl Topic {
    /// The leaders, each with its partitions.
    pub fn by_leader(&self) -> Vec<(SocketAddr, Vec<usize>)> {
        let mut lanes: Vec<(SocketAddr, Vec<usize>)> = Vec::new();
        for (partition, &leader) in self.leaders.iter().enumerate() {
            match lanes.iter_mut().find(|(address, _)| *address == leader) {
                Some((_, partitions)) => partitions.push(partition),
                None => lanes.push((leader, vec![partition])),
            }
        }
        lanes
    }
}

impl Cluster {
    /// Connects to the first of a comma-separated list of `host:port` that answers.
    pub fn connect(bootstrap: &str) -> Result<Cluster, Error> {
        let mut last = Error::Unusable(format!("'{bootstrap}' names no broker"));
        for name in bootstrap
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            match resolve(name).and_then(Cluster::connect_to) {
                Ok(cluster) => return Ok(cluster),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Connects to one broker and asks for its API versions.
    pub fn connect_to(address: SocketAddr) -> Result<Cluster, Error> {
        let connecting = || format!("connecting to {address}");
        let stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN);
        let stream = stream.map_err(Error::io(connecting()))?;
        stream.set_nodelay(true).map_err(Error::io(connecting()))?;
        stream
            .set_read_timeout(Some(ANSWER_WITHIN))
            .map_err(Error::io(connecting()))?;
        let mut cluster = Cluster {
            stream,
            address,
            versions: Vec::new(),
            correlation: 0,
        };
        cluster.versions = cluster.api_versions()?;
        Ok(cluster)
    }

    /// Whether a broker answers ApiVersions.
    pub fn ping(address: SocketAddr) -> Result<(), Error> {
        Cluster::connect_to(address).map(drop)
    }

    /// The version both sides know of an API: the broker's newest, at most `newest`.
    pub fn version_of(&self, key: ApiKey, oldest: i16, newest: i16) -> Result<i16, Error> {
        let offered = self.versions.iter().find(|api| api.api_key == key.code());
        let agreed = offered.map(|api| api.max_version.min(newest));
        match agreed.filter(|&version| version >= oldest) {
            Some(version) if offered.is_some_and(|api| api.min_version <= version) => Ok(version),
            _ => Err(Error::Unusable(format!(
                "{} offers no version of {key:?} between {oldest} and {newest}",
                self.address
            ))),
        }
    }

    /// Creates a topic. It may take a moment until it can be used: see `topic`.
    pub fn create_topic(&mut self, topic: &NewTopic) -> Result<(), Error> {
        let setting = |(name, value): &(String, String)| CreatableTopicConfig {
            name: name.clone().into(),
            value: Some(value.clone().into()),
        };
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.name.clone().into(),
                num_partitions: topic.partitions as i32,
                replication_factor: topic.replication_factor,
                configs: topic.settings.iter().map(setting).collect(),
                ..CreatableTopic::default()
            }],
            timeout_ms: ANSWER_WITHIN.as_millis() as i32,
            ..CreateTopicsRequest::default()
        };
        let version = self.version_of(ApiKey::CreateTopics, 2, 7)?;
        let frame = self.ask(ApiKey::CreateTopics, version, |out| {
            request.encode(out, version)
        })?;
        let response = self.read(&frame, ApiKey::CreateTopics, version, |decoder| {
            CreateTopicsResponse::decode(decoder, version)
        })?;
        for answer in &response.topics {
            Error::refused(
                || format!("creating the topic {}", topic.name),
                answer.error_code,
            )?;
        }
        Ok(())
    }

    /// Sets one of a topic's settings.
    pub fn set_topic_config(&mut self, topic: &str, name: &str, value: &str) -> Result<(), Error> {
        let version = self.version_of(ApiKey::IncrementalAlterConfigs, 0, 1)?;
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: RESOURCE_TOPIC,
                resource_name: topic.into(),
                configs: vec![AlterableConfig {
                    name: name.into(),
                    config_operation: OPERATION_SET,
                    value: Some(value.into()),
                }],
            }],
            validate_only: false,
        };
        let key = ApiKey::IncrementalAlterConfigs;
        let frame = self.ask(key, version, |out| request.encode(out, version))?;
        let response = self.read(&frame, key, version, |decoder| {
            IncrementalAlterConfigsResponse::decode(decoder, version)
        })?;
        for answer in &response.responses {
            Error::refused(|| format!("setting {name} of {topic}"), answer.error_code)?;
        }
        Ok(())
    }

    /// Deletes a topic.
    pub fn delete_topic(&mut self, name: &str) -> Result<(), Error> {
        let version = self.version_of(ApiKey::DeleteTopics, 1, 6)?;
        let by_name = || DeleteTopicState {
            name: Some(name.into()),
            ..Default::default()
        };
        let request = DeleteTopicsRequest {
            topics: if version >= 6 {
                vec![by_name()]
            } else {
                Vec::new()
            },
            topic_names: if version >= 6 {
                Vec::new()
            } else {
                vec![name.into()]
            },
            timeout_ms: ANSWER_WITHIN.as_millis() as i32,
        };
        let frame = self.ask(ApiKey::DeleteTopics, version, |out| {
            request.encode(out, version)
        })?;
        let response = self.read(&frame, ApiKey::DeleteTopics, version, |decoder| {
            DeleteTopicsResponse::decode(decoder, version)
        })?;
        for answer in &response.responses {
            Error::refused(|| format!("deleting the topic {name}"), answer.error_code)?;
        }
        Ok(())
    }

    /// A topic all of whose partitions have a leader; waits until that is so.
    pub fn topic(&mut self, name: &str) -> Result<Topic, Error> {
        let begun = Nanos::now();
        loop {
            match self.topic_now(name) {
                Err(Error::Refused { code, .. })
                    if is_passing(code) && Nanos::now().since(begun) < LEADERS_WITHIN =>
                {
                    ASK_AGAIN_AFTER.pause();
                }
                other => return other,
            }
        }
    }

    fn topic_now(&mut self, name: &str) -> Result<Topic, Error> {
        let version = self.version_of(ApiKey::Metadata, 1, 12)?;
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(name.into()),
                ..MetadataRequestTopic::default()
            }]),
            allow_auto_topic_creation: version < 4,
            ..MetadataRequest::default()
        };
        let frame = self.ask(ApiKey::Metadata, version, |out| {
            request.encode(out, version)
        })?;
        let response = self.read(&frame, ApiKey::Metadata, version, |decoder| {
            MetadataResponse::decode(decoder, version)
        })?;
        let doing = || format!("looking up the topic {name}");
        let Some(topic) = response.topics.first() else {
            return Err(Error::Broken(format!(
                "Metadata names no topic when asked for {name}"
            )));
        };
        Error::refused(doing, topic.error_code)?;
        let mut leaders = vec![None; topic.partitions.len()];
        for partition in &topic.partitions {
            Error::refused(doing, partition.error_code)?;
            let leads = |broker: &&_| broker_id(broker) == partition.leader_id;
            let no_leader = ErrorCode::LeaderNotAvailable.code();
            let Some(leader) = response.brokers.iter().find(leads) else {
                return Err(Error::Refused {
                    doing: doing(),
                    code: no_leader,
                });
            };
            let address = resolve(&format!("{}:{}", leader.host, leader.port))?;
            match leaders.get_mut(partition.partition_index as usize) {
                Some(place) => *place = Some(address),
                None => {
                    return Err(Error::Broken(format!(
                        "{name} has a hole in its partitions"
                    )));
                }
            }
        }
        let leaders = leaders.into_iter().collect::<Option<Vec<SocketAddr>>>();
        let leaders = leaders
            .ok_or_else(|| Error::Broken(format!("a partition of {name} is named twice")))?;
        Ok(Topic {
            name: name.to_owned(),
            id: topic.topic_id,
            leaders,
        })
    }

    /// Offsets of all partitions of a topic; waits until all leaders have taken over.
    pub fn offsets(topic: &Topic, end: End) -> Result<Vec<i64>, Error> {
        let begun = Nanos::now();
        let mut offsets = vec![-1; topic.leaders.len()];
        for (leader, partitions) in topic.by_leader() {
            let mut leader = Cluster::connect_to(leader)?;
            loop {
                match leader.offsets_now(topic, &partitions, end, &mut offsets) {
                    Ok(()) => break,
                    Err(Error::Refused { code, .. })
                        if is_passing(code) && Nanos::now().since(begun) < LEADERS_WITHIN =>
                    {
                        ASK_AGAIN_AFTER.pause();
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(offsets)
    }

    fn offsets_now(
        &mut self,
        topic: &Topic,
        partitions: &[usize],
        end: End,
        offsets: &mut [i64],
    ) -> Result<(), Error> {
        let timestamp = match end {
            End::Earliest => -2,
            End::Latest => -1,
        };
        let partition = |&partition: &usize| ListOffsetsPartition {
            partition_index: partition as i32,
            timestamp,
            ..ListOffsetsPartition::default()
        };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: topic.name.clone().into(),
                partitions: partitions.iter().map(partition).collect(),
            }],
            ..ListOffsetsRequest::default()
        };
        let version = self.version_of(ApiKey::ListOffsets, 1, 9)?;
        let frame = self.ask(ApiKey::ListOffsets, version, |out| {
            request.encode(out, version)
        })?;
        let response = self.read(&frame, ApiKey::ListOffsets, version, |decoder| {
            ListOffsetsResponse::decode(decoder, version)
        })?;
        for answer in response.topics.iter().flat_map(|topic| &topic.partitions) {
            let index = answer.partition_index;
            let doing = || format!("asking for the offsets of {}-{index}", topic.name);
            Error::refused(doing, answer.error_code)?;
            match offsets.get_mut(index as usize) {
                Some(offset) => *offset = answer.offset,
                None => return Err(Error::Broken(format!("an answer for partition {index}"))),
            }
        }
        Ok(())
    }

    /// A new idempotent producer: its id and epoch.
    pub fn producer_id(&mut self) -> Result<(i64, i16), Error> {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        let version = self.version_of(ApiKey::InitProducerId, 0, 4)?;
        let begun = Nanos::now();
        loop {
            let frame = self.ask(ApiKey::InitProducerId, version, |out| {
                request.encode(out, version)
            })?;
            let response = self.read(&frame, ApiKey::InitProducerId, version, |decoder| {
                InitProducerIdResponse::decode(decoder, version)
            })?;
            let passing = is_passing(response.error_code);
            if passing && Nanos::now().since(begun) < LEADERS_WITHIN {
                ASK_AGAIN_AFTER.pause();
                continue;
            }
            Error::refused(
                || "asking for a producer id".to_owned(),
                response.error_code,
            )?;
            return Ok((response.producer_id, response.producer_epoch));
        }
    }

    fn api_versions(&mut self) -> Result<Vec<ApiVersion>, Error> {
        let request = ApiVersionsRequest {
            client_software_name: frames::CLIENT_ID.into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
        };
        let (key, version) = (ApiKey::ApiVersions, API_VERSIONS_VERSION);
        let frame = self.ask(key, version, |out| request.encode(out, version))?;
        let response = self.read(&frame, key, version, |decoder| {
            ApiVersionsResponse::decode(decoder, version)
        })?;
        Error::refused(
            || "asking for the API versions".to_owned(),
            response.error_code,
        )?;
        Ok(response.api_keys)
    }

    /// Sends a request and waits for the frame that answers it.
    fn ask(
        &mut self,
        key: ApiKey,
        version: i16,
        body: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>,
    ) -> Result<Vec<u8>, Error> {
        self.correlation += 1;
        let request = frames::write_request(key, version, self.correlation, body)?;
        let doing = || format!("asking {} for {key:?}", self.address);
        (&self.stream)
            .write_all(&request.bytes)
            .map_err(Error::io(doing()))?;
        let mut length = [0; 4];
        (&self.stream)
            .read_exact(&mut length)
            .map_err(Error::io(doing()))?;
        let mut frame = Vec::new();
        let length = u64::from(u32::from_be_bytes(length));
        let read = (&self.stream).take(length).read_to_end(&mut frame);
        if read.map_err(Error::io(doing()))? as u64 != length {
            return Err(Error::Broken(format!(
                "{} closed the connection",
                self.address
            )));
        }
        Ok(frame)
    }

    fn read<'a, T>(
        &self,
        frame: &'a [u8],
        key: ApiKey,
        version: i16,
        body: impl FnOnce(&mut Decoder<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, Error> {
        frames::read_answer(frame, key, version, self.correlation, body)
    }
}

fn broker_id(broker: &protocol::messages::metadata::MetadataResponseBroker<'_>) -> i32 {
    broker.node_id
}

/// Errors that pass by themselves while a topic is new or a broker has just started.
fn is_passing(code: i16) -> bool {
    matches!(
        ErrorCode::from_code(code),
        Some(
            ErrorCode::UnknownTopicOrPartition
                | ErrorCode::LeaderNotAvailable
                | ErrorCode::NotLeaderOrFollower
                | ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable
        )
    )
}

fn resolve(name: &str) -> Result<SocketAddr, Error> {
    let doing = || format!("resolving {name}");
    let mut addresses: Vec<SocketAddr> = name
        .to_socket_addrs()
        .map_err(Error::io(doing()))?
        .collect();
    // A broker that advertises "localhost" mostly listens on 127.0.0.1.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses
        .first()
        .copied()
        .ok_or_else(|| Error::Unusable(format!("{name} has no address")))
}
