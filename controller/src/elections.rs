//! ElectLeaders: the preferred replica is to lead, or any replica as the last resort (KIP-183, 460).

use protocol::error::ErrorCode;
use protocol::ids::PartitionIndex;

use crate::decision::{Decision, Messages, Refusal};
use crate::image::{Image, RecoveryState, Topic};
use crate::leadership::{Of, Target, is_active};
use crate::record::Record;
use crate::topics::{RECORDS_PER_REQUEST_MAX, too_large};

/// Who may be elected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first replica, if it is in sync.
    Preferred,
    /// Any replica, where nobody leads; records may be lost.
    Unclean,
}

/// Topics with their partitions; `None` asks for all that need it.
pub type Asked = Option<Vec<(String, Vec<i32>)>>;

/// One result for every partition asked for.
pub type Results = Vec<(String, Vec<(i32, Result<(), Refusal>)>)>;

/// Decides on all partitions of one request. An `Err` refuses the request whole.
pub fn elect(
    image: &Image,
    election: Election,
    asked: &Asked,
) -> Result<Decision<Results>, Refusal> {
    let mut records = Vec::new();
    let mut results = Results::new();
    let Some(asked) = asked else {
        for topic in image.topics() {
            let mut needed = Vec::new();
            for index in topic.partitions.keys() {
                let result = elect_one(
                    image,
                    election,
                    Some(topic),
                    &topic.name,
                    index.0,
                    &mut records,
                );
                let is_needed = |refusal: &Refusal| refusal.code != ErrorCode::ElectionNotNeeded;
                if result.as_ref().err().is_none_or(is_needed) {
                    needed.push((index.0, result));
                }
            }
            results.push((topic.name.to_string(), needed));
        }
        return decided(records, results);
    };
    let mut messages = Messages::default();
    for (name, partitions) in asked {
        let topic = image.topic(name).map(|topic| &**topic);
        let elected = partitions.iter().map(|index| {
            let result = elect_one(image, election, topic, name, *index, &mut records);
            (*index, messages.admit(result))
        });
        results.push((name.clone(), elected.collect()));
    }
    decided(records, results)
}

fn decided(records: Vec<Record>, outcome: Results) -> Result<Decision<Results>, Refusal> {
    match records.len() > RECORDS_PER_REQUEST_MAX {
        true => Err(too_large()),
        false => Ok(Decision { records, outcome }),
    }
}

fn elect_one(
    image: &Image,
    election: Election,
    topic: Option<&Topic>,
    name: &str,
    index: i32,
    records: &mut Vec<Record>,
) -> Result<(), Refusal> {
    let unknown = |text: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, text);
    let topic = topic.ok_or_else(|| unknown(format!("No such topic as {name}")))?;
    let index = PartitionIndex(index);
    let partition = topic
        .partition(index)
        .ok_or_else(|| unknown(format!("No such partition as {name}-{}", index.0)))?;
    let preferred = partition.replicas.first().copied();
    let is_needed = match election {
        Election::Preferred => partition.leader != preferred,
        Election::Unclean => partition.leader.is_none(),
    };
    if !is_needed {
        return Err(Refusal::silent(ErrorCode::ElectionNotNeeded));
    }
    let mut target = Target::unchanged(partition);
    let in_sync = |id: &protocol::ids::BrokerId| partition.isr.contains(id);
    let mut active = partition
        .replicas
        .iter()
        .copied()
        .filter(|id| is_active(image, *id));
    match election {
        Election::Preferred => {
            target.leader = preferred.filter(|id| in_sync(id) && is_active(image, *id));
            if target.leader.is_none() {
                return Err(Refusal::silent(ErrorCode::PreferredLeaderNotAvailable));
            }
        }
        Election::Unclean => {
            target.leader = active.clone().find(in_sync);
            if target.leader.is_none() {
                let last_resort = active.next();
                let none = || Refusal::silent(ErrorCode::EligibleLeadersNotAvailable);
                target.isr = vec![last_resort.ok_or_else(none)?];
                target.leader = last_resort;
                target.recovery = RecoveryState::Recovering;
            }
        }
    }
    let of = Of {
        topic: topic.id,
        index,
    };
    records.extend(target.record(image, of, partition));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::{Stage, advance};
    use crate::image::Partition;
    use crate::record::{PartitionRecord, TopicRecord};
    use crate::testing::{apply, image_with};
    use protocol::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Uuid};

    const TOPIC: Uuid = Uuid([3; 16]);

    /// Broker 2 is fenced.
    fn image(partitions: &[(&[i32], &[i32], i32)]) -> Image {
        let mut image = image_with(3);
        apply(
            &mut image,
            &[advance(BrokerId(2), BrokerEpoch(2), Stage::Stopped)],
        );
        let name = "t".into();
        let topic_id = TOPIC;
        apply(&mut image, &[Record::Topic(TopicRecord { name, topic_id })]);
        for (partition_id, (replicas, isr, leader)) in (0..).zip(partitions) {
            let record = PartitionRecord {
                partition_id,
                topic_id,
                replicas: replicas.to_vec(),
                isr: isr.to_vec(),
                leader: *leader,
                leader_epoch: 4,
                ..Default::default()
            };
            apply(&mut image, &[Record::Partition(record)]);
        }
        image
    }

    fn state(image: &Image, index: i32) -> Partition {
        let topic = image.topic_by_id(TOPIC).unwrap();
        topic.partition(PartitionIndex(index)).unwrap().clone()
    }

    fn codes(results: &Results) -> Vec<ErrorCode> {
        let all = results.iter().flat_map(|(_, partitions)| partitions);
        all.map(|(_, result)| result.as_ref().err().map_or(ErrorCode::None, |r| r.code))
            .collect()
    }

    #[test]
    fn the_preferred_replica_leads_where_it_may() {
        let mut image = image(&[
            (&[0, 1], &[0, 1], 0),
            (&[1, 0], &[0, 1], 0),
            (&[1, 0], &[0], 0),
            (&[2, 0], &[0, 2], 0),
        ]);
        let asked = Some(vec![
            ("t".to_owned(), vec![0, 1, 2, 3, 4]),
            ("u".to_owned(), vec![0]),
        ]);
        let decision = elect(&image, Election::Preferred, &asked).unwrap();
        assert_eq!(
            codes(&decision.outcome),
            [
                ErrorCode::ElectionNotNeeded,
                ErrorCode::None,
                ErrorCode::PreferredLeaderNotAvailable,
                ErrorCode::PreferredLeaderNotAvailable,
                ErrorCode::UnknownTopicOrPartition,
                ErrorCode::UnknownTopicOrPartition,
            ]
        );
        assert_eq!(decision.records.len(), 1);
        apply(&mut image, &decision.records);
        let now = state(&image, 1);
        assert_eq!(
            (now.leader, now.leader_epoch),
            (Some(BrokerId(1)), LeaderEpoch(5))
        );
        let all = elect(&image, Election::Preferred, &None).unwrap();
        assert_eq!(
            codes(&all.outcome),
            [ErrorCode::PreferredLeaderNotAvailable; 2]
        );
    }

    #[test]
    fn the_last_resort_is_alone_in_sync_and_recovers() {
        let mut image = image(&[(&[0, 1], &[0, 1], 0), (&[2, 1], &[2], -1), (&[2], &[2], -1)]);
        let decision = elect(&image, Election::Unclean, &None).unwrap();
        assert_eq!(
            codes(&decision.outcome),
            [ErrorCode::None, ErrorCode::EligibleLeadersNotAvailable]
        );
        apply(&mut image, &decision.records);
        let now = state(&image, 1);
        assert_eq!(
            (now.leader, now.isr),
            (Some(BrokerId(1)), vec![BrokerId(1)])
        );
        assert_eq!(now.recovery, RecoveryState::Recovering);
    }
}
