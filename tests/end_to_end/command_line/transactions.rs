//! Shows: `chiplog transactions` prints what kafka-transactions prints, for the same broker.

use chiplog_tests::command_line::{assert_same_but, chiplog};
use chiplog_tests::java::{Tool, run_client};
use chiplog_tests::node::{Node, Setup};

#[test]
fn transactions_are_listed_described_and_searched_as_kafka_does_it() {
    let setup = Setup::new()
        .set("node.id", "1")
        .set("transaction.state.log.replication.factor", "1")
        .set("transaction.state.log.min.isr", "1")
        .set("transaction.state.log.num.partitions", "1");
    let node = Node::start_with(setup);
    let bootstrap = node.bootstrap();
    node.create_topic("transactions", 1);
    run_client("Swap", &["transactions", &bootstrap]).succeeded();
    let partition = ["--topic", "transactions", "--partition", "0"];
    for arguments in [
        &["list"][..],
        &["list", "--duration-filter", "100000"],
        &["describe", "--transactional-id", "swap"],
        &["describe", "--transactional-id", "ghost"],
        &[&["describe-producers"], &partition[..]].concat(),
        &[&["describe-producers", "--broker-id", "1"], &partition[..]].concat(),
        &["find-hanging", "--topic", "transactions"],
        &["find-hanging", "--broker-id", "1"],
        &["find-hanging"],
        &["find-hanging", "--broker-id", "1", "--partition", "0"],
        &[&["abort"], &partition[..]].concat(),
        &[&["abort", "--start-offset", "7"], &partition[..]].concat(),
    ] {
        let all = [&["--bootstrap-server", &bootstrap], arguments].concat();
        assert_same_but(Tool::Transactions, "transactions", &all, but_for_durations);
    }
    let list = ["list", "--output", "json"];
    let listed = chiplog(
        &[
            &["transactions", "--bootstrap-server", &bootstrap],
            &list[..],
        ]
        .concat(),
    );
    let listed = listed.succeeded();
    assert!(listed.contains("\"transactionalId\":\"swap\""), "{listed}");
}

/// `TransactionDurationMs` goes on between the two runs.
fn but_for_durations(output: &str) -> String {
    let without = |line: &str| {
        let cells = line.split('\t').enumerate();
        let cells = cells.filter(|(at, _)| *at != 7).map(|(_, cell)| cell);
        cells.collect::<Vec<_>>().join("\t")
    };
    output.lines().map(without).collect::<Vec<_>>().join("\n")
}
