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
use crate::segment_scan::{SegmentScan, Stopped};
use protocol::batch::{BATCH_OVERHEAD, BatchError, BatchHeader, LOG_OVERHEAD};
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
        match scan.next() {
            Ok(Some((position, batch))) => {
                if !indexes.take(position, &batch.header) {
                    break Some((position, "its offsets do not follow".to_owned()));
                }
                note_epoch(epochs, &batch.header);
            }
            Ok(None) => break None,
            Err(Stopped::Damaged(position, BatchError::OtherMagic(magic @ (0 | 1))))
                if is_old_message(&file, length, position).map_err(at())? =>
            {
                return Err(OpenError::OldFormat {
                    path,
                    position,
                    magic,
                });
            }
            Err(Stopped::Damaged(position, why)) => break Some((position, why.to_string())),
            Err(Stopped::Io(error)) => return Err(at()(error)),
        }
    };
    let sound = damage
        .as_ref()
        .map_or(scan.position(), |(position, _)| *position);
    let cut_bytes = length - u64::from(sound.0);
    if let Some((position, why)) = damage {
        tracing::warn!(
            file = %path.display(), %position, cut_bytes, why,
            "cutting off what is behind the last sound batch"
        );
    }
    // Blocks that were reserved ahead are given back, which nothing else might do for long.
    if cut_bytes > 0 || disk::has_blocks_behind_end(&file).map_err(at())? {
        disk::set_length(&file, u64::from(sound.0)).map_err(at())?;
    }
    indexes.store(directory)?;
    Ok(Recovered {
        next_offset: indexes.next_offset,
        cut_bytes,
        has_markers: indexes.has_markers,
    })
}

/// Zeroes look like format 0: a file that was extended and not written has them, also behind a
/// header that was. The message's own CRC (IEEE, over all that follows it) tells.
fn is_old_message(file: &File, file_bytes: u64, position: Position) -> io::Result<bool> {
    const CRC_AT: usize = LOG_OVERHEAD;
    const COVERED_FROM: usize = CRC_AT + 4;
    let mut header = [0; BATCH_OVERHEAD];
    let bytes = disk::read_at(file, &mut header, u64::from(position.0))?;
    let Ok(message) = Located::parse(&header[..bytes], position) else {
        return Ok(false);
    };
    if u64::from(message.bytes) > file_bytes - u64::from(position.0) {
        return Ok(false);
    }
    let mut content = vec![0; message.bytes as usize];
    disk::read_exact_at(file, &mut content, u64::from(position.0))?;
    let crc: [u8; 4] = content[CRC_AT..COVERED_FROM]
        .try_into()
        .expect("four bytes");
    Ok(crc32(&content[COVERED_FROM..]) == u32::from_be_bytes(crc))
}

/// Begins with what the index files say up to their last entry below the recovery point, if they
/// are sound and the batch is where that entry says.
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
    let durable = |entry: &OffsetEntry| base + i64::from(entry.relative_offset) < recovery_point;
    let kept = count_while::<OffsetEntry>(&offsets, durable);
    offsets.truncate(kept * OffsetEntry::BYTES);
    let last = offsets.len().checked_sub(OffsetEntry::BYTES)?;
    let entry = OffsetEntry::decode(&offsets[last..]);
    let mut header = [0; BATCH_OVERHEAD];
    disk::read_exact_at(file, &mut header, u64::from(entry.position.0)).ok()?;
    let header = BatchHeader::parse(&header).ok()?;
    if header.last_offset() != base + i64::from(entry.relative_offset) {
        return None;
    }
    let kept = count_while::<TimeEntry>(&times, |t| t.relative_offset <= entry.relative_offset);
    times.truncate(kept * TimeEntry::BYTES);
    let newest = times.chunks_exact(TimeEntry::BYTES).next_back();
    indexes.rule = indexes.rule.resume(newest.map(TimeEntry::decode));
    indexes.next_offset = header.base_offset;
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
        let Some(header) = batch.header.filter(|_| batch.last_offset < recovery_point) else {
            sound &= batch.header.is_some();
            end = Some(batch.position);
            return true;
        };
        sound &= indexes.take(batch.position, &header);
        if sound {
            note_epoch(epochs, &header);
        }
        end = Some(batch.end());
        !sound || header.next_offset() >= recovery_point
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
    fn take(&mut self, position: Position, header: &BatchHeader) -> bool {
        let last_offset = header.last_offset();
        let follows = header.base_offset >= self.next_offset && last_offset >= header.base_offset;
        if !follows || relative(last_offset, self.base_offset).is_none() {
            return false;
        }
        self.next_offset = header.next_offset();
        self.has_markers |= header.attributes.is_control() && header.has_producer();
        let entries = self.rule.note(&Indexed {
            position,
            bytes: header.size() as u32,
            last_offset,
            max_timestamp: header.max_timestamp,
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

/// Adds the epoch of a batch that the checkpoint did not reach.
fn note_epoch(epochs: &mut LeaderEpochs, header: &BatchHeader) {
    if epochs
        .latest()
        .is_none_or(|latest| header.leader_epoch > latest)
    {
        epochs.assign(header.leader_epoch, header.base_offset);
    }
}
