//! Shows: a transaction whose end was decided and not done when a node was killed is done by the next
//! owner of the directory: Kafka 3.9.1's by chiplog, and chiplog's by Kafka.
//!
//! The moment between the decision and the last marker is too short to be hit from outside. So the
//! directory is made into what a kill at that moment leaves: the node is killed after the
//! transaction, and what it wrote after the decision is cut from its logs: the record that says that
//! the transaction is complete, and the markers of some of its partitions.

use std::fs;
use std::path::Path;

use chiplog_tests::batch::Stored;
use chiplog_tests::node::{Node, Target};
use chiplog_tests::state::{SOON, reach};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::librdkafka::{Sender, assert_all_delivered, consumer};
use crate::transactions::{initialised, seen, send, send_offset, setup};

const TOPIC: &str = "decided";
const PARTITIONS: i32 = 3;
const PREPARE_COMMIT: u8 = 2;
const PREPARE_ABORT: u8 = 3;

/// A batch in a log file: where it begins, its marker or none, and its value.
struct Batch {
    at: u64,
    is_marker: bool,
    value: Option<Vec<u8>>,
}

/// The batches of a partition's only log file.
fn batches(node: &Node, partition: &str) -> Vec<Batch> {
    let bytes = fs::read(log_of(node, partition)).expect("it is readable");
    let mut at = 0;
    let batches = Stored::all(&bytes).map(|batch| {
        let begins = at;
        at += batch.size() as u64;
        Batch {
            at: begins,
            is_marker: batch.is_control(),
            value: batch.first_value().map(<[u8]>::to_vec),
        }
    });
    batches.collect()
}

fn log_of(node: &Node, partition: &str) -> std::path::PathBuf {
    let name = format!("{partition}/00000000000000000000.log");
    node.log_directory().join(name)
}

/// The partition of an internal topic in which something is.
fn used_partition(node: &Node, topic: &str) -> String {
    let of_topic = |path: &Path| {
        let folder = path.parent()?.file_name()?.to_str()?.to_owned();
        let is_used = fs::metadata(path).is_ok_and(|file| file.len() > 0);
        (folder.starts_with(topic) && is_used).then_some(folder)
    };
    let logs = node.files("log");
    let mut used = logs.iter().filter_map(|path| of_topic(path));
    let partition = used.next().expect("something is in it");
    assert_eq!(used.next(), None, "one of them only");
    partition
}

/// What the last record of the transaction log says of its transaction.
fn last_state(node: &Node) -> Option<u8> {
    /// Behind version, producer id, epoch and timeout.
    const STATE_AT: usize = 2 + 8 + 2 + 4;
    let partition = used_partition(node, "__transaction_state");
    let last = batches(node, &partition).pop();
    last?.value?.get(STATE_AT).copied()
}

fn cut_last_batch(node: &Node, partition: &str) -> Batch {
    let last = batches(node, partition).pop().expect("there is a batch");
    let file = fs::File::options()
        .write(true)
        .open(log_of(node, partition));
    file.and_then(|file| file.set_len(last.at))
        .expect("it can be cut");
    last
}

/// Makes the directory of a node that was killed into that of one that was killed right after it had
/// decided, and had written the marker of the first partition.
fn back_to_the_decision(node: &Node, decided: u8) {
    let complete = last_state(node);
    assert_eq!(complete, Some(decided + 2), "it was complete");
    cut_last_batch(node, &used_partition(node, "__transaction_state"));
    assert_eq!(last_state(node), Some(decided));
    let offsets = used_partition(node, "__consumer_offsets");
    for partition in [&offsets, "decided-1", "decided-2"] {
        let cut = cut_last_batch(node, partition);
        assert!(cut.is_marker, "{partition} ended with the marker");
    }
    // What is told of the logs' ends was not written yet.
    for checkpoint in [
        "recovery-point-offset-checkpoint",
        "replication-offset-checkpoint",
    ] {
        // It may not have been written at all.
        let _ = fs::remove_file(node.log_directory().join(checkpoint));
    }
}

/// A transaction with a value in each partition and a group's offset, ended; behind its records is
/// something plain in each partition.
fn run_transaction(node: &Node, value: &str, offset: i64, commits: bool) {
    let producer = initialised(node, "decided");
    producer.begin_transaction().expect("none is open");
    for partition in 0..PARTITIONS {
        send(&producer, TOPIC, partition, value);
    }
    let group = consumer(node, &[("group.id", "copier")]);
    send_offset(&producer, &group, "source", offset);
    producer.flush(SOON).expect("all is delivered");
    let plain = Sender::to(node, &[]);
    for partition in 0..PARTITIONS {
        let record = BaseRecord::to(TOPIC).partition(partition);
        let record: BaseRecord<'_, [u8], [u8]> = record.payload(b"plain");
        plain.send(record);
    }
    assert_all_delivered(&plain.finish(), PARTITIONS as usize);
    match commits {
        true => producer.commit_transaction(SOON),
        false => producer.abort_transaction(SOON),
    }
    .expect("it ends");
}

fn committed_offset(group: &BaseConsumer) -> Option<Offset> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition("source", 0);
    let told = group.committed_offsets(asked, SOON).ok()?;
    Some(told.elements()[0].offset())
}

#[test]
fn what_was_decided_is_done_by_the_next_owner_of_the_directory() {
    let one_each = setup()
        .set("node.id", "1")
        .set("transaction.state.log.num.partitions", "1")
        .set("offsets.topic.num.partitions", "1");
    let mut node = Node::start_with(one_each.of(Target::Kafka));
    node.create_topic("source", 1);
    node.create_topic(TOPIC, PARTITIONS);
    let (mut expected, mut offset) = (Vec::new(), Offset::Invalid);
    let next = [
        Target::Chiplog,
        Target::Kafka,
        Target::Chiplog,
        Target::Kafka,
    ];
    for (number, next) in next.into_iter().enumerate() {
        // Both ends, both ways.
        let commits = number < 2;
        let value = format!("{number} of {:?}", node.target());
        let at = 100 + number as i64;
        run_transaction(&node, &value, at, commits);
        let decided = match commits {
            true => PREPARE_COMMIT,
            false => PREPARE_ABORT,
        };
        reach("the transaction is complete", SOON, || {
            (last_state(&node)? == decided + 2).then_some(())
        });
        if commits {
            expected.push(value);
            offset = Offset::Offset(at);
        }
        expected.push("plain".to_owned());
        node.kill();
        back_to_the_decision(&node, decided);
        node.start_again_as(next);
        let reader = consumer(&node, &[("isolation.level", "read_committed")]);
        let all = vec![expected.clone(); PARTITIONS as usize];
        reach("every partition has its marker", SOON, || {
            (seen(&reader, TOPIC, PARTITIONS) == all).then_some(())
        });
        let group = consumer(&node, &[("group.id", "copier")]);
        reach("the group's offsets have theirs", SOON, || {
            (committed_offset(&group)? == offset).then_some(())
        });
        reach("that is recorded", SOON, || {
            (last_state(&node)? == decided + 2).then_some(())
        });
    }
    run_transaction(&node, "goes on", 200, true);
}
