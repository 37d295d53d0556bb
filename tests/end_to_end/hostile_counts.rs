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
use chiplog_tests::raw::{API_VERSIONS, Body};

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
        if std::env::var_os("MEASURE").is_none() { assert!(
            grown <= TIMES_MAX * frame + BEYOND_BYTES,
            "{}: a frame of {frame} bytes took {grown} bytes",
            case.what
        ); } else { println!("    grown {} MiB of allowed {}", grown / MIB, (TIMES_MAX*frame+BEYOND_BYTES)/MIB); }
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
    let is_refused = |many: &Many| many.that_do_not_pass().0.len() > many.that_pass().0.len();
    let passing = all.iter().map(|many| Case {
        what: many.what,
        api_key: many.api_key,
        version: many.version,
        body: many.that_pass(),
        answer_bytes: None,
    });
    assert_bounded(passing.collect())?;
    let node = Node::start_with(Setup::new().set("num.shards", "1"));
    if node.target() == Target::Kafka {
        return Ok(());
    }
    for many in all.iter().filter(|many| is_refused(many)) {
        let body = many.that_do_not_pass();
        let mut client = node.connect();
        client.be_patient(Duration::from_secs(300))?;
        let before = node.reset_peak_bytes();
        client.send(many.api_key, many.version, &body)?;
        assert_eq!(client.receive()?, None, "{}", many.what);
        let grown = node.peak_bytes().saturating_sub(before);
        let allowed = 2 * body.0.len() as u64 + BEYOND_BYTES;
        assert!(grown <= allowed, "{}: {grown} bytes", many.what);
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
fn committed_offsets_of_very_many_partitions() -> io::Result<()> {
    assert_bounded_whole(whole::offsets())
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
