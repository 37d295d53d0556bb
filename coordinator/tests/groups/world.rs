//! The world of one schedule: a machine, the log it writes, clients, time, and what goes wrong.
//! What clients ask is in `requests`, what becomes of the answers in `answers`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use coordinator::group::request::{FetchOffsets, Reply, Request};
use coordinator::group::{Groups, Settings};
use coordinator::machine::{Action, Append, Machine, Producer, Token, WriteId};
use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{Offset, TimestampMs};
use protocol::messages::describe_groups::DescribedGroup;

use super::chance::Chance;
use super::client::{Client, Phase};
use super::invariants::Invariants;
use super::log::{Log, Place, Spoken, Value, understand};
use super::watch::{Cause, Look, Watch};

pub const GROUPS: [&str; 2] = ["g", "h"];
pub const TOPICS: [&str; 2] = ["t", "u"];
pub const PARTITIONS: usize = 3;
/// How much UTF-16 units of metadata may have.
pub const METADATA_UNITS_MAX: usize = 8;
/// How long offsets are kept that nobody uses.
pub const OFFSETS_RETENTION_MS: i64 = 15_000;

/// So few that commits and the look for old offsets take several goes.
pub const STEPS_MAX: usize = 2;

/// What happened in schedules, so that a simulation in which nothing happens does not pass.
#[derive(Default, Debug)]
pub struct Seen {
    events: BTreeMap<&'static str, u64>,
}

impl Seen {
    pub fn note(&mut self, event: &'static str) {
        *self.events.entry(event).or_default() += 1;
    }

    /// What another schedule saw, too.
    pub fn add(&mut self, other: &Seen) {
        for (event, times) in &other.events {
            *self.events.entry(event).or_default() += times;
        }
    }

    /// All that is to be tested has happened.
    pub fn assert_all_happened(&self) {
        for event in [
            "joined",
            "joined as one of several",
            "synced",
            "heartbeat accepted",
            "heartbeat of an older generation",
            "commit of an older generation",
            "unstable offset",
            "committed",
            "committed without membership",
            "committed in a transaction",
            "committed in portions",
            "commit refused",
            "append failed",
            "crashed",
            "crashed with appends under way",
            "stable group reloaded",
            "static member replaced",
            "static member fenced",
            "skipped assignment",
            "group full",
            "group deleted",
            "offsets deleted",
            "topic deleted",
            "marker",
            "left",
        ] {
            assert!(self.events.contains_key(event), "{event} never happened");
        }
    }
}

/// Who asked what.
pub struct Asked {
    pub client: usize,
    pub life: u32,
    pub told_then: i32,
    /// What it is about, and how that looked.
    pub group: &'static str,
    pub look_then: Look,
    pub what: What,
}

pub enum What {
    Join,
    Sync(i32),
    Heartbeat(i32),
    Leave,
    Commit(i32, Vec<(Place, Value)>),
    Other(&'static str),
}

/// What is on its way to the log, in order.
pub enum Pending {
    Append(Append),
    Marker(Producer, TransactionResult),
}

/// See the module.
pub struct World {
    pub chance: Chance,
    pub now: TimestampMs,
    pub machine: Groups,
    pub log: Log,
    pub pending: VecDeque<Pending>,
    pub clients: Vec<Client>,
    pub asked: HashMap<Token, Asked>,
    pub next_token: u64,
    pub invariants: Invariants,
    /// How often each group was deleted.
    pub lives: BTreeMap<&'static str, u32>,
    pub told: BTreeMap<&'static str, i32>,
    pub answers: Vec<(Token, Reply)>,
    pub seen: Seen,
    pub watch: Watch,
    pub members_max: usize,
}

fn settings(members_max: usize) -> Settings {
    Settings {
        session_timeout_min: Duration::from_secs(6),
        session_timeout_max: Duration::from_secs(60),
        initial_rebalance_delay: Duration::from_secs(3),
        members_max,
        offset_metadata_max: METADATA_UNITS_MAX,
        offsets_retention: Duration::from_millis(OFFSETS_RETENTION_MS as u64),
        offsets_retention_check_interval: Duration::from_secs(4),
        steps_max: STEPS_MAX,
    }
}

fn known(group: &str) -> &'static str {
    GROUPS
        .into_iter()
        .find(|known| *known == group)
        .expect("one of ours")
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64) -> World {
        let mut chance = Chance::new(seed);
        let clients = (0..6)
            .map(|n| {
                let group = GROUPS[usize::from(n == 5)];
                let instance = chance.one_in(3).then(|| format!("static-{n}"));
                let version = *chance.of(&[3, 5, 9, 9]);
                Client::new(group, instance.filter(|_| version >= 5), version)
            })
            .collect();
        let members_max = *chance.of(&[3, 10, 10]);
        let mut world = World {
            chance,
            members_max,
            now: TimestampMs(1_000_000),
            machine: Groups::new(settings(members_max)),
            log: Log::default(),
            pending: VecDeque::new(),
            clients,
            asked: HashMap::new(),
            next_token: 0,
            invariants: Invariants::default(),
            lives: BTreeMap::new(),
            told: BTreeMap::new(),
            answers: Vec::new(),
            seen: Seen::default(),
            watch: Watch::default(),
        };
        world.load();
        world
    }

    /// Something happens.
    pub fn step(&mut self) {
        match self.chance.below(100) {
            0..55 => {
                let client = self.chance.below(self.clients.len());
                self.client_acts(client);
            }
            55..75 => self.write_one(),
            75..77 => self.fail_one(),
            77..89 => self.pass_time(),
            89..90 => self.crash(),
            90..94 => self.commit_in_transaction(),
            94..96 => self.end_transaction(),
            96..99 => self.administer(),
            _ => self.compare_with_log(),
        }
    }

    /// Nothing goes wrong any more, and nobody does anything: everything comes to rest.
    pub fn end(mut self) -> Seen {
        for _ in 0..200 {
            while !self.pending.is_empty() {
                self.write_one();
            }
            self.now += 10_000;
            self.time();
        }
        while !self.pending.is_empty() {
            self.write_one();
        }
        self.invariants.all_answered();
        for described in GROUPS.map(|group| self.describe(group)) {
            let state = &described.group_state;
            assert!(
                state == "Empty" || state == "Dead",
                "AT REST: {described:?} after everybody went silent"
            );
        }
        self.compare_with_log();
        let left = self.log.committed();
        assert!(left.is_empty(), "WHAT IS OLD EXPIRES: {left:?}");
        self.reload(true);
        self.compare_with_log();
        let mut out = Vec::new();
        self.machine.on_unload(&mut out);
        self.carry_out(out);
        self.invariants.all_answered();
        self.seen
    }

    pub fn carry_out(&mut self, actions: Vec<Action<Groups>>) {
        for action in actions {
            match action {
                Action::Reply(token, reply) => self.answered(token, reply),
                Action::Append(append) => self.pending.push_back(Pending::Append(append)),
                Action::Effect(effect) => match effect {},
            }
        }
    }

    pub fn ask(&mut self, client: usize, what: What, request: Request) {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.invariants.asked(token);
        let group = self.clients[client].group;
        let cause = match &request {
            Request::Join(join) => Cause::Join(group, join.request.member_id.to_string()),
            _ => Cause::Other,
        };
        // Administrators are nobody's members, and ask about any group.
        let of = match &request {
            Request::DeleteOffsets(request) => request.group_id.to_string(),
            Request::Delete(group) => group.clone(),
            _ => group.to_owned(),
        };
        let asked = Asked {
            look_then: self.look(&of),
            group: known(&of),
            client,
            life: self.clients[client].life,
            told_then: *self.told.get(self.clients[client].group).unwrap_or(&-1),
            what,
        };
        self.asked.insert(token, asked);
        let now = self.now;
        self.call(&cause, |machine, out| {
            machine.on_request(now, token, request, out);
        });
    }

    /// Asks something that is answered at once.
    fn ask_now(&mut self, request: Request) -> Reply {
        self.ask(0, What::Other("now"), request);
        let (_, reply) = self.answers.pop().expect("answered at once");
        reply
    }

    fn describe(&mut self, group: &str) -> DescribedGroup<'static> {
        match self.ask_now(Request::Describe(group.to_owned())) {
            Reply::Describe(described) => described,
            other => panic!("{other:?}"),
        }
    }

    fn time(&mut self) {
        if self.machine.next_deadline().is_none_or(|at| at > self.now) {
            return;
        }
        let now = self.now;
        self.call(&Cause::Time, |machine, out| machine.on_time(now, out));
        let next = self.machine.next_deadline();
        assert!(
            next.is_none_or(|at| at > self.now),
            "DEADLINES PROGRESS: {next:?} at {}",
            self.now
        );
    }

    fn pass_time(&mut self) {
        let to_deadline = self.machine.next_deadline().map(|at| at - self.now);
        let by = match (to_deadline, self.chance.below(4)) {
            (Some(left), 0) => left.clamp(0, 60_000),
            (_, 1) => 5_000,
            _ => self.chance.below(1500) as i64,
        };
        self.now += by;
        self.time();
    }

    fn write_one(&mut self) {
        match self.pending.pop_front() {
            None => {}
            Some(Pending::Append(append)) => {
                let (write, records) = (append.write, append.records.clone());
                let at = self.log.append(append);
                for record in &records {
                    if let Spoken::Group(group, false) = understand(record) {
                        let group = known(&group);
                        *self.lives.entry(group).or_default() += 1;
                        self.invariants.group_gone(group);
                        self.watch.group_gone(group);
                        self.told.remove(group);
                    }
                }
                self.appended(write, Ok(at));
            }
            Some(Pending::Marker(producer, result)) => {
                let at = self.log.mark(producer, result);
                self.machine.replay_marker(producer, result, at);
                self.seen.note("marker");
            }
        }
    }

    fn fail_one(&mut self) {
        if !matches!(self.pending.front(), Some(Pending::Append(_))) {
            return self.write_one();
        }
        if let Some(Pending::Append(append)) = self.pending.pop_front() {
            self.seen.note("append failed");
            let errors = [
                ErrorCode::KafkaStorageError,
                ErrorCode::MessageTooLarge,
                ErrorCode::NotEnoughReplicas,
            ];
            let error = *self.chance.of(&errors);
            self.appended(append.write, Err(error));
        }
    }

    fn appended(&mut self, write: WriteId, result: Result<Offset, ErrorCode>) {
        let now = self.now;
        self.call(&Cause::Other, |machine, out| {
            machine.on_appended(now, write, result, out);
        });
    }

    /// The node crashes: of what was on its way, what came first may be in the log.
    fn crash(&mut self) {
        self.seen.note("crashed");
        if !self.pending.is_empty() {
            self.seen.note("crashed with appends under way");
        }
        let quiet = self.pending.is_empty();
        let survive = self.chance.below(self.pending.len() + 1);
        for pending in std::mem::take(&mut self.pending).into_iter().take(survive) {
            match pending {
                Pending::Append(append) => {
                    for record in &append.records {
                        if let Spoken::Group(group, false) = understand(record) {
                            *self.lives.entry(known(&group)).or_default() += 1;
                        }
                    }
                    self.log.append(append);
                }
                Pending::Marker(producer, result) => drop(self.log.mark(producer, result)),
            }
        }
        self.reload(quiet);
        for client in &mut self.clients {
            match client.phase {
                Phase::Joining => client.phase = Phase::Outside,
                Phase::Syncing => client.phase = Phase::Joined,
                Phase::Outside | Phase::Joined | Phase::Consuming => {}
            }
        }
        self.compare_with_log();
    }

    /// The log is read again; `quiet` if nothing was on its way to it.
    fn reload(&mut self, quiet: bool) {
        let before = GROUPS.map(|group| self.describe(group));
        self.asked.clear();
        self.invariants.crashed();
        self.watch.crashed();
        self.told.clear();
        self.machine = Groups::new(settings(self.members_max));
        self.now += self.chance.below(3000) as i64;
        self.load();
        for (group, before) in GROUPS.into_iter().zip(before) {
            // A static member that did not come back may have been one too many: then a new generation
            // begins.
            let is_small = before.members.len() <= self.members_max;
            if quiet && is_small && before.group_state == "Stable" {
                let after = self.describe(group);
                assert_eq!(before, after, "STABLE SURVIVES: {group}");
                self.seen.note("stable group reloaded");
            }
        }
    }

    fn load(&mut self) {
        self.log.replay(&mut self.machine);
        let mut out = Vec::new();
        self.machine.on_loaded(self.now, &mut out);
        self.carry_out(out);
    }

    fn compare_with_log(&mut self) {
        if !self.pending.is_empty() {
            return;
        }
        let committed = self.log.committed();
        let told = self.fetch(false).into_iter();
        let told = told.map(|(place, (_, value))| (place, value));
        Invariants::offsets_are_the_logs(&told.collect(), &committed);
        // Who asks for what will stay is told nothing of what a transaction may replace.
        let open = self.log.open();
        for (place, (error, value)) in self.fetch(true) {
            let is_open = open.contains(&place);
            let unstable = error == ErrorCode::UnstableOffsetCommit.code();
            assert_eq!(unstable, is_open, "STABLE OR NOT AT ALL: {place:?}");
            assert!(is_open || committed[&place] == value, "{place:?}");
            if is_open {
                self.seen.note("unstable offset");
            }
        }
    }

    /// What is told of the offsets of all groups: an error code, and the value.
    fn fetch(&mut self, require_stable: bool) -> BTreeMap<Place, (i16, Value)> {
        let mut said = BTreeMap::new();
        for group in GROUPS {
            let fetch = FetchOffsets {
                group: group.to_owned(),
                topics: None,
                require_stable,
            };
            let Reply::Fetch(told) = self.ask_now(Request::Fetch(fetch)) else {
                panic!("a fetch is answered as one");
            };
            for topic in told.topics {
                for one in topic.partitions {
                    let place = (
                        group.to_owned(),
                        topic.name.to_string(),
                        one.partition_index,
                    );
                    let metadata = one.metadata.unwrap_or_default().into_owned();
                    said.insert(place, (one.error_code, (one.committed_offset, metadata)));
                }
            }
        }
        said
    }
}
