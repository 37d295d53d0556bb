//! Shows: kafka-consumer-groups, kafka-console-consumer --group, kafka-consumer-perf-test and
//! kafka-verifiable-consumer run unchanged against the node.

use std::time::Duration;

use chiplog_tests::java::{Run, Tool, run};
use chiplog_tests::node::Node;
use chiplog_tests::state::{SOON, reach};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::groups::fill;

fn tool(node: &Node, arguments: &[&str]) -> Run {
    let bootstrap = node.bootstrap();
    let to = ["--bootstrap-server", &bootstrap];
    run(Tool::ConsumerGroups, &[&to[..], arguments].concat())
}

/// The words of the lines of a table that begin with these words.
fn rows(table: &str, begin: &[&str]) -> Vec<Vec<String>> {
    let lines = table.lines();
    let words = lines.map(|line| line.split_whitespace().map(str::to_owned).collect());
    words
        .filter(|words: &Vec<String>| words.len() >= begin.len() && words[..begin.len()] == *begin)
        .collect()
}

/// The committed offset and the lag of each partition, as kafka-consumer-groups tells them.
fn progress(node: &Node, group: &str, topic: &str) -> Vec<(String, String)> {
    let described = tool(node, &["--describe", "--group", group]);
    let mut rows = rows(&described.clone().succeeded(), &[group, topic]);
    rows.sort();
    let numbers = rows.into_iter().map(|row| (row[3].clone(), row[5].clone()));
    numbers.collect()
}

fn expect(node: &Node, group: &str, topic: &str, offsets: &[&str]) {
    let told = progress(node, group, topic);
    let told: Vec<&str> = told.iter().map(|(offset, _)| offset.as_str()).collect();
    assert_eq!(told, offsets);
}

/// Runs kafka-console-consumer as a member.
fn console(node: &Node, group: &str, topic: &str, count: &str) -> String {
    let bootstrap = node.bootstrap();
    let arguments = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        topic,
        "--group",
        group,
        "--from-beginning",
        "--max-messages",
        count,
        "--timeout-ms",
        "60000",
    ];
    run(Tool::ConsoleConsumer, &arguments).succeeded()
}

#[test]
fn a_group_is_listed_described_and_deleted() {
    let node = Node::start();
    node.create_topic("t", 3);
    fill(&node, "t", 3, 10);
    assert_eq!(console(&node, "console", "t", "30").lines().count(), 30);
    expect(&node, "console", "t", &["10", "10", "10"]);
    let list = tool(&node, &["--list"]).succeeded();
    assert_eq!(list.trim(), "console");
    let list = tool(&node, &["--list", "--state"]).succeeded();
    assert_eq!(rows(&list, &["console", "Empty"]).len(), 1, "{list}");
    let list = tool(&node, &["--list", "--state", "stable"]).succeeded();
    assert!(rows(&list, &["console"]).is_empty(), "{list}");
    let list = tool(&node, &["--list", "--type"]).succeeded();
    assert_eq!(rows(&list, &["console", "Classic"]).len(), 1, "{list}");

    // A member that stays.
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", node.bootstrap())
        .set("group.id", "console")
        .set("client.id", "stays")
        .create()
        .expect("valid settings");
    consumer.subscribe(&["t"]).expect("a valid name");
    reach("it has all partitions", SOON, || {
        let _ = consumer.poll(Duration::from_millis(100));
        let assigned = consumer.assignment().expect("it is known");
        (assigned.count() == 3).then_some(())
    });
    let state = tool(&node, &["--describe", "--group", "console", "--state"]).succeeded();
    let state = rows(&state, &["console"]).remove(0).join(" ");
    assert!(state.ends_with("range Stable 1"), "{state}");
    let members = ["--describe", "--group", "console", "--members", "--verbose"];
    let members = tool(&node, &members).succeeded();
    let member = rows(&members, &["console"]).remove(0);
    assert!(member[1].starts_with("stays-"), "{members}");
    assert_eq!(&member[2..], ["/127.0.0.1", "stays", "3", "(0,1,2)"]);
    let refused = tool(&node, &["--delete", "--group", "console"]);
    assert!(
        refused.output.contains("GroupNotEmptyException"),
        "{refused:?}"
    );
    let offsets = ["--delete-offsets", "--group", "console", "--topic", "t"];
    let refused = tool(&node, &offsets);
    assert!(
        refused.output.contains("GroupSubscribedToTopic"),
        "{refused:?}"
    );
    let reset = [
        "--reset-offsets",
        "--group",
        "console",
        "--all-topics",
        "--to-latest",
    ];
    let refused = tool(&node, &[&reset[..], &["--execute"]].concat());
    let said = format!("{}{}", refused.output, refused.errors);
    assert!(
        said.contains("is inactive, but the current state is Stable"),
        "{said}"
    );

    drop(consumer);
    reach("the group is empty", SOON, || {
        let list = tool(&node, &["--list", "--state", "empty"]).succeeded();
        (rows(&list, &["console"]).len() == 1).then_some(())
    });
    let deleted = tool(
        &node,
        &["--delete-offsets", "--group", "console", "--topic", "t:1"],
    );
    assert!(
        deleted.clone().succeeded().contains("Successful"),
        "{deleted:?}"
    );
    let left = progress(&node, "console", "t");
    assert_eq!(left.len(), 2, "{left:?}");
    let deleted = tool(&node, &["--delete", "--group", "console"]).succeeded();
    assert!(deleted.contains("was successful"), "{deleted}");
    assert_eq!(tool(&node, &["--list"]).succeeded().trim(), "");
    let gone = tool(&node, &["--delete", "--group", "console"]);
    assert!(gone.output.contains("GroupIdNotFoundException"), "{gone:?}");
}

#[test]
fn offsets_are_reset_in_all_ways() {
    let mut node = Node::start();
    node.create_topic("t", 2);
    fill(&node, "t", 2, 10);
    console(&node, "g", "t", "20");
    let reset = |node: &Node, how: &[&str]| {
        let begin = [
            "--reset-offsets",
            "--group",
            "g",
            "--topic",
            "t",
            "--execute",
        ];
        tool(node, &[&begin[..], how].concat()).succeeded()
    };
    let dry = [
        "--reset-offsets",
        "--group",
        "g",
        "--topic",
        "t",
        "--to-earliest",
        "--dry-run",
    ];
    let told = tool(&node, &dry).succeeded();
    let words: Vec<&str> = told.split_whitespace().collect();
    let begins = |begin: &[&str]| words.windows(begin.len()).any(|words| words == begin);
    assert!(
        begins(&["g", "t", "0", "0"]) && begins(&["g", "t", "1", "0"]),
        "{told}"
    );
    expect(&node, "g", "t", &["10", "10"]);
    let ways: &[(&[&str], [&str; 2])] = &[
        (&["--to-earliest"], ["0", "0"]),
        (&["--to-offset", "4"], ["4", "4"]),
        (&["--shift-by", "3"], ["7", "7"]),
        (&["--shift-by", "-100"], ["0", "0"]),
        (&["--to-latest"], ["10", "10"]),
        (&["--by-duration", "PT1H"], ["0", "0"]),
        (&["--to-datetime", "2200-01-01T00:00:00.000"], ["10", "10"]),
        (&["--to-datetime", "2020-01-01T00:00:00.000"], ["0", "0"]),
        (&["--to-current"], ["0", "0"]),
    ];
    for (how, offsets) in ways {
        reset(&node, how);
        expect(&node, "g", "t", offsets);
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "\"t\",0,3\n\"t\",1,8\n").expect("it is written");
    let path = file.path().to_str().expect("a plain name");
    let from_file = [
        "--reset-offsets",
        "--group",
        "g",
        "--from-file",
        path,
        "--execute",
    ];
    tool(&node, &from_file).succeeded();
    expect(&node, "g", "t", &["3", "8"]);
    let one = [
        "--reset-offsets",
        "--group",
        "g",
        "--topic",
        "t:1",
        "--to-offset",
        "9",
    ];
    tool(&node, &[&one[..], &["--execute"]].concat()).succeeded();
    expect(&node, "g", "t", &["3", "9"]);
    node.kill();
    node.start_again();
    expect(&node, "g", "t", &["3", "9"]);
    assert_eq!(console(&node, "g", "t", "8").lines().count(), 8);
    expect(&node, "g", "t", &["10", "10"]);
}

#[test]
fn consumers_that_measure_and_verify_run_in_groups() {
    let node = Node::start();
    node.create_topic("t", 2);
    fill(&node, "t", 2, 50);
    let bootstrap = node.bootstrap();
    let perf = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        "t",
        "--messages",
        "100",
        "--group",
        "perf",
        "--hide-header",
    ];
    let measured = run(Tool::ConsumerPerfTest, &perf).succeeded();
    let numbers: Vec<&str> = measured.trim().split(", ").collect();
    assert_eq!(numbers[4], "100", "{measured}");
    let verify = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        "t",
        "--group-id",
        "verify",
        "--reset-policy",
        "earliest",
        "--max-messages",
        "100",
    ];
    let verified = run(Tool::VerifiableConsumer, &verify).succeeded();
    let of = |name: &str| {
        let event = format!("\"name\":\"{name}\"");
        verified
            .lines()
            .filter(|line| line.contains(&event))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("partitions_assigned").len(), 1, "{verified}");
    let commits = of("offsets_committed");
    assert!(!commits.is_empty(), "{verified}");
    assert!(
        commits.iter().all(|line| line.contains("\"success\":true")),
        "{verified}"
    );
    expect(&node, "verify", "t", &["50", "50"]);
}
