//! Shows: `chiplog transactions` prints what kafka-transactions prints, for the same broker, and
//! aborts what hangs.

use std::io;

use chiplog_tests::command_line::{assert_same_but, chiplog, sorted};
use chiplog_tests::java::{Tool, run_client};
use chiplog_tests::node::{Node, Setup};
use chiplog_tests::state::{SOON, reach};

use crate::transaction_tools::{ABORT_AT, FIND_HANGING, hang};
use crate::transactions::setup;

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

#[test]
fn a_hanging_transaction_is_found_and_aborted_as_kafka_does_it() -> io::Result<()> {
    let unverified = setup().set("transaction.partition.verification.enable", "false");
    let node = Node::start_with(unverified.set("node.id", "1"));
    node.create_topic("hanging", 1);
    assert_eq!(hang(&mut node.connect(), "hanging", Some("lost"))?, 0);
    let bootstrap = node.bootstrap();
    let to = ["--bootstrap-server", &bootstrap];
    let same = |arguments: &[&str]| {
        let all = [&to[..], arguments].concat();
        assert_same_but(Tool::Transactions, "transactions", &all, sorted)
    };
    let found = same(&FIND_HANGING).succeeded();
    let row: Vec<&str> = found
        .lines()
        .nth(1)
        .expect("a row")
        .split_whitespace()
        .collect();
    assert_eq!(
        row[..6],
        ["hanging", "0", "77000", "3", "-1", "0"],
        "{found}"
    );
    same(&[
        "find-hanging",
        "--broker-id",
        "1",
        "--max-transaction-timeout",
        "0",
    ]);
    let json = [
        &["transactions"],
        &to[..],
        &FIND_HANGING,
        &["--output", "json"],
    ]
    .concat();
    let json = chiplog(&json).succeeded();
    assert!(
        json.starts_with("[{") && json.contains("\"producerId\":77000,"),
        "{json}"
    );

    let nothing_there = [&ABORT_AT[..], &["7"]].concat();
    same(&nothing_there);
    let aborted = [&["transactions"], &to[..], &ABORT_AT, &["0"]].concat();
    assert_eq!(chiplog(&aborted).succeeded(), "");
    let words = [
        "--topic",
        "hanging",
        "--partition",
        "0",
        "--offset",
        "earliest",
    ];
    let words = [
        &["console-consumer"],
        &to[..],
        &words,
        &["--timeout-ms", "1000"],
    ]
    .concat();
    let level = |level| [&words[..], &["--isolation-level", level]].concat();
    assert_eq!(chiplog(&level("read_committed")).output, "");
    assert_eq!(chiplog(&level("read_uncommitted")).output, "hangs\n");
    reach("nothing hangs", SOON, || {
        let found = chiplog(&[&["transactions"], &to[..], &FIND_HANGING].concat()).succeeded();
        (found.lines().count() == 1).then_some(())
    });
    same(&FIND_HANGING);
    Ok(())
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
