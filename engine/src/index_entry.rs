//! The entries of the two indexes of a segment, and how they are searched.
//!
//! Pure. An entry is fixed-size and big-endian; offsets are relative to the segment's base offset
//! and fit in an `i32`. Kafka's rule of the offset index: an entry holds a batch's *last* offset
//! and the position where that batch begins. Of the time index: the largest timestamp so far, and
//! the last offset of the first batch that has it.

use protocol::ids::{Offset, Position, TimestampMs};

/// The largest offset an index can hold, relative to its base.
pub(crate) const RELATIVE_OFFSET_MAX: i64 = i32::MAX as i64;

/// An entry of an index file.
pub(crate) trait Entry: Copy + PartialEq + std::fmt::Debug {
    /// Size in the file.
    const BYTES: usize;

    /// Reads an entry. `bytes` is exactly one entry.
    fn decode(bytes: &[u8]) -> Self;

    /// Writes an entry.
    fn encode(&self, out: &mut Vec<u8>);

    /// Whether an entry may directly follow another in an index.
    fn may_follow(&self, before: &Self) -> bool;

    /// The offset, relative to the segment's base.
    fn relative_offset(&self) -> u32;
}

/// Where the batch begins that ends with an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) relative_offset: u32,
    pub(crate) position: Position,
}

/// The largest timestamp up to an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: TimestampMs,
    pub(crate) relative_offset: u32,
}

impl Entry for OffsetEntry {
    const BYTES: usize = 8;

    fn decode(bytes: &[u8]) -> Self {
        Self {
            relative_offset: u32_at(bytes, 0),
            position: Position(u32_at(bytes, 4)),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.relative_offset.to_be_bytes());
        out.extend_from_slice(&self.position.0.to_be_bytes());
    }

    fn may_follow(&self, before: &Self) -> bool {
        self.relative_offset > before.relative_offset && self.position > before.position
    }

    fn relative_offset(&self) -> u32 {
        self.relative_offset
    }
}

impl Entry for TimeEntry {
    const BYTES: usize = 12;

    fn decode(bytes: &[u8]) -> Self {
        let timestamp = i64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"));
        Self {
            timestamp: TimestampMs(timestamp),
            relative_offset: u32_at(bytes, 8),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.0.to_be_bytes());
        out.extend_from_slice(&self.relative_offset.to_be_bytes());
    }

    fn may_follow(&self, before: &Self) -> bool {
        self.relative_offset >= before.relative_offset && self.timestamp > before.timestamp
    }

    fn relative_offset(&self) -> u32 {
        self.relative_offset
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The offset as a segment's indexes hold it; `None` if it is too far from the segment's base.
pub(crate) fn relative(offset: Offset, base: Offset) -> Option<u32> {
    let distance = offset.0.checked_sub(base.0)?;
    (0..=RELATIVE_OFFSET_MAX)
        .contains(&distance)
        .then_some(distance as u32)
}

/// The nearest that an index can hold, to search for an offset: 0 for one before the base.
pub(crate) fn relative_to_search(offset: Offset, base: Offset) -> u32 {
    offset
        .0
        .saturating_sub(base.0)
        .clamp(0, RELATIVE_OFFSET_MAX) as u32
}

/// The end of an index in which a search begins, in bytes: most look-ups end there, so that its few
/// pages stay in memory. One that went by the middle of the whole would need pages that nobody else
/// does, and wait for the disk if they were dropped.
pub(crate) const WARM_BYTES: usize = 8192;

/// How many of the sorted `entries` satisfy `below`, which none does after the first that does
/// not.
pub(crate) fn count_while<E: Entry>(entries: &[u8], below: impl Fn(&E) -> bool) -> usize {
    let count = entries.len() / E::BYTES;
    let warm = count.saturating_sub(WARM_BYTES / E::BYTES);
    let (mut low, mut high) = match warm > 0 && !below(&nth(entries, warm)) {
        true => (0, warm),
        false => (warm, count),
    };
    while low < high {
        let middle = low.midpoint(high);
        if below(&nth(entries, middle)) {
            low = middle + 1
        } else {
            high = middle
        }
    }
    low
}

/// The entry at a place.
pub(crate) fn nth<E: Entry>(entries: &[u8], at: usize) -> E {
    E::decode(&entries[at * E::BYTES..(at + 1) * E::BYTES])
}

/// Whether the bytes of a file are a sound index: whole entries, each may follow the one before,
/// all offsets relative to a base.
pub(crate) fn is_sound<E: Entry>(bytes: &[u8]) -> bool {
    let entries = bytes.chunks_exact(E::BYTES);
    if !entries.remainder().is_empty() {
        return false;
    }
    let mut before: Option<E> = None;
    for entry in entries.map(E::decode) {
        let follows = before.is_none_or(|before| entry.may_follow(&before));
        if !follows || i64::from(entry.relative_offset()) > RELATIVE_OFFSET_MAX {
            return false;
        }
        before = Some(entry);
    }
    true
}

/// Where a look-up begins, and what the index says of the batch that begins there: a flipped bit may
/// leave the entries in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) position: Position,
    /// It ends behind this offset, that of the entry before, relative to the segment's base.
    pub(crate) after: Option<u32>,
    /// It ends at this one; before it, where several batches were appended at once, as Kafka's
    /// followers and its cleaner do.
    pub(crate) up_to: Option<u32>,
}

impl Floor {
    /// The segment's beginning, of which no entry says anything.
    pub(crate) const BEGINNING: Self = Self {
        position: Position::ZERO,
        after: None,
        up_to: None,
    };

    pub(crate) fn of(entry: OffsetEntry, before: Option<OffsetEntry>) -> Self {
        Self {
            position: entry.position,
            after: before.map(|before| before.relative_offset),
            up_to: Some(entry.relative_offset),
        }
    }

    /// Whether the batch that was found there, which ends with this offset, is the one that the
    /// index means.
    pub(crate) fn is_borne_out(&self, last_offset: Offset, base: Offset) -> bool {
        // A segment's first batch has no entry.
        let (after, found) = (self.after.unwrap_or(0), last_offset.0.wrapping_sub(base.0));
        self.up_to
            .is_none_or(|up_to| (i64::from(after) + 1..=i64::from(up_to)).contains(&found))
    }
}

/// Where to begin looking for the batch with `target`: the last batch that the index knows to end
/// at or before it.
pub(crate) fn floor(entries: &[u8], target: u32) -> Floor {
    let after = count_while::<OffsetEntry>(entries, |e| e.relative_offset <= target);
    match after.checked_sub(1) {
        None => Floor::BEGINNING,
        Some(at) => Floor::of(
            nth(entries, at),
            at.checked_sub(1).map(|before| nth(entries, before)),
        ),
    }
}

/// The same, as a position.
pub(crate) fn floor_position(entries: &[u8], target: u32) -> Position {
    floor(entries, target).position
}

/// The last beginning of a batch, up to `position`, that the index knows.
pub(crate) fn boundary_before(entries: &[u8], position: Position) -> Option<Position> {
    let after = count_while::<OffsetEntry>(entries, |e| e.position <= position);
    Some(nth::<OffsetEntry>(entries, after.checked_sub(1)?).position)
}

/// The last entry whose timestamp is below `target`: up to its offset no record is as late. One of
/// that very timestamp would do if it is right, but to see that it names the first of several batches
/// takes a walk from the entry before.
pub(crate) fn floor_time(entries: &[u8], target: TimestampMs) -> Option<TimeEntry> {
    let after = count_while::<TimeEntry>(entries, |e| e.timestamp < target);
    Some(nth(entries, after.checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded<E: Entry>(entries: &[E]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in entries {
            entry.encode(&mut bytes);
        }
        bytes
    }

    #[test]
    fn entries_are_laid_out_as_kafkas() {
        let offset = OffsetEntry {
            relative_offset: 0x01020304,
            position: Position(0x05060708),
        };
        assert_eq!(encoded(&[offset]), [1, 2, 3, 4, 5, 6, 7, 8]);
        let time = TimeEntry {
            timestamp: TimestampMs(-1),
            relative_offset: 0x01020304,
        };
        assert_eq!(
            encoded(&[time]),
            [255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4]
        );
        assert_eq!(TimeEntry::decode(&encoded(&[time])), time);
    }

    #[test]
    fn offsets_too_far_from_the_base_have_no_place_in_the_index() {
        let base = Offset(100);
        assert_eq!(relative(Offset(99), base), None);
        assert_eq!(relative(base, base), Some(0));
        assert_eq!(
            relative(base + i64::from(i32::MAX), base),
            Some(i32::MAX as u32)
        );
        assert_eq!(relative(base + i64::from(i32::MAX) + 1, base), None);
        assert_eq!(relative(Offset(i64::MIN), Offset(i64::MAX)), None);
    }

    #[test]
    fn damage_is_seen() {
        let entry = |relative_offset, position| OffsetEntry {
            relative_offset,
            position: Position(position),
        };
        assert!(is_sound::<OffsetEntry>(&[]));
        let good = encoded(&[entry(4, 100), entry(9, 200)]);
        assert!(is_sound::<OffsetEntry>(&good));
        assert!(!is_sound::<OffsetEntry>(&good[..15]));
        assert!(!is_sound::<OffsetEntry>(&encoded(&[
            entry(4, 100),
            entry(0, 0)
        ])));
        assert!(!is_sound::<OffsetEntry>(&encoded(&[entry(u32::MAX, 100)])));
    }

    proptest! {
        #[test]
        fn the_floor_is_what_a_walk_finds(
            steps in proptest::collection::vec((1..50u32, 1..5000u32, 1..1000i64), 0..200),
            target in 0..12_000u32,
            time in 0..200_000i64,
        ) {
            let (mut offsets, mut times) = (Vec::new(), Vec::new());
            let (mut offset, mut position, mut timestamp) = (0, 0, 0);
            for (o, p, t) in steps {
                (offset, position, timestamp) = (offset + o, position + p, timestamp + t);
                offsets.push(OffsetEntry { relative_offset: offset, position: Position(position) });
                times.push(TimeEntry {
                    timestamp: TimestampMs(timestamp),
                    relative_offset: offset,
                });
            }
            let walked = offsets.iter().rev().find(|e| e.relative_offset <= target);
            let expected = walked.map_or(Position::ZERO, |e| e.position);
            prop_assert_eq!(floor_position(&encoded(&offsets), target), expected);
            let walked = times.iter().rev().find(|e| e.timestamp.0 < time).copied();
            prop_assert_eq!(floor_time(&encoded(&times), TimestampMs(time)), walked);
            prop_assert!(is_sound::<OffsetEntry>(&encoded(&offsets)));
            prop_assert!(is_sound::<TimeEntry>(&encoded(&times)));
        }
    }
}
