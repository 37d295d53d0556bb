//! Shows: what a member commits beside its offset is kept, empty and up to the largest size that is
//! allowed; what is larger is refused alone, and a commit that does not fit into
//! `max.message.bytes` of `__consumer_offsets` is refused whole.

use std::io;

use chiplog_tests::batch::{Batch, Record};
use chiplog_tests::node::Node;
use chiplog_tests::raw::{Answer, Body, Connection, FIND_COORDINATOR, PRODUCE};
use chiplog_tests::state::{SOON, reach};

use crate::transactions::setup;

const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 9;
const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
const MESSAGE_TOO_LARGE: i16 = 10;
const OFFSET_METADATA_TOO_LARGE: i16 = 12;
const INVALID_COMMIT_OFFSET_SIZE: i16 = 28;
/// `offset.metadata.max.bytes` by default.
const METADATA_MAX: usize = 4096;

/// Commits an offset for each of the first partitions of `source`; gives the error codes.
fn commit(client: &mut Connection, group: &str, metadata: &[Option<&str>]) -> Vec<i16> {
    let body = Body::new().string(group).i32(-1).string("").i16(-1);
    let count = i32::try_from(metadata.len()).expect("few");
    let mut body = body.i32(1).string("source").i32(count);
    for (partition, metadata) in (0..).zip(metadata) {
        body = body.i32(partition).i64(100 + i64::from(partition)).i32(-1);
        body = match metadata {
            Some(metadata) => body.string(metadata),
            None => body.i16(-1),
        };
    }
    let mut answer = client.ask(OFFSET_COMMIT, 7, &body);
    answer.i32(); // throttle time
    assert_eq!(answer.i32(), 1, "one topic");
    answer.string();
    // Kafka answers in another order.
    let each = (0..answer.i32()).map(|_| (answer.i32(), answer.i16()));
    let mut codes: Vec<_> = each.collect();
    codes.sort_unstable();
    codes.into_iter().map(|(_, code)| code).collect()
}

/// Offset and metadata of each of the first partitions of `source`.
fn committed(client: &mut Connection, group: &str, count: i32) -> Vec<(i64, String)> {
    let mut body = Body::new().string(group).i32(1).string("source").i32(count);
    for partition in 0..count {
        body = body.i32(partition);
    }
    let mut answer = client.ask(OFFSET_FETCH, 5, &body);
    answer.i32(); // throttle time
    if answer.i32() == 0 {
        return Vec::new(); // The coordinator is not there yet.
    }
    answer.string();
    let told = (0..answer.i32()).map(|_| told(&mut answer));
    let mut told: Vec<_> = told.collect();
    told.sort();
    told.into_iter().map(|(_, told)| told).collect()
}

fn told(answer: &mut Answer) -> (i32, (i64, String)) {
    let partition = answer.i32();
    let offset = answer.i64();
    answer.i32(); // leader epoch
    let metadata = answer.string().expect("it is not null");
    // Kafka may still be reading its log.
    let offset = if answer.i16() == 0 { offset } else { i64::MIN };
    (partition, (offset, metadata))
}

/// Waits until the coordinator of `group` takes commits.
fn find_coordinator(node: &Node, group: &str) -> Connection {
    let mut client = node.connect();
    reach("the coordinator is there", SOON, || {
        client.ask(FIND_COORDINATOR, 1, &Body::new().string(group).i8(0));
        let codes = commit(&mut client, group, &[None]);
        (codes == [0]).then_some(())
    });
    client
}

#[test]
fn metadata_is_kept_up_to_its_limit_and_refused_alone_beyond_it() {
    let mut node = Node::start_with(setup());
    node.create_topic("source", 6);
    let largest = "m".repeat(METADATA_MAX);
    // The limit counts UTF-16 units, of which this character has two, and four bytes.
    let wide = "\u{1f600}".repeat(METADATA_MAX / 2);
    let beyond = format!("{largest}m");
    let wide_beyond = format!("{wide}m");
    let all = [
        Some(&*largest),
        Some(""),
        None,
        Some(&*beyond),
        Some(&*wide),
        Some(&*wide_beyond),
    ];
    let refused = OFFSET_METADATA_TOO_LARGE;
    let mut client = find_coordinator(&node, "keeps");
    let codes = commit(&mut client, "keeps", &all);
    assert_eq!(codes, [0, 0, 0, refused, 0, refused]);
    let none = (-1, String::new());
    let expected = [
        (100, largest.clone()),
        (101, String::new()),
        (102, String::new()),
        none.clone(),
        (104, wide.clone()),
        none,
    ];
    assert_eq!(committed(&mut client, "keeps", 6), expected);
    for cleanly in [false, true] {
        match cleanly {
            true => drop(node.stop()),
            false => node.kill(),
        }
        node.start_again();
        let mut client = node.connect();
        reach("the offsets are there again", SOON, || {
            let found = client.ask(FIND_COORDINATOR, 1, &Body::new().string("keeps").i8(0));
            drop(found);
            (committed(&mut client, "keeps", 6) == expected).then_some(())
        });
    }
}

/// Sets `max.message.bytes` of a topic.
fn limit_messages(client: &mut Connection, topic: &str, bytes: &str) {
    const TOPIC: i8 = 2;
    const SET: i8 = 0;
    let body = Body::new().i32(1).i8(TOPIC).string(topic).i32(1);
    let body = body.string("max.message.bytes").i8(SET).string(bytes).i8(0);
    let mut answer = client.ask(INCREMENTAL_ALTER_CONFIGS, 0, &body);
    answer.i32(); // throttle time
    assert_eq!(
        (answer.i32(), answer.i16()),
        (1, 0),
        "one resource, no error"
    );
}

#[test]
fn the_internal_topics_limit_holds_for_the_coordinator_and_for_others() -> io::Result<()> {
    let node = Node::start_with(setup());
    node.create_topic("source", 3);
    let mut client = find_coordinator(&node, "small");
    limit_messages(&mut client, "__consumer_offsets", "1000");
    let large = "m".repeat(600);
    let refused = vec![INVALID_COMMIT_OFFSET_SIZE; 2];
    reach("the limit holds", SOON, || {
        let codes = commit(&mut client, "small", &[Some(&large), Some(&large)]);
        (codes == refused).then_some(())
    });
    assert_eq!(committed(&mut client, "small", 2)[1], (-1, String::new()));
    assert_eq!(commit(&mut client, "small", &[None, Some("m")]), [0, 0]);
    let expected = [(100, String::new()), (101, "m".to_owned())];
    assert_eq!(committed(&mut client, "small", 2), expected);

    // Kafka lets whoever has this name write to internal topics.
    let record = Record {
        key: Some(b"k"),
        ..Record::of_now(&[b'v'; 2000])
    };
    let batch = Batch::PLAIN.of(&[record]);
    let header = Body::new().i16(PRODUCE).i16(7).i32(1_000_000);
    let header = header.string("__admin_client");
    let body = chiplog_tests::raw::produce("__consumer_offsets", -1, &batch);
    client.send_frame(&header.raw(&body.0).0)?;
    let mut answer = client.receive_answer(1_000_000)?;
    assert_eq!(answer.i32(), 1, "one topic");
    answer.string();
    let (partitions, partition, error) = (answer.i32(), answer.i32(), answer.i16());
    assert_eq!((partitions, partition, error), (1, 0, MESSAGE_TOO_LARGE));
    Ok(())
}
