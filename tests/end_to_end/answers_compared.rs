//! Shows: requests of groups and of transactions, right and wrong ones, of every version, are
//! answered as Kafka 3.9.1 answers them, on a node beside this one that is asked the same.

use chiplog_tests::java::run_client;
use chiplog_tests::node::{Node, Setup, Target};

fn compare(class: &str) {
    let answers = |target: Target| {
        let setup = Setup::new().of(target);
        let setup = setup.set("group.initial.rebalance.delay.ms", "0");
        let setup = setup.set("auto.create.topics.enable", "false");
        let setup = setup.set("offsets.topic.num.partitions", "3");
        let node = Node::start_with(setup.set("transaction.state.log.num.partitions", "3"));
        node.create_topic("t", 4);
        node.create_topic("u", 4);
        run_client(class, &[&node.bootstrap()]).succeeded()
    };
    let (kafka, chiplog) = (answers(Target::Kafka), answers(Target::Chiplog));
    let pairs = kafka.lines().zip(chiplog.lines());
    let differ = pairs.filter(|(kafka, chiplog)| kafka != chiplog);
    let differ = differ.map(|(kafka, chiplog)| format!("kafka   {kafka}\nchiplog {chiplog}\n"));
    let differ: Vec<String> = differ.collect();
    assert!(
        differ.is_empty(),
        "{} differ:\n{}",
        differ.len(),
        differ.concat()
    );
    assert_eq!(kafka.lines().count(), chiplog.lines().count());
    assert!(kafka.lines().count() > 300, "they were asked");
}

#[test]
fn groups_are_answered_for_as_by_kafka() {
    compare("GroupAnswers");
}

#[test]
fn transactions_are_answered_for_as_by_kafka() {
    compare("TransactionAnswers");
}
