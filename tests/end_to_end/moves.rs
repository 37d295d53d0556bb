//! Shows: a partition's log moves between the node's log directories while it is written and read, and
//! no record is lost or out of order: with an idempotent producer, through `kill -9`, for compacted
//! topics and those of groups; Kafka's tools ask for it and see it, and Kafka goes on with what is left.

mod starts;
mod threads;
mod tools;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use chiplog_tests::java::{Tool, run};
use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::raw::{Body, DELETE_TOPICS, batch, end_offset, produce_to};
use chiplog_tests::state::{SOON, reach};
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::producer::BaseRecord;

use crate::librdkafka::{Sender, assert_all_delivered, consumer};

const ALTER_REPLICA_LOG_DIRS: i16 = 34;
const DESCRIBE_LOG_DIRS: i16 = 35;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const KAFKA_STORAGE_ERROR: i16 = 56;
const LOG_DIR_NOT_FOUND: i16 = 57;
/// More than the moves of a test take.
const SENT_MAX: u32 = 200_000;
const THROTTLE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

/// A node with the log directories `data`, `more` and `most`.
fn node() -> Node {
    Node::start_with(Setup::new().set("log.dirs", "data,more,most"))
}

fn directory(node: &Node, name: &str) -> PathBuf {
    node.log_directory().with_file_name(name)
}

/// Asks that a replica be in one of the directories.
fn alter(node: &Node, name: &str, topic: &str) -> i16 {
    let path = directory(node, name).display().to_string();
    let body = Body::new().i32(1).string(&path).i32(1).string(topic);
    let mut answer = node
        .connect()
        .ask(ALTER_REPLICA_LOG_DIRS, 1, &body.i32(1).i32(0));
    answer.i32(); // throttle time
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
    assert_eq!((answer.i32(), answer.i32()), (1, 0));
    answer.i16()
}

/// One log as the node tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Replica {
    directory: String,
    size: i64,
    lag: i64,
    is_future: bool,
}

/// The logs of partition 0 of a topic.
fn replicas(node: &Node, topic: &str) -> Vec<Replica> {
    let mut answer = node
        .connect()
        .ask(DESCRIBE_LOG_DIRS, 1, &Body::new().i32(-1));
    answer.i32(); // throttle time
    let mut found = Vec::new();
    for _ in 0..answer.i32() {
        let error = answer.i16();
        let path = answer.string().expect("a path");
        let name = Path::new(&path).file_name().expect("a name");
        for _ in 0..answer.i32() {
            let of = answer.string();
            for _ in 0..answer.i32() {
                let partition = answer.i32();
                let replica = Replica {
                    directory: name.to_str().expect("plain").to_owned(),
                    size: answer.i64(),
                    lag: answer.i64(),
                    is_future: answer.i8() != 0,
                };
                if of.as_deref() == Some(topic) && partition == 0 {
                    assert_eq!(error, 0);
                    found.push(replica);
                }
            }
        }
    }
    found
}

/// Where the log of a topic is, and where it is going.
fn places(node: &Node, topic: &str) -> (String, Option<String>) {
    let of = |is_future| {
        let mut of = replicas(node, topic)
            .into_iter()
            .filter(move |replica| replica.is_future == is_future);
        of.next().map(|replica| replica.directory)
    };
    (of(false).expect("a log"), of(true))
}

fn wait_until_in(node: &Node, name: &str, topic: &str) {
    reach("the log has moved", 2 * SOON, || {
        (places(node, topic) == (name.to_owned(), None)).then_some(())
    });
}

/// A directory that the log is not in.
fn elsewhere(node: &Node, topic: &str) -> &'static str {
    let (is_in, _) = places(node, topic);
    if is_in == "more" { "most" } else { "more" }
}

/// Sets how many bytes a second are copied, or lets them be as many as may be.
fn throttle(node: &Node, bytes_per_second: Option<u32>) {
    let change = match bytes_per_second {
        Some(rate) => ["--add-config".to_owned(), format!("{THROTTLE}={rate}")],
        None => ["--delete-config".to_owned(), THROTTLE.to_owned()],
    };
    let bootstrap = node.bootstrap();
    let mut words = vec!["--bootstrap-server", &bootstrap, "--alter"];
    words.extend(["--entity-type", "brokers", "--entity-default"]);
    words.extend(change.iter().map(|word| &**word));
    run(Tool::Configs, &words).succeeded();
}

/// The directories of a partition, of every kind.
fn directories_of(node: &Node, topic: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for name in ["data", "more", "most"] {
        for entry in fs::read_dir(directory(node, name)).expect("it is there") {
            let entry = entry.expect("a name").file_name();
            let entry = entry.to_str().expect("plain");
            if let Some(rest) = entry.strip_prefix(&format!("{topic}-0")) {
                let kind = rest.rsplit_once('-').map_or("", |(_, kind)| kind);
                found.insert(format!("{name}/{kind}"));
            }
        }
    }
    found
}

fn send(sender: &Sender, topic: &str, number: u32) {
    let value = format!("{number:08}{}", "x".repeat(500));
    let key = number.to_be_bytes();
    sender.send(
        BaseRecord::to(topic)
            .partition(0)
            .key(&key[..])
            .payload(value.as_bytes()),
    );
}

/// Reads `count` records and checks that they are those that were sent, in their order.
fn assert_in_order(node: &Node, topic: &str, count: u32) {
    let reader = consumer(node, &[]);
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(topic, 0, rdkafka::Offset::Beginning)
        .expect("valid");
    reader.assign(&list).expect("assigned");
    let mut next = 0;
    while next < count {
        let message = match reader.poll(SOON) {
            Some(Ok(message)) => message,
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => continue,
            other => panic!("after {next} records: {other:?}"),
        };
        let value = message.payload().expect("a value");
        assert_eq!(value[..8], *format!("{next:08}").as_bytes());
        assert_eq!(message.offset(), i64::from(next));
        next += 1;
    }
}

fn dump(node: &Node, name: &str, topic: &str) {
    if node.target() == Target::Kafka {
        return; // The indexes of its active segment are longer than what is in them.
    }
    let mut files: Vec<_> = fs::read_dir(directory(node, name).join(format!("{topic}-0")))
        .expect("it is there")
        .map(|entry| entry.expect("a name").path())
        .collect();
    files.sort();
    let of = |kind: &str| {
        let of = files
            .iter()
            .filter(|path| path.extension().is_some_and(|it| it == kind));
        let names: Vec<_> = of.map(|path| path.display().to_string()).collect();
        names.join(",")
    };
    let logs = of("log");
    let printed = run(Tool::DumpLog, &["--deep-iteration", "--files", &logs]).succeeded();
    for bad in ["isvalid: false", "Found", "Mismatches", "Exception"] {
        assert!(!printed.contains(bad), "{printed}");
    }
    for kind in ["index", "timeindex"] {
        let printed = run(
            Tool::DumpLog,
            &["--index-sanity-check", "--files", &of(kind)],
        );
        let printed = printed.succeeded();
        for line in printed.lines().filter(|line| !line.starts_with("Dumping ")) {
            let sound = line.contains("passed sanity check") || line.ends_with("is empty.");
            assert!(sound, "{printed}");
        }
    }
}

#[test]
fn a_log_moves_to_and_fro_while_it_is_written_and_read() {
    let node = node();
    node.create_topic_with("busy", 1, &[("segment.bytes", "1048576")]);
    let settings = [("enable.idempotence", "true"), ("batch.size", "16384")];
    let sender = Sender::to(&node, &settings);
    let is_over = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut sent = 0;
            while sent < SENT_MAX && !is_over.load(Ordering::Relaxed) {
                send(&sender, "busy", sent);
                sent += 1;
            }
            sent
        });
        reach("there is something to move", SOON, || {
            (end_offset(&mut node.connect(), "busy") > 5_000).then_some(())
        });
        let reader = scope.spawn(|| assert_in_order(&node, "busy", 20_000));
        for _ in 0..4 {
            let to = elsewhere(&node, "busy");
            assert_eq!(alter(&node, to, "busy"), 0);
            wait_until_in(&node, to, "busy");
        }
        reader.join().expect("all is read");
        is_over.store(true, Ordering::Relaxed);
        writer.join().expect("all is sent")
    });
    let deliveries = sender.finish();
    assert_all_delivered(&deliveries, sent as usize);
    let offsets = deliveries.iter().map(|one| one.expect("delivered").1);
    assert!(offsets.eq(0..i64::from(sent)), "each once, in order");
    assert_in_order(&node, "busy", sent);
    let (is_in, _) = places(&node, "busy");
    dump(&node, &is_in, "busy");
}

#[test]
fn a_move_goes_on_after_a_kill_and_a_stop() {
    let mut node = node();
    node.create_topic_with("long", 1, &[("segment.bytes", "1048576")]);
    let (is_in, _) = places(&node, "long");
    let to = elsewhere(&node, "long");
    let first = Sender::to(&node, &[("enable.idempotence", "true")]);
    (0..8_000).for_each(|number| send(&first, "long", number));
    assert_all_delivered(&first.finish(), 8_000);
    throttle(&node, Some(100_000));
    assert_eq!(alter(&node, to, "long"), 0);
    let is_half_way = |node: &Node| {
        reach("it is being moved", SOON, || {
            let replicas = replicas(node, "long");
            let future = replicas.iter().find(|replica| replica.is_future)?;
            assert!(future.lag > 0 && future.directory == to, "{future:?}");
            (future.size > 0).then_some(future.lag)
        })
    };
    let lag = is_half_way(&node);
    node.kill();
    node.start_again();
    assert!(is_half_way(&node) <= lag, "it goes on where it was");
    assert_eq!(places(&node, "long"), (is_in, Some(to.to_owned())));
    let second = Sender::to(&node, &[("enable.idempotence", "true")]);
    (8_000..9_000).for_each(|number| send(&second, "long", number));
    assert_all_delivered(&second.finish(), 1_000);
    node.stop();
    node.start_again();
    assert!(is_half_way(&node) <= lag + 1_000);
    throttle(&node, None);
    wait_until_in(&node, to, "long");
    assert_in_order(&node, "long", 9_000);
    node.kill();
    node.start_again();
    assert_in_order(&node, "long", 9_000);
    dump(&node, to, "long");
}

#[test]
fn a_move_may_be_ended_replaced_and_overtaken_by_the_topics_deletion() -> io::Result<()> {
    let node = node();
    node.create_topic("here", 1);
    let (is_in, _) = places(&node, "here");
    let others: Vec<&str> = ["data", "more", "most"]
        .into_iter()
        .filter(|name| *name != is_in)
        .collect();
    let mut client = node.connect();
    for _ in 0..20 {
        let (error, _) = produce_to(&mut client, "here", &batch(&[&[7; 50_000]]))?;
        assert_eq!(error, 0);
    }
    throttle(&node, Some(1));
    assert_eq!(alter(&node, others[0], "here"), 0);
    assert_eq!(alter(&node, others[0], "here"), 0, "it is on its way");
    assert_eq!(
        places(&node, "here"),
        (is_in.clone(), Some(others[0].into()))
    );
    assert_eq!(alter(&node, others[1], "here"), 0);
    assert_eq!(
        places(&node, "here"),
        (is_in.clone(), Some(others[1].into()))
    );
    let kinds = directories_of(&node, "here");
    assert!(
        kinds.contains(&format!("{}/delete", others[0])),
        "{kinds:?}"
    );
    assert_eq!(alter(&node, &is_in, "here"), 0);
    assert_eq!(places(&node, "here"), (is_in.clone(), None));
    assert_eq!(end_offset(&mut client, "here"), 20);

    assert_eq!(alter(&node, others[0], "here"), 0);
    let body = Body::new().i32(1).string("here").i32(30_000);
    let mut answer = node.connect().ask(DELETE_TOPICS, 1, &body);
    answer.i32(); // throttle time
    assert_eq!(
        (answer.i32(), answer.string().as_deref()),
        (1, Some("here"))
    );
    assert_eq!(answer.i16(), 0);
    assert_eq!(replicas(&node, "here"), []);
    let kinds = directories_of(&node, "here");
    assert!(
        kinds.iter().all(|kind| kind.ends_with("/delete")),
        "{kinds:?}"
    );
    Ok(())
}

#[test]
fn a_partition_to_come_is_made_where_it_was_wished() -> io::Result<()> {
    let node = node();
    for name in ["data", "more", "most"] {
        assert_eq!(alter(&node, name, name), UNKNOWN_TOPIC_OR_PARTITION);
    }
    let nowhere = directory(&node, "nowhere").display().to_string();
    let body = Body::new().i32(1).string(&nowhere).i32(1).string("data");
    let mut answer = node
        .connect()
        .ask(ALTER_REPLICA_LOG_DIRS, 1, &body.i32(1).i32(0));
    let _ = (answer.i32(), answer.i32(), answer.string());
    assert_eq!((answer.i32(), answer.i32()), (1, 0));
    assert_eq!(answer.i16(), LOG_DIR_NOT_FOUND);
    for name in ["most", "more", "data"] {
        node.create_topic(name, 1);
        assert_eq!(places(&node, name), (name.to_owned(), None));
    }
    Ok(())
}

/// Produces until the node says that it cannot be stored.
fn produce_until_refused(node: &Node, topic: &str) -> i16 {
    let mut client = node.connect();
    reach("the directory has failed", SOON, || {
        let produced = produce_to(&mut client, topic, &batch(&[&[7; 50_000]]));
        Some(produced.expect("an answer").0).filter(|error| *error != 0)
    })
}

#[test]
fn a_destination_that_fails_ends_the_move_and_a_source_that_fails_holds_it() -> io::Result<()> {
    if Target::of_this_run() == Target::Kafka {
        return Ok(()); // It waits for its own look at the directories.
    }
    let (from, to) = ("more", "most"); // The directory with the metadata has to stay.
    for fails in [from, to] {
        let node = node();
        assert_eq!(alter(&node, from, "t"), UNKNOWN_TOPIC_OR_PARTITION);
        node.create_topic_with("t", 1, &[("segment.bytes", "200000")]);
        let mut client = node.connect();
        for _ in 0..30 {
            let (error, _) = produce_to(&mut client, "t", &batch(&[&[7; 50_000]]))?;
            assert_eq!(error, 0);
        }
        throttle(&node, Some(1));
        assert_eq!(alter(&node, to, "t"), 0);
        assert_eq!(places(&node, "t"), (from.into(), Some(to.into())));
        let lost = fs::read_dir(directory(&node, fails))?
            .map(|entry| entry.expect("a name").path())
            .find(|path| path.display().to_string().contains("/t-0"));
        fs::remove_dir_all(lost.expect("it is there"))?;
        if fails == from {
            assert_eq!(produce_until_refused(&node, "t"), KAFKA_STORAGE_ERROR);
            let [copy] = &replicas(&node, "t")[..] else {
                panic!("the copy is told of");
            };
            assert!(copy.is_future && copy.lag == -1, "{copy:?}");
        } else {
            throttle(&node, None);
            reach("the move is over", SOON, || {
                node.output().contains("stays where it is").then_some(())
            });
            assert_eq!(places(&node, "t"), (from.into(), None));
            let (error, _) = produce_to(&mut client, "t", &batch(&[b"on"]))?;
            assert_eq!(error, 0);
        }
        for to in [to, "data"] {
            assert_eq!(alter(&node, to, "t"), KAFKA_STORAGE_ERROR);
        }
    }
    Ok(())
}
