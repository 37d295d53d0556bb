//! Quotas of users, clients and addresses.

use std::collections::BTreeMap;
use std::io::Write;

use controller::config_key::java_double;
use controller::scram_formatter::ScramMechanism;
use protocol::messages::alter_client_quotas::{
    AlterClientQuotasRequest, OpData, RequestEntityData, RequestEntryData,
};
use protocol::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, EntityData, EntryData,
};
use serde_json::{Value, json};

use super::entity::{Entity, EntityType};
use super::{Options, scram};
use crate::client::{Client, Error};
use crate::failure::Failure;
use crate::java_order::{java_hash, map_order};

/// The entity of this name.
const EXACT: i8 = 0;
/// The default of its type.
const DEFAULT: i8 = 1;
/// Every entity of its type that has a name or is the default.
const SPECIFIED: i8 = 2;

const OF_CLIENTS: [&str; 4] = [
    "consumer_byte_rate",
    "controller_mutation_rate",
    "producer_byte_rate",
    "request_percentage",
];
const OF_ADDRESSES: [&str; 1] = ["connection_creation_rate"];

/// Prints quotas, and credentials of users where no client is named.
pub fn describe(
    client: &mut Client,
    entities: &[Entity],
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let quotas = in_order(quotas(client, entities)?);
    let of_users = entities
        .iter()
        .all(|entity| entity.kind == EntityType::Users);
    let names_default = entities.iter().any(Entity::is_default);
    let has_credentials = of_users && !names_default;
    let user = entities[0].name.as_deref();
    if options.output.is_json() {
        let mut rows: Vec<Value> = quotas.iter().map(json_of).collect();
        if has_credentials {
            rows.extend(scram::described(client, user)?);
        }
        writeln!(out, "{}", json!(rows))?;
        return Ok(());
    }
    for quota in quotas {
        let mut who = Vec::new();
        for (kind, title) in [
            ("user", "user-principal"),
            ("client-id", "client-id"),
            ("ip", "ip"),
        ] {
            let mut entities = quota.entity.iter();
            if let Some(entity) = entities.find(|entity| entity.entity_type == kind) {
                who.push(match &entity.entity_name {
                    Some(name) => format!("{title} '{name}'"),
                    None => format!("the default {title}"),
                });
            }
        }
        let count = quota.values.len();
        let values = map_order(quota.values, count, |value| java_hash(&value.key));
        let values = values
            .iter()
            .map(|value| format!("{}={}", value.key, java_double(value.value)));
        writeln!(
            out,
            "Quota configs for {} are {}",
            who.join(", "),
            values.collect::<Vec<String>>().join(", ")
        )?;
    }
    match has_credentials {
        true => scram::describe(client, user, out),
        false => Ok(()),
    }
}

/// The order of Kafka's tool.
fn in_order(quotas: Vec<EntryData<'static>>) -> Vec<EntryData<'static>> {
    let count = quotas.len();
    map_order(quotas, count, |quota| {
        let hash = |part: &EntityData<'_>| {
            java_hash(&part.entity_type) ^ part.entity_name.as_deref().map_or(0, java_hash)
        };
        // Of a list with one element, a map.
        let parts = quota.entity.iter().map(hash);
        31i32.wrapping_add(parts.fold(0, i32::wrapping_add))
    })
}

/// What of a user or a client is altered: both at once are not.
enum Kind {
    Quotas,
    Credentials,
}

/// Sets and removes quotas of one entity, or credentials of a user.
pub fn alter(
    client: &mut Client,
    entities: &[Entity],
    additions: &BTreeMap<String, String>,
    deletions: &[String],
) -> Result<(), Failure> {
    match kind_of_change(entities, additions, deletions)? {
        Kind::Quotas => alter_quotas(client, entities, additions, deletions),
        Kind::Credentials => {
            let user = entities[0].name.as_deref().unwrap_or_default();
            scram::alter(client, user, additions, deletions)
        }
    }
}

fn alter_quotas(
    client: &mut Client,
    entities: &[Entity],
    additions: &BTreeMap<String, String>,
    deletions: &[String],
) -> Result<(), Failure> {
    let old = quotas(client, entities)?;
    let is_old = |key: &str| {
        let mut values = old.first().into_iter().flat_map(|entry| &entry.values);
        values.any(|value| value.key == key)
    };
    let unknown: Vec<&str> = deletions
        .iter()
        .map(String::as_str)
        .filter(|key| !is_old(key))
        .collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(",");
        return Err(Failure::said(format!("Invalid config(s): {unknown}")));
    }
    let mut ops = Vec::new();
    for (key, value) in additions {
        let value = value.parse::<f64>().map_err(|_| {
            Failure::usage(format!(
                "Cannot parse quota configuration value for {key}: {value}"
            ))
        })?;
        ops.push(OpData {
            key: key.as_str().into(),
            value,
            remove: false,
        });
    }
    ops.extend(deletions.iter().map(|key| OpData {
        key: key.as_str().into(),
        value: 0.0,
        remove: true,
    }));
    let entity = |entity: &Entity| RequestEntityData {
        entity_type: wire_type(entity.kind).into(),
        entity_name: entity
            .name
            .clone()
            .filter(|name| !name.is_empty())
            .map(Into::into),
    };
    let request = AlterClientQuotasRequest {
        entries: vec![RequestEntryData {
            entity: entities.iter().map(entity).collect(),
            ops,
        }],
        validate_only: false,
    };
    client.change(|client| {
        let entries = client.ask_any(&request)?.entries.into_iter();
        let decided = entries.map(|entry| (entry.error_code, entry.error_message));
        Ok(decided.collect())
    })?;
    Ok(())
}

/// What is given is for quotas, or for credentials.
fn kind_of_change(
    entities: &[Entity],
    additions: &BTreeMap<String, String>,
    deletions: &[String],
) -> Result<Kind, Failure> {
    let keys = || additions.keys().chain(deletions).map(String::as_str);
    let is_scram = |key: &str| ScramMechanism::from_name(key).is_some();
    if entities[0].kind == EntityType::Ips {
        let unknown: Vec<&str> = keys().filter(|key| !OF_ADDRESSES.contains(key)).collect();
        return match unknown.is_empty() {
            true => Ok(Kind::Quotas),
            false => Err(Failure::usage(format!(
                "Only connection quota configs can be added for 'ips' using --bootstrap-server. \
                 Unexpected config names: {}",
                unknown.join(",")
            ))),
        };
    }
    let of_a_client = entities.len() == 2 || entities[0].kind == EntityType::Clients;
    let is_unknown = |key: &&str| !OF_CLIENTS.contains(key) && (of_a_client || !is_scram(key));
    let (what, whose) = match of_a_client {
        true => ("quota", "clients"),
        false => ("quota and SCRAM credential", "users"),
    };
    let refuse = |done: &str, collection: &str, unknown: &[&str]| {
        let unknown = unknown.join(", ");
        Failure::usage(format!(
            "Only {what} configs can be {done} for '{whose}' using --bootstrap-server. \
             Unexpected config names: {collection}({unknown})"
        ))
    };
    let unknown: Vec<&str> = additions
        .keys()
        .map(|key| &**key)
        .filter(is_unknown)
        .collect();
    if !unknown.is_empty() {
        return Err(refuse("added", "Set", &unknown));
    }
    let unknown: Vec<&str> = deletions
        .iter()
        .map(|key| &**key)
        .filter(is_unknown)
        .collect();
    if !unknown.is_empty() {
        return Err(refuse("deleted", "ArrayBuffer", &unknown));
    }
    if !keys().any(is_scram) {
        return Ok(Kind::Quotas);
    }
    if entities[0].is_default() {
        return Err(Failure::usage(
            "The use of --entity-default or --user-defaults is not allowed with User SCRAM \
             Credentials using --bootstrap-server.",
        ));
    }
    match keys().all(is_scram) {
        true => Ok(Kind::Credentials),
        false => Err(Failure::usage(
            "Cannot alter both quota and SCRAM credential configs simultaneously for 'users' using \
             --bootstrap-server.",
        )),
    }
}

fn quotas(client: &mut Client, entities: &[Entity]) -> Result<Vec<EntryData<'static>>, Failure> {
    let component = |entity: &Entity| {
        let (match_type, matched) = match entity.name.as_deref() {
            None => (SPECIFIED, None),
            Some("") => (DEFAULT, None),
            Some(name) => (EXACT, Some(name.to_owned().into())),
        };
        ComponentData {
            entity_type: wire_type(entity.kind).into(),
            match_type,
            r#match: matched,
        }
    };
    let request = DescribeClientQuotasRequest {
        components: entities.iter().map(component).collect(),
        strict: true,
    };
    let answer = client.retried(|client| client.ask_any(&request))?;
    Error::check(answer.error_code, answer.error_message)?;
    let entries = answer.entries.unwrap_or_default();
    let count = entries.len();
    Ok(map_order(entries, count, |entry| {
        let hashes = entry.entity.iter().map(|entity| {
            let name = entity.entity_name.as_deref().map_or(0, java_hash);
            java_hash(&entity.entity_type) ^ name
        });
        hashes.fold(31, i32::wrapping_add)
    }))
}

fn json_of(quota: &EntryData<'_>) -> Value {
    let entity = quota.entity.iter();
    let entity: BTreeMap<&str, Option<&str>> = entity
        .map(|part| (part.entity_type.as_ref(), part.entity_name.as_deref()))
        .collect();
    let values = quota.values.iter();
    let values: BTreeMap<&str, f64> = values
        .map(|value| (value.key.as_ref(), value.value))
        .collect();
    json!({"entity": entity, "quotas": values})
}

fn wire_type(kind: EntityType) -> &'static str {
    match kind {
        EntityType::Users => "user",
        EntityType::Clients => "client-id",
        _ => "ip",
    }
}
