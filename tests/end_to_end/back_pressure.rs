//! Shows: a client that asks and does not read costs the node no memory and the others no time:
//! the node stops reading from it, and goes on when it reads.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use chiplog_tests::node::{Node, Target};
use chiplog_tests::raw::{
    Body, Connection, FETCH, METADATA, PRODUCE, batch, end_offset, header, produce, produce_to,
};

const MIB: u64 = 1024 * 1024;
const TOPIC: &str = "pressed";

/// As much as [`fill`] writes.
const FILLED_BYTES: i32 = 64 * 1024 * 1024;

/// Writes 64 MiB to partition 0.
fn fill(node: &Node) -> io::Result<()> {
    let mut client = node.connect();
    let half_mib = batch(&[&vec![b'x'; 512 * 1024]]);
    for offset in 0..128 {
        assert_eq!(produce_to(&mut client, TOPIC, &half_mib)?, (0, offset));
    }
    Ok(())
}

/// Others are served while `node` is under pressure, and its memory has not grown by more than
/// `bytes` over `before`. Kafka's heap is another matter.
fn assert_at_ease(node: &Node, before: u64, bytes: u64) -> io::Result<()> {
    let begin = Instant::now();
    let mut client = node.connect();
    for _ in 0..10 {
        let (error, offset) = produce_to(&mut client, TOPIC, &batch(&[b"witness"]))?;
        assert_eq!(error, 0);
        assert_eq!(end_offset(&mut client, TOPIC), offset + 1);
    }
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "served in {:?}",
        begin.elapsed()
    );
    let grown = node.resident_bytes().saturating_sub(before);
    if node.target() == Target::Chiplog {
        assert!(
            grown <= bytes,
            "memory grew by {grown} bytes, allowed are {bytes}"
        );
    }
    Ok(())
}

#[test]
fn consumers_that_do_not_read_cost_nothing() -> io::Result<()> {
    let node = Node::start();
    node.create_topic(TOPIC, 1);
    fill(&node)?;
    let before = node.resident_bytes();
    let head = Body::new().i32(-1).i32(0).i32(0).i32(FILLED_BYTES).i8(0);
    let fetch = head
        .i32(1)
        .string(TOPIC)
        .i32(1)
        .i32(0)
        .i64(0)
        .i32(FILLED_BYTES);
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = node.connect();
        let sent: Vec<i32> = (0..4)
            .map(|_| client.send(FETCH, 4, &fetch))
            .collect::<io::Result<_>>()?;
        clients.push((client, sent));
    }
    assert_at_ease(&node, before, 64 * MIB)?;
    // One of them changes its mind, and gets what it asked for, up to the broker's own limit for
    // one answer, `fetch.max.bytes`, of 55 MiB.
    let (mut client, sent) = clients.swap_remove(17);
    for correlation in sent {
        let answer = client.receive_answer(correlation)?;
        assert!(answer.rest().len() > 50 * MIB as usize, "a whole answer");
    }
    drop(clients);
    assert_at_ease(&node, before, 64 * MIB)
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up() -> io::Result<()> {
    let node = Node::start();
    node.create_topic(TOPIC, 200);
    let before = node.resident_bytes();
    let ask = Body::new().bytes(&header(METADATA, 1, 1).raw(&Body::new().i32(-1).0).0);
    let many = ask.0.repeat(1_000);
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = node.connect();
        // Each answer has some kilobytes. The node takes no more questions at some point; if it
        // took all of these, it would hold a gigabyte of answers for each client.
        let mut taken = 0;
        while taken < 200 && client.send_bytes_within(&many, Duration::from_secs(1))? {
            taken += 1;
        }
        assert!(taken < 200, "the node stops reading");
        clients.push(client);
    }
    assert_at_ease(&node, before, 64 * MIB)
}

#[test]
fn every_answer_comes_in_order_to_a_client_that_reads_late() -> io::Result<()> {
    const REQUESTS: i32 = 20_000;
    let node = Node::start();
    node.create_topic(TOPIC, 1);
    let mut reader = node.connect();
    let mut writer = reader.second_handle()?;
    let value = batch(&[b"late"]);
    let sending = thread::spawn(move || -> io::Result<()> {
        for number in 0..REQUESTS {
            let request = header(PRODUCE, 7, number).raw(&produce(TOPIC, -1, &value).0);
            writer.send_frame(&request.0)?;
        }
        Ok(())
    });
    // Meanwhile another client writes too; offsets of the first stay in the order of its requests.
    let mut other = Connection::open(node.port())?;
    for _ in 0..100 {
        assert_eq!(produce_to(&mut other, TOPIC, &batch(&[b"other"]))?.0, 0);
    }
    let mut last = -1;
    for number in 0..REQUESTS {
        let mut answer = reader.receive_answer(number)?;
        assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(TOPIC)));
        assert_eq!(
            (answer.i32(), answer.i32(), answer.i16()),
            (1, 0, 0),
            "no error"
        );
        let offset = answer.i64();
        assert!(offset > last, "offset {offset} comes after {last}");
        last = offset;
    }
    sending.join().expect("the sender does not panic")?;
    assert_eq!(end_offset(&mut other, TOPIC), i64::from(REQUESTS) + 100);
    Ok(())
}
