//! Shows: what a transaction wrote is seen by read_committed consumers all together and in order,
//! or never, also when the node is killed in the middle; a producer that takes over a
//! transactional id fences the one before; transactions that take too long are aborted.

use std::time::Duration;
use std::{fs, io, thread};

use chiplog_tests::node::{Node, Setup};
use chiplog_tests::raw::{Body, Connection, INIT_PRODUCER_ID};
use chiplog_tests::state::{SOON, reach};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::librdkafka::{Sender, consumer, read_to_ends};

const INVALID_TRANSACTION_TIMEOUT: i16 = 50;

/// A node with small internal topics, which looks often for transactions whose time is up.
pub fn setup() -> Setup {
    Setup::new()
        .set("transaction.state.log.replication.factor", "1")
        .set("transaction.state.log.min.isr", "1")
        .set("transaction.state.log.num.partitions", "5")
        .set("offsets.topic.replication.factor", "1")
        .set("offsets.topic.num.partitions", "5")
        .set("group.initial.rebalance.delay.ms", "0")
        .set(
            "transaction.abort.timed.out.transaction.cleanup.interval.ms",
            "200",
        )
}

/// A producer with a transactional id, not initialised.
pub fn producer(node: &Node, id: &str, timeout_ms: u32) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", node.bootstrap())
        .set("transactional.id", id)
        .set("transaction.timeout.ms", timeout_ms.to_string())
        .set("message.timeout.ms", timeout_ms.to_string())
        .create()
        .expect("valid settings")
}

/// The same, ready for its first transaction.
pub fn initialised(node: &Node, id: &str) -> BaseProducer {
    let producer = producer(node, id, 60_000);
    producer.init_transactions(SOON).expect("it is initialised");
    producer
}

/// Sends a value with the producer's transaction.
pub fn send(producer: &BaseProducer, topic: &str, partition: i32, value: &str) {
    let record: BaseRecord<'_, [u8], str> =
        BaseRecord::to(topic).partition(partition).payload(value);
    producer.send(record).expect("the queue is not full");
}

/// Commits a group's offset in the first partition of a topic with the producer's transaction.
pub fn send_offset(producer: &BaseProducer, group: &BaseConsumer, topic: &str, offset: i64) {
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(topic, 0, Offset::Offset(offset))
        .expect("a valid offset");
    let metadata = group.group_metadata().expect("it has a group");
    producer
        .send_offsets_to_transaction(&offsets, &metadata, SOON)
        .expect("the offsets are taken");
}

fn send_plain(sender: &Sender, topic: &str, partition: i32) {
    let (key, value): (&[u8], &[u8]) = (b"k", b"plain");
    let record = BaseRecord::to(topic).partition(partition);
    sender.send(record.key(key).payload(value));
}

/// One transaction with these values in each of three partitions.
fn transaction(producer: &BaseProducer, topic: &str, values: &[String]) {
    producer.begin_transaction().expect("none is open");
    for value in values {
        for partition in 0..3 {
            send(producer, topic, partition, value);
        }
    }
    producer.flush(SOON).expect("all is delivered");
}

fn values_of(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{name} {n}")).collect()
}

fn reader(node: &Node, isolation: &str) -> BaseConsumer {
    consumer(node, &[("isolation.level", isolation)])
}

/// What a consumer sees of each of the first `partitions` partitions.
pub fn seen(consumer: &BaseConsumer, topic: &str, partitions: i32) -> Vec<Vec<String>> {
    let mut seen = vec![Vec::new(); usize::try_from(partitions).expect("not negative")];
    read_to_ends(consumer, topic, partitions, Offset::Beginning, |message| {
        let value = message.payload().map(String::from_utf8_lossy);
        let at = usize::try_from(message.partition()).expect("not negative");
        seen[at].push(value.unwrap_or_default().into_owned());
    });
    seen
}

fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    error.rdkafka_error_code()
}

#[test]
fn committed_records_are_seen_in_order_and_aborted_ones_never() {
    let node = Node::start_with(setup());
    node.create_topic("ledger", 3);
    let producer = initialised(&node, "ledger");
    let plain = Sender::to(&node, &[]);
    let mut expected = Vec::new();
    for round in 0..10 {
        let values = values_of(&format!("round {round}"), 30);
        transaction(&producer, "ledger", &values);
        if round % 3 == 1 {
            producer.abort_transaction(SOON).expect("it is aborted");
        } else {
            producer.commit_transaction(SOON).expect("it is committed");
            expected.extend(values);
        }
    }
    let committed = || seen(&reader(&node, "read_committed"), "ledger", 3);
    // The end is told when it is decided; the markers come right after.
    reach("all markers are there", SOON, || {
        (committed() == vec![expected.clone(); 3]).then_some(())
    });
    let all = seen(&reader(&node, "read_uncommitted"), "ledger", 3);
    assert!(all.iter().all(|partition| partition.len() == 300));

    // An open transaction holds back what comes after it, and an end lets it go.
    let values = values_of("open", 2);
    transaction(&producer, "ledger", &values);
    send_plain(&plain, "ledger", 1);
    plain.finish();
    assert_eq!(committed(), vec![expected.clone(); 3]);
    producer.abort_transaction(SOON).expect("it is aborted");
    let mut with_plain = vec![expected; 3];
    with_plain[1].push("plain".to_owned());
    reach("the open transaction has ended", SOON, || {
        (committed() == with_plain).then_some(())
    });
}

#[test]
fn a_producer_that_takes_over_fences_the_one_before() {
    let node = Node::start_with(setup());
    node.create_topic("fenced", 3);
    let first = initialised(&node, "worker");
    transaction(&first, "fenced", &values_of("lost", 5));
    let second = initialised(&node, "worker");
    let refused = first.commit_transaction(SOON).expect_err("it is fenced");
    assert_eq!(code(&refused), Some(RDKafkaErrorCode::Fenced), "{refused}");
    let values = values_of("kept", 5);
    transaction(&second, "fenced", &values);
    second.commit_transaction(SOON).expect("it is committed");
    reach("only the second one's records are seen", SOON, || {
        let seen = seen(&reader(&node, "read_committed"), "fenced", 3);
        (seen == vec![values.clone(); 3]).then_some(())
    });
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    let node = Node::start_with(setup());
    node.create_topic("late", 3);
    let slow = producer(&node, "slow", 1_000);
    slow.init_transactions(SOON).expect("it is initialised");
    transaction(&slow, "late", &values_of("late", 5));
    let plain = Sender::to(&node, &[]);
    for partition in 0..3 {
        send_plain(&plain, "late", partition);
    }
    plain.finish();
    reach("the transaction is aborted", SOON, || {
        let seen = seen(&reader(&node, "read_committed"), "late", 3);
        (seen == vec![vec!["plain".to_owned()]; 3]).then_some(())
    });
    slow.commit_transaction(SOON).expect_err("its time is up");
}

#[test]
fn transaction_time_outs_are_limited() -> io::Result<()> {
    let node = Node::start_with(setup().set("transaction.max.timeout.ms", "5000"));
    let mut client = node.connect();
    for (timeout_ms, accepted) in [(0, false), (-1, false), (5_001, false), (5_000, true)] {
        let error = initialise(&node, &mut client, timeout_ms)?;
        let expected = if accepted {
            0
        } else {
            INVALID_TRANSACTION_TIMEOUT
        };
        assert_eq!(error, expected, "{timeout_ms}");
    }
    Ok(())
}

/// InitProducerId by hand; answers its error code.
fn initialise(node: &Node, client: &mut Connection, timeout_ms: i32) -> io::Result<i16> {
    // A client asks for the coordinator first, which makes its topic.
    drop(producer(node, "by hand", 1_000).init_transactions(SOON));
    let request = Body::new().string("by hand").i32(timeout_ms);
    let mut answer = client.try_ask(INIT_PRODUCER_ID, 0, &request)?;
    answer.i32(); // throttle time
    Ok(answer.i16())
}

/// Commits and kills the node as soon as the logs of that topic grow, or at once if none has that
/// name. Answers whether the producer was told that its transaction is committed.
fn commit_and_kill(node: &mut Node, producer: &BaseProducer, topic: &str) -> bool {
    let logs = node.files("log");
    let of_topic = |path: &&std::path::PathBuf| path.display().to_string().contains(topic);
    let logs: Vec<_> = logs.iter().filter(of_topic).collect();
    let sizes = || {
        let size = |log: &&std::path::PathBuf| fs::metadata(log).map_or(0, |log| log.len());
        logs.iter().map(size).collect::<Vec<_>>()
    };
    let before = sizes();
    thread::scope(|scope| {
        let commit = scope.spawn(|| producer.commit_transaction(Duration::from_secs(3)));
        while !logs.is_empty() && sizes() == before && !commit.is_finished() {
            thread::yield_now();
        }
        node.kill();
        commit.join().expect("it does not panic").is_ok()
    })
}

#[test]
fn transactions_survive_the_node() {
    let mut node = Node::start_with(setup());
    node.create_topic("survives", 3);
    let mut expected: Vec<String> = Vec::new();
    for round in 0..8u64 {
        let producer = producer(&node, "survivor", 2_000);
        producer.init_transactions(SOON).expect("it is initialised");
        let values = values_of(&format!("round {round}"), 20);
        transaction(&producer, "survives", &values);
        // The first rounds leave the transaction open; the others kill the node while it ends.
        let ended = if round < 2 {
            node.kill();
            None
        } else {
            let kill_at = match round % 3 {
                0 => "the request is sent",
                1 => "__transaction_state",
                _ => "survives-",
            };
            Some(commit_and_kill(&mut node, &producer, kill_at))
        };
        drop(producer);
        node.start_again();
        // Whoever comes next waits until what was decided is done, and aborts what was not.
        initialised(&node, "survivor");
        let seen = seen(&reader(&node, "read_committed"), "survives", 3);
        let with = [expected.as_slice(), values.as_slice()].concat();
        let is_there = seen[0] == with;
        expected = if is_there { with } else { expected };
        assert_eq!(
            seen,
            vec![expected.clone(); 3],
            "all of it or nothing, round {round}"
        );
        match ended {
            None => assert!(!is_there, "it was never committed"),
            Some(true) => assert!(is_there, "its producer was told that it is committed"),
            Some(false) => {}
        }
    }
}

#[test]
fn a_transaction_left_open_is_aborted_after_a_crash_though_nobody_comes_back() {
    let mut node = Node::start_with(setup());
    node.create_topic("orphan", 3);
    let orphan = producer(&node, "orphan", 1_500);
    orphan.init_transactions(SOON).expect("it is initialised");
    transaction(&orphan, "orphan", &values_of("orphan", 3));
    node.kill();
    drop(orphan);
    node.start_again();
    let plain = Sender::to(&node, &[]);
    for partition in 0..3 {
        send_plain(&plain, "orphan", partition);
    }
    plain.finish();
    reach("the transaction is aborted", SOON, || {
        let seen = seen(&reader(&node, "read_committed"), "orphan", 3);
        (seen == vec![vec!["plain".to_owned()]; 3]).then_some(())
    });
    let client = reader(&node, "read_committed");
    let (_, end) = client
        .fetch_watermarks("orphan", 0, SOON)
        .expect("it answers");
    assert!(end > 4, "a marker is in the log: {end}");
}

#[test]
fn offsets_are_committed_with_their_transaction_or_not_at_all() {
    let mut node = Node::start_with(setup());
    node.create_topic("source", 1);
    node.create_topic("sink", 3);
    let group = consumer(&node, &[("group.id", "copier")]);
    let producer = initialised(&node, "copier");
    let committed = |group: &BaseConsumer| {
        let mut asked = TopicPartitionList::new();
        asked.add_partition("source", 0);
        let told = group.committed_offsets(asked, SOON);
        told.expect("the coordinator answers").elements()[0].offset()
    };
    for (offset, commits) in [(3, true), (7, false), (9, true), (12, false)] {
        let before = committed(&group);
        transaction(&producer, "sink", &values_of("copied", 1));
        send_offset(&producer, &group, "source", offset);
        // While it is open, a client that asks for stable offsets has to ask again.
        let expected = if commits {
            producer.commit_transaction(SOON).expect("it is committed");
            Offset::Offset(offset)
        } else {
            producer.abort_transaction(SOON).expect("it is aborted");
            before
        };
        reach("the end has reached the group", SOON, || {
            (committed(&group) == expected).then_some(())
        });
    }
    drop(producer);
    node.kill();
    node.start_again();
    let group = consumer(&node, &[("group.id", "copier")]);
    assert_eq!(committed(&group), Offset::Offset(9));
}
