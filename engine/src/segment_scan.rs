//! Reading every batch of a segment in full: after a crash, to replay a log, to check one.
//!
//! Blocking: for start-up and `ring::offload`. Reads large blocks in order; a block grows only to
//! hold a batch that is larger, never beyond the file.

use crate::batch_walk::Located;
use crate::disk;
use protocol::batch::{BATCH_OVERHEAD, BatchError, BatchHeader, BatchView};
use protocol::ids::Position;
use protocol::legacy_record_set;
use std::io;
use std::os::fd::AsFd;

const BLOCK_BYTES: usize = 1 << 20;

/// Why a scan ended before the end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The file could not be read.
    Io(io::Error),
    /// What begins here is not a sound batch.
    Damaged(Position, BatchError),
}

/// What a scan comes by in a segment of any format.
#[derive(Debug)]
pub(crate) enum Scanned<'a> {
    Batch(BatchView<'a>),
    /// One message of formats 0 or 1, perhaps a wrapper of many. Its CRC is not checked yet.
    Old(&'a [u8]),
}

/// A scan through a stretch of a segment.
#[derive(Debug)]
pub(crate) struct SegmentScan<F> {
    file: F,
    next: Position,
    end: Position,
    /// The file's bytes from `block_at` on.
    block: Vec<u8>,
    block_at: Position,
    /// How much is read at a time, at least.
    block_bytes: usize,
}

impl<F: AsFd> SegmentScan<F> {
    /// Scans from a batch's beginning to `end`.
    pub(crate) fn new(file: F, from: Position, end: Position) -> Self {
        Self {
            file,
            next: from,
            end,
            block: Vec::new(),
            block_at: from,
            block_bytes: BLOCK_BYTES,
        }
    }

    /// Reads so many bytes at a time.
    pub(crate) fn with_block_bytes(self, block_bytes: usize) -> Self {
        Self {
            block_bytes,
            ..self
        }
    }

    /// The next batch and its position; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(Position, BatchView<'_>)>, Stopped> {
        let at = self.next;
        if at >= self.end {
            return Ok(None);
        }
        let damaged = |error| Stopped::Damaged(at, error);
        let left = (self.end - at) as usize;
        self.have(at, left.min(BATCH_OVERHEAD))
            .map_err(Stopped::Io)?;
        let header = BatchHeader::parse(self.at(at)).map_err(damaged)?;
        if header.size() > left {
            return Err(damaged(BatchError::Truncated {
                needed: header.size(),
                available: left,
            }));
        }
        self.have(at, header.size()).map_err(Stopped::Io)?;
        let batch = BatchView::first_of(self.at(at)).map_err(damaged)?;
        batch.validate_relaxed().map_err(damaged)?;
        self.next = at + batch.bytes.len() as u32;
        Ok(Some((
            at,
            BatchView::first_of(self.at(at)).map_err(damaged)?,
        )))
    }

    /// The next batch or message of the old formats; `None` at the end.
    pub(crate) fn next_of_any_format(&mut self) -> Result<Option<Scanned<'_>>, Stopped> {
        let at = self.next;
        if at < self.end {
            let left = (self.end - at) as usize;
            self.have(at, left.min(BATCH_OVERHEAD))
                .map_err(Stopped::Io)?;
            if let Some(0 | 1) = legacy_record_set::magic_of(self.at(at)) {
                return self.next_old(at, left).map(|old| Some(Scanned::Old(old)));
            }
        }
        Ok(self.next()?.map(|(_, batch)| Scanned::Batch(batch)))
    }

    fn next_old(&mut self, at: Position, left: usize) -> Result<&[u8], Stopped> {
        let damaged = |error| Stopped::Damaged(at, error);
        let found = Located::parse(self.at(at), at).map_err(damaged)?;
        let bytes = found.bytes as usize;
        if bytes > left {
            return Err(damaged(BatchError::Truncated {
                needed: bytes,
                available: left,
            }));
        }
        self.have(at, bytes).map_err(Stopped::Io)?;
        self.next = at + found.bytes;
        Ok(&self.at(at)[..bytes])
    }

    /// Where the next batch would begin: the end of the last sound one.
    pub(crate) fn position(&self) -> Position {
        self.next
    }

    fn at(&self, at: Position) -> &[u8] {
        &self.block[(at - self.block_at) as usize..]
    }

    /// Sees to it that `bytes` from `at` on are in the block.
    fn have(&mut self, at: Position, bytes: usize) -> io::Result<()> {
        let ahead = (at - self.block_at) as usize;
        if ahead + bytes <= self.block.len() {
            return Ok(());
        }
        self.block.drain(..ahead.min(self.block.len()));
        self.block_at = at;
        let had = self.block.len();
        let wanted = bytes.max(self.block_bytes).min((self.end - at) as usize);
        self.block.resize(wanted.max(bytes), 0);
        disk::read_exact_at(
            &self.file,
            &mut self.block[had..],
            u64::from(at.0) + had as u64,
        )
    }
}
