//! Metadata: brokers, topics and their partitions; creates topics that are asked for and not
//! there, if both sides allow it (KIP-4, 204, 516).

use std::borrow::Cow;
use std::rc::Rc;

use controller::image::{Image, Topic};
use controller::topic_name;
use controller::topics::Mode;
use protocol::error::ErrorCode;
use protocol::ids::Uuid;
use protocol::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};

use crate::authorized_operations;
use crate::handle::create_topics;
use crate::partition::PartitionKey;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Versions from this one ask for topics by id.
const BY_ID_SINCE: i16 = 12;

/// What a request asks for.
enum Wanted<'a> {
    All,
    ByName(Vec<&'a str>),
    ById(Vec<Uuid>),
}

/// Answers a Metadata request.
pub async fn metadata(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(MetadataRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let wanted = match wanted(&body, request.version()) {
        Ok(wanted) => wanted,
        Err(reason) => return Outcome::Close(reason),
    };
    let create = body.allow_auto_topic_creation && shard.config.auto_create_topics_enable;
    let mut refused = Vec::new();
    if let Wanted::ByName(names) = &wanted
        && create
    {
        refused = create_missing(&shard, names).await;
    }
    let image = shard.image();
    let mut topics = topics(&shard, &image, &wanted, &refused);
    if body.include_topic_authorized_operations {
        for topic in &mut topics {
            topic.topic_authorized_operations = authorized_operations::TOPIC;
        }
    }
    let brokers = shard.node.brokers_for(&image, request.listener);
    let tell_cluster = body.include_cluster_authorized_operations && request.version() <= 10;
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
        topics,
        cluster_authorized_operations: match tell_cluster {
            true => authorized_operations::CLUSTER,
            false => authorized_operations::NOT_ASKED,
        },
        ..Default::default()
    };
    request.reply(&response, MetadataResponse::encode)
}

fn wanted<'a>(body: &'a MetadataRequest<'_>, version: i16) -> Result<Wanted<'a>, String> {
    let Some(topics) = &body.topics else {
        return Ok(Wanted::All);
    };
    if version == 0 && topics.is_empty() {
        return Ok(Wanted::All);
    }
    for topic in topics {
        if version < BY_ID_SINCE && (topic.name.is_none() || !topic.topic_id.is_zero()) {
            return Err(format!("Metadata version {version} asks for a topic by id"));
        }
    }
    let ids: Vec<Uuid> = topics
        .iter()
        .map(|topic| topic.topic_id)
        .filter(|id| !id.is_zero())
        .collect();
    if ids.is_empty() {
        let names = topics.iter().filter_map(|topic| topic.name.as_deref());
        return Ok(Wanted::ByName(names.collect()));
    }
    Ok(Wanted::ById(ids))
}

/// Creates the topics that are not there. Answers those that could not be created.
async fn create_missing(shard: &Rc<Shard>, names: &[&str]) -> Vec<(String, ErrorCode)> {
    let image = shard.image();
    let missing: Vec<String> = names
        .iter()
        .filter(|name| image.topic(name).is_none())
        .map(|name| (*name).to_owned())
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
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

fn topics<'a>(
    shard: &Shard,
    image: &'a Image,
    wanted: &Wanted<'a>,
    refused: &[(String, ErrorCode)],
) -> Vec<MetadataResponseTopic<'a>> {
    match wanted {
        Wanted::All => image.topics().map(|topic| known(shard, topic)).collect(),
        Wanted::ById(ids) => ids
            .iter()
            .map(|id| match image.topic_by_id(*id) {
                Some(topic) => known(shard, topic),
                None => MetadataResponseTopic {
                    error_code: ErrorCode::UnknownTopicId.code(),
                    name: None,
                    topic_id: *id,
                    ..Default::default()
                },
            })
            .collect(),
        Wanted::ByName(names) => {
            let mut names = names.clone();
            names.sort_unstable();
            names.dedup();
            let topics = names.into_iter().map(|name| match image.topic(name) {
                Some(topic) => known(shard, topic),
                None => unknown(name, refused),
            });
            topics.collect()
        }
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

fn unknown<'a>(name: &'a str, refused: &[(String, ErrorCode)]) -> MetadataResponseTopic<'a> {
    let error = match refused.iter().find(|(refused, _)| refused == name) {
        Some((_, ErrorCode::InvalidTopicException)) => ErrorCode::InvalidTopicException,
        Some((_, error)) => *error,
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
