//! Metadata: brokers, topics and their partitions; creates topics that are asked for and not
//! there, if both sides allow it (KIP-4, 204, 516).

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;

use controller::image::{Image, Topic};
use controller::topic_name;
use controller::topics::Mode;
use protocol::error::ErrorCode;
use protocol::messages::metadata::in_frame::MetadataRequest;
use protocol::messages::metadata::{
    MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use protocol::wire::{Elements, Encoder};

use super::names::{Names, Seen};
use super::walk::breathe;

use crate::authorized_operations;
use crate::handle::create_topics;
use crate::partition::PartitionKey;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Versions from this one ask for topics by id.
const BY_ID_SINCE: i16 = 12;

/// How many topics are created together.
const CREATED_TOGETHER_MAX: usize = 1000;
/// How much of an answer is written before others work.
const BYTES_A_TURN: usize = 256 * 1024;
/// What a topic and a partition take in an answer, about: to wait for the memory before it is written.
const TOPIC_BYTES: usize = 100;
const PARTITION_BYTES: usize = 50;

/// What a request asks for.
enum Wanted<'a> {
    All,
    ByName(Elements<'a, MetadataRequestTopic<'a>>),
    ById(Elements<'a, MetadataRequestTopic<'a>>),
}

/// Answers a Metadata request.
pub async fn metadata(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(MetadataRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let version = request.version();
    let wanted = match wanted(&body, version) {
        Ok(wanted) => wanted,
        Err(reason) => return Outcome::Close(reason),
    };
    let create = body.allow_auto_topic_creation && shard.config.auto_create_topics_enable;
    let mut refused = HashMap::new();
    if let Wanted::ByName(topics) = wanted
        && create
    {
        refused = create_missing(&shard, topics).await;
    }
    let image = shard.image();
    if let Wanted::All = wanted {
        request.wait_for_room(&shard, answer_bytes(&image)).await;
    }
    let brokers = shard.node.brokers_for(&image, request.listener);
    let tell_cluster = body.include_cluster_authorized_operations && version <= 10;
    let response = MetadataResponse {
        brokers: brokers
            .iter()
            .map(|broker| MetadataResponseBroker {
                node_id: broker.id.0,
                host: Cow::Borrowed(&broker.host),
                port: i32::from(broker.port),
                rack: broker.rack.as_deref().map(Cow::Borrowed),
            })
            .collect(),
        cluster_id: Some(Cow::Borrowed(image.cluster_id())),
        controller_id: shard.node.broker_id.0,
        cluster_authorized_operations: match tell_cluster {
            true => authorized_operations::CLUSTER,
            false => authorized_operations::NOT_ASKED,
        },
        ..Default::default()
    };
    let count = match wanted {
        Wanted::All => image.topics().count(),
        Wanted::ByName(topics) | Wanted::ById(topics) => topics.len(),
    };
    let mut encoder = request.begin_reply();
    response.begin(&mut encoder, version, count);
    let begins_at = encoder.len();
    let mut topics = Topics {
        shard: &shard,
        image: &image,
        refused,
        operations: match body.include_topic_authorized_operations {
            true => authorized_operations::TOPIC,
            false => authorized_operations::NOT_ASKED,
        },
        version,
        count: 0,
        breathed_at: begins_at,
        encoder: &mut encoder,
    };
    topics.write(&wanted).await;
    let told = topics.count;
    encoder.recount(begins_at, count, told);
    response.end_topics(&mut encoder, version);
    request.finish_reply(encoder)
}

fn answer_bytes(image: &Image) -> usize {
    let topics = image.topics();
    topics
        .map(|topic| TOPIC_BYTES + PARTITION_BYTES * topic.partitions.len())
        .sum()
}

fn wanted<'a>(body: &MetadataRequest<'a>, version: i16) -> Result<Wanted<'a>, String> {
    let Some(topics) = body.topics else {
        return Ok(Wanted::All);
    };
    if version == 0 && topics.is_empty() {
        return Ok(Wanted::All);
    }
    let mut by_id = false;
    for topic in &topics {
        if version < BY_ID_SINCE && (topic.name.is_none() || !topic.topic_id.is_zero()) {
            return Err(format!("Metadata version {version} asks for a topic by id"));
        }
        by_id |= !topic.topic_id.is_zero();
    }
    Ok(match by_id {
        true => Wanted::ById(topics),
        false => Wanted::ByName(topics),
    })
}

/// Creates the topics that are not there, so many at a time. Answers those that could not be
/// created.
async fn create_missing(
    shard: &Rc<Shard>,
    topics: Elements<'_, MetadataRequestTopic<'_>>,
) -> HashMap<String, ErrorCode> {
    let mut refused = HashMap::new();
    let mut names = topics.iter().filter_map(|topic| topic.name);
    loop {
        let image = shard.image();
        let looked_at = names.by_ref().take(CREATED_TOGETHER_MAX);
        let (mut count, mut missing) = (0, Vec::new());
        for name in looked_at {
            count += 1;
            if image.topic(&name).is_none() && !refused.contains_key(&*name) {
                missing.push(name.into_owned());
            }
        }
        if !missing.is_empty() {
            refused.extend(create(shard, missing).await);
        }
        if count < CREATED_TOGETHER_MAX {
            return refused;
        }
    }
}

async fn create(shard: &Rc<Shard>, missing: Vec<String>) -> Vec<(String, ErrorCode)> {
    let settings = shard.config.internal_topics;
    let new = missing
        .iter()
        .map(|name| controller::topics::internal::new_topic(name, &settings))
        .collect();
    match create_topics::create(shard, new, Mode::Commit).await {
        Err(refusal) => missing
            .into_iter()
            .map(|name| (name, refusal.code))
            .collect(),
        Ok(results) => results
            .into_iter()
            .filter_map(|(name, result)| result.err().map(|refusal| (name, refusal.code)))
            // Somebody else was faster.
            .filter(|(_, code)| *code != ErrorCode::TopicAlreadyExists)
            .collect(),
    }
}

/// The topics of an answer, written one after another: each once, however often it is asked for.
struct Topics<'a> {
    shard: &'a Shard,
    image: &'a Image,
    refused: HashMap<String, ErrorCode>,
    operations: i32,
    version: i16,
    count: usize,
    /// How long the answer was when others last worked.
    breathed_at: usize,
    encoder: &'a mut Encoder,
}

impl Topics<'_> {
    async fn write(&mut self, wanted: &Wanted<'_>) {
        match wanted {
            Wanted::All => {
                for (n, topic) in self.image.topics().enumerate() {
                    self.put(known(self.shard, topic));
                    self.breathe(n).await;
                }
            }
            Wanted::ById(topics) => {
                let id_at = |place| topics.at(place).topic_id;
                self.write_each(topics, id_at, Self::put_by_id).await;
            }
            Wanted::ByName(topics) => {
                let name_at = |place| topics.at(place).name;
                self.write_each(topics, name_at, Self::put_by_name).await;
            }
        }
    }

    async fn write_each<'t, K: Hash + Eq>(
        &mut self,
        topics: &Elements<'t, MetadataRequestTopic<'t>>,
        key_at: impl Fn(u32) -> K,
        put: impl Fn(&mut Self, MetadataRequestTopic<'t>),
    ) {
        let mut names = Names::new(topics.len());
        let mut each = topics.iter();
        for n in 0..topics.len() {
            let place = each.bytes_left();
            let topic = each.next().expect("one of so many");
            if names.add(place, &key_at(place), &key_at) == Seen::First {
                put(self, topic);
            }
            self.breathe(n).await;
        }
    }

    /// Lets others work after so many topics, or so many bytes: topics have few partitions or many.
    async fn breathe(&mut self, n: usize) {
        if self.encoder.len() - self.breathed_at >= BYTES_A_TURN {
            self.breathed_at = self.encoder.len();
            ring::yield_now().await;
        }
        breathe(n).await;
    }

    fn put_by_id(&mut self, wanted: MetadataRequestTopic<'_>) {
        if wanted.topic_id.is_zero() {
            return;
        }
        match self.image.topic_by_id(wanted.topic_id) {
            Some(topic) => self.put(known(self.shard, topic)),
            None => self.put(MetadataResponseTopic {
                error_code: ErrorCode::UnknownTopicId.code(),
                name: None,
                topic_id: wanted.topic_id,
                ..Default::default()
            }),
        }
    }

    fn put_by_name(&mut self, wanted: MetadataRequestTopic<'_>) {
        let Some(name) = wanted.name else {
            return;
        };
        match self.image.topic(&name) {
            Some(topic) => self.put(known(self.shard, topic)),
            None => {
                let refused = self.refused.get(&*name).copied();
                self.put(unknown(&name, refused));
            }
        }
    }

    fn put(&mut self, topic: MetadataResponseTopic<'_>) {
        let told = MetadataResponseTopic {
            topic_authorized_operations: self.operations,
            ..topic
        };
        told.write(self.encoder, self.version);
        self.count += 1;
    }
}

fn known<'a>(shard: &Shard, topic: &'a Topic) -> MetadataResponseTopic<'a> {
    let partitions = topic.partitions.iter().map(|(index, partition)| {
        let key = PartitionKey {
            topic_id: topic.id,
            partition: *index,
        };
        let broken = shard.node.offline.contains(&key);
        let leader = partition.leader.filter(|_| !broken);
        let online = leader == Some(shard.node.broker_id);
        let ids = |ids: &[protocol::ids::BrokerId]| ids.iter().map(|id| id.0).collect();
        MetadataResponsePartition {
            error_code: match online {
                true => ErrorCode::None.code(),
                false => ErrorCode::LeaderNotAvailable.code(),
            },
            partition_index: index.0,
            leader_id: leader.map_or(-1, |leader| leader.0),
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: ids(&partition.replicas),
            isr_nodes: ids(&partition.isr),
            offline_replicas: broken
                .then_some(shard.node.broker_id.0)
                .into_iter()
                .collect(),
        }
    });
    MetadataResponseTopic {
        error_code: ErrorCode::None.code(),
        name: Some(Cow::Borrowed(&topic.name)),
        topic_id: topic.id,
        is_internal: topic_name::is_internal(&topic.name),
        partitions: partitions.collect(),
        ..Default::default()
    }
}

fn unknown(name: &str, refused: Option<ErrorCode>) -> MetadataResponseTopic<'_> {
    let error = match refused {
        Some(error) => error,
        None if topic_name::validate(name).is_err() => ErrorCode::InvalidTopicException,
        None => ErrorCode::UnknownTopicOrPartition,
    };
    MetadataResponseTopic {
        error_code: error.code(),
        name: Some(Cow::Borrowed(name)),
        is_internal: topic_name::is_internal(name),
        ..Default::default()
    }
}
