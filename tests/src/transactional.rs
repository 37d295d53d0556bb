//! A transactional producer by hand: it sends what a client would, in the pieces and at the moments
//! that a test wants.

use crate::batch::{Batch, Record};
use crate::node::Node;
use crate::raw::{Body, Connection, FIND_COORDINATOR, INIT_PRODUCER_ID};
use crate::state::{SOON, reach};

/// The key of the API AddPartitionsToTxn.
pub const ADD_PARTITIONS_TO_TXN: i16 = 24;
/// The key of the API EndTxn.
pub const END_TXN: i16 = 26;
/// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR and
/// CONCURRENT_TRANSACTIONS.
const TO_BE_ASKED_AGAIN: [i16; 4] = [14, 15, 16, 51];

/// A producer with a transactional id, and what it was told at its initialisation.
#[derive(Clone, Debug)]
pub struct TransactionalProducer {
    id: String,
    producer: i64,
    epoch: i16,
}

impl TransactionalProducer {
    /// Initialises `id`, as soon as its coordinator is there.
    pub fn initialise(node: &Node, id: &str) -> TransactionalProducer {
        const TRANSACTION: i8 = 1;
        let mut client = node.connect();
        let find = Body::new().string(id).i8(TRANSACTION);
        let initialise = Body::new().string(id).i32(60_000);
        reach("the transactional id is initialised", SOON, || {
            // Who asks for the coordinator has its topic made.
            client.ask(FIND_COORDINATOR, 1, &find);
            let mut answer = client.ask(INIT_PRODUCER_ID, 0, &initialise);
            answer.i32(); // throttle time
            (answer.i16() == 0).then(|| TransactionalProducer {
                id: id.to_owned(),
                producer: answer.i64(),
                epoch: answer.i16(),
            })
        })
    }

    /// Its producer id.
    pub fn producer_id(&self) -> i64 {
        self.producer
    }

    /// Makes partitions of `topic` part of its transaction.
    pub fn add(&self, client: &mut Connection, topic: &str, partitions: &[i32]) {
        let count = i32::try_from(partitions.len()).expect("few partitions");
        let mut body = self.named().i32(1).string(topic).i32(count);
        for partition in partitions {
            body = body.i32(*partition);
        }
        reach("the transaction before has ended", SOON, || {
            let mut answer = client.ask(ADD_PARTITIONS_TO_TXN, 0, &body);
            answer.i32(); // throttle time
            assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
            assert_eq!(answer.i32(), count);
            let each = partitions.iter().map(|_| (answer.i32(), answer.i16()));
            let refused = each.filter(|(_, error)| *error != 0).collect::<Vec<_>>();
            let waits = |(_, error): &(i32, i16)| TO_BE_ASKED_AGAIN.contains(error);
            assert!(refused.iter().all(waits), "{topic}: {refused:?}");
            refused.is_empty().then_some(())
        });
    }

    /// A batch of its transaction whose sequence numbers begin with `sequence`.
    pub fn batch(&self, sequence: i32, values: &[&[u8]]) -> Vec<u8> {
        let records: Vec<_> = values.iter().map(|value| Record::of_now(value)).collect();
        self.uncompressed(sequence).of(&records)
    }

    /// The same without its records.
    pub fn uncompressed(&self, sequence: i32) -> Batch {
        Batch {
            producer: self.producer,
            epoch: self.epoch,
            sequence,
            transactional: true,
            compressed: false,
        }
    }

    /// The body of a Produce request of version 3 or 7 with a batch for each of some partitions.
    pub fn produce(&self, topic: &str, batches: &[(i32, Vec<u8>)]) -> Body {
        let count = i32::try_from(batches.len()).expect("few partitions");
        let head = Body::new().string(&self.id).i16(-1).i32(30_000);
        let mut body = head.i32(1).string(topic).i32(count);
        for (partition, batch) in batches {
            body = body.i32(*partition).bytes(batch);
        }
        body
    }

    /// Ends its transaction.
    pub fn end(&self, client: &mut Connection, commits: bool) {
        let body = self.named().i8(i8::from(commits));
        let error = reach("the coordinator is there", SOON, || {
            let mut answer = client.ask(END_TXN, 0, &body);
            answer.i32(); // throttle time
            Some(answer.i16()).filter(|error| !TO_BE_ASKED_AGAIN.contains(error))
        });
        assert_eq!(error, 0, "the transaction ends");
    }

    fn named(&self) -> Body {
        Body::new()
            .string(&self.id)
            .i64(self.producer)
            .i16(self.epoch)
    }
}
