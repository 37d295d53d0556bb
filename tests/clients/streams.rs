//! Shows: a Kafka Streams word count with `exactly_once_v2` over a real text counts every word
//! exactly once while the node is killed ten times.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use chiplog_tests::node::Node;
use chiplog_tests::state::{SOON, reach};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;

use crate::course;
use crate::program::{Program, fetched};

const PARTITIONS: i32 = 4;
const KILLS: u64 = 10;
/// So many parts of the text, as large as those between kills, are left at the last kill.
const PARTS_LEFT: u64 = 4;
/// So much of the text is counted.
const TEXT_BYTES: usize = 6_000_000;
/// The count reaches the end of what it was given within this time, kills included.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn exactly_once_word_count_survives_ten_kills_of_the_node() {
    let verses = fs::read_to_string(fetched("text/verses.txt")).expect("the text is UTF-8");
    let lines: Vec<&str> = first_bytes(&verses, TEXT_BYTES);
    let mut node = course::node();
    node.create_topic("lines", PARTITIONS);
    node.create_topic("counts", PARTITIONS);
    let state = TempDir::new().expect("a temporary directory can be made");
    let mut count = start(&node, &state);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", node.bootstrap())
        .set("enable.idempotence", "true")
        .create()
        .expect("valid settings");

    send(&producer, &lines);
    let wanted = words(&lines);
    let total: u64 = wanted.values().sum();
    let mut reader = CountReader::new(&node);
    for kill in 1..=KILLS {
        let counted = total * kill / (KILLS + PARTS_LEFT);
        reader.reach(counted, &mut count);
        node.kill();
        node.start_again();
    }
    reader.reach(total, &mut count);
    count.stop();
    reader.read_to_ends();
    assert_eq!(reader.counts.len(), wanted.len(), "different words");
    assert_eq!(reader.counts, wanted);
}

fn start(node: &Node, state: &TempDir) -> Program {
    let streams = fetched("streams");
    let mut command = Command::new("java");
    command
        .args([
            "-Xmx700m",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-cp",
        ])
        .arg(format!("{0}/classes:{0}/libs/*", streams.display()))
        .args([
            "WordCount",
            &node.bootstrap(),
            "word-count",
            "lines",
            "counts",
        ])
        .arg(state.path());
    Program::start(&mut command)
}

fn first_bytes(text: &str, bytes: usize) -> Vec<&str> {
    let mut taken = 0;
    let lines: Vec<&str> = text
        .lines()
        .take_while(|line| {
            let more = taken < bytes;
            taken += line.len() + 1;
            more
        })
        .collect();
    assert!(taken >= bytes, "the text has {taken} bytes");
    lines
}

/// How often each word occurs, split as the word count splits.
fn words(lines: &[&str]) -> HashMap<String, u64> {
    let mut counts = HashMap::new();
    for line in lines {
        for word in line.split(|c: char| !c.is_ascii_alphabetic()) {
            if !word.is_empty() {
                *counts.entry(word.to_ascii_lowercase()).or_default() += 1;
            }
        }
    }
    counts
}

fn send(producer: &BaseProducer, lines: &[&str]) {
    for line in lines {
        let mut record = BaseRecord::<(), str>::to("lines").payload(line);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    producer.poll(Duration::from_millis(20));
                }
                Err((error, _)) => panic!("librdkafka refuses a line: {error}"),
            }
        }
    }
    producer.flush(SOON).expect("all lines are delivered");
}

/// Reads the counts as a reader of committed records sees them.
struct CountReader {
    consumer: BaseConsumer,
    /// The last count of each word; the counts before it were 1, 2, 3 and so on.
    counts: HashMap<String, u64>,
    records: u64,
}

impl CountReader {
    fn new(node: &Node) -> CountReader {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", node.bootstrap())
            .set("group.id", "unused")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()
            .expect("valid settings");
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset("counts", partition, Offset::Beginning)
                .expect("a valid offset");
        }
        consumer.assign(&all).expect("the assignment is valid");
        CountReader {
            consumer,
            counts: HashMap::new(),
            records: 0,
        }
    }

    /// Waits until so many words were counted.
    fn reach(&mut self, records: u64, count: &mut Program) {
        reach("more words are counted", PATIENCE, || {
            count.assert_running();
            self.read(records);
            (self.records >= records).then_some(())
        });
    }

    /// Reads up to so many records or until nothing comes for a moment, and gives the partition
    /// whose end was met, if any.
    fn read(&mut self, records: u64) -> Option<i32> {
        while self.records < records {
            match self.consumer.poll(Duration::from_millis(100))? {
                Ok(message) => {
                    let text = |bytes: Option<&[u8]>| {
                        String::from_utf8(bytes.unwrap_or_default().to_vec())
                            .expect("words are UTF-8")
                    };
                    let word = text(message.key());
                    let count: u64 = text(message.payload()).parse().expect("a count");
                    let last = self.counts.entry(word.clone()).or_default();
                    assert_eq!(count, *last + 1, "the next count of {word}");
                    *last = count;
                    self.records += 1;
                }
                Err(KafkaError::PartitionEOF(partition)) => return Some(partition),
                // The node was killed, and will be back.
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown,
                )) => {}
                Err(error) => panic!("counts: {error}"),
            }
        }
        None
    }

    /// Reads everything that is there, from the places it has reached.
    fn read_to_ends(&mut self) {
        let places = self.consumer.position().expect("partitions are assigned");
        let mut all = TopicPartitionList::new();
        for place in places.elements() {
            let offset = match place.offset() {
                Offset::Offset(offset) => Offset::Offset(offset),
                _ => Offset::Beginning,
            };
            all.add_partition_offset("counts", place.partition(), offset)
                .expect("a valid offset");
        }
        // Assigned anew, each partition tells its end once more.
        self.consumer.assign(&all).expect("the assignment is valid");
        let mut ended = vec![false; usize::try_from(PARTITIONS).expect("not negative")];
        reach("the ends of the counts", SOON, || {
            if let Some(partition) = self.read(u64::MAX) {
                ended[usize::try_from(partition).expect("not negative")] = true;
            }
            (!ended.contains(&false)).then_some(())
        });
    }
}
