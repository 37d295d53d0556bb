//! CreateTopics: decided on the metadata shard, committed to the metadata log, and answered once
//! every shard has the new partitions (KIP-4, 525).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use controller::config_source::ConfigEntry;
use controller::topics::create::{Created, NewTopic, Results};
use controller::topics::{Mode, RECORDS_PER_REQUEST_MAX};
use controller::{Refusal, topic_name};
use protocol::error::ErrorCode;
use protocol::ids::BrokerId;
use protocol::messages::create_topics::in_frame::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use protocol::wire::Elements;

use super::portions::Portions;

use crate::entropy::random_u64;
use crate::metadata_log::Change;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::{METADATA_SHARD, Shard};

/// So many settings of one topic are looked at: there are far fewer, so that among them is one that
/// is unknown or named twice.
const CONFIGS_MAX: usize = 1000;

/// Answers a CreateTopics request.
pub async fn create_topics(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(CreateTopicsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let mode = if body.validate_only {
        Mode::ValidateOnly
    } else {
        Mode::Commit
    };
    let version = request.version();
    let mut encoder = request.begin_reply();
    let response = CreateTopicsResponse::default();
    response.begin(&mut encoder, version, body.topics.len());
    let (begins_at, mut answered) = (encoder.len(), 0);
    let mut portions = Portions::new(
        &body.topics,
        |topic| topic.name,
        |topic| 1 + topic.assignments.len() + topic.configs.len(),
    )
    .await;
    let too_large = partitions_at_least(&body) > RECORDS_PER_REQUEST_MAX;
    while let Some(topics) = portions.next().await {
        for mut result in create_portion(&shard, &topics, mode, too_large, version).await {
            if !request.has_room_for_texts(&encoder) {
                result.error_message = None;
            }
            result.write(&mut encoder, version);
            answered += 1;
        }
    }
    encoder.recount(begins_at, body.topics.len(), answered);
    response.end_topics(&mut encoder, version);
    request.finish_reply(encoder)
}

/// How many partitions the topics have, where each has at least one.
fn partitions_at_least(body: &CreateTopicsRequest<'_>) -> usize {
    let partitions = body.topics.iter().map(|topic| match topic.num_partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        asked => usize::try_from(asked).unwrap_or(1),
    });
    partitions.fold(0, usize::saturating_add)
}

async fn create_portion<'a>(
    shard: &Rc<Shard>,
    portion: &[CreatableTopic<'a>],
    mode: Mode,
    too_large: bool,
    version: i16,
) -> Vec<CreatableTopicResult<'a>> {
    let mut topics: Vec<CreatableTopicResult<'a>> = Vec::new();
    let mut allowed = Vec::new();
    let mut times: HashMap<&str, usize> = HashMap::new();
    for topic in portion {
        *times.entry(&topic.name).or_default() += 1;
    }
    let mut refused_names = HashSet::new();
    for topic in portion {
        match prohibited(&topic.name, times[&*topic.name]) {
            Some(refusal) if refused_names.insert(&topic.name) => {
                topics.push(refused(&topic.name, &refusal));
            }
            Some(_) => {}
            None if too_large => {
                topics.push(refused(&topic.name, &controller::topics::too_large()))
            }
            None => allowed.push(new_topic(topic)),
        }
    }
    if !allowed.is_empty() {
        let names: Vec<String> = allowed.iter().map(|topic| topic.name.clone()).collect();
        match create(shard, allowed, mode).await {
            Err(refusal) => {
                let all = names.into_iter();
                topics.extend(all.map(|name| refused(&Cow::Owned(name), &refusal)));
            }
            Ok(results) => topics.extend(results.into_iter().map(|(name, result)| match result {
                Err(refusal) => refused(&Cow::Owned(name), &refusal),
                Ok(created) => told(name, created, version),
            })),
        }
    }
    topics
}

/// Creates topics; one result a topic, or why none was looked at.
pub async fn create(
    shard: &Rc<Shard>,
    topics: Vec<NewTopic>,
    mode: Mode,
) -> Result<Results, Refusal> {
    let node = shard.node.clone();
    let change = Change::new(move |image| {
        node.with_topic_defaults(image, |defaults| {
            controller::topics::create::create(image, defaults, &topics, mode, &mut random_u64)
        })
    });
    shard.ask(METADATA_SHARD, change).await
}

/// Why a topic that the request names so many times is not even looked at.
fn prohibited(name: &str, times: usize) -> Option<Refusal> {
    let text = if name == topic_name::CLUSTER_METADATA {
        format!("Creation of internal topic {name} is prohibited.")
    } else if times > 1 {
        "Found multiple entries for this topic.".to_owned()
    } else {
        return None;
    };
    Some(Refusal::new(ErrorCode::InvalidRequest, text))
}

fn new_topic(topic: &CreatableTopic<'_>) -> NewTopic {
    let brokers = |ids: Elements<'_, i32>| ids.iter().map(BrokerId).collect();
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .iter()
            .map(|assignment| (assignment.partition_index, brokers(assignment.broker_ids)))
            .collect(),
        configs: topic
            .configs
            .iter()
            .take(CONFIGS_MAX)
            .map(|config| {
                (
                    config.name.to_string(),
                    config.value.as_ref().map(ToString::to_string),
                )
            })
            .collect(),
    }
}

fn refused<'a>(name: &Cow<'a, str>, refusal: &Refusal) -> CreatableTopicResult<'a> {
    CreatableTopicResult {
        name: name.clone(),
        error_code: refusal.code.code(),
        error_message: refusal.message.clone().map(Cow::Owned),
        num_partitions: -1,
        replication_factor: -1,
        configs: Some(Vec::new()),
        ..Default::default()
    }
}

fn told<'a>(name: String, created: Created, version: i16) -> CreatableTopicResult<'a> {
    let with_details = version >= 5;
    CreatableTopicResult {
        name: Cow::Owned(name),
        topic_id: if version >= 7 {
            created.id
        } else {
            Default::default()
        },
        error_code: ErrorCode::None.code(),
        num_partitions: if with_details { created.partitions } else { -1 },
        replication_factor: if with_details {
            created.replication_factor
        } else {
            -1
        },
        configs: Some(match with_details {
            true => created.configs.into_iter().map(config).collect(),
            false => Vec::new(),
        }),
        ..Default::default()
    }
}

fn config(entry: ConfigEntry) -> CreatableTopicConfigs<'static> {
    CreatableTopicConfigs {
        name: Cow::Owned(entry.name),
        value: entry.value.map(Cow::Owned),
        read_only: entry.read_only,
        config_source: entry.source as i8,
        is_sensitive: entry.sensitive,
    }
}
