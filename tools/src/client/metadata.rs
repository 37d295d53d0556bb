//! Topics, their partitions and leaders, as the newest metadata say.

use std::collections::BTreeMap;
use std::fmt;

use protocol::error::ErrorCode;
use protocol::ids::Uuid;
use protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic,
};

use super::{Client, Error};

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition of this topic and number.
    pub fn new(topic: impl Into<String>, partition: i32) -> TopicPartition {
        TopicPartition {
            topic: topic.into(),
            partition,
        }
    }

    /// The given things by topic, as requests carry them.
    pub fn by_topic<'a, T>(
        items: impl IntoIterator<Item = (&'a TopicPartition, T)>,
    ) -> BTreeMap<&'a str, Vec<(i32, T)>> {
        let mut topics: BTreeMap<&str, Vec<(i32, T)>> = BTreeMap::new();
        for (at, item) in items {
            let of_topic = topics.entry(at.topic.as_str()).or_default();
            of_topic.push((at.partition, item));
        }
        topics
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A topic as the metadata say.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id; zero from brokers that have none.
    pub id: Uuid,
    /// Whether it is one of the cluster's own.
    pub is_internal: bool,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
}

/// A partition as the metadata say.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    /// Its number.
    pub index: i32,
    /// Its leader, if it has one.
    pub leader: Option<i32>,
    /// The brokers that hold it.
    pub replicas: Vec<i32>,
    /// Those of them in sync.
    pub in_sync: Vec<i32>,
    /// Eligible leader replicas, where the broker says.
    pub eligible_leaders: Option<Vec<i32>>,
    /// The last known ones of those, where the broker says.
    pub last_known_eligible: Option<Vec<i32>>,
}

impl Client {
    /// All topics, by name.
    pub fn all_topics(&mut self) -> Result<Vec<Topic>, Error> {
        let request = MetadataRequest {
            topics: None,
            allow_auto_topic_creation: true,
            ..Default::default()
        };
        let answer = self.retried(|client| client.ask_any(&request))?;
        self.learn(&answer);
        let usable = answer
            .topics
            .into_iter()
            .filter(|topic| topic.error_code == 0);
        let mut topics: Vec<Topic> = usable.map(Topic::of).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic, asked for once. An unknown one is an error, and is not created.
    pub fn topic(&mut self, name: &str) -> Result<Topic, Error> {
        self.topic_if(name, false)
    }

    /// One topic, asked for once. An unknown one is an error now, and is there a little later if
    /// the broker creates topics by itself.
    pub fn topic_or_create(&mut self, name: &str) -> Result<Topic, Error> {
        self.topic_if(name, true)
    }

    fn topic_if(&mut self, name: &str, may_be_created: bool) -> Result<Topic, Error> {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(name.into()),
                ..Default::default()
            }]),
            allow_auto_topic_creation: may_be_created,
            ..Default::default()
        };
        let answer = self.ask_any(&request)?;
        self.learn(&answer);
        let unknown = || Error::of(ErrorCode::UnknownTopicOrPartition);
        let topic = answer.topics.into_iter().next().ok_or_else(unknown)?;
        Error::check(topic.error_code, None)?;
        Ok(Topic::of(topic))
    }

    /// Takes over what an answer says of brokers and the controller.
    pub(super) fn learn(&mut self, answer: &MetadataResponse<'_>) {
        let address = |host: &str, port| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let brokers = answer.brokers.iter();
        self.brokers = brokers
            .map(|broker| (broker.node_id, address(&broker.host, broker.port)))
            .collect();
        self.controller = Some(answer.controller_id).filter(|id| *id >= 0);
    }
}

impl Topic {
    fn of(topic: MetadataResponseTopic<'_>) -> Topic {
        let partitions = topic.partitions.into_iter().map(|partition| Partition {
            index: partition.partition_index,
            leader: Some(partition.leader_id).filter(|id| *id >= 0),
            replicas: partition.replica_nodes,
            in_sync: partition.isr_nodes,
            eligible_leaders: None,
            last_known_eligible: None,
        });
        let mut partitions: Vec<Partition> = partitions.collect();
        partitions.sort_by_key(|partition| partition.index);
        Topic {
            name: topic.name.unwrap_or_default().into_owned(),
            id: topic.topic_id,
            is_internal: topic.is_internal,
            partitions,
        }
    }

    /// All partitions of it.
    pub fn all_partitions(&self) -> impl Iterator<Item = TopicPartition> {
        let indexes = self.partitions.iter().map(|partition| partition.index);
        indexes.map(|index| TopicPartition::new(&self.name, index))
    }
}
