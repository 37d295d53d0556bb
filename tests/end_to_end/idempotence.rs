//! Shows: an idempotent producer's duplicate is answered with the original offset and not stored
//! again, for each of its last five batches, and for the last one also after `kill -9` or a clean
//! restart; a gap and a stale epoch are refused.

use std::io;

use chiplog_tests::node::Node;
use chiplog_tests::raw::{Body, Connection, INIT_PRODUCER_ID, batch_by, end_offset, produce_to};
use chiplog_tests::state::{SOON, reach};

const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const INVALID_PRODUCER_EPOCH: i16 = 47;

/// A producer id and epoch that the node gives to a producer without transactions.
fn new_producer(node: &mut Connection) -> (i64, i16) {
    let request = Body::new().i16(-1).i32(60_000);
    // Kafka may be busy at start with loading what it needs for that.
    reach("InitProducerId is answered without error", SOON, || {
        let mut answer = node.ask(INIT_PRODUCER_ID, 0, &request);
        answer.i32(); // throttle time
        (answer.i16() == 0).then(|| (answer.i64(), answer.i16()))
    })
}

#[test]
fn duplicates_get_their_original_offset_through_restarts() -> io::Result<()> {
    let mut node = Node::start();
    node.create_topic("once", 1);
    let mut client = node.connect();
    let (producer, epoch) = new_producer(&mut client);
    let two_from = |sequence| batch_by(producer, epoch, sequence, &[b"a", b"b"]);
    for number in 0..7 {
        assert_eq!(
            produce_to(&mut client, "once", &two_from(2 * number))?,
            (0, 2 * i64::from(number))
        );
    }
    // The window: each of the last five batches.
    for number in 2..7 {
        let offset = 2 * i64::from(number);
        assert_eq!(
            produce_to(&mut client, "once", &two_from(2 * number))?,
            (0, offset)
        );
    }
    let assert_remembered = |client: &mut Connection| -> io::Result<()> {
        // Kafka's snapshots of producers keep the last batch only; what came before that is
        // answered with an error or the original offset, and never stored again.
        assert_eq!(produce_to(client, "once", &two_from(12))?, (0, 12));
        let (error, offset) = produce_to(client, "once", &two_from(4))?;
        assert!(
            error != 0 || offset == 4,
            "an old duplicate: error {error}, offset {offset}"
        );
        assert_eq!(
            produce_to(client, "once", &two_from(16))?.0,
            OUT_OF_ORDER_SEQUENCE_NUMBER
        );
        assert_eq!(end_offset(client, "once"), 14);
        Ok(())
    };
    node.kill();
    node.start_again();
    assert_remembered(&mut node.connect())?;
    node.stop();
    node.start_again();
    let mut client = node.connect();
    assert_remembered(&mut client)?;
    assert_eq!(produce_to(&mut client, "once", &two_from(14))?, (0, 14));
    Ok(())
}

#[test]
fn a_newer_epoch_shuts_out_the_older_one() -> io::Result<()> {
    let node = Node::start();
    node.create_topic("once", 1);
    let mut client = node.connect();
    let (producer, epoch) = new_producer(&mut client);
    let one = |epoch, sequence| batch_by(producer, epoch, sequence, &[b"a"]);
    assert_eq!(produce_to(&mut client, "once", &one(epoch, 0))?, (0, 0));
    assert_eq!(
        produce_to(&mut client, "once", &one(epoch + 1, 1))?.0,
        OUT_OF_ORDER_SEQUENCE_NUMBER
    );
    assert_eq!(produce_to(&mut client, "once", &one(epoch + 1, 0))?, (0, 1));
    assert_eq!(
        produce_to(&mut client, "once", &one(epoch, 1))?.0,
        INVALID_PRODUCER_EPOCH
    );
    assert_eq!(end_offset(&mut client, "once"), 2);
    Ok(())
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut node = Node::start();
    let mut given = Vec::new();
    for _ in 0..3 {
        let mut client = node.connect();
        given.extend((0..20).map(|_| new_producer(&mut client)));
        node.kill();
        node.start_again();
    }
    assert!(
        given.iter().all(|(id, epoch)| *id >= 0 && *epoch == 0),
        "{given:?}"
    );
    let count = given.len();
    given.sort();
    given.dedup();
    assert_eq!(given.len(), count, "ids stay unique through kill -9");
}
