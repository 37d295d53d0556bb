//! `num.replica.alter.log.dirs.threads` says how many logs move at once.

use chiplog_tests::node::{Node, Setup};
use chiplog_tests::raw::{batch, produce_to};
use chiplog_tests::state::{SOON, reach};

use super::{alter, elsewhere, replicas, throttle, wait_until_in};

const TOPICS: [&str; 4] = ["a", "b", "c", "d"];

/// How much there is of each copy.
fn copied(node: &Node) -> Vec<i64> {
    let futures = TOPICS.iter().map(|topic| {
        let mut of_topic = replicas(node, topic).into_iter();
        let future = of_topic.find(|replica| replica.is_future);
        future.expect("it is on its way").size
    });
    futures.collect()
}

fn moving(threads: Option<&str>) -> Node {
    let setup = Setup::new().set("log.dirs", "data,more,most");
    let setup = setup.set("replica.fetch.max.bytes", "20000");
    let node = Node::start_with(match threads {
        Some(threads) => setup.set("num.replica.alter.log.dirs.threads", threads),
        None => setup,
    });
    throttle(&node, Some(40_000));
    let mut client = node.connect();
    for topic in TOPICS {
        node.create_topic(topic, 1);
        for _ in 0..50 {
            let (error, _) = produce_to(&mut client, topic, &batch(&[&[7; 20_000]])).expect("sent");
            assert_eq!(error, 0);
        }
    }
    for topic in TOPICS {
        assert_eq!(alter(&node, elsewhere(&node, topic), topic), 0);
    }
    node
}

#[test]
fn so_many_logs_move_at_once_as_there_are_threads() {
    let node = moving(Some("1"));
    reach("one has gone on for a while", SOON, || {
        let copied = copied(&node);
        let begun = copied.iter().filter(|bytes| **bytes > 0).count();
        assert!(begun <= 1, "{copied:?}");
        (copied.iter().sum::<i64>() > 100_000).then_some(())
    });
    let to = TOPICS.map(|topic| super::places(&node, topic).1.expect("it moves"));
    throttle(&node, None);
    for (topic, to) in TOPICS.iter().zip(to) {
        wait_until_in(&node, &to, topic);
    }
}

#[test]
fn as_many_logs_move_at_once_as_there_are_directories() {
    let node = moving(None);
    reach("three have begun, and no more", SOON, || {
        let copied = copied(&node);
        let begun = copied.iter().filter(|bytes| **bytes > 0).count();
        assert!(begun <= 3, "{copied:?}");
        (begun == 3 && copied.iter().sum::<i64>() > 100_000).then_some(())
    });
}
