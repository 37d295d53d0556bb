//! After an unclean stop: every batch of a segment is checked, what is behind the last sound one
//! is cut off, and the indexes are made anew.
//!
//! Blocking. Knows one segment; which ones need it, `load` decides.

use crate::atomic_file;
use crate::file_name::{self, Kind};
use crate::index_entry::Entry;
use crate::index_rule::{IndexRule, Indexed};
use crate::leader_epochs::LeaderEpochs;
use crate::open_error::OpenError;
use crate::segment_scan::{SegmentScan, Stopped};
use protocol::batch::{BatchError, BatchHeader};
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

struct Indexes {
    rule: IndexRule,
    offsets: Vec<u8>,
    times: Vec<u8>,
    next_offset: Offset,
    has_markers: bool,
}

/// Checks and repairs one segment. Leader epochs that its batches show and `epochs` lacks are
/// added.
pub(crate) fn recover_segment(
    directory: &Path,
    base_offset: Offset,
    index_interval_bytes: u32,
    epochs: &mut LeaderEpochs,
) -> Result<Recovered, OpenError> {
    let path = file_name::path(directory, base_offset, Kind::Log);
    let io = || OpenError::at(&path);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(io())?;
    let length = file.metadata().map_err(io())?.len();
    let end = Position(u32::try_from(length).unwrap_or(u32::MAX));
    let mut indexes = Indexes {
        rule: IndexRule::new(base_offset, index_interval_bytes),
        offsets: Vec::new(),
        times: Vec::new(),
        next_offset: base_offset,
        has_markers: false,
    };
    let mut scan = SegmentScan::new(&file, Position::ZERO, end);
    let damage = loop {
        match scan.next() {
            Ok(Some((position, batch))) => {
                if !indexes.take(base_offset, position, &batch.header) {
                    break Some((position, "its offsets do not follow".to_owned()));
                }
                note_epoch(epochs, &batch.header);
            }
            Ok(None) => break None,
            Err(Stopped::Damaged(position, BatchError::OtherMagic(magic @ (0 | 1)))) => {
                return Err(OpenError::OldFormat {
                    path,
                    position,
                    magic,
                });
            }
            Err(Stopped::Damaged(position, why)) => break Some((position, why.to_string())),
            Err(Stopped::Io(error)) => return Err(io()(error)),
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
    if cut_bytes > 0 {
        cut(&file, sound).map_err(io())?;
    }
    indexes.store(directory, base_offset)?;
    Ok(Recovered {
        next_offset: indexes.next_offset,
        cut_bytes,
        has_markers: indexes.has_markers,
    })
}

impl Indexes {
    /// Takes a batch; false if it cannot stand where it does.
    fn take(&mut self, base: Offset, position: Position, header: &BatchHeader) -> bool {
        let last_offset = header.last_offset();
        let follows = header.base_offset >= self.next_offset && last_offset >= header.base_offset;
        if !follows || crate::index_entry::relative(last_offset, base).is_none() {
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

    /// Writes both indexes as new files: readers may have mapped the old ones.
    fn store(&mut self, directory: &Path, base_offset: Offset) -> Result<(), OpenError> {
        self.rule
            .time_entry()
            .inspect(|e| e.encode(&mut self.times));
        for (kind, entries) in [
            (Kind::OffsetIndex, &self.offsets),
            (Kind::TimeIndex, &self.times),
        ] {
            let path = file_name::path(directory, base_offset, kind);
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

fn cut(file: &File, end: Position) -> io::Result<()> {
    file.set_len(u64::from(end.0))?;
    file.sync_all()
}
