//! The second step of an append: everything that waits becomes one write. Sequence numbers are
//! checked, offsets assigned, the segment to write to decided.
//!
//! Nothing in the log changes for readers before `finish`. What producers' states will become is
//! staged. Invariant: a write goes to one segment; if the segment has to be closed first, the
//! write begins with that.

use crate::active_segment::{Age, Stored};
use crate::append::{AppendError, Appended, Origin};
use crate::config::{LogConfig, TimestampType};
use crate::enqueue::{Queued, QueuedBatch, Times};
use crate::index_entry::relative;
use crate::index_rule::{IndexRule, Indexed};
use crate::leader_epochs::LeaderEpochs;
use crate::log::Log;
use crate::pieces::Pieces;
use crate::producer_entry::{DataBatch, Marker, Rules};
use crate::txn_index::{self, NewEntries};
use crate::write::Write;
use protocol::batch::control::TransactionResult;
use protocol::ids::{LeaderEpoch, Offset, Position, TimestampMs};

/// What `finish` has to know of the write in flight.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    /// What becomes of each append, if the write succeeds.
    pub(crate) outcomes: Vec<(u64, Result<Appended, AppendError>)>,
    pub(crate) batches: Vec<Stored>,
    /// Where the log ended when it was started.
    pub(crate) first_offset: Offset,
    /// Where the log will end.
    pub(crate) next_offset: Offset,
    /// What the epochs will be, if they change.
    pub(crate) epochs: Option<LeaderEpochs>,
    /// Base offset of the segment that the write begins with.
    pub(crate) rolls_to: Option<Offset>,
    pub(crate) now: TimestampMs,
    /// How many bytes the index of aborted transactions grows by.
    pub(crate) aborted_bytes: usize,
}

/// The write being put together.
struct Assembly<'a> {
    log: &'a mut Log,
    plan: InFlight,
    pieces: Pieces,
    target: Target,
}

/// The end of the segment as it will be after what is assembled so far.
struct Target {
    base_offset: Offset,
    end: Position,
    age: Age,
    rule: IndexRule,
    offset_entries: usize,
    time_entries: usize,
}

impl Log {
    /// Takes what is queued, up to `write_bytes_max`, and makes one write of it. `None` if there
    /// is nothing to do, or a write is in flight.
    ///
    /// The write must be run to its end and given to [`Log::finish_write`], also if it has nothing
    /// to write: refusals are answered there.
    pub fn start_write(&mut self, now: TimestampMs) -> Option<Write> {
        if self.in_flight.is_some() || self.queue.is_empty() {
            return None;
        }
        let mut plan = std::mem::take(&mut self.spare);
        plan.reset(self.log_end, now);
        let target = Target::of(self);
        let copied = self.queue.copied_bytes();
        let mut assembly = Assembly {
            pieces: Pieces::with_room(copied.min(self.config.write_bytes_max)),
            log: self,
            plan,
            target,
        };
        assembly.take_all();
        let Assembly {
            log,
            mut plan,
            pieces,
            target,
        } = assembly;
        let position = Position(target.end.0 - plan.bytes());
        let write = Write::new(log, &mut plan, pieces.finish(), position);
        log.in_flight = Some(plan);
        Some(write)
    }
}

impl InFlight {
    pub(crate) fn reset(&mut self, log_end: Offset, now: TimestampMs) {
        debug_assert!(self.outcomes.is_empty());
        self.batches.clear();
        self.first_offset = log_end;
        self.next_offset = log_end;
        self.epochs = None;
        self.rolls_to = None;
        self.now = now;
        self.aborted_bytes = 0;
    }

    fn bytes(&self) -> u32 {
        self.batches.iter().map(|b| b.bytes).sum()
    }

    /// The transactions that the write aborts, for their index.
    pub(crate) fn aborted(&mut self, log: &Log) -> Option<NewEntries> {
        let bytes = txn_index::encode_staged(&log.producers);
        self.aborted_bytes = bytes.len();
        let active = &log.segments.active;
        let (base_offset, position) = match self.rolls_to {
            Some(base_offset) => (base_offset, 0),
            None => (active.base_offset, active.txn_index_bytes as u64),
        };
        (!bytes.is_empty()).then_some(NewEntries {
            base_offset,
            position,
            bytes,
        })
    }
}

impl Target {
    fn of(log: &Log) -> Self {
        let active = &log.segments.active;
        Self {
            base_offset: active.base_offset,
            end: active.end,
            age: active.age,
            rule: active.rule.clone(),
            offset_entries: active.offset_index.len(),
            time_entries: active.time_index.len(),
        }
    }

    fn note(&mut self, batch: &Stored) {
        if self.end == Position::ZERO {
            self.age.first_timestamp = Some(batch.max_timestamp);
        }
        let entries = self.rule.note(&Indexed {
            position: batch.position,
            bytes: batch.bytes,
            last_offset: batch.last_offset,
            max_timestamp: batch.max_timestamp,
        });
        self.offset_entries += usize::from(entries.offset.is_some());
        self.time_entries += usize::from(entries.time.is_some());
        self.end += batch.bytes;
    }
}

impl Assembly<'_> {
    fn take_all(&mut self) {
        let mut bytes = 0;
        while let Some(append) = self.log.queue.front() {
            if bytes > 0 && bytes + append.bytes.len() > self.log.config.write_bytes_max {
                break;
            }
            let rolls = self.must_roll_for(append);
            if rolls && !self.plan.batches.is_empty() {
                break;
            }
            let append = self.log.queue.pop().expect("it was at the front");
            let token = append.token;
            let outcome = match self.log.health.failure() {
                Some(reason) => Err(AppendError::Offline(reason.to_string())),
                None => self.take(append, rolls, &mut bytes),
            };
            self.plan.outcomes.push((token, outcome));
        }
    }

    fn take(
        &mut self,
        append: Queued,
        rolls: bool,
        bytes: &mut usize,
    ) -> Result<Appended, AppendError> {
        let first = self.first_offset(&append)?;
        self.check_times(&append)?;
        if let Some(duplicate) = self.duplicate(&append) {
            return Ok(duplicate);
        }
        self.stage_producers(&append, first)?;
        if rolls {
            self.roll_to(first);
        }
        *bytes += append.bytes.len();
        Ok(self.place(&append, first))
    }

    /// The offset of the append's first record.
    fn first_offset(&self, append: &Queued) -> Result<Offset, AppendError> {
        if append.origin != Origin::Leader {
            return Ok(self.plan.next_offset);
        }
        let found = append.first.header.base_offset;
        if found < self.plan.next_offset {
            let log_end = self.plan.next_offset;
            return Err(AppendError::UnexpectedOffset { found, log_end });
        }
        Ok(found)
    }

    fn check_times(&self, append: &Queued) -> Result<(), AppendError> {
        if !append.origin.is_client() {
            return Ok(());
        }
        let config = &self.log.config;
        let batch = &append.first;
        let max = batch.header.max_timestamp;
        let (min, max) = match batch.times {
            Times::OfHeader => (max, max),
            Times::Seen(times) => (times.min, times.max),
            Times::Judged => return Ok(()),
        };
        if config.timestamp_type == TimestampType::LogAppendTime || max == TimestampMs::NONE {
            return Ok(());
        }
        let now = self.plan.now;
        let earliest = TimestampMs(now.0.saturating_sub(config.timestamp_before_ms_max));
        let latest = TimestampMs(now.0.saturating_add(config.timestamp_after_ms_max));
        if min < earliest || max > latest {
            let found = if min < earliest { min } else { max };
            return Err(AppendError::InvalidTimestamp {
                found,
                earliest,
                latest,
            });
        }
        Ok(())
    }

    /// A client's batch that is in the log already, or in this very write.
    fn duplicate(&self, append: &Queued) -> Option<Appended> {
        let header = &append.first.header;
        if !append.origin.is_client() || !header.has_producer() {
            return None;
        }
        let sequences = (header.base_sequence, header.last_sequence());
        let producers = &self.log.producers;
        let known = producers.duplicate_of(header.producer_id, header.producer_epoch, sequences)?;
        Some(Appended {
            first_offset: known.first_offset(),
            last_offset: known.last_offset,
            log_append_time: known.timestamp,
            log_start_offset: self.log.log_start,
            duplicate: true,
        })
    }

    fn stage_producers(&mut self, append: &Queued, first: Offset) -> Result<(), AppendError> {
        let mark = self.log.producers.mark();
        let mut next = first;
        for batch in append.batches() {
            let offset = if append.origin == Origin::Leader {
                batch.header.base_offset
            } else {
                next
            };
            next = offset + i64::from(batch.header.last_offset_delta) + 1;
            if !batch.header.has_producer() {
                continue;
            }
            if let Err(error) = self.stage_producer(batch, append.origin, offset) {
                self.log.producers.unstage(mark);
                return Err(error);
            }
        }
        Ok(())
    }

    fn stage_producer(
        &mut self,
        batch: &QueuedBatch,
        origin: Origin,
        offset: Offset,
    ) -> Result<(), AppendError> {
        let header = &batch.header;
        let rules = match origin {
            Origin::Client | Origin::VerifiedClient | Origin::Guarded(_) => Rules::Client,
            Origin::Coordinator | Origin::GuardedCoordinator(_) | Origin::Raft => {
                Rules::Coordinator
            }
            Origin::Leader => Rules::Replica,
        };
        let max_timestamp = self.timestamp_of(batch, origin);
        let producers = &mut self.log.producers;
        if header.attributes.is_control() {
            let Some(end) = batch.end else { return Ok(()) };
            let marker = Marker {
                producer: header.producer_id,
                epoch: header.producer_epoch,
                coordinator_epoch: end.coordinator_epoch,
                offset,
                timestamp: max_timestamp,
                aborts: end.result == TransactionResult::Abort,
            };
            return producers.stage_marker(&marker, rules);
        }
        let transactional = header.attributes.is_transactional();
        if transactional && !producers.may_be_in_transaction(header.producer_id, origin) {
            return Err(AppendError::InvalidTransaction(
                "record was not part of an ongoing transaction",
            ));
        }
        let data = DataBatch {
            producer: header.producer_id,
            epoch: header.producer_epoch,
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            first_offset: offset,
            last_offset: offset + i64::from(header.last_offset_delta),
            max_timestamp,
            transactional,
        };
        producers.stage_data(&data, rules)
    }

    /// Gives the append's batches their places.
    fn place(&mut self, append: &Queued, first: Offset) -> Appended {
        let stamps = append.origin != Origin::Leader;
        let append_time = self
            .sets_append_time(append.origin)
            .then_some(self.plan.now);
        let mut next = first;
        for batch in append.batches() {
            let header = &batch.header;
            let base_offset = if stamps { next } else { header.base_offset };
            let epoch = if stamps {
                append.leader_epoch
            } else {
                header.leader_epoch
            };
            if stamps {
                self.cut_stamped(append, batch, base_offset, append_time);
            }
            let stored = Stored {
                base_offset,
                last_offset: base_offset + i64::from(header.last_offset_delta),
                position: self.target.end,
                bytes: header.size() as u32,
                max_timestamp: self.timestamp_of(batch, append.origin),
            };
            self.note_epoch(epoch, base_offset);
            self.target.note(&stored);
            self.plan.batches.push(stored);
            next = stored.last_offset.next();
        }
        if !stamps {
            self.pieces.unchanged(append.bytes.clone());
        }
        self.plan.next_offset = next;
        Appended {
            first_offset: first,
            last_offset: next - 1,
            log_append_time: append_time.unwrap_or(TimestampMs::NONE),
            log_start_offset: self.log.log_start,
            duplicate: false,
        }
    }

    /// Writes a batch as a head of our own and the rest as it came.
    fn cut_stamped(
        &mut self,
        append: &Queued,
        batch: &QueuedBatch,
        base_offset: Offset,
        append_time: Option<TimestampMs>,
    ) {
        let view = append.view(batch);
        let epoch = append.leader_epoch;
        let start = batch.start as usize;
        let place = start..start + batch.header.size();
        match append_time {
            None => {
                let head = view.patched_prefix(base_offset, epoch);
                self.pieces.batch(&head, &append.bytes, place);
            }
            Some(time) => {
                let head = view.patched_header_with_append_time(base_offset, epoch, time);
                self.pieces.batch(&head, &append.bytes, place);
            }
        }
    }

    fn note_epoch(&mut self, epoch: LeaderEpoch, base_offset: Offset) {
        let known = self.plan.epochs.as_ref().unwrap_or(&self.log.epochs);
        if epoch.0 < 0 || known.latest() == Some(epoch) {
            return;
        }
        let mut changed = known.clone();
        if changed.assign(epoch, base_offset) {
            self.plan.epochs = Some(changed);
        }
    }

    /// Whether the broker's time takes the place of the records' own.
    fn sets_append_time(&self, origin: Origin) -> bool {
        let kept = matches!(origin, Origin::Leader | Origin::Raft);
        self.log.config.timestamp_type == TimestampType::LogAppendTime && !kept
    }

    fn timestamp_of(&self, batch: &QueuedBatch, origin: Origin) -> TimestampMs {
        if self.sets_append_time(origin) {
            self.plan.now
        } else {
            batch.header.max_timestamp
        }
    }

    /// Whether the append does not go into the segment any more.
    fn must_roll_for(&self, append: &Queued) -> bool {
        let LogConfig {
            segment_bytes_max,
            segment_age_ms_max,
            ..
        } = *self.log.config;
        let target = &self.target;
        let last_offset = self.last_offset(append);
        if relative(last_offset, target.base_offset).is_none() {
            return true;
        }
        if target.end == Position::ZERO {
            return false;
        }
        let timestamp = append
            .batches()
            .map(|b| self.timestamp_of(b, append.origin))
            .max();
        let timestamp = timestamp.expect("an append has a batch");
        let active = &self.log.segments.active;
        target.end.0 as usize + append.bytes.len() > segment_bytes_max as usize
            || target.age.waited_ms(self.plan.now, timestamp)
                > segment_age_ms_max.saturating_sub(target.age.jitter_ms)
            || target.offset_entries >= active.offset_index.entries_max()
            || target.time_entries + 1 >= active.time_index.entries_max()
    }

    fn last_offset(&self, append: &Queued) -> Offset {
        if append.origin == Origin::Leader {
            return append
                .rest
                .last()
                .unwrap_or(&append.first)
                .header
                .last_offset();
        }
        let records = |b: &QueuedBatch| i64::from(b.header.last_offset_delta) + 1;
        self.plan.next_offset + append.batches().map(records).sum::<i64>() - 1
    }

    fn roll_to(&mut self, base_offset: Offset) {
        let config = &self.log.config;
        self.plan.rolls_to = Some(base_offset);
        self.target = Target {
            base_offset,
            end: Position::ZERO,
            age: Age::new(self.plan.now, config),
            rule: IndexRule::new(base_offset, config.index_interval_bytes),
            offset_entries: 0,
            time_entries: 0,
        };
    }
}
