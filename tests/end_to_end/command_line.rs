//! Shows: `chiplog topics`, `get-offsets` and their like print what Kafka's tools print, line for
//! line, for the same broker and the same arguments.

mod console;
mod consumers;
mod groups;
mod output;
mod quotas;
mod transactions;

use chiplog_tests::command_line::{assert_same, assert_same_but, chiplog};
use chiplog_tests::java::{Run, Tool, run, run_with_input};
use chiplog_tests::node::{Node, Setup};
use chiplog_tests::state::{SOON, reach};

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

    // Kafka answers before the change has come to every part of the broker.
    let listed = |wanted: &str| {
        reach(wanted, SOON, || {
            (ours(&["--list"]).succeeded() == wanted).then_some(())
        });
        same(&["--list"]);
    };
    listed("harbours_1\nships\n");
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
        &[
            "--create",
            "--topic",
            "spoiled",
            "--replica-assignment",
            "0,0",
            "--partitions",
            "2",
        ],
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
    reach("the partitions are there", SOON, || {
        let described = ours(&["--describe", "--topic", "ships"]).succeeded();
        described.contains("PartitionCount: 5").then_some(())
    });
    let described = same(&["--describe", "--topic", "ships"]).succeeded();
    assert!(described.contains("PartitionCount: 5"), "{described}");
    assert_eq!(ours(&["--delete", "--topic", "ships"]).succeeded(), "");
    listed("harbours_1\n");
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

#[test]
fn delete_records_prints_what_kafka_delete_records_prints() {
    let node = Node::start();
    node.create_topic("words", 3);
    produce(&node, "words", "a:alpha\nb:beta\nc:gamma\nd:delta\n");
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("offsets.json");
    let bootstrap = node.bootstrap();
    for file in [
        r#"{"partitions": [{"topic": "words", "partition": 0, "offset": 0},
            {"topic": "words", "partition": 1, "offset": -1},
            {"topic": "words", "partition": 2, "offset": 99}], "version": 1}"#,
        r#"{"partitions": []}"#,
        r#"{"version": 1}"#,
        r#"{"partitions": [], "version": 2}"#,
        r#"{"partitions": [{"topic": "words", "partition": 1, "offset": 1},
            {"topic": "words", "partition": 1, "offset": 1}]}"#,
        "{",
    ] {
        std::fs::write(&path, file).expect("it can be written");
        let path = path.to_str().expect("a UTF-8 path");
        let arguments = ["--bootstrap-server", &bootstrap, "--offset-json-file", path];
        assert_same_but(
            Tool::DeleteRecords,
            "delete-records",
            &arguments,
            but_for_words_of_errors,
        );
    }
    let arguments = ["--bootstrap-server", &bootstrap];
    assert_same(Tool::DeleteRecords, "delete-records", &arguments);
}

#[test]
fn log_dirs_prints_what_kafka_log_dirs_prints() {
    let node = Node::start();
    node.create_topic("words", 5);
    node.create_topic("more-words", 2);
    produce(&node, "words", "a:alpha\nb:beta\nc:gamma\nd:delta\n");
    let bootstrap = node.bootstrap();
    for arguments in [
        &["--describe"][..],
        &["--describe", "--topic-list", "words"],
        &["--describe", "--broker-list", "1,7"],
        &["--topic-list", "words"],
    ] {
        let all = [&["--bootstrap-server", &bootstrap], arguments].concat();
        assert_same(Tool::LogDirs, "log-dirs", &all);
    }
    let json = [
        "log-dirs",
        "--bootstrap-server",
        &bootstrap,
        "--describe",
        "--output",
        "json",
    ];
    let printed = chiplog(&json).succeeded();
    assert!(
        printed.starts_with("{\"brokers\":[{") || printed.starts_with("{\"version\""),
        "{printed}"
    );
}

#[test]
fn configs_prints_what_kafka_configs_prints() {
    let node = Node::start_with(Setup::new().set("node.id", "1"));
    node.create_topic_with("words", 1, &[("retention.ms", "60000")]);
    node.create_topic("more-words", 1);
    let bootstrap = node.bootstrap();
    let same = |arguments: &[&str]| {
        let all = [&["--bootstrap-server", &bootstrap], arguments].concat();
        assert_same(Tool::Configs, "configs", &all)
    };
    let ours = |arguments: &[&str]| {
        chiplog(&[&["configs", "--bootstrap-server", &bootstrap], arguments].concat())
    };
    let set = "segment.bytes=2000000,cleanup.policy=[compact,delete]";
    let altered = ours(&["--alter", "--topic", "words", "--add-config", set]);
    assert_eq!(
        altered.succeeded(),
        "Completed updating config for topic words.\n"
    );
    let described = same(&["--describe", "--topic", "words"]).succeeded();
    assert!(
        described.contains("  cleanup.policy=compact,delete "),
        "{described}"
    );
    let altered = ours(&[
        "--alter",
        "--topic",
        "words",
        "--delete-config",
        "retention.ms",
    ]);
    altered.succeeded();
    let broker = ["--entity-type", "brokers", "--entity-name", "1"];
    let altered = ours(
        &[
            &["--alter", "--add-config", "log.cleaner.threads=2"],
            &broker[..],
        ]
        .concat(),
    );
    assert_eq!(
        altered.succeeded(),
        "Completed updating config for broker 1.\n"
    );
    let defaults = [
        "--alter",
        "--broker-defaults",
        "--add-config",
        "message.max.bytes=2000000",
    ];
    let altered = ours(&defaults).succeeded();
    assert_eq!(
        altered,
        "Completed updating default config for brokers in the cluster.\n"
    );
    for arguments in [
        &["--describe", "--topic", "words"][..],
        &["--describe", "--entity-type", "topics"],
        &["--describe", "--topic", "words", "--all"],
        &["--describe", "--entity-type", "brokers"],
        &["--describe", "--broker", "1", "--all"],
        &["--describe", "--entity-type", "brokers", "--entity-default"],
        &["--describe", "--entity-type", "ships"],
        &[
            "--describe",
            "--entity-type",
            "topics",
            "--entity-type",
            "brokers",
        ],
        &["--describe"],
        &["--alter", "--topic", "words"],
        &["--alter", "--topic", "words", "--add-config", "a=b=c"],
        &["--alter", "--topic", "words", "--add-config", "a!=b"],
        &[
            "--alter",
            "--topic",
            "words",
            "--delete-config",
            "retention.ms",
        ],
        &[
            "--alter",
            "--topic",
            "words",
            "--add-config",
            "retention.ms=soon",
        ],
        &[
            "--alter",
            "--entity-type",
            "topics",
            "--add-config",
            "retention.ms=1",
        ],
        &["--describe", "--broker", "x"],
    ] {
        same(arguments);
    }
    let json = ours(&["--describe", "--topic", "words", "--output", "json"]).succeeded();
    assert!(
        json.contains("\"source\":\"DYNAMIC_TOPIC_CONFIG\""),
        "{json}"
    );
}

/// What an error code means is said in words of our own where the broker sends none: the sentence
/// after the exception's class is left out.
fn but_for_words_of_errors(output: &str) -> String {
    let mut pieces = output.split("Exception: ");
    let mut kept = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        kept.push_str("Exception: ");
        kept.push_str(piece.split_once('.').map_or("", |(_, rest)| rest));
    }
    kept
}

/// Options that do not go together, or lack something: both tools end with 1, and begin what they say
/// with the same line. What the parsers of options find themselves each says in its own words.
#[test]
fn wrong_usage_is_refused_in_the_words_of_kafkas_tools() {
    let node = Node::start();
    node.create_topic("t", 2);
    let bootstrap = node.bootstrap();
    let topics = (Tool::Topics, "topics");
    let configs = (Tool::Configs, "configs");
    let groups = (Tool::ConsumerGroups, "consumer-groups");
    let offsets = (Tool::GetOffsets, "get-offsets");
    let directories = (Tool::LogDirs, "log-dirs");
    let transactions = (Tool::Transactions, "transactions");
    for ((tool, subcommand), words) in [
        (topics, ""),
        (topics, "--create"),
        (topics, "--alter --topic t"),
        (topics, "--alter --topic t --config a=b"),
        (topics, "--list --create"),
        (configs, ""),
        (configs, "--describe"),
        (configs, "--describe --entity-type nope"),
        (configs, "--alter --entity-type topics"),
        (configs, "--alter --entity-type topics --entity-name t"),
        (configs, "--describe --entity-type brokers --entity-name x"),
        (configs, "--alter --entity-type brokers --add-config a=b"),
        (configs, "--describe --entity-type broker-loggers"),
        (groups, ""),
        (groups, "--list --group g"),
        (groups, "--list --state nope"),
        (groups, "--list --type nope"),
        (groups, "--delete --group g --topic t"),
        (groups, "--describe --group g --members --offsets"),
        (offsets, "--time nope"),
        (offsets, "--topic t --partitions x"),
        (offsets, "--topic-partitions t --topic t"),
        ((Tool::DeleteRecords, "delete-records"), ""),
        (directories, ""),
        (directories, "--topic-list t"),
        (transactions, "find-hanging"),
        (transactions, "abort --topic t --partition 0"),
    ] {
        let words = words.split_whitespace();
        let arguments: Vec<&str> = ["--bootstrap-server", &bootstrap]
            .into_iter()
            .chain(words)
            .collect();
        let kafkas = run(tool, &arguments);
        let ours = chiplog(&[&[subcommand], &arguments[..]].concat());
        assert_eq!((ours.exit, kafkas.exit), (1, 1), "{arguments:?}");
        let reason = |run: &Run| run.errors.lines().next().unwrap_or_default().to_owned();
        assert_eq!(reason(&ours), reason(&kafkas), "{arguments:?}");
    }
}
