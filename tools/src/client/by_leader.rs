//! One question about many partitions: each goes to the partition's leader, and what fails in
//! passing is asked again until the time is over.

use std::collections::BTreeMap;
use std::time::Instant;

use protocol::error::ErrorCode;

use super::backoff::Backoff;
use super::{Client, Error, Topic, TopicPartition};

/// An answer, or why there is none, for each partition.
pub type ByPartition<T> = BTreeMap<TopicPartition, Result<T, Error>>;

impl Client {
    /// Asks the leaders with `ask`, which is told a leader and its partitions and gives what was
    /// answered for each. Every partition is in the result.
    pub fn ask_leaders<T>(
        &mut self,
        partitions: impl IntoIterator<Item = TopicPartition>,
        mut ask: impl FnMut(&mut Client, i32, &[TopicPartition]) -> Result<ByPartition<T>, Error>,
    ) -> Result<ByPartition<T>, Error> {
        let deadline = Instant::now() + self.settings.api_timeout;
        let mut backoff = Backoff::new(&self.settings);
        let mut left: Vec<TopicPartition> = partitions.into_iter().collect();
        let mut answers = ByPartition::new();
        loop {
            let (leaders, without) = self.leaders(&left)?;
            answers.extend(without.into_iter().map(|(at, error)| (at, Err(error))));
            for (leader, partitions) in leaders {
                match ask(self, leader, &partitions) {
                    Ok(answered) => answers.extend(answered),
                    // What there is of answers stays; the rest is asked again.
                    Err(error) if error.is_retriable() => {
                        for at in partitions {
                            let code = ErrorCode::NetworkException;
                            answers.insert(at, Err(Error::of(code)));
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
            left.retain(|at| match answers.get(at) {
                Some(Ok(_)) => false,
                Some(Err(error)) => error.is_retriable(),
                None => true,
            });
            if left.is_empty() {
                return Ok(answers);
            }
            if !backoff.pause_before(deadline) {
                for at in left {
                    if let Some(Err(last)) = answers.remove(&at) {
                        let after = self.settings.api_timeout;
                        let last = Box::new(last);
                        answers.insert(at, Err(Error::TimedOut { after, last }));
                    }
                }
                return Ok(answers);
            }
        }
    }

    /// Who leads each of the partitions, and why some are led by nobody.
    fn leaders(&mut self, partitions: &[TopicPartition]) -> Result<Led, Error> {
        let mut leaders: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        let mut without = Vec::new();
        let mut topics: BTreeMap<&str, Result<Topic, ErrorCode>> = BTreeMap::new();
        for at in partitions {
            let name = at.topic.as_str();
            if !topics.contains_key(name) {
                let topic = match self.topic(name) {
                    Ok(topic) => Ok(topic),
                    Err(error) => Err(error.code().ok_or(error)?),
                };
                topics.insert(name, topic);
            }
            let leader = match &topics[name] {
                Err(code) => Err(*code),
                Ok(topic) => {
                    let mut known = topic.partitions.iter();
                    match known.find(|known| known.index == at.partition) {
                        None => Err(ErrorCode::UnknownTopicOrPartition),
                        Some(known) => known.leader.ok_or(ErrorCode::LeaderNotAvailable),
                    }
                }
            };
            match leader {
                Ok(leader) => leaders.entry(leader).or_default().push(at.clone()),
                Err(code) => without.push((at.clone(), Error::of(code))),
            }
        }
        Ok((leaders, without))
    }
}

type Led = (
    BTreeMap<i32, Vec<TopicPartition>>,
    Vec<(TopicPartition, Error)>,
);
