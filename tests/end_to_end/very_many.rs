//! Shows: groups and transactional ids are all listed, each once, however many there are.

use std::io;

use chiplog_tests::node::{Node, Setup};
use chiplog_tests::raw::{Answer, Body, Connection, FIND_COORDINATOR, INIT_PRODUCER_ID};
use chiplog_tests::state::{SOON, reach};

const OFFSET_COMMIT: i16 = 8;
const LIST_GROUPS: i16 = 16;
const LIST_TRANSACTIONS: i16 = 66;
/// More than are looked at in one turn, in each of two partitions.
const COUNT: usize = 2_500;
/// Requests sent together.
const AT_ONCE: usize = 50;

fn id(number: usize) -> String {
    format!("id-{number:05}")
}

fn find(client: &mut Connection, key_type: i8) {
    reach("the coordinator is there", SOON, || {
        let asked = Body::new().string("key").i8(key_type);
        let mut answer = client.ask(FIND_COORDINATOR, 1, &asked);
        answer.i32(); // throttle time
        (answer.i16() == 0).then_some(())
    });
}

/// Sends a request for every id, again while the coordinator is not ready; `error` finds the error
/// code in an answer.
fn send_all(
    client: &mut Connection,
    (api_key, version): (i16, i16),
    request: impl Fn(&str) -> Body,
    error: impl Fn(&mut Answer) -> i16,
) -> io::Result<()> {
    reach("the coordinator is ready", SOON, || {
        let mut answer = client.ask(api_key, version, &request(&id(0)));
        (error(&mut answer) == 0).then_some(())
    });
    let ids: Vec<String> = (1..COUNT).map(id).collect();
    for ids in ids.chunks(AT_ONCE) {
        let bodies: Vec<Body> = ids.iter().map(|id| request(id)).collect();
        let together: Vec<_> = bodies.iter().map(|body| (api_key, version, body)).collect();
        for sent in client.send_together(&together)? {
            assert_eq!(error(&mut client.receive_answer(sent)?), 0);
        }
    }
    Ok(())
}

#[test]
fn all_groups_and_transactional_ids_are_listed() -> io::Result<()> {
    let setup = Setup::new().set("offsets.topic.num.partitions", "2");
    let node = Node::start_with(setup.set("transaction.state.log.num.partitions", "2"));
    node.create_topic("source", 1);
    let mut client = node.connect();
    find(&mut client, 0);
    let commit = |id: &str| {
        let head = Body::new().string(id).i32(-1).string("").i64(-1);
        let one = head.i32(1).string("source").i32(1).i32(0);
        one.i64(1).string("")
    };
    send_all(&mut client, (OFFSET_COMMIT, 2), commit, |answer| {
        assert_eq!(answer.i32(), 1, "one topic");
        answer.string();
        assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
        answer.i16()
    })?;
    let mut answer = client.ask(LIST_GROUPS, 0, &Body::new());
    assert_eq!(answer.i16(), 0, "no error");
    let groups = (0..answer.i32()).map(|_| {
        let group = answer.string().expect("an id");
        answer.string(); // protocol type
        group
    });
    let mut groups: Vec<String> = groups.collect();
    groups.sort_unstable();
    assert_eq!(groups, (0..COUNT).map(id).collect::<Vec<_>>());

    find(&mut client, 1);
    let init = |id: &str| Body::new().string(id).i32(60_000);
    send_all(&mut client, (INIT_PRODUCER_ID, 0), init, |answer| {
        answer.i32(); // throttle time
        answer.i16()
    })?;
    // The header's tagged fields, no filters, the request's tagged fields.
    let mut answer = client.ask(LIST_TRANSACTIONS, 0, &Body::new().raw(&[0, 1, 1, 0]));
    answer.i8(); // the header's tagged fields
    answer.i32(); // throttle time
    assert_eq!(answer.i16(), 0, "no error");
    assert_eq!(answer.varint_unsigned(), 1, "no unknown filters");
    let ids = (1..answer.varint_unsigned()).map(|_| {
        let id = answer.compact_string().expect("an id");
        answer.i64(); // producer id
        answer.compact_string(); // state
        answer.i8(); // tagged fields
        id
    });
    let mut ids: Vec<String> = ids.collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..COUNT).map(id).collect::<Vec<_>>());
    Ok(())
}
