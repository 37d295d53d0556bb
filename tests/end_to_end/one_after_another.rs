//! Shows: a client that sends requests without waiting for answers is answered as if they were
//! served one after another: what it changed is there for what it asks next.

use std::io;

use chiplog_tests::node::Node;
use chiplog_tests::raw::{
    Answer, Body, Connection, FETCH, FIND_COORDINATOR, LIST_OFFSETS, PRODUCE, batch, produce,
};
use chiplog_tests::state::{SOON, reach};

const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 9;
const DELETE_GROUPS: i16 = 42;

/// An OffsetCommit, version 3, of a client that is no member.
fn commit(group: &str, topic: &str, offset: i64) -> Body {
    let head = Body::new().string(group).i32(-1).string("").i64(-1);
    let one = head.i32(1).string(topic).i32(1).i32(0);
    one.i64(offset).string("")
}

/// An OffsetFetch, version 3, of partition 0.
fn fetch(group: &str, topic: &str) -> Body {
    let head = Body::new().string(group).i32(1).string(topic);
    head.i32(1).i32(0)
}

/// Sends a change and an OffsetFetch at once; the offset that is told, or none while there is no
/// coordinator.
fn told_after(
    client: &mut Connection,
    change: (i16, i16, &Body),
    fetch: &Body,
) -> io::Result<Option<i64>> {
    let sent = client.send_together(&[change, (OFFSET_FETCH, 3, fetch)])?;
    client.receive_answer(sent[0])?;
    let mut answer = client.receive_answer(sent[1])?;
    answer.i32(); // throttle time
    if answer.i32() == 0 {
        return Ok(None);
    }
    answer.string();
    assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
    let offset = answer.i64();
    answer.string(); // metadata
    assert_eq!((answer.i16(), answer.i16()), (0, 0), "no error");
    Ok(Some(offset))
}

#[test]
fn what_was_committed_is_told_to_who_asks_without_waiting() -> io::Result<()> {
    let node = Node::start();
    node.create_topic("source", 1);
    let mut client = node.connect();
    reach("the coordinator is there", SOON, || {
        let mut answer = client.ask(FIND_COORDINATOR, 1, &Body::new().string("simple").i8(0));
        answer.i32(); // throttle time
        (answer.i16() == 0).then_some(())
    });
    reach("it takes commits", SOON, || {
        let change = (OFFSET_COMMIT, 3, &commit("simple", "source", 0));
        let told = told_after(&mut client, change, &fetch("simple", "source"));
        told.expect("an answer").filter(|offset| *offset == 0)
    });
    for offset in 1..50 {
        let change = (OFFSET_COMMIT, 3, &commit("simple", "source", offset));
        let told = told_after(&mut client, change, &fetch("simple", "source"))?;
        assert_eq!(told, Some(offset));
    }
    let delete = Body::new().i32(1).string("simple");
    let change = (DELETE_GROUPS, 0, &delete);
    let told = told_after(&mut client, change, &fetch("simple", "source"))?;
    assert_eq!(told, Some(-1), "the group is gone");
    Ok(())
}

/// A ListOffsets, version 2, of the end of partition 0.
fn ends(topic: &str) -> Body {
    let one = Body::new().i32(-1).i8(0).i32(1).string(topic);
    one.i32(1).i32(0).i64(-1)
}

fn told_end(mut answer: Answer) -> i64 {
    answer.i32(); // throttle time
    answer.i32();
    answer.string();
    assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
    assert_eq!(answer.i16(), 0, "no error");
    answer.i64(); // timestamp
    answer.i64()
}

/// A Fetch, version 4, of partition 0 that waits for nothing.
fn read_at(topic: &str, offset: i64) -> Body {
    let head = Body::new().i32(-1).i32(0).i32(0).i32(1 << 20).i8(0);
    let one = head.i32(1).string(topic).i32(1).i32(0);
    one.i64(offset).i32(1 << 20)
}

fn bytes_read(mut answer: Answer) -> usize {
    answer.i32(); // throttle time
    answer.i32();
    answer.string();
    assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
    assert_eq!(answer.i16(), 0, "no error");
    answer.i64(); // high watermark
    answer.i64(); // last stable offset
    assert!(answer.i32() <= 0, "no aborted transactions");
    answer.bytes().len()
}

#[test]
fn what_was_produced_is_told_to_who_asks_without_waiting() -> io::Result<()> {
    let node = Node::start();
    // On different shards.
    let topics = ["first", "second", "third"];
    for topic in topics {
        node.create_topic(topic, 1);
    }
    let mut client = node.connect();
    for offset in 0..50 {
        for topic in topics {
            let records = batch(&[b"value"]);
            let sent = client.send_together(&[
                (PRODUCE, 7, &produce(topic, 1, &records)),
                (LIST_OFFSETS, 2, &ends(topic)),
                (PRODUCE, 7, &produce(topic, -1, &records)),
                (FETCH, 4, &read_at(topic, 2 * offset + 1)),
            ])?;
            client.receive_answer(sent[0])?;
            assert_eq!(told_end(client.receive_answer(sent[1])?), 2 * offset + 1);
            client.receive_answer(sent[2])?;
            let read = bytes_read(client.receive_answer(sent[3])?);
            assert_eq!(read, records.len(), "the record that was just produced");
        }
    }
    Ok(())
}
