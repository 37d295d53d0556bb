//! Shows: kafka-transactions lists, describes, finds hanging transactions and aborts them; a batch
//! of a transaction that its coordinator does not know of is refused (KIP-664, KIP-890).

use std::io;

use chiplog_tests::java::{Run, Tool, run};
use chiplog_tests::messages::changed;
use chiplog_tests::node::Node;
use chiplog_tests::raw::{Body, Connection, PRODUCE, batch_by};
use chiplog_tests::state::{SOON, reach};
use rdkafka::producer::{BaseRecord, Producer};

use crate::librdkafka::consumer;
use crate::transactions::{initialised, seen, send, setup};

const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
/// Some producer that nobody was ever given.
const STRANGER: i64 = 77_000;

/// Finds what hangs in the topic `hanging`.
pub const FIND_HANGING: [&str; 5] = [
    "find-hanging",
    "--topic",
    "hanging",
    "--max-transaction-timeout",
    "0",
];
/// Aborts what hangs there; the offset where it began is to follow.
pub const ABORT_AT: [&str; 6] = [
    "abort",
    "--topic",
    "hanging",
    "--partition",
    "0",
    "--start-offset",
];

fn tool(node: &Node, arguments: &[&str]) -> Run {
    let bootstrap = node.bootstrap();
    run(
        Tool::Transactions,
        &[&["--bootstrap-server", &bootstrap], arguments].concat(),
    )
}

/// The rows of a table, word by word, without the head line.
fn rows(run: Run) -> Vec<Vec<String>> {
    let output = run.succeeded();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    output.lines().skip(1).map(words).collect()
}

/// Produces one batch of a transaction of the stranger's; answers the error code.
pub fn hang(node: &mut Connection, topic: &str, id: Option<&str>) -> io::Result<i16> {
    let batch = changed(&batch_by(STRANGER, 3, 0, &[b"hangs"]), 22, &[0x10]);
    let body = match id {
        Some(id) => Body::new().string(id),
        None => Body::new().i16(-1),
    };
    let body = body.i16(-1).i32(30_000).i32(1).string(topic).i32(1);
    let mut answer = node.try_ask(PRODUCE, 7, &body.i32(0).bytes(&batch))?;
    assert_eq!((answer.i32(), answer.string()), (1, Some(topic.to_owned())));
    assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
    Ok(answer.i16())
}

#[test]
fn kafka_transactions_lists_and_describes() {
    let node = Node::start_with(setup());
    node.create_topic("told", 3);
    assert!(rows(tool(&node, &["list"])).is_empty());
    let producer = initialised(&node, "teller");
    producer.begin_transaction().expect("none is open");
    for partition in [0, 2] {
        send(&producer, "told", partition, "told");
    }
    producer.flush(SOON).expect("all is delivered");

    let listed = rows(tool(&node, &["list"]));
    assert_eq!(listed.len(), 1, "{listed:?}");
    let (id, coordinator) = (listed[0][2].clone(), listed[0][1].clone());
    assert_eq!(listed[0], ["teller", &coordinator, &id, "Ongoing"]);
    let long = tool(&node, &["list", "--duration-filter", "3600000"]);
    assert!(rows(long).is_empty());

    let described = rows(tool(&node, &["describe", "--transactional-id", "teller"]));
    let row = &described[0];
    assert_eq!(
        row[..4],
        [&coordinator, "teller", &id, "0"].map(str::to_owned)
    );
    assert_eq!(row[4..6], ["Ongoing", "60000"].map(str::to_owned));
    assert_eq!(row.last().map(String::as_str), Some("told-0,told-2"));

    let of = ["describe-producers", "--topic", "told", "--partition", "2"];
    let producers = rows(tool(&node, &of));
    assert_eq!(producers.len(), 1, "{producers:?}");
    let row = &producers[0];
    assert_eq!((&row[0], &*row[1], &*row[3]), (&id, "0", "0"));
    assert_eq!(row.last().map(String::as_str), Some("0"), "where it begins");

    producer.commit_transaction(SOON).expect("it is committed");
    reach("the markers are there", SOON, || {
        let row = rows(tool(&node, &of)).remove(0);
        (row.last().map(String::as_str) == Some("None")).then_some(())
    });
    let listed = rows(tool(&node, &["list"]));
    assert_eq!(listed[0][3], "CompleteCommit");
}

#[test]
fn a_hanging_transaction_is_found_and_aborted() -> io::Result<()> {
    let unverified = setup().set("transaction.partition.verification.enable", "false");
    let node = Node::start_with(unverified);
    node.create_topic("hanging", 1);
    let mut client = node.connect();
    assert_eq!(hang(&mut client, "hanging", Some("lost"))?, 0);
    let committed = || {
        let reader = consumer(&node, &[("isolation.level", "read_committed")]);
        seen(&reader, "hanging", 1).remove(0)
    };
    let plain = crate::librdkafka::Sender::to(&node, &[]);
    plain.send(
        BaseRecord::to("hanging")
            .key(&b"k"[..])
            .payload(&b"plain"[..]),
    );
    plain.finish();
    assert_eq!(committed(), Vec::<String>::new());

    let found = rows(tool(&node, &FIND_HANGING));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        found[0][..3],
        ["hanging", "0", &STRANGER.to_string()].map(str::to_owned)
    );

    tool(&node, &[&ABORT_AT[..], &["0"]].concat()).succeeded();
    reach("what came after is seen", SOON, || {
        (committed() == ["plain"]).then_some(())
    });
    assert!(rows(tool(&node, &FIND_HANGING)).is_empty());
    Ok(())
}

#[test]
fn a_batch_of_an_unknown_transaction_is_refused() -> io::Result<()> {
    let node = Node::start_with(setup());
    node.create_topic("guarded", 1);
    let producer = initialised(&node, "known");
    let mut client = node.connect();
    let unnamed = hang(&mut client, "guarded", None)?;
    assert_eq!(unnamed, TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    // The id belongs to another producer.
    let mapped = hang(&mut client, "guarded", Some("known"))?;
    assert_eq!(mapped, INVALID_PRODUCER_ID_MAPPING);
    producer.begin_transaction().expect("none is open");
    producer.commit_transaction(SOON).expect("an empty one");
    let reader = consumer(&node, &[("isolation.level", "read_uncommitted")]);
    assert_eq!(seen(&reader, "guarded", 1), [Vec::<String>::new()]);
    Ok(())
}
