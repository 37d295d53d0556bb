//! Shows: a fetch waits for `fetch.min.bytes`, at most for `max.wait.ms`; requests on one
//! connection are taken in while earlier ones wait, and answered in order.

use std::io;
use std::time::{Duration, Instant};

use chiplog_tests::node::Node;
use chiplog_tests::raw::{
    API_VERSIONS, Answer, Body, Connection, FETCH, METADATA, batch, end_offset, produce_to,
};

/// Longer than any test may take: an answer within it came for another reason.
const LONG: Duration = Duration::from_secs(50);

fn fetch(wait: Duration, bytes_min: i32, offset: i64) -> Body {
    let wait_ms = i32::try_from(wait.as_millis()).expect("short");
    let head = Body::new()
        .i32(-1)
        .i32(wait_ms)
        .i32(bytes_min)
        .i32(i32::MAX)
        .i8(0);
    head.i32(1)
        .string("tail")
        .i32(1)
        .i32(0)
        .i64(offset)
        .i32(i32::MAX)
}

/// The error code, the high watermark and the size of the records in an answer to [`fetch`].
fn fetched(mut answer: Answer) -> (i16, i64, usize) {
    answer.i32(); // throttle time
    assert_eq!(
        (answer.i32(), answer.string().as_deref()),
        (1, Some("tail"))
    );
    assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
    let (error, high_watermark) = (answer.i16(), answer.i64());
    assert_eq!(answer.i64(), high_watermark, "no transaction is open");
    assert!(answer.i32() <= 0, "no transaction was aborted");
    let length = answer.rest().first_chunk().copied().map(i32::from_be_bytes);
    assert!(
        length >= Some(0),
        "records may be empty, and are never null"
    );
    (error, high_watermark, answer.bytes().len())
}

#[test]
fn a_fetch_that_waits_is_answered_when_something_is_written() -> io::Result<()> {
    let node = Node::start();
    node.create_topic("tail", 1);
    let (mut reader, mut writer) = (node.connect(), node.connect());
    let begin = Instant::now();
    let sent = reader.send(FETCH, 4, &fetch(LONG, 1, 0))?;
    assert_eq!(produce_to(&mut writer, "tail", &batch(&[b"now"]))?, (0, 0));
    let answer = reader.receive_answer(sent)?;
    let (error, high_watermark, bytes) = fetched(answer);
    assert_eq!((error, high_watermark), (0, 1));
    assert_eq!(bytes, batch(&[b"now"]).len());
    assert!(
        begin.elapsed() < LONG / 2,
        "the write ends the wait, not the time"
    );
    Ok(())
}

#[test]
fn a_fetch_waits_for_its_minimum_of_bytes() -> io::Result<()> {
    let node = Node::start();
    node.create_topic("tail", 1);
    let (mut reader, mut writer) = (node.connect(), node.connect());
    let one = batch(&[&[b'x'; 1_000]]);
    let three = i32::try_from(3 * one.len()).expect("small");
    let sent = reader.send(FETCH, 4, &fetch(LONG, three, 0))?;
    for offset in 0..3 {
        assert_eq!(produce_to(&mut writer, "tail", &one)?, (0, offset));
    }
    let answer = reader.receive_answer(sent)?;
    assert_eq!(fetched(answer), (0, 3, 3 * one.len()));
    Ok(())
}

#[test]
fn a_fetch_at_the_end_returns_empty_after_its_wait() {
    let node = Node::start();
    node.create_topic("tail", 1);
    let mut reader = node.connect();
    let wait = Duration::from_millis(300);
    let begin = Instant::now();
    assert_eq!(fetched(reader.ask(FETCH, 4, &fetch(wait, 1, 0))), (0, 0, 0));
    assert!(
        begin.elapsed() >= wait,
        "not before its time: {:?}",
        begin.elapsed()
    );
    assert!(
        begin.elapsed() < LONG,
        "soon after its time: {:?}",
        begin.elapsed()
    );
}

#[test]
fn a_fetch_that_waits_is_answered_when_the_node_stops() -> io::Result<()> {
    let mut node = Node::start();
    node.create_topic("tail", 1);
    let mut reader = node.connect();
    let (versions, fetch) = (Body::new(), fetch(LONG, 1, 0));
    let sent = reader.send_together(&[(API_VERSIONS, 0, &versions), (FETCH, 4, &fetch)])?;
    // The answer to the first says that the second is there too.
    reader.receive_answer(sent[0])?;
    assert!(node.stop().success());
    assert_eq!(fetched(reader.receive_answer(sent[1])?), (0, 0, 0));
    Ok(())
}

#[test]
fn a_fetch_out_of_range_is_told_so_at_once() {
    const OFFSET_OUT_OF_RANGE: i16 = 1;
    let node = Node::start();
    node.create_topic("tail", 1);
    let begin = Instant::now();
    let (error, _, bytes) = fetched(node.connect().ask(FETCH, 4, &fetch(LONG, 1, 1)));
    assert_eq!((error, bytes), (OFFSET_OUT_OF_RANGE, 0));
    assert!(begin.elapsed() < LONG / 2);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() -> io::Result<()> {
    let node = Node::start();
    node.create_topic("tail", 1);
    let mut client = node.connect();
    let mut sent = Vec::new();
    // The first one waits; those behind it may be worked on, but not answered before it.
    sent.push(client.send(FETCH, 4, &fetch(Duration::from_millis(200), 1, 0))?);
    for _ in 0..200 {
        sent.push(client.send(API_VERSIONS, 0, &Body::new())?);
        sent.push(client.send(METADATA, 1, &Body::new().i32(0))?);
        sent.push(client.send(FETCH, 4, &fetch(Duration::ZERO, 0, 0))?);
    }
    for correlation in sent {
        client.receive_answer(correlation)?;
    }
    Ok(())
}

#[test]
fn produce_requests_in_one_piece_are_stored_in_their_order() -> io::Result<()> {
    let node = Node::start();
    node.create_topic("tail", 1);
    let mut client = node.connect();
    let mut frames = Body::new();
    for number in 0..100 {
        let value = format!("value {number}");
        let body = chiplog_tests::raw::produce("tail", -1, &batch(&[value.as_bytes()]));
        let header = chiplog_tests::raw::header(chiplog_tests::raw::PRODUCE, 7, number);
        frames = frames.bytes(&header.raw(&body.0).0);
    }
    client.send_bytes(&frames.0)?;
    for number in 0..100 {
        let mut answer = client.receive_answer(number)?;
        assert_eq!(
            (answer.i32(), answer.string().as_deref()),
            (1, Some("tail"))
        );
        assert_eq!((answer.i32(), answer.i32(), answer.i16()), (1, 0, 0));
        assert_eq!(
            answer.i64(),
            i64::from(number),
            "offsets follow the order of requests"
        );
    }
    assert_eq!(end_offset(&mut Connection::open(node.port())?, "tail"), 100);
    Ok(())
}
