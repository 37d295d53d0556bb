//! Shows: kafka-streams-application-reset, unchanged: an application's offsets go back to the
//! beginning, and its internal topics go.

use std::collections::BTreeSet;

use chiplog_tests::java::{Tool, run};
use chiplog_tests::node::Node;
use chiplog_tests::state::{SOON, reach};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::BaseRecord;
use rdkafka::{Offset, TopicPartitionList};

use crate::librdkafka::{Sender, assert_all_delivered, consumer};

const INTERNAL: [&str; 2] = ["counter-store-changelog", "counter-by-word-repartition"];

fn topics(client: &BaseConsumer) -> BTreeSet<String> {
    let metadata = client.fetch_metadata(None, SOON).expect("the node answers");
    let names = metadata.topics().iter().map(|topic| topic.name());
    names
        .filter(|name| !name.starts_with("__"))
        .map(str::to_owned)
        .collect()
}

fn committed(client: &BaseConsumer) -> Vec<Offset> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range("lines", 0, 1);
    let told = client
        .committed_offsets(asked, SOON)
        .expect("the coordinator answers");
    told.elements().iter().map(|each| each.offset()).collect()
}

#[test]
fn an_application_begins_anew() {
    let node = Node::start();
    node.create_topic("lines", 2);
    for topic in INTERNAL {
        node.create_topic(topic, 2);
    }
    node.create_topic("counterpart-changelog", 1);
    let sender = Sender::to(&node, &[]);
    for number in 0..20 {
        let record = BaseRecord::to("lines")
            .key(b"".as_slice())
            .payload(b"line".as_slice());
        sender.send(record.partition(number % 2));
    }
    assert_all_delivered(&sender.finish(), 20);
    let client = consumer(&node, &[("group.id", "counter")]);
    let mut done = TopicPartitionList::new();
    for (partition, offset) in [(0, 5), (1, 7)] {
        done.add_partition_offset("lines", partition, Offset::Offset(offset))
            .expect("a valid offset");
    }
    client
        .commit(&done, CommitMode::Sync)
        .expect("the commit is accepted");
    let before = topics(&client);

    let bootstrap = node.bootstrap();
    let words = [
        "--bootstrap-server",
        &bootstrap,
        "--application-id",
        "counter",
    ];
    let reset = [&words[..], &["--input-topics", "lines"]].concat();
    let tried = run(Tool::StreamsReset, &[&reset[..], &["--dry-run"]].concat()).succeeded();
    assert!(
        tried.contains("Topic: lines Partition: 1 Offset: 0"),
        "{tried}"
    );
    assert_eq!(committed(&client), [Offset::Offset(5), Offset::Offset(7)]);
    assert_eq!(topics(&client), before);

    let output = run(Tool::StreamsReset, &reset).succeeded();
    assert!(
        output.contains("Reset-offsets for input topics [lines]"),
        "{output}"
    );
    assert!(
        INTERNAL.iter().all(|topic| output.contains(topic)),
        "{output}"
    );
    assert_eq!(committed(&client), [Offset::Offset(0), Offset::Offset(0)]);
    let left = BTreeSet::from(["lines", "counterpart-changelog"].map(str::to_owned));
    reach("the internal topics are gone", SOON, || {
        (topics(&client) == left).then_some(())
    });
}
