//! Settings of topics, brokers, loggers of brokers, and client metrics.

use std::collections::BTreeMap;
use std::io::Write;

use protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::list_client_metrics_resources::ListClientMetricsResourcesRequest;
use serde_json::{Value, json};

use super::Options;
use crate::client::{Client, Error};
use crate::failure::Failure;
use crate::java_order::{java_hash, map_order};

/// Sets a value.
const SET: i8 = 0;
/// Removes one.
const DELETE: i8 = 1;

/// What has settings of its own, by its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
}

type Setting = DescribeConfigsResourceResult<'static>;

impl Resource {
    fn plural(self) -> &'static str {
        match self {
            Resource::Topic => "topics",
            Resource::Broker => "brokers",
            Resource::BrokerLogger => "broker-loggers",
            Resource::ClientMetrics => "client-metrics",
        }
    }

    fn singular(self) -> &'static str {
        let plural = self.plural();
        &plural[..plural.len() - 1]
    }

    /// Where a value of it comes from that was set with this tool; loggers' all count.
    fn own_source(self, name: &str) -> Option<i8> {
        match self {
            Resource::Topic => Some(1),
            Resource::Broker if name.is_empty() => Some(3),
            Resource::Broker => Some(2),
            Resource::BrokerLogger => None,
            Resource::ClientMetrics => Some(7),
        }
    }

    /// The broker that must be asked: a broker knows its own settings best.
    fn broker(self, name: &str) -> Option<i32> {
        match self {
            Resource::Broker | Resource::BrokerLogger => name.parse().ok(),
            Resource::Topic | Resource::ClientMetrics => None,
        }
    }
}

/// Prints the settings of one resource, or of all of its kind.
pub fn describe(
    client: &mut Client,
    resource: Resource,
    name: Option<&str>,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => all_of(client, resource)?,
    };
    let mut rows = Vec::new();
    for name in names {
        if !options.output.is_json() {
            let plural = resource.plural();
            let which = if options.all { "All" } else { "Dynamic" };
            match name.as_str() {
                "" => writeln!(out, "Default configs for {plural} in the cluster are:")?,
                name => writeln!(
                    out,
                    "{which} configs for {} {name} are:",
                    resource.singular()
                )?,
            }
        }
        let settings = settings(client, resource, &name, options.all)?;
        if options.output.is_json() {
            let configs: Vec<Value> = settings.iter().map(json_of).collect();
            let kind = resource.plural();
            rows.push(json!({"entityType": kind, "entityName": name, "configs": configs}));
            continue;
        }
        for setting in settings {
            let value = setting.value.as_deref().unwrap_or("null");
            let synonyms = setting.synonyms.iter().map(|synonym| {
                let value = synonym.value.as_deref().unwrap_or("null");
                format!("{}:{}={value}", source_name(synonym.source), synonym.name)
            });
            writeln!(
                out,
                "  {}={value} sensitive={} synonyms={{{}}}",
                setting.name,
                setting.is_sensitive,
                synonyms.collect::<Vec<String>>().join(", ")
            )?;
        }
    }
    if options.output.is_json() {
        writeln!(out, "{}", json!(rows))?;
    }
    Ok(())
}

/// Sets and removes settings of one resource.
pub fn alter(
    client: &mut Client,
    resource: Resource,
    name: &str,
    additions: &BTreeMap<String, String>,
    deletions: &[String],
) -> Result<(), Failure> {
    let old = settings(client, resource, name, false)?;
    let is_old = |key: &str| old.iter().any(|setting| setting.name == key);
    let unknown = deletions.iter().filter(|key| !is_old(key));
    let mut unknown: Vec<&str> = unknown.map(String::as_str).collect();
    let mut said = "config";
    if resource == Resource::BrokerLogger {
        said = "broker logger";
        unknown.extend(
            additions
                .keys()
                .map(String::as_str)
                .filter(|key| !is_old(key)),
        );
    }
    if !unknown.is_empty() {
        return Err(Failure::said(format!(
            "Invalid {said}(s): {}",
            unknown.join(",")
        )));
    }
    let set = additions.iter().map(|(key, value)| AlterableConfig {
        name: key.as_str().into(),
        config_operation: SET,
        value: Some(value.as_str().into()),
    });
    let removed = deletions.iter().map(|key| AlterableConfig {
        name: key.as_str().into(),
        config_operation: DELETE,
        value: Some("".into()),
    });
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: resource as i8,
            resource_name: name.into(),
            configs: set.chain(removed).collect(),
        }],
        validate_only: false,
    };
    client.change(|client| {
        let answer = match resource.broker(name) {
            Some(broker) => client.ask_broker(broker, &request)?,
            None => client.ask_any(&request)?,
        };
        let results = answer.responses.into_iter();
        let decided = results.map(|result| (result.error_code, result.error_message));
        Ok(decided.collect())
    })?;
    Ok(())
}

/// The settings of one resource, by name: those set with this tool, or all.
fn settings(
    client: &mut Client,
    resource: Resource,
    name: &str,
    all: bool,
) -> Result<Vec<Setting>, Failure> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: resource as i8,
            resource_name: name.into(),
            configuration_keys: None,
        }],
        include_synonyms: true,
        include_documentation: false,
    };
    let answer = client.retried(|client| match resource.broker(name) {
        Some(broker) => client.ask_broker(broker, &request),
        None => client.ask_any(&request),
    })?;
    let mut settings = Vec::new();
    for result in answer.results {
        Error::check(result.error_code, result.error_message)?;
        settings.extend(result.configs);
    }
    if let Some(source) = resource.own_source(name).filter(|_| !all) {
        settings.retain(|setting| setting.config_source == source);
    }
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(settings)
}

fn all_of(client: &mut Client, resource: Resource) -> Result<Vec<String>, Failure> {
    Ok(match resource {
        Resource::Topic => {
            let topics = client.all_topics()?.into_iter().map(|topic| topic.name);
            map_order(topics.collect(), 16, |name: &String| java_hash(name))
        }
        Resource::Broker | Resource::BrokerLogger => {
            client.retried(Client::refresh)?;
            let ids = client.broker_ids().into_iter().map(|id| id.to_string());
            ids.chain([String::new()]).collect()
        }
        Resource::ClientMetrics => {
            let request = ListClientMetricsResourcesRequest {};
            let answer = client.retried(|client| client.ask_any(&request))?;
            Error::check(answer.error_code, None)?;
            let names = answer.client_metrics_resources.into_iter();
            names.map(|resource| resource.name.into_owned()).collect()
        }
    })
}

fn json_of(setting: &Setting) -> Value {
    let synonyms = setting.synonyms.iter().map(|synonym| {
        json!({
            "source": source_name(synonym.source),
            "name": synonym.name,
            "value": synonym.value,
        })
    });
    json!({
        "name": setting.name,
        "value": setting.value,
        "source": source_name(setting.config_source),
        "sensitive": setting.is_sensitive,
        "readOnly": setting.read_only,
        "synonyms": synonyms.collect::<Vec<Value>>(),
    })
}

fn source_name(source: i8) -> &'static str {
    match source {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        7 => "DYNAMIC_CLIENT_METRICS_CONFIG",
        8 => "GROUP_CONFIG",
        _ => "UNKNOWN",
    }
}
