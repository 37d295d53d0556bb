//! The segment that is being written, as the log's core keeps it.
//!
//! Touches no file: what is to be written is handed out. Invariant: `end` is where the last
//! acknowledged batch ends; whatever the file holds beyond it does not count.

use crate::active_index::{ActiveIndex, Found};
use crate::config::LogConfig;
use crate::hot_tail::{HotTail, TailBatch};
use crate::index_entry::{Floor, OffsetEntry, TimeEntry, boundary_before, relative_to_search};
use crate::index_map::IndexMap;
use crate::index_rule::{IndexRule, Indexed};
use crate::reserve::Reserve;
use protocol::ids::{Offset, Position, TimestampMs};
use ring::file::File;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A batch that was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) base_offset: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) position: Position,
    pub(crate) bytes: u32,
    pub(crate) max_timestamp: TimestampMs,
}

/// The segment that is being written.
#[derive(Debug)]
pub(crate) struct ActiveSegment {
    pub(crate) base_offset: Offset,
    pub(crate) file: File,
    pub(crate) end: Position,
    pub(crate) offset_index: ActiveIndex<OffsetEntry>,
    pub(crate) time_index: ActiveIndex<TimeEntry>,
    /// What of the offset index is not in memory, for readers.
    pub(crate) index_in_file: Arc<IndexMap>,
    /// A look-up has found that an entry of its indexes is wrong: they are made anew when it is
    /// closed.
    pub(crate) index_doubt: Arc<AtomicBool>,
    pub(crate) rule: IndexRule,
    pub(crate) age: Age,
    /// Length of its index of aborted transactions.
    pub(crate) txn_index_bytes: usize,
    pub(crate) tail: HotTail,
    pub(crate) reserve: Reserve,
}

/// What decides when a segment is too old to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age {
    /// The largest timestamp of the first batch.
    pub(crate) first_timestamp: Option<TimestampMs>,
    pub(crate) created: TimestampMs,
    /// How much earlier than `segment.ms` says it is closed.
    pub(crate) jitter_ms: i64,
}

/// Where a look-up of an offset in the active segment begins.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// At a batch's beginning.
    At(Floor),
    /// Where the part of the index says that is not in memory.
    InFile,
}

impl Age {
    /// Of a segment made now.
    pub(crate) fn new(created: TimestampMs, config: &LogConfig) -> Self {
        let jitter_ms = jitter_ms(config);
        Self {
            first_timestamp: None,
            created,
            jitter_ms,
        }
    }

    /// How long the segment has been open: by its records' timestamps if they have any, else by
    /// the clock.
    pub(crate) fn waited_ms(&self, now: TimestampMs, timestamp: TimestampMs) -> i64 {
        match self.first_timestamp {
            Some(first) if first.0 >= 0 => timestamp.0.saturating_sub(first.0),
            _ => now.0.saturating_sub(self.created.0),
        }
    }
}

impl ActiveSegment {
    /// An empty segment, whose files have just been made.
    pub(crate) fn new(
        base_offset: Offset,
        file: File,
        now: TimestampMs,
        config: &LogConfig,
    ) -> Self {
        Self {
            base_offset,
            file,
            end: Position::ZERO,
            offset_index: ActiveIndex::new(config.index_bytes_max),
            time_index: ActiveIndex::new(config.index_bytes_max),
            index_in_file: Arc::new(IndexMap::new(0)),
            index_doubt: Arc::default(),
            rule: IndexRule::new(base_offset, config.index_interval_bytes),
            age: Age::new(now, config),
            txn_index_bytes: 0,
            tail: HotTail::default(),
            reserve: Reserve::new(0),
        }
    }

    /// A batch was written at the end.
    pub(crate) fn note(&mut self, batch: &Stored) {
        assert_eq!(
            batch.position, self.end,
            "a batch is written at the segment's end"
        );
        if self.end == Position::ZERO {
            self.age.first_timestamp = Some(batch.max_timestamp);
        }
        self.end += batch.bytes;
        let entries = self.rule.note(&Indexed {
            position: batch.position,
            bytes: batch.bytes,
            last_offset: batch.last_offset,
            max_timestamp: batch.max_timestamp,
        });
        if let Some(entry) = entries.offset {
            self.offset_index.push(entry);
        }
        if let Some(entry) = entries.time {
            self.time_index.push(entry);
        }
        self.tail.push(TailBatch {
            base_offset: batch.base_offset,
            last_offset: batch.last_offset,
            position: batch.position,
            bytes: batch.bytes,
        });
    }

    /// Where to begin looking for an offset.
    pub(crate) fn start_of(&self, offset: Offset) -> Start {
        let target = relative_to_search(offset, self.base_offset);
        match self.offset_index.floor(|e| e.relative_offset <= target) {
            Found::Entry(entry, before) => Start::At(Floor::of(entry, before)),
            Found::None => Start::At(Floor::BEGINNING),
            Found::InFile => Start::InFile,
        }
    }

    /// The last beginning of a batch up to `position` that the index knows, as far as it is in
    /// memory or mapped.
    pub(crate) fn boundary_before(&self, position: Position) -> Option<Position> {
        match self.offset_index.floor(|e| e.position <= position) {
            Found::Entry(entry, _) => Some(entry.position),
            Found::None => None,
            Found::InFile => boundary_before(&self.index_in_file.entries()?, position),
        }
    }
}

/// A random part of `segment.jitter.ms`.
fn jitter_ms(config: &LogConfig) -> i64 {
    let span = config.segment_jitter_ms_max.min(config.segment_age_ms_max);
    if span <= 0 {
        0
    } else {
        (crate::random::u64() % span as u64) as i64
    }
}
