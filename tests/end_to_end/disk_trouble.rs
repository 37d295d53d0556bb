//! Shows: disk full and unwritable directory: clear error to client and log, nothing acknowledged
//! that is not stored, recovers when space returns.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;

use chiplog_tests::node::{Disk, FailedStart, Node, Setup, Target};
use chiplog_tests::raw::{batch, end_offset, produce_to};
use chiplog_tests::state::{SOON, reach};
use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::message::Message;

use crate::librdkafka::{consumer, read_to_ends};

const MIB: usize = 1024 * 1024;
const TOPIC: &str = "full";
const KAFKA_STORAGE_ERROR: i16 = 56;

/// A value of 64 KiB that tells which one it is.
fn value(number: i64) -> Vec<u8> {
    let mut value = number.to_be_bytes().to_vec();
    value.resize(64 * 1024, b'.');
    value
}

/// Reads partition 0 from its beginning, and checks that it holds values 0 to `count`.
fn assert_holds_values(node: &Node, count: i64) {
    let mut next = 0;
    read_to_ends(
        &consumer(node, &[]),
        TOPIC,
        1,
        Offset::Beginning,
        |message| {
            assert_eq!(message.offset(), next);
            assert!(
                message.payload() == Some(&value(next)),
                "value {next} is what was sent"
            );
            next += 1;
        },
    );
    assert_eq!(next, count, "what was acknowledged is there");
}

#[test]
fn a_full_disk_is_told_and_nothing_is_acknowledged_that_is_not_stored() -> io::Result<()> {
    let node = Node::start_with(Setup::new().on(Disk::Small {
        bytes: 64 * MIB as u64,
    }));
    if node.target() == Target::Kafka {
        // Kafka ends its process when its only log directory fails.
        return Ok(());
    }
    let ballast = node.log_directory().join("ballast");
    fs::File::create(&ballast)?.write_all_at(&vec![0; 16 * MIB], 0)?;
    node.create_topic(TOPIC, 1);
    let mut client = node.connect();

    let mut acknowledged = 0;
    let refused = loop {
        assert!(
            acknowledged < 1_000,
            "64 MiB cannot hold 1,000 batches of 64 KiB"
        );
        let (error, offset) = produce_to(&mut client, TOPIC, &batch(&[&value(acknowledged)]))?;
        if error != 0 {
            break error;
        }
        assert_eq!(offset, acknowledged);
        acknowledged += 1;
    };
    assert_eq!(refused, KAFKA_STORAGE_ERROR);
    assert!(
        acknowledged > 0,
        "the disk takes something before it is full"
    );
    assert_eq!(
        end_offset(&mut client, TOPIC),
        acknowledged,
        "the refused batch is not there"
    );
    assert_holds_values(&node, acknowledged);
    let output = node.output();
    assert!(
        output.contains("No space left on device"),
        "the log says what happened:\n{output}"
    );

    // A second refusal, now that the partition knows the state of its disk.
    let (error, _) = produce_to(&mut client, TOPIC, &batch(&[&value(acknowledged)]))?;
    assert_eq!(error, KAFKA_STORAGE_ERROR);

    fs::remove_file(&ballast)?;
    let offset = reach("writes succeed when space has returned", SOON, || {
        let batch = batch(&[&value(acknowledged)]);
        let (error, offset) = produce_to(&mut client, TOPIC, &batch).expect("an answer");
        (error == 0).then_some(offset)
    });
    assert_eq!(offset, acknowledged, "offsets go on without a gap");
    assert_holds_values(&node, acknowledged + 1);
    Ok(())
}

/// The start must fail, and its output must have each of `words`.
fn assert_refused(start: Result<Node, FailedStart>, words: &[&str]) {
    let failed = start.expect_err("the node must not start");
    assert!(!failed.status.success(), "{failed:?}");
    for word in words {
        assert!(
            failed.output.contains(word),
            "{word} is missing in:\n{}",
            failed.output
        );
    }
}

#[test]
fn a_directory_that_cannot_be_written_to_is_named_at_start() {
    if Target::of_this_run() == Target::Kafka {
        return;
    }
    let start = Node::try_start_with(Setup::new().on(Disk::ReadOnly));
    assert_refused(start, &["/data", "Read-only file system"]);
}

#[test]
fn a_file_in_the_place_of_the_directory_is_named_at_start() -> io::Result<()> {
    if Target::of_this_run() == Target::Kafka {
        return Ok(());
    }
    let file = tempfile::NamedTempFile::new()?;
    let path = file.path().display().to_string();
    let start = Node::try_start_with(Setup::new().set("log.dirs", &path));
    assert_refused(start, &[&path]);
    Ok(())
}

#[test]
fn a_directory_in_use_is_refused_to_a_second_node() {
    let first = Node::start();
    if first.target() == Target::Kafka {
        return;
    }
    let directory = first.log_directory().display().to_string();
    let second = Node::try_start_with(Setup::new().set("log.dirs", &directory));
    assert_refused(second, &[&directory]);
    first.create_topic(TOPIC, 1);
}

#[test]
fn a_port_in_use_is_named_at_start() {
    let first = Node::start();
    if first.target() == Target::Kafka {
        return;
    }
    let listener = format!("PLAINTEXT://{}", first.bootstrap());
    // The second node is never the one that answers; it has to end.
    let second = Node::try_start_with(Setup::new().set("listeners", &listener));
    assert_refused(second, &[&first.port().to_string()]);
}

/// Produces until the node refuses or goes; the error that it answered, if it did.
fn produce_until_refused(node: &Node, topic: &str) -> Option<i16> {
    let mut client = node.connect();
    for number in 0..200 {
        match produce_to(&mut client, topic, &batch(&[&value(number)])) {
            Ok((0, _)) => {}
            Ok((error, _)) => return Some(error),
            Err(_) => return None,
        }
    }
    panic!("{topic} takes everything, though its directory is gone");
}

#[test]
fn a_failing_directory_takes_only_its_partitions_offline_and_the_last_one_the_node()
-> io::Result<()> {
    if Target::of_this_run() == Target::Kafka {
        return Ok(());
    }
    let places = [tempfile::tempdir()?, tempfile::tempdir()?];
    let paths = places
        .each_ref()
        .map(|place| place.path().display().to_string());
    let mut node = Node::start_with(Setup::new().set("log.dirs", &paths.join(",")));
    let small_segments = [("segment.bytes", "200000")];
    for topic in ["one", "two"] {
        node.create_topic_with(topic, 1, &small_segments);
    }
    let holder = |topic: &str| {
        let name = format!("{topic}-0");
        places
            .iter()
            .position(|place| place.path().join(&name).is_dir())
    };
    let second = 1;
    let (near, far) = match holder("one") == Some(second) {
        true => ("two", "one"),
        false => ("one", "two"),
    };
    assert_eq!(
        (holder(near), holder(far)),
        (Some(0), Some(second)),
        "the second partition goes to the directory with fewer"
    );

    fs::remove_dir_all(places[second].path().join(format!("{far}-0")))?;
    assert_eq!(produce_until_refused(&node, far), Some(KAFKA_STORAGE_ERROR));
    let (error, _) = produce_to(&mut node.connect(), near, &batch(&[b"on"]))?;
    assert_eq!(error, 0, "the other directory goes on");
    let leader_of = |topic: &str| {
        let client = consumer(&node, &[]);
        let metadata = client.fetch_metadata(Some(topic), SOON).expect("metadata");
        metadata.topics()[0].partitions()[0].leader()
    };
    reach("the metadata shows no leader", SOON, || {
        (leader_of(far) == -1).then_some(())
    });
    assert_ne!(leader_of(near), -1);
    assert!(node.output().contains("log directory is offline"));

    fs::remove_dir_all(places[0].path().join(format!("{near}-0")))?;
    let _ = produce_until_refused(&node, near);
    reach("the node ends with its last directory", SOON, || {
        (!node.is_running()).then_some(())
    });
    Ok(())
}
