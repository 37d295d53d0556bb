//! Shows: the Java client 3.9.1 of the client matrix: producer, consumer with assigned
//! partitions, and Admin.

use chiplog_tests::java::run_client;
use chiplog_tests::node::Node;

use crate::transactions;

#[test]
fn java_producer_and_consumer_round_trip_with_each_codec() {
    // The topics are created by the first request for their metadata.
    let node = Node::start();
    run_client("RoundTrip", &[&node.bootstrap()]).succeeded();
}

#[test]
fn java_admin_manages_topics_partitions_and_configs() {
    let node = Node::start();
    run_client("Administration", &[&node.bootstrap()]).succeeded();
}

#[test]
fn java_transactions_copy_exactly_once_and_fence() {
    let node = Node::start_with(transactions::setup());
    run_client("ExactlyOnce", &[&node.bootstrap()]).succeeded();
}
