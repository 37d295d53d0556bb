//! Shows: what clients commit is kept, through restarts and `kill -9`; consumer groups as
//! librdkafka and Kafka's own tools use them.

use chiplog_tests::node::Node;
use chiplog_tests::state::SOON;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::librdkafka::consumer;

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
