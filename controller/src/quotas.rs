//! AlterClientQuotas and DescribeClientQuotas: limits of users, client ids and addresses (KIP-546).
//!
//! It only keeps them; whoever holds clients to them reads the image. An entity is a list of types
//! with names, sorted by type; no name is the default of its type. The texts of refusals are
//! Kafka's.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use protocol::error::ErrorCode;

use crate::config_key::ConfigType;
use crate::decision::{Decision, Messages, Refusal};
use crate::image::Image;
use crate::record::{ClientQuotaRecord, EntityData, Record};
use crate::topics::{Mode, RECORDS_PER_REQUEST_MAX, too_large};

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";

/// Whom a quota is for.
pub type Entity = Vec<(String, Option<String>)>;

/// What is to become of one entity's quotas: keys with values, `None` to take one away.
#[derive(Clone, Debug, PartialEq)]
pub struct Alteration {
    /// Whom they are for.
    pub entity: Entity,
    /// Which change how.
    pub ops: Vec<(String, Option<f64>)>,
}

/// One result for every entity.
pub type Results = Vec<(Entity, Result<(), Refusal>)>;

/// One part of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// The type it is about.
    pub entity_type: String,
    /// Which names.
    pub names: Names,
}

/// Which names of a type a filter lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// This one; `None` is the default.
    Exactly(Option<String>),
    /// Any, the default too.
    Any,
}

/// Decides on all entities of one request. An `Err` refuses the request whole.
pub fn alter(
    image: &Image,
    alterations: &[Alteration],
    mode: Mode,
) -> Result<Decision<Results>, Refusal> {
    let mut records = Vec::new();
    let mut outcome = Results::new();
    let mut seen = BTreeMap::new();
    let mut messages = Messages::default();
    for alteration in alterations {
        let mut entity = alteration.entity.clone();
        entity.sort();
        if let Some(first) = seen.insert(entity.clone(), outcome.len()) {
            let text = format!("Ignoring duplicate entity {}", shown(&entity));
            let refused = Err(Refusal::new(ErrorCode::InvalidRequest, text));
            outcome[first].1 = messages.admit(refused);
            seen.insert(entity, first);
            continue;
        }
        let result = alter_one(image, &entity, &alteration.ops).map(|more| records.extend(more));
        outcome.push((entity, messages.admit(result)));
        if records.len() > RECORDS_PER_REQUEST_MAX {
            return Err(too_large());
        }
    }
    if mode == Mode::ValidateOnly {
        records.clear();
    }
    Ok(Decision { records, outcome })
}

fn alter_one(
    image: &Image,
    entity: &Entity,
    ops: &[(String, Option<f64>)],
) -> Result<Vec<Record>, Refusal> {
    let invalid = |text: String| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    let mut seen = BTreeSet::new();
    if !ops.iter().all(|(key, _)| seen.insert(key)) {
        return invalid(format!("Ignoring duplicate entity {}", shown(entity)));
    }
    check_entity(entity)?;
    let is_ip = entity[0].0 == IP;
    let now = image.quotas_of(entity);
    let record = |key: &str, value: f64, remove: bool| {
        let parts = entity.iter().map(|(entity_type, name)| EntityData {
            entity_type: entity_type.clone().into(),
            entity_name: name.clone().map(Into::into),
        });
        Record::ClientQuota(ClientQuotaRecord {
            entity: parts.collect(),
            key: key.to_owned().into(),
            value,
            remove,
        })
    };
    let mut records = Vec::new();
    for (key, value) in ops {
        let before = now
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| *value);
        match value {
            None if before.is_some() => records.push(record(key, 0.0, true)),
            None => {}
            Some(value) => {
                check_value(is_ip, key, *value)?;
                if before != Some(*value) {
                    records.push(record(key, *value, false));
                }
            }
        }
    }
    Ok(records)
}

fn check_entity(entity: &Entity) -> Result<(), Refusal> {
    let invalid = |text: String| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    if entity.is_empty() {
        return invalid("Invalid empty client quota entity".to_owned());
    }
    for (at, (entity_type, name)) in entity.iter().enumerate() {
        if entity[..at].iter().any(|(other, _)| other == entity_type) {
            let text = "Invalid client quota entity, duplicate entity entry";
            return invalid(format!("{text} {entity_type}"));
        }
        if ![USER, CLIENT_ID, IP].contains(&&**entity_type) {
            return invalid(format!("Unhandled client quota entity type: {entity_type}"));
        }
        if name.as_deref() == Some("") {
            return invalid(format!("Empty {entity_type} not supported"));
        }
    }
    let Some((_, ip)) = entity.iter().find(|(entity_type, _)| entity_type == IP) else {
        return Ok(());
    };
    if entity.len() > 1 {
        return invalid(
            "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"
                .to_owned(),
        );
    }
    match ip {
        Some(ip) if ip.parse::<IpAddr>().is_err() => {
            invalid(format!("{ip} is not a valid IP or resolvable host."))
        }
        _ => Ok(()),
    }
}

/// The type of a quota of addresses, or of users and clients.
fn kind_of(is_ip: bool, key: &str) -> Option<ConfigType> {
    match (is_ip, key) {
        (true, "connection_creation_rate") => Some(ConfigType::Int),
        (false, "consumer_byte_rate" | "producer_byte_rate") => Some(ConfigType::Long),
        (false, "controller_mutation_rate" | "request_percentage") => Some(ConfigType::Double),
        _ => None,
    }
}

fn check_value(is_ip: bool, key: &str, value: f64) -> Result<(), Refusal> {
    let invalid = |text: String| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    let Some(kind) = kind_of(is_ip, key) else {
        return invalid(format!("Invalid configuration key {key}"));
    };
    if value <= 0.0 {
        return invalid(format!("Quota {key} must be greater than 0"));
    }
    let too_large = match kind {
        ConfigType::Int if value > f64::from(i32::MAX) => Some("an INT"),
        ConfigType::Long if value > i64::MAX as f64 => Some("a LONG"),
        _ => None,
    };
    if let Some(kind) = too_large {
        return invalid(format!("Proposed value for {key} is too large for {kind}."));
    }
    if kind != ConfigType::Double && (value % 1.0).abs() > 1e-6 {
        return invalid(format!("{key} cannot be a fractional value."));
    }
    Ok(())
}

/// As Kafka's messages show an entity.
fn shown(entity: &Entity) -> String {
    let parts: Vec<String> = entity
        .iter()
        .map(|(entity_type, name)| format!("{entity_type}={}", name.as_deref().unwrap_or("null")))
        .collect();
    format!("ClientQuotaEntity(entries={{{}}})", parts.join(", "))
}

/// One entity with its quotas.
pub type Described<'a> = (&'a [(String, Option<String>)], Vec<(&'a str, f64)>);

/// The quotas of the entities that a filter lets through; with `strict` those that have no type
/// besides the filter's.
pub fn describe<'a>(
    image: &'a Image,
    filter: &[Component],
    strict: bool,
) -> Result<Vec<Described<'a>>, Refusal> {
    check_filter(filter)?;
    let passes = |entity: &[(String, Option<String>)]| {
        let all = filter.iter().all(|component| {
            let mut parts = entity.iter();
            parts.any(|(entity_type, name)| {
                *entity_type == component.entity_type
                    && match &component.names {
                        Names::Any => true,
                        Names::Exactly(wanted) => name == wanted,
                    }
            })
        });
        all && (!strict || entity.len() == filter.len())
    };
    let mut found: Vec<Described<'a>> = Vec::new();
    for (entity, key, value) in image.quotas().filter(|(entity, ..)| passes(entity)) {
        match found.last_mut() {
            Some((last, values)) if *last == entity => values.push((key, value)),
            _ => found.push((entity, vec![(key, value)])),
        }
    }
    Ok(found)
}

fn check_filter(filter: &[Component]) -> Result<(), Refusal> {
    let invalid = |text: String| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    for (at, Component { entity_type, .. }) in filter.iter().enumerate() {
        if entity_type.is_empty() {
            return invalid("Invalid empty entity type.".to_owned());
        }
        if filter[..at]
            .iter()
            .any(|other| other.entity_type == *entity_type)
        {
            return invalid(format!(
                "Entity type {entity_type} cannot appear more than once in the filter."
            ));
        }
        if ![USER, CLIENT_ID, IP].contains(&&**entity_type) {
            let text = format!("Unsupported entity type {entity_type}");
            return Err(Refusal::new(ErrorCode::UnsupportedVersion, text));
        }
    }
    match filter.len() > 1 && filter.iter().any(|component| component.entity_type == IP) {
        true => invalid(
            "Invalid entity filter component combination. IP filter component should not be used \
             with user or clientId filter component."
                .to_owned(),
        ),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::apply;

    fn entity(parts: &[(&str, &str)]) -> Entity {
        let named = |name: &str| (name != "<default>").then(|| name.to_owned());
        let parts = parts
            .iter()
            .map(|(kind, name)| ((*kind).to_owned(), named(name)));
        parts.collect()
    }

    fn set(
        image: &mut Image,
        whom: &[(&str, &str)],
        key: &str,
        value: Option<f64>,
    ) -> Result<usize, Refusal> {
        let alteration = Alteration {
            entity: entity(whom),
            ops: vec![(key.to_owned(), value)],
        };
        let Decision { records, outcome } = alter(image, &[alteration], Mode::Commit).unwrap();
        apply(image, &records);
        outcome[0].1.clone().map(|()| records.len())
    }

    #[test]
    fn quotas_are_set_once_and_taken_away() {
        let mut image = Image::new("c");
        let whom = [("user", "ann"), ("client-id", "<default>")];
        assert_eq!(
            set(&mut image, &whom, "producer_byte_rate", Some(7.0)),
            Ok(1)
        );
        assert_eq!(
            set(&mut image, &whom, "producer_byte_rate", Some(7.0)),
            Ok(0)
        );
        assert_eq!(
            set(&mut image, &whom, "request_percentage", Some(0.5)),
            Ok(1)
        );
        let found = describe(&image, &[], false).unwrap();
        let sorted = entity(&[("client-id", "<default>"), ("user", "ann")]);
        let values = vec![("producer_byte_rate", 7.0), ("request_percentage", 0.5)];
        assert_eq!(found, [(&*sorted, values)]);
        assert_eq!(set(&mut image, &whom, "producer_byte_rate", None), Ok(1));
        assert_eq!(set(&mut image, &whom, "producer_byte_rate", None), Ok(0));
        assert_eq!(set(&mut image, &whom, "request_percentage", None), Ok(1));
        assert!(describe(&image, &[], false).unwrap().is_empty());
    }

    #[test]
    fn filters() {
        let mut image = Image::new("c");
        for whom in [
            &[("user", "ann")][..],
            &[("user", "<default>")],
            &[("user", "ann"), ("client-id", "x")],
            &[("client-id", "x")],
        ] {
            set(&mut image, whom, "consumer_byte_rate", Some(1.0)).unwrap();
        }
        set(
            &mut image,
            &[("ip", "::1")],
            "connection_creation_rate",
            Some(1.0),
        )
        .unwrap();
        let count = |filter: &[(&str, Names)], strict| {
            let filter: Vec<Component> = filter
                .iter()
                .map(|(kind, names)| Component {
                    entity_type: (*kind).to_owned(),
                    names: names.clone(),
                })
                .collect();
            describe(&image, &filter, strict)
                .map(|found| found.len())
                .map_err(|refusal| refusal.code)
        };
        let named = |name: &str| Names::Exactly(Some(name.to_owned()));
        assert_eq!(count(&[], false), Ok(5));
        assert_eq!(count(&[], true), Ok(0));
        assert_eq!(count(&[("user", Names::Any)], false), Ok(3));
        assert_eq!(count(&[("user", Names::Any)], true), Ok(2));
        assert_eq!(count(&[("user", named("ann"))], false), Ok(2));
        assert_eq!(count(&[("user", Names::Exactly(None))], false), Ok(1));
        assert_eq!(
            count(&[("user", named("ann")), ("client-id", Names::Any)], true),
            Ok(1)
        );
        assert_eq!(count(&[("ip", Names::Any)], true), Ok(1));
        let invalid = Err(ErrorCode::InvalidRequest);
        assert_eq!(count(&[("", Names::Any)], false), invalid);
        assert_eq!(
            count(&[("user", Names::Any), ("user", named("x"))], false),
            invalid
        );
        assert_eq!(
            count(&[("user", Names::Any), ("ip", Names::Any)], false),
            invalid
        );
        assert_eq!(
            count(&[("group", Names::Any)], false),
            Err(ErrorCode::UnsupportedVersion)
        );
    }

    #[test]
    fn refusals() {
        let mut image = Image::new("c");
        let user = [("user", "ann")];
        for (whom, key, value) in [
            (&[][..], "producer_byte_rate", 1.0),
            (&[("user", "")], "producer_byte_rate", 1.0),
            (&[("group", "g")], "producer_byte_rate", 1.0),
            (
                &[("ip", "::1"), ("user", "ann")],
                "connection_creation_rate",
                1.0,
            ),
            (&[("ip", "nowhere")], "connection_creation_rate", 1.0),
            (&[("ip", "::1")], "producer_byte_rate", 1.0),
            (&user, "connection_creation_rate", 1.0),
            (&user, "producer_byte_rate", 0.0),
            (&user, "producer_byte_rate", 1.5),
            (&user, "producer_byte_rate", 1e300),
        ] {
            let refused = set(&mut image, whom, key, Some(value)).unwrap_err();
            assert_eq!(
                refused.code,
                ErrorCode::InvalidRequest,
                "{whom:?} {key} {value}"
            );
        }
        let twice = Alteration {
            entity: entity(&user),
            ops: Vec::new(),
        };
        let decision = alter(&image, &[twice.clone(), twice], Mode::Commit).unwrap();
        let refusal = decision.outcome[0].1.clone().unwrap_err();
        assert_eq!(
            refusal.message.as_deref(),
            Some("Ignoring duplicate entity ClientQuotaEntity(entries={user=ann})")
        );
    }
}
