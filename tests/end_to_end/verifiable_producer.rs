//! Shows: kafka-verifiable-producer, unchanged.

use std::collections::BTreeSet;

use chiplog_tests::java::{Tool, run_alone};
use chiplog_tests::node::Node;
use rdkafka::Offset;
use rdkafka::message::Message;

use crate::librdkafka::{consumer, read_to_ends};

#[test]
fn each_message_is_acknowledged_and_there() {
    let node = Node::start();
    node.create_topic("verified", 3);
    let bootstrap = node.bootstrap();
    let words = ["--bootstrap-server", &bootstrap, "--topic", "verified"];
    let limits = [
        "--max-messages",
        "500",
        "--acks",
        "-1",
        "--value-prefix",
        "7",
    ];
    let output = run_alone(Tool::VerifiableProducer, &[&words[..], &limits].concat()).succeeded();
    let lines_of = |name: &str| {
        let event = format!("\"name\":\"{name}\"");
        let lines = output.lines().filter(|line| line.contains(&event));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let successes = lines_of("producer_send_success");
    assert_eq!(successes.len(), 500, "{output}");
    assert_eq!(lines_of("producer_send_error"), Vec::<String>::new());
    let [summary] = &lines_of("tool_data")[..] else {
        panic!("one summary: {output}");
    };
    assert!(summary.contains("\"sent\":500,\"acked\":500"), "{summary}");

    let mut found = BTreeSet::new();
    read_to_ends(
        &consumer(&node, &[]),
        "verified",
        3,
        Offset::Beginning,
        |message| {
            let value = String::from_utf8_lossy(message.payload().expect("a value")).into_owned();
            let told = format!("\"value\":\"{value}\",\"offset\":{}", message.offset());
            let partition = format!("\"partition\":{}", message.partition());
            let is_told = |line: &String| line.contains(&told) && line.contains(&partition);
            assert!(
                successes.iter().any(is_told),
                "{told} {partition}: {output}"
            );
            assert!(found.insert(value), "{told} is there twice");
        },
    );
    let wanted: BTreeSet<String> = (0..500).map(|number| format!("7.{number}")).collect();
    assert_eq!(found, wanted);
}
