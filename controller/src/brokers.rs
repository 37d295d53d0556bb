//! UnregisterBroker: a broker that is gone for good is forgotten (KIP-500).

use protocol::error::ErrorCode;
use protocol::ids::BrokerId;

use crate::decision::{Decision, Refusal};
use crate::image::Image;
use crate::leadership::{Of, Target};
use crate::record::{Record, UnregisterBrokerRecord};

/// Decides to forget `broker`; it leads nothing any more and is in sync with nobody.
pub fn unregister(image: &Image, broker: BrokerId) -> Result<Decision<()>, Refusal> {
    let Some(registered) = image.broker(broker) else {
        let text = format!("Broker ID {broker} is not currently registered");
        return Err(Refusal::new(ErrorCode::BrokerIdNotRegistered, text));
    };
    let mut records = Vec::new();
    for topic in image.topics() {
        for (index, now) in &topic.partitions {
            let mut target = Target::unchanged(now);
            target.isr.retain(|id| *id != broker);
            if target.isr.is_empty() {
                // The last one in sync stays so: only it has all records.
                target.isr.clone_from(&now.isr);
            }
            if target.leader == Some(broker) {
                let mut others = target.clone();
                others.replicas.retain(|id| *id != broker);
                others.elect(image);
                target.leader = others.leader;
            }
            let of = Of {
                topic: topic.id,
                index: *index,
            };
            records.extend(target.record(image, of, now));
        }
    }
    records.push(Record::UnregisterBroker(UnregisterBrokerRecord {
        broker_id: broker.0,
        broker_epoch: registered.epoch.0,
    }));
    Ok(Decision {
        records,
        outcome: (),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{apply, counted, image_with, topic, with_defaults};
    use crate::topics::Mode;
    use crate::topics::create::create;
    use protocol::ids::PartitionIndex;

    #[test]
    fn others_lead_after_it() {
        let mut image = image_with(2);
        let both = [topic("both", 2, 2), topic("one", 2, 1)];
        let created = with_defaults(|defaults| {
            create(&image, defaults, &both, Mode::Commit, &mut counted()).unwrap()
        });
        apply(&mut image, &created.records);
        let gone = BrokerId(1);
        let decision = unregister(&image, gone).unwrap();
        apply(&mut image, &decision.records);
        assert!(image.broker(gone).is_none());
        for index in 0..2 {
            let topic = image.topic("both").unwrap();
            let partition = topic.partition(PartitionIndex(index)).unwrap();
            assert_eq!(partition.leader, Some(BrokerId(0)));
            assert_eq!(partition.isr, [BrokerId(0)]);
        }
        let alone = image.topic("one").unwrap().partitions.values();
        for partition in alone.filter(|partition| partition.replicas == [gone]) {
            assert_eq!((partition.leader, &*partition.isr), (None, &[gone][..]));
        }
        let again = unregister(&image, gone).unwrap_err();
        assert_eq!(again.code, ErrorCode::BrokerIdNotRegistered);
    }
}
