//! What each request is answered in each situation, as Kafka 3.9 answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::batch::control::TransactionResult;
use protocol::batch::control::TransactionResult::{Abort, Commit};
use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TimestampMs};

use super::{
    Coordinator, Effect, ListFilter, Markers, Reply, Request, Settings, State, TopicPartition,
};
use crate::machine::{Action, Append, BatchOrigin, Machine, Producer, Record, Token};

const TIMEOUT_MS: i32 = 60_000;
const CHECK_MS: i64 = 10_000;
const EXPIRATION_MS: i64 = 1_000_000;

fn settings() -> Settings {
    Settings {
        coordinator_epoch: LeaderEpoch(5),
        timeout_ms_max: 900_000,
        id_expiration_ms: EXPIRATION_MS,
        timed_out_check_interval_ms: CHECK_MS,
        expired_check_interval_ms: 100_000,
        batch_bytes_max: 1_000,
    }
}

/// A coordinator whose appends wait to be answered by the test, and its log.
struct Bench {
    machine: Coordinator,
    now: TimestampMs,
    next_token: u64,
    next_producer_id: i64,
    replies: Vec<(Token, Reply)>,
    appends: Vec<Append>,
    markers: Vec<Markers>,
    log: Vec<Record>,
}

impl Bench {
    fn new() -> Self {
        Self::with_log(Vec::new())
    }

    fn with_log(log: Vec<Record>) -> Self {
        let mut bench = Bench {
            machine: Coordinator::new(settings()),
            now: TimestampMs(1_000_000_000),
            next_token: 0,
            next_producer_id: 1_000,
            replies: Vec::new(),
            appends: Vec::new(),
            markers: Vec::new(),
            log,
        };
        let origin = BatchOrigin {
            producer: None,
            timestamp: bench.now,
        };
        for (offset, record) in bench.log.iter().enumerate() {
            let value = record.value.as_deref();
            let replayed = bench
                .machine
                .replay(&origin, Offset(offset as i64), &record.key, value);
            replayed.unwrap();
        }
        let now = bench.now;
        bench.call(|machine, out| machine.on_loaded(now, out));
        bench
    }

    fn call(&mut self, call: impl FnOnce(&mut Coordinator, &mut Vec<Action<Coordinator>>)) {
        let mut out = Vec::new();
        call(&mut self.machine, &mut out);
        self.take(out);
    }

    fn take(&mut self, actions: Vec<Action<Coordinator>>) {
        for action in actions {
            match action {
                Action::Reply(token, reply) => self.replies.push((token, reply)),
                Action::Append(append) => self.appends.push(append),
                Action::Effect(Effect::WriteMarkers(markers)) => self.markers.push(markers),
                Action::Effect(Effect::ProducerId(token)) => {
                    let (now, id) = (self.now, ProducerId(self.next_producer_id));
                    self.next_producer_id += 1;
                    let mut out = Vec::new();
                    self.machine.on_producer_id(now, token, Ok(id), &mut out);
                    self.take(out);
                }
            }
        }
    }

    /// Asks; the answer may come later.
    fn ask(&mut self, request: Request) -> Token {
        let (now, token) = (self.now, Token(self.next_token));
        self.next_token += 1;
        self.call(|machine, out| machine.on_request(now, token, request, out));
        token
    }

    fn answer_to(&mut self, token: Token) -> Option<Reply> {
        let at = self.replies.iter().position(|(of, _)| *of == token)?;
        Some(self.replies.swap_remove(at).1)
    }

    /// Ends the oldest append.
    fn appended(&mut self, result: Result<(), ErrorCode>) {
        let append = self.appends.remove(0);
        let (now, offset) = (self.now, Offset(self.log.len() as i64));
        if result.is_ok() {
            self.log.extend(append.records);
        }
        let result = result.map(|()| offset);
        self.call(|machine, out| machine.on_appended(now, append.write, result, out));
    }

    /// Ends the oldest sending of markers.
    fn marked(&mut self, error: ErrorCode) -> Markers {
        let markers = self.markers.remove(0);
        let now = self.now;
        let results = markers.partitions.iter().map(|to| (to.clone(), error));
        let results = results.collect();
        self.call(|machine, out| machine.on_markers(now, markers.id, results, out));
        markers
    }

    /// Asks, and lets appends and markers succeed until there is nothing more to do.
    fn done(&mut self, request: Request) -> Reply {
        let token = self.ask(request);
        self.settle();
        self.answer_to(token).expect("answered")
    }

    fn settle(&mut self) {
        while !self.appends.is_empty() || !self.markers.is_empty() {
            while !self.appends.is_empty() {
                self.appended(Ok(()));
            }
            while !self.markers.is_empty() {
                self.marked(ErrorCode::None);
            }
        }
    }

    fn later(&mut self, ms: i64) {
        self.now += ms;
        let now = self.now;
        self.call(|machine, out| machine.on_time(now, out));
    }

    fn init(&mut self, expected: Option<Producer>) -> Reply {
        self.done(init(expected))
    }

    /// A producer of "id", of a new coordinator or the next one.
    fn producer(&mut self) -> Producer {
        match self.init(None) {
            Reply::Producer(producer) => producer,
            other => panic!("{other:?}"),
        }
    }

    /// A producer with a transaction.
    fn ongoing(&mut self) -> Producer {
        let producer = self.producer();
        assert_eq!(self.done(add(producer, &[0])), Reply::Done);
        producer
    }

    fn state(&mut self) -> State {
        match self.done(Request::Describe("id".into())) {
            Reply::Described(of) => State::of_name(&of.transaction_state).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// A coordinator that loads this one's log.
    fn reloaded(&self) -> Bench {
        let mut bench = Bench::with_log(self.log.clone());
        bench.now = self.now;
        bench.next_producer_id = self.next_producer_id;
        bench
    }

    /// Until the producer's epoch is the last one that is given.
    fn exhausted(&mut self) -> Producer {
        let producer = self.producer();
        let standing = &mut self.machine.transactions.get_mut("id").unwrap().standing;
        standing.producer.epoch = ProducerEpoch(i16::MAX - 2);
        assert_eq!(producer.epoch, ProducerEpoch(0));
        self.producer()
    }
}

fn refused(error: ErrorCode) -> Reply {
    Reply::Refused(error)
}

fn init(expected: Option<Producer>) -> Request {
    init_with(expected, TIMEOUT_MS)
}

fn init_with(expected: Option<Producer>, timeout_ms: i32) -> Request {
    Request::InitProducerId {
        transactional_id: "id".into(),
        timeout_ms,
        expected,
    }
}

fn partitions(indexes: &[i32]) -> BTreeSet<TopicPartition> {
    let topic: Arc<str> = "topic".into();
    let named = indexes.iter().map(|index| TopicPartition {
        topic: topic.clone(),
        partition: PartitionIndex(*index),
    });
    named.collect()
}

fn add(producer: Producer, indexes: &[i32]) -> Request {
    Request::AddPartitions {
        transactional_id: "id".into(),
        producer,
        partitions: partitions(indexes),
    }
}

fn verify(producer: Producer, indexes: &[i32]) -> Request {
    Request::VerifyPartitions {
        transactional_id: "id".into(),
        producer,
        partitions: partitions(indexes),
    }
}

fn end(producer: Producer, result: TransactionResult) -> Request {
    Request::EndTransaction {
        transactional_id: "id".into(),
        producer,
        result,
    }
}

fn with_epoch(producer: Producer, epoch: i16) -> Producer {
    Producer {
        epoch: ProducerEpoch(epoch),
        ..producer
    }
}

mod ends;
mod init_producer_id;
mod over_time;
mod partitions_of;
