//! Shows: a transactional producer with several requests in flight on one connection has them
//! appended in their order, also while partitions join its transaction; and those that need no
//! verification do not wait for the answers to earlier ones.

use std::io;

use chiplog_tests::node::Node;
use chiplog_tests::raw::{Answer, Body, Connection, FETCH, PRODUCE};
use chiplog_tests::transactional::TransactionalProducer;

use crate::transactions::setup;

const IN_FLIGHT: usize = 5;

/// A fetch of one partition that waits up to 50 seconds for so many bytes.
fn fetch(topic: &str, partition: i32, bytes_min: usize) -> Body {
    let bytes_min = i32::try_from(bytes_min).expect("small");
    let head = Body::new().i32(-1).i32(50_000).i32(bytes_min);
    let one = head.i32(i32::MAX).i8(0).i32(1).string(topic).i32(1);
    one.i32(partition).i64(0).i32(i32::MAX)
}

/// How many bytes of records the answer to [`fetch`] has.
fn fetched_bytes(mut answer: Answer) -> usize {
    answer.i32(); // throttle time
    assert_eq!(answer.i32(), 1, "one topic");
    answer.string();
    assert_eq!(answer.i32(), 1, "one partition");
    answer.i32();
    assert_eq!(answer.i16(), 0, "no error");
    answer.i64(); // high watermark
    answer.i64(); // last stable offset
    assert!(answer.i32() <= 0, "no transaction was aborted");
    answer.bytes().len()
}

/// The error code and base offset of each partition in the answer to a Produce request.
fn produced(mut answer: Answer) -> Vec<(i16, i64)> {
    assert_eq!(answer.i32(), 1, "one topic");
    answer.string();
    let partitions = answer.i32();
    let each = (0..partitions).map(|_| {
        answer.i32(); // partition
        let outcome = (answer.i16(), answer.i64());
        answer.i64(); // log append time
        answer.i64(); // log start offset
        outcome
    });
    each.collect()
}

fn send_together(
    client: &mut Connection,
    requests: &[(i16, i16, Body)],
) -> io::Result<Vec<Answer>> {
    let requests: Vec<_> = requests
        .iter()
        .map(|(key, version, body)| (*key, *version, body))
        .collect();
    let sent = client.send_together(&requests)?;
    let answers = sent.into_iter().map(|sent| client.receive_answer(sent));
    answers.collect()
}

#[test]
fn five_requests_of_a_transaction_are_appended_before_any_is_answered() -> io::Result<()> {
    let node = Node::start_with(setup());
    for partition in 0..4 {
        // Partitions are owned by different shards; each topic begins on its own.
        let topic = format!("steady-{partition}");
        node.create_topic(&topic, 4);
        let mut client = node.connect();
        let producer = TransactionalProducer::initialise(&node, &topic);
        producer.add(&mut client, &topic, &[partition]);
        let batch = |sequence| producer.batch(sequence, &[b"steady"]);
        let request = |sequence| {
            let body = producer.produce(&topic, &[(partition, batch(sequence))]);
            (PRODUCE, 7, body)
        };
        let first = send_together(&mut client, &[request(0)])?.remove(0);
        assert_eq!(produced(first), [(0, 0)]);

        // The fetch is asked first, so that nothing behind it is answered before it; and it waits
        // until all that comes behind it is there.
        let all = (1 + IN_FLIGHT) * batch(0).len();
        let mut requests = vec![(FETCH, 4, fetch(&topic, partition, all))];
        requests.extend((1..=5).map(request));
        let mut answers = send_together(&mut client, &requests)?.into_iter();
        let fetched = answers.next().expect("the fetch is answered");
        assert_eq!(fetched_bytes(fetched), all, "none waited for an answer");
        let offsets: Vec<_> = answers.flat_map(produced).collect();
        assert_eq!(offsets, (1..=5).map(|at| (0, at)).collect::<Vec<_>>());
        producer.end(&mut client, true);
    }
    Ok(())
}

#[test]
fn requests_stay_in_order_while_partitions_join_a_transaction() -> io::Result<()> {
    const PARTITIONS: i32 = 6;
    let node = Node::start_with(setup());
    node.create_topic("joining", PARTITIONS);
    let mut client = node.connect();
    let producer = TransactionalProducer::initialise(&node, "joining");
    let partitions: Vec<_> = (0..PARTITIONS).collect();
    let mut written = [0; PARTITIONS as usize];
    for _ in 0..20 {
        producer.add(&mut client, "joining", &partitions);
        // The first request has one partition, the second that one and another, then the other
        // alone: it needs less verification than the one before it.
        let mut requests = Vec::new();
        for last in 1..PARTITIONS {
            for of in [vec![last - 1], vec![last - 1, last], vec![last]] {
                let batches = of.into_iter().map(|partition| {
                    let sequence = &mut written[partition as usize];
                    *sequence += 1;
                    (partition, producer.batch(*sequence - 1, &[b"joins"]))
                });
                let batches: Vec<_> = batches.collect();
                requests.push((PRODUCE, 7, producer.produce("joining", &batches)));
            }
        }
        for (number, answer) in send_together(&mut client, &requests)?
            .into_iter()
            .enumerate()
        {
            for (error, _) in produced(answer) {
                assert_eq!(error, 0, "request {number} of the transaction");
            }
        }
        producer.end(&mut client, true);
    }
    Ok(())
}
