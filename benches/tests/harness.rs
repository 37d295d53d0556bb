//! The harness against a broker in this process and against the bare loops, with small loads: that
//! it sends what it says, counts what it gets, and notices a broker that is wrong.

mod fake_broker;

use std::net::TcpListener;
use std::thread;

use benches::batch_template::{BatchTemplate, Shape};
use benches::floor::receive::Receive;
use benches::floor::sendfile::{self, Sendfile};
use benches::{Error, consume, produce};
use fake_broker::{FakeBroker, Fault};
use protocol::batch::Compression;

const PARTITIONS: usize = 3;

fn produce_to(broker: &FakeBroker) -> produce::Options {
    produce::Options {
        bootstrap_server: broker.address().to_string(),
        batch_bytes: 4096,
        record_size: 100,
        verify_offsets: true,
        ..produce::Options::default()
    }
}

fn consume_from(broker: &FakeBroker) -> consume::Options {
    consume::Options {
        bootstrap_server: broker.address().to_string(),
        check_crc: true,
        ..consume::Options::default()
    }
}

#[test]
fn what_is_produced_at_maximum_rate_is_consumed() {
    let broker = FakeBroker::start(PARTITIONS, Fault::None);
    let report = produce::run(produce::Options {
        connections: 4,
        threads: 2,
        records: Some(20_000),
        broker_pid: Some(std::process::id()),
        ..produce_to(&broker)
    })
    .expect("produce");
    assert_eq!((report.records, report.payload_bytes), (20_000, 2_000_000));
    assert!(report.broker.is_some() && report.batches >= 20_000 / 40);
    for (fetch_session, connections, max_bytes) in [
        (false, 1, 50_000_000),
        (true, 2, 50_000_000),
        (true, 1, 5_000),
    ] {
        let report = consume::run(consume::Options {
            fetch_session,
            connections,
            max_bytes,
            passes: 2,
            ..consume_from(&broker)
        })
        .expect("consume");
        assert_eq!(report.records, 40_000);
    }
}

#[test]
fn the_checksum_depends_on_what_is_sent_and_on_nothing_else() {
    let checksum = |seed| {
        let broker = FakeBroker::start(PARTITIONS, Fault::None);
        let options = produce::Options {
            seed,
            records: Some(1_000),
            ..produce_to(&broker)
        };
        produce::run(options).expect("produce").checksum
    };
    assert_eq!(checksum(1), checksum(1));
    assert_ne!(checksum(1), checksum(2));
}

#[test]
fn one_record_is_in_flight_on_each_connection() {
    let broker = FakeBroker::start(PARTITIONS, Fault::None);
    let report = produce::run(produce::Options {
        connections: 8,
        records: Some(800),
        one_record_in_flight: true,
        ..produce_to(&broker)
    })
    .expect("produce");
    assert_eq!(
        (report.records, report.requests, report.batches),
        (800, 800, 800)
    );
    assert_eq!(report.latency_from_sent.count, 800);
}

#[test]
fn at_a_rate_every_record_has_its_time_and_is_received() {
    let broker = FakeBroker::start(PARTITIONS, Fault::None);
    let report = produce::run(produce::Options {
        connections: 2,
        records: Some(400),
        rate: Some(10_000),
        linger_ms: 1.0,
        end_to_end: true,
        ..produce_to(&broker)
    })
    .expect("produce");
    let intended = report.latency_from_intended.expect("a rate was given");
    let received = report.latency_end_to_end.expect("it was asked for");
    assert_eq!(
        (report.records, intended.count, received.count),
        (400, 400, 400)
    );
}

#[test]
fn a_broker_that_is_wrong_is_noticed() {
    let outcome = |fault| {
        let broker = FakeBroker::start(PARTITIONS, fault);
        produce::run(produce::Options {
            records: Some(1_000),
            ..produce_to(&broker)
        })
    };
    assert!(matches!(
        outcome(Fault::Refuse(7)),
        Err(Error::Refused { code: 7, .. })
    ));
    assert!(matches!(
        outcome(Fault::SameOffsetTwice),
        Err(Error::Broken(_))
    ));
    assert!(matches!(outcome(Fault::SkipOffset), Err(Error::Broken(_))));
    assert!(matches!(outcome(Fault::LeaveOut), Err(Error::Broken(_))));
    assert!(matches!(
        outcome(Fault::HangUp),
        Err(Error::Broken(_) | Error::Io { .. })
    ));
}

#[test]
fn the_bare_receive_loop_writes_what_is_sent() {
    let dir = tempfile::tempdir().expect("directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let receive = Receive::new(listener, dir.path(), PARTITIONS).expect("bare loop");
    thread::spawn(move || receive.serve().map(|never| match never {}));
    let report = produce::run(produce::Options {
        bootstrap_server: address.to_string(),
        raw_target: true,
        connections: 3,
        records: Some(5_000),
        record_size: 100,
        ..produce::Options::default()
    })
    .expect("produce");
    assert_eq!(report.records, 5_000);
    let files = std::fs::read_dir(dir.path()).expect("directory");
    let written: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    // A frame is written without the four bytes of its length.
    assert_eq!(written, report.wire_bytes - 4 * report.requests);
}

#[test]
fn the_bare_sendfile_loop_gives_what_was_prepared() {
    let dir = tempfile::tempdir().expect("directory");
    let template = BatchTemplate::new(Shape {
        record_bytes: 100,
        random_ratio: 1.0,
        seed: 1,
        batch_bytes_max: 4096,
        batch_records_max: usize::MAX,
        compression: Compression::None,
        keys: 0,
    });
    sendfile::prepare(dir.path(), PARTITIONS, 50, &template).expect("files");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let serve = Sendfile::new(listener, dir.path()).expect("bare loop");
    thread::spawn(move || serve.serve().map(|never| match never {}));
    for partition_max_bytes in [10_000, 1_000_000] {
        let report = consume::run(consume::Options {
            bootstrap_server: address.to_string(),
            check_crc: true,
            partition_max_bytes,
            ..consume::Options::default()
        })
        .expect("consume");
        let records = PARTITIONS as u64 * 50 * u64::from(template.records_max());
        assert_eq!(
            (report.records, report.batches),
            (records, PARTITIONS as u64 * 50)
        );
    }
}
