//! Shows: standalone metadata survives `kill -9` at any point: what was acknowledged is there
//! with the same topic ids, what was deleted stays deleted.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use chiplog_tests::node::Node;
use chiplog_tests::raw::{Answer, Body, CREATE_TOPICS, Connection, DELETE_TOPICS, METADATA};
use chiplog_tests::state::{SOON, reach};

/// Every topic of the node: its name, its id, its number of partitions.
fn topics(client: &mut Connection) -> BTreeMap<String, (Vec<u8>, i32)> {
    // Version 10 is flexible: a header of version 2, and compact lengths, which are one more.
    let all = Body::new()
        .raw(&[0])
        .varint_unsigned(0)
        .i8(0)
        .i8(0)
        .i8(0)
        .raw(&[0]);
    let mut answer = client.ask(METADATA, 10, &all);
    answer.i8(); // tagged fields of the header
    answer.i32(); // throttle time
    for _ in 1..answer.varint_unsigned() {
        answer.i32(); // id
        answer.compact_string(); // host
        answer.i32(); // port
        answer.compact_string(); // rack
        answer.i8(); // tagged fields
    }
    answer.compact_string(); // cluster id
    answer.i32(); // controller id
    let count = answer.varint_unsigned() - 1;
    (0..count).map(|_| topic(&mut answer)).collect()
}

fn topic(answer: &mut Answer) -> (String, (Vec<u8>, i32)) {
    assert_eq!(answer.i16(), 0, "a listed topic has no error");
    let name = answer.compact_string().expect("a topic has a name");
    let id = (0..16).map(|_| answer.i8().cast_unsigned()).collect();
    answer.i8(); // is internal
    let partitions = answer.varint_unsigned() - 1;
    for _ in 0..partitions {
        answer.i16(); // error, while it has no leader
        for _ in 0..3 {
            answer.i32(); // partition, leader, leader epoch
        }
        for _ in 0..3 {
            for _ in 1..answer.varint_unsigned() {
                answer.i32(); // a replica; then those in sync, then those offline
            }
        }
        answer.i8(); // tagged fields
    }
    answer.i32(); // authorized operations
    answer.i8(); // tagged fields
    (
        name,
        (id, i32::try_from(partitions).expect("few partitions")),
    )
}

fn create(client: &mut Connection, topic: &str, partitions: i32) -> io::Result<()> {
    let body = Body::new()
        .i32(1)
        .string(topic)
        .i32(partitions)
        .i16(1)
        .i32(0)
        .i32(0);
    let mut answer = client.try_ask(CREATE_TOPICS, 2, &body.i32(30_000).i8(0))?;
    answer.i32(); // throttle time
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
    assert_eq!(answer.i16(), 0, "{topic} is created");
    Ok(())
}

fn delete(client: &mut Connection, topic: &str) -> io::Result<()> {
    let body = Body::new().i32(1).string(topic).i32(30_000);
    let mut answer = client.try_ask(DELETE_TOPICS, 1, &body)?;
    answer.i32(); // throttle time
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
    assert_eq!(answer.i16(), 0, "{topic} is deleted");
    Ok(())
}

/// Creates topics, and deletes every third, until the node is gone. Gives what was acknowledged:
/// the topics that must be there, and those that must not.
fn create_and_delete_until_killed(port: u16, round: usize) -> (Vec<String>, Vec<String>) {
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    let mut client = Connection::open(port).expect("the node accepts connections");
    for number in 0.. {
        let name = format!("topic-{round}-{number}");
        if create(&mut client, &name, 1 + number % 3).is_err() {
            break;
        }
        there.push(name);
        if number % 3 == 2 {
            let last = there.swap_remove(there.len() - 2);
            if delete(&mut client, &last).is_err() {
                // Not acknowledged: the topic may be there or not.
                break;
            }
            gone.push(last);
        }
    }
    (there, gone)
}

#[test]
fn acknowledged_topics_survive_kill_9_and_deleted_ones_stay_deleted() {
    let mut node = Node::start();
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    let mut known: BTreeMap<String, (Vec<u8>, i32)> = BTreeMap::new();
    for round in 0..3 {
        let port = node.port();
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let acknowledged = create_and_delete_until_killed(port, round);
                ended.store(true, Ordering::Release);
                acknowledged
            });
            let mut client = node.connect();
            reach("twenty more topics", SOON, || {
                let now = topics(&mut client);
                assert!(
                    !ended.load(Ordering::Acquire),
                    "the node went before it was killed"
                );
                (now.len() >= known.len() + 20).then_some(())
            });
            node.kill();
            let (mut more, mut fewer) = worker.join().expect("the worker does not panic");
            there.append(&mut more);
            gone.append(&mut fewer);
        });
        node.start_again();
        let found = reach("all acknowledged topics", SOON, || {
            let found = topics(&mut node.connect());
            there
                .iter()
                .all(|name| found.contains_key(name))
                .then_some(found)
        });
        let returned = gone.iter().find(|name| found.contains_key(*name));
        assert_eq!(returned, None, "deleted topics stay deleted");
        for (name, before) in &known {
            if let Some(now) = found.get(name) {
                assert_eq!(now, before, "{name} keeps its id and its partitions");
            }
        }
        known = found;
    }
}
