//! DescribeConfigs: what holds for topics and for this broker, and where it comes from
//! (KIP-133, 226, 569).

use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;

use controller::config_source::{ConfigEntry, ConfigSource};
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

/// Answers a DescribeConfigs request.
pub async fn describe_configs(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DescribeConfigsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let image = shard.image();
    let results = body
        .resources
        .iter()
        .map(|resource| {
            let mut result = DescribeConfigsResult {
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
                ..Default::default()
            };
            match entries(&shard, &image, resource) {
                Ok(entries) => result.configs = told(entries, resource, &body, request.version()),
                Err((error, message)) => {
                    result.error_code = error.code();
                    result.error_message = Some(Cow::Owned(message));
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
            // Kafka gives no text here.
            let unknown = || (ErrorCode::UnknownTopicOrPartition, String::new());
            let topic = image.topic(name).ok_or_else(unknown)?;
            Ok(broker
                .sources()
                .describe_topic(&image.topic_overrides(&topic.name)))
        }
        BROKER if name.is_empty() => Ok(broker.describe_cluster_default()),
        BROKER => match name.parse::<i32>() {
            Ok(id) if id == shard.node.broker_id.0 => Ok(broker.describe_broker()),
            Ok(_) => Err((
                ErrorCode::InvalidRequest,
                format!(
                    "Unexpected broker id, expected {} or empty string, but received {name}",
                    shard.node.broker_id.0
                ),
            )),
            Err(_) => Err((
                ErrorCode::InvalidRequest,
                format!("Broker id must be an integer, but it is: {name}"),
            )),
        },
        other => Err((
            ErrorCode::InvalidRequest,
            format!("Unsupported resource type: {other}"),
        )),
    }
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
