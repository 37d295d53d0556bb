//! `topics --describe`: a line for each topic, and one for each of its partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use protocol::ids::Uuid;
use protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use protocol::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, RequestCursor, TopicRequest,
};
use protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, OngoingPartitionReassignment,
};
use serde_json::{Value, json};

use super::{Options, chosen_topics, ensure_topic_exists};
use crate::client::{Client, Error, Partition, Topic, TopicPartition};
use crate::failure::Failure;
use crate::java_order::{java_hash, map_order};

/// The resource type of topics.
const TOPIC: i8 = 2;
/// The source of a value that is nowhere set.
const DEFAULT_CONFIG: i8 = 5;

/// The settings of a topic: name, value, and whether it is set somewhere.
struct Setting {
    name: String,
    value: String,
    is_default: bool,
}

type Reassignments = BTreeMap<TopicPartition, OngoingPartitionReassignment>;

/// What is known of one topic.
struct Described<'a> {
    topic: &'a Topic,
    settings: &'a [Setting],
    reassignments: &'a Reassignments,
    live_brokers: &'a BTreeSet<i32>,
}

/// Describes the chosen topics.
pub fn describe(
    client: &mut Client,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut topics = topics_to_describe(client, options)?;
    let limit = options.partition_size_limit_per_response;
    add_eligible_leaders(client, &mut topics, limit)?;
    let capacity = topics.len();
    let topics = map_order(topics, capacity, |topic| java_hash(&topic.name));
    let settings = settings_of(client, &topics)?;
    client.retried(Client::refresh)?;
    let live_brokers: BTreeSet<i32> = client.broker_ids().into_iter().collect();
    let reassignments = reassignments(client)?;
    let mut rows = Vec::new();
    for topic in &topics {
        let described = Described {
            topic,
            settings: settings.get(&topic.name).map_or(&[], Vec::as_slice),
            reassignments: &reassignments,
            live_brokers: &live_brokers,
        };
        match options.output.is_json() {
            true => rows.extend(described.json(options)),
            false => described.print(options, out)?,
        }
    }
    if options.output.is_json() {
        writeln!(out, "{}", json!(rows))?;
    }
    Ok(())
}

fn topics_to_describe(client: &mut Client, options: &Options) -> Result<Vec<Topic>, Failure> {
    let id = match &options.topic_id {
        None => Uuid::ZERO,
        Some(text) => text
            .parse()
            .map_err(|_| Failure::said(format!("Input string `{text}` is not a topic id")))?,
    };
    if id.is_zero() {
        let topics = chosen_topics(client, options)?;
        ensure_topic_exists(&topics, options)?;
        return Ok(topics);
    }
    let mut topics = client.all_topics()?;
    topics.retain(|topic| topic.id == id);
    match topics.is_empty() && !options.if_exists {
        true => Err(Failure::said(format!(
            "TopicId '{id}' does not exist as expected"
        ))),
        false => Ok(topics),
    }
}

/// Eligible leader replicas are known only to brokers that describe partitions themselves.
fn add_eligible_leaders(
    client: &mut Client,
    topics: &mut [Topic],
    limit: i32,
) -> Result<(), Failure> {
    if topics.is_empty() || !client.can_ask::<DescribeTopicPartitionsRequest<'_>>(0)? {
        return Ok(());
    }
    let mut cursor: Option<(String, i32)> = None;
    loop {
        let from = cursor.as_ref().map_or("", |(name, _)| name);
        let names = topics.iter().map(|topic| topic.name.clone());
        let names = names.filter(|name| name.as_str() >= from);
        let request = DescribeTopicPartitionsRequest {
            topics: names
                .map(|name| TopicRequest { name: name.into() })
                .collect(),
            response_partition_limit: limit,
            cursor: cursor.take().map(|(name, partition_index)| RequestCursor {
                topic_name: name.into(),
                partition_index,
            }),
        };
        let answer = client.retried(|client| client.ask_any(&request))?;
        for described in answer.topics {
            let name = described.name.unwrap_or_default();
            let Some(topic) = topics.iter_mut().find(|topic| topic.name == name) else {
                continue;
            };
            for described in described.partitions {
                let mut known = topic.partitions.iter_mut();
                if let Some(known) = known.find(|known| known.index == described.partition_index) {
                    known.eligible_leaders = described.eligible_leader_replicas;
                    known.last_known_eligible = described.last_known_elr;
                }
            }
        }
        match answer.next_cursor {
            Some(next) => cursor = Some((next.topic_name.into_owned(), next.partition_index)),
            None => return Ok(()),
        }
    }
}

fn settings_of(
    client: &mut Client,
    topics: &[Topic],
) -> Result<BTreeMap<String, Vec<Setting>>, Failure> {
    let resource = |topic: &Topic| DescribeConfigsResource {
        resource_type: TOPIC,
        resource_name: topic.name.clone().into(),
        configuration_keys: None,
    };
    let request = DescribeConfigsRequest {
        resources: topics.iter().map(resource).collect(),
        ..Default::default()
    };
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let answer = client.retried(|client| client.ask_any(&request))?;
    let mut of_topics = BTreeMap::new();
    for result in answer.results {
        Error::check(result.error_code, result.error_message)?;
        let settings = result.configs.into_iter().map(|config| Setting {
            name: config.name.into_owned(),
            value: config
                .value
                .map_or("null".to_owned(), |value| value.into_owned()),
            is_default: config.config_source == DEFAULT_CONFIG,
        });
        let settings = map_order(settings.collect(), 16, |setting: &Setting| {
            java_hash(&setting.name)
        });
        of_topics.insert(result.resource_name.into_owned(), settings);
    }
    Ok(of_topics)
}

/// Reassignments under way; none from brokers that do not tell.
fn reassignments(client: &mut Client) -> Result<Reassignments, Failure> {
    let request = ListPartitionReassignmentsRequest {
        timeout_ms: client.settings().request_timeout.as_millis() as i32,
        topics: None,
    };
    let answer = client.retried(|client| {
        let answer = client.ask_controller(&request)?;
        let settled = Error::settled(answer.error_code, answer.error_message)?;
        Ok(settled.map(|()| answer.topics))
    });
    let topics = match answer {
        Err(Error::Unsupported { .. }) | Ok(Err(_)) => return Ok(BTreeMap::new()),
        Ok(Ok(topics)) => topics,
        Err(error) => return Err(error.into()),
    };
    let mut all = BTreeMap::new();
    for topic in topics {
        for partition in topic.partitions {
            let at = TopicPartition::new(topic.name.as_ref(), partition.partition_index);
            all.insert(at, partition);
        }
    }
    Ok(all)
}

impl Described<'_> {
    fn print(&self, options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
        if self.shows_head(options) {
            let set = self.settings.iter().filter(|setting| !setting.is_default);
            let set: Vec<String> = set
                .map(|setting| format!("{}={}", setting.name, setting.value))
                .collect();
            write!(out, "Topic: {}", self.topic.name)?;
            if !self.topic.id.is_zero() {
                write!(out, "\tTopicId: {}", self.topic.id)?;
            }
            let count = self.topic.partitions.len();
            write!(out, "\tPartitionCount: {count}")?;
            write!(out, "\tReplicationFactor: {}", self.replication_factor())?;
            writeln!(out, "\tConfigs: {}", set.join(","))?;
        }
        for partition in self.shown_partitions(options) {
            self.print_partition(partition, out)?;
        }
        Ok(())
    }

    fn print_partition(&self, partition: &Partition, out: &mut dyn Write) -> Result<(), Failure> {
        let or_not_known = |ids: &Option<Vec<i32>>| match ids {
            Some(ids) => joined(ids),
            None => "N/A".to_owned(),
        };
        let leader = partition
            .leader
            .map_or("none".to_owned(), |id| id.to_string());
        write!(out, "\tTopic: {}", self.topic.name)?;
        write!(out, "\tPartition: {}\tLeader: {leader}", partition.index)?;
        write!(out, "\tReplicas: {}", joined(&partition.replicas))?;
        write!(out, "\tIsr: {}", joined(&partition.in_sync))?;
        if let Some(reassignment) = self.reassignment(partition) {
            write!(
                out,
                "\tAdding Replicas: {}",
                joined(&reassignment.adding_replicas)
            )?;
            write!(
                out,
                "\tRemoving Replicas: {}",
                joined(&reassignment.removing_replicas)
            )?;
        }
        write!(out, "\tElr: {}", or_not_known(&partition.eligible_leaders))?;
        writeln!(
            out,
            "\tLastKnownElr: {}",
            or_not_known(&partition.last_known_eligible)
        )?;
        Ok(())
    }

    fn json(&self, options: &Options) -> Option<Value> {
        let partitions = self.shown_partitions(options).map(|partition| {
            json!({
                "partition": partition.index,
                "leader": partition.leader,
                "replicas": partition.replicas,
                "isr": partition.in_sync,
                "elr": partition.eligible_leaders,
                "lastKnownElr": partition.last_known_eligible,
                "addingReplicas": self.reassignment(partition).map(|at| &at.adding_replicas),
                "removingReplicas": self.reassignment(partition).map(|at| &at.removing_replicas),
            })
        });
        let partitions: Vec<Value> = partitions.collect();
        let set = self.settings.iter().filter(|setting| !setting.is_default);
        let configs: BTreeMap<&str, &str> = set
            .map(|setting| (setting.name.as_str(), setting.value.as_str()))
            .collect();
        (self.shows_head(options) || !partitions.is_empty()).then(|| {
            json!({
                "topic": self.topic.name,
                "topicId": self.topic.id.to_string(),
                "partitionCount": self.topic.partitions.len(),
                "replicationFactor": self.replication_factor(),
                "configs": configs,
                "partitions": partitions,
            })
        })
    }

    fn shows_head(&self, options: &Options) -> bool {
        let reports_partitions = options.under_replicated_partitions
            || options.unavailable_partitions
            || options.under_min_isr_partitions
            || options.at_min_isr_partitions;
        let has_overrides = || self.settings.iter().any(|setting| !setting.is_default);
        !reports_partitions && (!options.topics_with_overrides || has_overrides())
    }

    fn shown_partitions<'s>(&'s self, options: &'s Options) -> impl Iterator<Item = &'s Partition> {
        let partitions = self.topic.partitions.iter();
        partitions.filter(|partition| self.shows(partition, options))
    }

    fn shows(&self, partition: &Partition, options: &Options) -> bool {
        if options.topics_with_overrides {
            return false;
        }
        let reports = [
            (
                options.under_replicated_partitions,
                self.is_under_replicated(partition),
            ),
            (
                options.unavailable_partitions,
                !self.has_live_leader(partition),
            ),
            (
                options.under_min_isr_partitions,
                partition.leader.is_none() || partition.in_sync.len() < self.min_in_sync(),
            ),
            (
                options.at_min_isr_partitions,
                partition.in_sync.len() == self.min_in_sync(),
            ),
        ];
        let asked = reports.iter().any(|(is_asked, _)| *is_asked);
        !asked || reports.iter().any(|(is_asked, holds)| *is_asked && *holds)
    }

    fn is_under_replicated(&self, partition: &Partition) -> bool {
        self.replicas_wanted(partition) > partition.in_sync.len()
    }

    fn has_live_leader(&self, partition: &Partition) -> bool {
        partition
            .leader
            .is_some_and(|id| self.live_brokers.contains(&id))
    }

    fn min_in_sync(&self) -> usize {
        let mut settings = self.settings.iter();
        let min = settings.find(|setting| setting.name == "min.insync.replicas");
        min.and_then(|setting| setting.value.parse().ok())
            .unwrap_or(1)
    }

    fn replication_factor(&self) -> usize {
        let first = self.topic.partitions.first();
        first.map_or(0, |partition| self.replicas_wanted(partition))
    }

    /// A partition on the move has those replicas that it had before.
    fn replicas_wanted(&self, partition: &Partition) -> usize {
        let moving = self.reassignment(partition).filter(|reassignment| {
            let adding = reassignment.adding_replicas.iter();
            let mut changing = adding.chain(&reassignment.removing_replicas);
            changing.any(|id| partition.replicas.contains(id))
        });
        match moving {
            Some(moving) => moving.replicas.len() - moving.adding_replicas.len(),
            None => partition.replicas.len(),
        }
    }

    fn reassignment(&self, partition: &Partition) -> Option<&OngoingPartitionReassignment> {
        let at = TopicPartition::new(&self.topic.name, partition.index);
        self.reassignments.get(&at)
    }
}

fn joined(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
    ids.join(",")
}
