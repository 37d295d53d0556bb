//! Shows: `chiplog topics`, `get-offsets` and their like print what Kafka's tools print, line for
//! line, for the same broker and the same arguments.

use chiplog_tests::command_line::{assert_same, assert_same_but, chiplog, sorted};
use chiplog_tests::java::{Tool, run_with_input};
use chiplog_tests::node::Node;

/// Produces each line of `input`, which begins with its key and a colon.
fn produce(node: &Node, topic: &str, input: &str) {
    let bootstrap = node.bootstrap();
    let to = ["--bootstrap-server", &bootstrap, "--topic", topic];
    let keys = [
        "--property",
        "parse.key=true",
        "--property",
        "key.separator=:",
    ];
    run_with_input(
        Tool::ConsoleProducer,
        &[&to[..], &keys].concat(),
        input.as_bytes(),
    )
    .succeeded();
}

#[test]
fn topics_prints_what_kafka_topics_prints() {
    let node = Node::start();
    let bootstrap = node.bootstrap();
    let same = |arguments: &[&str]| {
        let all = [&["--bootstrap-server", &bootstrap], arguments].concat();
        assert_same(Tool::Topics, "topics", &all)
    };
    let ours = |arguments: &[&str]| {
        chiplog(&[&["topics", "--bootstrap-server", &bootstrap], arguments].concat())
    };

    same(&["--list"]);
    let created = ours(&[
        "--create",
        "--topic",
        "ships",
        "--partitions",
        "3",
        "--config",
        "retention.ms=86400000",
        "--config",
        "cleanup.policy=compact",
    ]);
    assert_eq!(created.succeeded(), "Created topic ships.\n");
    let created = ours(&["--create", "--topic", "harbours_1"]).succeeded();
    assert!(
        created.starts_with("WARNING: Due to limitations"),
        "{created}"
    );
    assert!(
        created.ends_with("\nCreated topic harbours_1.\n"),
        "{created}"
    );

    assert_eq!(same(&["--list"]).succeeded(), "harbours_1\nships\n");
    same(&["--list", "--topic", "sh.*"]);
    let described = same(&["--describe"]).succeeded();
    assert!(described.contains("PartitionCount: 3"), "{described}");
    for report in [
        &["--describe", "--topic", "ships"][..],
        &["--describe", "--topics-with-overrides"],
        &["--describe", "--under-replicated-partitions"],
        &["--describe", "--at-min-isr-partitions"],
        &["--describe", "--unavailable-partitions"],
        &["--describe", "--topic", "ghosts"],
        &["--describe", "--topic", "ghosts", "--if-exists"],
        &["--create", "--topic", "ships"],
        &["--create", "--topic", "ships", "--if-not-exists"],
        &["--create", "--topic", "spoiled", "--partitions", "0"],
        &["--create", "--topic", "spoiled", "--config", "retention.ms"],
        &["--alter", "--topic", "ships", "--partitions", "2"],
        &["--alter", "--topic", "ghosts", "--partitions", "2"],
        &["--delete", "--topic", "ghosts"],
        &["--delete", "--topic", "ghosts", "--if-exists"],
        &["--list", "--describe"],
        &["--list", "--partitions", "3"],
        &["--delete"],
    ] {
        same(report);
    }

    let altered = ours(&["--alter", "--topic", "ships", "--partitions", "5"]);
    assert_eq!(altered.succeeded(), "");
    let described = same(&["--describe", "--topic", "ships"]).succeeded();
    assert!(described.contains("PartitionCount: 5"), "{described}");
    assert_eq!(ours(&["--delete", "--topic", "ships"]).succeeded(), "");
    assert_eq!(same(&["--list"]).succeeded(), "harbours_1\n");
    let listed = ours(&["--list", "--output", "json"]).succeeded();
    assert_eq!(listed, "[\"harbours_1\"]\n");
    let described = ours(&["--describe", "--output", "json"]).succeeded();
    assert!(described.contains("\"partitionCount\":1"), "{described}");
}

#[test]
fn get_offsets_prints_what_kafka_get_offsets_prints() {
    let node = Node::start();
    node.create_topic("words", 3);
    node.create_topic("more-words", 11);
    produce(&node, "words", "a:alpha\nb:beta\nc:gamma\nd:delta\n");
    let bootstrap = node.bootstrap();
    for arguments in [
        &[][..],
        &["--topic", "words"],
        &["--topic", "words", "--time", "earliest"],
        &["--topic", "words", "--time", "-1"],
        &["--topic", "words", "--time", "max-timestamp"],
        &["--topic", "words", "--time", "1"],
        &["--topic", "words", "--time", "99999999999999"],
        &["--topic", ".*words", "--partitions", "0,2"],
        &["--topic-partitions", "words:1-,more-words:-2"],
        &["--topic-partitions", "words", "--topic", "words"],
        &["--topic", "ghosts"],
        &["--time", "soon"],
        &["--topic", "words", "--partitions", "x"],
        &["--exclude-internal-topics"],
    ] {
        let all = [&["--bootstrap-server", &bootstrap], arguments].concat();
        assert_same(Tool::GetOffsets, "get-offsets", &all);
    }
    let json = ["--topic", "words", "--partitions", "1", "--output", "json"];
    let ours = chiplog(
        &[
            &["get-offsets", "--bootstrap-server", &bootstrap],
            &json[..],
        ]
        .concat(),
    );
    let printed = ours.succeeded();
    assert!(printed.starts_with("[{\"offset\":"), "{printed}");
}

#[test]
fn what_is_not_supported_is_refused_and_what_is_unknown_is_warned_of() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let properties = directory.path().join("client.properties");
    let list = |text: &str, bootstrap: &str| {
        std::fs::write(&properties, text).expect("it can be written");
        let path = properties.to_str().expect("a UTF-8 path");
        chiplog(&[
            "topics",
            "--bootstrap-server",
            bootstrap,
            "--command-config",
            path,
            "--list",
        ])
    };
    let refused = list("security.protocol=SSL\n", "127.0.0.1:1");
    assert_eq!(refused.exit, 1);
    assert!(
        refused.output.contains("security.protocol=SSL"),
        "{refused:?}"
    );

    let unreachable = list("default.api.timeout.ms=300\n", "127.0.0.1:1");
    assert_eq!(unreachable.exit, 1);
    assert!(
        unreachable.output.contains("Timed out after 300 ms"),
        "{unreachable:?}"
    );

    let node = Node::start();
    let warned = list(
        "no.such.key=1\nrequest.timeout.ms=9000\n",
        &node.bootstrap(),
    );
    assert!(warned.errors.contains("'no.such.key'"), "{warned:?}");
    assert!(!warned.errors.contains("request.timeout.ms"), "{warned:?}");
    warned.succeeded();
}
