//! Where a segment that is to be written again begins and ends, by its headers.
//!
//! Blocking. Tells what is damaged from what could not be read: the one is mended, the other is an
//! error.

use crate::batch_walk::{Located, Walk, find_blocking};
use crate::index_entry::{OffsetEntry, relative};
use protocol::ids::{Offset, Position, TimestampMs};
use std::io;

/// The last batch, found from the newest index entry on; the outer `None` if that entry is wrong or
/// the bytes up to `end` are not whole batches.
#[allow(
    clippy::option_option,
    reason = "the outer one says whether the walk was sound"
)]
pub(crate) fn last_batch(
    file: &std::fs::File,
    newest: Option<OffsetEntry>,
    base: Offset,
    end: Position,
) -> io::Result<Option<Option<Located>>> {
    let start = newest.map_or(Position::ZERO, |entry| entry.position);
    let (mut first, mut last, mut sound) = (None, None, true);
    let walked = find_blocking(file, Walk::new(start, end), |batch| {
        // Base offsets are not under the CRC.
        let follows = last.is_none_or(|last: Located| last.last_offset < batch.last_offset);
        sound &= follows && relative(batch.last_offset, base).is_some();
        first.get_or_insert(batch.last_offset);
        last = Some(*batch);
        !sound
    });
    if unless_damaged(walked)?.is_none() || !sound {
        return Ok(None);
    }
    let indexed = newest.map(|entry| base + i64::from(entry.relative_offset));
    Ok((indexed.is_none() || indexed == first).then_some(last))
}

/// The timestamp of a segment's first batch.
pub(crate) fn first_timestamp(
    file: &std::fs::File,
    end: Position,
) -> io::Result<Option<TimestampMs>> {
    let first = find_blocking(file, Walk::new(Position::ZERO, end), |_| true);
    Ok(unless_damaged(first)?.flatten().map(|b| b.max_timestamp))
}

/// `None` if what was read is not sound. That it could not be read says nothing of it.
fn unless_damaged<T>(walked: io::Result<T>) -> io::Result<Option<T>> {
    match walked {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        walked => walked.map(Some),
    }
}
