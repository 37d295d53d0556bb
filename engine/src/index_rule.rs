//! When a batch gets entries in its segment's indexes, and which: the same rule while appending,
//! after a crash, and to predict that an index gets full.
//!
//! Pure. Kafka's rule: a batch gets an offset entry if more than `index.interval.bytes` were
//! written since the last one, the batch itself not counted; a time entry comes with it if the
//! largest timestamp has grown since the last time entry.

use crate::index_entry::{OffsetEntry, TimeEntry, relative};
use protocol::ids::{Offset, Position, TimestampMs};

/// What the rule needs to know of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Indexed {
    pub(crate) position: Position,
    pub(crate) bytes: u32,
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: TimestampMs,
}

/// The entries that come with a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewEntries {
    pub(crate) offset: Option<OffsetEntry>,
    pub(crate) time: Option<TimeEntry>,
}

/// The state of the rule within one segment.
#[derive(Clone, Debug)]
pub(crate) struct IndexRule {
    base_offset: Offset,
    interval_bytes: u32,
    bytes_since_entry: u32,
    max_timestamp: TimestampMs,
    max_timestamp_offset: Offset,
    last_time_entry: TimestampMs,
}

impl IndexRule {
    /// For a segment without batches.
    pub(crate) fn new(base_offset: Offset, interval_bytes: u32) -> Self {
        Self {
            base_offset,
            interval_bytes,
            bytes_since_entry: 0,
            max_timestamp: TimestampMs::NONE,
            max_timestamp_offset: base_offset,
            last_time_entry: TimestampMs::NONE,
        }
    }

    /// For a segment whose time index ends with this entry, which holds the largest timestamp.
    pub(crate) fn resume(mut self, last: Option<TimeEntry>) -> Self {
        if let Some(last) = last {
            self.last_time_entry = last.timestamp;
            self.note_timestamp(
                last.timestamp,
                self.base_offset + i64::from(last.relative_offset),
            );
        }
        self
    }

    /// Takes a new `index.interval.bytes`.
    pub(crate) fn set_interval(&mut self, interval_bytes: u32) {
        self.interval_bytes = interval_bytes;
    }

    /// `index.interval.bytes`.
    pub(crate) fn interval_bytes(&self) -> u32 {
        self.interval_bytes
    }

    /// A batch is written. Its offsets must be relative to the segment's base.
    pub(crate) fn note(&mut self, batch: &Indexed) -> NewEntries {
        self.note_timestamp(batch.max_timestamp, batch.last_offset);
        let mut entries = NewEntries::default();
        if self.bytes_since_entry > self.interval_bytes {
            entries.offset = Some(OffsetEntry {
                relative_offset: self.relative(batch.last_offset),
                position: batch.position,
            });
            entries.time = self.time_entry();
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry = self.bytes_since_entry.saturating_add(batch.bytes);
        entries
    }

    /// The entry that says what the largest timestamp is, unless the last entry does already. A
    /// finished segment's time index ends with it.
    pub(crate) fn time_entry(&mut self) -> Option<TimeEntry> {
        if self.max_timestamp <= self.last_time_entry {
            return None;
        }
        self.last_time_entry = self.max_timestamp;
        Some(TimeEntry {
            timestamp: self.max_timestamp,
            relative_offset: self.relative(self.max_timestamp_offset),
        })
    }

    /// The largest timestamp, and the last offset of the first batch that has it.
    pub(crate) fn max_timestamp(&self) -> (TimestampMs, Offset) {
        (self.max_timestamp, self.max_timestamp_offset)
    }

    /// A batch with this timestamp is in the segment.
    pub(crate) fn note_timestamp(&mut self, timestamp: TimestampMs, offset: Offset) {
        if timestamp > self.max_timestamp {
            self.max_timestamp = timestamp;
            self.max_timestamp_offset = offset;
        }
    }

    fn relative(&self, offset: Offset) -> u32 {
        relative(offset, self.base_offset).expect("a batch's offsets are relative to its segment")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(at: u32, bytes: u32, timestamp: i64) -> Indexed {
        Indexed {
            position: Position(at),
            bytes,
            last_offset: Offset(1000 + i64::from(at)),
            max_timestamp: TimestampMs(timestamp),
        }
    }

    #[test]
    fn entries_come_as_kafkas_do() {
        let mut rule = IndexRule::new(Offset(1000), 100);
        assert_eq!(rule.note(&batch(0, 60, 50)), NewEntries::default());
        assert_eq!(
            rule.note(&batch(60, 40, 70)),
            NewEntries::default(),
            "60 are not over 100"
        );
        assert_eq!(
            rule.note(&batch(100, 1, 60)),
            NewEntries::default(),
            "nor are 100"
        );
        let entries = rule.note(&batch(101, 500, 65));
        assert_eq!(
            entries.offset,
            Some(OffsetEntry {
                relative_offset: 101,
                position: Position(101)
            })
        );
        assert_eq!(
            entries.time,
            Some(TimeEntry {
                timestamp: TimestampMs(70),
                relative_offset: 60
            }),
            "the batch that had the largest timestamp"
        );
        let entries = rule.note(&batch(601, 500, 70));
        assert_eq!(entries.offset.map(|e| e.position), Some(Position(601)));
        assert_eq!(entries.time, None, "the largest timestamp has not grown");
        assert_eq!(rule.time_entry(), None);
        rule.note(&batch(1101, 1, 71));
        let last = TimeEntry {
            timestamp: TimestampMs(71),
            relative_offset: 1101,
        };
        assert_eq!(
            rule.clone().time_entry(),
            None,
            "it came with the offset entry"
        );
        let mut resumed = IndexRule::new(Offset(1000), 100).resume(Some(last));
        assert_eq!(resumed.max_timestamp(), (TimestampMs(71), Offset(2101)));
        assert_eq!(resumed.time_entry(), None);
        resumed.note(&batch(1102, 1, 99));
        assert_eq!(
            resumed.time_entry().map(|e| e.timestamp),
            Some(TimestampMs(99))
        );
    }

    #[test]
    fn without_timestamps_the_time_index_stays_empty() {
        let mut rule = IndexRule::new(Offset(1000), 0);
        for at in 0..5 {
            assert_eq!(rule.note(&batch(at, 10, -1)).time, None);
        }
        assert_eq!(rule.time_entry(), None);
        assert_eq!(rule.max_timestamp(), (TimestampMs::NONE, Offset(1000)));
    }
}
