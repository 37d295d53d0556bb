//! What the tests with librdkafka share: producers that remember every delivery, and consumers
//! of assigned partitions that read to the end.

use std::sync::Mutex;
use std::time::Duration;

use chiplog_tests::node::Node;
use chiplog_tests::state::SOON;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

/// What became of one message: partition and offset, or why it was not delivered.
pub type Delivery = Result<(i32, i64), RDKafkaErrorCode>;

/// Collects the deliveries of a producer, in the order in which librdkafka reports them.
#[derive(Default)]
pub struct Deliveries(Mutex<Vec<Delivery>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let delivery = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.rdkafka_error_code().expect("deliveries have a code")),
        };
        self.0.lock().expect("no delivery panics").push(delivery);
    }
}

/// A producer to one node.
pub struct Sender(BaseProducer<Deliveries>);

impl Sender {
    /// A producer with librdkafka's defaults and `settings`.
    pub fn to(node: &Node, settings: &[(&str, &str)]) -> Sender {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", node.bootstrap());
        for (key, value) in settings {
            config.set(*key, *value);
        }
        Sender(
            config
                .create_with_context(Deliveries::default())
                .expect("valid settings"),
        )
    }

    /// Queues `record`, and makes room for it when the queue is full.
    pub fn send(&self, mut record: BaseRecord<'_, [u8], [u8]>) {
        loop {
            match self.0.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.0.poll(Duration::from_millis(20));
                }
                Err((error, _)) => panic!("librdkafka refuses a message: {error}"),
            }
        }
        self.0.poll(Duration::ZERO);
    }

    /// How many messages have been delivered, or given up, so far.
    pub fn delivered_so_far(&self) -> usize {
        self.0.context().0.lock().expect("no delivery panics").len()
    }

    /// Waits until nothing is queued or in flight, and gives all deliveries.
    pub fn finish(self) -> Vec<Delivery> {
        self.0
            .flush(2 * SOON)
            .expect("everything is delivered, or given up");
        std::mem::take(&mut *self.0.context().0.lock().expect("no delivery panics"))
    }
}

/// Checks that all of `count` messages were delivered.
pub fn assert_all_delivered(deliveries: &[Delivery], count: usize) {
    assert_eq!(deliveries.len(), count);
    let failed = deliveries.iter().find(|delivery| delivery.is_err());
    assert_eq!(failed, None, "all messages are delivered");
}

/// A consumer of one node that belongs to no group, with `settings`.
pub fn consumer(node: &Node, settings: &[(&str, &str)]) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", node.bootstrap())
        // librdkafka wants a name even where no group is used.
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().expect("valid settings")
}

/// Reads partitions 0 to `partitions` of `topic` from `offset` to their ends, and hands every
/// message to `each`.
pub fn read_to_ends(
    consumer: &BaseConsumer,
    topic: &str,
    partitions: i32,
    offset: Offset,
    mut each: impl FnMut(&BorrowedMessage<'_>),
) {
    let mut assignment = TopicPartitionList::new();
    for partition in 0..partitions {
        assignment
            .add_partition_offset(topic, partition, offset)
            .expect("a valid offset");
    }
    consumer
        .assign(&assignment)
        .expect("the assignment is valid");
    let mut ended = vec![false; usize::try_from(partitions).expect("not negative")];
    while ended.contains(&false) {
        match consumer
            .poll(SOON)
            .expect("a message or an end within a minute")
        {
            Ok(message) => each(&message),
            Err(KafkaError::PartitionEOF(partition)) => {
                ended[usize::try_from(partition).expect("not negative")] = true;
            }
            Err(error) => panic!("{topic}: {error}"),
        }
    }
}
