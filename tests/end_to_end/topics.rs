//! Shows: Kafka's kafka-topics, kafka-get-offsets, kafka-configs and kafka-broker-api-versions
//! run unchanged against the node, and print what they print for Kafka 3.9.

use chiplog_tests::java::{Tool, run};
use chiplog_tests::node::Node;
use chiplog_tests::state::{SOON, reach};

#[test]
fn kafka_topics_creates_lists_describes_alters_and_deletes() {
    let node = Node::start();
    let bootstrap = node.bootstrap();
    let topics = |arguments: &[&str]| {
        run(
            Tool::Topics,
            &[&["--bootstrap-server", &bootstrap], arguments].concat(),
        )
    };

    let create = [
        "--create",
        "--topic",
        "ships",
        "--partitions",
        "3",
        "--replication-factor",
        "1",
    ];
    let created = topics(&[&create[..], &["--config", "retention.ms=86400000"]].concat());
    assert_eq!(created.succeeded(), "Created topic ships.\n");
    assert_eq!(
        topics(&["--create", "--topic", "harbours"]).succeeded(),
        "Created topic harbours.\n"
    );
    // Kafka answers before the change has come to every part of the broker.
    let listed = |wanted: &str| {
        reach(wanted, SOON, || {
            (topics(&["--list"]).succeeded() == wanted).then_some(())
        });
    };
    listed("harbours\nships\n");

    let described = topics(&["--describe", "--topic", "ships"]).succeeded();
    let lines: Vec<&str> = described.lines().collect();
    let head: Vec<&str> = lines[0].split('\t').collect();
    assert_eq!(head[0], "Topic: ships");
    let id = head[1]
        .strip_prefix("TopicId: ")
        .expect("a topic id is shown");
    assert_eq!(id.len(), 22, "a topic id is 16 bytes in base64: {id}");
    assert_eq!(head[2..4], ["PartitionCount: 3", "ReplicationFactor: 1"]);
    assert!(head[4].contains("retention.ms=86400000"), "{head:?}");
    for (partition, line) in lines[1..].iter().enumerate() {
        let line = line.trim_start();
        let wanted = format!("Topic: ships\tPartition: {partition}\tLeader: ");
        let rest = line
            .strip_prefix(&wanted)
            .unwrap_or_else(|| panic!("{line}"));
        let broker = rest.split('\t').next().expect("a leader");
        let wanted = format!("{broker}\tReplicas: {broker}\tIsr: {broker}");
        assert!(rest.starts_with(&wanted), "{line}");
    }
    assert_eq!(lines.len(), 4);

    topics(&["--alter", "--topic", "ships", "--partitions", "5"]).succeeded();
    let described = reach("five partitions", SOON, || {
        let described = topics(&["--describe", "--topic", "ships"]).succeeded();
        (described.lines().count() == 6).then_some(described)
    });
    assert!(
        described.contains(id),
        "more partitions leave the topic's id: {described}"
    );

    let again = topics(&["--create", "--topic", "ships"]);
    assert_eq!(again.exit, 1);
    assert!(
        again.output.contains("Topic 'ships' already exists."),
        "{}",
        again.output
    );
    let fewer = topics(&["--alter", "--topic", "ships", "--partitions", "2"]);
    assert_eq!(fewer.exit, 1, "{}", fewer.output);

    topics(&["--delete", "--topic", "ships"]).succeeded();
    listed("harbours\n");
    let missing = topics(&["--describe", "--topic", "ships"]);
    assert_eq!(missing.exit, 1);
    assert!(
        missing.output.contains("does not exist as expected"),
        "{missing:?}"
    );
}

#[test]
fn kafka_configs_describes_a_topic() {
    let node = Node::start();
    node.create_topic_with("ships", 1, &[("cleanup.policy", "compact")]);
    let bootstrap = node.bootstrap();
    let described = run(
        Tool::Configs,
        &[
            "--bootstrap-server",
            &bootstrap,
            "--describe",
            "--topic",
            "ships",
            "--all",
        ],
    );
    let described = described.succeeded();
    assert!(
        described.contains("cleanup.policy=compact sensitive=false"),
        "{described}"
    );
    assert!(
        described.contains("max.message.bytes=1048588 sensitive=false"),
        "{described}"
    );
}

#[test]
fn kafka_get_offsets_tells_the_ends_of_each_partition() {
    let node = Node::start();
    node.create_topic("ships", 2);
    let bootstrap = node.bootstrap();
    let lines = b"one\ntwo\nthree\n";
    let produced = chiplog_tests::java::run_with_input(
        Tool::ConsoleProducer,
        &["--bootstrap-server", &bootstrap, "--topic", "ships"],
        lines,
    );
    produced.succeeded();
    let offsets = |time: &str| {
        let arguments = [
            "--bootstrap-server",
            &bootstrap,
            "--topic",
            "ships",
            "--time",
            time,
        ];
        let printed = run(Tool::GetOffsets, &arguments).succeeded();
        let ends: Vec<i64> = printed
            .lines()
            .enumerate()
            .map(|(partition, line)| {
                let end = line.strip_prefix(&format!("ships:{partition}:"));
                end.expect("topic:partition:offset")
                    .parse()
                    .expect("an offset")
            })
            .collect();
        assert_eq!(ends.len(), 2, "{printed}");
        ends
    };
    assert_eq!(offsets("latest").iter().sum::<i64>(), 3);
    assert_eq!(offsets("earliest"), [0, 0]);
}

/// The lines of every API, as kafka-broker-api-versions prints them for Apache Kafka 3.9.1 on a single
/// node with its default settings, a broker that is its own controller.
const API_VERSIONS_OF_KAFKA: &str = include_str!("kafka_3_9_1_api_versions.txt");

#[test]
fn kafka_broker_api_versions_sees_the_ranges_of_kafka_3_9() {
    let node = Node::start();
    let bootstrap = node.bootstrap();
    let printed = run(Tool::BrokerApiVersions, &["--bootstrap-server", &bootstrap]).succeeded();
    let (head, apis) = printed
        .split_once('\n')
        .expect("a head line and a line for each API");
    assert!(head.starts_with(&format!("{bootstrap} (id: ")), "{head}");
    assert_eq!(apis.lines().count(), API_VERSIONS_OF_KAFKA.lines().count());
    for (line, of_kafka) in apis.lines().zip(API_VERSIONS_OF_KAFKA.lines()) {
        assert_eq!(line, of_kafka);
    }
}
