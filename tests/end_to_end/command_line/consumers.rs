//! Shows: `chiplog console-consumer` reads transactions, old message formats and internal topics as
//! kafka-console-consumer does, and shares a group with another of its kind or of Kafka's.

use std::collections::BTreeSet;
use std::fs;
use std::thread;

use chiplog_tests::command_line::{assert_same, chiplog};
use chiplog_tests::java::{self, Run, Tool, run_alone, run_client};
use chiplog_tests::messages::{GZIP, LOG_APPEND_TIME, Message, gzip};
use chiplog_tests::node::{Node, Target};
use chiplog_tests::raw::{Body, PRODUCE, batch};
use chiplog_tests::state::{SOON, reach};
use chiplog_tests::transactional::TransactionalProducer;

use super::console::one_partition_of_offsets;

/// The arguments that read partition 0 from its first record, for both tools.
fn from_beginning<'a>(bootstrap: &'a str, topic: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let from = ["--bootstrap-server", bootstrap, "--topic", topic];
    [
        &from[..],
        &["--partition", "0", "--offset", "earliest"],
        more,
    ]
    .concat()
}

#[test]
fn read_committed_leaves_out_what_kafka_leaves_out() {
    let node = Node::start_with(crate::transactions::setup());
    node.create_topic("words", 1);
    let writer = TransactionalProducer::initialise(&node, "writer");
    let other = TransactionalProducer::initialise(&node, "other");
    let mut client = node.connect();
    let mut sequences = [0, 0];
    let mut send = |who: usize, value: &str| {
        let producer = [&writer, &other][who];
        let batch = producer.batch(sequences[who], &[value.as_bytes()]);
        sequences[who] += 1;
        let body = producer.produce("words", &[(0, batch)]);
        let mut answer = client.ask(PRODUCE, 7, &body);
        assert_eq!(
            (answer.i32(), answer.string().as_deref()),
            (1, Some("words"))
        );
        assert_eq!((answer.i32(), answer.i32(), answer.i16()), (1, 0, 0));
    };
    let mut control = node.connect();
    for (value, commits) in [
        ("aborted-1", false),
        ("committed-1", true),
        ("aborted-2", false),
    ] {
        writer.add(&mut control, "words", &[0]);
        other.add(&mut control, "words", &[0]);
        send(0, value);
        send(1, &format!("not-{value}"));
        writer.end(&mut control, commits);
        send(1, &format!("late-not-{value}"));
        other.end(&mut control, !commits);
    }
    // What stands behind the first record of an open transaction is not seen, committed or not.
    writer.add(&mut control, "words", &[0]);
    other.add(&mut control, "words", &[0]);
    send(0, "open");
    send(1, "behind");
    other.end(&mut control, true);

    let bootstrap = node.bootstrap();
    let committed =
        "not-aborted-1\nlate-not-aborted-1\ncommitted-1\nnot-aborted-2\nlate-not-aborted-2\n";
    for (level, count, expected) in [
        ("read_committed", "5", committed),
        ("read_uncommitted", "11", "aborted-1\nnot-aborted-1\n"),
    ] {
        let words = ["--isolation-level", level, "--max-messages", count];
        let all = from_beginning(&bootstrap, "words", &words);
        let printed = reach("the markers are there", SOON, || {
            let ours = chiplog(&[&["console-consumer", "--timeout-ms", "1000"], &*all].concat());
            ours.errors
                .contains(&format!("Processed a total of {count} messages"))
                .then(|| assert_same(Tool::ConsoleConsumer, "console-consumer", &all))
        });
        assert!(printed.output.starts_with(expected), "{level}: {printed:?}");
    }
    // Nothing comes after them.
    let words = [
        "--isolation-level",
        "read_committed",
        "--timeout-ms",
        "1000",
    ];
    let all = from_beginning(&bootstrap, "words", &words);
    let ours = chiplog(&[&["console-consumer"], &*all].concat());
    assert_eq!(ours.output, committed);
}

/// What brokers before 0.11 wrote: messages of formats 0 and 1, alone and compressed together.
fn old_messages() -> Vec<u8> {
    let message =
        |magic: i8, offset: i64, key: Option<&'static [u8]>, value: &'static [u8]| Message {
            magic,
            offset,
            attributes: 0,
            timestamp_ms: 1_700_000_000_000 + offset,
            key,
            value: Some(value),
        };
    let wrapper = |magic: i8, offset: i64, attributes: i8, inner: [Message<'_>; 2]| {
        let content = gzip(&inner.map(|message| message.encode()).concat());
        Message {
            magic,
            offset,
            attributes,
            timestamp_ms: 1_700_000_000_999,
            key: None,
            value: Some(&content),
        }
        .encode()
    };
    let (one, two) = (Some(&b"one"[..]), Some(&b"two"[..]));
    let tombstone = Message {
        value: None,
        ..message(1, 2, two, b"")
    };
    [
        message(0, 0, one, b"zero").encode(),
        message(1, 1, None, b"first").encode(),
        tombstone.encode(),
        // In format 0 with its own offsets, in format 1 counted from the first.
        wrapper(
            0,
            4,
            GZIP,
            [
                message(0, 3, one, b"packed 0"),
                message(0, 4, two, b"packed 1"),
            ],
        ),
        wrapper(
            1,
            6,
            GZIP,
            [
                message(1, 0, one, b"packed 2"),
                message(1, 1, None, b"packed 3"),
            ],
        ),
        wrapper(
            1,
            8,
            GZIP | LOG_APPEND_TIME,
            [
                message(1, 0, one, b"stamped 0"),
                message(1, 1, two, b"stamped 1"),
            ],
        ),
    ]
    .concat()
}

#[test]
fn messages_of_old_formats_are_printed_as_kafka_prints_them() {
    let mut node = Node::start();
    node.create_topic("old", 1);
    node.stop();
    // A segment of theirs and one of today's, closed by a clean stop.
    let data = node.log_directory();
    let log = |first: &str| data.join(format!("old-0/000000000000000000{first}.log"));
    fs::write(log("00"), old_messages()).expect("it can be written");
    let mut behind = batch(&[b"a batch"]);
    behind[..8].copy_from_slice(&9i64.to_be_bytes());
    fs::write(log("09"), behind).expect("it can be written");
    for index in ["index", "timeindex"] {
        fs::write(log("09").with_extension(index), b"").expect("it can be written");
    }
    let recovered = data.join("recovery-point-offset-checkpoint");
    fs::write(recovered, "0\n1\nold 0 10\n").expect("it can be written");
    node.start_again();
    let bootstrap = node.bootstrap();
    let shown = ["timestamp", "key", "offset", "headers"].map(|what| format!("print.{what}=true"));
    let shown: Vec<&str> = shown.iter().flat_map(|what| ["--property", what]).collect();
    // From the middle of what is compressed together, too.
    for (from, count) in [("earliest", "10"), ("4", "6"), ("6", "4"), ("7", "1")] {
        let at = [
            "--bootstrap-server",
            &bootstrap,
            "--topic",
            "old",
            "--partition",
            "0",
        ];
        let of = ["--offset", from, "--max-messages", count];
        let all = [&at[..], &of, &shown].concat();
        let printed = assert_same(Tool::ConsoleConsumer, "console-consumer", &all).output;
        assert_eq!(
            printed.lines().count().to_string(),
            count,
            "{from}: {printed}"
        );
    }
    let all = from_beginning(
        &bootstrap,
        "old",
        &["--max-messages", "3", "--output", "json"],
    );
    let json = chiplog(&[&["console-consumer"], &*all].concat()).succeeded();
    let lines: Vec<&str> = json.lines().collect();
    assert_eq!(
        lines[..2],
        [
            r#"{"headers":[],"key":"one","offset":0,"partition":0,"timestamp":null,"timestampType":null,"topic":"old","value":"zero"}"#,
            r#"{"headers":[],"key":null,"offset":1,"partition":0,"timestamp":1700000000001,"timestampType":"CreateTime","topic":"old","value":"first"}"#
        ]
    );
    assert!(lines[2].ends_with(r#""value":null}"#), "{json}");
}

#[test]
fn internal_topics_are_printed_by_every_formatter() {
    let setup = one_partition_of_offsets()
        .set("transaction.state.log.num.partitions", "1")
        .set("transaction.state.log.replication.factor", "1")
        .set("transaction.state.log.min.isr", "1");
    let node = Node::start_with(setup);
    node.create_topic("transactions", 1);
    let bootstrap = node.bootstrap();
    run_client("Swap", &["transactions", &bootstrap]).succeeded();
    let group = [
        "--group",
        "readers",
        "--from-beginning",
        "--max-messages",
        "1",
    ];
    let to = ["console-consumer", "--bootstrap-server", &bootstrap];
    chiplog(&[&to[..], &["--topic", "transactions"], &group].concat()).succeeded();
    for (topic, formatter, begin) in [
        (
            "__transaction_state",
            "TransactionLogMessageFormatter",
            r#"{"key":{"version":0,"data":{"transactionalId":"swap"}},"value":{"version":0,"data":{"producerId":"#,
        ),
        (
            "__consumer_offsets",
            "OffsetsMessageFormatter",
            r#"{"key":{"version":1,"data":{"group":"readers","topic":"transactions","partition":0}},"value":"#,
        ),
        (
            "__consumer_offsets",
            "GroupMetadataMessageFormatter",
            r#"{"key":{"version":2,"data":{"group":"readers"}},"value":{"version":3,"data":{"protocolType":"consumer","#,
        ),
    ] {
        let class = format!("org.apache.kafka.tools.consumer.{formatter}");
        let words = ["--formatter", &class, "--max-messages", "3"];
        let all = from_beginning(&bootstrap, topic, &words);
        let printed = assert_same(Tool::ConsoleConsumer, "console-consumer", &all).output;
        assert!(printed.starts_with(begin), "{formatter}: {printed}");
    }
    // The names from before 3.9, with a text of their own: Kafka's tool reads what is here.
    for (topic, class, begin) in [
        (
            "__transaction_state",
            "kafka.coordinator.transaction.TransactionLog$TransactionLogMessageFormatter",
            "swap::TransactionMetadata(transactionalId=swap, producerId=",
        ),
        (
            "__consumer_offsets",
            "kafka.coordinator.group.GroupMetadataManager$OffsetsMessageFormatter",
            "[readers,transactions,0]::OffsetAndMetadata(offset=1, leaderEpoch=",
        ),
        (
            "__consumer_offsets",
            "kafka.coordinator.group.GroupMetadataManager$GroupMetadataMessageFormatter",
            "readers::GroupMetadata(groupId=readers, generation=1, protocolType=Some(consumer), currentState=Stable",
        ),
    ] {
        let words = ["--formatter", class, "--max-messages", "3"];
        let all = from_beginning(&bootstrap, topic, &words);
        let printed = java::run(Tool::ConsoleConsumer, &all).succeeded();
        assert!(printed.contains(begin), "{class}: {printed}");
    }
}

/// A console consumer, in a process of its own.
#[derive(Clone, Copy, Debug)]
enum Console {
    Ours,
    Kafkas,
}

impl Console {
    fn run(self, arguments: &[&str]) -> Run {
        match self {
            Console::Ours => chiplog(&[&["console-consumer"], arguments].concat()),
            Console::Kafkas => run_alone(Tool::ConsoleConsumer, arguments),
        }
    }
}

#[test]
fn two_members_of_a_group_share_its_partitions() {
    use Console::{Kafkas, Ours};
    let node = Node::start_with(one_partition_of_offsets());
    if node.target() == Target::Kafka {
        return; // chiplog's tools and Kafka's are compared over chiplog.
    }
    for (round, pair) in [[Ours, Ours], [Kafkas, Kafkas], [Ours, Kafkas]]
        .into_iter()
        .enumerate()
    {
        let topic = format!("shared-{round}");
        node.create_topic(&topic, 2);
        let seen = share(&node, &topic, pair);
        let values: Vec<BTreeSet<String>> = seen
            .iter()
            .map(|output| output.lines().map(str::to_owned).collect())
            .collect();
        let all: BTreeSet<String> = (0..20).map(|n| n.to_string()).collect();
        assert_eq!(&values[0] | &values[1], all, "{pair:?}: {seen:?}");
        assert_eq!(
            (values[0].len(), values[1].len()),
            (10, 10),
            "{pair:?}: {seen:?}"
        );
    }
}

/// What two members print that end after ten records each, of a topic that gets ten in each of its
/// two partitions once both are members.
fn share(node: &Node, topic: &str, pair: [Console; 2]) -> [String; 2] {
    let bootstrap = node.bootstrap();
    let from = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        topic,
        "--group",
        topic,
    ];
    let until = ["--from-beginning", "--max-messages", "10"];
    let arguments = [&from[..], &until].concat();
    thread::scope(|scope| {
        let arguments = &arguments;
        let members = pair.map(|console| scope.spawn(move || console.run(arguments).succeeded()));
        let describe = ["consumer-groups", "--bootstrap-server", &bootstrap];
        let describe = [
            &describe[..],
            &["--describe", "--group", topic, "--members"],
        ]
        .concat();
        reach("each has one partition", SOON, || {
            let described = chiplog(&describe).output;
            let rows = described.lines().filter(|line| line.starts_with(topic));
            let counts: Vec<&str> = rows
                .filter_map(|row| row.split_whitespace().last())
                .collect();
            (counts == ["1", "1"]).then_some(())
        });
        for partition in 0..2 {
            let values: Vec<String> = (0..10).map(|n| (10 * partition + n).to_string()).collect();
            let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            let head = Body::new().i16(-1).i16(-1).i32(30_000).i32(1).string(topic);
            let body = head.i32(1).i32(partition).bytes(&batch(&values));
            let mut answer = node.connect().ask(PRODUCE, 7, &body);
            assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
            assert_eq!(
                (answer.i32(), answer.i32(), answer.i16()),
                (1, partition, 0)
            );
        }
        members.map(|member| member.join().expect("it ends"))
    })
}
