//! AlterPartitionReassignments and ListPartitionReassignments: other replicas for partitions
//! (KIP-455). A change that needs no broker to catch up is done at once.

use protocol::error::ErrorCode;
use protocol::ids::{BrokerId, PartitionIndex};

use crate::decision::{Decision, Messages, Refusal};
use crate::image::{Image, Partition};
use crate::leadership::{Of, Target};
use crate::record::Record;
use crate::topics::{RECORDS_PER_REQUEST_MAX, check_assignment, too_large};

/// One partition: the replicas it is to have; `None` cancels what is under way.
pub type Wish = (i32, Option<Vec<BrokerId>>);

/// One result for every partition asked for.
pub type Results = Vec<(String, Vec<(i32, Result<(), Refusal>)>)>;

/// Decides on all partitions of one request. An `Err` refuses the request whole.
pub fn reassign(
    image: &Image,
    topics: &[(String, Vec<Wish>)],
) -> Result<Decision<Results>, Refusal> {
    let mut records = Vec::new();
    let mut outcome = Results::new();
    let mut messages = Messages::default();
    for (name, wishes) in topics {
        let results = wishes.iter().map(|(index, wish)| {
            let result = reassign_one(image, name, *index, wish.as_deref());
            let result = messages.admit(result);
            (*index, result.map(|record| records.extend(record)))
        });
        outcome.push((name.clone(), results.collect()));
    }
    match records.len() > RECORDS_PER_REQUEST_MAX {
        true => Err(too_large()),
        false => Ok(Decision { records, outcome }),
    }
}

fn reassign_one(
    image: &Image,
    name: &str,
    index: i32,
    replicas: Option<&[BrokerId]>,
) -> Result<Option<Record>, Refusal> {
    let unknown = |text: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, text);
    let topic = image
        .topic(name)
        .ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let now = topic
        .partition(PartitionIndex(index))
        .ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
    let mut target = match replicas {
        Some(replicas) => {
            check_assignment(image, replicas, None)?;
            changed(now, replicas)
        }
        None => reverted(now, name, index)?,
    };
    complete(&mut target);
    target.elect(image);
    let of = Of {
        topic: topic.id,
        index: PartitionIndex(index),
    };
    Ok(target.record(image, of, now))
}

/// On the way to these replicas: those that go come last, until the others are in sync.
fn changed(now: &Partition, replicas: &[BrokerId]) -> Target {
    let without = |all: &[BrokerId], some: &[BrokerId]| {
        let mut rest: Vec<_> = all
            .iter()
            .copied()
            .filter(|id| !some.contains(id))
            .collect();
        rest.sort_unstable();
        rest
    };
    let removing = without(&now.replicas, replicas);
    let adding = without(replicas, &now.replicas);
    Target {
        replicas: replicas.iter().chain(&removing).copied().collect(),
        removing,
        adding,
        ..Target::unchanged(now)
    }
}

/// Back to the replicas before.
fn reverted(now: &Partition, name: &str, index: i32) -> Result<Target, Refusal> {
    if now.removing.is_empty() && now.adding.is_empty() {
        return Err(Refusal::silent(ErrorCode::NoReassignmentInProgress));
    }
    let mut target = Target::unchanged(now);
    target.replicas.retain(|id| !now.adding.contains(id));
    target.isr.retain(|id| !now.adding.contains(id));
    if target.isr.is_empty() {
        let text = format!(
            "Unable to revert partition assignment for {name}:{index} because it would require \
             an unclean leader election."
        );
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
    }
    target.removing.clear();
    target.adding.clear();
    Ok(target)
}

/// Ends the way where all that stay are in sync.
fn complete(target: &mut Target) {
    let stays = |id: &BrokerId| !target.removing.contains(id);
    let replicas: Vec<_> = target.replicas.iter().copied().filter(stays).collect();
    let isr: Vec<_> = target.isr.iter().copied().filter(stays).collect();
    if !isr.is_empty() && replicas.iter().all(|id| isr.contains(id)) {
        target.replicas = replicas;
        target.isr = isr;
        target.removing.clear();
        target.adding.clear();
    }
}

/// The partitions under way, of these topics and partitions or of all.
pub fn under_way<'a>(
    image: &'a Image,
    asked: Option<&'a [(String, Vec<i32>)]>,
) -> Vec<(&'a str, Vec<(i32, &'a Partition)>)> {
    let is_under_way =
        |partition: &&Partition| !partition.removing.is_empty() || !partition.adding.is_empty();
    let mut found = Vec::new();
    match asked {
        None => {
            for topic in image.topics() {
                let all = topic.partitions.iter();
                let all = all.map(|(index, partition)| (index.0, partition));
                let some: Vec<_> = all
                    .filter(|(_, partition)| is_under_way(partition))
                    .collect();
                found.push((&*topic.name, some));
            }
        }
        Some(asked) => {
            for (name, indexes) in asked {
                let Some(topic) = image.topic(name) else {
                    continue;
                };
                let some = indexes.iter().filter_map(|index| {
                    let partition = topic.partition(PartitionIndex(*index))?;
                    is_under_way(&partition).then_some((*index, partition))
                });
                found.push((&*topic.name, some.collect()));
            }
        }
    }
    found.retain(|(_, partitions)| !partitions.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{PartitionRecord, TopicRecord};
    use crate::testing::{apply, image_with};
    use protocol::ids::{LeaderEpoch, Uuid};

    fn ids(raw: &[i32]) -> Vec<BrokerId> {
        raw.iter().copied().map(BrokerId).collect()
    }

    fn image(replicas: &[i32], isr: &[i32]) -> Image {
        let mut image = image_with(3);
        let topic_id = Uuid([3; 16]);
        let topic = Record::Topic(TopicRecord {
            name: "t".into(),
            topic_id,
        });
        let partition = Record::Partition(PartitionRecord {
            partition_id: 0,
            topic_id,
            replicas: replicas.to_vec(),
            isr: isr.to_vec(),
            leader: isr[0],
            leader_epoch: 0,
            directories: vec![Uuid([7; 16]); replicas.len()],
            ..Default::default()
        });
        apply(&mut image, &[topic, partition]);
        image
    }

    fn ask(image: &mut Image, wish: Option<&[i32]>) -> Result<usize, ErrorCode> {
        let asked = [("t".to_owned(), vec![(0, wish.map(ids))])];
        let Decision { records, outcome } = reassign(image, &asked).unwrap();
        apply(image, &records);
        let result = outcome[0].1[0].1.clone();
        result
            .map(|()| records.len())
            .map_err(|refusal| refusal.code)
    }

    fn state(image: &Image) -> Partition {
        image
            .topic("t")
            .unwrap()
            .partition(PartitionIndex(0))
            .unwrap()
            .clone()
    }

    #[test]
    fn what_is_in_sync_is_done_at_once() {
        let mut image = image(&[0, 1], &[0, 1]);
        assert_eq!(ask(&mut image, Some(&[0, 1])), Ok(0), "nothing changes");
        assert_eq!(ask(&mut image, Some(&[1])), Ok(1));
        let now = state(&image);
        assert_eq!((&now.replicas, &now.isr), (&ids(&[1]), &ids(&[1])));
        assert_eq!(
            (now.leader, now.leader_epoch),
            (Some(BrokerId(1)), LeaderEpoch(1))
        );
        assert_eq!(now.directories.len(), 1);
        assert!(now.removing.is_empty());
        assert_eq!(
            ask(&mut image, None),
            Err(ErrorCode::NoReassignmentInProgress)
        );
    }

    #[test]
    fn a_replica_that_has_to_catch_up_is_waited_for_and_can_be_called_off() {
        let mut image = image(&[0], &[0]);
        assert_eq!(ask(&mut image, Some(&[2])), Ok(1));
        let now = state(&image);
        assert_eq!(now.replicas, ids(&[2, 0]));
        assert_eq!((&now.adding, &now.removing), (&ids(&[2]), &ids(&[0])));
        assert_eq!(now.leader, Some(BrokerId(0)));
        assert_eq!(under_way(&image, None).len(), 1);
        let others = [("t".to_owned(), vec![1])];
        assert!(under_way(&image, Some(&others)).is_empty());
        assert_eq!(ask(&mut image, None), Ok(1));
        let now = state(&image);
        assert_eq!((&now.replicas, &now.isr), (&ids(&[0]), &ids(&[0])));
        assert!(under_way(&image, None).is_empty());
    }

    #[test]
    fn refusals() {
        let mut image = image(&[0], &[0]);
        for replicas in [&[][..], &[9], &[0, 0]] {
            let refused = ask(&mut image, Some(replicas));
            assert_eq!(
                refused,
                Err(ErrorCode::InvalidReplicaAssignment),
                "{replicas:?}"
            );
        }
        let asked = [("u".to_owned(), vec![(0, Some(ids(&[0])))])];
        let decision = reassign(&image, &asked).unwrap();
        let refusal = decision.outcome[0].1[0].1.clone().unwrap_err();
        assert_eq!(refusal.message.unwrap(), "Unable to find a topic named u.");
    }
}
