//! Shows: a real data set of 336,776 rows goes in through librdkafka with idempotence over 12
//! partitions, survives `kill -9` and SIGTERM in the middle and at the end, and comes back
//! complete, in order per key, with no duplicate.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use chiplog_tests::flights::{self, Flights};
use chiplog_tests::node::Node;
use rdkafka::Offset;
use rdkafka::message::Message;
use rdkafka::producer::BaseRecord;

use crate::librdkafka::{Sender, assert_all_delivered, consumer, read_to_ends};

const PARTITIONS: i32 = 12;

#[test]
fn flights_survive_kill_9_complete_in_order_and_without_duplicates() {
    let mut node = Node::start();
    node.create_topic("flights", PARTITIONS);
    let flights = Flights::read();
    let kill_after = any_number_below(flights::COUNT);
    let stop_after = any_number_below(flights::COUNT);
    println!("kill -9 after {kill_after} acknowledged flights, SIGTERM after {stop_after}");

    let patient = [
        ("message.timeout.ms", "300000"),
        ("reconnect.backoff.max.ms", "100"),
    ];
    let settings = [
        &patient[..],
        &[("enable.idempotence", "true"), ("linger.ms", "5")],
    ]
    .concat();
    let sender = Sender::to(&node, &settings);
    let mut crashed = false;
    let mut stopped = false;
    for (carrier, json) in flights.iter() {
        let record = BaseRecord::to("flights").key(carrier.as_bytes());
        sender.send(record.payload(json.as_bytes()));
        if !crashed && sender.delivered_so_far() >= kill_after {
            node.kill();
            node.start_again();
            crashed = true;
        }
        if !stopped && sender.delivered_so_far() >= stop_after {
            node.stop();
            node.start_again();
            stopped = true;
        }
    }
    if !crashed {
        // All are queued, not all are acknowledged: this is a point as good as any other.
        node.kill();
        node.start_again();
    }
    assert_all_delivered(&sender.finish(), flights::COUNT);
    assert_complete_and_in_order(&node, &flights);

    node.kill();
    node.start_again();
    assert_complete_and_in_order(&node, &flights);

    node.stop();
    node.start_again();
    assert_complete_and_in_order(&node, &flights);
}

/// The flights of one carrier, as far as they were read back.
#[derive(Default)]
struct Carrier<'a> {
    flights: Vec<&'a [u8]>,
    read: usize,
    partition: Option<i32>,
}

/// Reads every partition from its beginning to its end, and compares with the data set: each key
/// has its flights, all of them, once, in the order in which they were sent, in one partition.
fn assert_complete_and_in_order(node: &Node, flights: &Flights) {
    let mut carriers: HashMap<&[u8], Carrier<'_>> = HashMap::new();
    for (carrier, json) in flights.iter() {
        carriers
            .entry(carrier.as_bytes())
            .or_default()
            .flights
            .push(json.as_bytes());
    }
    read_to_ends(
        &consumer(node, &[]),
        "flights",
        PARTITIONS,
        Offset::Beginning,
        |message| {
            let key = message.key().expect("flights have keys");
            let carrier = carriers.get_mut(key).expect("a carrier of the data set");
            let place = (message.partition(), message.offset());
            let wanted = carrier.flights.get(carrier.read).copied();
            assert!(
                message.payload() == wanted,
                "the next flight of its key at {place:?}"
            );
            assert_eq!(
                *carrier.partition.get_or_insert(message.partition()),
                message.partition()
            );
            carrier.read += 1;
        },
    );
    for (name, carrier) in carriers {
        let name = String::from_utf8_lossy(name);
        assert_eq!(
            carrier.read,
            carrier.flights.len(),
            "all flights of {name} are there"
        );
    }
}

/// Another number in every run: what must hold, holds wherever the node is killed.
fn any_number_below(limit: usize) -> usize {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is set");
    now.subsec_nanos() as usize % limit
}
