//! Shows: kafka-dump-log reads every file of the data directory, `--verify-index-only` and
//! `--deep-iteration` are clean, `--cluster-metadata-decoder` prints the metadata log, after a
//! clean stop and after `kill -9`; and `chiplog dump-log` prints the same lines as kafka-dump-log
//! for the same files, whether chiplog or Kafka wrote them.

use std::path::{Path, PathBuf};
use std::process::Command;

use chiplog_tests::java::{Tool, run};
use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::place::chiplog_command;
use chiplog_tests::state::SOON;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::librdkafka::{Sender, assert_all_delivered};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
const RECORDS: usize = 3_000;

/// Small segments and dense indexes, so that a little data makes many files and entries.
const SMALL: [(&str, &str); 2] = [("segment.bytes", "20000"), ("index.interval.bytes", "1024")];

/// Creates a topic for each codec, with several segments of records of all shapes.
fn fill(node: &Node) {
    for codec in CODECS {
        let topic = format!("dump-{codec}");
        node.create_topic_with(&topic, 1, &SMALL);
        write(node, &topic, codec);
    }
}

fn write(node: &Node, topic: &str, codec: &str) {
    let settings = [("compression.codec", codec), ("batch.num.messages", "50")];
    let idempotent = [("enable.idempotence", "true")];
    let sender = Sender::to(node, &[&settings[..], &idempotent].concat());
    for number in 0..RECORDS {
        let value = format!(
            "{{\"number\":{number},\"text\":\"Δ {}\"}}",
            "x".repeat(number % 97)
        );
        let key = format!("key {}", number % 13);
        let mut record = BaseRecord::to(topic).timestamp(1_700_000_000_000 + number as i64 * 7);
        if number % 5 > 0 {
            record = record.key(key.as_bytes());
        }
        if number % 7 > 0 {
            record = record.payload(value.as_bytes());
        }
        if number % 3 == 0 {
            let header = Header {
                key: "number",
                value: Some(&key),
            };
            let null = Header::<&str> {
                key: "null",
                value: None,
            };
            record = record.headers(OwnedHeaders::new().insert(header).insert(null));
        }
        sender.send(record);
    }
    assert_all_delivered(&sender.finish(), RECORDS);
}

/// The files with `extension`, without those of the metadata log.
pub fn data_files(node: &Node, extension: &str) -> Vec<PathBuf> {
    let mut files = node.files(extension);
    files.retain(|file| !is_metadata(file));
    files
}

/// The files with `extension` of the metadata log.
pub fn metadata_files(node: &Node, extension: &str) -> Vec<PathBuf> {
    let mut files = node.files(extension);
    files.retain(|file| is_metadata(file));
    files
}

fn is_metadata(file: &Path) -> bool {
    file.parent()
        .is_some_and(|folder| folder.ends_with("__cluster_metadata-0"))
}

fn comma_separated(files: &[PathBuf]) -> String {
    let files: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    files.join(",")
}

/// What kafka-dump-log says of these files.
pub fn kafka_dump_log(files: &[PathBuf], flags: &[&str]) -> String {
    let files = comma_separated(files);
    run(Tool::DumpLog, &[&["--files", &files], flags].concat()).succeeded()
}

/// The output has nothing of what kafka-dump-log says about damage.
pub fn assert_clean(output: &str) {
    let signs = [
        "Found ",
        "Mismatch",
        "ismatches",
        "out of order",
        "invalid",
        "failed",
    ];
    let damage = output.lines().find(|line| {
        // What records hold is not kafka-dump-log's own word.
        !line.starts_with('|') && signs.iter().any(|sign| line.contains(sign))
    });
    assert_eq!(damage, None, "kafka-dump-log finds no damage");
}

/// Every file in the data directory is what Kafka's tool expects.
fn assert_all_files_are_clean(node: &Node, records: usize) {
    let logs = data_files(node, "log");
    assert!(
        logs.len() > 2 * CODECS.len(),
        "several segments in each partition: {logs:?}"
    );
    let dumped = kafka_dump_log(&logs, &["--deep-iteration", "--print-data-log"]);
    assert_clean(&dumped);
    let found = dumped
        .lines()
        .filter(|line| line.starts_with("| offset: "))
        .count();
    assert_eq!(found, records, "kafka-dump-log prints every record");

    for extension in ["index", "timeindex"] {
        let files = data_files(node, extension);
        assert_eq!(files.len(), logs.len(), "one .{extension} for each segment");
        assert_clean(&kafka_dump_log(&files, &["--verify-index-only"]));
        let sane = kafka_dump_log(&files, &["--index-sanity-check"]);
        let passed = sane
            .lines()
            .filter(|line| line.ends_with("passed sanity check."))
            .count();
        assert_eq!(passed, files.len(), "{sane}");
        assert!(
            kafka_dump_log(&files, &[]).contains(":"),
            "there are entries"
        );
    }

    let snapshots = data_files(node, "snapshot");
    assert!(
        !snapshots.is_empty(),
        "a clean stop leaves snapshots of the producers"
    );
    let dumped = kafka_dump_log(&snapshots, &[]);
    assert!(dumped.contains("producerId: "), "{dumped}");

    let logs = metadata_files(node, "log");
    let dumped = kafka_dump_log(&logs, &["--cluster-metadata-decoder"]);
    assert_clean(&dumped);
    for codec in CODECS {
        let topic =
            format!("\"type\":\"TOPIC_RECORD\",\"version\":0,\"data\":{{\"name\":\"dump-{codec}\"");
        assert!(
            dumped.contains(&topic),
            "the metadata log has the topic dump-{codec}: {dumped}"
        );
    }
    for extension in ["index", "timeindex"] {
        let files = metadata_files(node, extension);
        assert_clean(&kafka_dump_log(&files, &["--verify-index-only"]));
    }
}

#[test]
fn kafka_dump_log_finds_every_file_clean_after_stop_and_after_kill_9() {
    let mut node = Node::start();
    fill(&node);
    node.stop();
    assert_all_files_are_clean(&node, CODECS.len() * RECORDS);

    node.start_again();
    write(&node, "dump-none", "none");
    node.kill();
    node.start_again();
    write(&node, "dump-zstd", "zstd");
    node.stop();
    assert_all_files_are_clean(&node, (CODECS.len() + 2) * RECORDS);
}

/// `chiplog dump-log` must write what kafka-dump-log writes, and end as it ends.
fn assert_same_dump(files: &[PathBuf], flags: &[&str]) {
    assert!(!files.is_empty(), "there are files to dump with {flags:?}");
    let files = comma_separated(files);
    let arguments = [&["--files", &files], flags].concat();
    let kafka = run(Tool::DumpLog, &arguments);
    let chiplog = Command::new(chiplog_command())
        .arg("dump-log")
        .args(&arguments)
        .output()
        .expect("the chiplog command can be started");
    let output = String::from_utf8(chiplog.stdout).expect("the output is UTF-8");
    let mut lines = kafka.output.lines().zip(output.lines()).enumerate();
    if let Some((number, (wanted, found))) = lines.find(|(_, (wanted, found))| wanted != found) {
        panic!("dump-log {arguments:?}\nline {number}\nwanted: {wanted}\nfound:  {found}");
    }
    let counts = (kafka.output.lines().count(), output.lines().count());
    assert_eq!(counts.0, counts.1, "lines of dump-log {arguments:?}");
    let errors = String::from_utf8_lossy(&chiplog.stderr);
    assert_eq!(
        chiplog.status.code(),
        Some(kafka.exit),
        "dump-log {arguments:?}: {errors}"
    );
}

/// Compares the two tools over every file of a node that has stopped.
fn assert_same_dumps(node: &Node) {
    let logs = data_files(node, "log");
    assert_same_dump(&logs, &[]);
    assert_same_dump(&logs, &["--deep-iteration"]);
    assert_same_dump(&logs, &["--print-data-log"]);
    assert_same_dump(&logs, &["--print-data-log", "--skip-record-metadata"]);
    assert_same_dump(&logs[..1], &["--max-bytes", "20000"]);
    for extension in ["index", "timeindex"] {
        let files = data_files(node, extension);
        assert_same_dump(&files, &[]);
        assert_same_dump(&files, &["--verify-index-only"]);
        assert_same_dump(&files, &["--index-sanity-check"]);
        assert_same_dump(&metadata_files(node, extension), &[]);
    }
    assert_same_dump(&data_files(node, "snapshot"), &[]);
    let metadata = metadata_files(node, "log");
    assert_same_dump(&metadata, &[]);
    assert_same_dump(&metadata, &["--cluster-metadata-decoder"]);
    assert_same_dump(
        &metadata,
        &["--cluster-metadata-decoder", "--skip-record-metadata"],
    );
}

#[test]
fn chiplog_dump_log_prints_what_kafka_dump_log_prints_for_files_of_chiplog() {
    let mut node = Node::start_with(Setup::new().of(Target::Chiplog));
    fill(&node);
    node.stop();
    assert_same_dumps(&node);

    // As a crash leaves them: indexes are not trimmed, and there may be no snapshot.
    node.start_again();
    write(&node, "dump-none", "none");
    node.kill();
    let logs = data_files(&node, "log");
    assert_same_dump(&logs, &["--deep-iteration"]);
    for extension in ["index", "timeindex"] {
        assert_same_dump(&data_files(&node, extension), &["--index-sanity-check"]);
    }
}

/// One committed and one aborted transaction, for control batches and a transaction index.
fn write_transactions(node: &Node) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", node.bootstrap())
        .set("transactional.id", "dump")
        .create()
        .expect("valid settings");
    producer
        .init_transactions(SOON)
        .expect("the coordinator answers");
    for end_of_transaction in [
        BaseProducer::commit_transaction,
        BaseProducer::abort_transaction,
    ] {
        producer
            .begin_transaction()
            .expect("no transaction is open");
        let record = BaseRecord::to("dump-none")
            .key("k")
            .payload("in a transaction");
        producer.send(record).expect("the queue is not full");
        producer.flush(SOON).expect("the message is delivered");
        end_of_transaction(&producer, SOON).expect("the transaction ends");
    }
}

#[test]
fn chiplog_dump_log_prints_what_kafka_dump_log_prints_for_files_of_kafka() {
    let setup = Setup::new()
        .of(Target::Kafka)
        .set("transaction.state.log.replication.factor", "1")
        .set("transaction.state.log.min.isr", "1")
        .set("transaction.state.log.num.partitions", "1");
    let mut node = Node::start_with(setup);
    fill(&node);
    write_transactions(&node);
    node.stop();
    assert_same_dumps(&node);
}
