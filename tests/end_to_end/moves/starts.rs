//! What a move left is settled at the next start, by us and by Kafka.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use chiplog_tests::java::{Tool, run};
use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::raw::{Body, LIST_OFFSETS, batch, produce_to, try_end_offset};
use chiplog_tests::state::{SOON, reach};

use super::{
    alter, assert_in_order, directories_of, directory, elsewhere, node, places, send, throttle,
    wait_until_in,
};
use crate::librdkafka::{Sender, assert_all_delivered};

const DELETE_RECORDS: i16 = 21;

/// What a crash between the two renames of a move leaves.
#[test]
fn a_move_that_lacks_only_the_name_is_completed_at_the_start() -> io::Result<()> {
    if Target::of_this_run() == Target::Kafka {
        return Ok(());
    }
    let mut node = node();
    node.create_topic("t", 1);
    let to = elsewhere(&node, "t");
    let (from, _) = places(&node, "t");
    let (error, _) = produce_to(&mut node.connect(), "t", &batch(&[b"acknowledged"]))?;
    assert_eq!(error, 0);
    assert_eq!(alter(&node, to, "t"), 0);
    wait_until_in(&node, to, "t");
    node.kill();
    let digits = "0".repeat(32);
    let [there, here] = [to, &from].map(|name| directory(&node, name));
    let future = there.join(format!("t-0.{digits}-future"));
    fs::rename(there.join("t-0"), &future)?;
    node.start_again();
    assert_eq!(places(&node, "t"), (to.to_owned(), None));
    assert_eq!(try_end_offset(&mut node.connect(), "t", 0), Ok(1));
    node.stop();

    // A copy in a directory where the log was never said to be is set aside, and its log made anew.
    fs::rename(there.join("t-0"), here.join(format!("t-0.{digits}-future")))?;
    for entry in fs::read_dir(&here)? {
        let path = entry?.path();
        if path.display().to_string().ends_with("-delete") {
            fs::remove_dir_all(path)?;
        }
    }
    node.start_again();
    assert_eq!(try_end_offset(&mut node.connect(), "t", 0), Ok(0));
    let kinds = directories_of(&node, "t");
    assert!(kinds.contains(&format!("{from}/stray")), "{kinds:?}");
    Ok(())
}

/// DeleteRecords may set a log's start within a batch, where only a checkpoint knows of it.
#[test]
fn records_that_were_deleted_stay_so_when_a_kill_follows_the_move() -> io::Result<()> {
    if Target::of_this_run() == Target::Kafka {
        return Ok(()); // It writes the checkpoint of the directory that the log leaves, and no other.
    }
    let settings = Setup::new()
        .set("log.dirs", "data,more,most")
        .set("replica.high.watermark.checkpoint.interval.ms", "3600000");
    let mut node = Node::start_with(settings);
    node.create_topic("t", 1);
    let records: [&[u8]; 10] = [b"record"; 10];
    let (error, _) = produce_to(&mut node.connect(), "t", &batch(&records))?;
    assert_eq!(error, 0);
    let body = Body::new().i32(1).string("t").i32(1).i32(0).i64(4);
    let mut answer = node.connect().ask(DELETE_RECORDS, 1, &body.i32(30_000));
    let _ = (answer.i32(), answer.i32(), answer.string(), answer.i32());
    assert_eq!((answer.i32(), answer.i64(), answer.i16()), (0, 4, 0));
    for _ in 0..2 {
        let to = elsewhere(&node, "t");
        assert_eq!(alter(&node, to, "t"), 0);
        wait_until_in(&node, to, "t");
        node.kill();
        node.start_again();
        assert_eq!(places(&node, "t"), (to.to_owned(), None));
        assert_eq!(start_offset(&node, "t"), 4);
        assert_eq!(try_end_offset(&mut node.connect(), "t", 0), Ok(10));
    }
    Ok(())
}

fn start_offset(node: &Node, topic: &str) -> i64 {
    const EARLIEST: i64 = -2;
    let body = Body::new().i32(-1).i32(1).string(topic).i32(1).i32(0);
    let mut answer = node.connect().ask(LIST_OFFSETS, 1, &body.i64(EARLIEST));
    let _ = (answer.i32(), answer.string(), answer.i32());
    assert_eq!((answer.i32(), answer.i16()), (0, 0));
    answer.i64(); // the time of nothing
    answer.i64()
}

/// A node with log directories in which Kafka can go on.
#[test]
fn kafka_goes_on_with_logs_that_were_moved_and_moves_them_back() {
    if Target::of_this_run() == Target::Kafka {
        return;
    }
    let settings = Setup::new()
        .set("log.dirs", "data,more")
        .set("node.id", "1");
    let mut node = Node::start_with(settings);
    node.create_topic("swapped", 1);
    let sender = Sender::to(&node, &[("enable.idempotence", "true")]);
    (0..1_000).for_each(|number| send(&sender, "swapped", number));
    assert_all_delivered(&sender.finish(), 1_000);
    let (from, _) = places(&node, "swapped");
    let to = if from == "data" { "more" } else { "data" };
    assert_eq!(alter(&node, to, "swapped"), 0);
    wait_until_in(&node, to, "swapped");
    assert_metadata_says(&node, to);
    node.stop();
    node.start_again_as(Target::Kafka);
    assert_eq!(places(&node, "swapped"), (to.to_owned(), None));
    assert_in_order(&node, "swapped", 1_000);
    let second = Sender::to(&node, &[("enable.idempotence", "true")]);
    (1_000..2_000).for_each(|number| send(&second, "swapped", number));
    assert_all_delivered(&second.finish(), 1_000);
    assert_eq!(alter(&node, &from, "swapped"), 0);
    wait_until_in(&node, &from, "swapped");
    throttle(&node, Some(1));
    assert_eq!(alter(&node, to, "swapped"), 0);
    assert_eq!(
        places(&node, "swapped"),
        (from.clone(), Some(to.to_owned()))
    );
    node.stop();
    node.start_again_as(Target::Chiplog);
    assert_eq!(places(&node, "swapped"), (from, Some(to.to_owned())));
    throttle(&node, None);
    wait_until_in(&node, to, "swapped");
    assert_in_order(&node, "swapped", 2_000);
}

/// The last change of a partition in the metadata is that its replica is in a directory.
fn assert_metadata_says(node: &Node, name: &str) {
    let said = said_of_directories(node, "PARTITION_CHANGE_RECORD");
    let (_, last) = said.last().expect("there is one");
    assert_eq!(*last, directory_id(node, name));
}

fn directory_id(node: &Node, name: &str) -> String {
    let identity = fs::read_to_string(directory(node, name).join("meta.properties"));
    let identity = identity.expect("it is there");
    let mut lines = identity.lines();
    let id = lines.find_map(|line| line.strip_prefix("directory.id="));
    id.expect("an id").to_owned()
}

/// What records of this type say of directories, with the partitions, in their order.
fn said_of_directories(node: &Node, kind: &str) -> Vec<(u64, String)> {
    let log = "__cluster_metadata-0/00000000000000000000.log";
    let path = directory(node, "data").join(log).display().to_string();
    let words = ["--cluster-metadata-decoder", "--files", &path];
    let printed = run(Tool::DumpLog, &words).succeeded();
    let lines = printed.lines().filter_map(|line| {
        let (_, payload) = line.split_once("payload: ")?;
        let record: serde_json::Value = serde_json::from_str(payload).expect("JSON");
        (record["type"] == kind).then_some(record)
    });
    let said = lines.filter_map(|record| {
        let data = &record["data"];
        let directory = data["directories"].as_array()?[0].as_str()?.to_owned();
        Some((data["partitionId"].as_u64().expect("a number"), directory))
    });
    said.collect()
}

/// The ids of the directories that the partitions of `t` are in.
fn places_of(node: &Node, partitions: u64) -> BTreeMap<u64, String> {
    let place = |partition| {
        let is_there = |name: &&str| {
            directory(node, name)
                .join(format!("t-{partition}"))
                .exists()
        };
        let name = ["data", "more", "most"].into_iter().find(is_there);
        (
            partition,
            directory_id(node, name.expect("it is somewhere")),
        )
    };
    (0..partitions).map(place).collect()
}

/// What the metadata says at last of the partitions' directories, and how often it was changed.
fn told(node: &Node) -> (BTreeMap<u64, String>, usize) {
    let changes = said_of_directories(node, "PARTITION_CHANGE_RECORD");
    let count = changes.len();
    let begun = said_of_directories(node, "PARTITION_RECORD");
    (begun.into_iter().chain(changes).collect(), count)
}

#[test]
fn the_metadata_says_in_which_directory_each_log_is() -> io::Result<()> {
    let settings = Setup::new()
        .set("log.dirs", "data,more,most")
        .set("node.id", "1");
    let mut node = Node::start_with(settings);
    node.create_topic("t", 6);
    if node.target() == Target::Chiplog {
        node.stop();
    } else {
        reach("it is told", SOON, || (told(&node).1 == 6).then_some(()));
        node.stop();
    }
    assert_eq!(told(&node), (places_of(&node, 6), 6));

    let find = |name: &str| (0..6).find(|n| directory(&node, name).join(format!("t-{n}")).exists());
    let moved = find("more").expect("one is there");
    let log = |name: &str| directory(&node, name).join(format!("t-{moved}"));
    fs::rename(log("more"), log("most"))?;
    node.start_again();
    if node.target() == Target::Kafka {
        reach("it is told", SOON, || (told(&node).1 == 7).then_some(()));
    }
    node.stop();
    let said = (places_of(&node, 6), 7);
    assert_eq!(told(&node), said);
    if Target::of_this_run() == Target::Chiplog {
        node.start_again_as(Target::Kafka);
        node.create_topic("later", 1);
        reach("Kafka tells of its own", SOON, || {
            (told(&node).1 == 8).then_some(())
        });
        node.stop();
        assert_eq!(told(&node).1, 8, "there was nothing to tell of ours");
    }
    Ok(())
}
