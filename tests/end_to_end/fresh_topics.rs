//! Shows: a topic that metadata tells of takes records at once, whichever connection asks; and the
//! oldest way to ask for offsets.

use std::io;

use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::raw::{Body, Connection, batch, produce_to};

const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;

/// The error of a topic as one connection sees it: metadata of version 1.
fn topic_error(client: &mut Connection, topic: &str) -> i16 {
    let mut answer = client.ask(METADATA, 1, &Body::new().i32(1).string(topic));
    for _ in 0..answer.i32() {
        answer.i32();
        answer.string();
        answer.i32();
        answer.string();
    }
    answer.i32(); // The controller.
    assert_eq!(answer.i32(), 1, "one topic");
    answer.i16()
}

#[test]
fn a_topic_takes_records_as_soon_as_any_connection_knows_it() -> io::Result<()> {
    if Target::of_this_run() == Target::Kafka {
        return Ok(()); // Its brokers tell of a topic before they have its logs.
    }
    let node = Node::start_with(Setup::new().set("auto.create.topics.enable", "false"));
    // Connections are dealt out over the node's threads.
    let mut clients: Vec<_> = (0..4).map(|_| node.connect()).collect();
    for round in 0..60 {
        let topic = format!("fresh-{round}");
        std::thread::scope(|scope| {
            let (name, node) = (&topic, &node);
            for client in &mut clients {
                scope.spawn(move || {
                    while topic_error(client, name) == UNKNOWN_TOPIC_OR_PARTITION {}
                    let (error, _) = produce_to(client, name, &batch(&[b"x"])).expect("an answer");
                    assert_eq!(error, 0, "{name}");
                });
            }
            node.create_topic(name, 1);
        });
    }
    Ok(())
}

#[test]
fn the_first_version_of_list_offsets_tells_where_segments_begin() -> io::Result<()> {
    let node = Node::start();
    node.create_topic_with("t", 1, &[("segment.bytes", "1000")]);
    let mut client = node.connect();
    for _ in 0..3 {
        let (error, _) = produce_to(&mut client, "t", &batch(&[&[b'x'; 600], b"y"]))?;
        assert_eq!(error, 0);
    }
    let mut ask = |timestamp: i64, count: i32| {
        let body = Body::new().i32(-1).i32(1).string("t").i32(1).i32(0);
        let mut answer = client.ask(LIST_OFFSETS, 0, &body.i64(timestamp).i32(count));
        answer.i32();
        answer.string();
        answer.i32();
        assert_eq!((answer.i32(), answer.i16()), (0, 0));
        let count = answer.i32();
        (0..count).map(|_| answer.i64()).collect::<Vec<_>>()
    };
    assert_eq!(ask(-1, 10), [6, 4, 2, 0]);
    assert_eq!(ask(-1, 2), [6, 4]);
    assert_eq!(ask(-2, 10), [0]);
    assert_eq!(ask(i64::MAX, 10), [6, 4, 2, 0]);
    assert!(ask(1, 10).is_empty(), "all segments are younger");
    Ok(())
}
