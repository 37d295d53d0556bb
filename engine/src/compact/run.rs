//! One compaction of one log, from the plan to the last group. It owns all it needs: the shard
//! hands it out, a cleaner thread takes it step by step, and between the steps the shard puts what
//! was written in place.
//!
//! Blocking. First the keys of the dirty part are learnt, as far as there is room; then every
//! segment up to there is rewritten, the clean ones too.

use super::dirty::Cleanable;
use super::group::groups;
use super::key_map::{Full, KeyMap};
use super::old_format::{self, OldTombstones};
use super::pace::{Brake, Throttle};
use super::retain::{Kept, LastRecord, Rules};
use super::rewrite::{Rewrite, Rewritten, give_up};
use super::transactions::{AbortedInLog, Transactions};
use crate::batch_walk::Located;
use crate::config::LogConfig;
use crate::disk;
use crate::file_name::{self, Kind};
use crate::log::Log;
use crate::record_check::DECOMPRESSED_BYTES_MAX;
use crate::sealed_segment::{SealedSegment, modified};
use crate::segment_scan::{Scanned, SegmentScan, Stopped};
use crate::txn_index::{ENTRY_BYTES, Entry};
use protocol::batch::BatchView;
use protocol::ids::{Offset, Position, ProducerId, TimestampMs};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What a compaction may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// One cleaner thread's share of `log.cleaner.dedupe.buffer.size`.
    pub key_map_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`: how full the key map may be, 0 to 1.
    pub load_factor: f64,
    /// One cleaner thread's share of `log.cleaner.io.buffer.size`: half is for reading.
    pub io_buffer_bytes: usize,
    /// `log.cleaner.io.max.bytes.per.second`.
    pub throttle: Arc<Throttle>,
    /// Stops this compaction.
    pub brake: Arc<Brake>,
}

/// See the module.
#[derive(Debug)]
pub struct Compaction {
    directory: Arc<Path>,
    config: Arc<LogConfig>,
    /// Every segment below the first that is left alone.
    segments: Vec<Arc<SealedSegment>>,
    cleanable: Cleanable,
    /// The rest of the log, whose indexes tell of transactions that began before.
    later: Vec<Arc<SealedSegment>>,
    active_base: Offset,
    active_txn_index_bytes: usize,
    producers: HashMap<ProducerId, LastRecord>,
    limits: Limits,
    now: TimestampMs,
    work: Option<Work>,
    scratch: Vec<u8>,
    cleaned: Cleaned,
}

/// What is known once the keys are.
#[derive(Debug)]
struct Work {
    rules: Rules,
    aborted: AbortedInLog,
    transactions: Transactions,
    groups: VecDeque<Vec<Arc<SealedSegment>>>,
    /// Segments that were changed later than this keep their tombstones of the old formats.
    old_horizon: TimestampMs,
}

/// What a step has done.
#[derive(Debug)]
pub enum Step {
    /// A group of segments was rewritten: it is to be put in place.
    Group(CleanedGroup),
    /// There are no more.
    Finished(Cleaned),
}

/// Segments, and the one that is to replace them.
#[derive(Debug)]
pub struct CleanedGroup {
    pub(super) old: Vec<Arc<SealedSegment>>,
    pub(super) new: Rewritten,
}

/// What a compaction came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Everything below is compacted now.
    pub end: Offset,
    /// How many keys were in the dirty part.
    pub keys: usize,
    /// How many bytes were rewritten.
    pub read_bytes: u64,
    /// How many of them are left.
    pub kept_bytes: u64,
}

impl Log {
    /// Plans a compaction; `None` if the log is not there to be compacted any more.
    pub fn start_compaction(
        &self,
        cleanable: Cleanable,
        limits: Limits,
        now: TimestampMs,
    ) -> Option<Compaction> {
        if self.is_offline() || self.compaction.failed {
            return None;
        }
        let split = self.segments.sealed.iter();
        let (segments, later) = split
            .cloned()
            .partition(|s| s.base_offset < cleanable.first_uncleanable);
        let producers = self.producers.iter().map(|(producer, entry)| {
            let last = LastRecord {
                data: entry.batches().last().map(|batch| batch.last_offset),
                epoch: entry.epoch,
            };
            (producer, last)
        });
        Some(Compaction {
            directory: self.directory.clone(),
            config: self.config.clone(),
            segments,
            cleanable,
            later,
            active_base: self.segments.active.base_offset,
            active_txn_index_bytes: self.segments.active.txn_index_bytes,
            producers: producers.collect(),
            limits,
            now,
            work: None,
            scratch: Vec::new(),
            cleaned: Cleaned::default(),
        })
    }
}

impl Compaction {
    /// Goes on until something is to be put in place, or nothing is left to do. An error of kind
    /// `Interrupted` says that it was stopped; with any other the log cannot be compacted.
    pub fn step_blocking(&mut self) -> io::Result<Step> {
        let mut work = match self.work.take() {
            Some(work) => work,
            None => self.learn()?,
        };
        let step = match work.groups.pop_front() {
            None => Step::Finished(self.cleaned),
            Some(group) => Step::Group(self.clean_group(group, &mut work)?),
        };
        self.work = Some(work);
        Ok(step)
    }

    fn learn(&mut self) -> io::Result<Work> {
        let aborted = self.read_aborted()?;
        let keys = self.learn_keys(&aborted)?;
        let end = keys.latest().map_or(Offset::ZERO, |latest| latest.next());
        self.cleaned.end = end.max(self.cleanable.first_dirty);
        self.cleaned.keys = keys.len();
        let count = self.segments.partition_point(|s| s.base_offset < end);
        let config = &self.config;
        let groups = groups(
            &self.segments[..count],
            config.segment_bytes_max,
            config.index_bytes_max,
            self.cleanable.first_uncleanable,
        );
        Ok(Work {
            old_horizon: self.old_tombstone_horizon()?,
            rules: Rules {
                keys,
                producers: std::mem::take(&mut self.producers),
                now: self.now,
                delete_retention_ms: config.delete_retention_ms,
            },
            aborted,
            transactions: Transactions::default(),
            groups: groups.into(),
        })
    }

    /// The indexes of aborted transactions of the whole log.
    fn read_aborted(&self) -> io::Result<AbortedInLog> {
        let mut aborted = AbortedInLog::default();
        let mut add = |base, content: &[u8]| {
            aborted.add(base, content.chunks_exact(ENTRY_BYTES).map(Entry::decode));
        };
        for segment in self.segments.iter().chain(&self.later) {
            if segment.txn_index_bytes > 0 {
                let content = segment.open_blocking(Kind::TxnIndex, |path| disk::read(path))?;
                add(segment.base_offset, &content);
            }
        }
        if self.active_txn_index_bytes > 0 {
            let path = file_name::path(&self.directory, self.active_base, Kind::TxnIndex);
            let mut content = disk::read(&path)?;
            content.truncate(self.active_txn_index_bytes);
            add(self.active_base, &content);
        }
        Ok(aborted)
    }

    fn learn_keys(&mut self, aborted: &AbortedInLog) -> io::Result<KeyMap> {
        let mut keys = KeyMap::new(self.limits.key_map_bytes, self.limits.load_factor);
        let mut transactions = Transactions::default();
        let Cleanable {
            first_dirty,
            first_uncleanable,
            ..
        } = self.cleanable;
        let first = self
            .segments
            .partition_point(|s| s.base_offset <= first_dirty);
        let dirty = self.segments.get(first.saturating_sub(1)..).unwrap_or(&[]);
        if let Some(segment) = dirty.first() {
            transactions.expect(aborted.within(
                segment.base_offset,
                first_dirty,
                first_uncleanable,
            ));
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        for (at, segment) in dirty.iter().enumerate() {
            let next = dirty
                .get(at + 1)
                .map_or(first_uncleanable, |s| s.base_offset);
            let from = segment.floor_position_blocking(first_dirty)?;
            let whole = self.each_batch(segment, from, |found| match found {
                Scanned::Batch(batch) => learn_batch(
                    batch,
                    first_dirty,
                    &mut transactions,
                    &mut keys,
                    &mut scratch,
                ),
                Scanned::Old(message) => learn_message(message, first_dirty, &mut keys),
            })?;
            if !whole {
                break;
            }
            keys.complete_to(Offset(next.0 - 1));
        }
        self.scratch = scratch;
        Ok(keys)
    }

    fn clean_group(
        &mut self,
        group: Vec<Arc<SealedSegment>>,
        work: &mut Work,
    ) -> io::Result<CleanedGroup> {
        let base = group[0].base_offset;
        let new = self
            .rewrite_group(&group, work)
            .inspect_err(|_| give_up(&self.directory, base))?;
        self.cleaned.kept_bytes += u64::from(new.lengths.log.0);
        Ok(CleanedGroup { old: group, new })
    }

    fn rewrite_group(
        &mut self,
        group: &[Arc<SealedSegment>],
        work: &mut Work,
    ) -> io::Result<Rewritten> {
        let mut out = Rewrite::begin(
            self.directory.clone(),
            group[0].base_offset,
            self.config.index_interval_bytes,
            self.limits.io_buffer_bytes / 2,
        )?;
        let mut stay_aborted = Vec::new();
        let mut scratch = std::mem::take(&mut self.scratch);
        let Work {
            rules,
            aborted,
            transactions,
            old_horizon,
            ..
        } = work;
        for (at, segment) in group.iter().enumerate() {
            let base = segment.base_offset;
            let below = match group.get(at + 1) {
                Some(next) => next.base_offset,
                None => self.end_of(segment),
            };
            transactions.expect(aborted.within(base, base, below));
            let mut kept_bytes = 0;
            let changed = segment.open_blocking(Kind::Log, modified)?;
            let tombstones = match changed > *old_horizon {
                true => OldTombstones::Stay,
                false => OldTombstones::Go,
            };
            self.each_batch(segment, Position::ZERO, |found| {
                let (kept, bytes) = match found {
                    Scanned::Batch(batch) => (
                        rules.retain(batch, transactions, &mut stay_aborted, &mut scratch)?,
                        batch.bytes,
                    ),
                    Scanned::Old(message) => (rules.retain_old(message, tombstones)?, *message),
                };
                let bytes = match &kept {
                    Kept::Nothing => return Ok(true),
                    Kept::Whole => bytes,
                    Kept::Rewritten(bytes) => bytes,
                };
                kept_bytes += bytes.len();
                out.append(bytes)?;
                Ok(true)
            })?;
            self.limits.throttle.take(kept_bytes, &self.limits.brake)?;
            self.cleaned.read_bytes += u64::from(segment.end.0);
        }
        self.scratch = scratch;
        let last = group.last().expect("a group has segments");
        let modified = last.open_blocking(Kind::Log, |path| disk::metadata(path)?.modified())?;
        out.finish(&stay_aborted, modified)
    }

    /// Segments that were changed later than this keep their tombstones of the old formats.
    fn old_tombstone_horizon(&self) -> io::Result<TimestampMs> {
        let seen = self
            .segments
            .partition_point(|s| s.base_offset < self.cleanable.first_dirty);
        let Some(last_seen) = seen.checked_sub(1) else {
            return Ok(TimestampMs(0));
        };
        let changed = self.segments[last_seen].open_blocking(Kind::Log, modified)?;
        Ok(TimestampMs(changed.0 - self.config.delete_retention_ms))
    }

    /// Where the segment after this one begins.
    fn end_of(&self, segment: &SealedSegment) -> Offset {
        let after = self
            .segments
            .partition_point(|s| s.base_offset <= segment.base_offset);
        let next = self.segments.get(after).map(|next| next.base_offset);
        next.unwrap_or(self.cleanable.first_uncleanable)
    }

    /// Calls `each` with the batches of a segment until it answers no; whether it never did.
    fn each_batch(
        &self,
        segment: &Arc<SealedSegment>,
        from: Position,
        mut each: impl FnMut(&Scanned<'_>) -> io::Result<bool>,
    ) -> io::Result<bool> {
        let block_bytes = self.limits.io_buffer_bytes / 2;
        let file = segment.file_blocking()?;
        let mut scan = SegmentScan::new(file, from, segment.end).with_block_bytes(block_bytes);
        let mut unpaid_bytes = 0;
        loop {
            let next = scan
                .next_of_any_format()
                .map_err(|stopped| unreadable(segment, stopped))?;
            let Some(found) = next else {
                break;
            };
            unpaid_bytes += match &found {
                Scanned::Batch(batch) => batch.bytes.len(),
                Scanned::Old(message) => message.len(),
            };
            if !each(&found)? {
                return Ok(false);
            }
            if unpaid_bytes >= block_bytes {
                self.limits
                    .throttle
                    .take(unpaid_bytes, &self.limits.brake)?;
                unpaid_bytes = 0;
            }
        }
        self.limits
            .throttle
            .take(unpaid_bytes, &self.limits.brake)?;
        self.limits.brake.check()?;
        Ok(true)
    }
}

/// Puts a batch's keys into the map; whether there was room.
fn learn_batch(
    batch: &BatchView<'_>,
    first_dirty: Offset,
    transactions: &mut Transactions,
    keys: &mut KeyMap,
    scratch: &mut Vec<u8>,
) -> io::Result<bool> {
    let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    if batch.header.attributes.is_control() {
        transactions.on_control(batch)?;
    } else if !transactions.on_data(batch) {
        let records = batch.records_in(scratch, DECOMPRESSED_BYTES_MAX);
        for record in records.map_err(damaged)? {
            let record = record.map_err(damaged)?;
            let Some(key) = record.key.filter(|_| record.offset >= first_dirty) else {
                continue;
            };
            if let Err(Full) = keys.put(key, record.offset) {
                return Ok(false);
            }
        }
    }
    if batch.header.last_offset() >= first_dirty {
        keys.complete_to(batch.header.last_offset());
    }
    Ok(true)
}

/// The same of a message of the old formats.
fn learn_message(message: &[u8], first_dirty: Offset, keys: &mut KeyMap) -> io::Result<bool> {
    if !old_format::learn(message, first_dirty, keys)? {
        return Ok(false);
    }
    let found = Located::parse(message, Position::ZERO).map_err(io::Error::other)?;
    if found.last_offset >= first_dirty {
        keys.complete_to(found.last_offset);
    }
    Ok(true)
}

fn unreadable(segment: &SealedSegment, stopped: Stopped) -> io::Error {
    match stopped {
        Stopped::Io(error) => error,
        Stopped::Damaged(position, error) => {
            let path = segment.path(Kind::Log);
            let text = format!("{} at position {position}: {error}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        }
    }
}
