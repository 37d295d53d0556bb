//! Shows: Kafka's tools for quotas, features, the metadata quorum, elections, reassignments and
//! deleting records run unchanged against the node, and print what they print for Kafka 3.9.

use std::fs;
use std::io::{self, Write as _};

use chiplog_tests::java::{Run, Tool, run, run_with_input};
use chiplog_tests::node::Node;
use chiplog_tests::raw::Body;
use chiplog_tests::state::{SOON, reach};
use tempfile::NamedTempFile;

fn ask(node: &Node, tool: Tool, arguments: &[&str]) -> Run {
    let bootstrap = node.bootstrap();
    run(
        tool,
        &[&["--bootstrap-server", &bootstrap], arguments].concat(),
    )
}

fn file_with(text: &str) -> io::Result<(NamedTempFile, String)> {
    let mut file = NamedTempFile::new()?;
    file.write_all(text.as_bytes())?;
    let path = file.path().display().to_string();
    Ok((file, path))
}

/// The broker that leads partition 0 of a topic: the only one there is.
fn broker_of(node: &Node, topic: &str) -> String {
    let described = ask(node, Tool::Topics, &["--describe", "--topic", topic]).succeeded();
    let leader = described.split("Leader: ").nth(1).expect("a leader");
    leader.split('\t').next().expect("an id").to_owned()
}

#[test]
fn client_quotas_are_set_described_and_outlive_the_node() {
    let mut node = Node::start();
    let configs = |node: &Node, arguments: &[&str]| ask(node, Tool::Configs, arguments);
    let ann = ["--entity-type", "users", "--entity-name", "ann"];
    let pair = ["--entity-type", "clients", "--entity-default"];
    let rates = "producer_byte_rate=1024,consumer_byte_rate=2048";
    let set = configs(
        &node,
        &[&["--alter", "--add-config", rates], &ann[..]].concat(),
    );
    assert_eq!(set.succeeded(), "Completed updating config for user ann.\n");
    let set = [
        &["--alter", "--add-config", "request_percentage=12.5"],
        &ann[..],
        &pair,
    ]
    .concat();
    configs(&node, &set).succeeded();
    let ip = ["--entity-type", "ips", "--entity-name", "127.0.0.9"];
    let set = [
        &["--alter", "--add-config", "connection_creation_rate=7"],
        &ip[..],
    ]
    .concat();
    configs(&node, &set).succeeded();

    for round in ["set", "after a restart"] {
        let of_ann = [&["--describe"], &ann[..]].concat();
        let described = reach(round, SOON, || {
            let described = configs(&node, &of_ann).succeeded();
            (!described.is_empty()).then_some(described)
        });
        assert_eq!(
            described,
            "Quota configs for user-principal 'ann' are consumer_byte_rate=2048.0, producer_byte_rate=1024.0\n",
            "{round}"
        );
        let of_both = [&["--describe"], &ann[..], &pair].concat();
        assert_eq!(
            configs(&node, &of_both).succeeded(),
            "Quota configs for user-principal 'ann', the default client-id are request_percentage=12.5\n"
        );
        let of_ip = [&["--describe"], &ip[..]].concat();
        assert_eq!(
            configs(&node, &of_ip).succeeded(),
            "Quota configs for ip '127.0.0.9' are connection_creation_rate=7.0\n"
        );
        if round == "set" {
            node.stop();
            node.start_again();
        }
    }

    let gone = [
        &["--alter", "--delete-config", "producer_byte_rate"],
        &ann[..],
    ]
    .concat();
    configs(&node, &gone).succeeded();
    reach("one quota is gone", SOON, || {
        let described = configs(&node, &[&["--describe"], &ann[..]].concat()).succeeded();
        (described == "Quota configs for user-principal 'ann' are consumer_byte_rate=2048.0\n")
            .then_some(())
    });
    let bad = [
        &["--alter", "--add-config", "producer_byte_rate=0"],
        &ann[..],
    ]
    .concat();
    let refused = configs(&node, &bad);
    assert_eq!(refused.exit, 1);
    let reason = "Quota producer_byte_rate must be greater than 0";
    assert!(refused.errors.contains(reason), "{refused:?}");
}

#[test]
fn features_are_described_lowered_and_raised_as_far_as_nothing_is_lost() {
    let node = Node::start();
    let features = |arguments: &[&str]| ask(&node, Tool::Features, arguments);
    let level = || {
        let described = features(&["describe"]).succeeded();
        let mut lines = described.lines();
        let line = lines.find(|line| line.starts_with("Feature: metadata.version\t"));
        line.expect("the feature is told").to_owned()
    };
    let finalized = |version: &str| {
        format!(
            "Feature: metadata.version\tSupportedMinVersion: 3.0-IV1\t\
             SupportedMaxVersion: 3.9-IV0\tFinalizedVersionLevel: {version}\tEpoch: "
        )
    };
    let now = level();
    assert!(now.starts_with(&finalized("3.9-IV0")), "{now}");
    let changed = features(&["downgrade", "--metadata", "3.8"]);
    assert_eq!(
        changed.succeeded(),
        "metadata.version was downgraded to 20.\n"
    );
    reach("the level is lower", SOON, || {
        level().starts_with(&finalized("3.8-IV0")).then_some(())
    });
    let lossy = features(&["downgrade", "--metadata", "3.5"]);
    assert_eq!(lossy.exit, 1);
    let told = format!("{}{}", lossy.output, lossy.errors);
    assert!(
        told.contains(
            "Could not downgrade metadata.version to 11. Invalid metadata.version 11. Refusing to \
             perform the requested downgrade because it might delete metadata information."
        ),
        "{lossy:?}"
    );
    features(&["upgrade", "--metadata", "3.9"]).succeeded();
    reach("the level is high again", SOON, || {
        level().starts_with(&finalized("3.9-IV0")).then_some(())
    });
}

#[test]
fn the_quorum_is_described() {
    let node = Node::start();
    let quorum = |arguments: &[&str]| ask(&node, Tool::MetadataQuorum, arguments).succeeded();
    let status = quorum(&["describe", "--status"]);
    let value = |key: &str| {
        let mut lines = status.lines();
        let line = lines.find(|line| line.starts_with(key));
        let line = line.unwrap_or_else(|| panic!("no {key} in {status}"));
        line[key.len()..].trim().to_owned()
    };
    let leader = value("LeaderId:");
    assert!(
        value("LeaderEpoch:")
            .parse::<i32>()
            .is_ok_and(|epoch| epoch > 0),
        "{status}"
    );
    assert!(
        value("HighWatermark:")
            .parse::<i64>()
            .is_ok_and(|end| end > 0),
        "{status}"
    );
    assert_eq!(value("MaxFollowerLag:"), "0");
    assert!(
        value("CurrentVoters:").contains(&format!("\"id\": {leader}")),
        "{status}"
    );
    let replication = quorum(&["describe", "--replication"]);
    let mut rows = replication
        .lines()
        .skip(1)
        .filter(|row| !row.trim().is_empty());
    let row: Vec<&str> = rows.next().expect("a row").split_whitespace().collect();
    assert_eq!(
        (row[0], row.last()),
        (&*leader, Some(&"Leader")),
        "{replication}"
    );
}

#[test]
fn elections_that_are_not_needed_or_not_possible_are_told_so() -> io::Result<()> {
    let node = Node::start();
    node.create_topic("ships", 2);
    let elect = |arguments: &[&str]| ask(&node, Tool::LeaderElection, arguments);
    let preferred = ["--election-type", "preferred"];
    let one = ["--topic", "ships", "--partition", "1"];
    assert_eq!(
        elect(&[&preferred[..], &one].concat()).succeeded(),
        "Valid replica already elected for partitions ships-1\n"
    );
    elect(&[&preferred[..], &["--all-topic-partitions"]].concat()).succeeded();
    let unclean = ["--election-type", "unclean"];
    assert_eq!(
        elect(&[&unclean[..], &one].concat()).succeeded(),
        "Valid replica already elected for partitions ships-1\n"
    );
    let (_file, path) = file_with(r#"{"partitions":[{"topic":"boats","partition":0}]}"#)?;
    let unknown = elect(&[&preferred[..], &["--path-to-json-file", &path]].concat());
    assert_eq!(unknown.exit, 1);
    let told = format!("{}{}", unknown.output, unknown.errors);
    assert!(told.contains("boats-0"), "{unknown:?}");
    assert!(told.contains("No such topic as boats"), "{unknown:?}");
    Ok(())
}

#[test]
fn reassignments_on_one_node_end_at_once_and_bad_ones_are_refused() -> io::Result<()> {
    let node = Node::start();
    node.create_topic("ships", 1);
    let me = broker_of(&node, "ships");
    let plan = |topic: &str, replicas: &str| {
        format!(
            r#"{{"version":1,"partitions":[{{"topic":"{topic}","partition":0,"replicas":[{replicas}]}}]}}"#
        )
    };
    let reassign = |arguments: &[&str]| ask(&node, Tool::ReassignPartitions, arguments);
    let (_file, to_itself) = file_with(&plan("ships", &me))?;
    let file = ["--reassignment-json-file", &to_itself];
    let executed = reassign(&[&["--execute"], &file[..]].concat()).succeeded();
    assert!(
        executed.contains("Successfully started partition reassignment for ships-0"),
        "{executed}"
    );
    let verified = reassign(&[&["--verify"], &file[..]].concat()).succeeded();
    assert!(
        verified.contains("Reassignment of partition ships-0 is completed."),
        "{verified}"
    );
    assert_eq!(
        reassign(&["--list"]).succeeded(),
        "No partition reassignments found.\n"
    );
    let cancelled = reassign(&[&["--cancel"], &file[..]].concat()).succeeded();
    assert!(
        cancelled.contains("None of the specified partition reassignments are active."),
        "{cancelled}"
    );
    let (_file, elsewhere) = file_with(&plan("ships", "77"))?;
    let refused = reassign(&["--execute", "--reassignment-json-file", &elsewhere]);
    assert_eq!(refused.exit, 1);
    assert!(
        format!("{}{}", refused.output, refused.errors).contains("Unknown broker id 77"),
        "{refused:?}"
    );
    Ok(())
}

#[test]
fn records_are_deleted_up_to_an_offset() -> io::Result<()> {
    let node = Node::start();
    node.create_topic("ships", 1);
    let bootstrap = node.bootstrap();
    let to = ["--bootstrap-server", &bootstrap, "--topic", "ships"];
    run_with_input(Tool::ConsoleProducer, &to, b"one\ntwo\nthree\n").succeeded();
    let up_to = |offset: i64| {
        format!(
            r#"{{"version":1,"partitions":[{{"topic":"ships","partition":0,"offset":{offset}}}]}}"#
        )
    };
    let delete = |path: &str| ask(&node, Tool::DeleteRecords, &["--offset-json-file", path]);
    let (_file, path) = file_with(&up_to(2))?;
    assert_eq!(
        delete(&path).succeeded(),
        "Executing records delete operation\nRecords delete operation completed:\n\
         partition: ships-0\tlow_watermark: 2\n"
    );
    fs::write(&path, up_to(9))?;
    let refused = delete(&path).succeeded();
    assert!(
        refused.contains(
            "partition: ships-0\terror: org.apache.kafka.common.errors.OffsetOutOfRangeException"
        ),
        "{refused}"
    );
    fs::write(&path, up_to(-1))?;
    let all = delete(&path).succeeded();
    assert!(
        all.contains("partition: ships-0\tlow_watermark: 3\n"),
        "{all}"
    );
    Ok(())
}

#[test]
fn log_directories_are_described_with_their_replicas() {
    let node = Node::start();
    node.create_topic("ships", 2);
    let bootstrap = node.bootstrap();
    let to = ["--bootstrap-server", &bootstrap, "--topic", "ships"];
    run_with_input(Tool::ConsoleProducer, &to, b"one\ntwo\n").succeeded();
    let me = broker_of(&node, "ships");
    let log_dirs = |arguments: &[&str]| {
        let printed = ask(&node, Tool::LogDirs, arguments).succeeded();
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(
            lines[..2],
            [
                "Querying brokers for log directories information".to_owned(),
                format!("Received log directory information from brokers {me}"),
            ]
        );
        lines[2].to_owned()
    };
    let described = log_dirs(&["--describe", "--topic-list", "ships"]);
    let place = node.log_directory().display().to_string();
    assert!(
        described.contains(&format!("\"error\":null,\"logDir\":\"{place}\"")),
        "{described}"
    );
    let sizes: Vec<u64> = described
        .split("\"size\":")
        .skip(1)
        .map(|rest| {
            rest.split(',')
                .next()
                .expect("a size")
                .parse()
                .expect("a number")
        })
        .collect();
    assert_eq!(sizes.len(), 2, "{described}");
    assert!(sizes.iter().sum::<u64>() > 60, "{described}");
    for partition in 0..2 {
        let replica = format!("{{\"partition\":\"ships-{partition}\",\"size\":");
        assert!(described.contains(&replica), "{described}");
    }
    assert!(
        described.contains("\"offsetLag\":0,\"isFuture\":false"),
        "{described}"
    );
    assert!(!log_dirs(&["--describe", "--topic-list", "boats"]).contains("ships-"));
}

#[test]
fn a_replica_may_be_asked_to_be_where_it_is() {
    const ALTER_REPLICA_LOG_DIRS: i16 = 34;
    let node = Node::start();
    node.create_topic("ships", 1);
    let here = node.log_directory().display().to_string();
    let long = "x".repeat(230);
    for (path, topic, error) in [
        (&*here, "ships", 0),
        (&*here, "boats", 3),      // UNKNOWN_TOPIC_OR_PARTITION
        ("/nowhere", "ships", 57), // LOG_DIR_NOT_FOUND
        (&*here, &*long, 17),      // INVALID_TOPIC_EXCEPTION
    ] {
        let body = Body::new().i32(1).string(path).i32(1).string(topic);
        let mut answer = node
            .connect()
            .ask(ALTER_REPLICA_LOG_DIRS, 1, &body.i32(1).i32(0));
        answer.i32();
        assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
        assert_eq!(
            (answer.i32(), answer.i32(), answer.i16()),
            (1, 0, error),
            "{path} {topic}"
        );
    }
}
