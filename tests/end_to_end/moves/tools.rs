//! Kafka's tools ask for moves and see them; topics that are compacted, and those of groups, move too.

use std::fs;

use chiplog_tests::command_line::assert_same_but;
use chiplog_tests::java::{Tool, run, run_with_input};
use chiplog_tests::node::{Node, Target};
use chiplog_tests::raw::{Body, batch, end_offset, produce_to};
use chiplog_tests::state::{SOON, reach};

use super::{
    ALTER_REPLICA_LOG_DIRS, alter, directory, dump, elsewhere, node, throttle, wait_until_in,
};

#[test]
fn kafkas_reassign_tool_moves_a_log_and_verifies_it() {
    let node = node();
    node.create_topic("ships", 2);
    let bootstrap = node.bootstrap();
    let to = ["--bootstrap-server", &bootstrap, "--topic", "ships"];
    run_with_input(Tool::ConsoleProducer, &to, b"one\ntwo\nthree\n").succeeded();
    let me = broker(&node);
    let target = elsewhere(&node, "ships");
    let path = directory(&node, target).display().to_string();
    let plan = format!(
        r#"{{"version":1,"partitions":[{{"topic":"ships","partition":0,"replicas":[{me}],"log_dirs":["{path}"]}}]}}"#
    );
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), plan).expect("written");
    let file = file.path().display().to_string();
    let reassign = |arguments: &[&str]| {
        let common = [
            "--bootstrap-server",
            &bootstrap,
            "--reassignment-json-file",
            &file,
        ];
        run(Tool::ReassignPartitions, &[&common, arguments].concat())
    };
    let executed =
        reassign(&["--execute", "--replica-alter-log-dirs-throttle", "10000000"]).succeeded();
    for line in [
        "The replica-alter-dir throttle limit was set to 10000000 B/s".to_owned(),
        format!(
            "Successfully started moving log directory to {path} for replica ships-0 with broker {me}"
        ),
    ] {
        assert!(executed.contains(&line), "{executed}");
    }
    wait_until_in(&node, target, "ships");
    let verified = reassign(&["--verify"]).succeeded();
    for line in [
        "Reassignment of partition ships-0 is completed.".to_owned(),
        format!("Reassignment of replica ships-0-{me} completed successfully."),
        format!("Clearing broker-level throttles on broker {me}"),
    ] {
        assert!(verified.contains(&line), "{verified}");
    }
    let words = [
        "--bootstrap-server",
        &bootstrap,
        "--describe",
        "--topic-list",
        "ships",
    ];
    let described = run(Tool::LogDirs, &words).succeeded();
    let there = format!(r#"}}],"error":null,"logDir":"{path}""#);
    let (partitions, _) = described.split_once(&there).expect("the directory");
    let (_, last) = partitions.rsplit_once('[').expect("its partitions");
    assert!(last.contains(r#""partition":"ships-0""#), "{described}");

    for _ in 0..20 {
        let produced = produce_to(&mut node.connect(), "ships", &batch(&[&[7; 50_000]]));
        assert_eq!(produced.expect("an answer").0, 0);
    }
    throttle(&node, Some(1));
    let back = elsewhere(&node, "ships");
    assert_eq!(alter(&node, back, "ships"), 0);
    let moving = reassign(&["--verify"]).succeeded();
    let back = directory(&node, back).display().to_string();
    let on_its_way = format!(
        "Partition ships-0 on broker {me} is being moved to log dir {back} instead of {path}."
    );
    assert!(moving.contains(&on_its_way), "{moving}");
    let words: Vec<&str> = words[2..].to_vec();
    let same = assert_same_but(
        Tool::LogDirs,
        "log-dirs",
        &[&["--bootstrap-server", &*bootstrap][..], &words].concat(),
        by_directory,
    );
    assert!(
        same.output.contains(r#""isFuture":true"#),
        "{}",
        same.output
    );
}

/// The parts of a description, in order: Kafka's tool prints directories in the order of a hash table.
fn by_directory(described: &str) -> String {
    let described = described.replace("]}],\"version\":1}", "");
    let mut parts: Vec<_> = described
        .split('{')
        .map(|part| part.trim_end_matches([',', ']', '}', '\n']))
        .collect();
    parts.sort_unstable();
    parts.join("\n")
}

/// The one broker's id.
fn broker(node: &Node) -> String {
    let bootstrap = node.bootstrap();
    let words = ["--bootstrap-server", &bootstrap, "--describe"];
    let printed = run(Tool::LogDirs, &words).succeeded();
    let line = printed.lines().nth(1).expect("a second line");
    line.rsplit(' ').next().expect("an id").to_owned()
}

#[test]
fn compacted_topics_and_those_of_groups_move() {
    let node = node();
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "20000"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.ms", "100"),
    ];
    node.create_topic_with("newest", 1, &settings);
    let bootstrap = node.bootstrap();
    let produce = |round: u32| {
        let mut lines = String::new();
        for number in 0..500 {
            lines.push_str(&format!("{}:{round}-{number}\n", number % 10));
        }
        let mut words = vec!["--bootstrap-server", &bootstrap, "--topic", "newest"];
        words.extend([
            "--property",
            "parse.key=true",
            "--property",
            "key.separator=:",
        ]);
        run_with_input(Tool::ConsoleProducer, &words, lines.as_bytes()).succeeded();
    };
    // Kafka begins with making its 50 partitions for groups.
    let patience = if node.target() == Target::Kafka {
        "20000"
    } else {
        "3000"
    };
    let consume = || {
        let mut words = vec!["--bootstrap-server", &bootstrap, "--topic", "newest"];
        words.extend([
            "--from-beginning",
            "--timeout-ms",
            patience,
            "--group",
            "readers",
        ]);
        words.extend(["--property", "print.key=true"]);
        run(Tool::ConsoleConsumer, &words).output
    };
    let newest = |printed: &str| {
        let mut newest = std::collections::BTreeMap::new();
        for line in printed.lines() {
            let (key, value) = line.split_once('\t').expect("key and value");
            newest.insert(key.to_owned(), value.to_owned());
        }
        newest
    };
    for round in 0..3 {
        produce(round);
        let to = elsewhere(&node, "newest");
        assert_eq!(alter(&node, to, "newest"), 0);
        wait_until_in(&node, to, "newest");
        dump(&node, to, "newest");
    }
    let found = newest(&consume());
    assert_eq!(found.len(), 10);
    assert!(
        found.values().all(|value| value.starts_with("2-49")),
        "{found:?}"
    );
    // The group's partition moves too, with its coordinator at work.
    let end = end_offset(&mut node.connect(), "newest");
    let words = [
        "--bootstrap-server",
        &*bootstrap,
        "--describe",
        "--group",
        "readers",
    ];
    let committed = |node: &Node| {
        let printed = run(Tool::ConsumerGroups, &words).succeeded();
        assert!(printed.contains(&format!(" {end} ")), "{printed}");
        let _ = node;
    };
    committed(&node);
    for partition in 0..50 {
        let to = directory(&node, "most").display().to_string();
        let topic = "__consumer_offsets";
        let body = Body::new().i32(1).string(&to).i32(1).string(topic);
        let mut answer = node
            .connect()
            .ask(ALTER_REPLICA_LOG_DIRS, 1, &body.i32(1).i32(partition));
        let _ = (answer.i32(), answer.i32(), answer.string(), answer.i32());
        assert_eq!((answer.i32(), answer.i16()), (partition, 0));
    }
    reach("all of them have moved", 2 * SOON, || {
        let here = fs::read_dir(directory(&node, "most")).expect("it is there");
        let names = here.map(|entry| entry.expect("a name").file_name());
        let moved = names.filter(|name| {
            let name = name.to_str().expect("plain");
            name.starts_with("__consumer_offsets") && !name.contains('.')
        });
        (moved.count() == 50).then_some(())
    });
    committed(&node);
    assert_eq!(consume().lines().count(), 0, "the group has read it all");
    produce(3);
    assert_eq!(newest(&consume()).len(), 10);
}
