//! Finding a batch in a segment's file by going from header to header.
//!
//! The walk itself is pure: it says which block of the file it wants and is given it. So the same
//! walk serves the data path, which reads without blocking, and start-up code, which blocks.
//! Knows headers only; it trusts what the log has accepted once and checks no CRC.

use crate::disk;
use protocol::batch::{BatchError, BatchHeader, LOG_OVERHEAD, MAGIC_AT};
use protocol::ids::{LeaderEpoch, Offset, Position, TimestampMs};
use std::io;

/// How much is read at a time: the usual distance between two index entries.
pub(crate) const BLOCK_BYTES: usize = 4096;

/// Where a batch lies in a segment, and what its header says of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) position: Position,
    pub(crate) bytes: u32,
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: TimestampMs,
    pub(crate) leader_epoch: LeaderEpoch,
    /// The whole header; none in the old formats.
    pub(crate) header: Option<BatchHeader>,
}

impl Located {
    /// Reads a header. Of the old formats it is one message, perhaps a compressed set of them,
    /// whose offset is that of its last record.
    pub(crate) fn parse(header: &[u8], position: Position) -> Result<Self, BatchError> {
        match BatchHeader::parse(header) {
            Ok(h) => Ok(Self {
                position,
                bytes: h.size() as u32,
                last_offset: h.last_offset(),
                max_timestamp: h.max_timestamp,
                leader_epoch: h.leader_epoch,
                header: Some(h),
            }),
            Err(BatchError::OtherMagic(magic @ (0 | 1))) => {
                Self::parse_old(header, position, magic)
            }
            Err(error) => Err(error),
        }
    }

    fn parse_old(header: &[u8], position: Position, magic: i8) -> Result<Self, BatchError> {
        const TIMESTAMP_AT: usize = MAGIC_AT + 2;
        const OLD_LENGTH_MIN: i32 = 14;
        let length = i32::from_be_bytes(header[8..12].try_into().expect("four bytes"));
        if length < OLD_LENGTH_MIN {
            return Err(BatchError::InvalidLength(length));
        }
        let i64_at = |at: usize| -> Result<i64, BatchError> {
            let bytes = header.get(at..at + 8).ok_or(BatchError::Truncated {
                needed: at + 8,
                available: header.len(),
            })?;
            Ok(i64::from_be_bytes(bytes.try_into().expect("eight bytes")))
        };
        let timestamp = if magic == 1 {
            i64_at(TIMESTAMP_AT)?
        } else {
            TimestampMs::NONE.0
        };
        Ok(Self {
            position,
            bytes: length as u32 + LOG_OVERHEAD as u32,
            last_offset: Offset(i64_at(0)?),
            max_timestamp: TimestampMs(timestamp),
            leader_epoch: LeaderEpoch::NONE,
            header: None,
        })
    }

    /// Where the next batch begins.
    pub(crate) fn end(&self) -> Position {
        self.position + self.bytes
    }
}

/// A walk over the batches of a stretch of a segment's file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    next: Position,
    end: Position,
}

/// How a walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The batch that was looked for.
    Found(Located),
    /// There is none.
    End,
    /// The file's bytes from here on are wanted.
    Want(Position, usize),
}

impl Walk {
    /// From a batch's beginning to `end`, where a batch ends.
    pub(crate) fn new(from: Position, end: Position) -> Self {
        Self { next: from, end }
    }

    /// The walk from behind a batch on.
    pub(crate) fn after(self, batch: &Located) -> Self {
        Self {
            next: batch.end(),
            end: self.end,
        }
    }

    /// What to do first.
    pub(crate) fn begin(&self) -> Step {
        if self.next >= self.end {
            return Step::End;
        }
        let left = (self.end - self.next) as usize;
        Step::Want(self.next, left.min(BLOCK_BYTES))
    }

    /// Goes on through `block`, which is what was wanted last, to the first batch that `wanted`
    /// accepts.
    pub(crate) fn look(
        &mut self,
        block: &[u8],
        mut wanted: impl FnMut(&Located) -> bool,
    ) -> io::Result<Step> {
        let block_at = self.next;
        let block_end = block_at + block.len() as u32;
        while self.next < self.end {
            let header = match self.next < block_end {
                true => &block[(self.next - block_at) as usize..],
                false => &[],
            };
            let batch = match Located::parse(header, self.next) {
                Ok(batch) => batch,
                Err(BatchError::Truncated { .. }) if self.next > block_at => {
                    return Ok(self.begin());
                }
                Err(error) => return Err(damaged(self.next, &error)),
            };
            // Base offsets are not under the CRC.
            if batch.last_offset < Offset::ZERO || batch.last_offset.0 == i64::MAX {
                return Err(damaged(self.next, &"it has an offset that no log has"));
            }
            if batch.bytes > self.end - self.next {
                return Err(damaged(self.next, &"a batch goes beyond the end"));
            }
            if wanted(&batch) {
                return Ok(Step::Found(batch));
            }
            self.next = batch.end();
        }
        Ok(Step::End)
    }
}

fn damaged(position: Position, what: &dyn std::fmt::Display) -> io::Error {
    let text = format!("no sound batch at position {position}: {what}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Walks to the first batch that `wanted` accepts, by blocking reads.
pub(crate) fn find_blocking(
    file: impl std::os::fd::AsFd,
    mut walk: Walk,
    mut wanted: impl FnMut(&Located) -> bool,
) -> io::Result<Option<Located>> {
    let mut block = [0; BLOCK_BYTES];
    let mut step = walk.begin();
    loop {
        match step {
            Step::Found(batch) => return Ok(Some(batch)),
            Step::End => return Ok(None),
            Step::Want(position, bytes) => {
                disk::read_exact_at(&file, &mut block[..bytes], u64::from(position.0))?;
                let looked = walk.look(&block[..bytes], &mut wanted);
                step = looked.map_err(|what| disk::invalid(&file, what))?;
            }
        }
    }
}
