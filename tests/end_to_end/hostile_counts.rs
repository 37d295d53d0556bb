//! Shows: a frame that names millions of things costs the node a small multiple of its size, for
//! every API: decoded form, plan and answer together. Meanwhile other connections are served, and
//! what the frame asks for is answered to the last element.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::raw::{
    API_VERSIONS, Body, CREATE_TOPICS, DELETE_TOPICS, FETCH, FIND_COORDINATOR, LIST_OFFSETS,
    METADATA, OFFSET_FOR_LEADER_EPOCH, PRODUCE,
};

const MIB: u64 = 1024 * 1024;
const FRAME_BYTES: usize = 16 * 1024 * 1024;
const TOPIC: &str = "known";

const DELETE_RECORDS: i16 = 21;
const DESCRIBE_CONFIGS: i16 = 32;
const ALTER_CONFIGS: i16 = 33;
const CREATE_PARTITIONS: i16 = 37;
const INCREMENTAL_ALTER_CONFIGS: i16 = 44;

/// What a request may take, for each byte of its frame, and beyond that: `ARCHITECTURE.md`.
const TIMES_MAX: u64 = 8;
const BEYOND_BYTES: u64 = 24 * MIB;
/// Of a build for debugging, on a machine that does other things too.
const WITNESS_WAITS_MAX: Duration = Duration::from_secs(8);

/// A frame that names many things.
struct Case {
    what: &'static str,
    api_key: i16,
    version: i16,
    body: Body,
    /// How long the answer is, if it is told.
    answer_bytes: Option<usize>,
}

/// `count` elements that `element` makes.
fn many(count: usize, element: impl Fn(Body, i32) -> Body) -> Body {
    (0..count as i32).fold(Body::new(), element)
}

/// The answer of a fixed layout: correlation id, what is around the elements, the elements.
fn fixed(around: usize, each: usize, count: usize) -> Option<usize> {
    Some(4 + around + each * count)
}

fn produce(topic: &str) -> Case {
    let count = FRAME_BYTES / 6;
    let head = Body::new().raw(&[0, 0]).i16(-1).i32(1000);
    let topics = head
        .varint_unsigned(2)
        .varint_unsigned(1 + topic.len() as u32);
    let parts = topics
        .raw(topic.as_bytes())
        .varint_unsigned(1 + count as u32);
    // The partition, records that are null, no tagged fields.
    let each = many(count, |body, n| match topic {
        TOPIC => body.i32(0).raw(&[0, 0]),
        _ => body.i32(n).raw(&[0, 0]),
    });
    Case {
        what: "partitions of Produce 9",
        api_key: PRODUCE,
        version: 9,
        body: parts.raw(&each.0).raw(&[0, 0]),
        answer_bytes: fixed(1 + 1 + 1 + topic.len() + 4 + 1 + 4 + 1, 33, count),
    }
}

fn fetch(version: i16, topic: &str) -> Case {
    let count = FRAME_BYTES / 16;
    let head = Body::new().i32(-1).i32(500).i32(1);
    let head = match version {
        ..3 => head,
        3 => head.i32(1 << 20),
        _ => head.i32(1 << 20).i8(0),
    };
    let each = many(count, |body, n| {
        body.i32(if topic == TOPIC { 0 } else { n })
            .i64(0)
            .i32(1 << 20)
    });
    let head = head.i32(1).string(topic).i32(count as i32);
    // A partition that is there is answered once, however often it is named.
    let answered = if topic == TOPIC { 1 } else { count };
    Case {
        what: "partitions of Fetch",
        api_key: FETCH,
        version,
        body: head.raw(&each.0),
        answer_bytes: match version {
            0 => fixed(4 + 2 + topic.len() + 4, 18, answered),
            _ => fixed(4 + 4 + 2 + topic.len() + 4, 30, answered),
        },
    }
}

/// The first fetch of a session, of partitions that are not there.
fn fetch_session() -> Case {
    let count = FRAME_BYTES / 33;
    let head = Body::new().raw(&[0]).i32(-1).i32(500).i32(1).i32(1 << 20);
    let head = head.i8(0).i32(0).i32(0).varint_unsigned(2);
    let head = head
        .varint_unsigned(8)
        .raw(b"unknown")
        .varint_unsigned(1 + count as u32);
    let each = many(count, |body, n| {
        body.i32(n).i32(-1).i64(0).i32(-1).i64(-1).i32(1).raw(&[0])
    });
    Case {
        what: "partitions of a session, Fetch 12",
        api_key: FETCH,
        version: 12,
        body: head.raw(&each.0).raw(&[0, 1, 1, 0]),
        answer_bytes: fixed(1 + 4 + 2 + 4 + 1 + 8 + 3 + 2, 37, count),
    }
}

fn list_offsets(topic: &str) -> Case {
    let count = FRAME_BYTES / 12;
    let head = Body::new()
        .i32(-1)
        .i8(0)
        .i32(1)
        .string(topic)
        .i32(count as i32);
    let each = many(count, |body, n| {
        body.i32(if topic == TOPIC { 0 } else { n }).i64(-1)
    });
    Case {
        what: "partitions of ListOffsets 2",
        api_key: LIST_OFFSETS,
        version: 2,
        body: head.raw(&each.0),
        answer_bytes: fixed(4 + 4 + 2 + topic.len() + 4, 22, count),
    }
}

fn offset_for_leader_epoch(topic: &str) -> Case {
    let count = FRAME_BYTES / 12;
    let head = Body::new().i32(1).string(topic).i32(count as i32);
    let each = many(count, |body, n| {
        body.i32(if topic == TOPIC { 0 } else { n }).i32(-1).i32(0)
    });
    Case {
        what: "partitions of OffsetForLeaderEpoch 2",
        api_key: OFFSET_FOR_LEADER_EPOCH,
        version: 2,
        body: head.raw(&each.0),
        answer_bytes: fixed(4 + 4 + 2 + topic.len() + 4, 18, count),
    }
}

fn delete_records(topic: &str) -> Case {
    let count = FRAME_BYTES / 12;
    let head = Body::new().i32(1).string(topic).i32(count as i32);
    let each = many(count, |body, n| {
        body.i32(if topic == TOPIC { 0 } else { n }).i64(0)
    });
    Case {
        what: "partitions of DeleteRecords 0",
        api_key: DELETE_RECORDS,
        version: 0,
        body: head.raw(&each.0).i32(1000),
        answer_bytes: fixed(4 + 4 + 2 + topic.len() + 4, 14, count),
    }
}

/// Four letters by a number below 26^4, and past that five.
fn name(n: i32) -> [u8; 5] {
    let letter = |n: i32| b'a' + (n % 26) as u8;
    [
        letter(n),
        letter(n / 26),
        letter(n / 676),
        letter(n / 17_576),
        letter(n / 456_976),
    ]
}

fn metadata_of_names() -> Case {
    let count = FRAME_BYTES / 7;
    let each = many(count, |body, n| body.i16(5).raw(&name(n)));
    Case {
        what: "names of Metadata 4",
        api_key: METADATA,
        version: 4,
        body: Body::new().i32(count as i32).raw(&each.0).i8(0),
        answer_bytes: None,
    }
}

fn metadata_of_one_name() -> Case {
    let count = FRAME_BYTES / 7;
    let each = many(count, |body, _| body.i16(5).raw(TOPIC.as_bytes()));
    Case {
        what: "times the same name of Metadata 4",
        api_key: METADATA,
        version: 4,
        body: Body::new().i32(count as i32).raw(&each.0).i8(0),
        answer_bytes: None,
    }
}

fn metadata_of_ids() -> Case {
    let count = FRAME_BYTES / 18;
    let each = many(count, |body, n| body.i64(1).i64(i64::from(n)).raw(&[0, 0]));
    let head = Body::new().raw(&[0]).varint_unsigned(1 + count as u32);
    Case {
        what: "ids of Metadata 12",
        api_key: METADATA,
        version: 12,
        body: head.raw(&each.0).raw(&[0, 0, 0]),
        answer_bytes: None,
    }
}

fn describe_configs(name: &str) -> Case {
    let count = FRAME_BYTES / (7 + name.len());
    let each = many(count, |body, _| body.i8(2).string(name).i32(-1));
    Case {
        what: "resources of DescribeConfigs 1",
        api_key: DESCRIBE_CONFIGS,
        version: 1,
        body: Body::new().i32(count as i32).raw(&each.0).i8(0),
        answer_bytes: None,
    }
}

fn describe_configs_of_keys() -> Case {
    let count = FRAME_BYTES / 7;
    let each = many(count, |body, n| body.i16(5).raw(&name(n)));
    let head = Body::new().i32(1).i8(2).string(TOPIC).i32(count as i32);
    Case {
        what: "keys of DescribeConfigs 1",
        api_key: DESCRIBE_CONFIGS,
        version: 1,
        body: head.raw(&each.0).i8(0),
        answer_bytes: None,
    }
}

fn find_coordinator(same: bool) -> Case {
    let count = FRAME_BYTES / 6;
    let each = many(count, |body, n| {
        body.raw(&[6]).raw(&name(if same { 0 } else { n }))
    });
    let head = Body::new()
        .raw(&[0])
        .i8(0)
        .varint_unsigned(1 + count as u32);
    Case {
        what: "keys of FindCoordinator 4",
        api_key: FIND_COORDINATOR,
        version: 4,
        body: head.raw(&each.0).raw(&[0]),
        answer_bytes: None,
    }
}

fn create_topics() -> Case {
    let count = FRAME_BYTES / 21;
    let each = many(count, |body, n| {
        let topic = body.i16(5).raw(&name(n));
        topic.i32(1).i16(1).i32(0).i32(0)
    });
    Case {
        what: "topics of CreateTopics 1",
        api_key: CREATE_TOPICS,
        version: 1,
        body: Body::new().i32(count as i32).raw(&each.0).i32(1000).i8(0),
        answer_bytes: None,
    }
}

fn create_topics_with_settings() -> Case {
    let count = FRAME_BYTES / 9;
    let each = many(count, |body, n| body.i16(5).raw(&name(n)).i16(-1));
    let topic = Body::new().i32(1).string("t").i32(1).i16(1).i32(0);
    Case {
        what: "settings of a topic of CreateTopics 1",
        api_key: CREATE_TOPICS,
        version: 1,
        body: topic.i32(count as i32).raw(&each.0).i32(1000).i8(0),
        answer_bytes: None,
    }
}

fn delete_topics() -> Case {
    let count = FRAME_BYTES / 7;
    let each = many(count, |body, n| body.i16(5).raw(&name(n)));
    Case {
        what: "names of DeleteTopics 1",
        api_key: DELETE_TOPICS,
        version: 1,
        body: Body::new().i32(count as i32).raw(&each.0).i32(1000),
        answer_bytes: fixed(4 + 4, 9, count),
    }
}

fn create_partitions() -> Case {
    let count = FRAME_BYTES / 15;
    let each = many(count, |body, n| body.i16(5).raw(&name(n)).i32(2).i32(-1));
    Case {
        what: "topics of CreatePartitions 0",
        api_key: CREATE_PARTITIONS,
        version: 0,
        body: Body::new().i32(count as i32).raw(&each.0).i32(1000).i8(0),
        answer_bytes: None,
    }
}

fn alter_configs(api_key: i16) -> Case {
    let count = FRAME_BYTES / 12;
    let each = many(count, |body, n| body.i8(2).i16(5).raw(&name(n)).i32(0));
    Case {
        what: "resources of AlterConfigs 0 or IncrementalAlterConfigs 0",
        api_key,
        version: 0,
        body: Body::new().i32(count as i32).raw(&each.0).i8(0),
        answer_bytes: None,
    }
}

fn alter_configs_of_keys() -> Case {
    let count = FRAME_BYTES / 9;
    let each = many(count, |body, n| body.i16(5).raw(&name(n)).i16(0));
    let head = Body::new().i32(1).i8(2).string(TOPIC).i32(count as i32);
    Case {
        what: "keys of AlterConfigs 0",
        api_key: ALTER_CONFIGS,
        version: 0,
        body: head.raw(&each.0).i8(0),
        answer_bytes: None,
    }
}

fn assert_bounded(cases: Vec<Case>) -> io::Result<()> {
    let node = Node::start_with(Setup::new().set("num.shards", "1"));
    if node.target() == Target::Kafka {
        // Kafka answers the same, and takes what its heap has.
        return Ok(());
    }
    node.create_topic(TOPIC, 1);
    for case in cases {
        let mut client = node.connect();
        client.be_patient(Duration::from_secs(300))?;
        let before = node.reset_peak_bytes();
        let began = Instant::now();
        let (answer, waited) = while_witnessed(&node, || {
            client.send(case.api_key, case.version, &case.body)?;
            client.receive()
        })?;
        let grown = node.peak_bytes().saturating_sub(before);
        let frame = case.body.0.len() as u64;
        println!(
            "{}: frame {} MiB, {:.1} times as much memory, answer {} MiB, {:?}, others waited {waited:?}",
            case.what,
            frame / MIB,
            grown as f64 / frame as f64,
            answer.as_ref().map_or(0, Vec::len) as u64 / MIB,
            began.elapsed(),
        );
        let answer = answer.unwrap_or_else(|| panic!("{}: no answer", case.what));
        if let Some(bytes) = case.answer_bytes {
            assert_eq!(answer.len(), bytes, "{}", case.what);
        }
        assert!(
            grown <= TIMES_MAX * frame + BEYOND_BYTES,
            "{}: a frame of {frame} bytes took {grown} bytes",
            case.what
        );
        assert!(
            waited < WITNESS_WAITS_MAX,
            "{}: others waited {waited:?}",
            case.what
        );
    }
    Ok(())
}

/// Does `work` while another connection asks and asks; also answers how long that one waited at
/// most.
fn while_witnessed<T>(
    node: &Node,
    work: impl FnOnce() -> io::Result<T>,
) -> io::Result<(T, Duration)> {
    let over = AtomicBool::new(false);
    let longest_us = AtomicU64::new(0);
    let mut witness = node.connect();
    let worked = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                assert_eq!(witness.ask(API_VERSIONS, 0, &Body::new()).i16(), 0);
                let waited_us = asked.elapsed().as_micros() as u64;
                longest_us.fetch_max(waited_us, Ordering::Relaxed);
            }
        });
        let worked = work();
        over.store(true, Ordering::Relaxed);
        worked
    })?;
    Ok((worked, Duration::from_micros(longest_us.into_inner())))
}

#[test]
fn produce_to_millions_of_partitions() -> io::Result<()> {
    assert_bounded(vec![produce("unknown"), produce(TOPIC)])
}

#[test]
fn fetch_of_millions_of_partitions() -> io::Result<()> {
    assert_bounded(vec![
        fetch(0, "unknown"),
        fetch(4, "unknown"),
        fetch(4, TOPIC),
        fetch_session(),
    ])
}

#[test]
fn offsets_of_millions_of_partitions() -> io::Result<()> {
    assert_bounded(vec![
        list_offsets("unknown"),
        list_offsets(TOPIC),
        offset_for_leader_epoch("unknown"),
        offset_for_leader_epoch(TOPIC),
        delete_records("unknown"),
        delete_records(TOPIC),
    ])
}

#[test]
fn metadata_of_millions_of_topics() -> io::Result<()> {
    assert_bounded(vec![
        metadata_of_names(),
        metadata_of_one_name(),
        metadata_of_ids(),
    ])
}

#[test]
fn configs_of_millions_of_resources() -> io::Result<()> {
    assert_bounded(vec![
        describe_configs(TOPIC),
        describe_configs("!"),
        describe_configs("u"),
        describe_configs_of_keys(),
    ])
}

#[test]
fn coordinators_of_millions_of_groups() -> io::Result<()> {
    assert_bounded(vec![find_coordinator(true), find_coordinator(false)])
}

#[test]
fn changes_of_millions_of_topics() -> io::Result<()> {
    assert_bounded(vec![
        create_topics(),
        create_topics_with_settings(),
        delete_topics(),
        create_partitions(),
        alter_configs(ALTER_CONFIGS),
        alter_configs(INCREMENTAL_ALTER_CONFIGS),
        alter_configs_of_keys(),
    ])
}

#[test]
fn many_large_requests_at_a_time_wait_for_one_another() -> io::Result<()> {
    const CONNECTIONS: usize = 40;
    const LIMIT_BYTES: u64 = 32 * MIB;
    // What the node keeps of buffers for the next requests.
    const KEPT_BYTES: u64 = 64 * MIB;
    let limit = LIMIT_BYTES.to_string();
    let setup = Setup::new().set("num.shards", "1");
    let setup = setup.set("socket.request.max.bytes", "16000000");
    let node = Node::start_with(setup.set("queued.max.request.bytes", &limit));
    if node.target() == Target::Kafka {
        return Ok(());
    }
    let frame = fetch(0, "unknown");
    let count = FRAME_BYTES / 16 / 4;
    let head = frame.body.0.len() - 16 * (FRAME_BYTES / 16);
    let mut body = Body(frame.body.0[..head + 16 * count].to_vec());
    body.0[head - 4..head].copy_from_slice(&(count as i32).to_be_bytes());
    let before = node.reset_peak_bytes();
    let (answered, waited) = while_witnessed(&node, || {
        thread::scope(|scope| {
            let asked: Vec<_> = (0..CONNECTIONS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut client = node.connect();
                        client.be_patient(Duration::from_secs(300))?;
                        client.send(frame.api_key, frame.version, &body)?;
                        Ok::<_, io::Error>(client.receive()?.map(|answer| answer.len()))
                    })
                })
                .collect();
            let answers = asked
                .into_iter()
                .map(|asked| asked.join().expect("it ends"));
            answers.collect::<io::Result<Vec<_>>>()
        })
    })?;
    let whole = fixed(4 + 2 + 7 + 4, 18, count);
    assert!(answered.iter().all(|bytes| *bytes == whole), "{answered:?}");
    let grown = node.peak_bytes().saturating_sub(before);
    let all = (CONNECTIONS * body.0.len()) as u64;
    println!(
        "{CONNECTIONS} frames, {} MiB in all: {} MiB of memory, others waited {waited:?}",
        all / MIB,
        grown / MIB
    );
    let one = TIMES_MAX * body.0.len() as u64;
    assert!(
        grown <= LIMIT_BYTES + KEPT_BYTES + one + BEYOND_BYTES,
        "{all} bytes at a time took {grown} bytes"
    );
    Ok(())
}
