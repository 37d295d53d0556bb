//! Shows: transactions go with the data directory between Kafka 3.9.1 and chiplog, both ways: what
//! was committed or aborted stays so, what was left open holds read_committed consumers back until
//! the next owner's coordinator aborts it, and producers go on under their transactional ids. Kafka is
//! its own controller, or has a ZooKeeper.

use chiplog_tests::node::{Node, Target};
use chiplog_tests::state::{SOON, reach};
use chiplog_tests::zookeeper::ZooKeeper;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::librdkafka::consumer;
use crate::transactions::{initialised, producer, seen, setup};

fn begin(producer: &BaseProducer, value: &str) {
    producer.begin_transaction().expect("none is open");
    let record: BaseRecord<'_, [u8], str> = BaseRecord::to("moved");
    producer
        .send(record.partition(0).payload(value))
        .expect("the queue is not full");
    producer.flush(SOON).expect("it is delivered");
}

fn committed(node: &Node) -> Vec<String> {
    let reader = consumer(node, &[("isolation.level", "read_committed")]);
    seen(&reader, "moved", 1).remove(0)
}

/// One owner of the directory: it finds `expected`, aborts what the one before left open, commits
/// and aborts something, and leaves something open.
fn owner(node: &Node, name: &str, expected: &mut Vec<String>) {
    assert_eq!(committed(node), *expected, "{name} finds it");
    // Whoever takes over the id has the transaction aborted that was left open.
    let keeper = initialised(node, "keeper");
    begin(&keeper, name);
    keeper.commit_transaction(SOON).expect("it is committed");
    expected.push(name.to_owned());
    let waverer = initialised(node, "waverer");
    begin(&waverer, "never seen");
    waverer.abort_transaction(SOON).expect("it is aborted");
    reach("what was left open holds nothing back", SOON, || {
        (committed(node) == *expected).then_some(())
    });
    drop(waverer);
    let keeper = initialised(node, "keeper");
    begin(&keeper, "left open");
    let late = producer(node, "late", 60_000);
    late.init_transactions(SOON).expect("it is initialised");
    begin(&late, &format!("behind {name}"));
    late.commit_transaction(SOON).expect("it is committed");
    assert_eq!(committed(node), *expected, "the open one holds it back");
    expected.push(format!("behind {name}"));
}

fn go_with_the_directory(kafka: Target) {
    let setup = setup()
        .set("node.id", "1")
        // So long ZooKeeper keeps a killed broker's name taken, and its next start waits.
        .set("zookeeper.session.timeout.ms", "6000");
    let mut node = Node::start_with(setup.of(kafka));
    node.create_topic("moved", 1);
    let mut expected = Vec::new();
    owner(&node, "Kafka", &mut expected);
    for (target, name, cleanly) in [
        (Target::Chiplog, "chiplog", true),
        (kafka, "Kafka again", true),
        (Target::Chiplog, "chiplog after a crash", false),
        (kafka, "Kafka after a crash", false),
    ] {
        match cleanly {
            true => drop(node.stop()),
            false => node.kill(),
        }
        node.start_again_as(target);
        // The last commit is still behind the open transaction.
        let behind = expected.pop().expect("something was committed");
        assert_eq!(committed(&node), expected, "{name} finds it");
        drop(initialised(&node, "keeper"));
        expected.push(behind);
        reach("the open transaction is aborted", SOON, || {
            (committed(&node) == expected).then_some(())
        });
        owner(&node, name, &mut expected);
    }
}

#[test]
fn transactions_go_with_the_directory_between_kafka_and_chiplog() {
    go_with_the_directory(Target::Kafka);
}

#[test]
fn transactions_go_with_the_directory_of_a_broker_with_zookeeper() {
    let zookeeper = ZooKeeper::start();
    go_with_the_directory(Target::KafkaWithZooKeeper {
        port: zookeeper.port(),
    });
}
