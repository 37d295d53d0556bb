//! Shows: the zeroes behind a log that was flushed a little at a time, left by `kill -9`, are in
//! nobody's way: not in that of `chiplog dump-log`, and not in that of a Kafka 3.9.1 that comes back.

use std::fs;
use std::path::Path;
use std::process::Command;

use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::place::chiplog_command;
use rdkafka::producer::BaseRecord;

use crate::dump_log::{assert_clean, data_files, kafka_dump_log};
use crate::librdkafka::{Sender, assert_all_delivered};

const RECORDS: usize = 300;

/// One record a batch, one batch a request: flushes are small.
fn write(node: &Node) {
    let settings = [
        ("batch.num.messages", "1"),
        ("max.in.flight.requests.per.connection", "1"),
    ];
    let sender = Sender::to(node, &settings);
    for number in 0..RECORDS {
        let value = format!("record {number}");
        sender.send(
            BaseRecord::to("t")
                .key("k".as_bytes())
                .payload(value.as_bytes()),
        );
    }
    assert_all_delivered(&sender.finish(), RECORDS);
}

fn dumped(file: &Path) -> String {
    let output = Command::new(chiplog_command())
        .args(["dump-log", "--print-data-log", "--files"])
        .arg(file)
        .output()
        .expect("chiplog can be started");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn offsets(dumped: &str) -> usize {
    let lines = dumped.lines();
    lines.filter(|line| line.starts_with("| offset: ")).count()
}

#[test]
fn after_a_kill_they_are_in_nobodys_way() {
    let setup = Setup::new().set("node.id", "1").of(Target::Chiplog);
    let mut node = Node::start_with(setup);
    node.create_topic_with("t", 1, &[("flush.messages", "1")]);
    write(&node);
    node.kill();

    let files = data_files(&node, "log");
    let file = files.first().expect("one segment");
    let left = fs::read(file).expect("it is readable");
    let zeroes = left.iter().rev().take_while(|byte| **byte == 0).count();
    assert!(zeroes > 500, "{zeroes} zeroes at the end");
    assert_eq!(offsets(&dumped(file)), RECORDS, "{}", dumped(file));

    node.start_again_as(Target::Kafka);
    node.stop();
    let by_kafka = kafka_dump_log(&files, &["--print-data-log"]);
    assert_clean(&by_kafka);
    assert_eq!(offsets(&by_kafka), RECORDS);

    node.start_again_as(Target::Chiplog);
    write(&node);
    node.stop();
    let by_chiplog = kafka_dump_log(&files, &["--print-data-log"]);
    assert_clean(&by_chiplog);
    assert_eq!(offsets(&by_chiplog), 2 * RECORDS);
}
