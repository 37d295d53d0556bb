//! One member of the crowded group: takes records, commits them, and writes down in its journal
//! (standard output) what it owns and what it committed. It leaves when its standard input ends.
//!
//! usage: crowd-member BOOTSTRAP GROUP NAME commits|transactions
//!
//! Invariant: nothing is taken while something taken before is neither committed nor given up, and
//! a partition is given up only after that.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use journal::{Event, Range};

/// Records are taken so many at a time.
const TAKEN_MAX: usize = 200;
const PATIENCE: Duration = Duration::from_secs(60);

type Copier = ThreadedProducer<Copying>;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let [_, bootstrap, group, name, how] = &words[..] else {
        panic!("usage: crowd-member BOOTSTRAP GROUP NAME commits|transactions");
    };
    end_at_first_panic();
    let copier = (how == "transactions").then(|| copier(bootstrap, name));
    let taken = Taken {
        records: Mutex::default(),
        copier,
        closing: AtomicBool::new(false),
    };
    let consumer = consumer(bootstrap, group, name, taken);
    consumer.subscribe(&["crowd"]).expect("a valid topic");
    let leave = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&leave);
    std::thread::spawn(move || {
        // Whatever comes, the end of the stream is the sign.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::Relaxed);
    });
    while !leave.load(Ordering::Relaxed) {
        take(&consumer);
        consumer.context().commit(&consumer);
    }
    consumer.context().closing.store(true, Ordering::Relaxed);
    drop(consumer);
    write_down(&Event::Left);
}

/// A failed member is gone at once: one that unwinds would leave its group in order, or hang in that.
fn end_at_first_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::exit(1);
    }));
}

fn copier(bootstrap: &str, name: &str) -> Copier {
    let copier: Copier = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", name)
        // What a crashed member leaves open holds its partitions up for so long. A node that a busy
        // machine stops for longer puts living members out, too.
        .set("transaction.timeout.ms", "10000")
        .create_with_context(Copying)
        .expect("valid settings");
    copier
        .init_transactions(PATIENCE)
        .expect("the transaction coordinator answers");
    copier
}

fn consumer(bootstrap: &str, group: &str, name: &str, taken: Taken) -> BaseConsumer<Taken> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("client.id", name)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "500")
        .create_with_context(taken)
        .expect("valid settings")
}

/// One write a line, so that the end of the process cuts off no line but the last.
fn write_down(event: &Event) {
    let line = format!("{} {event}\n", journal::now());
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).expect("the journal is open");
    out.flush().expect("the journal is open");
}

/// The first offset of some records of a partition, and their values.
type Run = (i64, Vec<Vec<u8>>);

/// What was taken and is not committed, by partition.
struct Taken {
    records: Mutex<BTreeMap<i32, Run>>,
    copier: Option<Copier>,
    /// Whether the consumer is being closed.
    closing: AtomicBool,
}

fn take(consumer: &BaseConsumer<Taken>) {
    let mut wait = Duration::from_millis(100);
    for _ in 0..TAKEN_MAX {
        // Rebalances happen in here.
        let Some(polled) = consumer.poll(wait) else {
            break;
        };
        wait = Duration::ZERO;
        let message = match polled {
            Ok(message) => message,
            Err(KafkaError::MessageConsumption(code)) if passes(code) => continue,
            Err(error) => panic!("poll: {error}"),
        };
        let mut records = consumer.context().records.lock().expect("one thread");
        let (from, values) = records
            .entry(message.partition())
            .or_insert((message.offset(), Vec::new()));
        let next = *from + i64::try_from(values.len()).expect("few records");
        assert_eq!(message.offset(), next, "no record is left out");
        let value = message.payload().expect("a value").to_vec();
        let says = format!("{}:{next}", message.partition());
        assert_eq!(value, says.as_bytes(), "the record's content");
        values.push(value);
    }
}

/// What librdkafka reports and goes on from by itself: the coordinator moved or was asked too
/// early, and the member was put out of the group, which a revocation reports again.
fn passes(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::TimedOutQueue
    )
}

impl Taken {
    /// Commits everything that was taken. What the coordinator refuses stays, and is committed
    /// with what follows, unless its partition is given up.
    fn commit(&self, consumer: &BaseConsumer<Taken>) {
        let mut records = self.records.lock().expect("one thread");
        if records.is_empty() {
            return;
        }
        let ranges: Vec<Range> = records
            .iter()
            .map(|(partition, (from, values))| Range {
                partition: *partition,
                from: *from,
                to: from + i64::try_from(values.len()).expect("few records"),
            })
            .collect();
        let mut offsets = TopicPartitionList::new();
        for range in &ranges {
            offsets
                .add_partition_offset("crowd", range.partition, Offset::Offset(range.to))
                .expect("a valid offset");
        }
        write_down(&Event::Commits(ranges));
        let result = match &self.copier {
            None => consumer.commit(&offsets, CommitMode::Sync),
            Some(copier) => {
                let values = records.values().flat_map(|(_, values)| values);
                copy(copier, consumer, values, &offsets)
            }
        };
        match result {
            Ok(()) => {
                records.clear();
                write_down(&Event::Committed);
            }
            // Whatever the reason is, its transaction was aborted.
            Err(error) if self.copier.is_some() => {
                write_down(&Event::Refused(format!("{:?}", error.rdkafka_error_code())));
            }
            Err(error) => match error.rdkafka_error_code() {
                // The coordinator has said no.
                Some(
                    code @ (RDKafkaErrorCode::IllegalGeneration
                    | RDKafkaErrorCode::UnknownMemberId
                    | RDKafkaErrorCode::FencedInstanceId
                    | RDKafkaErrorCode::RebalanceInProgress),
                ) => write_down(&Event::Refused(format!("{code:?}"))),
                // It may have been done or not: nothing is written down.
                Some(code) if passes(code) => {}
                _ => panic!("commit: {error}"),
            },
        }
    }
}

/// Copies `values` in one transaction with the group's `offsets`; an error means that it was
/// aborted.
fn copy<'a>(
    copier: &Copier,
    consumer: &BaseConsumer<Taken>,
    values: impl Iterator<Item = &'a Vec<u8>>,
    offsets: &TopicPartitionList,
) -> KafkaResult<()> {
    copier.begin_transaction().expect("none is open");
    for value in values {
        let text = std::str::from_utf8(value).expect("values are text");
        let partition = text.split(':').next().and_then(|p| p.parse().ok());
        let record = BaseRecord::<(), [u8]>::to("copies")
            .partition(partition.expect("a partition"))
            .payload(value.as_slice());
        let sent = copier.send(record).map_err(|(error, _)| error);
        sent.expect("the queue has room");
    }
    let member = consumer.group_metadata().expect("a member of a group");
    let sent = copier.send_offsets_to_transaction(offsets, &member, PATIENCE);
    let sent = sent.and_then(|()| copier.commit_transaction(PATIENCE));
    if let Err(error) = &sent {
        end_if_fenced(error);
        let aborted = copier.abort_transaction(PATIENCE);
        aborted.unwrap_or_else(|cause| {
            end_if_fenced(&cause);
            panic!("abort after {error}: {cause}");
        });
    }
    sent
}

/// A transaction that lasted too long is aborted by its coordinator, and its producer is of no use any
/// more: the member ends as if it had crashed.
fn end_if_fenced(error: &KafkaError) {
    if let KafkaError::Transaction(cause) = error
        && cause.is_fatal()
    {
        eprintln!("fenced: {cause}");
        std::process::exit(journal::FENCED);
    }
}

/// Tells why a copy fails, which the error of its transaction does not.
struct Copying;

impl ClientContext for Copying {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Emerg, Error};
        if matches!(level, Emerg | Alert | Critical | Error) {
            eprintln!("{facility}: {message}");
        }
    }
}

impl ProducerContext for Copying {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

impl ClientContext for Taken {}

impl ConsumerContext for Taken {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Taken>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                // A consumer that is being closed answers no questions, and takes nothing.
                if !self.closing.load(Ordering::Relaxed) {
                    begin_at_committed(consumer, partitions);
                }
                let assigned = consumer.incremental_assign(partitions);
                assigned.expect("the assignment is valid");
                write_down(&Event::Assigned(numbers(partitions)));
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                self.give_up(consumer, &numbers(partitions));
                let revoked = consumer.incremental_unassign(partitions);
                revoked.expect("they were assigned");
            }
            other => panic!("rebalance: {other:?}"),
        }
    }
}

impl Taken {
    fn give_up(&self, consumer: &BaseConsumer<Taken>, partitions: &[i32]) {
        if consumer.assignment_lost() {
            write_down(&Event::Lost(partitions.into()));
        } else {
            self.commit(consumer);
            write_down(&Event::Revoked(partitions.into()));
        }
        let mut records = self.records.lock().expect("one thread");
        records.retain(|partition, _| !partitions.contains(partition));
    }
}

/// Finds out itself where each of `partitions` begins. librdkafka (2.12) forgets to ask again for an
/// offset that an open transaction holds back if another partition is assigned meanwhile, and begins
/// at `auto.offset.reset`.
fn begin_at_committed(consumer: &BaseConsumer<Taken>, partitions: &mut TopicPartitionList) {
    let committed = loop {
        let told = match consumer.committed_offsets(partitions.clone(), PATIENCE) {
            Ok(told) => told,
            Err(error) if error.rdkafka_error_code().is_some_and(passes) => continue,
            Err(error) => panic!("the committed offsets: {error}"),
        };
        let mut errors = told.elements().into_iter().filter_map(|e| e.error().err());
        match errors.next() {
            None => break told,
            Some(error) => assert_eq!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::UnstableOffsetCommit),
                "a committed offset: {error}"
            ),
        }
    };
    for element in committed.elements() {
        let begin = match element.offset() {
            Offset::Offset(offset) => Offset::Offset(offset),
            _ => Offset::Beginning,
        };
        let set = partitions.set_partition_offset("crowd", element.partition(), begin);
        set.expect("it was asked for");
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    let elements = partitions.elements();
    elements.iter().map(|element| element.partition()).collect()
}
