//! Whether an index is right about the batches, and building both indexes of a segment anew.
//!
//! An index has no checksum, and a flipped bit may leave its entries in order. So a look-up compares
//! what it finds with the entry that led it there; an entry that is not borne out is named in the
//! log, and the segment's indexes are made anew from the batches' headers. Blocking, but for the
//! comparison itself ([`crate::index_entry::Floor`]).
//!
//! Invariant: what is looked up is right even if nothing can be repaired: then the walk begins at the
//! segment's beginning.

use crate::batch_walk::{Located, Walk, find_blocking};
use crate::disk;
use crate::file_name::Kind;
use crate::index_entry::{Entry, Floor, OffsetEntry, TimeEntry, is_sound, relative};
use crate::index_map::Entries;
use crate::index_rule::{IndexRule, Indexed};
use crate::sealed_segment::SealedSegment;
use protocol::ids::{Offset, Position, TimestampMs};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The content of both indexes of a segment.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) offsets: Vec<u8>,
    pub(crate) times: Vec<u8>,
}

/// A segment's batches, to hold entries against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batches<F> {
    pub(crate) file: F,
    pub(crate) base_offset: Offset,
    pub(crate) end: Position,
}

impl<F: AsFd> Batches<F> {
    /// Whether the batch that an offset entry led to is the one it means.
    pub(crate) fn bear_out(&self, floor: &Floor) -> io::Result<bool> {
        if *floor == Floor::BEGINNING {
            return Ok(true);
        }
        let mut first = None;
        let walk = Walk::new(floor.position, self.end);
        let walked = find_blocking(&self.file, walk, |batch| {
            let is_second = first.is_some();
            first.get_or_insert(*batch);
            // Much looks like a message of the old formats; hardly two of them in a row.
            is_second || batch.header.is_some()
        });
        match walked {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
            Err(error) => Err(error),
            Ok(_) => Ok(first.is_some_and(|b| floor.is_borne_out(b.last_offset, self.base_offset))),
        }
    }

    /// Whether the batch with a time entry's offset has its timestamp; `start` is at or before it.
    pub(crate) fn bear_out_time(&self, entry: &TimeEntry, start: Position) -> io::Result<bool> {
        let offset = self.base_offset + i64::from(entry.relative_offset);
        let found = self.find(start, |b| b.last_offset >= offset)?;
        Ok(found.is_some_and(|b| {
            let begins = b.header.map_or(b.last_offset, |header| header.base_offset);
            // Of the old formats it is not known where a set of messages begins.
            (begins <= offset || b.header.is_none()) && b.max_timestamp == entry.timestamp
        }))
    }

    /// The first batch from a position on that `wanted` accepts; none if there is no batch.
    fn find(
        &self,
        from: Position,
        wanted: impl FnMut(&Located) -> bool,
    ) -> io::Result<Option<Located>> {
        match find_blocking(&self.file, Walk::new(from, self.end), wanted) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            found => found,
        }
    }

    /// The content of both indexes, from the batches' headers.
    pub(crate) fn build(&self, index_interval_bytes: u32) -> io::Result<Built> {
        let (mut offsets, mut times) = (Vec::new(), Vec::new());
        let mut rule = IndexRule::new(self.base_offset, index_interval_bytes);
        let walk = Walk::new(Position::ZERO, self.end);
        let misplaced = find_blocking(&self.file, walk, |batch| {
            if relative(batch.last_offset, self.base_offset).is_none() {
                return true;
            }
            let entries = rule.note(&Indexed {
                position: batch.position,
                bytes: batch.bytes,
                last_offset: batch.last_offset,
                max_timestamp: batch.max_timestamp,
            });
            entries.offset.inspect(|e| e.encode(&mut offsets));
            entries.time.inspect(|e| e.encode(&mut times));
            false
        })?;
        if let Some(batch) = misplaced {
            let position = batch.position;
            let what = format!("the batch at position {position} has an offset of another segment");
            return Err(disk::invalid(&self.file, what));
        }
        rule.time_entry().inspect(|e| e.encode(&mut times));
        if !is_sound::<OffsetEntry>(&offsets) || !is_sound::<TimeEntry>(&times) {
            return Err(disk::invalid(
                &self.file,
                "the batches' offsets do not rise",
            ));
        }
        Ok(Built { offsets, times })
    }
}

/// An entry of the active segment's indexes is wrong. That is said once, and they are made anew when
/// the segment is closed; until then what it is needed for begins at the segment's beginning.
pub(crate) fn doubt(is_doubted: &AtomicBool, index: &Path) {
    if !is_doubted.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            index = %index.display(),
            "an index is damaged: a batch is not what its entry says; it is made anew when the \
             segment is closed"
        );
    }
}

impl SealedSegment {
    /// Where to begin looking for an offset.
    pub(crate) fn floor_position_blocking(
        self: &Arc<Self>,
        offset: Offset,
    ) -> io::Result<Position> {
        let floor = self.floor_blocking(offset)?;
        match self.batches_blocking()?.bear_out(&floor)? {
            true => Ok(floor.position),
            false => Ok(self.floor_anew_blocking(offset, &floor)?.position),
        }
    }

    /// The same after the batch that was found at a floor was not the one the index means.
    pub(crate) fn floor_anew_blocking(
        self: &Arc<Self>,
        offset: Offset,
        wrong: &Floor,
    ) -> io::Result<Floor> {
        let up_to = wrong.up_to.unwrap_or_default();
        let what = format!(
            "the batch at position {} is not the one up to offset {}",
            wrong.position,
            self.base_offset + i64::from(up_to)
        );
        match self.repair_blocking(Kind::OffsetIndex, &what)? {
            true => self.floor_blocking(offset),
            false => Ok(Floor::BEGINNING),
        }
    }

    /// The last time entry below a timestamp, as an absolute offset.
    pub(crate) fn floor_time_blocking(
        self: &Arc<Self>,
        target: TimestampMs,
    ) -> io::Result<Option<Offset>> {
        let entry =
            self.checked_time_blocking(|times| crate::index_entry::floor_time(times, target))?;
        Ok(entry.map(|e| self.base_offset + i64::from(e.relative_offset)))
    }

    /// The largest timestamp of its records, as the last time entry has it; none if the index is
    /// empty.
    pub(crate) fn max_timestamp_blocking(self: &Arc<Self>) -> io::Result<TimestampMs> {
        let last = self.checked_time_blocking(|times| {
            let last = times.len().checked_sub(TimeEntry::BYTES)?;
            Some(TimeEntry::decode(&times[last..]))
        })?;
        Ok(last.map_or(TimestampMs::NONE, |last| last.timestamp))
    }

    /// The entry that `choose` takes, once it was held against the batches.
    fn checked_time_blocking(
        self: &Arc<Self>,
        choose: impl Fn(&[u8]) -> Option<TimeEntry>,
    ) -> io::Result<Option<TimeEntry>> {
        let chosen = || Ok::<_, io::Error>(choose(&self.indexes_blocking()?.1));
        let Some(entry) = chosen()? else {
            return Ok(None);
        };
        let offset = self.base_offset + i64::from(entry.relative_offset);
        let start = self.floor_position_blocking(offset)?;
        if self.batches_blocking()?.bear_out_time(&entry, start)? {
            return Ok(Some(entry));
        }
        let what = format!("the batch of offset {offset} is of another time");
        match self.repair_blocking(Kind::TimeIndex, &what)? {
            true => chosen(),
            false => Ok(None),
        }
    }

    /// Says what is wrong with an index, and makes both anew; false if that cannot be done.
    fn repair_blocking(self: &Arc<Self>, kind: Kind, what: &str) -> io::Result<bool> {
        if self.is_beyond_repair() {
            return Ok(false);
        }
        let index = self.path(kind);
        tracing::warn!(index = %index.display(), what, "an index is damaged; building it anew");
        match self.rebuild_indexes_blocking() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(%error, "not even the segment is sound; it is read without an index");
                self.set_beyond_repair();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes both indexes anew and keeps them.
    pub(crate) fn rebuild_indexes_blocking(self: &Arc<Self>) -> io::Result<(Entries, Entries)> {
        let Built { offsets, times } = self.batches_blocking()?.build(self.index_interval())?;
        for (kind, entries) in [(Kind::OffsetIndex, &offsets), (Kind::TimeIndex, &times)] {
            self.standing
                .replace(|| crate::atomic_file::replace_derived(&self.path(kind), entries))?;
        }
        Ok(self.keep_rebuilt(offsets, times))
    }

    fn batches_blocking(self: &Arc<Self>) -> io::Result<Batches<ring::file::File>> {
        Ok(Batches {
            file: self.file_blocking()?,
            base_offset: self.base_offset,
            end: self.end,
        })
    }
}
