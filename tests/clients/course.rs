//! The two courses that the clients of every language run: a group of two members, and copying in
//! transactions. Between and after them the node is killed, and what it kept is checked.

use std::process::Command;

use chiplog_tests::node::{Node, Setup};
use chiplog_tests::state::SOON;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::program::Program;

const PARTITIONS: i32 = 6;
/// Numbers in one part of a course; a group's course has three.
const PART: i64 = 600;
/// Records that are copied in transactions.
const COPIED: i64 = 2000;

/// A node whose groups do not wait for more members before their first rebalance.
pub fn node() -> Node {
    Node::start_with(Setup::new().set("group.initial.rebalance.delay.ms", "0"))
}

/// Runs the course of groups twice with `kill -9` between: the second run begins at what the
/// first one committed, or it would see numbers that are not its own.
///
/// `program` is called with: bootstrap, topic, group, first number, count of numbers in a part.
pub fn group(program: impl Fn(&[String]) -> Command) {
    let mut node = node();
    node.create_topic("numbers", PARTITIONS);
    for run in 0..2 {
        let words = [
            node.bootstrap(),
            "numbers".into(),
            "sharers".into(),
            (3 * PART * run).to_string(),
            PART.to_string(),
        ];
        Program::run(&mut program(&words));
        node.kill();
        node.start_again();
        assert_eq!(
            committed_at_ends(&node, "sharers", "numbers"),
            3 * PART * (run + 1)
        );
    }
}

/// Runs the course of transactions, which checks itself, and looks at what is left after `kill -9`.
///
/// `program` is called with: bootstrap, topic to read, topic to write, group, count of records.
pub fn transactions(program: impl Fn(&[String]) -> Command) {
    let mut node = node();
    node.create_topic("originals", PARTITIONS);
    node.create_topic("copies", PARTITIONS);
    let words = [
        node.bootstrap(),
        "originals".into(),
        "copies".into(),
        "copiers".into(),
        COPIED.to_string(),
    ];
    Program::run(&mut program(&words));
    node.kill();
    node.start_again();
    assert_eq!(committed_at_ends(&node, "copiers", "originals"), COPIED);
}

/// Checks that `group` has committed the end of each partition of `topic`, and gives their sum.
fn committed_at_ends(node: &Node, group: &str, topic: &str) -> i64 {
    let reader = reader(node, group);
    let mut sum = 0;
    for (partition, offset) in committed(&reader, topic, PARTITIONS)
        .into_iter()
        .enumerate()
    {
        let partition = i32::try_from(partition).expect("few partitions");
        let (_, end) = reader
            .fetch_watermarks(topic, partition, SOON)
            .expect("the node answers");
        assert_eq!(offset, Some(end), "{group} at {topic}-{partition}");
        sum += end;
    }
    sum
}

/// A consumer that asks for the offsets of `group`, and is no member.
fn reader(node: &Node, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", node.bootstrap())
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .create()
        .expect("valid settings")
}

/// What the group of `reader` has committed of each partition of `topic`.
fn committed(reader: &BaseConsumer, topic: &str, partitions: i32) -> Vec<Option<i64>> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, partitions - 1);
    let told = reader
        .committed_offsets(asked, SOON)
        .expect("the coordinator answers");
    let offset = |offset| match offset {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    let elements = told.elements();
    elements.iter().map(|each| offset(each.offset())).collect()
}
