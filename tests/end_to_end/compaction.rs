//! Shows: a compacted topic is compacted while the node serves it: readers keep getting the newest
//! record of each key, at its offset, whatever segments are replaced under them, and after a kill.

use std::collections::BTreeMap;

use chiplog_tests::node::{Node, Setup};
use chiplog_tests::state::{SOON, reach};
use rdkafka::Offset;
use rdkafka::message::Message;
use rdkafka::producer::BaseRecord;

use crate::librdkafka::{Sender, assert_all_delivered, consumer, read_to_ends};

const TOPIC: &str = "newest";
const KEYS: usize = 100;
const ROUNDS: usize = 4;
const RECORDS: usize = 5_000;

fn start() -> Node {
    Node::start_with(
        Setup::new()
            .set("log.cleaner.backoff.ms", "50")
            .set("log.cleaner.dedupe.buffer.size", "2000000")
            .set("log.segment.delete.delay.ms", "100"),
    )
}

/// Offset and value of the newest record of each key.
type Newest = BTreeMap<Vec<u8>, (i64, Option<Vec<u8>>)>;

/// The newest records, and how many records there are.
fn read(node: &Node) -> (Newest, usize) {
    let mut newest = BTreeMap::new();
    let mut count = 0;
    let mut last = -1;
    read_to_ends(
        &consumer(node, &[]),
        TOPIC,
        1,
        Offset::Beginning,
        |message| {
            assert!(message.offset() > last, "offsets rise");
            last = message.offset();
            let key = message.key().expect("a key").to_vec();
            let value = message.payload().map(<[u8]>::to_vec);
            newest.insert(key, (message.offset(), value));
            count += 1;
        },
    );
    (newest, count)
}

#[test]
fn the_newest_record_of_each_key_stays() {
    let mut node = start();
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "50000"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    node.create_topic_with(TOPIC, 1, &settings);
    let settings = [("compression.type", "lz4"), ("batch.size", "9000")];
    let mut expected = BTreeMap::new();
    for round in 0..ROUNDS {
        let producer = Sender::to(&node, &settings);
        for at in round * RECORDS..(round + 1) * RECORDS {
            let key = format!("key {}", at % KEYS).into_bytes();
            let value = format!("value {at} {}", ".".repeat(at % 90)).into_bytes();
            let record = BaseRecord::to(TOPIC).partition(0).key(&key[..]);
            producer.send(record.payload(&value[..]));
            expected.insert(key, (at as i64, Some(value)));
        }
        assert_all_delivered(&producer.finish(), RECORDS);
        // The cleaner is at work now and then.
        assert_eq!(read(&node).0, expected);
    }
    let left = reach("the log is compacted", SOON, || {
        let (newest, count) = read(&node);
        assert_eq!(newest, expected);
        (count < ROUNDS * RECORDS / 2).then_some(count)
    });
    assert!(left >= KEYS);
    node.kill();
    node.start_again();
    let (newest, count) = read(&node);
    assert_eq!(newest, expected);
    assert!(count <= left);
    reach("the cleaner's checkpoint is written", SOON, || {
        let path = node.log_directory().join("cleaner-offset-checkpoint");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.contains(&format!("{TOPIC} 0 ")).then_some(())
    });
}
