//! Shows: static members of librdkafka in cooperative groups keep their partitions over a restart of
//! their own and of the node, are fenced by who takes their name, and time out as others do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chiplog_tests::node::{Node, Setup};
use chiplog_tests::state::{SOON, reach};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};

use crate::groups::fill;

const PARTITIONS: i32 = 4;
/// Of the member that comes and goes. That of the one that stays is longer than any restart of the
/// node, after which librdkafka would join anew.
const SESSION_MS: u32 = 20_000;

/// Counts the rebalances that a member takes part in.
#[derive(Default)]
struct Rebalances(AtomicUsize);

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, _: &BaseConsumer<Rebalances>, _: &Rebalance<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Member {
    consumer: BaseConsumer<Rebalances>,
    seen: Vec<(i32, i64)>,
}

impl Member {
    /// Joins as `instance`. A member with a name of its own does not leave when it is dropped.
    fn join(node: &Node, instance: &str, session_ms: u32) -> Member {
        let consumer: BaseConsumer<Rebalances> = ClientConfig::new()
            .set("bootstrap.servers", node.bootstrap())
            .set("group.id", "readers")
            .set("group.instance.id", instance)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session_ms.to_string())
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .create_with_context(Rebalances::default())
            .expect("valid settings");
        consumer.subscribe(&["source"]).expect("a valid name");
        Member {
            consumer,
            seen: Vec::new(),
        }
    }

    /// Takes and commits a record, if one comes; gives the error that ends the member.
    fn poll(&mut self) -> Option<RDKafkaErrorCode> {
        match self.consumer.poll(Duration::from_millis(20))? {
            Ok(message) => {
                self.seen.push((message.partition(), message.offset()));
                let mut next = TopicPartitionList::new();
                next.add_partition_offset(
                    "source",
                    message.partition(),
                    Offset::Offset(message.offset() + 1),
                )
                .expect("a valid offset");
                // The next commit covers one that the node is not there for.
                let _ = self.consumer.commit(&next, CommitMode::Sync);
                None
            }
            Err(KafkaError::MessageConsumptionFatal(code)) => Some(code),
            // Errors of connections come while the node is away.
            Err(_) => None,
        }
    }

    fn owned(&self) -> Vec<i32> {
        let assignment = self.consumer.assignment().expect("it is known");
        let mut owned: Vec<i32> = assignment
            .elements()
            .iter()
            .map(|element| element.partition())
            .collect();
        owned.sort_unstable();
        owned
    }

    fn rebalances(&self) -> usize {
        self.consumer.context().0.load(Ordering::Relaxed)
    }
}

/// Waits until the members own so many partitions each, and gives these.
fn reach_shares(members: &mut [&mut Member], shares: &[usize]) -> Vec<Vec<i32>> {
    reach("each has its share", SOON, || {
        let owned = members.iter_mut().map(|member| {
            member.poll();
            member.owned()
        });
        let owned: Vec<Vec<i32>> = owned.collect();
        let sizes = owned.iter().map(Vec::len);
        sizes.eq(shares.iter().copied()).then_some(owned)
    })
}

/// Waits until the members have seen so many records together.
fn reach_seen(members: &mut [&mut Member], before: &[(i32, i64)], count: usize) {
    reach("all records are seen", SOON, || {
        members.iter_mut().for_each(|member| {
            member.poll();
        });
        let seen: usize = members.iter().map(|member| member.seen.len()).sum();
        (before.len() + seen >= count).then_some(())
    });
}

#[test]
fn static_members_keep_their_partitions_over_restarts_and_are_fenced() {
    let mut node = Node::start_with(Setup::new().set("group.initial.rebalance.delay.ms", "0"));
    node.create_topic("source", PARTITIONS);
    let mut one = Member::join(&node, "one", SESSION_MS);
    let mut two = Member::join(&node, "two", 6 * SESSION_MS);
    let shares = reach_shares(&mut [&mut one, &mut two], &[2, 2]);
    let rebalances = two.rebalances();
    fill(&node, "source", PARTITIONS, 5);
    reach_seen(&mut [&mut one, &mut two], &[], 20);

    // Away and back, with the node away in between: the other one does not even hear of it.
    let mut seen = one.seen;
    drop(one.consumer);
    node.kill();
    node.start_again();
    let mut one = Member::join(&node, "one", SESSION_MS);
    let same = reach_shares(&mut [&mut one, &mut two], &[2, 2]);
    assert_eq!(same, shares, "the partitions of before");
    fill(&node, "source", PARTITIONS, 5);
    reach_seen(&mut [&mut one, &mut two], &seen, 40);
    assert_eq!(two.rebalances(), rebalances, "nothing changes for others");

    // Who comes with the same name is the member from then on.
    let mut heir = Member::join(&node, "one", SESSION_MS);
    let fenced = reach("the first one is fenced", SOON, || {
        heir.poll();
        two.poll();
        one.poll()
    });
    assert_eq!(fenced, RDKafkaErrorCode::FencedInstanceId);
    seen.append(&mut one.seen);
    let same = reach_shares(&mut [&mut heir, &mut two], &[2, 2]);
    assert_eq!(same, shares, "the partitions of before");
    assert_eq!(two.rebalances(), rebalances, "nothing changes for others");

    // One that does not come back loses its partitions after its session.
    seen.append(&mut heir.seen);
    drop(heir.consumer);
    reach_shares(&mut [&mut two], &[4]);
    fill(&node, "source", PARTITIONS, 5);
    reach_seen(&mut [&mut two], &seen, 60);
    seen.append(&mut two.seen);
    seen.sort_unstable();
    let each = |partition| (0..15).map(move |offset| (partition, offset));
    let all: Vec<(i32, i64)> = (0..PARTITIONS).flat_map(each).collect();
    assert_eq!(seen, all, "each record once");
}
