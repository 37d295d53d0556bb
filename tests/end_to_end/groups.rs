//! Shows: what clients commit is kept, through restarts and `kill -9`; consumer groups as
//! librdkafka and Kafka's own tools use them.

use std::time::Duration;

use chiplog_tests::node::Node;
use chiplog_tests::state::{SOON, reach};
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
    let told = consumer
        .committed_offsets(asked, SOON)
        .expect("the coordinator answers");
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

fn fill(node: &Node, topic: &str, partitions: i32, each: i64) {
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
