//! Shows: librdkafka, of the client matrix, writes to the node and reads back what it wrote.

use chiplog_tests::flights::{self, Flights};
use chiplog_tests::node::Node;
use chiplog_tests::state::SOON;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use rdkafka::{Offset, TopicPartitionList};

use crate::librdkafka::{Sender, assert_all_delivered, consumer, read_to_ends};

/// Shows: a real file of at least 100 MB goes in and comes out line by line, byte-identical, with
/// each codec (kcat is librdkafka with a command line).
fn real_file_round_trips_with(codec: &str) {
    let node = Node::start();
    node.create_topic("flights", 1);
    let flights = Flights::read();
    let sender = Sender::to(&node, &[("compression.codec", codec), ("linger.ms", "20")]);
    for (carrier, json) in flights.iter() {
        sender.send(
            BaseRecord::to("flights")
                .key(carrier.as_bytes())
                .payload(json.as_bytes()),
        );
    }
    assert_all_delivered(&sender.finish(), flights::COUNT);

    let mut wanted = flights.iter();
    read_to_ends(
        &consumer(&node, &[]),
        "flights",
        1,
        Offset::Beginning,
        |message| {
            let (carrier, json) = wanted.next().expect("no more flights than were sent");
            assert_eq!(message.key(), Some(carrier.as_bytes()));
            assert_eq!(message.payload(), Some(json.as_bytes()));
        },
    );
    assert_eq!(wanted.next(), None, "every flight is read");
}

#[test]
fn real_file_round_trips_uncompressed() {
    real_file_round_trips_with("none");
}

#[test]
fn real_file_round_trips_with_gzip() {
    real_file_round_trips_with("gzip");
}

#[test]
fn real_file_round_trips_with_snappy() {
    real_file_round_trips_with("snappy");
}

#[test]
fn real_file_round_trips_with_lz4() {
    real_file_round_trips_with("lz4");
}

#[test]
fn real_file_round_trips_with_zstd() {
    real_file_round_trips_with("zstd");
}

#[test]
fn every_level_of_acks_delivers() {
    let node = Node::start();
    for acks in ["0", "1", "all"] {
        let topic = format!("acks-{acks}");
        node.create_topic(&topic, 1);
        let sender = Sender::to(&node, &[("acks", acks)]);
        for number in 0..1_000 {
            let value = format!("message {number}");
            sender.send(
                BaseRecord::to(&topic)
                    .key(b"".as_slice())
                    .payload(value.as_bytes()),
            );
        }
        let deliveries = sender.finish();
        assert_all_delivered(&deliveries, 1_000);
        if acks != "0" {
            let offsets: Vec<i64> = deliveries.into_iter().flatten().map(|(_, at)| at).collect();
            assert_eq!(offsets, (0..1_000).collect::<Vec<i64>>());
        }
        // With acks=0 nothing says when the last message is stored; the end of the partition
        // is reached again and again until it is.
        let consumer = consumer(&node, &[("enable.partition.eof", "false")]);
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(&topic, 0, Offset::Beginning)
            .expect("valid");
        consumer.assign(&assignment).expect("valid");
        for number in 0..1_000 {
            let message = consumer.poll(SOON).expect("a message").expect("no error");
            assert_eq!(
                message.payload(),
                Some(format!("message {number}").as_bytes())
            );
        }
    }
}

#[test]
fn keys_headers_timestamps_and_delete_markers_come_back() {
    let node = Node::start();
    node.create_topic("parts", 1);
    let sender = Sender::to(&node, &[("enable.idempotence", "true")]);
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "twice",
            value: Some("1"),
        })
        .insert(Header {
            key: "twice",
            value: Some("2"),
        })
        .insert(Header {
            key: "empty",
            value: Some(""),
        })
        .insert(Header::<&str> {
            key: "null",
            value: None,
        });
    let all = BaseRecord::to("parts")
        .key(b"k".as_slice())
        .payload(b"\0\xff".as_slice());
    sender.send(all.timestamp(1_234_567_890_123).headers(headers));
    sender.send(BaseRecord::to("parts").key(b"k".as_slice()).timestamp(1));
    sender.send(BaseRecord::to("parts").payload(b"".as_slice()).timestamp(2));
    assert_all_delivered(&sender.finish(), 3);

    let mut messages = Vec::new();
    read_to_ends(&consumer(&node, &[]), "parts", 1, Offset::Beginning, |m| {
        messages.push(m.detach());
    });
    assert_eq!(messages.len(), 3);
    let headers = messages[0]
        .headers()
        .expect("the first message has headers");
    let headers: Vec<_> = headers
        .iter()
        .map(|header| (header.key, header.value))
        .collect();
    let wanted: [(&str, Option<&[u8]>); 4] = [
        ("twice", Some(b"1")),
        ("twice", Some(b"2")),
        ("empty", Some(b"")),
        ("null", None),
    ];
    assert_eq!(headers, wanted);
    let parts: Vec<_> = messages
        .iter()
        .map(|m| (m.key(), m.payload(), m.timestamp().to_millis()))
        .collect();
    let none = None::<&[u8]>;
    let wanted = [
        (
            Some(b"k".as_slice()),
            Some(b"\0\xff".as_slice()),
            Some(1_234_567_890_123),
        ),
        (Some(b"k"), none, Some(1)),
        (none, Some(b""), Some(2)),
    ];
    assert_eq!(parts, wanted);
}

#[test]
fn offsets_are_found_by_timestamp_and_read_from() {
    const FIRST_MS: i64 = 1_600_000_000_000;
    let node = Node::start();
    node.create_topic("times", 1);
    let sender = Sender::to(&node, &[("batch.num.messages", "10")]);
    for number in 0..5_000_i64 {
        let value = number.to_string();
        let record = BaseRecord::to("times")
            .key(b"".as_slice())
            .payload(value.as_bytes());
        sender.send(record.timestamp(FIRST_MS + 10 * number));
    }
    assert_all_delivered(&sender.finish(), 5_000);

    let consumer = consumer(&node, &[]);
    let found = |timestamp_ms: i64| {
        let mut asked = TopicPartitionList::new();
        asked
            .add_partition_offset("times", 0, Offset::Offset(timestamp_ms))
            .expect("valid");
        let answer = consumer
            .offsets_for_times(asked, SOON)
            .expect("ListOffsets is answered");
        answer.elements()[0].offset()
    };
    assert_eq!(found(0), Offset::Offset(0));
    assert_eq!(found(FIRST_MS + 10 * 1_234), Offset::Offset(1_234));
    assert_eq!(found(FIRST_MS + 10 * 1_234 + 1), Offset::Offset(1_235));
    assert_eq!(found(FIRST_MS + 10 * 4_999), Offset::Offset(4_999));
    assert_eq!(found(FIRST_MS + 10 * 5_000), Offset::End);

    let (low, high) = consumer
        .fetch_watermarks("times", 0, SOON)
        .expect("ListOffsets is answered");
    assert_eq!((low, high), (0, 5_000));
    let mut next = 4_321;
    read_to_ends(
        &consumer,
        "times",
        1,
        found(FIRST_MS + 10 * 4_321),
        |message| {
            assert_eq!(message.offset(), next);
            assert_eq!(message.payload(), Some(next.to_string().as_bytes()));
            next += 1;
        },
    );
    assert_eq!(next, 5_000);
}

#[test]
fn a_batch_of_max_message_bytes_is_taken_and_one_above_refused() {
    /// `max.message.bytes` of a topic by default.
    const BATCH_BYTES_MAX: usize = 1_048_588;
    /// The head of the batch, and of its only record: lengths of 3 bytes for record and value,
    /// one byte each for attributes, timestamp and offset delta, no key, no headers.
    const AROUND_VALUE_BYTES: usize = 61 + 3 + 1 + 1 + 1 + 1 + 3 + 1;
    let node = Node::start();
    node.create_topic("large", 1);
    let sender = Sender::to(
        &node,
        &[("message.max.bytes", "4000000"), ("linger.ms", "0")],
    );
    let fits = vec![b'x'; BATCH_BYTES_MAX - AROUND_VALUE_BYTES];
    let over = vec![b'y'; fits.len() + 1];
    sender.send(BaseRecord::to("large").payload(&fits));
    sender.send(BaseRecord::to("large").payload(&over));
    sender.send(BaseRecord::to("large").payload(&fits));
    let deliveries = sender.finish();
    assert_eq!(deliveries.len(), 3);
    assert_eq!(
        deliveries[1],
        Err(RDKafkaErrorCode::MessageSizeTooLarge),
        "{deliveries:?}"
    );
    assert_eq!((deliveries[0], deliveries[2]), (Ok((0, 0)), Ok((0, 1))));

    // A batch over fetch.max.bytes still comes, alone, so that a consumer never stands still.
    let small = [("message.max.bytes", "1000"), ("fetch.max.bytes", "1000")];
    let per_partition = [("fetch.message.max.bytes", "1000")];
    let consumer = consumer(&node, &[&small[..], &per_partition].concat());
    let mut read = 0;
    read_to_ends(&consumer, "large", 1, Offset::Beginning, |message| {
        assert!(
            message.payload() == Some(&fits),
            "the large value comes back"
        );
        read += 1;
    });
    assert_eq!(read, 2);
}
