//! DescribeConfigs: what holds for topics, for this broker and for client metrics, and where it
//! comes from (KIP-133, 226, 569, 714).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use controller::config_source::{ConfigEntry, ConfigSource, Doc};
use controller::image::ResourceType;
use controller::{Image, topic_name};
use protocol::error::ErrorCode;
use protocol::messages::describe_configs::in_frame::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use protocol::messages::describe_configs::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
    DescribeConfigsSynonym,
};

use super::walk::breathe;

use crate::config::describe::BrokerConfig;
use crate::log_levels;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;

/// What a resource takes in an answer, about: to wait for the memory before it is written.
const RESOURCE_BYTES: usize = 4 * 1024;
/// In an answer longer than this a resource is not described again. Kafka describes it as often as
/// it is named, and a few MB of names are answered with GBs.
const REPEATED_BYTES_MAX: usize = 16 * 1024 * 1024;
const REPEATED: &str = "The resource is described already.";

/// Answers a DescribeConfigs request.
pub async fn describe_configs(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DescribeConfigsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let version = request.version();
    let image = shard.image();
    let broker = BrokerConfig::new(&shard.config, &image);
    let unexpected = unexpected(&body).await;
    let estimate = RESOURCE_BYTES * body.resources.len();
    let estimate = estimate.min(REPEATED_BYTES_MAX);
    request.wait_for_room(&shard, estimate).await;
    let mut encoder = request.begin_reply();
    let response = DescribeConfigsResponse::default();
    response.begin(&mut encoder, version, body.resources.len());
    let mut described = HashSet::new();
    for (n, resource) in body.resources.iter().enumerate() {
        let mut result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        };
        let repeated = encoder.len() > REPEATED_BYTES_MAX
            && described.contains(&(resource.resource_type, resource.resource_name.clone()));
        let entries = match &unexpected {
            Some(text) => Err((ErrorCode::InvalidRequest, text.clone())),
            None if repeated => Err((ErrorCode::InvalidRequest, REPEATED.to_owned())),
            None => entries(&shard, &broker, &image, &resource),
        };
        match entries {
            Ok(entries) => {
                if !entries.is_empty() {
                    described.insert((resource.resource_type, resource.resource_name.clone()));
                }
                result.configs = told(entries, &resource, &body, version).await;
                // To describe one takes as long as thousands of other steps.
                ring::yield_now().await;
            }
            Err((error, message)) => {
                result.error_code = error.code();
                result.error_message = Some(message)
                    .filter(|text| !text.is_empty() && request.has_room_for_texts(&encoder))
                    .map(Cow::Owned);
            }
        }
        result.write(&mut encoder, version);
        breathe(n).await;
    }
    response.end_results(&mut encoder, version);
    request.finish_reply(encoder)
}

/// As in Kafka, one resource of another type spoils all.
async fn unexpected(body: &DescribeConfigsRequest<'_>) -> Option<String> {
    for (n, resource) in body.resources.iter().enumerate() {
        if ![TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS].contains(&resource.resource_type) {
            let name = &resource.resource_name;
            return Some(format!(
                "Unexpected resource type UNKNOWN for resource {name}"
            ));
        }
        breathe(n).await;
    }
    None
}

fn entries(
    shard: &Shard,
    broker: &BrokerConfig<'_>,
    image: &Image,
    resource: &DescribeConfigsResource<'_>,
) -> Result<Vec<ConfigEntry>, (ErrorCode, String)> {
    let name = &*resource.resource_name;
    match resource.resource_type {
        TOPIC => {
            topic_name::validate(name)
                .map_err(|reason| (ErrorCode::InvalidTopicException, reason))?;
            // Kafka gives no text here: clients have their own.
            let unknown = || (ErrorCode::UnknownTopicOrPartition, String::new());
            let topic = image.topic(name).ok_or_else(unknown)?;
            Ok(broker
                .sources()
                .describe_topic(&image.topic_overrides(&topic.name)))
        }
        BROKER if name.is_empty() => Ok(broker.describe_cluster_default()),
        BROKER => {
            let expected = format!("{} or empty string,", shard.node.broker_id.0);
            check_own_id(shard, name, &expected)?;
            Ok(broker.describe_broker(&shard.live()))
        }
        BROKER_LOGGER if name.is_empty() => {
            let text = "Broker id must not be empty";
            Err((ErrorCode::InvalidRequest, text.to_owned()))
        }
        BROKER_LOGGER => {
            check_own_id(shard, name, &shard.node.broker_id.0.to_string())?;
            let levels = log_levels::all().into_iter();
            let source = ConfigSource::BrokerLogger;
            Ok(levels
                .map(|(logger, level)| plain(logger, level, source))
                .collect())
        }
        _ if name.is_empty() => {
            let text = "Client metrics subscription name must not be empty";
            Err((ErrorCode::InvalidRequest, text.to_owned()))
        }
        _ => Ok(client_metrics(image, name)),
    }
}

fn check_own_id(shard: &Shard, name: &str, expected: &str) -> Result<(), (ErrorCode, String)> {
    let invalid = |text| Err((ErrorCode::InvalidRequest, text));
    match name.parse::<i32>() {
        Ok(id) if id == shard.node.broker_id.0 => Ok(()),
        Ok(_) => invalid(format!(
            "Unexpected broker id, expected {expected} but received {name}"
        )),
        Err(_) => invalid(format!("Broker id must be an integer, but it is: {name}")),
    }
}

/// An entry of which no more is known.
fn plain(name: &str, value: &str, source: ConfigSource) -> ConfigEntry {
    ConfigEntry {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source,
        read_only: false,
        sensitive: false,
        synonyms: Vec::new(),
        kind: None,
        doc: Doc::Empty,
    }
}

fn client_metrics(image: &Image, name: &str) -> Vec<ConfigEntry> {
    let settings = image.overrides(ResourceType::ClientMetrics, name);
    let source = ConfigSource::ClientMetrics;
    let entries = settings
        .iter()
        .map(|(key, value)| plain(key, value, source));
    entries.collect()
}

async fn told<'a>(
    mut entries: Vec<ConfigEntry>,
    resource: &DescribeConfigsResource<'_>,
    body: &DescribeConfigsRequest<'_>,
    version: i16,
) -> Vec<DescribeConfigsResourceResult<'a>> {
    let wanted = resource.configuration_keys.filter(|keys| !keys.is_empty());
    if let Some(keys) = wanted {
        // The entries are few; a client may ask for millions of keys.
        let mut unwanted: HashMap<String, ConfigEntry> = entries
            .drain(..)
            .map(|entry| (entry.name.clone(), entry))
            .collect();
        for (n, key) in keys.iter().enumerate() {
            entries.extend(unwanted.remove(&*key));
            breathe(n).await;
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let entries = entries.into_iter();
    entries.map(|entry| config(entry, body, version)).collect()
}

fn config<'a>(
    entry: ConfigEntry,
    body: &DescribeConfigsRequest<'_>,
    version: i16,
) -> DescribeConfigsResourceResult<'a> {
    let synonyms = entry.synonyms.into_iter().filter(|_| body.include_synonyms);
    DescribeConfigsResourceResult {
        name: Cow::Owned(entry.name),
        value: entry.value.map(Cow::Owned),
        read_only: entry.read_only,
        is_default: version == 0 && entry.source == ConfigSource::Default,
        config_source: if version == 0 { -1 } else { entry.source as i8 },
        is_sensitive: entry.sensitive,
        synonyms: synonyms
            .map(|synonym| DescribeConfigsSynonym {
                name: Cow::Owned(synonym.name),
                value: synonym.value.map(Cow::Owned),
                source: synonym.source as i8,
            })
            .collect(),
        config_type: entry.kind.map_or(0, |kind| kind.wire_id()),
        documentation: match entry.doc {
            Doc::Text(doc) => body.include_documentation.then_some(Cow::Borrowed(doc)),
            Doc::Unknown => None,
            Doc::Empty => Some(Cow::Borrowed("")),
        },
    }
}
