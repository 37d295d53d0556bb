//! Shows: single requests are answered as Kafka answers them, where no client of the other tests
//! would ask.

use std::io;

use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::raw::{
    API_VERSIONS, Body, CREATE_TOPICS, Connection, FIND_COORDINATOR, METADATA,
    OFFSET_FOR_LEADER_EPOCH, PRODUCE, batch, end_offset, produce, produce_to,
};
use chiplog_tests::state::{SOON, reach};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const TOPIC_ALREADY_EXISTS: i16 = 36;
const INVALID_TOPIC: i16 = 17;
const INVALID_REQUEST: i16 = 42;

#[test]
fn the_coordinator_is_found_and_its_topic_made() {
    let node = Node::start();
    let mut client = node.connect();
    for (key_type, topic) in [(0, "__consumer_offsets"), (1, "__transaction_state")] {
        reach("the coordinator is found", SOON, || {
            let key = Body::new().string("key").i8(key_type);
            let mut answer = client.ask(FIND_COORDINATOR, 1, &key);
            answer.i32(); // throttle time
            match answer.i16() {
                0 => {}
                COORDINATOR_NOT_AVAILABLE => return None,
                other => panic!("error {other}"),
            }
            answer.string(); // message
            answer.i32(); // node
            answer.string(); // host
            assert_eq!(answer.i32(), i32::from(node.port()));
            Some(())
        });
        assert_eq!(metadata_error(&mut client, topic), 0, "{topic}");
        let refused = produce_to(&mut client, topic, &batch(&[b"x"])).expect("an answer");
        assert_eq!(refused.0, INVALID_TOPIC, "nobody else writes to {topic}");
    }
    let mut answer = client.ask(FIND_COORDINATOR, 1, &Body::new().string("key").i8(9));
    answer.i32(); // throttle time
    assert_eq!(answer.i16(), INVALID_REQUEST);
}

/// The error code of `topic` in an answer to a Metadata request for it alone.
fn metadata_error(client: &mut Connection, topic: &str) -> i16 {
    let mut answer = client.ask(METADATA, 1, &Body::new().i32(1).string(topic));
    assert_eq!(answer.i32(), 1, "one broker");
    answer.i32(); // id
    answer.string(); // host
    answer.i32(); // port
    answer.string(); // rack
    answer.i32(); // controller
    assert_eq!(answer.i32(), 1, "one topic");
    answer.i16()
}

#[test]
fn topics_are_created_on_demand_only_if_allowed() {
    let node = Node::start_with(Setup::new().set("auto.create.topics.enable", "false"));
    let mut client = node.connect();
    for _ in 0..2 {
        assert_eq!(
            metadata_error(&mut client, "absent"),
            UNKNOWN_TOPIC_OR_PARTITION
        );
    }
    let (error, _) = produce_to(&mut client, "absent", &batch(&[b"x"])).expect("an answer");
    assert_eq!(error, UNKNOWN_TOPIC_OR_PARTITION);

    let node = Node::start_with(Setup::new().set("num.partitions", "7"));
    let mut client = node.connect();
    reach("the topic is created by asking for it", SOON, || {
        (metadata_error(&mut client, "wanted") == 0).then_some(())
    });
    let again = Body::new()
        .i32(1)
        .string("wanted")
        .i32(1)
        .i16(1)
        .i32(0)
        .i32(0)
        .i32(30_000)
        .i8(0);
    let mut answer = client.ask(CREATE_TOPICS, 2, &again);
    answer.i32(); // throttle time
    assert_eq!(
        (answer.i32(), answer.string().as_deref()),
        (1, Some("wanted"))
    );
    assert_eq!(answer.i16(), TOPIC_ALREADY_EXISTS);
}

#[test]
fn an_error_with_acks_0_ends_the_connection_because_nothing_else_can_tell_it() -> io::Result<()> {
    let node = Node::start_with(Setup::new().set("auto.create.topics.enable", "false"));
    node.create_topic("there", 1);
    let mut client = node.connect();
    client.send(PRODUCE, 7, &produce("there", 0, &batch(&[b"silent"])))?;
    assert_eq!(
        produce_to(&mut client, "there", &batch(&[b"heard"]))?,
        (0, 1)
    );
    client.send(PRODUCE, 7, &produce("absent", 0, &batch(&[b"lost"])))?;
    assert!(client.is_closed_by_node());
    Ok(())
}

#[test]
fn the_end_of_a_leader_epoch_is_known() -> io::Result<()> {
    let node = Node::start();
    node.create_topic("epochs", 1);
    let mut client = node.connect();
    produce_to(&mut client, "epochs", &batch(&[b"a", b"b", b"c"]))?;
    let end_of = |client: &mut Connection, epoch: i32| {
        // Version 2: the current leader epoch, unknown here, comes before the one asked for.
        let one = Body::new()
            .i32(1)
            .string("epochs")
            .i32(1)
            .i32(0)
            .i32(-1)
            .i32(epoch);
        let mut answer = client.ask(OFFSET_FOR_LEADER_EPOCH, 2, &one);
        answer.i32(); // throttle time
        assert_eq!(
            (answer.i32(), answer.string().as_deref()),
            (1, Some("epochs"))
        );
        assert_eq!(
            (answer.i32(), answer.i16(), answer.i32()),
            (1, 0, 0),
            "one partition, 0"
        );
        (answer.i32(), answer.i64())
    };
    assert_eq!(
        end_of(&mut client, 0),
        (0, 3),
        "the current epoch ends where the log ends"
    );
    assert_eq!(
        end_of(&mut client, 1_000),
        (-1, -1),
        "an epoch that has not begun has no end"
    );
    Ok(())
}

#[test]
fn every_partition_is_reached_from_every_shard() -> io::Result<()> {
    const PARTITIONS: i32 = 16;
    let mut setup = Setup::new();
    if Target::of_this_run() == Target::Chiplog {
        setup = setup.set("num.shards", "4");
    }
    let node = Node::start_with(setup);
    node.create_topic("spread", PARTITIONS);
    // Each connection lands on some shard, each partition lives on some shard.
    for round in 0..8 {
        let mut client = node.connect();
        let mut body = Body::new()
            .i16(-1)
            .i16(-1)
            .i32(30_000)
            .i32(1)
            .string("spread");
        body = body.i32(PARTITIONS);
        for partition in 0..PARTITIONS {
            let value = format!("{round} {partition}");
            body = body.i32(partition).bytes(&batch(&[value.as_bytes()]));
        }
        let mut answer = client.ask(PRODUCE, 7, &body);
        assert_eq!(
            (answer.i32(), answer.string().as_deref()),
            (1, Some("spread"))
        );
        assert_eq!(answer.i32(), PARTITIONS);
        let mut answered: Vec<i32> = Vec::new();
        for _ in 0..PARTITIONS {
            answered.push(answer.i32());
            assert_eq!((answer.i16(), answer.i64()), (0, round), "error and offset");
            answer.i64(); // log append time
            answer.i64(); // log start offset
        }
        answered.sort_unstable();
        assert_eq!(answered, (0..PARTITIONS).collect::<Vec<i32>>());
        assert_eq!(end_offset(&mut client, "spread"), round + 1);
    }
    Ok(())
}

#[test]
fn tagged_fields_that_say_nothing_are_left_out() {
    let node = Node::start();
    // Header and body are flexible, the header of the answer is not.
    let name = |body: Body| body.varint_unsigned(2).raw(b"t");
    let body = name(name(Body::new().raw(&[0]))).raw(&[0]);
    let mut answer = node.connect().ask(API_VERSIONS, 3, &body);
    assert_eq!(answer.i16(), 0);
    for _ in 1..answer.varint_unsigned() {
        assert!(answer.i16() >= 0, "an API");
        assert!(answer.i16() <= answer.i16(), "its versions");
        assert_eq!(answer.varint_unsigned(), 0, "no tagged fields");
    }
    answer.i32(); // throttle time
    const EMPTY: &[u8] = &[1];
    // Supported features, the epoch of the finalized ones, those, and whether ZooKeeper can be left.
    let defaults: [&[u8]; 4] = [EMPTY, &[0xff; 8], EMPTY, &[0]];
    for _ in 0..answer.varint_unsigned() {
        let (tag, size) = (answer.varint_unsigned(), answer.varint_unsigned());
        let value: Vec<u8> = (0..size).map(|_| answer.i8().cast_unsigned()).collect();
        assert_ne!(value, defaults[tag as usize], "tag {tag}");
    }
    assert!(answer.rest().is_empty());
}
