//! Quotas of users, clients and addresses, and the SCRAM credentials of users as far as they can
//! be seen.

use std::collections::BTreeMap;
use std::io::Write;

use controller::config_key::java_double;
use protocol::messages::alter_client_quotas::{
    AlterClientQuotasRequest, OpData, RequestEntityData, RequestEntryData,
};
use protocol::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, EntryData,
};
use protocol::messages::describe_user_scram_credentials::{
    DescribeUserScramCredentialsRequest, UserName,
};
use serde_json::{Value, json};

use super::Options;
use super::entity::{Entity, EntityType};
use crate::client::{Client, Error};
use crate::failure::Failure;
use crate::java_order::{java_hash, map_order};

/// The entity of this name.
const EXACT: i8 = 0;
/// The default of its type.
const DEFAULT: i8 = 1;
/// Every entity of its type that has a name or is the default.
const SPECIFIED: i8 = 2;

const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];
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
    let quotas = quotas(client, entities)?;
    if options.output.is_json() {
        let rows: Vec<Value> = quotas.iter().map(json_of).collect();
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
    let of_users = entities[0].kind == EntityType::Users;
    let names_default = entities.iter().any(Entity::is_default);
    if entities.len() == 1 && of_users && !names_default {
        describe_credentials(client, entities[0].name.as_deref(), out)?;
    }
    Ok(())
}

/// Sets and removes quotas of one entity.
pub fn alter(
    client: &mut Client,
    entities: &[Entity],
    additions: &BTreeMap<String, String>,
    deletions: &[String],
) -> Result<(), Failure> {
    check_keys(entities, additions, deletions)?;
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
    let answers = client.retried(|client| {
        let answer = client.ask_any(&request)?;
        let entries = answer.entries.into_iter();
        entries
            .map(|entry| Error::settled(entry.error_code, entry.error_message))
            .collect::<Result<Vec<_>, Error>>()
    })?;
    for answer in answers {
        answer?;
    }
    Ok(())
}

fn check_keys(
    entities: &[Entity],
    additions: &BTreeMap<String, String>,
    deletions: &[String],
) -> Result<(), Failure> {
    let of_addresses = entities[0].kind == EntityType::Ips;
    let known: &[&str] = if of_addresses {
        &OF_ADDRESSES
    } else {
        &OF_CLIENTS
    };
    let keys = additions.keys().chain(deletions).map(String::as_str);
    let unknown: Vec<&str> = keys.filter(|key| !known.contains(key)).collect();
    if unknown.iter().any(|key| SCRAM.contains(key)) {
        return Err(Failure::usage(
            "SCRAM credentials cannot be altered with this tool",
        ));
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown = unknown.join(",");
    Err(Failure::usage(match of_addresses {
        true => format!(
            "Only connection quota configs can be added for 'ips' using --bootstrap-server. \
             Unexpected config names: {unknown}"
        ),
        false => format!(
            "Only quota configs can be added for '{}' using --bootstrap-server. Unexpected \
             config names: {unknown}",
            entities[0].kind.plural()
        ),
    }))
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

fn describe_credentials(
    client: &mut Client,
    user: Option<&str>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let request = DescribeUserScramCredentialsRequest {
        users: user.map(|name| vec![UserName { name: name.into() }]),
    };
    let answer = client.retried(|client| client.ask_any(&request))?;
    Error::check(answer.error_code, answer.error_message)?;
    for result in answer.results {
        let found = match Error::check(result.error_code, result.error_message) {
            Ok(()) => result.credential_infos,
            // It has none.
            Err(_) => continue,
        };
        let infos = found.iter().map(|info| {
            let mechanism = SCRAM.get(info.mechanism as usize - 1).unwrap_or(&"UNKNOWN");
            format!("{mechanism}=iterations={}", info.iterations)
        });
        writeln!(
            out,
            "SCRAM credential configs for user-principal '{}' are {}",
            result.user,
            infos.collect::<Vec<String>>().join(", ")
        )?;
    }
    Ok(())
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
