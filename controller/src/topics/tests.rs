//! Decisions about topics, against the texts and codes of a Kafka 3.9 controller.

use protocol::error::ErrorCode;
use protocol::ids::{BrokerId, PartitionIndex, Uuid};

use super::create::{NewTopic, create};
use super::delete::{Doomed, delete};
use super::grow::{Growth, grow};
use super::{Mode, RECORDS_PER_REQUEST_MAX, internal};
use crate::config_source::ConfigSource;
use crate::image::Image;
use crate::testing::{apply, counted, image_with, topic, with_defaults};

type Refused = Option<(ErrorCode, String)>;

fn create_one(image: &mut Image, topic: &NewTopic) -> Refused {
    let made = with_defaults(|defaults| {
        create(
            image,
            defaults,
            std::slice::from_ref(topic),
            Mode::Commit,
            &mut counted(),
        )
    });
    match made {
        Err(refusal) => Some((refusal.code, refusal.message.unwrap_or_default())),
        Ok(decision) => {
            apply(image, &decision.records);
            let refusal = decision.outcome.into_iter().next()?.1.err()?;
            assert!(decision.records.is_empty());
            Some((refusal.code, refusal.message.unwrap_or_default()))
        }
    }
}

fn refused(code: ErrorCode, message: &str) -> Refused {
    Some((code, message.into()))
}

fn with_config(name: &str, value: Option<&str>) -> NewTopic {
    let configs = vec![(name.to_owned(), value.map(str::to_owned))];
    NewTopic {
        configs,
        ..topic("t", 1, 1)
    }
}

fn assigned(assignments: &[(i32, &[i32])]) -> NewTopic {
    let owned = assignments
        .iter()
        .map(|(index, brokers)| (*index, brokers.iter().copied().map(BrokerId).collect()));
    NewTopic {
        assignments: owned.collect(),
        ..NewTopic::with_defaults("t")
    }
}

#[test]
fn a_topic_with_defaults() {
    let mut image = image_with(1);
    assert_eq!(create_one(&mut image, &NewTopic::with_defaults("t")), None);
    let made = image.topic("t").unwrap();
    assert_eq!(made.partitions.len(), 2);
    let partition = made.partition(PartitionIndex(0)).unwrap();
    assert_eq!(partition.leader, Some(BrokerId(0)));
    assert_eq!(partition.directories, [Uuid([7; 16])]);
    assert_eq!(image.topic_by_id(made.id).unwrap().name, made.name);
}

#[test]
fn the_answer_lists_all_configs() {
    let mut image = image_with(1);
    let wanted = with_config("retention.ms", Some("5"));
    let decision = with_defaults(|defaults| {
        create(&image, defaults, &[wanted], Mode::Commit, &mut counted()).unwrap()
    });
    apply(&mut image, &decision.records);
    let created = decision.outcome[0].1.as_ref().unwrap();
    let retention = created
        .configs
        .iter()
        .find(|each| each.name == "retention.ms")
        .unwrap();
    assert_eq!(retention.value.as_deref(), Some("5"));
    assert_eq!(retention.source, ConfigSource::Topic);
    assert_eq!(image.topic_overrides("t")["retention.ms"], "5");
}

#[test]
fn nothing_is_written_to_validate() {
    let image = image_with(1);
    let decision = with_defaults(|defaults| {
        create(
            &image,
            defaults,
            &[topic("t", 1, 1)],
            Mode::ValidateOnly,
            &mut counted(),
        )
        .unwrap()
    });
    assert!(decision.records.is_empty() && decision.outcome[0].1.is_ok());
}

#[test]
fn refusals_of_new_topics() {
    let mut image = image_with(2);
    assert_eq!(create_one(&mut image, &topic("a.b", 1, 1)), None);
    let cases = [
        (
            topic("a.b", 1, 1),
            refused(ErrorCode::TopicAlreadyExists, "Topic 'a.b' already exists."),
        ),
        (
            topic("a_b", 1, 1),
            refused(
                ErrorCode::InvalidTopicException,
                "Topic 'a_b' collides with existing topic: a.b",
            ),
        ),
        (
            topic("a b", 1, 1),
            refused(
                ErrorCode::InvalidTopicException,
                "Topic name is invalid: 'a b' contains one or more characters other than \
                 ASCII alphanumerics, '.', '_' and '-'",
            ),
        ),
        (
            topic("__cluster_metadata", 1, 1),
            refused(
                ErrorCode::InvalidRequest,
                "Creation of internal topic __cluster_metadata is prohibited.",
            ),
        ),
        (
            topic("t", 0, 1),
            refused(
                ErrorCode::InvalidPartitions,
                "Number of partitions was set to an invalid non-positive value.",
            ),
        ),
        (
            topic("t", 1, 0),
            refused(
                ErrorCode::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ),
        ),
        (
            topic("t", 1, 3),
            refused(
                ErrorCode::InvalidReplicationFactor,
                "Unable to replicate the partition 3 time(s): The target replication factor of \
                 3 cannot be reached because only 2 broker(s) are registered.",
            ),
        ),
        (
            topic("t", i32::MAX, 1),
            refused(
                ErrorCode::PolicyViolation,
                "Excessively large number of partitions per request.",
            ),
        ),
        (
            with_config("segment.bytes", Some("x")),
            refused(
                ErrorCode::InvalidConfig,
                "Invalid value x for configuration segment.bytes: Not a number of type INT",
            ),
        ),
        (
            with_config("segment.bytes", None),
            refused(
                ErrorCode::InvalidConfig,
                "Null value not supported for topic configs: segment.bytes",
            ),
        ),
        (
            with_config("nonsense", Some("x")),
            refused(
                ErrorCode::InvalidConfig,
                "Unknown topic config name: nonsense",
            ),
        ),
    ];
    for (wanted, expected) in cases {
        assert_eq!(create_one(&mut image, &wanted), expected);
    }
}

#[test]
fn refusals_of_assignments() {
    let mut image = image_with(2);
    let replicas = |text: &str| refused(ErrorCode::InvalidReplicaAssignment, text);
    let cases = [
        (
            NewTopic {
                partitions: 1,
                ..assigned(&[(0, &[0])])
            },
            refused(
                ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but numPartitions was not set to -1.",
            ),
        ),
        (
            NewTopic {
                replication_factor: 1,
                ..assigned(&[(0, &[0])])
            },
            refused(
                ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but replication factor was not \
                 set to -1.",
            ),
        ),
        (
            assigned(&[(0, &[])]),
            replicas("The manual partition assignment includes an empty replica list."),
        ),
        (
            assigned(&[(0, &[5])]),
            replicas(
                "The manual partition assignment includes broker 5, but no such broker is \
                 registered.",
            ),
        ),
        (
            assigned(&[(0, &[1, 1])]),
            replicas("The manual partition assignment includes the broker 1 more than once."),
        ),
        (
            assigned(&[(0, &[0, 1]), (1, &[0])]),
            replicas(
                "The manual partition assignment includes a partition with 1 replica(s), but \
                 this is not consistent with previous partitions, which have 2 replica(s).",
            ),
        ),
        (
            assigned(&[(0, &[0]), (0, &[1])]),
            replicas("Found multiple manual partition assignments for partition 0"),
        ),
        (
            assigned(&[(0, &[0]), (2, &[1])]),
            replicas("partitions should be a consecutive 0-based integer sequence"),
        ),
        (assigned(&[(1, &[0, 1]), (0, &[1, 0])]), None),
    ];
    for (wanted, expected) in cases {
        assert_eq!(create_one(&mut image, &wanted), expected);
    }
    let made = image.topic("t").unwrap();
    assert_eq!(
        made.partition(PartitionIndex(0)).unwrap().leader,
        Some(BrokerId(1))
    );
}

#[test]
fn a_name_given_twice_is_refused_once_at_the_end() {
    let image = image_with(1);
    let wanted = [topic("t", 1, 1), topic("u", 1, 1), topic("t", 1, 1)];
    let decision = with_defaults(|defaults| {
        create(&image, defaults, &wanted, Mode::Commit, &mut counted()).unwrap()
    });
    assert_eq!(decision.outcome.len(), 2);
    assert_eq!(
        (&*decision.outcome[0].0, decision.outcome[0].1.is_ok()),
        ("u", true)
    );
    let refusal = decision.outcome[1].1.as_ref().unwrap_err();
    assert_eq!(refusal.message.as_deref(), Some("Duplicate topic name."));
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let mut image = image_with(1);
    for name in ["a", "b", "c"] {
        assert_eq!(create_one(&mut image, &topic(name, 1, 1)), None);
        let id = image.topic(name).unwrap().id;
        assert!(!id.is_zero());
        if name != "c" {
            let decision = delete(&image, &[Doomed { name: None, id }]);
            apply(&mut image, &decision.records);
            assert!(image.topic(name).is_none() && image.topic_by_id(id).is_none());
        }
    }
    let c = image.topic("c").unwrap().id;
    let by_name = |name: &str| Doomed {
        name: Some(name.into()),
        id: Uuid::ZERO,
    };
    let answers = |wanted: &[Doomed]| -> Vec<(ErrorCode, Option<String>)> {
        let decision = delete(&image, wanted);
        let code = |each: super::delete::Deleted| match each.result {
            Ok(()) => (ErrorCode::None, None),
            Err(refusal) => (refusal.code, refusal.message),
        };
        decision.outcome.into_iter().map(code).collect()
    };
    let invalid = |text: &str| (ErrorCode::InvalidRequest, Some(text.to_owned()));
    assert_eq!(
        answers(&[by_name("c"), by_name("c")]),
        [invalid("Duplicate topic name.")]
    );
    assert_eq!(
        answers(&[by_name("a")])[0].0,
        ErrorCode::UnknownTopicOrPartition
    );
    let unknown = Doomed {
        name: None,
        id: Uuid([9; 16]),
    };
    assert_eq!(answers(&[unknown])[0].0, ErrorCode::UnknownTopicId);
    let nothing = Doomed {
        name: None,
        id: Uuid::ZERO,
    };
    assert_eq!(
        answers(&[nothing]),
        [invalid("Neither topic name nor id were specified.")]
    );
    let both = Doomed {
        name: Some("c".into()),
        id: c,
    };
    assert_eq!(
        answers(&[both]),
        [invalid("You may not specify both topic name and topic id.")]
    );
    let by_id = Doomed { name: None, id: c };
    assert_eq!(
        answers(&[by_id, by_name("c")]),
        [invalid(
            "The provided topic name maps to an ID that was already supplied."
        )]
    );
}

fn grow_one(image: &mut Image, count: i32, assignments: Option<&[&[i32]]>) -> Refused {
    let assignments = assignments.map(|given| {
        given
            .iter()
            .map(|replicas| replicas.iter().copied().map(BrokerId).collect())
            .collect()
    });
    let growth = Growth {
        name: "t".into(),
        count,
        assignments,
    };
    match grow(image, &[growth], Mode::Commit, &mut counted()) {
        Err(refusal) => Some((refusal.code, refusal.message.unwrap_or_default())),
        Ok(decision) => {
            apply(image, &decision.records);
            let refusal = decision.outcome.into_iter().next()?.1.err()?;
            Some((refusal.code, refusal.message.unwrap_or_default()))
        }
    }
}

/// Partitions in all, replicas of the new ones, and the answer.
type Case<'a> = (i32, Option<&'a [&'a [i32]]>, Refused);

#[test]
fn partitions_are_added() {
    let mut image = image_with(2);
    assert_eq!(
        grow_one(&mut image, 2, None),
        refused(ErrorCode::UnknownTopicOrPartition, "")
    );
    assert_eq!(create_one(&mut image, &topic("t", 2, 1)), None);
    let cases: [Case<'_>; 6] = [
        (
            2,
            None,
            refused(
                ErrorCode::InvalidPartitions,
                "Topic already has 2 partition(s).",
            ),
        ),
        (
            1,
            None,
            refused(
                ErrorCode::InvalidPartitions,
                "The topic t currently has 2 partition(s); 1 would not be an increase.",
            ),
        ),
        (
            -1,
            None,
            refused(
                ErrorCode::InvalidPartitions,
                "The topic t currently has 2 partition(s); -1 would not be an increase.",
            ),
        ),
        (
            4,
            Some(&[&[0]]),
            refused(
                ErrorCode::InvalidReplicaAssignment,
                "Attempted to add 2 additional partition(s), but only 1 assignment(s) were \
                 specified.",
            ),
        ),
        (
            i32::MAX,
            None,
            refused(
                ErrorCode::PolicyViolation,
                "Unable to perform excessively large batch operation.",
            ),
        ),
        (4, Some(&[&[1], &[0]]), None),
    ];
    for (count, assignments, expected) in cases {
        assert_eq!(grow_one(&mut image, count, assignments), expected);
    }
    let made = image.topic("t").unwrap();
    assert_eq!(made.partitions.len(), 4);
    assert_eq!(
        made.partition(PartitionIndex(2)).unwrap().leader,
        Some(BrokerId(1))
    );
    const _: () = assert!(RECORDS_PER_REQUEST_MAX < i32::MAX as usize);
}

#[test]
fn internal_topics_have_their_own_settings() {
    let settings = internal::InternalTopics {
        offsets_partitions: 50,
        offsets_replication_factor: 1,
        offsets_segment_bytes: 100,
        transaction_partitions: 5,
        transaction_replication_factor: 1,
        transaction_segment_bytes: 100,
        transaction_min_isr: 1,
    };
    let mut image = image_with(1);
    for name in ["__consumer_offsets", "__transaction_state", "t"] {
        assert_eq!(
            create_one(&mut image, &internal::new_topic(name, &settings)),
            None
        );
    }
    assert_eq!(
        image.topic("__consumer_offsets").unwrap().partitions.len(),
        50
    );
    assert_eq!(
        image.topic_overrides("__transaction_state")["cleanup.policy"],
        "compact"
    );
    assert!(image.topic_overrides("t").is_empty());
}
