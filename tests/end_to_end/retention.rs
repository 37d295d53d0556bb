//! Shows: old segments go when a topic's settings say so, which are changed without a restart by
//! Kafka's own kafka-configs; DeleteRecords; and what clients are told of records that are gone.

use std::collections::BTreeMap;

use chiplog_tests::java::{Tool, run};
use chiplog_tests::node::{Node, Setup};
use chiplog_tests::raw::{Body, Connection, FETCH, LIST_OFFSETS, batch, end_offset, produce_to};
use chiplog_tests::state::{SOON, reach};

const DELETE_RECORDS: i16 = 21;
const ALTER_CONFIGS: i16 = 33;
const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const POLICY_VIOLATION: i16 = 44;

const BATCHES: i64 = 20;

fn start() -> Node {
    Node::start_with(
        Setup::new()
            .set("log.retention.check.interval.ms", "50")
            .set("log.initial.task.delay.ms", "0")
            .set("log.segment.delete.delay.ms", "0"),
    )
}

/// A topic whose segments hold two batches of one record each.
fn filled(node: &Node, topic: &str, settings: &[(&str, &str)]) -> Connection {
    let settings = [&[("segment.bytes", "4500")][..], settings].concat();
    node.create_topic_with(topic, 1, &settings);
    let mut client = node.connect();
    for at in 0..BATCHES {
        let stored = produce_to(&mut client, topic, &batch(&[&[7; 2000]])).unwrap();
        assert_eq!(stored, (0, at));
    }
    client
}

fn first_offset(client: &mut Connection, topic: &str) -> i64 {
    let one = Body::new().i32(-1).i8(0).i32(1).string(topic);
    let mut answer = client.ask(LIST_OFFSETS, 2, &one.i32(1).i32(0).i64(-2));
    answer.i32(); // throttle time
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
    assert_eq!((answer.i32(), answer.i32(), answer.i16()), (1, 0, 0));
    answer.i64(); // timestamp
    answer.i64()
}

/// The error code and the low watermark.
fn delete_before(client: &mut Connection, topic: &str, before: i64) -> (i16, i64) {
    let one = Body::new().i32(1).string(topic).i32(1).i32(0).i64(before);
    let mut answer = client.ask(DELETE_RECORDS, 1, &one.i32(30_000));
    answer.i32(); // throttle time
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
    assert_eq!((answer.i32(), answer.i32()), (1, 0));
    let low_watermark = answer.i64();
    (answer.i16(), low_watermark)
}

fn fetch_error(client: &mut Connection, topic: &str, offset: i64) -> i16 {
    let body = Body::new().i32(-1).i32(0).i32(1).i32(1 << 20).i8(0);
    let body = body
        .i32(1)
        .string(topic)
        .i32(1)
        .i32(0)
        .i64(offset)
        .i32(1 << 20);
    let mut answer = client.ask(FETCH, 4, &body);
    answer.i32(); // throttle time
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
    assert_eq!((answer.i32(), answer.i32()), (1, 0));
    answer.i16()
}

fn segments(node: &Node, topic: &str) -> usize {
    let files = node.files("log").into_iter();
    let partition = format!("{topic}-0");
    files
        .filter(|path| path.parent().is_some_and(|p| p.ends_with(&partition)))
        .count()
}

fn configure(node: &Node, topic: &str, change: [&str; 2]) {
    let bootstrap = node.bootstrap();
    let of = ["--entity-type", "topics", "--entity-name", topic, "--alter"];
    let server = ["--bootstrap-server", &bootstrap];
    run(Tool::Configs, &[&server[..], &of, &change].concat()).succeeded();
}

#[test]
fn a_changed_retention_takes_effect_without_a_restart() {
    let mut node = start();
    let mut client = filled(&node, "logs", &[]);
    assert_eq!(segments(&node, "logs"), 10);
    configure(&node, "logs", ["--add-config", "retention.bytes=8000"]);
    let first = reach("old segments go", SOON, || {
        let first = first_offset(&mut client, "logs");
        (first > 0 && segments(&node, "logs") == 2).then_some(first)
    });
    assert_eq!(first, 16);
    assert_eq!(
        fetch_error(&mut client, "logs", first - 1),
        OFFSET_OUT_OF_RANGE
    );
    assert_eq!(fetch_error(&mut client, "logs", first), 0);
    configure(&node, "logs", ["--delete-config", "retention.bytes"]);
    configure(&node, "logs", ["--add-config", "retention.ms=1"]);
    reach("the active segment goes as well", SOON, || {
        (first_offset(&mut client, "logs") == BATCHES).then_some(())
    });
    assert!(node.stop().success());
    node.start_again();
    let mut client = node.connect();
    assert_eq!(first_offset(&mut client, "logs"), BATCHES);
    assert_eq!(end_offset(&mut client, "logs"), BATCHES);
}

#[test]
fn records_are_deleted_up_to_an_offset() {
    let mut node = start();
    let mut client = filled(&node, "a", &[]);
    assert_eq!(delete_before(&mut client, "a", 7), (0, 7));
    reach("whole segments go", SOON, || {
        (segments(&node, "a") == 7).then_some(())
    });
    assert_eq!(first_offset(&mut client, "a"), 7);
    assert_eq!(fetch_error(&mut client, "a", 6), OFFSET_OUT_OF_RANGE);
    assert_eq!(
        delete_before(&mut client, "a", 5),
        (0, 7),
        "nothing comes back"
    );
    let too_far = delete_before(&mut client, "a", BATCHES + 1);
    assert_eq!(too_far, (OFFSET_OUT_OF_RANGE, -1));
    assert_eq!(
        delete_before(&mut client, "a", -2),
        (OFFSET_OUT_OF_RANGE, -1)
    );
    let unknown = delete_before(&mut client, "no", 1);
    assert_eq!(unknown, (UNKNOWN_TOPIC_OR_PARTITION, -1));
    filled(&node, "c", &[("cleanup.policy", "delete")]);
    configure(&node, "c", ["--add-config", "cleanup.policy=compact"]);
    assert_eq!(delete_before(&mut client, "c", 1), (POLICY_VIOLATION, -1));

    assert!(node.stop().success());
    node.start_again();
    let mut client = node.connect();
    assert_eq!(first_offset(&mut client, "a"), 7, "its checkpoint says so");
    assert_eq!(delete_before(&mut client, "a", -1), (0, BATCHES));
    assert_eq!(first_offset(&mut client, "a"), BATCHES);
}

#[test]
fn alter_configs_replaces_all_overrides() {
    let node = start();
    node.create_topic_with("t", 1, &[("segment.bytes", "5000"), ("retention.ms", "9")]);
    let mut client = node.connect();
    let mut alter = |settings: &[(&str, &str)]| {
        let mut body = Body::new().i32(1).i8(2).string("t");
        body = body.i32(settings.len() as i32);
        for (key, value) in settings {
            body = body.string(key).string(value);
        }
        let mut answer = client.ask(ALTER_CONFIGS, 1, &body.i8(0));
        answer.i32(); // throttle time
        assert_eq!(answer.i32(), 1);
        answer.i16()
    };
    let invalid_config = 40;
    assert_eq!(alter(&[("retention.ms", "x")]), invalid_config);
    assert_eq!(alter(&[("retention.ms", "77"), ("flush.messages", "3")]), 0);
    let bootstrap = node.bootstrap();
    let described = reach("the change is everywhere", SOON, || {
        let of = [
            "--entity-type",
            "topics",
            "--entity-name",
            "t",
            "--describe",
        ];
        let server = ["--bootstrap-server", &bootstrap];
        let text = run(Tool::Configs, &[&server[..], &of].concat()).succeeded();
        let lines = text.lines().skip(1).filter_map(|line| {
            let (key, value) = line.trim().split(' ').next()?.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        });
        let found: BTreeMap<_, _> = lines.collect();
        found.contains_key("flush.messages").then_some(found)
    });
    let expected = [("flush.messages", "3"), ("retention.ms", "77")];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(described, expected.into());
}
