//! Shows: bad input is refused as Kafka refuses it, other connections keep working, memory stays
//! within a small multiple of what was sent, and nothing of it is stored.

use std::io;
use std::time::{Duration, Instant};

use chiplog_tests::messages::changed;
use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::raw::{
    API_VERSIONS, Body, Connection, METADATA, PRODUCE, batch, end_offset, header, produce,
    produce_to,
};

const MIB: u64 = 1024 * 1024;
const TOPIC: &str = "hostile";

/// `socket.request.max.bytes` if nothing else is set.
const FRAME_BYTES_MAX: i32 = 104_857_600;

const CORRUPT_MESSAGE: i16 = 2;
const INVALID_REQUIRED_ACKS: i16 = 21;
const UNSUPPORTED_VERSION: i16 = 35;

/// A node with one connection that behaves, and must never notice the others.
struct Attacked {
    node: Node,
    witness: Connection,
    stored: i64,
    resident_before: u64,
}

impl Attacked {
    fn new() -> Attacked {
        Attacked::with(Setup::new())
    }

    fn with(setup: Setup) -> Attacked {
        let node = Node::start_with(setup);
        node.create_topic(TOPIC, 1);
        let mut attacked = Attacked {
            witness: node.connect(),
            node,
            stored: 0,
            resident_before: 0,
        };
        attacked.assert_unharmed();
        attacked.resident_before = attacked.node.resident_bytes();
        attacked
    }

    /// The witness's connection still works, and nothing is stored but what the witness wrote.
    fn assert_unharmed(&mut self) {
        let produced = produce_to(&mut self.witness, TOPIC, &batch(&[b"witness"]));
        assert_eq!(produced.expect("the witness is served"), (0, self.stored));
        self.stored += 1;
        assert_eq!(end_offset(&mut self.witness, TOPIC), self.stored);
        assert!(self.node.is_running());
    }

    /// The node's memory has grown by at most `bytes`. Kafka's heap is another matter.
    fn assert_grown_at_most(&self, bytes: u64) {
        let grown = self
            .node
            .resident_bytes()
            .saturating_sub(self.resident_before);
        if self.node.target() == Target::Chiplog {
            assert!(
                grown <= bytes,
                "memory grew by {grown} bytes, allowed are {bytes}"
            );
        }
    }
}

#[test]
fn frames_of_impossible_sizes_end_the_connection() -> io::Result<()> {
    let mut attacked = Attacked::new();
    for size in [FRAME_BYTES_MAX + 1, i32::MAX, -1, i32::MIN, 0] {
        let mut client = attacked.node.connect();
        client.send_bytes(&size.to_be_bytes())?;
        assert!(client.is_closed_by_node(), "a frame of {size} bytes");
        attacked.assert_unharmed();
    }
    attacked.assert_grown_at_most(16 * MIB);
    Ok(())
}

#[test]
fn socket_request_max_bytes_is_the_limit_that_was_set() -> io::Result<()> {
    let mut attacked = Attacked::with(Setup::new().set("socket.request.max.bytes", "20000"));
    // A frame of exactly the limit is served.
    let mut records = batch(&[&[b'x'; 10_000]]);
    let request = |records: &[u8]| header(PRODUCE, 7, 1).raw(&produce(TOPIC, -1, records).0).0;
    let more = 20_000 - request(&records).len();
    // The length of the value takes two bytes below 8,192 zigzagged, and three from there on.
    records = batch(&[&vec![b'x'; 10_000 + more]]);
    let more = 20_000_usize.saturating_sub(request(&records).len());
    assert!(
        more < 4,
        "the frame is as long as the limit, but for lengths of lengths: {more}"
    );
    let mut client = attacked.node.connect();
    client.send_frame(&request(&records))?;
    assert!(
        client.receive()?.is_some(),
        "a frame of the limit is answered"
    );
    attacked.stored += 1;
    attacked.assert_unharmed();

    let mut client = attacked.node.connect();
    client.send_bytes(&20_001_i32.to_be_bytes())?;
    assert!(client.is_closed_by_node(), "a frame over the limit");
    attacked.assert_unharmed();
    Ok(())
}

#[test]
fn a_tls_hello_on_the_plain_port_ends_the_connection() -> io::Result<()> {
    let mut attacked = Attacked::new();
    let mut client = attacked.node.connect();
    // The record and the handshake header of a TLS 1.2 ClientHello; the first four bytes are a
    // frame of 369,295,872 bytes to Kafka.
    client.send_bytes(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0])?;
    assert!(client.is_closed_by_node());
    attacked.assert_unharmed();
    Ok(())
}

#[test]
fn http_on_the_kafka_port_ends_the_connection() -> io::Result<()> {
    let mut attacked = Attacked::new();
    let mut client = attacked.node.connect();
    client.send_bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    assert!(client.is_closed_by_node());
    attacked.assert_unharmed();
    Ok(())
}

#[test]
fn a_frame_cut_anywhere_stores_nothing() -> io::Result<()> {
    let mut attacked = Attacked::new();
    let request = header(PRODUCE, 7, 1).raw(&produce(TOPIC, -1, &batch(&[b"cut"])).0);
    let frame = Body::new().bytes(&request.0).0;
    for length in 0..frame.len() {
        let mut client = attacked.node.connect();
        client.send_bytes(&frame[..length])?;
        client.finish_sending()?;
        assert!(client.is_closed_by_node(), "a frame cut to {length} bytes");
    }
    attacked.assert_unharmed();
    Ok(())
}

#[test]
fn a_request_that_ends_early_ends_the_connection() -> io::Result<()> {
    let mut attacked = Attacked::new();
    let request = header(PRODUCE, 7, 1)
        .raw(&produce(TOPIC, -1, &batch(&[b"short"])).0)
        .0;
    for length in 0..request.len() {
        let mut client = attacked.node.connect();
        client.send_frame(&request[..length])?;
        // Here the length of the frame is right, and what it says of its fields is not.
        assert!(client.is_closed_by_node(), "a request of {length} bytes");
    }
    attacked.assert_unharmed();
    Ok(())
}

#[test]
fn random_requests_harm_nobody() -> io::Result<()> {
    let mut attacked = Attacked::new();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..300 {
        let mut bytes: Vec<u8> = (0..random.below(600))
            .map(|_| random.next() as u8)
            .collect();
        if random.below(3) > 0 && bytes.len() > 4 {
            // A header that can be understood, so that the body is looked at.
            let key = i16::try_from(random.below(75)).expect("small");
            let version = i16::try_from(random.below(12)).expect("small");
            bytes.splice(..4, Body::new().i16(key).i16(version).0);
        }
        let mut client = attacked.node.connect();
        client.send_frame(&bytes)?;
        client.finish_sending()?;
        // Answered or not, the connection ends, because this side has.
        while client.receive()?.is_some() {}
    }
    attacked.assert_unharmed();
    attacked.assert_grown_at_most(16 * MIB);
    Ok(())
}

#[test]
fn arrays_longer_than_the_frame_end_the_connection() -> io::Result<()> {
    let mut attacked = Attacked::new();
    let count = i32::MAX;
    let compact = |body: Body| body.raw(&[0]).varint_unsigned(u32::MAX);
    let requests = [
        ("topics of Metadata 1", METADATA, 1, Body::new().i32(count)),
        ("topics of Metadata 9", METADATA, 9, compact(Body::new())),
        (
            "topics of Produce 3",
            PRODUCE,
            3,
            Body::new().i16(-1).i16(1).i32(1).i32(count),
        ),
        (
            "partitions of Produce 7",
            PRODUCE,
            7,
            Body::new()
                .i16(-1)
                .i16(1)
                .i32(1)
                .i32(1)
                .string(TOPIC)
                .i32(count),
        ),
        (
            "records of Produce 7",
            PRODUCE,
            7,
            Body::new()
                .i16(-1)
                .i16(1)
                .i32(1)
                .i32(1)
                .string(TOPIC)
                .i32(1)
                .i32(0)
                .i32(count),
        ),
        (
            "topics of Fetch 4",
            1,
            4,
            Body::new().i32(-1).i32(0).i32(0).i32(0).i8(0).i32(count),
        ),
        (
            "topics of ListOffsets 1",
            2,
            1,
            Body::new().i32(-1).i32(count),
        ),
        ("topics of CreateTopics 1", 19, 1, Body::new().i32(count)),
        ("topics of DeleteTopics 1", 20, 1, Body::new().i32(count)),
        (
            "topics of CreatePartitions 0",
            37,
            0,
            Body::new().i32(count),
        ),
        (
            "resources of DescribeConfigs 1",
            32,
            1,
            Body::new().i32(count),
        ),
        (
            "topics of OffsetForLeaderEpoch 2",
            23,
            2,
            Body::new().i32(count),
        ),
    ];
    for (what, key, version, body) in requests {
        let mut client = attacked.node.connect();
        client.send(key, version, &body)?;
        assert!(client.is_closed_by_node(), "2,147,483,647 {what}");
        attacked.assert_unharmed();
    }
    attacked.assert_grown_at_most(16 * MIB);
    Ok(())
}

#[test]
fn twenty_million_tagged_fields_cost_no_memory() -> io::Result<()> {
    const COUNT: usize = 20_000_000;
    let mut attacked = Attacked::new();
    if attacked.node.target() == Target::Kafka {
        // Kafka keeps them all, and its heap ends before they do.
        return Ok(());
    }
    let head = header(API_VERSIONS, 3, 1).varint_unsigned(COUNT as u32);
    let mut request = head.0;
    // Each field: its tag, and a length of zero.
    request.extend([100, 0].repeat(COUNT));
    request.extend([1, 1, 0]);
    let mut client = attacked.node.connect();
    client.send_frame(&request)?;
    // Skipped or refused, it is over when there is an answer or the end.
    client.receive()?;
    attacked.assert_unharmed();
    attacked.assert_grown_at_most(2 * request.len() as u64 + 16 * MIB);
    Ok(())
}

#[test]
fn broken_batches_are_refused_and_the_connection_stays() -> io::Result<()> {
    let mut attacked = Attacked::new();
    let good = batch(&[b"one", b"two"]);
    let mut client = attacked.node.connect();
    // Every byte that the CRC covers, and the CRC.
    for at in 17..good.len() {
        let mut broken = good.clone();
        broken[at] ^= 0x08;
        let (error, offset) = produce_to(&mut client, TOPIC, &broken)?;
        let refused = (CORRUPT_MESSAGE, -1);
        assert_eq!((error, offset), refused, "byte {at} of a batch is changed");
    }
    attacked.assert_unharmed();
    Ok(())
}

#[test]
fn an_impossible_number_of_acks_is_refused() -> io::Result<()> {
    let mut attacked = Attacked::new();
    for acks in [2, -2, i16::MAX, i16::MIN] {
        let mut client = attacked.node.connect();
        let mut answer = client.ask(PRODUCE, 7, &produce(TOPIC, acks, &batch(&[b"acks"])));
        assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(TOPIC)));
        assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
        assert_eq!(answer.i16(), INVALID_REQUIRED_ACKS, "acks={acks}");
    }
    attacked.assert_unharmed();
    Ok(())
}

#[test]
fn unknown_apis_and_versions_end_the_connection() -> io::Result<()> {
    let mut attacked = Attacked::new();
    let unknown = [
        (-1, 0),
        (999, 0),
        (i16::MAX, 0),
        (METADATA, 99),
        (METADATA, -1),
        (PRODUCE, 12),
    ];
    for (key, version) in unknown {
        let mut client = attacked.node.connect();
        client.send(key, version, &Body::new().i32(0))?;
        assert!(client.is_closed_by_node(), "API {key}, version {version}");
        attacked.assert_unharmed();
    }
    Ok(())
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() -> io::Result<()> {
    let mut attacked = Attacked::new();
    for version in [5, 99, i16::MAX] {
        let mut client = attacked.node.connect();
        // The header has tagged fields from version 3 on; the body is never looked at.
        let mut answer = client.ask(API_VERSIONS, version, &Body::new().raw(&[0, 1, 1, 0]));
        assert_eq!(answer.i16(), UNSUPPORTED_VERSION, "version {version}");
        let apis: Vec<(i16, i16, i16)> = (0..answer.i32())
            .map(|_| (answer.i16(), answer.i16(), answer.i16()))
            .collect();
        assert_eq!(apis, [(API_VERSIONS, 0, 4)], "the versions to try instead");
        assert!(answer.rest().is_empty(), "nothing follows in version 0");
        // The client goes on with one of them, on the same connection.
        assert_eq!(client.ask(API_VERSIONS, 0, &Body::new()).i16(), 0);
    }
    attacked.assert_unharmed();
    Ok(())
}

#[test]
fn a_request_that_trickles_in_is_answered() -> io::Result<()> {
    let mut attacked = Attacked::new();
    let mut client = attacked.node.connect();
    let request = header(PRODUCE, 7, 1).raw(&produce(TOPIC, -1, &batch(&[b"slow"])).0);
    for byte in Body::new().bytes(&request.0).0 {
        client.send_bytes(&[byte])?;
    }
    let mut answer = client.receive_answer(1)?;
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(TOPIC)));
    assert_eq!(
        (answer.i32(), answer.i32(), answer.i16()),
        (1, 0, 0),
        "no error"
    );
    attacked.stored += 1;
    attacked.assert_unharmed();
    Ok(())
}

#[test]
fn five_hundred_announced_frames_of_100_mb_cost_what_was_sent() -> io::Result<()> {
    const CONNECTIONS: usize = 500;
    const SENT_BYTES: usize = 64 * 1024;
    let mut attacked = Attacked::new();
    if attacked.node.target() == Target::Kafka {
        // Kafka sets 100 MB aside for each, and ends with an OutOfMemoryError.
        return Ok(());
    }
    let mut start = FRAME_BYTES_MAX.to_be_bytes().to_vec();
    start.extend(header(PRODUCE, 7, 1).raw(&produce(TOPIC, -1, &[]).0).0);
    start.resize(4 + SENT_BYTES, 0);
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = attacked.node.connect();
        client.send_bytes(&start)?;
        clients.push(client);
    }
    let begin = Instant::now();
    for _ in 0..20 {
        attacked.assert_unharmed();
    }
    let newcomer = attacked
        .node
        .connect()
        .ask(API_VERSIONS, 0, &Body::new())
        .i16();
    assert_eq!(newcomer, 0, "a new connection is served too");
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "in {:?}",
        begin.elapsed()
    );
    // A buffer is up to four times as large as what it holds.
    attacked.assert_grown_at_most(4 * (CONNECTIONS * SENT_BYTES) as u64 + 32 * MIB);

    drop(clients);
    attacked.assert_unharmed();
    Ok(())
}

/// A small generator of numbers, the same in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Zstandard that says of itself only that it has a window: so many blocks of 128 KiB, each one
/// byte over and over.
fn zstd_bomb(blocks: usize) -> Vec<u8> {
    const RUN_OF_128_KIB: u32 = ((128 * 1024) << 3) | (1 << 1);
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    for block in 1..=blocks {
        let last = u32::from(block == blocks);
        out.extend_from_slice(&(RUN_OF_128_KIB | last).to_le_bytes()[..3]);
        out.push(b'x');
    }
    out
}

#[test]
fn a_decompression_bomb_is_refused_where_a_batch_is_compressed_anew() -> io::Result<()> {
    const MESSAGE_TOO_LARGE: i16 = 10;
    let mut attacked = Attacked::new();
    if attacked.node.target() == Target::Kafka {
        return Ok(()); // It has no bound.
    }
    let mut client = attacked.node.connect();
    for (topic, stored) in [("gzip", "gzip"), ("plain", "uncompressed")] {
        let settings = [("compression.type", stored)];
        attacked.node.create_topic_with(topic, 1, &settings);
        for blocks in [1100, 200_000] {
            let mut bomb = batch(&[b"x"])[..61].to_vec();
            bomb.extend(zstd_bomb(blocks));
            let length = i32::try_from(bomb.len() - 12).expect("it is small");
            bomb[8..12].copy_from_slice(&length.to_be_bytes());
            let bomb = changed(&bomb, 21, &4_i16.to_be_bytes());
            let answer = produce_to(&mut client, topic, &bomb)?;
            assert_eq!(answer, (MESSAGE_TOO_LARGE, -1), "{stored}, {blocks} blocks");
            attacked.assert_unharmed();
        }
    }
    attacked.assert_grown_at_most(32 * MIB);
    Ok(())
}
