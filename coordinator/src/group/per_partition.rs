//! Something for each of many topics' partitions, without a copy of the topic's name for each.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

/// See the module. Topics without partitions are not kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PerPartition<T> {
    topics: BTreeMap<Rc<str>, BTreeMap<i32, T>>,
}

impl<T> Default for PerPartition<T> {
    fn default() -> Self {
        Self {
            topics: BTreeMap::new(),
        }
    }
}

impl<T> PerPartition<T> {
    /// Puts something in, and gives back what was there.
    pub fn insert(&mut self, topic: &str, partition: i32, value: T) -> Option<T> {
        if let Some(partitions) = self.topics.get_mut(topic) {
            return partitions.insert(partition, value);
        }
        let partitions = BTreeMap::from([(partition, value)]);
        self.topics.insert(topic.into(), partitions);
        None
    }

    /// Takes something out.
    pub fn remove(&mut self, topic: &str, partition: i32) -> Option<T> {
        let partitions = self.topics.get_mut(topic)?;
        let value = partitions.remove(&partition);
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
        value
    }

    /// What is there for a partition.
    pub fn get_mut(&mut self, topic: &str, partition: i32) -> Option<&mut T> {
        self.topics.get_mut(topic)?.get_mut(&partition)
    }

    /// What is there for a partition.
    pub fn get(&self, topic: &str, partition: i32) -> Option<&T> {
        self.topics.get(topic)?.get(&partition)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Topic by topic, in the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = (&str, &BTreeMap<i32, T>)> {
        self.topics
            .iter()
            .map(|(topic, partitions)| (&**topic, partitions))
    }

    /// A topic's partitions.
    pub fn of_topic(&self, topic: &str) -> impl Iterator<Item = i32> {
        let partitions = self.topics.get(topic).into_iter();
        partitions.flat_map(BTreeMap::keys).copied()
    }

    /// Everything from a topic's partition on, in order.
    pub fn iter_from<'a>(
        &'a self,
        topic: &'a str,
        partition: i32,
    ) -> impl Iterator<Item = (&'a str, i32, &'a T)> {
        let from_topic = (Bound::Included(topic), Bound::Unbounded);
        let topics = self.topics.range::<str, _>(from_topic);
        topics.flat_map(move |(name, partitions)| {
            let first = match &**name == topic {
                true => partition,
                false => i32::MIN,
            };
            let each = partitions.range(first..);
            each.map(move |(partition, value)| (&**name, *partition, value))
        })
    }

    /// Everything, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, &T)> {
        self.topics().flat_map(|(topic, partitions)| {
            let each = partitions.iter();
            each.map(move |(partition, value)| (topic, *partition, value))
        })
    }
}
