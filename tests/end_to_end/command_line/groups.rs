//! Shows: `chiplog consumer-groups` prints what kafka-consumer-groups prints, and resets offsets to
//! what it would reset them to.

use chiplog_tests::command_line::{assert_same, assert_same_but, chiplog, sorted};
use chiplog_tests::java::{self, Run, Tool};
use chiplog_tests::node::Node;

use super::console::one_partition_of_offsets;
use super::{but_for_words_of_errors, produce};

/// A node with a group that has read two records of a topic of two partitions, and is gone.
fn node_with_group() -> Node {
    let node = Node::start_with(one_partition_of_offsets());
    node.create_topic("words", 2);
    node.create_topic("empty", 1);
    produce(&node, "words", "a:1\nb:2\nc:3\nd:4\ne:5\nf:6\n");
    let bootstrap = node.bootstrap();
    let from = ["console-consumer", "--bootstrap-server", &bootstrap];
    let group = [
        "--group",
        "readers",
        "--from-beginning",
        "--max-messages",
        "2",
    ];
    chiplog(&[&from[..], &["--include", "words|empty"], &group].concat()).succeeded();
    node
}

fn ours(node: &Node, arguments: &[&str]) -> Run {
    let bootstrap = node.bootstrap();
    let start = ["consumer-groups", "--bootstrap-server", &bootstrap];
    chiplog(&[&start[..], arguments].concat())
}

#[test]
fn groups_are_listed_described_and_deleted_as_kafka_does_it() {
    let node = node_with_group();
    let bootstrap = node.bootstrap();
    for arguments in [
        &["--list"][..],
        &["--list", "--state"],
        &["--list", "--state", "empty", "--type"],
        &["--list", "--state", "lost"],
        &["--describe", "--group", "readers"],
        &["--describe", "--all-groups", "--members", "--verbose"],
        &["--describe", "--group", "readers", "--state"],
        &["--describe", "--group", "ghosts"],
        &["--describe", "--group", "ghosts", "--members"],
        &["--describe"],
        &["--delete", "--group", "ghosts"],
        &["--delete-offsets", "--group", "ghosts", "--topic", "words"],
        &[
            "--delete-offsets",
            "--group",
            "ghosts",
            "--group",
            "readers",
            "--topic",
            "words",
        ],
        &["--list", "--group", "readers"],
    ] {
        let all = [&["--bootstrap-server", &bootstrap], arguments].concat();
        assert_same_but(
            Tool::ConsumerGroups,
            "consumer-groups",
            &all,
            but_for_words_of_errors,
        );
    }
    let listed = ours(&node, &["--list", "--output", "json"]).succeeded();
    assert_eq!(
        listed,
        "[{\"group\":\"readers\",\"state\":\"Empty\",\"type\":\"Classic\"}]\n"
    );
    let described = ours(
        &node,
        &["--describe", "--group", "readers", "--output", "json"],
    );
    assert!(
        described.clone().succeeded().contains("\"logEndOffset\":"),
        "{described:?}"
    );

    let deleted = ours(
        &node,
        &[
            "--delete-offsets",
            "--group",
            "readers",
            "--topic",
            "words:1",
        ],
    );
    let said = deleted.succeeded();
    assert!(
        said.starts_with("Request succeed for deleting offsets with topic words:1"),
        "{said}"
    );
    let described = ours(&node, &["--describe", "--group", "readers"]).succeeded();
    assert!(!described.contains("words           1"), "{described}");
    let deleted = ours(&node, &["--delete", "--group", "readers"]).succeeded();
    assert_eq!(
        deleted,
        "Deletion of requested consumer groups ('readers') was successful.\n"
    );
    assert_eq!(ours(&node, &["--list"]).succeeded(), "");
}

#[test]
fn members_of_groups_are_described_as_kafka_does_it() {
    let node = Node::start_with(one_partition_of_offsets());
    node.create_topic("words", 2);
    produce(&node, "words", "a:1\n");
    let bootstrap = node.bootstrap();
    std::thread::scope(|scope| {
        let member = || {
            let from = [
                "console-consumer",
                "--bootstrap-server",
                &bootstrap,
                "--topic",
                "words",
            ];
            let until = [
                "--group",
                "readers",
                "--from-beginning",
                "--max-messages",
                "2",
            ];
            chiplog(&[&from[..], &until].concat()).succeeded()
        };
        let reading = scope.spawn(member);
        let stable = || {
            ours(&node, &["--list", "--state", "stable"])
                .output
                .contains("readers")
        };
        chiplog_tests::state::reach("the member has joined", chiplog_tests::state::SOON, || {
            stable().then_some(())
        });
        for arguments in [
            &["--describe", "--group", "readers"][..],
            &["--describe", "--group", "readers", "--members"],
            &["--describe", "--group", "readers", "--members", "--verbose"],
            &["--describe", "--group", "readers", "--state"],
            &[
                "--reset-offsets",
                "--group",
                "readers",
                "--topic",
                "words",
                "--to-latest",
            ],
        ] {
            let all = [&["--bootstrap-server", &bootstrap], arguments].concat();
            assert_same(Tool::ConsumerGroups, "consumer-groups", &all);
        }
        produce(&node, "words", "b:2\n");
        assert_eq!(reading.join().expect("the member ends"), "1\n2\n");
    });
}

#[test]
fn offsets_are_reset_to_where_kafka_resets_them() {
    let node = node_with_group();
    let bootstrap = node.bootstrap();
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let plan = directory.path().join("plan.csv");
    std::fs::write(&plan, "words,0,1\nwords,1,99\n").expect("it can be written");
    let plan = plan.to_str().expect("a UTF-8 path");
    for how in [
        &["--to-earliest"][..],
        &["--to-latest"],
        &["--to-current"],
        &["--to-offset", "1"],
        &["--to-offset", "99"],
        &["--shift-by", "1"],
        &["--shift-by", "-9"],
        &["--to-datetime", "2000-01-01T00:00:00.000"],
        &["--to-datetime", "2100-01-01T00:00:00.000+02:00"],
        &["--to-datetime", "2000-1-1T0:0:0.0+01 and more"],
        &["--to-datetime", "2000-01-01T00:00:00"],
        &["--to-datetime", "2000-01-01T24:00:00.000"],
        &["--to-datetime", "2000-01-01"],
        &["--by-duration", "P1D"],
        &["--from-file", plan],
        &["--to-earliest", "--to-latest"],
    ] {
        for scope in [
            &["--all-topics"][..],
            &["--topic", "words"],
            &["--topic", "words:1", "--export"],
        ] {
            let start = ["--bootstrap-server", &bootstrap, "--group", "readers"];
            let arguments = [&start[..], &["--reset-offsets", "--dry-run"], how, scope].concat();
            assert_same_but(Tool::ConsumerGroups, "consumer-groups", &arguments, sorted);
        }
    }
    let nowhere = ["--reset-offsets", "--group", "readers", "--all-topics"];
    assert_eq!(ours(&node, &nowhere).exit, 1);
    let reset = ["--group", "readers", "--reset-offsets", "--execute"];
    let to = ["--topic", "words", "--to-offset", "1"];
    ours(&node, &[&reset[..], &to].concat()).succeeded();
    let described = ours(&node, &["--describe", "--group", "readers"]).succeeded();
    let rows = described.lines().filter(|line| line.contains("words"));
    let offsets: Vec<&str> = rows
        .filter_map(|row| row.split_whitespace().nth(3))
        .collect();
    assert_eq!(offsets, ["1", "1"], "{described}");
}

#[test]
fn resets_that_are_executed_print_and_do_what_kafkas_do() {
    let node = node_with_group();
    let bootstrap = node.bootstrap();
    let second = [
        "console-consumer",
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        "words",
    ];
    let group = [
        "--group",
        "seconds",
        "--from-beginning",
        "--max-messages",
        "6",
    ];
    chiplog(&[&second[..], &group].concat()).succeeded();
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        path.to_str().expect("a UTF-8 path").to_owned()
    };
    let one = file("one.csv", "words,0,1\nwords,1,0\n");
    let several = file("several.csv", "readers,words,0,1\nseconds,words,1,1\n");
    let start = ["--bootstrap-server", &bootstrap, "--reset-offsets"];
    let scope = ["--group", "readers", "--topic", "words"];
    let both = ["--group", "readers", "--group", "seconds"];
    for how in [
        &[&scope[..], &["--to-earliest"]].concat()[..],
        &[&scope[..], &["--to-latest"]].concat(),
        &[&scope[..], &["--to-offset", "1"]].concat(),
        &[&scope[..], &["--to-current"]].concat(),
        &[&scope[..], &["--shift-by", "-99"]].concat(),
        &[&scope[..], &["--to-datetime", "2000-01-01T00:00:00.000"]].concat(),
        &[&scope[..], &["--by-duration", "P1D"]].concat(),
        &[&both[..], &["--all-topics", "--to-latest"]].concat(),
        &["--all-groups", "--topic", "words:0", "--to-earliest"],
        &["--group", "readers", "--from-file", &one],
        &[&both[..], &["--from-file", &several]].concat(),
    ] {
        let execute = [&start[..], how, &["--execute"]].concat();
        let outcome = |run: &dyn Fn() -> Run| {
            for group in ["readers", "seconds"] {
                let to_2 = ["--reset-offsets", "--group", group, "--topic", "words"];
                ours(
                    &node,
                    &[&to_2[..], &["--to-offset", "2", "--execute"]].concat(),
                )
                .succeeded();
            }
            let printed = run();
            let described = ours(&node, &["--describe", "--all-groups"]).succeeded();
            (printed.exit, sorted(&printed.output), sorted(&described))
        };
        let by_kafka = outcome(&|| java::run(Tool::ConsumerGroups, &execute));
        let by_us = outcome(&|| chiplog(&[&["consumer-groups"], &execute[..]].concat()));
        assert_eq!(by_us, by_kafka, "{how:?}");
        assert!(by_us.1.contains("NEW-OFFSET"), "{how:?}: {by_us:?}");
        let export = [&execute[..], &["--export"]].concat();
        assert_same_but(Tool::ConsumerGroups, "consumer-groups", &export, sorted);
    }
    // Without saying so, nothing is done.
    let hint = [&start[..], &scope, &["--to-latest"]].concat();
    assert_same_but(Tool::ConsumerGroups, "consumer-groups", &hint, sorted);
}
