//! CreateTopics.

use std::collections::{BTreeMap, BTreeSet};

use protocol::error::ErrorCode;
use protocol::ids::{BrokerId, Uuid};

use super::{
    Mode, RECORDS_PER_REQUEST_MAX, active, all_fenced, check_assignment, new_partition, too_large,
};
use crate::config_source::{ConfigEntry, Sources};
use crate::decision::{Decision, Draw, Refusal, draw_uuid};
use crate::image::{Image, Overrides, ResourceType};
use crate::placement::place;
use crate::record::{ConfigRecord, Record, TopicRecord};
use crate::{topic_config, topic_name};

/// A topic to create. Partitions and replication factor are -1 where the broker's default is
/// to hold, or where `assignments` says it all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas of each.
    pub replication_factor: i16,
    /// Replicas chosen by hand, with the partition they are for.
    pub assignments: Vec<(i32, Vec<BrokerId>)>,
    /// Overrides.
    pub configs: Vec<(String, Option<String>)>,
}

impl NewTopic {
    /// A topic with the broker's defaults, as automatic creation makes it.
    pub fn with_defaults(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            partitions: -1,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: Vec::new(),
        }
    }
}

/// A topic as it was created.
#[derive(Clone, Debug, PartialEq)]
pub struct Created {
    /// Its id.
    pub id: Uuid,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas of each.
    pub replication_factor: i16,
    /// All topic keys with what holds, sorted by name.
    pub configs: Vec<ConfigEntry>,
}

/// What holds where the request leaves it open.
pub struct Defaults<'a> {
    /// `num.partitions`.
    pub partitions: i32,
    /// `default.replication.factor`.
    pub replication_factor: i16,
    /// For the configs in the answer, and the rules between keys.
    pub sources: Sources<'a>,
}

/// One result for every topic, in the order asked for; names given twice come last, once each.
pub type Results = Vec<(String, Result<Created, Refusal>)>;

/// Decides on all topics of one request. An `Err` refuses the request whole.
pub fn create(
    image: &Image,
    defaults: &Defaults<'_>,
    topics: &[NewTopic],
    mode: Mode,
    draw: &mut dyn Draw,
) -> Result<Decision<Results>, Refusal> {
    check_total(defaults, topics)?;
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for topic in topics {
        if !seen.insert(&*topic.name) {
            twice.insert(&*topic.name);
        }
    }
    let mut records = Vec::new();
    let mut results = Results::new();
    for topic in topics.iter().filter(|topic| !twice.contains(&*topic.name)) {
        let result = create_one(image, defaults, topic, draw).map(|(created, more)| {
            records.extend(more);
            created
        });
        if records.len() > RECORDS_PER_REQUEST_MAX {
            return Err(too_large());
        }
        results.push((topic.name.clone(), result));
    }
    for name in twice {
        let refusal = Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
        results.push((name.into(), Err(refusal)));
    }
    if mode == Mode::ValidateOnly {
        records.clear();
    }
    Ok(Decision {
        records,
        outcome: results,
    })
}

/// Before anything is allocated for them.
fn check_total(defaults: &Defaults<'_>, topics: &[NewTopic]) -> Result<(), Refusal> {
    let partitions = topics.iter().map(|topic| match topic.partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        -1 => usize::try_from(defaults.partitions).unwrap_or(0),
        asked => usize::try_from(asked).unwrap_or(0),
    });
    match partitions.fold(0, usize::saturating_add) > RECORDS_PER_REQUEST_MAX {
        false => Ok(()),
        true => Err(Refusal::new(
            ErrorCode::PolicyViolation,
            "Excessively large number of partitions per request.",
        )),
    }
}

fn create_one(
    image: &Image,
    defaults: &Defaults<'_>,
    topic: &NewTopic,
    draw: &mut dyn Draw,
) -> Result<(Created, Vec<Record>), Refusal> {
    check_name(image, &topic.name)?;
    let overrides = check_configs(defaults, &topic.configs)?;
    let partitions = if topic.assignments.is_empty() {
        place_partitions(image, defaults, topic, draw)?
    } else {
        assigned_partitions(image, topic)?
    };
    let id = draw_uuid(draw);
    let mut records = vec![Record::Topic(TopicRecord {
        name: topic.name.clone().into(),
        topic_id: id,
    })];
    // Kafka writes overrides between the topic and its partitions.
    for (name, value) in &overrides {
        records.push(Record::Config(ConfigRecord {
            resource_type: ResourceType::Topic as i8,
            resource_name: topic.name.clone().into(),
            name: name.clone().into(),
            value: Some(value.clone().into()),
        }));
    }
    for (index, (replicas, isr)) in (0..).zip(&partitions) {
        records.push(new_partition(image, id, index, replicas, isr));
    }
    let created = Created {
        id,
        partitions: partitions.len() as i32,
        replication_factor: partitions[0].0.len() as i16,
        configs: defaults.sources.created_topic(&overrides),
    };
    Ok((created, records))
}

fn check_name(image: &Image, name: &str) -> Result<(), Refusal> {
    if name == topic_name::CLUSTER_METADATA {
        return Err(Refusal::new(
            ErrorCode::InvalidRequest,
            format!("Creation of internal topic {name} is prohibited."),
        ));
    }
    if image.topic(name).is_some() {
        let text = format!("Topic '{name}' already exists.");
        return Err(Refusal::new(ErrorCode::TopicAlreadyExists, text));
    }
    topic_name::validate(name)
        .map_err(|text| Refusal::new(ErrorCode::InvalidTopicException, text))?;
    match image.colliding_topic(name) {
        Some(other) => {
            let text = format!("Topic '{name}' collides with existing topic: {other}");
            Err(Refusal::new(ErrorCode::InvalidTopicException, text))
        }
        None => Ok(()),
    }
}

fn check_configs(
    defaults: &Defaults<'_>,
    configs: &[(String, Option<String>)],
) -> Result<Overrides, Refusal> {
    let mut overrides = BTreeMap::new();
    let mut nulls = Vec::new();
    for (name, value) in configs {
        match value {
            Some(value) => {
                overrides.insert(name.clone(), value.clone());
            }
            None => nulls.push(&**name),
        }
    }
    if !nulls.is_empty() {
        let text = format!(
            "Null value not supported for topic configs: {}",
            nulls.join(",")
        );
        return Err(Refusal::new(ErrorCode::InvalidConfig, text));
    }
    let none = Overrides::new();
    topic_config::validate(&overrides, |row| {
        defaults.sources.effective_value(row, &none)
    })
    .map_err(|invalid| Refusal::new(ErrorCode::InvalidConfig, invalid.message))?;
    Ok(overrides)
}

type Placed = Vec<(Vec<BrokerId>, Vec<BrokerId>)>;

fn place_partitions(
    image: &Image,
    defaults: &Defaults<'_>,
    topic: &NewTopic,
    draw: &mut dyn Draw,
) -> Result<Placed, Refusal> {
    if topic.replication_factor < -1 || topic.replication_factor == 0 {
        return Err(Refusal::new(
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ));
    }
    if topic.partitions < -1 || topic.partitions == 0 {
        return Err(Refusal::new(
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ));
    }
    let or_default = |asked: i32, default: i32| if asked == -1 { default } else { asked };
    let partitions = or_default(topic.partitions, defaults.partitions);
    let factor = match topic.replication_factor {
        -1 => defaults.replication_factor,
        asked => asked,
    };
    let placed = place(image, partitions, factor, draw).map_err(|reason| {
        Refusal::new(
            ErrorCode::InvalidReplicationFactor,
            format!("Unable to replicate the partition {factor} time(s): {reason}"),
        )
    })?;
    let with_isr = placed.into_iter().map(|replicas| {
        let isr = active(image, &replicas);
        if isr.is_empty() {
            Err(all_fenced(factor))
        } else {
            Ok((replicas, isr))
        }
    });
    with_isr.collect()
}

fn assigned_partitions(image: &Image, topic: &NewTopic) -> Result<Placed, Refusal> {
    if topic.replication_factor != -1 {
        return Err(Refusal::new(
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ));
    }
    if topic.partitions != -1 {
        return Err(Refusal::new(
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ));
    }
    let refuse = |text: String| Refusal::new(ErrorCode::InvalidReplicaAssignment, text);
    let mut by_index = BTreeMap::new();
    let mut factor = None;
    for (index, replicas) in &topic.assignments {
        if by_index.contains_key(index) {
            return Err(refuse(format!(
                "Found multiple manual partition assignments for partition {index}"
            )));
        }
        check_assignment(image, replicas, factor)?;
        factor = Some(replicas.len());
        let isr = active(image, replicas);
        if isr.is_empty() {
            return Err(refuse(format!(
                "All brokers specified in the manual partition assignment for partition {index} \
                 are fenced or in controlled shutdown."
            )));
        }
        by_index.insert(*index, (replicas.clone(), isr));
    }
    if (0..)
        .zip(by_index.keys())
        .any(|(expected, index)| expected != *index)
    {
        return Err(refuse(
            "partitions should be a consecutive 0-based integer sequence".into(),
        ));
    }
    Ok(by_index.into_values().collect())
}
