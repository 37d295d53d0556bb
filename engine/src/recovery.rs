//! After an unclean stop: every batch of a segment that is not known to be durable is checked, what
//! is behind the last sound one is cut off, and the indexes are completed.
//!
//! Blocking. Knows one segment; which ones need it, `load` decides. Of what lies below the recovery
//! point only headers are read, from the last index entry on. The cut is not synced: the next
//! start would find the same damage and cut it again, and a file system brings no cut bytes back
//! behind what was written after them.

use crate::atomic_file;
use crate::batch_walk::{Located, Walk, find_blocking};
use crate::disk;
use crate::file_name::{self, Kind};
use crate::index_entry::{Entry, OffsetEntry, TimeEntry, count_while, is_sound, relative};
use crate::index_rule::{IndexRule, Indexed};
use crate::leader_epochs::LeaderEpochs;
use crate::open_error::OpenError;
use crate::reserve;
use crate::segment_scan::{Scanned, SegmentScan, Stopped};
use protocol::batch::{BATCH_OVERHEAD, BatchHeader, LOG_OVERHEAD};
use protocol::checksum::crc32;
use protocol::ids::{Offset, Position};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// What recovery found of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// The offset after the last sound batch.
    pub(crate) next_offset: Offset,
    /// How many bytes were cut off.
    pub(crate) cut_bytes: u64,
    /// They were zeroes as are written ahead of a log, and nothing durable is missing.
    pub(crate) cut_zeroes: bool,
    /// Transactions end in it.
    pub(crate) has_markers: bool,
}

#[derive(Clone)]
struct Indexes {
    base_offset: Offset,
    rule: IndexRule,
    offsets: Vec<u8>,
    times: Vec<u8>,
    next_offset: Offset,
    has_markers: bool,
}

/// Checks and repairs one segment; what is below `recovery_point` is durable. Leader epochs that
/// its batches show and `epochs` lacks are added.
pub(crate) fn recover_segment(
    directory: &Path,
    base_offset: Offset,
    recovery_point: Offset,
    index_interval_bytes: u32,
    epochs: &mut LeaderEpochs,
) -> Result<Recovered, OpenError> {
    let path = file_name::path(directory, base_offset, Kind::Log);
    let at = || OpenError::at(&path);
    let file = disk::open(OpenOptions::new().read(true).write(true), &path).map_err(at())?;
    let length = disk::length(&file).map_err(at())?;
    let end = Position(u32::try_from(length).unwrap_or(u32::MAX));
    let fresh = Indexes::new(base_offset, index_interval_bytes);
    let mut from = Position::ZERO;
    let mut indexes = fresh.clone();
    if recovery_point > base_offset {
        let start = resume_at_entry(directory, &file, recovery_point, fresh.clone());
        let (resumed, start) = start.unwrap_or((fresh, Position::ZERO));
        let durable = Walk::new(start, end);
        if let Some(walked) = walk_durable(&file, durable, recovery_point, resumed, epochs) {
            (indexes, from) = walked;
        }
    }
    let mut scan = SegmentScan::new(&file, from, end);
    let damage = loop {
        let position = scan.position();
        let located = match scan.next_of_any_format() {
            Ok(Some(scanned)) => locate(&scanned, position),
            Ok(None) => break None,
            Err(Stopped::Damaged(_, why)) => Err(why.to_string()),
            Err(Stopped::Io(error)) => return Err(at()(error)),
        };
        let batch = match located {
            Ok(batch) => batch,
            Err(why) => break Some((position, why)),
        };
        if !indexes.take(&batch) {
            break Some((position, "its offsets do not follow".to_owned()));
        }
        note_epoch(epochs, &batch);
    };
    let sound = damage
        .as_ref()
        .map_or(scan.position(), |(position, _)| *position);
    let cut_bytes = length - u64::from(sound.0);
    let mut cut_zeroes = false;
    if let Some((position, why)) = damage {
        cut_zeroes = indexes.next_offset >= recovery_point
            && is_zeroes_ahead(&file, position, end).map_err(at())?;
        if cut_zeroes {
            tracing::info!(
                file = %path.display(), %position, cut_bytes,
                "cutting off zeroes that were written ahead"
            );
        } else {
            tracing::warn!(
                file = %path.display(), %position, cut_bytes, why,
                "cutting off what is behind the last sound batch"
            );
        }
    }
    // Blocks that were reserved ahead are given back, which nothing else might do for long.
    if cut_bytes > 0 || disk::has_blocks_behind_end(&file).map_err(at())? {
        disk::set_length(&file, u64::from(sound.0)).map_err(at())?;
    }
    indexes.store(directory)?;
    Ok(Recovered {
        next_offset: indexes.next_offset,
        cut_bytes,
        cut_zeroes,
        has_markers: indexes.has_markers,
    })
}

/// Whether all there is behind a place is what `reserve` may have put there. Fewer zeroes than an
/// offset and a length take may be the beginning of a batch.
fn is_zeroes_ahead(file: &File, from: Position, end: Position) -> io::Result<bool> {
    let bytes = (end.0 - from.0) as usize;
    if !(LOG_OVERHEAD..=reserve::ZEROES.len()).contains(&bytes) {
        return Ok(false);
    }
    let mut behind = vec![0; bytes];
    disk::read_exact_at(file, &mut behind, u64::from(from.0))?;
    Ok(behind == reserve::ZEROES[..behind.len()])
}

/// Where a batch lies, or why it is none. Of the old formats' messages the CRC (IEEE, over all that
/// follows it) is checked here. Zeroes look like format 0, but their length is impossible.
fn locate(scanned: &Scanned<'_>, position: Position) -> Result<Located, String> {
    const COVERED_FROM: usize = LOG_OVERHEAD + 4;
    let bytes = match scanned {
        Scanned::Batch(batch) => batch.bytes,
        Scanned::Old(message) => {
            let crc = crc32(&message[COVERED_FROM..]).to_be_bytes();
            if message[LOG_OVERHEAD..COVERED_FROM] != crc {
                return Err("its CRC is wrong".to_owned());
            }
            message
        }
    };
    Located::parse(bytes, position).map_err(|error| error.to_string())
}

/// Begins with what the index files say up to their last entry below the recovery point, if they
/// are sound and the batch is where that entry says. Of two files that were not synced one may end
/// earlier: what the index by time has no entry for is gone over again.
fn resume_at_entry(
    directory: &Path,
    file: &File,
    recovery_point: Offset,
    mut indexes: Indexes,
) -> Option<(Indexes, Position)> {
    let base = indexes.base_offset;
    let read = |kind| disk::read(&file_name::path(directory, base, kind)).ok();
    let (mut offsets, mut times) = (read(Kind::OffsetIndex)?, read(Kind::TimeIndex)?);
    if !is_sound::<OffsetEntry>(&offsets) || !is_sound::<TimeEntry>(&times) {
        return None;
    }
    let newest = TimeEntry::decode(times.chunks_exact(TimeEntry::BYTES).next_back()?);
    let durable = |entry: &OffsetEntry| {
        base + i64::from(entry.relative_offset) < recovery_point
            && entry.relative_offset <= newest.relative_offset
    };
    let kept = count_while::<OffsetEntry>(&offsets, durable);
    offsets.truncate(kept * OffsetEntry::BYTES);
    let last = offsets.len().checked_sub(OffsetEntry::BYTES)?;
    let entry = OffsetEntry::decode(&offsets[last..]);
    let mut header = [0; BATCH_OVERHEAD];
    disk::read_exact_at(file, &mut header, u64::from(entry.position.0)).ok()?;
    let batch = Located::parse(&header, entry.position).ok()?;
    if batch.last_offset != base + i64::from(entry.relative_offset) {
        return None;
    }
    let kept = count_while::<TimeEntry>(&times, |t| t.relative_offset <= entry.relative_offset);
    times.truncate(kept * TimeEntry::BYTES);
    let newest = times.chunks_exact(TimeEntry::BYTES).next_back();
    indexes.rule = indexes.rule.resume(newest.map(TimeEntry::decode));
    indexes.next_offset = first_offset(&batch);
    (indexes.offsets, indexes.times) = (offsets, times);
    Some((indexes, entry.position))
}

/// Goes over the headers of what is durable. `None` if they are not in order, so that all of the
/// segment has to be checked.
fn walk_durable(
    file: &File,
    walk: Walk,
    recovery_point: Offset,
    mut indexes: Indexes,
    epochs: &mut LeaderEpochs,
) -> Option<(Indexes, Position)> {
    let (mut sound, mut end) = (true, None);
    let last = find_blocking(file, walk, |batch| {
        if batch.last_offset >= recovery_point {
            end = Some(batch.position);
            return true;
        }
        sound &= indexes.take(batch);
        if sound {
            note_epoch(epochs, batch);
        }
        end = Some(batch.end());
        !sound || batch.last_offset.next() >= recovery_point
    });
    last.ok()?;
    Some((indexes, end?)).filter(|_| sound)
}

impl Indexes {
    fn new(base_offset: Offset, index_interval_bytes: u32) -> Self {
        Self {
            base_offset,
            rule: IndexRule::new(base_offset, index_interval_bytes),
            offsets: Vec::new(),
            times: Vec::new(),
            next_offset: base_offset,
            has_markers: false,
        }
    }

    /// Takes a batch; false if it cannot stand where it does.
    fn take(&mut self, batch: &Located) -> bool {
        let (first_offset, last_offset) = (first_offset(batch), batch.last_offset);
        let follows = first_offset >= self.next_offset && last_offset >= first_offset;
        if !follows || relative(last_offset, self.base_offset).is_none() {
            return false;
        }
        self.next_offset = last_offset.next();
        let marker = |h: BatchHeader| h.attributes.is_control() && h.has_producer();
        self.has_markers |= batch.header.is_some_and(marker);
        let entries = self.rule.note(&Indexed {
            position: batch.position,
            bytes: batch.bytes,
            last_offset,
            max_timestamp: batch.max_timestamp,
        });
        entries.offset.inspect(|e| e.encode(&mut self.offsets));
        entries.time.inspect(|e| e.encode(&mut self.times));
        true
    }

    /// Writes the indexes that differ, as new files: readers may have mapped the old ones.
    fn store(&mut self, directory: &Path) -> Result<(), OpenError> {
        self.rule
            .time_entry()
            .inspect(|e| e.encode(&mut self.times));
        for (kind, entries) in [
            (Kind::OffsetIndex, &self.offsets),
            (Kind::TimeIndex, &self.times),
        ] {
            let path = file_name::path(directory, self.base_offset, kind);
            let there = disk::read(&path);
            if there.as_ref().is_ok_and(|there| there == entries) {
                continue;
            }
            // After a crash its end is missing; an order that no writer leaves is something else.
            let sound = |there: &Vec<u8>| match kind {
                Kind::OffsetIndex => is_sound::<OffsetEntry>(there),
                _ => is_sound::<TimeEntry>(there),
            };
            if there.is_ok_and(|there| !sound(&there)) {
                tracing::warn!(file = %path.display(), "damaged; made anew from the segment");
            }
            atomic_file::replace_derived(&path, entries).map_err(OpenError::at(&path))?;
        }
        Ok(())
    }
}

/// The first offset a batch can have: a message of the old formats says only its last one.
fn first_offset(batch: &Located) -> Offset {
    batch.header.map_or(batch.last_offset, |h| h.base_offset)
}

/// Adds the epoch of a batch that the checkpoint did not reach; the old formats have none.
fn note_epoch(epochs: &mut LeaderEpochs, batch: &Located) {
    let Some(header) = batch.header else { return };
    if epochs
        .latest()
        .is_none_or(|latest| header.leader_epoch > latest)
    {
        epochs.assign(header.leader_epoch, header.base_offset);
    }
}
