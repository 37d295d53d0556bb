//! Replaying the metadata log: it gives the image that its writer had, whole or cut anywhere.

use proptest::prelude::*;
use protocol::ids::{BrokerId, PartitionIndex, ProducerId, Uuid};

use super::{Image, Loader, ReplayError, ResourceType};
use crate::alter_configs::{Change, alter_topic};
use crate::record::*;
use crate::testing::{apply, counted, image_with, topic, with_defaults};
use crate::topics::Mode;
use crate::topics::create::create;
use crate::topics::delete::{Doomed, delete};
use crate::topics::grow::{Growth, grow};
use crate::{bootstrap, producer_ids, record_codec};

#[derive(Clone, Debug)]
enum Step {
    Create(u8, i32),
    Delete(u8),
    Grow(u8, i32),
    Alter(u8, u8),
    ProducerIds,
    LeaderGone(u8),
    Transaction(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4u8, 1..4i32).prop_map(|(name, count)| Step::Create(name, count)),
        (0..4u8).prop_map(Step::Delete),
        (0..4u8, 1..6i32).prop_map(|(name, count)| Step::Grow(name, count)),
        (0..4u8, 0..3u8).prop_map(|(name, value)| Step::Alter(name, value)),
        Just(Step::ProducerIds),
        (0..4u8).prop_map(Step::LeaderGone),
        any::<bool>().prop_map(Step::Transaction),
    ]
}

fn name(of: u8) -> String {
    format!("topic.{of}")
}

/// What the step writes, decided on the image.
fn records(image: &Image, step: &Step, draw: &mut dyn crate::Draw) -> Vec<Record> {
    let name_of = name;
    match step {
        Step::Create(of, count) => with_defaults(|defaults| {
            let topics = [topic(&name_of(*of), *count, 1)];
            create(image, defaults, &topics, Mode::Commit, draw)
                .unwrap()
                .records
        }),
        Step::Delete(of) => {
            delete(
                image,
                &[Doomed {
                    name: Some(name_of(*of)),
                    id: Uuid::ZERO,
                }],
            )
            .records
        }
        Step::Grow(of, count) => {
            let growth = Growth {
                name: name_of(*of),
                count: *count,
                assignments: None,
            };
            grow(image, &[growth], Mode::Commit, draw).unwrap().records
        }
        Step::Alter(of, value) => with_defaults(|defaults| {
            let change = match value {
                0 => Change::Delete,
                more => Change::Set(format!("{}000", more)),
            };
            let changes = [("retention.ms".to_owned(), change)];
            alter_topic(image, &defaults.sources, &name_of(*of), &changes).unwrap_or_default()
        }),
        Step::ProducerIds => {
            let broker = image.brokers().next().expect("a broker").clone();
            producer_ids::next_block(image, broker.id, broker.epoch)
                .unwrap()
                .records
        }
        Step::LeaderGone(of) => leader_gone(image, &name_of(*of)),
        Step::Transaction(_) => Vec::new(),
    }
}

fn leader_gone(image: &Image, topic: &str) -> Vec<Record> {
    let Some(topic) = image.topic(topic) else {
        return Vec::new();
    };
    let changes = topic.partitions.keys().map(|index| {
        Record::PartitionChange(PartitionChangeRecord {
            partition_id: index.0,
            topic_id: topic.id,
            isr: Some(vec![]),
            leader: -1,
            ..PartitionChangeRecord::default()
        })
    });
    changes.collect()
}

/// A log as a node would write it, with its image at the end.
fn write_log(steps: &[Step]) -> (Vec<Record>, Image) {
    let mut loader = Loader::new(Image::new("cluster"));
    let mut log = Vec::new();
    let mut commit = |loader: &mut Loader, records: Vec<Record>| {
        for record in records {
            loader
                .apply(&record)
                .unwrap_or_else(|error| panic!("{record:?}: {error}"));
            log.push(record);
        }
    };
    commit(&mut loader, bootstrap::first_records(&Image::default()));
    let broker = image_with(1).broker(BrokerId(0)).unwrap().clone();
    let registration = bootstrap::Registration {
        id: broker.id,
        epoch: broker.epoch,
        incarnation: broker.incarnation,
        endpoints: broker.endpoints.clone(),
        rack: None,
        log_dirs: broker.log_dirs.clone(),
    };
    commit(&mut loader, vec![bootstrap::register(&registration)]);
    let ready = bootstrap::advance(broker.id, broker.epoch, bootstrap::Stage::Ready);
    commit(&mut loader, vec![ready]);
    let mut draw = counted();
    for step in steps {
        if let Step::Transaction(ends) = step {
            commit(
                &mut loader,
                vec![Record::BeginTransaction(Default::default())],
            );
            commit(&mut loader, vec![Record::NoOp(NoOpRecord {})]);
            commit(
                &mut loader,
                vec![match ends {
                    true => Record::EndTransaction(EndTransactionRecord {}),
                    false => Record::AbortTransaction(Default::default()),
                }],
            );
        }
        let records = records(loader.image(), step, &mut draw);
        commit(&mut loader, records);
    }
    let image = loader.image().clone();
    (log, image)
}

proptest! {
    #[test]
    fn a_log_replays_to_its_image(steps in prop::collection::vec(step(), 0..40)) {
        let (log, image) = write_log(&steps);
        let mut loader = Loader::new(Image::new("cluster"));
        for record in &log {
            let read = record_codec::decode(&record_codec::encode(record)).unwrap();
            prop_assert_eq!(&read, record);
            loader.apply(&read).unwrap();
        }
        prop_assert_eq!(loader.image(), &image);
    }

    #[test]
    fn a_snapshots_records_give_the_image_again(steps in prop::collection::vec(step(), 0..40)) {
        let (_, image) = write_log(&steps);
        let mut again = Image::new("cluster");
        for record in image.records() {
            let read = record_codec::decode(&record_codec::encode(&record)).unwrap();
            again.apply(&read).unwrap();
        }
        prop_assert_eq!(again, image);
    }

    #[test]
    fn any_prefix_and_any_gap_apply_without_a_panic(
        steps in prop::collection::vec(step(), 0..20),
        cut in 0..100usize,
        skip in 0..20usize,
    ) {
        let (log, _) = write_log(&steps);
        let mut loader = Loader::new(Image::new("cluster"));
        for record in log.iter().take(cut) {
            loader.apply(record).unwrap();
        }
        if loader.in_transaction() {
            loader.apply(&Record::AbortTransaction(Default::default())).unwrap();
        }
        // A log that lost records is damaged: errors, but the image stays whole.
        let mut image = Image::new("cluster");
        for record in log.iter().skip(skip) {
            let before = image.clone();
            if image.apply(record).is_err() {
                prop_assert_eq!(&image, &before);
            }
            prop_assert_eq!(image.topics().len(), image.topics().filter(|topic| {
                image.topic_by_id(topic.id).is_some()
            }).count());
        }
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut framed = vec![1];
        framed.extend_from_slice(&bytes);
        let _ = record_codec::decode(&bytes);
        let _ = record_codec::decode(&framed);
    }
}

#[test]
fn half_a_transaction_is_not_seen() {
    let mut loader = Loader::new(image_with(1));
    let begin = Record::BeginTransaction(Default::default());
    let block = |next| {
        Record::ProducerIds(ProducerIdsRecord {
            next_producer_id: next,
            ..Default::default()
        })
    };
    loader.apply(&begin).unwrap();
    loader.apply(&block(1000)).unwrap();
    assert_eq!(loader.image().next_producer_id(), ProducerId(0));
    assert_eq!(loader.apply(&begin), Err(ReplayError::NestedTransaction));
    assert!(loader.in_transaction());
    loader
        .apply(&Record::AbortTransaction(Default::default()))
        .unwrap();
    assert_eq!(loader.image().next_producer_id(), ProducerId(0));
    loader.apply(&begin).unwrap();
    loader.apply(&block(1000)).unwrap();
    loader
        .apply(&Record::EndTransaction(EndTransactionRecord {}))
        .unwrap();
    assert_eq!(loader.image().next_producer_id(), ProducerId(1000));
    assert!(matches!(
        loader.apply(&block(1000)),
        Err(ReplayError::ProducerIds { .. })
    ));
}

#[test]
fn a_clone_does_not_see_later_changes() {
    let mut image = image_with(1);
    let decided = with_defaults(|defaults| {
        create(
            &image,
            defaults,
            &[topic("t", 3, 1)],
            Mode::Commit,
            &mut counted(),
        )
        .unwrap()
    });
    apply(&mut image, &decided.records);
    let before = image.clone();
    let gone = leader_gone(&image, "t");
    apply(&mut image, &gone);
    let leader = |image: &Image| {
        image
            .topic("t")
            .unwrap()
            .partition(PartitionIndex(1))
            .unwrap()
            .leader
    };
    assert_eq!((leader(&before), leader(&image)), (Some(BrokerId(0)), None));
}

#[test]
fn records_of_another_registration_do_not_apply() {
    let mut image = image_with(1);
    let change = |broker_epoch| {
        Record::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
            broker_id: 0,
            broker_epoch,
            in_controlled_shutdown: 1,
            ..Default::default()
        })
    };
    assert!(matches!(
        image.apply(&change(77)),
        Err(ReplayError::BrokerEpoch { .. })
    ));
    image.apply(&change(0)).unwrap();
    assert!(!image.broker(BrokerId(0)).unwrap().is_active());
    let config = Record::Config(ConfigRecord {
        resource_type: ResourceType::Broker as i8,
        name: "k".into(),
        value: Some("v".into()),
        ..Default::default()
    });
    image.apply(&config).unwrap();
    assert_eq!(image.overrides(ResourceType::Broker, "")["k"], "v");
}

#[test]
fn what_is_not_acted_on_is_kept_until_it_is_removed() {
    let quota = |remove, value| {
        Record::ClientQuota(ClientQuotaRecord {
            entity: vec![EntityData {
                entity_type: "user".into(),
                entity_name: None,
            }],
            key: "producer_byte_rate".into(),
            value,
            remove,
        })
    };
    let scram = Record::UserScramCredential(UserScramCredentialRecord {
        name: "alice".into(),
        mechanism: 1,
        iterations: 4096,
        ..Default::default()
    });
    let acl = Record::AccessControlEntry(AccessControlEntryRecord {
        id: Uuid([5; 16]),
        principal: "User:alice".into(),
        ..Default::default()
    });
    let token = Record::DelegationToken(DelegationTokenRecord {
        token_id: "t".into(),
        ..Default::default()
    });
    let mut image = Image::new("cluster");
    let empty = image.records();
    let set = [quota(false, 1.0), quota(false, 2.0), acl, scram, token];
    apply(&mut image, &set);
    assert_eq!(&image.records()[empty.len()..], &set[1..]);
    let mut again = Image::new("cluster");
    apply(&mut again, &image.records());
    assert_eq!(again, image);
    let gone = [
        quota(true, 0.0),
        Record::RemoveAccessControlEntry(RemoveAccessControlEntryRecord { id: Uuid([5; 16]) }),
        Record::RemoveUserScramCredential(RemoveUserScramCredentialRecord {
            name: "alice".into(),
            mechanism: 1,
        }),
        Record::RemoveDelegationToken(RemoveDelegationTokenRecord {
            token_id: "t".into(),
        }),
    ];
    apply(&mut image, &gone);
    assert_eq!(image.records(), empty);
}
