//! Which segments of a log are checked when it is opened, and what goes with the damage found.
//!
//! Blocking: a part of `load`. Segments with a damaged index are checked in any case, those from
//! the recovery point on after an unclean stop. What lies behind damage is set aside: renamed to
//! `.deleted`, named in the log, and removed a while later, so that an operator can still get at
//! it.
//!
//! So is what lies behind a gap. A power loss may take the end of one segment and leave the next
//! one, as neither was synced. No replica has such a gap, and a log that went on over it would
//! never get the lost records again: it ends before it. Segments that were compacted have gaps by
//! right, and what begins at or below the recovery point is durable.

use crate::disk;
use crate::file_name::Kind;
use crate::index_entry::{Entry, OffsetEntry, TimeEntry};
use crate::load::{Loader, OnDisk};
use crate::open_error::OpenError;
use crate::recovery;
use crate::removal;
use crate::txn_index;
use protocol::ids::Offset;

/// How much of a log is checked, from a segment on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    OneSegment,
    ToLogEnd,
}

impl Loader {
    /// Segments whose indexes are missing or end within an entry are checked in any case.
    pub(crate) fn repair_indexes(&mut self) -> Result<(), OpenError> {
        let whole =
            |bytes: Option<u64>, entry: usize| bytes.is_some_and(|bytes| bytes % entry as u64 == 0);
        let damaged = |s: &OnDisk| {
            !whole(s.offset_index, OffsetEntry::BYTES) || !whole(s.time_index, TimeEntry::BYTES)
        };
        let bases: Vec<(Offset, bool)> = self
            .segments
            .iter()
            .filter(|(_, s)| damaged(s))
            .map(|(base, s)| (*base, whole(s.offset_index, OffsetEntry::BYTES)))
            .collect();
        for (base, offsets_are_whole) in bases {
            let kind = match offsets_are_whole {
                true => Kind::TimeIndex,
                false => Kind::OffsetIndex,
            };
            let path = self.path(base, kind);
            tracing::warn!(file = %path.display(), "missing or damaged; made anew from the segment");
            self.recover_from(base, Extent::OneSegment, Offset::ZERO)?;
        }
        Ok(())
    }

    /// Indexes of aborted transactions have no checksum: what no writer leaves is seen.
    pub(crate) fn check_txn_indexes(&mut self) -> Result<(), OpenError> {
        for (base, on_disk) in &self.segments {
            if on_disk.txn_index == 0 {
                continue;
            }
            let path = self.path(*base, Kind::TxnIndex);
            let content = disk::read(&path).map_err(OpenError::at(&path))?;
            if !txn_index::is_sound(&content, *base) {
                tracing::warn!(file = %path.display(), "damaged; made anew from the segment");
                self.recovered_markers = true;
                self.recovered_from = Some(self.recovered_from.map_or(*base, |at| at.min(*base)));
            }
        }
        Ok(())
    }

    /// Checks the segments from the one that holds what is just below the recovery point.
    pub(crate) fn recover(&mut self) -> Result<(), OpenError> {
        let point = self.from.recovery_point;
        let Some(&first) = self
            .segments
            // One that ends at the point was flushed while it was the active one, without its indexes.
            .range(..point)
            .next_back()
            .or_else(|| self.segments.first_key_value())
            .map(|(base, _)| base)
        else {
            return Ok(());
        };
        self.recovered_from = Some(self.recovered_from.map_or(first, |from| from.min(first)));
        self.recover_from(first, Extent::ToLogEnd, point)
    }

    /// Checks one segment, or all from it on, as far as they are not known to be durable. What
    /// follows a cut is set aside.
    pub(crate) fn recover_from(
        &mut self,
        first: Offset,
        extent: Extent,
        durable_to: Offset,
    ) -> Result<(), OpenError> {
        let bases: Vec<Offset> = self
            .segments
            .range(first..)
            .map(|(base, _)| *base)
            .collect();
        for (at, base) in bases.iter().enumerate() {
            if at > 0 && extent == Extent::OneSegment {
                break;
            }
            let interval = self.from.config.index_interval_bytes;
            let found = recovery::recover_segment(
                &self.directory,
                *base,
                durable_to,
                interval,
                &mut self.epochs,
            )?;
            self.recovered_from = Some(self.recovered_from.map_or(*base, |from| from.min(*base)));
            let had_aborted = self.segments.get(base).is_some_and(|s| s.txn_index > 0);
            self.recovered_markers |= found.has_markers || had_aborted;
            let behind = &bases[at + 1..];
            let next = behind.first().filter(|_| extent == Extent::ToLogEnd);
            // A power loss may bring zeroes back behind a segment that was closed and cut.
            let goes_on = |next: &Offset| found.cut_zeroes && *next == found.next_offset;
            if found.cut_bytes > 0 && !behind.first().is_some_and(goes_on) {
                self.set_aside(behind, "behind damage")?;
                break;
            }
            if next.is_some_and(|next| self.is_gap(found.next_offset, *next)) {
                tracing::warn!(
                    partition = %self.from.topic_partition, end = %found.next_offset,
                    "the end of a segment is lost; the log ends there"
                );
                self.set_aside(behind, "behind a gap")?;
                break;
            }
        }
        self.list_from(first)
    }

    /// Whether offsets are missing before a segment that cannot be.
    fn is_gap(&self, end: Offset, next: Offset) -> bool {
        let from = &self.from;
        !from.clean && !from.may_have_gaps && next > end && next > from.recovery_point
    }

    /// Takes segments out of the log.
    pub(crate) fn set_aside(&mut self, bases: &[Offset], why: &str) -> Result<(), OpenError> {
        for base in bases {
            let path = self.path(*base, Kind::Log);
            tracing::warn!(
                file = %path.display(), base_offset = %base, why,
                "setting a segment aside; it is renamed to .deleted, and removed later"
            );
            self.segments.remove(base);
            self.snapshots.retain(|at| at != base);
            let renamed = removal::give_up(&self.directory, *base);
            self.set_aside
                .extend(renamed.map_err(OpenError::at(&path))?);
            let snapshot = removal::give_up_snapshot(&self.directory, *base);
            self.set_aside
                .extend(snapshot.map_err(OpenError::at(&path))?);
        }
        Ok(())
    }
}
