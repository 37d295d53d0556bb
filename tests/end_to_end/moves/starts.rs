//! What a move left is settled at the next start, by us and by Kafka.

use std::fs;
use std::io;

use chiplog_tests::java::{Tool, run};
use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::raw::{Body, LIST_OFFSETS, batch, produce_to, try_end_offset};

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
    let identity = fs::read_to_string(directory(node, name).join("meta.properties"));
    let identity = identity.expect("it is there");
    let id = identity
        .lines()
        .find_map(|line| line.strip_prefix("directory.id="));
    let log = "__cluster_metadata-0/00000000000000000000.log";
    let path = directory(node, "data").join(log).display().to_string();
    let words = ["--cluster-metadata-decoder", "--files", &path];
    let printed = run(Tool::DumpLog, &words).succeeded();
    let mut changes = printed
        .lines()
        .filter(|line| line.contains("PARTITION_CHANGE_RECORD"));
    let last = changes.next_back().expect("there is one");
    let said = format!(r#""directories":["{}"]"#, id.expect("an id"));
    assert!(last.contains(&said), "{said}: {last}");
}
