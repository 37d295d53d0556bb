//! Shows: every report of chiplog's tools comes as JSON too, and shells complete their words.

use std::process::Command;

use chiplog_tests::command_line::chiplog;
use chiplog_tests::java::run_client;
use chiplog_tests::node::Node;
use chiplog_tests::state::{SOON, reach};
use serde_json::Value;

use super::console::one_partition_of_offsets;
use super::produce;

const SUBCOMMANDS: [&str; 9] = [
    "topics",
    "configs",
    "consumer-groups",
    "get-offsets",
    "delete-records",
    "log-dirs",
    "transactions",
    "console-producer",
    "console-consumer",
];

fn node_with_everything() -> Node {
    let setup = one_partition_of_offsets()
        .set("node.id", "1")
        .set("transaction.state.log.num.partitions", "1")
        .set("transaction.state.log.replication.factor", "1")
        .set("transaction.state.log.min.isr", "1");
    let node = Node::start_with(setup);
    for topic in ["words", "transactions"] {
        node.create_topic(topic, 2);
    }
    produce(&node, "words", "a:1\nb:2\nc:3\nd:4\n");
    let bootstrap = node.bootstrap();
    run_client("Swap", &["transactions", &bootstrap]).succeeded();
    for group in ["readers", "writers"] {
        let from = ["console-consumer", "--bootstrap-server", &bootstrap];
        let all = [
            "--topic",
            "words",
            "--group",
            group,
            "--from-beginning",
            "--max-messages",
            "4",
        ];
        chiplog(&[&from[..], &all].concat()).succeeded();
    }
    let quota = [
        "--alter",
        "--user",
        "ann",
        "--add-config",
        "producer_byte_rate=1",
    ];
    let start = ["configs", "--bootstrap-server", &bootstrap];
    chiplog(&[&start[..], &quota].concat()).succeeded();
    let metrics = [
        "--alter",
        "--entity-type",
        "client-metrics",
        "--entity-name",
        "all",
    ];
    let add = ["--add-config", "interval.ms=1000"];
    chiplog(&[&start[..], &metrics, &add].concat()).succeeded();
    node
}

#[test]
fn every_report_comes_as_json_too() {
    let node = node_with_everything();
    let bootstrap = node.bootstrap();
    let report = |words: &[&str]| {
        let to = ["--bootstrap-server", &bootstrap, "--output", "json"];
        let run = chiplog(&[&words[..1], &to, &words[1..]].concat());
        let lines = run.clone().succeeded();
        let values = lines.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{words:?}: {e}: {run:?}"))
        });
        values.collect::<Vec<Value>>()
    };
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("offsets.json");
    let offsets =
        r#"{"partitions": [{"topic": "words", "partition": 0, "offset": 0}], "version": 1}"#;
    std::fs::write(&file, offsets).expect("it can be written");
    let file = file.to_str().expect("a UTF-8 path");
    reach("the quota is told", SOON, || {
        let told = report(&["configs", "--describe", "--user", "ann"]);
        (!told[0].as_array()?.is_empty()).then_some(())
    });
    let dry = [
        "--reset-offsets",
        "--dry-run",
        "--to-earliest",
        "--all-topics",
    ];
    let dry = [&["consumer-groups"], &dry[..], &["--group", "readers"]].concat();
    for words in [
        &["topics", "--list"][..],
        &["topics", "--describe"],
        &["topics", "--describe", "--topic", "words"],
        &["configs", "--describe", "--topic", "words", "--all"],
        &["configs", "--describe", "--broker", "1", "--all"],
        &[
            "configs",
            "--describe",
            "--entity-type",
            "broker-loggers",
            "--entity-name",
            "1",
        ],
        &["configs", "--describe", "--entity-type", "client-metrics"],
        &["configs", "--describe", "--user", "ann"],
        &["get-offsets", "--topic", "words"],
        &["delete-records", "--offset-json-file", file],
        &["log-dirs", "--describe", "--topic-list", "words"],
        &["transactions", "list"],
        &["transactions", "describe", "--transactional-id", "swap"],
        &[
            "transactions",
            "describe-producers",
            "--topic",
            "transactions",
            "--partition",
            "0",
        ],
        &["consumer-groups", "--list"],
        &["consumer-groups", "--list", "--state"],
        &["consumer-groups", "--describe", "--all-groups", "--members"],
        &["consumer-groups", "--describe", "--group", "readers"],
        &[
            "consumer-groups",
            "--describe",
            "--group",
            "readers",
            "--state",
        ],
        &dry,
        &[
            "consumer-groups",
            "--delete-offsets",
            "--group",
            "readers",
            "--topic",
            "words:1",
        ],
        &[
            "consumer-groups",
            "--delete",
            "--group",
            "readers",
            "--group",
            "ghosts",
        ],
    ] {
        let told = report(words);
        let says_something = match &told[..] {
            [Value::Array(rows)] => !rows.is_empty(),
            [Value::Object(object)] => !object.is_empty(),
            _ => false,
        };
        assert!(says_something, "{words:?}: {told:?}");
    }
    for words in [
        &["transactions", "find-hanging", "--broker-id", "1"][..],
        &["configs", "--describe", "--ip", "127.0.0.1"],
    ] {
        assert_eq!(report(words), [Value::Array(Vec::new())], "{words:?}");
    }
    let from = [
        "console-consumer",
        "--topic",
        "words",
        "--from-beginning",
        "--max-messages",
        "4",
    ];
    let records = report(&from);
    let mut values: Vec<&str> = records
        .iter()
        .filter_map(|record| record["value"].as_str())
        .collect();
    values.sort_unstable();
    assert_eq!(values, ["1", "2", "3", "4"]);
}

#[test]
fn shells_complete_every_subcommand() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = chiplog(&["completion", shell]).succeeded();
        for subcommand in SUBCOMMANDS {
            assert!(
                script.contains(subcommand),
                "{shell} does not know {subcommand}"
            );
        }
        assert!(script.contains("reset-offsets"), "{shell} knows flags");
    }
    // What bash makes of it.
    let script = chiplog(&["completion", "bash"]).succeeded();
    let ask = format!(
        "{script}\nCOMP_WORDS=(chiplog consumer-groups --reset); COMP_CWORD=2; \
         _chiplog chiplog --reset consumer-groups; echo \"${{COMPREPLY[@]}}\""
    );
    let completed = Command::new("bash")
        .args(["-c", &ask])
        .output()
        .expect("bash runs");
    assert_eq!(
        String::from_utf8_lossy(&completed.stdout).trim(),
        "--reset-offsets"
    );
}
