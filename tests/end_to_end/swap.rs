//! Shows: a data directory can be handed between Kafka 3.9.1 and chiplog, both ways. Kafka writes,
//! chiplog goes on in the same directory, Kafka takes it back; what can be read stays the same to
//! the offset, timestamp, header and leader epoch.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use chiplog_tests::java::{Tool, run, run_client};
use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::place::chiplog_command;
use chiplog_tests::state::{SOON, reach};
use chiplog_tests::zookeeper::ZooKeeper;

use crate::dump_log::{assert_clean, data_files, kafka_dump_log, metadata_files};

fn swap(node: &Node, step: &str) -> String {
    run_client("Swap", &[step, &node.bootstrap()]).succeeded()
}

/// Everything that clients can see, line by line; of the compacted topic what every compaction
/// leaves: the last record of each key.
fn visible(node: &Node) -> Vec<String> {
    let mut last = BTreeMap::new();
    let mut lines = Vec::new();
    for line in swap(node, "read").lines() {
        let mut words = line.split(' ');
        match (words.next(), words.next()) {
            (Some(isolation), Some("compacted-0")) if isolation != "end" => {
                let (_, record) = line.split_once(" key ").expect("a record has a key");
                let (key, _) = record.split_once('=').expect("a record has a key");
                last.insert((isolation.to_owned(), key.to_owned()), line.to_owned());
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.extend(last.into_values());
    lines
}

/// Nothing that could be read before has changed or is gone; ends, and the last records of keys,
/// may be later.
fn assert_holds_all_of(later: &[String], before: &[String]) {
    let moves_on = |line: &str| line.starts_with("end ") || line.contains(" compacted-0 ");
    for line in before.iter().filter(|line| !moves_on(line)) {
        assert!(later.contains(line), "{line} is gone");
    }
}

/// The batches of the producer that lived through all of it are one unbroken sequence of one
/// producer id and epoch.
fn assert_one_producer_went_on(node: &Node) {
    let mut files = data_files(node, "log");
    files.retain(|file| file.to_string_lossy().contains("going-on-0"));
    let dumped = kafka_dump_log(&files, &[]);
    let mut next = None;
    for line in dumped
        .lines()
        .filter(|line| line.starts_with("baseOffset: "))
    {
        let value = |name: &str| -> i64 {
            let (_, rest) = line
                .split_once(&format!(" {name}: "))
                .expect("it is printed");
            let end = rest.find(' ').unwrap_or(rest.len());
            rest[..end].parse().expect("a number")
        };
        let producer = (value("producerId"), value("producerEpoch"));
        let expected = next.unwrap_or((producer, 0));
        assert_eq!((producer, value("baseSequence")), expected, "{line}");
        next = Some((producer, value("lastSequence") + 1));
    }
    assert_eq!(
        next.expect("there are batches").1,
        300,
        "three times 100 records"
    );
}

fn assert_all_files_clean(node: &Node) {
    let logs = data_files(node, "log");
    assert_clean(&kafka_dump_log(
        &logs,
        &["--deep-iteration", "--print-data-log"],
    ));
    for extension in ["index", "timeindex"] {
        let files = data_files(node, extension);
        assert_clean(&kafka_dump_log(&files, &["--verify-index-only"]));
    }
    for extension in ["snapshot", "txnindex"] {
        let files = data_files(node, extension);
        if !files.is_empty() {
            assert_clean(&kafka_dump_log(&files, &[]));
        }
    }
}

/// Kafka fills the directory, its cleaner included, and stops. Gives what could be read.
fn filled_by_kafka(node: &mut Node) -> Vec<String> {
    swap(node, "create");
    swap(node, "write");
    swap(node, "transactions");
    let cleaned = node.log_directory().join("cleaner-offset-checkpoint");
    reach("Kafka's cleaner has been there", 3 * SOON, || {
        let text = fs::read_to_string(&cleaned).unwrap_or_default();
        text.contains("compacted 0").then_some(())
    });
    let by_kafka = visible(node);
    let seen = |isolation: &str| {
        let start = format!("{isolation} transactions-0 ");
        by_kafka
            .iter()
            .filter(|line| line.starts_with(&start))
            .count()
    };
    assert_eq!(seen("read_uncommitted"), 100, "five transactions");
    assert_eq!(seen("read_committed"), 60, "two were aborted");
    node.stop();
    by_kafka
}

/// No second process uses the directory of a node that runs, and the one that tries is told who
/// does.
fn assert_locked(node: &Node) {
    let directories = format!("log.dirs={}", node.log_directory().display());
    let refused = Command::new(chiplog_command())
        .args(["serve", "--override", &directories])
        .args(["--override", "listeners=PLAINTEXT://127.0.0.1:0"])
        .args(["--override", "node.id=1"])
        .output()
        .expect("chiplog can be started");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned()
        + &String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success(), "{said}");
    let holder = format!("in use by the process {}", node.process_id());
    assert!(said.contains(&holder), "{said}");
}

/// The Kafka that comes back finds nothing to recover.
fn assert_not_recovered(said: &str) {
    assert!(said.contains("Skipping recovery of "), "{said}");
    let signs = ["Recovering unflushed segment", "rebuilding index files"];
    let recovered = said.lines().find(|line| {
        signs.iter().any(|sign| line.contains(sign)) && !line.contains("__cluster_metadata")
    });
    assert_eq!(recovered, None, "Kafka recovers nothing of a topic");
}

/// Settings of topics are in ZooKeeper, and not in the directory.
fn without_configs(lines: &[String]) -> Vec<String> {
    let keeps = |line: &&String| !line.starts_with("config ");
    lines.iter().filter(keeps).cloned().collect()
}

/// For both kinds of Kafka, and for chiplog.
fn setup() -> Setup {
    Setup::new()
        .set("node.id", "1")
        .set("log.cleaner.backoff.ms", "300")
        .set("transaction.state.log.replication.factor", "1")
        .set("transaction.state.log.min.isr", "1")
        .set("transaction.state.log.num.partitions", "1")
}

#[test]
fn a_zookeeper_brokers_directory_goes_to_chiplog_and_back() {
    let zookeeper = ZooKeeper::start();
    let kafka = Target::KafkaWithZooKeeper {
        port: zookeeper.port(),
    };
    let mut node = Node::start_with(setup().of(kafka));
    let by_kafka = filled_by_kafka(&mut node);

    node.start_again_as(Target::Chiplog);
    let taken_over = visible(&node);
    assert_eq!(without_configs(&taken_over), without_configs(&by_kafka));
    let said = node.output();
    assert!(
        said.contains("topic codec-zstd with id"),
        "adopted topics are named: {said}"
    );
    swap(&node, "write");
    let by_chiplog = visible(&node);
    assert_holds_all_of(&by_chiplog, &taken_over);
    node.stop();
    assert_all_files_clean(&node);

    let said_before = node.output().len();
    node.start_again_as(kafka);
    let again = visible(&node);
    assert_eq!(without_configs(&again), without_configs(&by_chiplog));
    assert_holds_all_of(&again, &by_kafka);
    assert_not_recovered(&node.output()[said_before..]);
    swap(&node, "write");
    swap(&node, "transactions");
    let by_kafka = visible(&node);
    node.stop();
    assert_one_producer_went_on(&node);

    // And once more: what Kafka did meanwhile is followed.
    node.start_again_as(Target::Chiplog);
    assert_eq!(without_configs(&visible(&node)), without_configs(&by_kafka));
}

#[test]
fn a_kraft_nodes_directory_goes_to_chiplog_and_back() {
    let setup = setup()
        .set("metadata.log.max.record.bytes.between.snapshots", "1500")
        .set("broker.heartbeat.interval.ms", "200")
        .set("broker.session.timeout.ms", "1000");
    let mut node = Node::start_with(setup.of(Target::Kafka));
    assert_locked(&node);
    let by_kafka = filled_by_kafka(&mut node);
    assert_clean(&kafka_dump_log(&data_files(&node, "log"), &[]));

    node.start_again_as(Target::Chiplog);
    assert_locked(&node);
    assert_eq!(visible(&node), by_kafka, "chiplog reads what Kafka read");
    swap(&node, "write");
    // More metadata than fits between two snapshots, wherever Kafka made its last one.
    node.create_topic("made-by-chiplog", 30);
    let by_chiplog = visible(&node);
    assert_holds_all_of(&by_chiplog, &by_kafka);
    node.stop();
    assert_all_files_clean(&node);
    let snapshots = metadata_files(&node, "checkpoint");
    let by_chiplog_itself =
        |file: &PathBuf| file.to_string_lossy().ends_with("-0000000002.checkpoint");
    assert!(snapshots.iter().any(by_chiplog_itself), "{snapshots:?}");
    let flags = ["--cluster-metadata-decoder"];
    assert_clean(&kafka_dump_log(&metadata_files(&node, "log"), &flags));
    assert_clean(&kafka_dump_log(&snapshots, &flags));

    let said_before = node.output().len();
    node.start_again_as(Target::Kafka);
    assert_eq!(visible(&node), by_chiplog, "Kafka reads what chiplog read");
    let kept = swap(&node, "kept");
    let whole = kept.contains("alice")
        && kept.contains("SCRAM_SHA_256")
        && kept.contains("producer_byte_rate");
    assert!(whole, "credentials and quotas are still there: {kept}");
    assert_not_recovered(&node.output()[said_before..]);
    swap(&node, "write");
    swap(&node, "transactions");
    assert_holds_all_of(&visible(&node), &by_chiplog);
    node.stop();
    assert_one_producer_went_on(&node);

    // And once more, without a clean stop on either side.
    node.start_again_as(Target::Chiplog);
    assert_holds_all_of(&visible(&node), &by_chiplog);
    let before_crash = visible(&node);
    node.kill();
    node.start_again_as(Target::Kafka);
    assert_eq!(
        visible(&node),
        before_crash,
        "Kafka recovers what chiplog wrote"
    );
    node.kill();
    node.start_again_as(Target::Chiplog);
    assert_eq!(
        visible(&node),
        before_crash,
        "chiplog recovers what Kafka wrote"
    );
}

/// The offsets in the names of the metadata log's files of a kind.
fn metadata_offsets(node: &Node, extension: &str) -> Vec<i64> {
    let files = metadata_files(node, extension);
    let offset = |file: &PathBuf| {
        let name = file
            .file_name()
            .expect("a file has a name")
            .to_string_lossy();
        name[..20].parse().expect("an offset")
    };
    files.iter().map(offset).collect()
}

#[test]
fn a_metadata_log_is_shortened_behind_its_snapshots_and_kafka_opens_it() {
    let setup = setup()
        .of(Target::Chiplog)
        .set("metadata.log.max.record.bytes.between.snapshots", "500")
        .set("metadata.log.segment.bytes", "1000")
        .set("metadata.log.segment.min.bytes", "1000")
        .set("metadata.max.retention.bytes", "6000");
    let mut node = Node::start_with(setup);
    let topics: Vec<String> = (0..40).map(|number| format!("topic-{number}")).collect();
    for topic in &topics {
        node.create_topic(topic, 1);
    }
    node.stop();
    let (logs, snapshots) = (
        metadata_offsets(&node, "log"),
        metadata_offsets(&node, "checkpoint"),
    );
    assert!(logs[0] > 0, "old segments are gone: {logs:?}");
    assert!(
        snapshots.len() < 5 && snapshots[0] >= logs[0],
        "{logs:?} {snapshots:?}"
    );
    let flags = ["--cluster-metadata-decoder"];
    assert_clean(&kafka_dump_log(
        &metadata_files(&node, "checkpoint"),
        &flags,
    ));
    for target in [Target::Chiplog, Target::Kafka] {
        node.start_again_as(target);
        let server = node.bootstrap();
        let listed = run(Tool::Topics, &["--bootstrap-server", &server, "--list"]).succeeded();
        for topic in &topics {
            assert!(
                listed.lines().any(|line| line == topic),
                "{topic} is gone: {listed}"
            );
        }
        node.stop();
    }
}
