//! One partition on the shard that owns it: its log, its leader state, and who waits for it.
//!
//! Producers wait for the write (acks=1) or for the high watermark (acks=all); fetchers wait for
//! new committed bytes. All writes of one turn are coalesced into one (see `Log::start_write`); a
//! flush runs beside them (see `unflushed`).
//! Invariants: `log_start <= last_stable <= high_watermark <= log_end`; no borrow of the state is
//! held across an await; at most one write and one flush are in flight.

mod arriving;
mod cleaning;
mod exchanging;
mod flushing;
mod retention;
mod term;

use std::cell::{Ref, RefCell};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use engine::FlushTo;
use engine::Written;
use engine::append::{AppendError, Appended, RecordError};
use engine::compact::Brake;
use engine::log::Log;
use protocol::error::ErrorCode;
use protocol::ids::{Offset, PartitionIndex, TimestampMs, Uuid};
use replication::Leader;
use ring::event::Event;

use crate::clock;
use crate::config::topic_log::{Conversion, TopicSettings};
use crate::gather::Gather;
use crate::kafka_error;
use crate::unflushed::{FinishedWrite, Unflushed};
use crate::watch::Watch;
use arriving::Arriving;
pub use exchanging::Held;
use exchanging::Hold;

/// Which partition, for every shard: topics that are created anew get a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionKey {
    /// The topic's id.
    pub topic_id: Uuid,
    /// The partition's index.
    pub partition: PartitionIndex,
}

impl PartitionKey {
    /// The same number for all partitions of a topic.
    pub fn topic_number(&self) -> u64 {
        let [high, low] = [0, 8].map(|at| {
            let half = self.topic_id.0[at..at + 8].try_into();
            u64::from_be_bytes(half.expect("eight bytes"))
        });
        high ^ low.rotate_left(32)
    }
}

/// One number, for [`crate::drawn_keys`]: ids of topics are drawn at random.
impl Hash for PartitionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let partition = self.partition.0 as u64;
        state.write_u64(self.topic_number().wrapping_add(partition));
    }
}

/// How many acknowledgements a producer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// acks=0: no reply at all.
    None,
    /// acks=1: the leader's log has it.
    Leader,
    /// acks=-1: every in-sync replica has it.
    All,
}

/// What became of one partition's batches in a produce request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendOutcome {
    /// NONE, or why nothing was stored.
    pub error: ErrorCode,
    /// More about that, where Kafka says more. Apart, because outcomes are moved a lot.
    pub details: Option<Box<RefusalDetails>>,
    /// The offset of the first record; -1 with an error.
    pub base_offset: Offset,
    /// The time of append where the topic stamps it, else -1.
    pub log_append_time: TimestampMs,
    /// The log start offset, -1 if not known.
    pub log_start_offset: Offset,
}

/// What a client is told of a refusal beside the code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusalDetails {
    /// A text.
    pub message: Option<String>,
    /// The records that were refused, where each was looked at (KIP-467).
    pub record_errors: Vec<RecordError>,
}

impl AppendOutcome {
    /// Nothing was stored, because of `error`.
    pub fn refused(error: ErrorCode) -> AppendOutcome {
        AppendOutcome {
            error,
            details: None,
            base_offset: Offset(-1),
            log_append_time: TimestampMs(-1),
            log_start_offset: Offset(-1),
        }
    }
}

/// One producer's wait: where its outcome goes and when it counts as done.
pub struct AppendWait {
    /// Done when written, or when committed.
    pub acks: Acks,
    /// When an acks=all wait ends with REQUEST_TIMED_OUT.
    pub deadline: Instant,
    /// The request's outcomes.
    pub gather: Rc<Gather<AppendOutcome>>,
    /// The slot of this partition in them.
    pub slot: usize,
}

struct Uncommitted {
    /// Committed when the high watermark is at least this.
    required: Offset,
    outcome: AppendOutcome,
    wait: AppendWait,
}

/// See the module. Owned by one shard, shared on it by `Rc`.
pub struct Partition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The topic's id and the partition's index.
    pub key: PartitionKey,
    state: RefCell<State>,
    /// Notified when no write is in flight and none is queued, when a flush has ended, or when
    /// nothing is being prepared any more.
    written: Event,
    /// Notified when so many appends wait as `flush_at` says.
    gathered: Event,
}

struct State {
    /// None once the partition is given up.
    log: Option<Log>,
    leader: Leader,
    min_insync_replicas: usize,
    conversion: Conversion,
    arriving: Arriving,
    writing: bool,
    hold: Hold,
    /// A task flushes what is due.
    flushing: bool,
    /// That task waits until so many appends wait in `unflushed`.
    flush_at: Option<usize>,
    /// `flush.ms` has passed.
    flush_wanted: bool,
    /// A timer for `flush.ms` runs.
    flush_timer: bool,
    /// Old segments are being looked at, given up or compacted.
    cleaning: bool,
    /// The log is being moved to another directory.
    moving: bool,
    /// Stops the compaction under way.
    brake: Option<Arc<Brake>>,
    /// What is written and must be flushed before it is answered.
    unflushed: Unflushed,
    next_token: u64,
    appending: VecDeque<(u64, AppendWait)>,
    uncommitted: VecDeque<Uncommitted>,
    watches: Vec<Rc<Watch>>,
}

impl Partition {
    /// A partition led by this node.
    pub fn new(
        topic: Arc<str>,
        key: PartitionKey,
        mut log: Log,
        leader: Leader,
        settings: &TopicSettings,
    ) -> Rc<Partition> {
        if let Some(removal) = log.take_set_aside() {
            ring::spawn(removal.run());
        }
        let state = State {
            log: Some(log),
            leader,
            min_insync_replicas: settings.min_insync_replicas,
            conversion: settings.conversion,
            arriving: Arriving::default(),
            writing: false,
            hold: Hold::None,
            flushing: false,
            flush_at: None,
            flush_wanted: false,
            flush_timer: false,
            cleaning: false,
            moving: false,
            brake: None,
            unflushed: Unflushed::default(),
            next_token: 0,
            appending: VecDeque::new(),
            uncommitted: VecDeque::new(),
            watches: Vec::new(),
        };
        Rc::new(Partition {
            topic,
            key,
            state: RefCell::new(state),
            written: Event::new(),
            gathered: Event::new(),
        })
    }

    /// From now on these settings hold.
    pub fn configure(&self, settings: &TopicSettings) {
        let mut state = self.state.borrow_mut();
        state.min_insync_replicas = settings.min_insync_replicas;
        state.conversion = settings.conversion;
        if let Some(log) = &mut state.log {
            log.set_config(Arc::new(settings.log.clone()));
        }
    }

    /// Gives the partition up: what waits is written or refused, then the log is handed over.
    /// Who asks from now on is told that the partition is not here.
    pub async fn retire(&self) -> Option<Log> {
        self.stop_compaction();
        while self.is_busy() {
            self.written.wait().await;
        }
        let mut state = self.state.borrow_mut();
        let log = state.log.take();
        let waiting: Vec<_> = state.uncommitted.drain(..).collect();
        state.watches.drain(..).for_each(|watch| watch.wake());
        drop(state);
        for Uncommitted { wait, .. } in waiting {
            wait.gather.put(
                wait.slot,
                AppendOutcome::refused(ErrorCode::NotLeaderOrFollower),
            );
        }
        log
    }

    /// Refuses acks=all while too few replicas are in sync.
    pub fn require_in_sync(&self) -> Result<(), ErrorCode> {
        let state = self.state.borrow();
        let required = state.min_insync_replicas;
        state
            .leader
            .require_in_sync(required)
            .map_err(|_| ErrorCode::NotEnoughReplicas)
    }

    /// Ends the acks=all waits whose deadline has passed.
    pub fn expire(&self, now: Instant) {
        let mut expired = Vec::new();
        let mut state = self.state.borrow_mut();
        if state
            .uncommitted
            .iter()
            .any(|waiting| waiting.wait.deadline <= now)
        {
            let waiting = std::mem::take(&mut state.uncommitted);
            let (late, on_time): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|waiting| waiting.wait.deadline <= now);
            expired = late;
            state.uncommitted = on_time.into();
        }
        drop(state);
        for Uncommitted { outcome, wait, .. } in expired {
            let error = ErrorCode::RequestTimedOut;
            wait.gather
                .put(wait.slot, AppendOutcome { error, ..outcome });
        }
    }

    /// Registers a fetcher that waits for more committed bytes; once, however often its fetch names
    /// this partition.
    pub fn watch(&self, watch: Rc<Watch>) {
        let mut state = self.state.borrow_mut();
        let last = state.watches.last();
        if last.is_some_and(|last| Rc::ptr_eq(last, &watch)) {
            return;
        }
        state.watches.retain(|watch| !watch.is_over());
        state.watches.push(watch);
    }

    /// The log, to read from.
    pub fn log(&self) -> Result<Ref<'_, Log>, ErrorCode> {
        let log = Ref::filter_map(self.state.borrow(), |state| state.log.as_ref())
            .map_err(|_| ErrorCode::NotLeaderOrFollower)?;
        match log.is_offline() {
            true => Err(ErrorCode::KafkaStorageError),
            false => Ok(log),
        }
    }

    /// Calls `call` with the log, to change it.
    pub fn with_log<T>(&self, call: impl FnOnce(&mut Log) -> T) -> Result<T, ErrorCode> {
        match &mut self.state.borrow_mut().log {
            Some(log) => Ok(call(log)),
            None => Err(ErrorCode::NotLeaderOrFollower),
        }
    }

    /// What the topic says of clients that want its records otherwise than they are stored.
    pub fn conversion(&self) -> Conversion {
        self.state.borrow().conversion
    }

    /// The leader state.
    pub fn leader(&self) -> Ref<'_, Leader> {
        Ref::map(self.state.borrow(), |state| &state.leader)
    }

    /// Everything below is part of no open transaction, and committed (KIP-98).
    pub fn last_stable_offset(&self) -> Result<Offset, ErrorCode> {
        let high_watermark = self.leader().high_watermark();
        Ok(self.log()?.last_stable_offset(high_watermark))
    }

    /// Whether the log directory failed.
    pub fn is_offline(&self) -> bool {
        self.log()
            .is_err_and(|error| error == ErrorCode::KafkaStorageError)
    }

    /// Lets all who wait for records look again.
    pub fn wake_watches(&self) {
        let watches = std::mem::take(&mut self.state.borrow_mut().watches);
        watches.iter().for_each(|watch| watch.wake());
    }

    fn is_busy(&self) -> bool {
        let state = self.state.borrow();
        state.arriving.is_busy() || state.writing || state.flushing || state.cleaning
    }

    async fn write_queued(self: Rc<Self>) {
        ring::yield_to_end_of_turn().await;
        loop {
            let write = {
                let mut state = self.state.borrow_mut();
                if state.hold == Hold::Wanted {
                    state.hold = Hold::Given;
                    self.written.notify();
                    return;
                }
                match state.log_in_use().start_write(clock::now_ms()) {
                    Some(write) => write,
                    None => {
                        state.writing = false;
                        self.written.notify();
                        return;
                    }
                }
            };
            let written = write.run().await;
            let finished = self.take_back(written);
            self.answer_or_wait(finished);
        }
    }

    /// The log takes the write back.
    fn take_back(&self, written: Written) -> FinishedWrite {
        let mut state = self.state.borrow_mut();
        let log = state.log_in_use();
        let mut done = Vec::new();
        let size_before = log.size_bytes();
        log.finish_write(written, &mut done);
        FinishedWrite {
            done,
            bytes: log.size_bytes() - size_before,
            log_end: log.log_end_offset(),
            must_flush: log.flush_due() == Some(FlushTo::LogEnd),
        }
    }

    fn answer_or_wait(self: &Rc<Self>, finished: FinishedWrite) {
        let mut state = self.state.borrow_mut();
        let now = state.unflushed.admit(finished);
        if state.has_gathered() {
            self.gathered.notify();
        }
        let due = !state.unflushed.is_empty() || state.log_in_use().flush_due().is_some();
        drop(state);
        if let Some(finished) = now {
            self.answer(finished, &Ok(()));
        }
        if due {
            self.start_flushing();
        }
        self.start_flush_timer();
    }

    fn answer(&self, finished: FinishedWrite, flushed: &Result<(), AppendError>) {
        let mut answers = Vec::with_capacity(finished.done.len());
        let mut state = self.state.borrow_mut();
        let grown = flushed.is_ok() && state.advance(finished.log_end);
        if grown {
            state.commit(&mut answers);
        }
        for (token, result) in finished.done {
            let (front, wait) = state
                .appending
                .pop_front()
                .expect("a result has its waiter");
            assert_eq!(front, token, "results come in the order of the appends");
            match flushed.clone().and(result) {
                Ok(appended) => state.written(appended, wait, &mut answers),
                Err(error) => answers.push((wait, kafka_error::of_append(&error))),
            }
        }
        if grown {
            state.watches.retain(|watch| !watch.is_over());
            for watch in &state.watches {
                watch.saw(finished.bytes);
            }
        }
        drop(state);
        for (wait, outcome) in answers {
            wait.gather.put(wait.slot, outcome);
        }
    }
}

impl State {
    fn written(
        &mut self,
        appended: Appended,
        wait: AppendWait,
        answers: &mut Vec<(AppendWait, AppendOutcome)>,
    ) {
        let outcome = AppendOutcome {
            error: ErrorCode::None,
            details: None,
            base_offset: appended.first_offset,
            log_append_time: appended.log_append_time,
            log_start_offset: appended.log_start_offset,
        };
        match wait.acks {
            Acks::None | Acks::Leader => answers.push((wait, outcome)),
            Acks::All => {
                let required = Offset(appended.last_offset.0 + 1);
                if required <= self.leader.high_watermark() {
                    // This write has just moved it, or it is a duplicate of something committed.
                    answers.push((wait, outcome));
                } else {
                    self.uncommitted.push_back(Uncommitted {
                        required,
                        outcome,
                        wait,
                    });
                }
            }
        }
    }

    fn log_in_use(&mut self) -> &mut Log {
        self.log
            .as_mut()
            .expect("a log is not taken while it is written or flushed")
    }

    /// The log grew up to `log_end`. Answers whether the high watermark moved.
    fn advance(&mut self, log_end: Offset) -> bool {
        let Some(high_watermark) = self.leader.on_append(log_end) else {
            return false;
        };
        self.log_in_use().on_high_watermark(high_watermark);
        true
    }

    fn commit(&mut self, answers: &mut Vec<(AppendWait, AppendOutcome)>) {
        let high_watermark = self.leader.high_watermark();
        while self
            .uncommitted
            .front()
            .is_some_and(|front| front.required <= high_watermark)
        {
            let front = self.uncommitted.pop_front().expect("just seen");
            answers.push((front.wait, front.outcome));
        }
    }
}
