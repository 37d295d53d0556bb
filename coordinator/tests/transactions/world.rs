//! All that is around a coordinator: its log, the partitions, the clients, the clock; and what
//! must hold of them all.

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

    // What happens.

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

    /// The process is killed: what was not answered may be in the log or not.
    fn crash(&mut self) {
        self.note(Event::Crash);
        while let Some(append) = self.appends.pop_front() {
            if self.chance.percent(50) {
                break;
            }
            self.store(append.records);
        }
        let waiting: Vec<_> = self.asked.keys().copied().collect();
        waiting.into_iter().for_each(|token| self.forget(token));
        for partition in &mut self.partitions {
            partition.forget_verifications();
        }
        self.verified.clear();
        self.reload();
    }

    /// The partition goes elsewhere, and comes back.
    fn unload(&mut self) {
        self.note(Event::Unload);
        while !self.appends.is_empty() {
            self.end_an_append();
        }
        self.call(|machine, out| machine.on_unload(out));
        assert!(self.asked.is_empty(), "unloading leaves nobody waiting");
        self.reload();
    }

    fn reload(&mut self) {
        self.appends.clear();
        self.producer_ids.clear();
        let markers = std::mem::take(&mut self.markers);
        for (mut markers, sent_to) in markers {
            // What was on its way to a topic does not reach another one of its name.
            let now_there = self.incarnations();
            markers.partitions.retain(|to| {
                let at = to.partition.0 as usize;
                self.partitions[at].exists && sent_to[at] == now_there[at]
            });
            if !markers.partitions.is_empty() && self.chance.percent(60) {
                self.stray_markers.push(markers);
            }
        }
        self.load();
    }

    fn incarnations(&self) -> [u64; PARTITIONS] {
        std::array::from_fn(|at| self.partitions[at].incarnation)
    }

    fn forget(&mut self, token: Token) {
        self.asked.remove(&token);
        self.verifications.remove(&token);
        for client in &mut self.clients {
            client.waits_for.take_if(|(of, _)| *of == token);
        }
    }

    fn delete_or_create(&mut self) {
        let at = self.chance.below(PARTITIONS);
        let partition = &mut self.partitions[at];
        if partition.exists {
            partition.delete();
            // What is on its way to a topic does not reach another one of its name.
            let gone = topic_partition(at);
            for markers in &mut self.stray_markers {
                markers.partitions.retain(|to| *to != gone);
            }
            self.stray_markers
                .retain(|markers| !markers.partitions.is_empty());
            self.note(Event::Deleted);
        } else {
            partition.create();
        }
    }

    /// As if the id had been initialised some thirty thousand times.
    fn exhaust_an_epoch(&mut self) {
        let id = self.chance.below(IDS);
        let under_way = self.asked.len() + self.appends.len() + self.markers.len();
        let recorded = self.recorded.get(&name(id));
        let recorded = recorded.filter(|of| of.state.may_expire() && under_way == 0);
        let Some(of) = recorded.filter(|of| of.producer.epoch.0 < i16::MAX - 2) else {
            return;
        };
        let value = TransactionLogValue {
            producer_id: of.producer.id.0,
            producer_epoch: i16::MAX - 2,
            transaction_status: State::Empty.id(),
            transaction_partitions: None,
            transaction_last_update_timestamp_ms: self.now.0,
            transaction_start_timestamp_ms: -1,
            ..Default::default()
        };
        let mut encoder = Encoder::new();
        encoder.i16(0);
        value.encode(&mut encoder, 0).unwrap();
        let keys = self.log.iter().map(|record| &record.key);
        let mut keys = keys.filter(|bytes| key(bytes) == name(id));
        let key = keys.next_back().expect("it is recorded").clone();
        let value = Some(encoder.finish().bytes);
        self.log.push(Record { key, value });
        // Whoever had the first epoch may still be there.
        let first = Producer {
            epoch: ProducerEpoch(0),
            ..of.producer
        };
        let asks = [id, id].map(|client| (client, Ask::Init(Some(first))));
        self.stray_asks.extend(asks);
        self.newest.remove(&id);
        self.fenced.retain(|(of, _)| *of != name(id));
        self.reload();
    }

    fn end_an_append(&mut self) {
        let Some(append) = self.appends.pop_front() else {
            return;
        };
        let offset = Offset(self.log.len() as i64);
        let result = match self.chance.below(10) {
            0 if self.faults => {
                self.note(Event::AppendRefused);
                let errors = [
                    ErrorCode::NotEnoughReplicas,
                    ErrorCode::KafkaStorageError,
                    ErrorCode::NotLeaderOrFollower,
                ];
                Err(self.chance.one_of(&errors))
            }
            1 if self.faults => {
                self.note(Event::AppendInDoubt);
                if self.chance.percent(50) {
                    self.store(append.records);
                }
                Err(ErrorCode::RequestTimedOut)
            }
            _ => {
                self.store(append.records);
                Ok(offset)
            }
        };
        let now = self.now;
        self.call(|machine, out| machine.on_appended(now, append.write, result, out));
    }

    fn store(&mut self, records: Vec<Record>) {
        for record in records {
            self.learn(&record);
            self.log.push(record);
        }
    }

    fn give_a_producer_id(&mut self) {
        let Some(token) = self.producer_ids.pop_front() else {
            return;
        };
        let given = if self.faults && self.chance.percent(10) {
            Err(ErrorCode::CoordinatorLoadInProgress)
        } else {
            self.next_producer_id += 1;
            Ok(ProducerId(self.next_producer_id))
        };
        let now = self.now;
        self.call(|machine, out| machine.on_producer_id(now, token, given, out));
    }

    fn answer_markers(&mut self) {
        if self.markers.is_empty() {
            return;
        }
        let at = self.chance.below(self.markers.len());
        let (markers, _) = self.markers.swap_remove(at);
        let mut results = Vec::new();
        for to in &markers.partitions {
            let error = match self.chance.below(10) {
                0 if self.faults => {
                    self.note(Event::MarkerFailed);
                    ErrorCode::NotLeaderOrFollower
                }
                1 if self.faults => {
                    self.note(Event::MarkerFailed);
                    self.mark(&markers, to);
                    ErrorCode::RequestTimedOut
                }
                _ => self.mark(&markers, to),
            };
            results.push((to.clone(), error));
        }
        let now = self.now;
        self.call(|machine, out| machine.on_markers(now, markers.id, results, out));
    }

    fn mark(&mut self, markers: &Markers, to: &TopicPartition) -> ErrorCode {
        let partition = &mut self.partitions[to.partition.0 as usize];
        let error = partition.mark(markers.producer, markers.result, markers.coordinator_epoch);
        let of_its_own = markers.coordinator_epoch.0 == self.coordinator_epoch;
        let settled = matches!(error, ErrorCode::None | ErrorCode::UnknownTopicOrPartition);
        assert!(
            settled || !of_its_own,
            "markers are never older than what a partition has seen: {markers:?} {error:?}"
        );
        error
    }

    fn deliver_a_stray_marker(&mut self) {
        if self.stray_markers.is_empty() {
            return;
        }
        let at = self.chance.below(self.stray_markers.len());
        let markers = &self.stray_markers[at];
        let to_at = self.chance.below(markers.partitions.len());
        let to = &markers.partitions[to_at];
        let producer = markers.producer;
        let partition = &self.partitions[to.partition.0 as usize];
        let is_open = partition.has_open_transaction_of(producer.id);
        if !is_open && self.chance.percent(80) {
            return; // It comes later, when it may do harm.
        }
        let markers = self.stray_markers.swap_remove(at);
        let to = &markers.partitions[to_at];
        let mut ongoing = self.recorded.values();
        let is_ongoing = ongoing.any(|of| of.producer == producer && of.state == State::Ongoing);
        let error = self.mark(&markers, to);
        assert!(
            error != ErrorCode::None || !is_open || !is_ongoing,
            "a marker of another time ended the transaction that is under way: {markers:?}"
        );
        self.note(Event::MarkerOfAnotherTime);
    }

    // What clients do.

    fn let_a_client_ask(&mut self) {
        let client = self.chance.below(CLIENTS);
        if self.clients[client].waits_for.is_some() {
            return;
        }
        let Some(ask) = self.clients[client].next(&mut self.chance, PARTITIONS) else {
            return;
        };
        if matches!(ask, Ask::End(..)) && self.verified.iter().any(|of| of.client == client) {
            return; // It ends a transaction when all its writes are answered.
        }
        if matches!(ask, Ask::Init(Some(_))) && self.chance.percent(50) {
            self.stray_asks.push((client, ask.clone()));
        }
        let token = self.new_token();
        if let Some(request) = self.request_of(client, token, &ask) {
            self.clients[client].waits_for = Some((token, ask.clone()));
            self.submit(token, (client, ask), request);
        }
    }

    fn new_token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    fn submit(&mut self, token: Token, (client, ask): (usize, Ask), request: Request) {
        let tag = (client, self.clients[client].transactions);
        self.asked.insert(token, (client, ask, tag));
        let now = self.now;
        self.call(|machine, out| machine.on_request(now, token, request, out));
    }

    /// A request that was sent twice comes the second time, and nobody waits for its answer.
    fn let_a_stray_ask_arrive(&mut self) {
        if !self.stray_asks.is_empty() {
            let at = self.chance.below(self.stray_asks.len());
            let (client, ask) = self.stray_asks.swap_remove(at);
            let token = self.new_token();
            let request = self.request_of(client, token, &ask);
            let request = request.expect("an initialisation is always a request");
            self.submit(token, (client, ask), request);
            self.note(Event::AskedTwice);
        }
    }

    /// What the coordinator is asked, if anything: a partition may know the transaction already.
    fn request_of(&mut self, client: usize, token: Token, ask: &Ask) -> Option<Request> {
        let tag = (client, self.clients[client].transactions);
        let transactional_id = name(id_of(client));
        Some(match ask {
            Ask::Init(expected) => Request::InitProducerId {
                transactional_id,
                timeout_ms: TIMEOUT_MS,
                expected: *expected,
            },
            Ask::Add(producer, indexes) => Request::AddPartitions {
                transactional_id,
                producer: *producer,
                partitions: indexes.iter().copied().map(topic_partition).collect(),
            },
            Ask::Verify(producer, index) => {
                let partition = &mut self.partitions[*index];
                let verification = Verified {
                    client,
                    producer: *producer,
                    partition: *index,
                    incarnation: partition.incarnation,
                    guard: partition.begin_verification(producer.id),
                    tag,
                };
                if verification.guard.is_none() {
                    // That the transaction open there is the last one, whose marker is on its
                    // way, nobody would notice: only a client that breaks the rules does that.
                    if self.clients[client].added.contains(index) {
                        self.verified.push(verification);
                    }
                    return None;
                }
                self.verifications.insert(token, verification);
                Request::VerifyPartitions {
                    transactional_id,
                    producer: *producer,
                    partitions: [topic_partition(*index)].into(),
                }
            }
            Ask::End(producer, result) | Ask::EndOtherwise(producer, result) => {
                Request::EndTransaction {
                    transactional_id,
                    producer: *producer,
                    result: *result,
                }
            }
        })
    }

    fn give_up_waiting(&mut self) {
        let client = self.chance.below(CLIENTS);
        self.clients[client].waits_for = None;
    }

    fn replied(&mut self, token: Token, reply: Reply) {
        let (client, ask, tag) = self.asked.remove(&token).expect("answered once");
        let id = id_of(client);
        let verification = self.verifications.remove(&token);
        let waits = self.clients[client]
            .waits_for
            .take_if(|(of, _)| *of == token);
        match reply {
            Reply::Refused(error) => {
                if error == ErrorCode::ProducerFenced {
                    self.note(Event::Fenced);
                }
                if waits.is_some() {
                    self.clients[client].refused(&ask, error);
                }
                return;
            }
            Reply::Producer(given) => {
                self.require_a_newer_producer(id, &ask, given);
                if waits.is_some() {
                    self.clients[client].begin_another();
                    self.clients[client].producer = Some(given);
                }
                return;
            }
            Reply::Done | Reply::Verified(_) => {}
            Reply::Described(_) | Reply::Listed(_) => unreachable!("nobody asks"),
        }
        self.require_the_newest_producer(id, &ask);
        match (ask, reply) {
            (Ask::End(_, result), Reply::Done) => {
                self.note(match result {
                    TransactionResult::Commit => Event::Committed,
                    TransactionResult::Abort => Event::Aborted,
                });
                let before = self.told.insert(tag, result);
                assert!(before.is_none_or(|before| before == result), "told both");
                if waits.is_some() {
                    self.clients[client].begin_another();
                    self.clients[client].ended = Some(result);
                }
            }
            (Ask::EndOtherwise(..), Reply::Done) => panic!("told both: {tag:?}"),
            (Ask::Add(_, added), Reply::Done) => {
                if waits.is_some() {
                    self.clients[client].added.extend(added);
                }
            }
            (Ask::Verify(..), Reply::Verified(of)) => {
                let verification = verification.expect("it was begun");
                if of[0].1 == ErrorCode::None {
                    self.verified.push(verification);
                } else {
                    assert_eq!(of[0].1, ErrorCode::TransactionAbortable);
                    let known = self.clients[client].added.contains(&verification.partition);
                    assert!(!known || waits.is_none(), "what was added is part of it");
                }
            }
            (ask, reply) => panic!("{ask:?} was answered {reply:?}"),
        }
    }

    fn write_what_was_verified(&mut self) {
        if self.verified.is_empty() {
            return;
        }
        let at = self.chance.below(self.verified.len());
        let write = self.verified.swap_remove(at);
        let id = id_of(write.client);
        let partition = &mut self.partitions[write.partition];
        if !partition.exists || partition.incarnation != write.incarnation {
            return;
        }
        if !partition.write(write.producer, write.guard, write.tag) {
            return self.note(Event::WriteRefused);
        }
        self.note(Event::Written);
        let newest = self.newest.get(&id);
        assert!(
            newest.is_none_or(|newest| *newest == write.producer),
            "a producer that was replaced by {newest:?} wrote: {:?}",
            write.producer
        );
        self.require_an_open_transaction(id, &write);
    }

    // What must hold.

    /// A record enters the log: it may follow the one before, and what it says was done is done.
    fn learn(&mut self, record: &Record) {
        let id = key(&record.key);
        let before = self.recorded.get(&id);
        let Some(value) = &record.value else {
            let may = before.is_none_or(|before| before.state.may_expire());
            assert!(may, "{id} was forgotten in the midst of a transaction");
            self.recorded.remove(&id);
            self.newest.retain(|of, _| name(*of) != id);
            self.fenced.retain(|(of, _)| *of != id);
            self.note(Event::Expired);
            return;
        };
        let after = recorded(value);
        if before.is_none() {
            assert_eq!(after.state, State::Empty, "{id} is new: {after:?}");
        }
        if let Some(before) = before {
            let repeats = after.state == before.state && after.producer == before.producer;
            assert!(
                repeats || after.state.may_follow(before.state),
                "{id}: {before:?} was followed by {after:?}"
            );
            if before.state == State::Ongoing && after.state == State::Ongoing {
                assert!(
                    before.partitions.is_subset(&after.partitions),
                    "{id} lost partitions"
                );
            }
            if before.state == State::Ongoing {
                assert_eq!(before.started_ms, after.started_ms, "{id} began once");
            }
            if before.state == State::Ongoing && before.producer != after.producer {
                let taken = after.producer.epoch.0 - before.producer.epoch.0;
                assert_eq!(taken, 1, "{id} is fenced with one epoch: {after:?}");
                self.fenced.push((id.clone(), before.producer));
            }
        }
        self.recorded.insert(id, after);
    }

    /// A marker is sent only for a decision that is in the log, and says the same.
    fn require_a_recorded_decision(&self, markers: &Markers) {
        let of = self.recorded.values();
        let mut of = of.filter(|of| of.producer == markers.producer);
        let decided = of.next().expect("its producer is recorded");
        let state = match markers.result {
            TransactionResult::Commit => State::PrepareCommit,
            TransactionResult::Abort => State::PrepareAbort,
        };
        assert_eq!(decided.state, state, "{markers:?}");
        let mut partitions = markers.partitions.iter();
        assert!(partitions.all(|partition| decided.partitions.contains(partition)));
    }

    /// Who gets an id is newer than all before, or asks again for what it was given.
    fn require_a_newer_producer(&mut self, id: usize, ask: &Ask, given: Producer) {
        let before = self.newest.insert(id, given);
        if let Some(before) = before {
            if given.id != before.id {
                self.note(Event::NewProducerId);
            }
            let newer =
                given.id > before.id || (given.id == before.id && given.epoch > before.epoch);
            let again = given == before && matches!(ask, Ask::Init(Some(_)));
            assert!(newer || again, "{ask:?} got {given:?} after {before:?}");
            // Who goes on says that it is the newest; one that was fenced is not.
            if let Ask::Init(Some(expected)) = ask {
                let is_fenced = self.fenced.contains(&(name(id), *expected));
                assert!(
                    again || (before == *expected && !is_fenced),
                    "{expected:?} was replaced by {before:?}, and goes on as {given:?}"
                );
            }
        }
        let recorded = &self.recorded[&name(id)];
        assert_eq!(recorded.producer, given, "what is given is recorded");
    }

    /// A producer that was replaced gets nothing any more.
    fn require_the_newest_producer(&self, id: usize, ask: &Ask) {
        let producer = match ask {
            Ask::Init(_) => return,
            Ask::Add(producer, _)
            | Ask::Verify(producer, _)
            | Ask::End(producer, _)
            | Ask::EndOtherwise(producer, _) => producer,
        };
        assert!(
            !self.fenced.contains(&(name(id), *producer)),
            "a fenced producer was served: {ask:?}"
        );
        let newest = self.newest.get(&id);
        assert!(
            newest.is_none_or(|newest| newest == producer),
            "{newest:?} has replaced who was served: {ask:?}"
        );
    }

    /// A write goes only to a partition that is part of the transaction, so that it will get a
    /// marker.
    fn require_an_open_transaction(&self, id: usize, write: &Verified) {
        let recorded = &self.recorded[&name(id)];
        let part = recorded
            .partitions
            .contains(&topic_partition(write.partition));
        let open = matches!(
            recorded.state,
            State::Ongoing | State::PrepareCommit | State::PrepareAbort
        );
        assert!(part && open, "a write that would hang: {recorded:?}");
    }

    fn require_that_nobody_waits(&self) {
        assert!(self.asked.is_empty(), "unanswered: {:?}", self.asked);
    }

    fn require_that_nothing_is_open(&self) {
        for (at, partition) in self.partitions.iter().enumerate() {
            assert!(!partition.has_open_transaction(), "partition {at} hangs");
        }
        for (id, of) in &self.recorded {
            assert!(of.state.may_expire(), "{id} is stuck: {of:?}");
        }
    }

    fn require_that_every_id_can_be_used(&mut self) {
        for client in 0..IDS {
            let before = self.newest.get(&client).copied();
            let token = Token(self.next_token);
            self.next_token += 1;
            let ask = Ask::Init(None);
            self.asked
                .insert(token, (client, ask.clone(), (client, u64::MAX)));
            self.clients[client].waits_for = Some((token, ask));
            let (now, transactional_id) = (self.now, name(client));
            let request = Request::InitProducerId {
                transactional_id,
                timeout_ms: 1,
                expected: None,
            };
            self.call(|machine, out| machine.on_request(now, token, request, out));
            self.settle();
            let given = self.clients[client].producer;
            assert!(given.is_some() && given != before, "id {client} is stuck");
        }
    }

    /// What clients were told of their transactions is what readers see.
    fn require_that_what_was_told_is_so(&self) {
        for partition in &self.partitions {
            for (tag, outcome) in partition.outcomes() {
                let outcome = outcome.expect("nothing is open");
                if let Some(told) = self.told.get(&tag) {
                    assert_eq!(outcome, *told, "transaction {tag:?}");
                }
            }
        }
    }
}

fn key(bytes: &[u8]) -> Arc<str> {
    let key = TransactionLogKey::decode(&mut Decoder::new(&bytes[2..]), 0).unwrap();
    key.transactional_id.as_ref().into()
}

fn recorded(bytes: &[u8]) -> Recorded {
    let value = TransactionLogValue::decode(&mut Decoder::new(&bytes[2..]), 0).unwrap();
    let topics = value.transaction_partitions.into_iter().flatten();
    let indexes = topics.flat_map(|topic| topic.partition_ids);
    Recorded {
        producer: Producer {
            id: value.producer_id.into(),
            epoch: value.producer_epoch.into(),
        },
        state: State::of_id(value.transaction_status).unwrap(),
        partitions: indexes
            .map(|index| topic_partition(index as usize))
            .collect(),
        started_ms: value.transaction_start_timestamp_ms,
    }
}
