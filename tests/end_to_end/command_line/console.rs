//! Shows: `chiplog console-producer` sends what kafka-console-producer sends, and `chiplog
//! console-consumer` prints what kafka-console-consumer prints, alone or as a member of a group
//! beside it.

use chiplog_tests::command_line::{assert_same, chiplog, chiplog_with_input, sorted};
use chiplog_tests::java::{Tool, run, run_with_input};
use chiplog_tests::node::{Node, Setup};

use super::produce;

#[test]
fn console_producer_sends_what_kafkas_sends() {
    let node = Node::start();
    node.create_topic("ours", 3);
    node.create_topic("kafkas", 3);
    let bootstrap = node.bootstrap();
    let input = "h1:v1,h2:NIL\ta\talpha\n\tb\tbeta\nNIL\tc\tNIL\nNIL\tNIL\tdelta\n".repeat(40);
    for (codec, extra) in [
        ("none", &["--sync", "--timeout", "0"][..]),
        ("zstd", &["--batch-size", "200"]),
        ("gzip", &["--request-required-acks", "1"]),
    ] {
        let arguments = |topic| {
            let to = ["--bootstrap-server", &bootstrap, "--topic", topic];
            let codec = ["--compression-codec", codec];
            let parse = [
                "--property",
                "parse.key=true",
                "--property",
                "parse.headers=true",
            ];
            let lax = [
                "--property",
                "null.marker=NIL",
                "--property",
                "ignore.error=true",
            ];
            let all = [&to[..], &codec, &parse, &lax, extra].concat();
            all.into_iter().map(str::to_owned).collect::<Vec<String>>()
        };
        let kafkas = arguments("kafkas");
        let kafkas: Vec<&str> = kafkas.iter().map(String::as_str).collect();
        run_with_input(Tool::ConsoleProducer, &kafkas, input.as_bytes()).succeeded();
        let ours = arguments("ours");
        let mut words = vec!["console-producer"];
        words.extend(ours.iter().map(String::as_str));
        let ours = chiplog_with_input(&words, input.as_bytes());
        assert_eq!((ours.errors.as_str(), ours.exit), ("", 0), "{codec}");
    }
    assert_eq!(keyed_records(&node, "ours"), keyed_records(&node, "kafkas"));
}

/// All records of a topic of three partitions that have a key, as Kafka's consumer prints them:
/// where records without key go is chance.
fn keyed_records(node: &Node, topic: &str) -> String {
    let bootstrap = node.bootstrap();
    let offsets = [
        "get-offsets",
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        topic,
    ];
    let mut keyed = String::new();
    let mut count = 0;
    for line in chiplog(&offsets).succeeded().lines() {
        let mut words = line.split(':').skip(1);
        let (partition, end) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if end == "0" {
            continue;
        }
        let from = [
            "--bootstrap-server",
            &bootstrap,
            "--topic",
            topic,
            "--partition",
            partition,
        ];
        let all = ["--offset", "earliest", "--max-messages", end];
        let shown = ["key", "headers", "partition"].map(|what| format!("print.{what}=true"));
        let shown = shown.iter().flat_map(|what| ["--property", what]);
        let arguments: Vec<&str> = from.into_iter().chain(all).chain(shown).collect();
        for line in run(Tool::ConsoleConsumer, &arguments).succeeded().lines() {
            count += 1;
            if !line.contains("\tnull\tdelta") {
                keyed.push_str(line);
                keyed.push('\n');
            }
        }
    }
    assert_eq!(count, 480, "{topic}");
    sorted(&keyed)
}

#[test]
fn console_consumer_prints_what_kafkas_prints() {
    let node = Node::start();
    node.create_topic("words", 1);
    produce(&node, "words", "a:alpha\nb:beta\nc:\nd:Δέλτα\n");
    let bootstrap = node.bootstrap();
    let from = ["--bootstrap-server", &bootstrap, "--topic", "words"];
    let all = ["timestamp", "key", "offset", "partition", "headers"];
    let all = all.map(|it| format!("print.{it}=true"));
    let all: Vec<&str> = all.iter().flat_map(|it| ["--property", it]).collect();
    let part = ["--partition", "0"];
    for arguments in [
        &["--offset", "earliest", "--max-messages", "4"][..],
        &["--offset", "2", "--max-messages", "2"],
        &[
            "--offset",
            "2",
            "--max-messages",
            "1",
            "--isolation-level",
            "read_committed",
        ],
        &[
            "--from-beginning",
            "--max-messages",
            "1",
            "--property",
            "print.value=false",
        ],
        &[
            "--from-beginning",
            "--max-messages",
            "2",
            "--property",
            "line.separator=|",
        ],
        &["--offset", "-3"],
        &["--offset", "1", "--from-beginning"],
        &["--offset", "1", "--group", "readers"],
    ] {
        let words = [&from[..], &part, &all, arguments].concat();
        let ours = assert_same(Tool::ConsoleConsumer, "console-consumer", &words);
        let ended = ours.exit == 1 || ours.errors.contains("Processed a total of ");
        assert!(ended, "{ours:?}");
    }
    let late = [&from[..], &["--timeout-ms", "300"]].concat();
    let nothing = chiplog(&[&["console-consumer"], &late[..]].concat());
    assert!(
        nothing.errors.contains("Processed a total of 0 messages"),
        "{nothing:?}"
    );
    let everything = [&from[..], &["--from-beginning", "--timeout-ms", "500"]].concat();
    let everything = chiplog(&[&["console-consumer"], &everything[..]].concat());
    assert_eq!(everything.output, "alpha\nbeta\n\nΔέλτα\n");
}

#[test]
fn a_group_of_console_consumers_goes_on_where_the_last_one_stopped() {
    let node = Node::start_with(one_partition_of_offsets());
    node.create_topic("words", 2);
    produce(&node, "words", "a:1\nb:2\nc:3\nd:4\ne:5\nf:6\n");
    let bootstrap = node.bootstrap();
    let in_group = |arguments: &[&str]| {
        let from = [
            "console-consumer",
            "--bootstrap-server",
            &bootstrap,
            "--topic",
            "words",
        ];
        let group = ["--group", "readers", "--from-beginning"];
        chiplog(&[&from[..], &group, arguments].concat()).succeeded()
    };
    let mut seen = in_group(&["--max-messages", "2"]);
    // Kafka's consumer is a member like any other.
    let from = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        "words",
        "--group",
        "readers",
    ];
    let kafkas = [&from[..], &["--from-beginning", "--max-messages", "2"]].concat();
    seen += &run(Tool::ConsoleConsumer, &kafkas).succeeded();
    seen += &in_group(&["--max-messages", "2"]);
    assert_eq!(sorted(&seen), "1\n2\n3\n4\n5\n6");
    assert_eq!(in_group(&["--timeout-ms", "200"]), "");
    // What the group left in its topic, as JSON: the lines have no ends.
    let topic = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        "__consumer_offsets",
    ];
    let all = [
        "--partition",
        "0",
        "--from-beginning",
        "--max-messages",
        "6",
    ];
    for formatter in ["Offsets", "GroupMetadata"] {
        let class = format!("org.apache.kafka.tools.consumer.{formatter}MessageFormatter");
        let arguments = [&topic[..], &all, &["--formatter", &class]].concat();
        let printed = assert_same(Tool::ConsoleConsumer, "console-consumer", &arguments);
        assert!(printed.output.contains("\"version\":"), "{printed:?}");
    }
}

pub fn one_partition_of_offsets() -> Setup {
    Setup::new()
        .set("offsets.topic.num.partitions", "1")
        .set("group.initial.rebalance.delay.ms", "0")
}
