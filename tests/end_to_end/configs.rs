//! Shows: Kafka's kafka-configs changes and describes the settings of topics, brokers and client
//! metrics while the node runs, and prints what it prints for Kafka 3.9; what is set holds at once
//! and after a restart.

use std::io;

use chiplog_tests::command_line::{assert_same_but, sorted};
use chiplog_tests::java::{Run, Tool, run};
use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::raw::{batch, produce_to};
use chiplog_tests::state::{SOON, reach};

const MESSAGE_TOO_LARGE: i16 = 10;

fn configs(node: &Node, arguments: &[&str]) -> Run {
    let bootstrap = node.bootstrap();
    run(
        Tool::Configs,
        &[&["--bootstrap-server", &bootstrap], arguments].concat(),
    )
}

/// The id that the tests' nodes have.
fn broker_id(node: &Node) -> String {
    let bootstrap = node.bootstrap();
    let printed = run(Tool::BrokerApiVersions, &["--bootstrap-server", &bootstrap]).succeeded();
    let id = printed.split("(id: ").nth(1).expect("a head line");
    id.split(' ').next().expect("an id").to_owned()
}

/// The line of one key, once there is one.
fn line_of(node: &Node, arguments: &[&str], key: &str) -> Option<String> {
    let described = configs(node, &[&["--describe"], arguments].concat()).succeeded();
    let begin = format!("{key}=");
    let mut lines = described.lines().map(str::trim);
    lines
        .find(|line| line.starts_with(&begin))
        .map(str::to_owned)
}

#[test]
fn broker_settings_change_while_the_node_runs_and_outlive_it() -> io::Result<()> {
    let mut node = Node::start_with(Setup::new().set("log.retention.bytes", "1073741824"));
    let id = broker_id(&node);
    let own = ["--entity-type", "brokers", "--entity-name", &id];
    let all = ["--entity-type", "brokers", "--entity-default"];
    let alter = |node: &Node, whom: &[&str], what: &[&str]| {
        configs(node, &[&["--alter"], whom, what].concat())
    };
    node.create_topic("ships", 1);
    node.create_topic_with("boats", 1, &[("max.message.bytes", "5000")]);

    let set = alter(
        &node,
        &all,
        &[
            "--add-config",
            "message.max.bytes=1000,log.retention.bytes=7",
        ],
    );
    assert_eq!(
        set.succeeded(),
        "Completed updating default config for brokers in the cluster.\n"
    );
    let big = batch(&[&[b'x'; 3000]]);
    reach("the limit for all brokers holds", SOON, || {
        let (error, _) = produce_to(&mut node.connect(), "ships", &big).ok()?;
        (error == MESSAGE_TOO_LARGE).then_some(())
    });
    assert_eq!(
        produce_to(&mut node.connect(), "boats", &big)?.0,
        0,
        "the topic's own"
    );
    assert_eq!(
        line_of(&node, &all, "log.retention.bytes").as_deref(),
        Some(
            "log.retention.bytes=7 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.bytes=7}"
        )
    );

    let set = alter(&node, &own, &["--add-config", "message.max.bytes=4000"]);
    assert_eq!(
        set.succeeded(),
        format!("Completed updating config for broker {id}.\n")
    );
    reach("the broker's own limit wins", SOON, || {
        let (error, _) = produce_to(&mut node.connect(), "ships", &big).ok()?;
        (error == 0).then_some(())
    });
    node.stop();
    node.start_again();
    let too_big = batch(&[&[b'x'; 4500]]);
    assert_eq!(
        produce_to(&mut node.connect(), "ships", &too_big)?.0,
        MESSAGE_TOO_LARGE
    );
    assert_eq!(
        line_of(&node, &own, "message.max.bytes").as_deref(),
        Some(
            "message.max.bytes=4000 sensitive=false synonyms={\
             DYNAMIC_BROKER_CONFIG:message.max.bytes=4000, \
             DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=1000, \
             DEFAULT_CONFIG:message.max.bytes=1048588}"
        )
    );
    let described = ["--entity-type", "brokers", "--entity-name", &id, "--all"];
    assert_eq!(
        line_of(&node, &described, "log.retention.bytes").as_deref(),
        Some(
            "log.retention.bytes=7 sensitive=false synonyms={\
             DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.bytes=7, \
             STATIC_BROKER_CONFIG:log.retention.bytes=1073741824, \
             DEFAULT_CONFIG:log.retention.bytes=-1}"
        )
    );
    let topic = ["--entity-type", "topics", "--entity-name", "boats", "--all"];
    assert_eq!(
        line_of(&node, &topic, "max.message.bytes").as_deref(),
        Some(
            "max.message.bytes=5000 sensitive=false synonyms={\
             DYNAMIC_TOPIC_CONFIG:max.message.bytes=5000, \
             DYNAMIC_BROKER_CONFIG:message.max.bytes=4000, \
             DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=1000, \
             DEFAULT_CONFIG:message.max.bytes=1048588}"
        )
    );

    alter(&node, &own, &["--delete-config", "message.max.bytes"]).succeeded();
    reach("the limit for all brokers holds again", SOON, || {
        let (error, _) = produce_to(&mut node.connect(), "ships", &big).ok()?;
        (error == MESSAGE_TOO_LARGE).then_some(())
    });
    Ok(())
}

#[test]
fn broker_settings_that_may_not_change_are_refused_in_kafkas_words() {
    let node = Node::start();
    let id = broker_id(&node);
    let own = ["--entity-type", "brokers", "--entity-name", &id];
    let all = ["--entity-type", "brokers", "--entity-default"];
    let cases: [(&[&str], &str, &str); 6] = [
        (
            &own,
            "num.partitions=3",
            "Cannot update these configs dynamically: Set(num.partitions)",
        ),
        (
            &own,
            "log.retention.ms=soon",
            "Invalid value soon for configuration log.retention.ms: Not a number of type LONG",
        ),
        (
            &all,
            "listeners=PLAINTEXT://:1",
            "Cannot update these configs at default cluster level, broker id must be specified: Set(listeners)",
        ),
        (
            &own,
            "num.io.threads=100",
            "Dynamic thread count update validation failed for num.io.threads=100, \
             value should not be greater than double the current value",
        ),
        (
            &own,
            "ssl.keystore.location=/k",
            "These security configs can be dynamically updated only per-listener using the listener prefix: \
             HashSet(ssl.keystore.location)",
        ),
        (
            &["--entity-type", "topics", "--entity-name", "none"],
            "retention.ms=1",
            "This server does not host this topic-partition.",
        ),
    ];
    for (whom, what, reason) in cases {
        let refused = configs(
            &node,
            &[&["--alter"], whom, &["--add-config", what]].concat(),
        );
        assert_eq!(refused.exit, 1, "{what}: {refused:?}");
        assert!(
            refused.output.contains(reason) || refused.errors.contains(reason),
            "{what}: {refused:?}"
        );
    }
    assert_eq!(line_of(&node, &all, "listeners"), None);
}

#[test]
fn levels_of_log_lines_change_while_the_node_runs() {
    let node = Node::start();
    if node.target() == Target::Kafka {
        return; // Its loggers are its classes.
    }
    let id = broker_id(&node);
    let loggers = ["--entity-type", "broker-loggers", "--entity-name", &id];
    assert_eq!(
        line_of(&node, &loggers, "engine").as_deref(),
        Some("engine=INFO sensitive=false synonyms={}")
    );
    let alter = |what: &[&str]| configs(&node, &[&["--alter"], &loggers[..], what].concat());
    let set = alter(&["--add-config", "server=DEBUG,engine=WARN"]);
    assert_eq!(
        set.succeeded(),
        format!("Completed updating config for broker-logger {id}.\n")
    );
    assert_eq!(
        line_of(&node, &loggers, "server").as_deref(),
        Some("server=DEBUG sensitive=false synonyms={}")
    );
    let output = node.output();
    assert!(
        output.contains("log levels are now info,engine=warn,server=debug"),
        "{output}"
    );
    alter(&["--delete-config", "engine"]).succeeded();
    assert_eq!(
        line_of(&node, &loggers, "engine").as_deref(),
        Some("engine=INFO sensitive=false synonyms={}")
    );
    let refused = alter(&["--add-config", "server=LOUD"]);
    assert_eq!(refused.exit, 1);
    let reason = "Cannot set the log level of server to LOUD as it is not a supported log level";
    assert!(refused.errors.contains(reason), "{refused:?}");
}

#[test]
fn subscriptions_to_client_metrics_are_kept_listed_and_deleted() {
    let mut node = Node::start();
    let metrics = |node: &Node, arguments: &[&str]| {
        let bootstrap = node.bootstrap();
        let to = ["--bootstrap-server", &bootstrap];
        run(Tool::ClientMetrics, &[&to[..], arguments].concat())
    };
    let says = |node: &Node, arguments: &[&str], expected: &str| {
        reach(expected, SOON, || {
            (metrics(node, arguments).succeeded() == expected).then_some(())
        });
    };
    says(&node, &["--list"], "\n");
    let words = [
        "--metrics",
        "a,b",
        "--interval",
        "1000",
        "--match",
        "client_id=x",
    ];
    let set = metrics(
        &node,
        &[&["--alter", "--name", "slow"], &words[..]].concat(),
    );
    assert_eq!(set.succeeded(), "Altered client metrics config for slow.\n");
    metrics(&node, &["--alter", "--name", "all", "--metrics", "*"]).succeeded();
    let refused = metrics(&node, &["--alter", "--name", "bad", "--interval", "10"]);
    assert_eq!(
        (refused.exit, &*refused.output),
        (
            1,
            "Error while executing client metrics command : Invalid value 10 for interval.ms, \
             interval must be between 100 and 3600000 (1 hour)\n"
        )
    );
    let of_all = "Client metrics configs for all are:\n  metrics=*\n";
    let of_slow = "Client metrics configs for slow are:\n  interval.ms=1000\n  match=client_id=x\n  \
                   metrics=a,b\n";
    for round in ["set", "after a restart"] {
        let listed = reach(round, SOON, || {
            let listed = metrics(&node, &["--list"]).succeeded();
            (listed.lines().count() == 2).then_some(listed)
        });
        assert_eq!(sorted(&listed), "all\nslow");
        says(&node, &["--describe", "--name", "all"], of_all);
        says(&node, &["--describe", "--name", "slow"], of_slow);
        if round == "set" {
            node.stop();
            node.start_again();
        }
    }
    let bootstrap = node.bootstrap();
    let all = ["--describe", "--entity-type", "client-metrics"];
    let all = [&["--bootstrap-server", &bootstrap], &all[..]].concat();
    assert_same_but(Tool::Configs, "configs", &all, sorted);
    let gone = metrics(&node, &["--delete", "--name", "slow"]);
    assert_eq!(
        gone.succeeded(),
        "Deleted client metrics config for slow.\n"
    );
    says(&node, &["--list"], "all\n");
}

#[test]
fn a_topic_that_wants_more_replicas_in_sync_than_it_has_can_be_written() -> io::Result<()> {
    let node = Node::start();
    node.create_topic_with("alone", 1, &[("min.insync.replicas", "2")]);
    let mut client = node.connect();
    let written = produce_to(&mut client, "alone", &batch(&[b"acks=all"]))?;
    assert_eq!(written, (0, 0));
    Ok(())
}
