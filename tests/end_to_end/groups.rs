//! Shows: what clients commit is kept, through restarts and `kill -9`; consumer groups as
//! librdkafka and Kafka's own tools use them.

use std::time::Duration;

use chiplog_tests::java::{Tool, run};
use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::state::{SOON, reach};
use chiplog_tests::zookeeper::ZooKeeper;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::BaseRecord;
use rdkafka::{Offset, TopicPartitionList};

use crate::librdkafka::{Sender, assert_all_delivered, consumer};

fn at(topic: &str, offsets: &[(i32, i64, &str)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (partition, offset, metadata) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
            .expect("a valid offset");
        let mut element = list.find_partition(topic, *partition).expect("just added");
        element.set_metadata(*metadata);
    }
    list
}

fn committed(consumer: &BaseConsumer, topic: &str, partitions: i32) -> Vec<(Offset, String)> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, partitions - 1);
    let told = reach("the coordinator answers", SOON, || {
        consumer.committed_offsets(asked.clone(), SOON).ok()
    });
    let each = told.elements();
    each.iter()
        .map(|element| (element.offset(), element.metadata().to_owned()))
        .collect()
}

#[test]
fn offsets_committed_without_membership_survive() {
    let mut node = Node::start();
    node.create_topic("source", 3);
    let client = consumer(&node, &[("group.id", "simple")]);
    let none = (Offset::Invalid, String::new());
    assert_eq!(committed(&client, "source", 3), vec![none.clone(); 3]);
    for commit in [
        at("source", &[(0, 5, "five"), (1, 0, "")]),
        at("source", &[(0, 7, "seven \u{1f600}")]),
    ] {
        client
            .commit(&commit, CommitMode::Sync)
            .expect("the commit is accepted");
    }
    let expected = vec![
        (Offset::Offset(7), "seven \u{1f600}".to_owned()),
        (Offset::Offset(0), String::new()),
        none,
    ];
    assert_eq!(committed(&client, "source", 3), expected);
    node.kill();
    node.start_again();
    let client = consumer(&node, &[("group.id", "simple")]);
    assert_eq!(committed(&client, "source", 3), expected);
    node.stop();
    node.start_again();
    let client = consumer(&node, &[("group.id", "simple")]);
    assert_eq!(committed(&client, "source", 3), expected);
}

/// Consumes as a member until `count` messages have come, and leaves with their offsets committed.
fn consume(node: &Node, settings: &[(&str, &str)], topic: &str, count: usize) -> Vec<(i32, i64)> {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", node.bootstrap())
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    let consumer: BaseConsumer = config.create().expect("valid settings");
    consumer.subscribe(&[topic]).expect("a valid name");
    let mut seen = Vec::new();
    while seen.len() < count {
        // A poll ends without a message when the group's assignment changes.
        seen.push(reach("a message comes", SOON, || {
            let message = consumer.poll(Duration::from_secs(1))?.expect("no error");
            Some((message.partition(), message.offset()))
        }));
    }
    consumer
        .commit_consumer_state(CommitMode::Sync)
        .expect("the commit is accepted");
    consumer.unsubscribe();
    seen
}

/// Sends `each` messages to every partition.
pub fn fill(node: &Node, topic: &str, partitions: i32, each: i64) {
    let sender = Sender::to(node, &[]);
    for number in 0..each {
        for partition in 0..partitions {
            let value = format!("{partition}-{number}");
            let record = BaseRecord::to(topic).partition(partition);
            let record: BaseRecord<'_, [u8], [u8]> = record.payload(value.as_bytes());
            sender.send(record);
        }
    }
    let count = usize::try_from(i64::from(partitions) * each).expect("not negative");
    assert_all_delivered(&sender.finish(), count);
}

#[test]
fn a_member_goes_on_where_it_left_off() {
    for strategy in ["range", "roundrobin", "cooperative-sticky"] {
        let mut node = Node::start();
        node.create_topic("source", 3);
        fill(&node, "source", 3, 10);
        let settings = [
            ("group.id", "readers"),
            ("partition.assignment.strategy", strategy),
        ];
        let first = consume(&node, &settings, "source", 30);
        fill(&node, "source", 3, 5);
        node.kill();
        node.start_again();
        let mut all = first;
        all.extend(consume(&node, &settings, "source", 15));
        all.sort_unstable();
        let expected: Vec<(i32, i64)> = (0..3)
            .flat_map(|partition| (0..15).map(move |offset| (partition, offset)))
            .collect();
        assert_eq!(all, expected, "{strategy}");
    }
}

/// A member that stays.
fn member(node: &Node, group: &str, settings: &[(&str, &str)], topic: &str) -> BaseConsumer {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", node.bootstrap())
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    let consumer: BaseConsumer = config.create().expect("valid settings");
    consumer.subscribe(&[topic]).expect("a valid name");
    consumer
}

/// Polls all of them until `count` messages have come, each committed when it has.
fn poll_all(members: &[BaseConsumer], count: usize) -> Vec<(i32, i64)> {
    let mut seen = Vec::new();
    reach("all messages come", 2 * SOON, || {
        for member in members {
            // Errors of connections come while the node is away.
            if let Some(Ok(message)) = member.poll(Duration::from_millis(20)) {
                seen.push((message.partition(), message.offset()));
                let next = at("source", &[(message.partition(), message.offset() + 1, "")]);
                // The next commit covers one that the node is not there for.
                let _ = member.commit(&next, CommitMode::Sync);
            }
        }
        (seen.len() >= count).then_some(())
    });
    seen
}

fn all_of(partitions: i32, offsets: std::ops::Range<i64>) -> Vec<(i32, i64)> {
    let each = |partition| offsets.clone().map(move |offset| (partition, offset));
    (0..partitions).flat_map(each).collect()
}

#[test]
fn a_group_that_consumes_goes_on_through_kills_and_restarts() {
    for strategy in ["range", "cooperative-sticky"] {
        let mut node = Node::start();
        node.create_topic("source", 4);
        let settings = [
            ("partition.assignment.strategy", strategy),
            ("session.timeout.ms", "10000"),
        ];
        let mut members = vec![
            member(&node, "readers", &settings, "source"),
            member(&node, "readers", &settings, "source"),
        ];
        reach("both have two partitions", SOON, || {
            let counts = members.iter().map(|member| {
                let _ = member.poll(Duration::from_millis(50));
                member.assignment().expect("it is known").count()
            });
            let counts: Vec<usize> = counts.collect();
            (counts == [2, 2]).then_some(())
        });
        fill(&node, "source", 4, 5);
        let mut seen = poll_all(&members, 20);
        node.kill();
        node.start_again();
        fill(&node, "source", 4, 5);
        seen.extend(poll_all(&members, 20));
        node.stop();
        node.start_again();
        fill(&node, "source", 4, 5);
        seen.extend(poll_all(&members, 20));
        members.pop(); // It leaves, and the other takes over.
        fill(&node, "source", 4, 5);
        seen.extend(poll_all(&members, 20));
        seen.sort_unstable();
        assert_eq!(seen, all_of(4, 0..20), "{strategy}");
        let left = consumer(&node, &[("group.id", "readers")]);
        let expected = vec![(Offset::Offset(20), String::new()); 4];
        assert_eq!(committed(&left, "source", 4), expected, "{strategy}");
    }
}

fn change_hands(kafka: Target) {
    let mut node = Node::start_with(Setup::new().of(kafka).set("node.id", "1"));
    node.create_topic("source", 2);
    fill(&node, "source", 2, 5);
    let kept = consumer(&node, &[("group.id", "simple")]);
    let commit = at("source", &[(0, 3, "by Kafka"), (1, 4, "")]);
    reach("the commit is accepted", SOON, || {
        kept.commit(&commit, CommitMode::Sync).ok()
    });
    let members = [member(&node, "readers", &[], "source")];
    let mut seen = poll_all(&members, 10);
    let id_of = |node: &Node| {
        let bootstrap = node.bootstrap();
        let arguments = [
            "--bootstrap-server",
            &bootstrap,
            "--describe",
            "--group",
            "readers",
            "--members",
        ];
        let told = run(Tool::ConsumerGroups, &arguments).succeeded();
        let row = told.lines().find(|line| line.starts_with("readers"));
        let words: Vec<_> = row.unwrap_or_default().split_whitespace().collect();
        words.get(1).map(ToString::to_string)
    };
    let id = id_of(&node).expect("there is a member");
    for (target, offsets) in [(Target::Chiplog, 5), (kafka, 10)] {
        node.stop();
        node.start_again_as(target);
        let client = consumer(&node, &[("group.id", "simple")]);
        let expected = vec![
            (Offset::Offset(3), "by Kafka".to_owned()),
            (Offset::Offset(4), String::new()),
        ];
        assert_eq!(committed(&client, "source", 2), expected);
        let client = consumer(&node, &[("group.id", "readers")]);
        let expected = vec![(Offset::Offset(offsets), String::new()); 2];
        assert_eq!(committed(&client, "source", 2), expected);
        fill(&node, "source", 2, 5);
        seen.extend(poll_all(&members, 10));
        assert_eq!(id_of(&node), Some(id.clone()), "the same member goes on");
    }
    seen.sort_unstable();
    assert_eq!(seen, all_of(2, 0..15));
}

#[test]
fn offsets_and_members_go_on_when_the_directory_changes_hands() {
    change_hands(Target::Kafka);
}

#[test]
fn offsets_and_members_go_on_in_the_directory_of_a_broker_with_zookeeper() {
    let zookeeper = ZooKeeper::start();
    change_hands(Target::KafkaWithZooKeeper {
        port: zookeeper.port(),
    });
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut node = Node::start();
    node.create_topic("source", 2);
    node.create_topic("other", 2);
    let client = consumer(&node, &[("group.id", "simple")]);
    for topic in ["source", "other"] {
        client
            .commit(&at(topic, &[(0, 1, ""), (1, 2, "")]), CommitMode::Sync)
            .expect("the commit is accepted");
    }
    let bootstrap = node.bootstrap();
    let delete = [
        "--bootstrap-server",
        &bootstrap,
        "--delete",
        "--topic",
        "source",
    ];
    run(Tool::Topics, &delete).succeeded();
    node.create_topic("source", 2);
    let none = vec![(Offset::Invalid, String::new()); 2];
    reach("the offsets are gone", SOON, || {
        (committed(&client, "source", 2) == none).then_some(())
    });
    node.kill();
    node.start_again();
    let client = consumer(&node, &[("group.id", "simple")]);
    assert_eq!(committed(&client, "source", 2), none);
    let kept = vec![
        (Offset::Offset(1), String::new()),
        (Offset::Offset(2), String::new()),
    ];
    assert_eq!(committed(&client, "other", 2), kept);
}
