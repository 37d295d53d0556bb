//! Shows: Kafka's kafka-console-producer, kafka-console-consumer and kafka-producer-perf-test run
//! unchanged against the node.
//!
//! kafka-consumer-perf-test of 3.9 is not here: it has no way to be given partitions, it always
//! joins a consumer group. kafka-console-consumer with `--partition` covers what it would read.

use chiplog_tests::java::{Tool, run, run_with_input};
use chiplog_tests::node::Node;

#[test]
fn console_consumer_reads_what_console_producer_wrote() {
    let node = Node::start();
    node.create_topic("words", 1);
    let bootstrap = node.bootstrap();
    let input = "a:alpha\nb:beta\nc:\nd:Δέλτα\n";
    let with_key = [
        "--property",
        "parse.key=true",
        "--property",
        "key.separator=:",
    ];
    let to = ["--bootstrap-server", &bootstrap, "--topic", "words"];
    run_with_input(
        Tool::ConsoleProducer,
        &[&to[..], &with_key].concat(),
        input.as_bytes(),
    )
    .succeeded();

    let from = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        "words",
        "--partition",
        "0",
    ];
    let print_key = [
        "--property",
        "print.key=true",
        "--property",
        "key.separator=:",
    ];
    let consume = |arguments: &[&str]| {
        let run = run(
            Tool::ConsoleConsumer,
            &[&from[..], &print_key, arguments].concat(),
        );
        assert!(run.errors.contains("Processed a total of"), "{run:?}");
        run.succeeded()
    };
    assert_eq!(
        consume(&["--offset", "earliest", "--max-messages", "4"]),
        input
    );
    assert_eq!(
        consume(&["--offset", "2", "--max-messages", "2"]),
        "c:\nd:Δέλτα\n"
    );
}

#[test]
fn producer_perf_test_runs_and_everything_it_sent_is_there() {
    let node = Node::start();
    node.create_topic("load", 1);
    let bootstrap = node.bootstrap();
    let props = format!("bootstrap.servers={bootstrap}");
    let load = [
        "--topic",
        "load",
        "--num-records",
        "50000",
        "--record-size",
        "1000",
    ];
    let speed = ["--throughput", "-1", "--producer-props", &props, "acks=all"];
    let printed = run(Tool::ProducerPerfTest, &[&load[..], &speed].concat()).succeeded();
    let last = printed.lines().last().expect("a line with the totals");
    assert!(last.starts_with("50000 records sent, "), "{printed}");
    assert!(last.ends_with("ms 99.9th."), "{printed}");

    let from = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        "load",
        "--partition",
        "0",
    ];
    let all = ["--offset", "earliest", "--max-messages", "50000"];
    let read = run(Tool::ConsoleConsumer, &[&from[..], &all].concat()).succeeded();
    assert_eq!(read.lines().count(), 50_000);
    assert!(read.lines().all(|line| line.len() == 1_000));
}
