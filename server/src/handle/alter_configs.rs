//! AlterConfigs and IncrementalAlterConfigs: settings of topics, brokers and client metrics
//! subscriptions (KIP-133, 226, 339, 714). The first gives all overrides anew, the second changes
//! single ones. They hold as soon as they are answered.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use controller::alter_configs::{
    BrokerRules, Change as KeyChange, alter_broker, alter_client_metrics, alter_topic,
};
use controller::image::ResourceType;
use controller::{Decision, Image, Record, Refusal};
use protocol::error::ErrorCode;
use protocol::messages::alter_configs::{self as whole, AlterConfigsResponse};
use protocol::messages::incremental_alter_configs::{
    self as single, IncrementalAlterConfigsResponse,
};
use protocol::wire::{Elements, Encoder};

use super::portions::Portions;
use super::refusal::{code_of, message_of};

use crate::config::describe::BrokerConfig;
use crate::config::dynamic::{self, Level};
use crate::log_levels;
use crate::metadata_log::Change;
use crate::node::Node;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::{METADATA_SHARD, Shard};

/// The resource type of this process's loggers, which have no metadata.
const BROKER_LOGGER: i8 = 8;

/// Operations of the incremental form.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// What is to become of one resource.
struct Wanted {
    kind: i8,
    name: String,
    changes: Changes,
}

enum Changes {
    /// These, and no other override.
    Whole(Vec<(String, Option<String>)>),
    /// These: key, operation, value.
    Single(Vec<(String, i8, Option<String>)>),
}

/// So many settings of one resource are looked at: there are far fewer, so that among them is one
/// that is unknown or named twice.
const CONFIGS_MAX: usize = 1000;

/// A resource of a request of either form.
trait Resource<'a>: Clone {
    /// Its type and name.
    fn key(self) -> (i8, Cow<'a, str>);
    /// How many settings of it are named.
    fn configs_len(&self) -> usize;
    /// What is to become of the first of them.
    fn changes(&self) -> Changes;
    /// Writes what became of it.
    fn tell(self, told: Told, encoder: &mut Encoder, version: i16);
}

/// What became of a resource: a code, and words if there are some and there is room for them.
struct Told {
    error_code: i16,
    error_message: Option<Cow<'static, str>>,
}

/// Answers an IncrementalAlterConfigs request.
pub async fn incremental_alter_configs(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(single::in_frame::IncrementalAlterConfigsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let mut encoder = request.begin_reply();
    let response = IncrementalAlterConfigsResponse::default();
    response.begin(&mut encoder, request.version(), body.resources.len());
    let (resources, validate_only) = (&body.resources, body.validate_only);
    alter_each(&shard, &request, resources, validate_only, &mut encoder).await;
    response.end_responses(&mut encoder, request.version());
    request.finish_reply(encoder)
}

/// Answers an AlterConfigs request.
pub async fn alter_configs(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(whole::in_frame::AlterConfigsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let mut encoder = request.begin_reply();
    let response = AlterConfigsResponse::default();
    response.begin(&mut encoder, request.version(), body.resources.len());
    let (resources, validate_only) = (&body.resources, body.validate_only);
    alter_each(&shard, &request, resources, validate_only, &mut encoder).await;
    response.end_responses(&mut encoder, request.version());
    request.finish_reply(encoder)
}

/// Alters the resources of a request, portion by portion, and writes what became of each.
async fn alter_each<'a, R: Resource<'a>>(
    shard: &Rc<Shard>,
    request: &Request,
    resources: &Elements<'a, R>,
    validate_only: bool,
    encoder: &mut Encoder,
) {
    let (begins_at, mut answered) = (encoder.len(), 0);
    let cost = |resource: &R| 1 + resource.configs_len().min(CONFIGS_MAX);
    let mut portions = Portions::new(resources, R::key, cost).await;
    while let Some(portion) = portions.next().await {
        let wanted = portion.iter().map(|resource| {
            let (kind, name) = resource.clone().key();
            Wanted {
                kind,
                name: name.into_owned(),
                changes: resource.changes(),
            }
        });
        let results = alter(shard, wanted.collect(), validate_only).await;
        for (resource, result) in portion.into_iter().zip(results) {
            let told = Told {
                error_code: code_of(&result),
                error_message: message_of(result).filter(|_| request.has_room_for_texts(encoder)),
            };
            resource.tell(told, encoder, request.version());
            answered += 1;
        }
    }
    encoder.recount(begins_at, resources.len(), answered);
}

impl<'a> Resource<'a> for single::in_frame::AlterConfigsResource<'a> {
    fn key(self) -> (i8, Cow<'a, str>) {
        (self.resource_type, self.resource_name)
    }

    fn configs_len(&self) -> usize {
        self.configs.len()
    }

    fn changes(&self) -> Changes {
        let configs = self.configs.iter().take(CONFIGS_MAX);
        let changes = configs.map(|config| {
            let value = config.value.map(Cow::into_owned);
            (config.name.into_owned(), config.config_operation, value)
        });
        Changes::Single(changes.collect())
    }

    fn tell(self, told: Told, encoder: &mut Encoder, version: i16) {
        let told = single::AlterConfigsResourceResponse {
            error_code: told.error_code,
            error_message: told.error_message,
            resource_type: self.resource_type,
            resource_name: self.resource_name,
        };
        told.write(encoder, version);
    }
}

impl<'a> Resource<'a> for whole::in_frame::AlterConfigsResource<'a> {
    fn key(self) -> (i8, Cow<'a, str>) {
        (self.resource_type, self.resource_name)
    }

    fn configs_len(&self) -> usize {
        self.configs.len()
    }

    fn changes(&self) -> Changes {
        let configs = self.configs.iter().take(CONFIGS_MAX);
        let changes = configs.map(|config| {
            let value = config.value.map(Cow::into_owned);
            (config.name.into_owned(), value)
        });
        Changes::Whole(changes.collect())
    }

    fn tell(self, told: Told, encoder: &mut Encoder, version: i16) {
        let told = whole::AlterConfigsResourceResponse {
            error_code: told.error_code,
            error_message: told.error_message,
            resource_type: self.resource_type,
            resource_name: self.resource_name,
        };
        told.write(encoder, version);
    }
}

/// Decides on each resource by itself and commits what may be, unless it was only to be checked.
async fn alter(
    shard: &Rc<Shard>,
    wanted: Vec<Wanted>,
    validate_only: bool,
) -> Vec<Result<(), Refusal>> {
    let (node, count) = (shard.node.clone(), wanted.len());
    let change = Change::new(move |image| {
        let mut times: HashMap<(i8, &str), usize> = HashMap::new();
        for resource in &wanted {
            *times.entry((resource.kind, &resource.name)).or_default() += 1;
        }
        let mut records = Vec::new();
        let outcome = wanted
            .iter()
            .map(|resource| {
                resource.check(&times)?;
                match resource.kind {
                    BROKER_LOGGER => alter_log_levels(&node, resource, validate_only),
                    _ => {
                        records.extend(decide(&node, image, resource)?);
                        Ok(())
                    }
                }
            })
            .collect();
        if validate_only {
            records.clear();
        }
        Ok(Decision { records, outcome })
    });
    match shard.ask(METADATA_SHARD, change).await {
        Ok(results) => results,
        Err(refusal) => vec![Err(refusal); count],
    }
}

/// The levels of this process's log lines, which are in no metadata.
fn alter_log_levels(node: &Node, resource: &Wanted, validate_only: bool) -> Result<(), Refusal> {
    let invalid = |text: String| Refusal::new(ErrorCode::InvalidRequest, text);
    let Changes::Single(keys) = &resource.changes else {
        return Err(invalid(format!("Unknown resource type {BROKER_LOGGER}")));
    };
    let me = node.broker_id.0;
    match resource.name.parse::<i32>() {
        Ok(id) if id == me => {}
        // Kafka names its own id in both places.
        Ok(_) => {
            let text = format!("Unexpected node id. Expected {me}, but received {me}");
            return Err(invalid(text));
        }
        Err(_) => {
            let name = &resource.name;
            let text = format!("Node id must be an integer, but it is: {name}");
            return Err(invalid(text));
        }
    }
    let changes = single_changes(keys).map_err(invalid)?;
    log_levels::alter(&changes, validate_only)
}

fn decide(node: &Arc<Node>, image: &Image, resource: &Wanted) -> Result<Vec<Record>, Refusal> {
    let invalid = |text: String| Refusal::new(ErrorCode::InvalidRequest, text);
    let kind = ResourceType::from_wire(resource.kind);
    let Some(kind) = kind.filter(|kind| *kind != ResourceType::Group) else {
        return Err(invalid(format!("Unknown resource type {}", resource.kind)));
    };
    if kind == ResourceType::Broker {
        check_broker_name(node, &resource.name).map_err(invalid)?;
    }
    let changes = resource.changes(image, kind).map_err(invalid)?;
    match kind {
        ResourceType::Broker => {
            let level = Level::of_resource(&resource.name);
            let rules = BrokerRules {
                find: &dynamic::find,
                check: &|settings| node.config.check_dynamic(image, level, settings),
            };
            alter_broker(image, &rules, &resource.name, &changes)
        }
        ResourceType::ClientMetrics => alter_client_metrics(image, &resource.name, &changes),
        ResourceType::Topic | ResourceType::Group => {
            let broker = BrokerConfig::new(&node.config, image);
            alter_topic(image, &broker.sources(), &resource.name, &changes)
        }
    }
}

/// A broker changes its own settings and those of all brokers.
fn check_broker_name(node: &Node, name: &str) -> Result<(), String> {
    let me = node.broker_id.0;
    match name.parse::<i32>() {
        _ if name.is_empty() => Ok(()),
        Ok(id) if id == me => Ok(()),
        Ok(_) => Err(format!(
            "Unexpected broker id, expected {me}, but received {name}"
        )),
        Err(_) => Err(format!("Node id must be an integer, but it is: {name}")),
    }
}

/// What the operations of the incremental form do.
fn single_changes(
    keys: &[(String, i8, Option<String>)],
) -> Result<Vec<(String, KeyChange)>, String> {
    let changes = keys.iter().map(|(key, operation, value)| {
        let value = value.clone().unwrap_or_default();
        let change = match *operation {
            SET => KeyChange::Set(value),
            DELETE => KeyChange::Delete,
            APPEND => KeyChange::Append(value),
            SUBTRACT => KeyChange::Subtract(value),
            other => return Err(format!("Unknown operations type {other}")),
        };
        Ok((key.clone(), change))
    });
    changes.collect()
}

impl Wanted {
    /// What holds for every kind of resource.
    fn check(&self, times: &HashMap<(i8, &str), usize>) -> Result<(), Refusal> {
        let invalid = |text: String| Refusal::new(ErrorCode::InvalidRequest, text);
        if times[&(self.kind, &*self.name)] > 1 {
            let text = "Each resource must appear at most once.";
            return Err(invalid(text.to_owned()));
        }
        self.check_keys().map_err(invalid)
    }

    /// Each key once, and no null where a value is needed.
    fn check_keys(&self) -> Result<(), String> {
        let keys: Vec<(&str, bool)> = match &self.changes {
            Changes::Whole(keys) => keys
                .iter()
                .map(|(key, value)| (&**key, value.is_none()))
                .collect(),
            Changes::Single(keys) => keys
                .iter()
                .map(|(key, operation, value)| (&**key, *operation != DELETE && value.is_none()))
                .collect(),
        };
        let mut seen = HashSet::new();
        if !keys.iter().all(|(key, _)| seen.insert(*key)) {
            return Err("Error due to duplicate config keys".to_owned());
        }
        let nulls: Vec<&str> = keys
            .iter()
            .filter(|(_, is_null)| *is_null)
            .map(|(key, _)| *key)
            .collect();
        match nulls.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "Null value not supported for : {}",
                nulls.join(", ")
            )),
        }
    }

    fn changes(
        &self,
        image: &Image,
        kind: ResourceType,
    ) -> Result<Vec<(String, KeyChange)>, String> {
        match &self.changes {
            Changes::Whole(keys) => {
                let before = image.overrides(kind, &self.name);
                let gone = before
                    .keys()
                    .filter(|key| keys.iter().all(|(k, _)| k != *key));
                let gone = gone.map(|key| (key.clone(), KeyChange::Delete));
                let set = keys.iter().map(|(key, value)| {
                    let value = value.clone().unwrap_or_default();
                    (key.clone(), KeyChange::Set(value))
                });
                Ok(set.chain(gone).collect())
            }
            Changes::Single(keys) => single_changes(keys),
        }
    }
}
