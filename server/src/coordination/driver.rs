//! One partition's machine at work: what it is asked, what it appends, and its alarm clock.
//!
//! Lives on the shard that owns the partition. Events are handed to the machine one after another,
//! each with all that came of it carried out before the next; an event that comes up meanwhile
//! waits its turn, so no borrow of the machine is held while anything else runs.
//! Invariants: every request is answered once; every append of the machine is reported back once,
//! and before the machine is unloaded.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use coordinator::machine::{Action, Append, Producer, Token, WriteId};
use engine::append::Origin;
use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{Offset, TimestampMs};
use ring::event::{Event as Signal, first_of};

use super::append::batch_of;
use super::{Answer, Coordinator, load};
use crate::clock;
use crate::gather::Gather;
use crate::partition::{Acks, AppendOutcome, AppendWait, Partition};
use crate::shard::Shard;

/// See the module.
pub struct Driver<C: Coordinator> {
    /// The shard it lives on.
    pub shard: Rc<Shard>,
    partition: Rc<Partition>,
    state: RefCell<State<C>>,
    events: RefCell<VecDeque<Event<C>>>,
    /// An event is being handled; what comes up meanwhile is taken afterwards.
    busy: Cell<bool>,
    /// Notified when the next deadline is another, or there will be none.
    deadline_moved: Signal,
    clock: Clock,
}

struct State<C: Coordinator> {
    machine: C,
    stage: Stage,
    waiting: HashMap<Token, Slot<C>>,
    next_token: u64,
    appends_under_way: usize,
}

/// Where an answer goes.
type Slot<C> = (Rc<Gather<Answer<C>>>, usize);

/// How far a driver is in its life, in this order; a failed one only ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The partition is being read.
    Loading,
    /// The partition cannot be read.
    Failed,
    /// Requests are served.
    Serving,
    /// No request is taken; appends are under way.
    Ending,
    /// All is answered.
    Ended,
}

/// What became of an effect.
type Tell<C> = Box<dyn FnOnce(&mut C, TimestampMs, &mut Vec<Action<C>>)>;

enum Event<C: Coordinator> {
    Loaded,
    /// With what its appends in a producer's transaction may be.
    Request(Token, C::Request, Origin),
    Appended(WriteId, Result<Offset, ErrorCode>),
    Marker(Producer, TransactionResult, Offset),
    Told(Tell<C>),
    Time,
    End,
}

/// The wall clock's time as it was at the start, moved on by the monotonic clock: a wall clock
/// that is set must not end sessions.
struct Clock {
    began: Instant,
    began_ms: TimestampMs,
}

impl Clock {
    fn now(&self) -> TimestampMs {
        self.began_ms + ring::timer::now().duration_since(self.began).as_millis() as i64
    }
}

impl<C: Coordinator> Driver<C> {
    /// A driver that begins to read its partition.
    pub fn begin(shard: &Rc<Shard>, partition: &Rc<Partition>) -> Rc<Driver<C>> {
        let driver = Rc::new(Driver {
            shard: shard.clone(),
            partition: partition.clone(),
            state: RefCell::new(State {
                machine: C::new(shard, partition),
                stage: Stage::Loading,
                waiting: HashMap::new(),
                next_token: 0,
                appends_under_way: 0,
            }),
            events: RefCell::new(VecDeque::new()),
            busy: Cell::new(false),
            deadline_moved: Signal::new(),
            clock: Clock {
                began: ring::timer::now(),
                began_ms: clock::now_ms(),
            },
        });
        ring::spawn(driver.clone().run());
        driver
    }

    /// The partition it decides for.
    pub fn partition(&self) -> &Rc<Partition> {
        &self.partition
    }

    /// Asks the machine; the answer goes into `slot` of `gather`. What it appends in a producer's
    /// transaction is appended as of `origin`.
    pub fn consult(
        self: &Rc<Self>,
        request: C::Request,
        origin: Origin,
        gather: Rc<Gather<Answer<C>>>,
        slot: usize,
    ) {
        let mut state = self.state.borrow_mut();
        let refused = match state.stage {
            Stage::Serving => None,
            Stage::Loading => Some(ErrorCode::CoordinatorLoadInProgress),
            Stage::Failed => Some(ErrorCode::CoordinatorNotAvailable),
            Stage::Ending | Stage::Ended => Some(ErrorCode::NotCoordinator),
        };
        if let Some(error) = refused {
            drop(state);
            gather.put(slot, Err(error));
            return;
        }
        let token = Token(state.next_token);
        state.next_token += 1;
        state.waiting.insert(token, (gather, slot));
        drop(state);
        self.handle(Event::Request(token, request, origin));
    }

    /// A marker that ends a transaction has been appended to the partition. One that comes while
    /// the partition is being read is found there.
    pub fn marker_appended(
        self: &Rc<Self>,
        producer: Producer,
        result: TransactionResult,
        at: Offset,
    ) {
        if self.state.borrow().stage == Stage::Serving {
            self.handle(Event::Marker(producer, result, at));
        }
    }

    /// Tells the machine what became of an effect; nobody, if the driver has ended meanwhile.
    pub fn tell(
        self: &Rc<Self>,
        tell: impl FnOnce(&mut C, TimestampMs, &mut Vec<Action<C>>) + 'static,
    ) {
        self.handle(Event::Told(Box::new(tell)));
    }

    /// Takes no more requests, and ends once the appends under way are done.
    pub fn end(self: &Rc<Self>) {
        self.handle(Event::End);
    }

    /// Reads the partition, then wakes the machine whenever it wants to be woken.
    async fn run(self: Rc<Self>) {
        let began = ring::timer::now();
        match load::replay(&self).await {
            Ok(0) => {}
            Ok(records) => tracing::info!(
                "{}-{} read: {records} records, {:.0} ms",
                C::TOPIC,
                self.partition.key.partition,
                began.elapsed().as_secs_f64() * 1000.0
            ),
            Err(error) => {
                tracing::error!(
                    "{}-{} cannot be read, what it coordinates is not served: {error}",
                    C::TOPIC,
                    self.partition.key.partition
                );
                self.state.borrow_mut().stage = Stage::Failed;
                return;
            }
        }
        self.handle(Event::Loaded);
        loop {
            let deadline = {
                let state = self.state.borrow();
                match state.stage {
                    Stage::Ended => return,
                    Stage::Serving => state.machine.next_deadline(),
                    Stage::Loading | Stage::Failed | Stage::Ending => None,
                }
            };
            let now = self.clock.now();
            match deadline {
                Some(at) if at <= now => {
                    self.handle(Event::Time);
                    ring::yield_to_end_of_turn().await;
                }
                Some(at) => {
                    let left = Duration::from_millis((at - now) as u64);
                    first_of(ring::timer::sleep(left), self.deadline_moved.wait()).await;
                }
                None => self.deadline_moved.wait().await,
            }
        }
    }

    /// Calls `call` with the machine that is being loaded.
    pub(super) fn with_machine<T>(&self, call: impl FnOnce(&mut C) -> T) -> T {
        call(&mut self.state.borrow_mut().machine)
    }

    fn handle(self: &Rc<Self>, event: Event<C>) {
        self.events.borrow_mut().push_back(event);
        if self.busy.replace(true) {
            return;
        }
        let deadline = self.state.borrow().machine.next_deadline();
        loop {
            let Some(event) = self.events.borrow_mut().pop_front() else {
                break;
            };
            let origin = match &event {
                Event::Request(_, _, origin) => *origin,
                _ => Origin::Coordinator,
            };
            let mut actions = Vec::new();
            self.step(event, &mut actions);
            for action in actions {
                self.carry_out(action, origin);
            }
        }
        self.busy.set(false);
        let state = self.state.borrow();
        if state.stage == Stage::Ended || state.machine.next_deadline() != deadline {
            self.deadline_moved.notify();
        }
    }

    fn step(&self, event: Event<C>, out: &mut Vec<Action<C>>) {
        let now = self.clock.now();
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        match event {
            Event::Loaded => {
                if state.stage == Stage::Loading {
                    state.stage = Stage::Serving;
                    state.machine.on_loaded(now, out);
                }
            }
            Event::Request(token, request, _) => state.machine.on_request(now, token, request, out),
            Event::Appended(write, result) => {
                state.appends_under_way -= 1;
                state.machine.on_appended(now, write, result, out);
            }
            Event::Marker(producer, result, at) => {
                state.machine.replay_marker(producer, result, at)
            }
            Event::Told(tell) => {
                if matches!(state.stage, Stage::Serving | Stage::Ending) {
                    tell(&mut state.machine, now, out);
                }
            }
            Event::Time => {
                if state.stage == Stage::Serving {
                    state.machine.on_time(now, out);
                }
            }
            Event::End => match state.stage {
                Stage::Serving => state.stage = Stage::Ending,
                Stage::Loading | Stage::Failed => state.stage = Stage::Ended,
                Stage::Ending | Stage::Ended => {}
            },
        }
        let appends = out
            .iter()
            .filter(|action| matches!(action, Action::Append(_)));
        state.appends_under_way += appends.count();
        if state.stage == Stage::Ending && state.appends_under_way == 0 {
            state.machine.on_unload(out);
            state.stage = Stage::Ended;
        }
    }

    fn carry_out(self: &Rc<Self>, action: Action<C>, origin: Origin) {
        match action {
            Action::Reply(token, reply) => {
                let waiting = self.state.borrow_mut().waiting.remove(&token);
                let (gather, slot) = waiting.expect("a request is answered once");
                gather.put(slot, Ok(reply));
            }
            Action::Append(append) => {
                let origin = append.producer.map_or(Origin::Coordinator, |_| origin);
                self.append(&append, origin);
            }
            Action::Effect(effect) => C::carry_out(self, effect),
        }
    }

    fn append(self: &Rc<Self>, append: &Append, origin: Origin) {
        let write = append.write;
        if let Err(error) = self.partition.require_in_sync() {
            self.handle(Event::Appended(write, Err(error)));
            return;
        }
        let settings = C::append_settings(&self.shard);
        let batch = batch_of(append, self.clock.now(), settings.compression);
        let driver = self.clone();
        let wait = AppendWait {
            acks: Acks::All,
            deadline: ring::timer::now() + settings.timeout,
            gather: Gather::new(1, move |outcomes: Vec<AppendOutcome>| {
                let outcome = &outcomes[0];
                let result = match outcome.error {
                    ErrorCode::None => Ok(outcome.base_offset),
                    error => Err(error),
                };
                driver.handle(Event::Appended(write, result));
            }),
            slot: 0,
        };
        self.partition.append(batch, origin, wait);
    }
}
