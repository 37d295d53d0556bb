//! Shows: what is in the log directories is used by whom it belongs to, and by nobody else: a log
//! that cannot be opened is not replaced by an empty one, and what a deleted topic left is not in
//! the way of the next one of its name.

use std::fs;
use std::io;
use std::path::Path;

use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::raw::{Body, CREATE_TOPICS, DELETE_TOPICS, batch, produce_to, try_end_offset};
use chiplog_tests::state::{SOON, reach};

const CREATE_PARTITIONS: i16 = 37;
const KAFKA_STORAGE_ERROR: i16 = 56;

fn delete_topic(node: &Node, topic: &str) {
    let body = Body::new().i32(1).string(topic).i32(30_000);
    let mut answer = node.connect().ask(DELETE_TOPICS, 1, &body);
    answer.i32(); // throttle time
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
    assert_eq!(answer.i16(), 0, "{topic} is deleted");
}

fn add_partition(node: &Node, topic: &str, partitions: i32) {
    let body = Body::new().i32(1).string(topic).i32(partitions).i32(-1);
    let mut answer = node
        .connect()
        .ask(CREATE_PARTITIONS, 0, &body.i32(30_000).i8(0));
    answer.i32(); // throttle time
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
    assert_eq!(answer.i16(), 0, "{topic} has {partitions} partitions");
}

fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn strays(directory: &Path, topic: &str) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().into_string().expect("a plain name");
        count += usize::from(name.starts_with(topic) && name.ends_with("-stray"));
    }
    Ok(count)
}

#[test]
fn a_log_that_cannot_be_opened_is_not_made_anew_in_another_directory() -> io::Result<()> {
    if Target::of_this_run() == Target::Kafka {
        return Ok(()); // It takes the whole directory offline, and with it the node's metadata.
    }
    let places = [tempfile::tempdir()?, tempfile::tempdir()?];
    let paths = places
        .each_ref()
        .map(|place| place.path().display().to_string());
    let mut node = Node::start_with(Setup::new().set("log.dirs", &paths.join(",")));
    for topic in ["a", "b", "c", "d"] {
        node.create_topic(topic, 1);
        let (error, _) = produce_to(&mut node.connect(), topic, &batch(&[b"acknowledged"]))?;
        assert_eq!(error, 0);
    }
    let within = |place: usize, topic: &str| places[place].path().join(format!("{topic}-0"));
    let (full, victim) = (1, "b");
    assert!(within(full, victim).is_dir(), "directories take turns");
    // The other directory is where a new log would go.
    delete_topic(&node, "a");
    delete_topic(&node, "c");
    node.stop();
    let index = within(full, victim).join("00000000000000000000.index");
    fs::rename(&index, places[full].path().join("index"))?;
    fs::create_dir(&index)?;

    node.start_again();
    let refused = |node: &Node| produce_to(&mut node.connect(), victim, &batch(&[b"no"]));
    assert_eq!(refused(&node)?.0, KAFKA_STORAGE_ERROR);
    add_partition(&node, victim, 2);
    assert_eq!(refused(&node)?.0, KAFKA_STORAGE_ERROR);
    assert!(!within(0, victim).exists(), "there is no second log");
    node.stop();
    let marker = ".kafka_cleanshutdown";
    assert!(places[0].path().join(marker).exists());
    assert!(
        !places[full].path().join(marker).exists(),
        "a log in it was not looked at"
    );

    node.start_again();
    assert_eq!(refused(&node)?.0, KAFKA_STORAGE_ERROR);
    fs::remove_dir(&index)?;
    fs::rename(places[full].path().join("index"), &index)?;
    let mut client = node.connect();
    let end = reach("the log is opened once it can be", SOON, || {
        try_end_offset(&mut client, victim, 0).ok()
    });
    assert_eq!(end, 1);
    let (error, offset) = produce_to(&mut client, victim, &batch(&[b"on"]))?;
    assert_eq!((error, offset), (0, 1));
    Ok(())
}

#[test]
fn what_an_interrupted_deletion_left_is_set_aside_at_start_and_when_its_name_is_used()
-> io::Result<()> {
    if Target::of_this_run() == Target::Kafka {
        return Ok(());
    }
    let mut node = Node::start();
    let topic = "x";
    node.create_topic(topic, 1);
    let place = node.log_directory().join("x-0");
    let (error, _) = produce_to(&mut node.connect(), topic, &batch(&[b"old"]))?;
    assert_eq!(error, 0);
    let kept = tempfile::tempdir()?;
    let kept = kept.path().join("kept");
    copy_directory(&place, &kept)?;
    delete_topic(&node, topic);
    node.kill();

    copy_directory(&kept, &place)?;
    node.start_again();
    assert!(!place.exists(), "no topic has this log");
    assert_eq!(strays(&node.log_directory(), topic)?, 1);

    copy_directory(&kept, &place)?;
    node.create_topic(topic, 1);
    assert_eq!(strays(&node.log_directory(), topic)?, 2);
    let (error, offset) = produce_to(&mut node.connect(), topic, &batch(&[b"new"]))?;
    assert_eq!((error, offset), (0, 0), "the new topic begins at 0");

    node.kill();
    fs::rename(&place, node.log_directory().join("aside"))?;
    copy_directory(&kept, &place)?;
    node.start_again();
    assert_eq!(strays(&node.log_directory(), topic)?, 3);
    let (error, offset) = produce_to(&mut node.connect(), topic, &batch(&[b"new"]))?;
    assert_eq!(
        (error, offset),
        (0, 0),
        "the old topic's records do not come back"
    );
    Ok(())
}

#[test]
fn a_partition_that_could_not_be_made_is_made_when_its_directory_is_back() -> io::Result<()> {
    if Target::of_this_run() == Target::Kafka {
        return Ok(());
    }
    let places = tempfile::tempdir()?;
    let [first, second, away] = ["first", "second", "away"].map(|name| places.path().join(name));
    let paths = format!("{},{}", first.display(), second.display());
    let node = Node::start_with(Setup::new().set("log.dirs", &paths));
    node.create_topic("near", 1);
    assert!(first.join("near-0").is_dir());

    fs::rename(&second, &away)?;
    let topic = "far";
    let body = Body::new().i32(1).string(topic).i32(1).i16(1).i32(0);
    let created = body.i32(0).i32(30_000).i8(0);
    node.connect().ask(CREATE_TOPICS, 2, &created);
    let mut client = node.connect();
    let (error, _) = produce_to(&mut client, topic, &batch(&[b"no"]))?;
    assert_eq!(error, KAFKA_STORAGE_ERROR);
    let output = node.output();
    assert!(output.contains("will be tried again"), "{output}");

    fs::rename(&away, &second)?;
    let offset = reach("the partition is there", SOON, || {
        let produced = produce_to(&mut client, topic, &batch(&[b"yes"]));
        let (error, offset) = produced.expect("an answer");
        (error == 0).then_some(offset)
    });
    assert_eq!(offset, 0);
    assert!(second.join("far-0").is_dir());
    Ok(())
}

#[test]
fn a_partition_in_two_directories_keeps_the_node_from_starting() -> io::Result<()> {
    let places = tempfile::tempdir()?;
    let [first, second] = ["first", "second"].map(|name| places.path().join(name));
    let setup = || {
        let paths = format!("{},{}", first.display(), second.display());
        Setup::new().set("log.dirs", &paths)
    };
    let mut node = Node::start_with(setup());
    node.create_topic("twice", 1);
    let (error, _) = produce_to(&mut node.connect(), "twice", &batch(&[b"acknowledged"]))?;
    assert_eq!(error, 0);
    node.stop();
    let target = node.target();
    drop(node);
    let [there, elsewhere] = match first.join("twice-0").is_dir() {
        true => [&first, &second],
        false => [&second, &first],
    };
    copy_directory(&there.join("twice-0"), &elsewhere.join("twice-0"))?;
    let Err(refused) = Node::try_start_with(setup()) else {
        panic!("it serves one of two logs of a partition");
    };
    let output = refused.output;
    if target == Target::Chiplog {
        for directory in [&first, &second] {
            let path = directory.join("twice-0").display().to_string();
            assert!(output.contains(&path), "{output}");
        }
    }
    fs::remove_dir_all(elsewhere.join("twice-0"))?;
    let node = Node::start_with(setup());
    assert_eq!(try_end_offset(&mut node.connect(), "twice", 0), Ok(1));
    Ok(())
}

#[test]
fn a_lost_topic_id_is_made_anew_from_the_metadata() -> io::Result<()> {
    let mut node = Node::start();
    node.create_topic("lost", 1);
    let path = node.log_directory().join("lost-0/partition.metadata");
    let written = fs::read_to_string(&path)?;
    node.stop();
    fs::remove_file(&path)?;
    node.start_again();
    let again = reach("the id is written again", SOON, || {
        fs::read_to_string(&path).ok()
    });
    assert_eq!(again, written);
    Ok(())
}
