//! Where earlier reads ended: a reader that goes on from there needs neither index nor walk.
//!
//! Shared between a log and its reads in progress. A few ends only, the newest; they hold for the
//! segments as they are, so a truncation begins a new collection.

use crate::batch_walk::Located;
use crate::disk;
use protocol::batch::BATCH_OVERHEAD;
use protocol::ids::{Offset, Position};
use ring::file::File;
use std::sync::Mutex;

/// How many ends are remembered: readers that catch up at the same time.
const ENDS_MAX: usize = 8;

/// The batch behind the end of a read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadEnd {
    /// Base offset of its segment.
    pub(crate) segment: Offset,
    pub(crate) batch: Located,
    /// Its first offset, which the reader asks for next.
    offset: Offset,
}

/// The ends of the last reads.
#[derive(Debug, Default)]
pub(crate) struct ReadEnds {
    ends: Mutex<Vec<ReadEnd>>,
}

impl ReadEnds {
    /// The end that `offset` goes on from.
    pub(crate) fn find(&self, offset: Offset) -> Option<ReadEnd> {
        let ends = self.ends.lock().expect("nobody panics with it");
        ends.iter().rev().find(|end| end.offset == offset).copied()
    }

    /// A read ended at `position`, where a batch begins: looks which one, if that needs no
    /// waiting.
    pub(crate) fn note(&self, file: &File, segment: Offset, position: Position) {
        let mut header = [0; BATCH_OVERHEAD];
        let read = disk::try_read_at(file, &mut header, u64::from(position.0));
        if !matches!(read, Ok(Some(BATCH_OVERHEAD))) {
            return;
        }
        let Ok(batch) = Located::parse(&header, position) else {
            return;
        };
        let Some(offset) = batch.header.map(|header| header.base_offset) else {
            return;
        };
        let mut ends = self.ends.lock().expect("nobody panics with it");
        ends.retain(|end| end.offset != offset);
        if ends.len() == ENDS_MAX {
            ends.remove(0);
        }
        ends.push(ReadEnd {
            segment,
            batch,
            offset,
        });
    }
}
