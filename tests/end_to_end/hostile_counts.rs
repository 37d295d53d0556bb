//! Shows: a frame that names millions of things costs the node a small multiple of its size, for
//! every API: decoded form, plan and answer together. Meanwhile other connections are served, and
//! what the frame asks for is answered to the last element.

mod frames;
mod whole;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::raw::{API_VERSIONS, Body, FIND_COORDINATOR};
use chiplog_tests::state::{SOON, reach};

use frames::*;
use whole::Many;

const MIB: u64 = 1024 * 1024;

/// What a request may take, for each byte of its frame, and beyond that: `ARCHITECTURE.md`.
const TIMES_MAX: u64 = 8;
const BEYOND_BYTES: u64 = 24 * MIB;
/// Of a build for debugging, on a machine that does other things too.
const WITNESS_WAITS_MAX: Duration = Duration::from_secs(8);

fn assert_bounded(cases: Vec<Case>) -> io::Result<()> {
    let node = Node::start_with(Setup::new().set("num.shards", "1"));
    assert_bounded_on(&node, cases)
}

fn assert_bounded_on(node: &Node, cases: Vec<Case>) -> io::Result<()> {
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
        let (answer, waited) = while_witnessed(node, || {
            client.send(case.api_key, case.version, &case.body)?;
            client.receive()
        })?;
        let grown = node.peak_bytes().saturating_sub(before);
        let frame = case.body.0.len() as u64;
        println!(
            "{}: frame {} KiB, {:.1} times as much memory, {:.2} of what it may, answer {} MiB, {:?}, others waited {waited:?}",
            case.what,
            frame / 1024,
            grown as f64 / frame as f64,
            grown as f64 / (TIMES_MAX * frame + BEYOND_BYTES) as f64,
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

/// Requests that are decoded whole: what passes is answered within the bound, and what a frame of
/// 16 MiB holds is refused, with the connection, before anything is made of it.
fn assert_bounded_whole(all: Vec<Many>) -> io::Result<()> {
    for many in all {
        // A node of its own: memory that an earlier request gave back is not taken anew.
        let node = node_with_coordinators();
        let case = Case {
            what: many.what,
            api_key: many.api_key,
            version: many.version,
            body: many.that_pass(),
            answer_bytes: None,
        };
        let passes = case.body.0.len();
        assert_bounded_on(&node, vec![case])?;
        let body = many.that_do_not_pass();
        if node.target() == Target::Kafka || body.0.len() == passes {
            continue;
        }
        let mut client = node.connect();
        client.be_patient(Duration::from_secs(300))?;
        let before = node.reset_peak_bytes();
        client.send(many.api_key, many.version, &body)?;
        assert_eq!(client.receive()?, None, "{}", many.what);
        let grown = node.peak_bytes().saturating_sub(before);
        let allowed = TIMES_MAX * body.0.len() as u64 + BEYOND_BYTES;
        assert!(grown <= allowed, "{}: {grown} bytes", many.what);
    }
    Ok(())
}

/// A node where the topics of groups and of transactions are there, with all their partitions.
fn node_with_coordinators() -> Node {
    let node = Node::start_with(Setup::new().set("num.shards", "1"));
    for (key, kind) in [("g", 0), ("t", 1)] {
        let body = Body::new().string(key).i8(kind);
        reach("a coordinator", SOON, || {
            let mut answer = node.connect().ask(FIND_COORDINATOR, 1, &body);
            answer.i32();
            (answer.i16() == 0).then_some(())
        });
    }
    node
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
fn committed_offsets_of_very_many_partitions() -> io::Result<()> {
    assert_bounded_whole(whole::offsets())
}

#[test]
fn a_commit_of_100_000_partitions_is_answered() -> io::Result<()> {
    const PARTITIONS: i32 = 100_000;
    let node = node_with_coordinators();
    node.create_topic(TOPIC, 1);
    let head = Body::new().string("g").i32(-1).string("").i64(-1);
    let head = head.i32(1).string(TOPIC).i32(PARTITIONS);
    let each = many(PARTITIONS as usize, |body, n| body.i32(n).i64(5).string(""));
    let mut client = node.connect();
    let mut answer = client.ask(8, 2, &head.raw(&each.0));
    assert_eq!((answer.i32(), answer.string()), (1, Some(TOPIC.to_owned())));
    assert_eq!(answer.i32(), PARTITIONS);
    let mut codes: Vec<_> = (0..PARTITIONS)
        .map(|_| (answer.i32(), answer.i16()))
        .collect();
    codes.sort_unstable();
    let unknown = (1..PARTITIONS).map(|n| (n, 3));
    let expected: Vec<_> = [(0, 0)].into_iter().chain(unknown).collect();
    assert!(codes == expected, "{:?}", &codes[..5]);
    Ok(())
}

#[test]
fn a_commit_in_portions_holds_whole_or_not_at_all() {
    const INVALID_COMMIT_OFFSET_SIZE: i16 = 28;
    let node = node_with_coordinators();
    if node.target() == Target::Kafka {
        return; // It takes a partition that is named again as one.
    }
    node.create_topic(TOPIC, 1);
    let mut client = node.connect();
    // The first fits into a batch of 1 MiB, the second does not.
    for (count, from, expected) in [(10_000, 0, 0), (30_000, 50_000, INVALID_COMMIT_OFFSET_SIZE)] {
        let head = Body::new().string("g").i32(-1).string("").i64(-1);
        let head = head.i32(1).string(TOPIC).i32(count);
        let each = (0..count).fold(head, |body, n| {
            body.i32(0).i64((from + n).into()).string("")
        });
        let mut answer = client.ask(8, 2, &each);
        assert_eq!((answer.i32(), answer.string()), (1, Some(TOPIC.to_owned())));
        assert_eq!(answer.i32(), count);
        for n in 0..count {
            assert_eq!(
                (answer.i32(), answer.i16()),
                (0, expected),
                "{n} of {count}"
            );
        }
        let fetch = Body::new().string("g").i32(1).string(TOPIC).i32(1).i32(0);
        let mut answer = client.ask(9, 1, &fetch);
        assert_eq!((answer.i32(), answer.string()), (1, Some(TOPIC.to_owned())));
        assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
        assert_eq!(answer.i64(), 9_999, "the last one holds");
    }
}

#[test]
fn very_many_groups_and_members() -> io::Result<()> {
    assert_bounded_whole(whole::groups())
}

#[test]
fn very_many_transactions_and_their_partitions() -> io::Result<()> {
    assert_bounded_whole(whole::transactions())
}

#[test]
fn administration_of_very_many_things() -> io::Result<()> {
    assert_bounded_whole(whole::administration())
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
