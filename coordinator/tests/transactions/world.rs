//! All that is around a coordinator: its log, the partitions, the clients, the clock. One step after
//! another, whichever chance says, one of them does something (`clients`, `effects`, `faults`);
//! `promises` says what must hold of them all.

mod clients;
mod effects;
mod faults;
mod promises;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use coordinator::machine::{Action, Append, BatchOrigin, Machine, Producer, Record, Token};
use coordinator::transaction::{
    Coordinator, Effect, Markers, Reply, Request, Settings, State, TopicPartition,
};
use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TimestampMs};
use protocol::records::transaction::{TransactionLogKey, TransactionLogValue};
use protocol::wire::{Decoder, Encoder};

use crate::chance::Chance;
use crate::partition::{Partition, Tag};
use crate::producer::{Ask, Client};

const IDS: usize = 3;
const CLIENTS: usize = 5;
const PARTITIONS: usize = 4;
const TIMEOUT_MS: i32 = 3_000;
const CHECK_MS: i64 = 1_000;
const EXPIRATION_MS: i64 = 20_000;

/// What has to happen now and then for a run to say anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Event {
    Crash,
    Unload,
    AppendRefused,
    AppendInDoubt,
    MarkerFailed,
    MarkerOfAnotherTime,
    Committed,
    Aborted,
    Fenced,
    TimedOut,
    Expired,
    Written,
    WriteRefused,
    Deleted,
    NewProducerId,
    AskedTwice,
}

impl Event {
    pub const ALL: [Event; 16] = [
        Event::Crash,
        Event::Unload,
        Event::AppendRefused,
        Event::AppendInDoubt,
        Event::MarkerFailed,
        Event::MarkerOfAnotherTime,
        Event::Committed,
        Event::Aborted,
        Event::Fenced,
        Event::TimedOut,
        Event::Expired,
        Event::Written,
        Event::WriteRefused,
        Event::Deleted,
        Event::NewProducerId,
        Event::AskedTwice,
    ];
}

/// What a record of the log says of an id.
#[derive(Clone, PartialEq, Debug)]
struct Recorded {
    producer: Producer,
    state: State,
    partitions: BTreeSet<TopicPartition>,
    started_ms: i64,
}

/// A record set that was verified, and is not appended yet.
struct Verified {
    client: usize,
    producer: Producer,
    partition: usize,
    incarnation: u64,
    guard: Option<u64>,
    tag: Tag,
}

pub struct World {
    chance: Chance,
    now: TimestampMs,
    machine: Coordinator,
    coordinator_epoch: i32,
    log: Vec<Record>,
    /// What the log says of each id.
    recorded: BTreeMap<Arc<str>, Recorded>,
    appends: VecDeque<Append>,
    producer_ids: VecDeque<Token>,
    next_producer_id: i64,
    /// On their way, each with the incarnations of the partitions when it was sent.
    markers: Vec<(Markers, [u64; PARTITIONS])>,
    /// Sent by a coordinator that is no more.
    stray_markers: Vec<Markers>,
    clients: Vec<Client>,
    /// Who asked what, until it is answered.
    asked: BTreeMap<Token, (usize, Ask, Tag)>,
    verifications: BTreeMap<Token, Verified>,
    verified: Vec<Verified>,
    next_token: u64,
    /// Requests of clients that may come once more, late.
    stray_asks: Vec<(usize, Ask)>,
    partitions: Vec<Partition>,
    /// The producer that an id was last given to.
    newest: BTreeMap<usize, Producer>,
    /// The producers whose transactions were aborted under another epoch, by id.
    fenced: Vec<(Arc<str>, Producer)>,
    /// How long an id lives that is not used. In some schedules shorter than a transaction.
    id_expiration_ms: i64,
    /// How clients were told that their transactions ended.
    told: BTreeMap<Tag, TransactionResult>,
    faults: bool,
    pub seen: BTreeMap<Event, u64>,
}

fn settings(coordinator_epoch: i32, id_expiration_ms: i64) -> Settings {
    Settings {
        coordinator_epoch: LeaderEpoch(coordinator_epoch),
        timeout_ms_max: TIMEOUT_MS,
        id_expiration_ms,
        timed_out_check_interval_ms: CHECK_MS,
        expired_check_interval_ms: CHECK_MS,
        batch_bytes_max: 100,
    }
}

fn id_of(client: usize) -> usize {
    client % IDS
}

fn name(id: usize) -> Arc<str> {
    format!("id {id}").into()
}

fn topic_partition(index: usize) -> TopicPartition {
    TopicPartition {
        topic: if index.is_multiple_of(2) {
            "even"
        } else {
            "odd"
        }
        .into(),
        partition: PartitionIndex(index as i32),
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut partitions: Vec<Partition> = Vec::new();
        partitions.resize_with(PARTITIONS, Partition::default);
        partitions.iter_mut().for_each(Partition::create);
        let mut clients = Vec::new();
        clients.resize_with(CLIENTS, Client::default);
        let id_expiration_ms = match seed % 8 {
            0 => i64::from(TIMEOUT_MS) / 2,
            _ => EXPIRATION_MS,
        };
        let mut world = World {
            chance: Chance::new(seed),
            now: TimestampMs(1_000_000),
            machine: Coordinator::new(settings(0, id_expiration_ms)),
            coordinator_epoch: 0,
            log: Vec::new(),
            recorded: BTreeMap::new(),
            appends: VecDeque::new(),
            producer_ids: VecDeque::new(),
            next_producer_id: 0,
            markers: Vec::new(),
            stray_markers: Vec::new(),
            clients,
            asked: BTreeMap::new(),
            verifications: BTreeMap::new(),
            verified: Vec::new(),
            next_token: 0,
            stray_asks: Vec::new(),
            partitions,
            newest: BTreeMap::new(),
            fenced: Vec::new(),
            id_expiration_ms,
            told: BTreeMap::new(),
            faults: true,
            seen: BTreeMap::new(),
        };
        world.load();
        world
    }

    fn note(&mut self, event: Event) {
        *self.seen.entry(event).or_default() += 1;
    }

    pub fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            self.step();
        }
    }

    fn step(&mut self) {
        match self.chance.below(1_000) {
            0..=2 => self.crash(),
            3..=4 => self.unload(),
            5..=6 => self.delete_or_create(),
            7..=8 => self.exhaust_an_epoch(),
            9 => self.pass(EXPIRATION_MS + 1),
            10..=14 => self.pass(i64::from(TIMEOUT_MS)),
            15..=49 => {
                let ms = self.chance.below(100);
                self.pass(ms as i64);
            }
            50..=379 => self.end_an_append(),
            380..=449 => self.answer_markers(),
            450..=499 => self.give_a_producer_id(),
            500..=599 => self.write_what_was_verified(),
            600..=629 => self.deliver_a_stray_marker(),
            630..=639 => self.give_up_waiting(),
            640..=654 => self.let_a_stray_ask_arrive(),
            _ => self.let_a_client_ask(),
        }
    }

    /// Without faults, and with nobody asking any more, everything comes to its end.
    pub fn come_to_an_end(&mut self) {
        self.faults = false;
        for _ in 0..20 {
            self.settle();
            self.pass(CHECK_MS);
        }
        self.settle();
        self.require_that_nobody_waits();
        self.require_that_nothing_is_open();
        self.require_that_every_id_can_be_used();
        self.require_that_what_was_told_is_so();
    }

    fn settle(&mut self) {
        loop {
            while !self.appends.is_empty() || !self.producer_ids.is_empty() {
                self.end_an_append();
                self.give_a_producer_id();
            }
            if self.markers.is_empty() {
                return;
            }
            self.answer_markers();
        }
    }

    fn call(&mut self, call: impl FnOnce(&mut Coordinator, &mut Vec<Action<Coordinator>>)) {
        let mut out = Vec::new();
        call(&mut self.machine, &mut out);
        for action in out {
            match action {
                Action::Reply(token, reply) => self.replied(token, reply),
                Action::Append(append) => {
                    assert!(!append.records.is_empty());
                    self.appends.push_back(append);
                }
                Action::Effect(Effect::ProducerId(token)) => self.producer_ids.push_back(token),
                Action::Effect(Effect::WriteMarkers(markers)) => {
                    self.require_a_recorded_decision(&markers);
                    let incarnations = self.incarnations();
                    self.markers.push((markers, incarnations));
                }
            }
        }
    }

    fn pass(&mut self, ms: i64) {
        let end = self.now + ms;
        loop {
            let due = self.machine.next_deadline().filter(|at| *at <= end);
            self.now = due.map_or(end, |at| at.max(self.now));
            let Some(at) = due else { return };
            let now = self.now;
            let sent = self.markers.len() + self.appends.len();
            self.call(|machine, out| machine.on_time(now, out));
            if self.markers.len() + self.appends.len() > sent {
                self.note(Event::TimedOut);
            }
            let next = self.machine.next_deadline();
            assert!(next.is_none_or(|next| next > at), "deadlines move on");
        }
    }

    fn load(&mut self) {
        self.coordinator_epoch += 1;
        self.machine = Coordinator::new(settings(self.coordinator_epoch, self.id_expiration_ms));
        let origin = BatchOrigin {
            producer: None,
            timestamp: self.now,
        };
        self.recorded.clear();
        for offset in 0..self.log.len() {
            let record = self.log[offset].clone();
            let (key, value) = (&record.key, record.value.as_deref());
            let offset = Offset(offset as i64);
            self.machine.replay(&origin, offset, key, value).unwrap();
            self.learn(&record);
        }
        let now = self.now;
        self.call(|machine, out| machine.on_loaded(now, out));
    }

    fn incarnations(&self) -> [u64; PARTITIONS] {
        std::array::from_fn(|at| self.partitions[at].incarnation)
    }
}

fn key(bytes: &[u8]) -> Arc<str> {
    let key = TransactionLogKey::decode(&mut Decoder::new(&bytes[2..]), 0).unwrap();
    key.transactional_id.as_ref().into()
}
