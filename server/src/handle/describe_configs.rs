//! DescribeConfigs: what holds for topics, for this broker and for client metrics, and where it
//! comes from (KIP-133, 226, 569, 714).

use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;

use controller::config_source::{ConfigEntry, ConfigSource};
use controller::image::ResourceType;
use controller::{Image, topic_name};
use protocol::error::ErrorCode;
use protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use crate::config::describe::BrokerConfig;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;

/// Answers a DescribeConfigs request.
pub async fn describe_configs(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DescribeConfigsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let image = shard.image();
    // As in Kafka, one resource of another type spoils all.
    let unexpected = body.resources.iter().find(|resource| {
        ![TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS].contains(&resource.resource_type)
    });
    let unexpected = unexpected.map(|resource| {
        format!(
            "Unexpected resource type UNKNOWN for resource {}",
            resource.resource_name
        )
    });
    let results = body
        .resources
        .iter()
        .map(|resource| {
            let mut result = DescribeConfigsResult {
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
                ..Default::default()
            };
            let entries = match &unexpected {
                Some(text) => Err((ErrorCode::InvalidRequest, text.clone())),
                None => entries(&shard, &image, resource),
            };
            match entries {
                Ok(entries) => result.configs = told(entries, resource, &body, request.version()),
                Err((error, message)) => {
                    result.error_code = error.code();
                    result.error_message = Some(message)
                        .filter(|text| !text.is_empty())
                        .map(Cow::Owned);
                }
            }
            result
        })
        .collect();
    let response = DescribeConfigsResponse {
        results,
        ..Default::default()
    };
    request.reply(&response, DescribeConfigsResponse::encode)
}

fn entries(
    shard: &Shard,
    image: &Image,
    resource: &DescribeConfigsResource<'_>,
) -> Result<Vec<ConfigEntry>, (ErrorCode, String)> {
    let name = &*resource.resource_name;
    let broker = BrokerConfig::new(&shard.config, image);
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
            Ok(Vec::new())
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

fn client_metrics(image: &Image, name: &str) -> Vec<ConfigEntry> {
    let settings = image.overrides(ResourceType::ClientMetrics, name);
    let entries = settings.iter().map(|(key, value)| ConfigEntry {
        name: key.clone(),
        value: Some(value.clone()),
        source: ConfigSource::ClientMetrics,
        read_only: false,
        sensitive: false,
        synonyms: Vec::new(),
        kind: None,
        doc: None,
    });
    entries.collect()
}

fn told<'a>(
    entries: Vec<ConfigEntry>,
    resource: &DescribeConfigsResource<'_>,
    body: &DescribeConfigsRequest<'_>,
    version: i16,
) -> Vec<DescribeConfigsResourceResult<'a>> {
    let wanted: Option<HashSet<&str>> = resource
        .configuration_keys
        .as_ref()
        .filter(|keys| !keys.is_empty())
        .map(|keys| keys.iter().map(|key| &**key).collect());
    entries
        .into_iter()
        .filter(|entry| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.contains(&*entry.name))
        })
        .map(|entry| config(entry, body, version))
        .collect()
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
        documentation: entry
            .doc
            .filter(|_| body.include_documentation)
            .map(Cow::Borrowed),
    }
}
