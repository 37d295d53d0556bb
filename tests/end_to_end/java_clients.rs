//! Shows: the Java client 3.9.1 of the client matrix: producer, consumer with assigned
//! partitions, groups and their protocols and types, transactions from topic to topic, and Admin.

use chiplog_tests::java::run_client;
use chiplog_tests::node::{Node, Setup};

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

#[test]
fn java_transactions_stay_in_order_with_five_requests_in_flight() {
    let node = Node::start_with(transactions::setup());
    node.create_topic("pipelined", 12);
    let words = [&node.bootstrap(), "pipelined", "12", "100"];
    run_client("PipelinedTransactions", &words).succeeded();
}

#[test]
fn java_members_share_leave_commit_and_go_on_after_a_crash() {
    for assignor in ["RangeAssignor", "CooperativeStickyAssignor"] {
        let mut node = Node::start_with(Setup::new().set("group.initial.rebalance.delay.ms", "0"));
        node.create_topic("numbers", 6);
        // The second run fails if it sees a number of the first: it begins where that committed.
        for first in ["0", "900"] {
            let group = [&node.bootstrap(), "numbers", "sharers", assignor];
            run_client("Groups", &[&group[..], &[first, "300"]].concat()).succeeded();
            node.kill();
            node.start_again();
        }
    }
}

#[test]
fn java_members_use_the_classic_group_protocol_and_are_refused_the_new_one() {
    let node = Node::start_with(Setup::new().set("group.initial.rebalance.delay.ms", "0"));
    let refusal = "The version of API is not supported.";
    run_client("GroupProtocols", &[&node.bootstrap(), refusal]).succeeded();
}

#[test]
fn java_members_of_another_protocol_type_elect_one_of_them() {
    let node = Node::start_with(Setup::new().set("group.initial.rebalance.delay.ms", "0"));
    run_client("LeaderElection", &[&node.bootstrap()]).succeeded();
}
