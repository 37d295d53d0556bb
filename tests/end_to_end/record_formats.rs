//! Shows: record sets of all formats are taken and refused as Kafka takes and refuses them, and
//! clients of every age are given the same records as Kafka gives them.

use chiplog_tests::java::{Tool, run};
use chiplog_tests::messages::{GZIP, LOG_APPEND_TIME, Message, at_time, changed, gzip};
use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::raw::{Body, Connection, FETCH, LIST_OFFSETS, PRODUCE, batch};
use rdkafka::message::Message as _;
use rdkafka::producer::BaseRecord;
use rdkafka::topic_partition_list::Offset;

use crate::librdkafka::{Sender, assert_all_delivered, consumer, read_to_ends};

const PLAIN: &str = "plain";
const UNCOMPRESSED: &str = "uncompressed";
const GZIPPED: &str = "gzipped";
const ZSTD: &str = "zstd";
const COMPACTED: &str = "compacted";
const TIMELY: &str = "timely";
const STAMPED: &str = "stamped";
const SMALL: &str = "small";
const NOT_CONVERTED: &str = "not-converted";

const TOPICS: [(&str, &[(&str, &str)]); 9] = [
    (PLAIN, &[]),
    (UNCOMPRESSED, &[("compression.type", "uncompressed")]),
    (GZIPPED, &[("compression.type", "gzip")]),
    (ZSTD, &[("compression.type", "zstd")]),
    (COMPACTED, &[("cleanup.policy", "compact")]),
    (TIMELY, &[("message.timestamp.before.max.ms", "3600000")]),
    (STAMPED, &[("message.timestamp.type", "LogAppendTime")]),
    (SMALL, &[("max.message.bytes", "200")]),
    (NOT_CONVERTED, &[("message.downconversion.enable", "false")]),
];

/// Longer ago than any limit here, and the same on every run.
const LONG_AGO_MS: i64 = 1_000_000;

/// What a node said to a record set: error code, first offset, and which records it refused.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    error: i16,
    offset: i64,
    refused: Vec<i32>,
}

fn produce(client: &mut Connection, version: i16, topic: &str, records: &[u8]) -> Said {
    let mut body = Body::new();
    if version >= 3 {
        body = body.i16(-1);
    }
    let body = body.i16(-1).i32(30_000).i32(1).string(topic);
    let body = body.i32(1).i32(0).bytes(records);
    let mut answer = client.ask(PRODUCE, version, &body);
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
    assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
    let (error, offset) = (answer.i16(), answer.i64());
    let mut refused = Vec::new();
    if version >= 8 {
        answer.i64(); // time of append
        answer.i64(); // log start offset
        for _ in 0..answer.i32() {
            refused.push(answer.i32());
            answer.string();
        }
    }
    Said {
        error,
        offset,
        refused,
    }
}

/// Error code and records from `offset` on.
fn fetch(client: &mut Connection, version: i16, topic: &str, offset: i64) -> (i16, Vec<u8>) {
    let mut body = Body::new().i32(-1).i32(0).i32(1);
    if version >= 3 {
        body = body.i32(1 << 20);
    }
    if version >= 4 {
        body = body.i8(0);
    }
    let body = body.i32(1).string(topic).i32(1).i32(0).i64(offset);
    let mut answer = client.ask(FETCH, version, &body.i32(1 << 20));
    if version >= 1 {
        answer.i32(); // throttle time
    }
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
    assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
    let error = answer.i16();
    answer.i64(); // high watermark
    if version >= 4 {
        answer.i64(); // last stable offset
        answer.i32(); // aborted transactions
    }
    (error, answer.bytes())
}

/// Three messages; the second has no key.
fn old(magic: i8, attributes: i8) -> Vec<u8> {
    let message = |offset: i64, key: Option<&[u8]>, value: Option<&[u8]>| {
        let timestamp_ms = LONG_AGO_MS - offset;
        let message = Message {
            magic,
            offset,
            attributes,
            timestamp_ms,
            key,
            value,
        };
        message.encode()
    };
    [
        message(0, Some(b"k"), Some(b"one")),
        message(1, None, Some(b"two")),
        message(2, Some(b"k"), None),
    ]
    .concat()
}

fn wrapped(magic: i8, attributes: i8, offset: i64, content: &[u8]) -> Vec<u8> {
    let value = gzip(content);
    let wrapper = Message {
        magic,
        offset,
        attributes: attributes | GZIP,
        timestamp_ms: LONG_AGO_MS,
        key: None,
        value: Some(&value),
    };
    wrapper.encode()
}

/// Record sets for every topic: what they are, and the version of Produce they come by.
fn sets() -> Vec<(&'static str, i16, Vec<u8>)> {
    let new = batch(&[b"first", b"second", b"third"]);
    let large = batch(&[&[b'x'; 300]]);
    let gzipped = {
        let mut batch = new[..61].to_vec();
        batch.extend(gzip(&new[61..]));
        let length = i32::try_from(batch.len() - 12).expect("it is small");
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        changed(&batch, 21, &i16::from(GZIP).to_be_bytes())
    };
    let append_time = i16::from(LOG_APPEND_TIME);
    let mut wrong_crc = old(1, 0);
    wrong_crc[14] ^= 1;
    let partial = [&old(1, 0)[..], &old(1, 0)[..20]].concat();
    let nested = wrapped(1, 0, 0, &wrapped(1, 0, 0, &old(1, 0)));
    let mixed = [old(1, 0), old(0, 0)].concat();
    vec![
        ("batch", 3, at_time(&new, LONG_AGO_MS)),
        ("batch told of records", 8, at_time(&new, LONG_AGO_MS)),
        ("batch of now", 8, new.clone()),
        ("gzip", 8, at_time(&gzipped, LONG_AGO_MS)),
        ("large batch", 8, at_time(&large, LONG_AGO_MS)),
        ("no timestamp", 8, at_time(&new, -1)),
        (
            "claim of append time",
            8,
            changed(&at_time(&new, LONG_AGO_MS), 21, &append_time.to_be_bytes()),
        ),
        (
            "control batch",
            8,
            changed(&new, 21, &0x20_i16.to_be_bytes()),
        ),
        (
            "producer without sequence",
            8,
            changed(&new, 43, &7_i64.to_be_bytes()),
        ),
        ("offset not 0", 8, changed(&new, 0, &1_i64.to_be_bytes())),
        ("two batches", 8, [&new[..], &new].concat()),
        ("nothing", 8, Vec::new()),
        ("zstd of old", 3, changed(&new, 21, &4_i16.to_be_bytes())),
        ("wrong count", 8, changed(&new, 57, &2_i32.to_be_bytes())),
        ("magic 0", 0, old(0, 0)),
        ("magic 0 by version 1", 1, old(0, 0)),
        ("magic 1", 2, old(1, 0)),
        ("magic 1 by version 3", 3, old(1, 0)),
        ("magic 1, append time", 2, old(1, LOG_APPEND_TIME)),
        ("wrapper of magic 0", 0, wrapped(0, 0, 2, &old(0, 0))),
        ("wrapper of magic 1", 2, wrapped(1, 0, 2, &old(1, 0))),
        ("wrapper with offset 0", 2, wrapped(1, 0, 0, &old(1, 0))),
        ("wrapper with offset 1", 2, wrapped(1, 0, 1, &old(1, 0))),
        (
            "wrapper, append time",
            2,
            wrapped(1, LOG_APPEND_TIME, 2, &old(1, 0)),
        ),
        ("empty wrapper", 2, wrapped(1, 0, 0, &[])),
        ("wrapper in a wrapper", 2, nested),
        ("two wrappers", 2, wrapped(1, 0, 2, &old(1, 0)).repeat(2)),
        ("other magic in a wrapper", 2, wrapped(1, 0, 2, &old(0, 0))),
        ("two formats", 2, mixed),
        ("wrong CRC", 2, wrong_crc),
        ("and a part", 2, partial),
        ("only a part", 2, old(1, 0)[..20].to_vec()),
        ("nothing of old", 2, Vec::new()),
        ("batch by version 2", 2, at_time(&new, LONG_AGO_MS)),
        ("two batches by version 2", 2, [&new[..], &new].concat()),
    ]
}

/// Which of two things that are wrong with a set is told is left to us.
fn is_ours_to_choose(topic: &str, name: &str) -> bool {
    (topic, name) == (TIMELY, "two formats")
}

/// Offset, format, and what else is compared of a batch or message.
type Outline = (i64, i8, Vec<u8>);

/// What a set says that does not depend on the codec's implementation or on the clock: of each
/// batch the attributes, offsets and counts, of each message its format and offset.
fn outline(set: &[u8]) -> Vec<Outline> {
    let mut outline = Vec::new();
    let mut rest = set;
    while rest.len() > 21 {
        let offset = i64::from_be_bytes(rest[..8].try_into().expect("eight bytes"));
        if offset == -1 {
            break; // Kafka fills up with a message that is larger than the answer.
        }
        let size = i32::from_be_bytes(rest[8..12].try_into().expect("four bytes"));
        let size = usize::try_from(size).expect("not negative") + 12;
        let said = match rest[16] {
            2 => [&rest[21..27], &rest[43..61]].concat(),
            _ => rest[17..18].to_vec(),
        };
        outline.push((offset, rest[16].cast_signed(), said));
        rest = rest.get(size..).unwrap_or_default();
    }
    outline
}

/// Whether two outlines are the same but for the last messages: what is converted ends where the
/// stored bytes would, and those depend on the codec's implementation.
fn are_alike(ours: &[Outline], theirs: &[Outline]) -> bool {
    let both = ours.len().min(theirs.len());
    let is_batches = ours.iter().chain(theirs).any(|message| message.1 == 2);
    let may_differ = if is_batches { 0 } else { 2 };
    ours[..both] == theirs[..both] && ours.len().abs_diff(theirs.len()) <= may_differ
}

fn list_offsets_0(client: &mut Connection, topic: &str, timestamp_ms: i64) -> (i16, Vec<i64>) {
    let body = Body::new().i32(-1).i32(1).string(topic);
    let body = body.i32(1).i32(0).i64(timestamp_ms).i32(1);
    let mut answer = client.ask(LIST_OFFSETS, 0, &body);
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
    assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
    let error = answer.i16();
    (error, (0..answer.i32()).map(|_| answer.i64()).collect())
}

/// Sets that only who looks at records finds something wrong with.
fn sets_refused_by_their_records() -> Vec<(&'static str, i16, Vec<u8>)> {
    let new = at_time(&batch(&[b"first", b"second"]), LONG_AGO_MS);
    vec![
        ("record longer than its fields", 8, changed(&new, 61, &[30])),
        ("record shorter than its fields", 8, changed(&new, 61, &[4])),
        (
            "gzip of nothing",
            8,
            changed(&new, 21, &1_i16.to_be_bytes()),
        ),
    ]
}

/// What the same requests are answered by chiplog, by chiplog with strict validation, and by Kafka.
struct Compared {
    clients: [Connection; 3],
    differences: Vec<String>,
}

impl Compared {
    fn ask<T: PartialEq>(
        &mut self,
        what: &str,
        ask: impl Fn(&mut Connection) -> T,
        are_alike: impl Fn(&T, &T) -> bool,
        shown: impl Fn(&T) -> String,
    ) {
        let [relaxed, strict, kafka] = self.clients.each_mut().map(ask);
        for ours in [relaxed, strict] {
            if !are_alike(&ours, &kafka) {
                let (ours, kafka) = (shown(&ours), shown(&kafka));
                self.differences
                    .push(format!("{what}: {ours}, Kafka {kafka}"));
            }
        }
    }

    fn produce_to(&mut self, topic: &str) {
        for (name, version, set) in sets() {
            if !is_ours_to_choose(topic, name) {
                let produce = |client: &mut Connection| produce(client, version, topic, &set);
                let what = format!("{topic}, {name}");
                self.ask(&what, produce, |a, b| a == b, |said| format!("{said:?}"));
            }
        }
        for (name, version, set) in sets_refused_by_their_records() {
            let [_, strict, kafka] = &mut self.clients;
            let [ours, theirs] =
                [strict, kafka].map(|client| produce(client, version, topic, &set).error != 0);
            assert!(ours && theirs, "{topic}, {name} is refused by both");
        }
    }

    fn fetch_from(&mut self, topic: &str) {
        for (version, offset) in [(0, 0), (1, 0), (2, 0), (3, 1), (4, 0)] {
            self.ask(
                &format!("{topic}, fetch {version}"),
                |client| fetch(client, version, topic, offset),
                |ours, theirs| match topic {
                    // The bytes themselves, where neither a codec nor the clock has a say.
                    UNCOMPRESSED if version == 2 => ours == theirs,
                    _ => ours.0 == theirs.0 && are_alike(&outline(&ours.1), &outline(&theirs.1)),
                },
                |(error, set)| format!("{error} {:?}", outline(set)),
            );
        }
    }
}

#[test]
fn every_format_is_taken_and_given_as_kafka_does() {
    let strict = Setup::new().set("chiplog.validation", "strict");
    let setups = [
        Setup::new().of(Target::Chiplog),
        strict.of(Target::Chiplog),
        Setup::new().of(Target::Kafka),
    ];
    let nodes = setups.map(|setup| {
        let node = Node::start_with(setup);
        for (topic, settings) in TOPICS {
            node.create_topic_with(topic, 1, settings);
        }
        node
    });
    let mut compared = Compared {
        clients: nodes.each_ref().map(Node::connect),
        differences: Vec::new(),
    };
    for (topic, _) in TOPICS {
        compared.produce_to(topic);
        compared.fetch_from(topic);
        for timestamp_ms in [-1, -2] {
            compared.ask(
                &format!("{topic}, offset of {timestamp_ms}"),
                |client| list_offsets_0(client, topic, timestamp_ms),
                |ours, theirs| ours == theirs,
                |offsets| format!("{offsets:?}"),
            );
        }
    }
    let differences = compared.differences;
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn old_clients_write_and_read() {
    // librdkafka writes by Produce 0 or 1 and reads by Fetch 0 or 1 when it is told of these.
    let node = Node::start();
    for (release, codec) in [
        ("0.9.0", "none"),
        ("0.9.0", "gzip"),
        ("0.9.0", "snappy"),
        ("0.9.0", "lz4"),
        ("0.8.2", "none"),
        ("0.8.2", "gzip"),
        ("0.8.2", "snappy"),
        ("0.8.2", "lz4"),
    ] {
        let topic = format!("old-{release}-{codec}");
        node.create_topic(&topic, 1);
        let old = [
            ("api.version.request", "false"),
            ("broker.version.fallback", release),
        ];
        let sender = Sender::to(&node, &[&old[..], &[("compression.codec", codec)]].concat());
        let record = |number: usize| (format!("key {number}"), "x".repeat(number % 300));
        for number in 0..1000 {
            let (key, value) = record(number);
            sender.send(
                BaseRecord::to(&topic)
                    .key(key.as_bytes())
                    .payload(value.as_bytes()),
            );
        }
        assert_all_delivered(&sender.finish(), 1000);
        for settings in [&old[..], &[]] {
            let mut number = 0;
            let consumer = consumer(&node, settings);
            read_to_ends(&consumer, &topic, 1, Offset::Beginning, |message| {
                let (key, value) = record(number);
                assert_eq!(message.offset(), number as i64);
                assert_eq!(message.key(), Some(key.as_bytes()));
                assert_eq!(message.payload(), Some(value.as_bytes()));
                number += 1;
            });
            assert_eq!(number, 1000, "{topic}, read with {settings:?}");
        }
    }
}

#[test]
fn a_topics_compression_is_what_is_stored() {
    let node = Node::start();
    for target in ["uncompressed", "gzip", "snappy", "lz4", "zstd"] {
        node.create_topic_with(target, 1, &[("compression.type", target)]);
        let mut expected = Vec::new();
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let settings = [("compression.codec", codec), ("linger.ms", "20")];
            let idempotent = [("enable.idempotence", "true")];
            let sender = Sender::to(&node, &[&settings[..], &idempotent].concat());
            for number in 0..300 {
                // Large ones too, which are compressed on another thread and keep their places.
                let value = format!("{codec} {number} {}", "y".repeat(number * 40));
                sender.send(
                    BaseRecord::to(target)
                        .key(&b"k"[..])
                        .payload(value.as_bytes()),
                );
                expected.push(value);
            }
            assert_all_delivered(&sender.finish(), 300);
        }
        let mut found = Vec::new();
        let consumer = consumer(&node, &[]);
        read_to_ends(&consumer, target, 1, Offset::Beginning, |message| {
            let value = message.payload().expect("a value").to_vec();
            found.push(String::from_utf8(value).expect("text"));
        });
        assert!(found == expected, "{target}: all records, in their order");
        let log = node.log_directory().join(format!("{target}-0"));
        let log = log.join("00000000000000000000.log").display().to_string();
        let dumped = run(Tool::DumpLog, &["--files", &log, "--deep-iteration"]).succeeded();
        let codecs: Vec<&str> = dumped
            .lines()
            .filter_map(|line| line.split_once("compresscodec: ")?.1.split(' ').next())
            .collect();
        let expected = target.replace("uncompressed", "none");
        assert!(codecs.len() >= 5, "{dumped}");
        assert!(codecs.iter().all(|codec| *codec == expected), "{codecs:?}");
    }
}
