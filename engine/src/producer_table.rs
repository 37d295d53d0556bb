//! All producers that one log knows, and its transactions.
//!
//! Pure, owned by the log. A write first *stages* what it would change; when its bytes are in the
//! file the changes are committed, otherwise dropped, and the table is as before. Invariant: what
//! is staged belongs to the one write in flight.

use crate::append::{AppendError, Origin};
use crate::producer_entry::{DataBatch, Marker, ProducerEntry, RememberedBatch, Rules};
use crate::verification::{VerificationGuard, Verifications};
use protocol::ids::{Offset, ProducerEpoch, ProducerId, TimestampMs};
use std::collections::{BTreeMap, HashMap};

/// A transaction that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompletedTransaction {
    pub(crate) producer: ProducerId,
    pub(crate) first_offset: Offset,
    /// The marker's offset.
    pub(crate) last_offset: Offset,
    pub(crate) aborted: bool,
}

/// What the write in flight will change.
#[derive(Debug, Default)]
struct Staged {
    entries: HashMap<ProducerId, ProducerEntry>,
    started: Vec<(Offset, ProducerId)>,
    completed: Vec<CompletedTransaction>,
    /// How the entries were before the append that is being staged.
    undo: Vec<(ProducerId, Option<ProducerEntry>)>,
}

/// How much of `Staged` there was before an append.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    started: usize,
    completed: usize,
}

/// The producers and transactions of one log.
#[derive(Debug, Default)]
pub(crate) struct ProducerTable {
    producers: HashMap<ProducerId, ProducerEntry>,
    /// Open transactions by their first offset.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// Ended ones whose marker may still be above the high watermark: first to last offset.
    unreplicated: BTreeMap<Offset, Offset>,
    verifications: Verifications,
    staged: Staged,
}

impl ProducerTable {
    /// Takes over a producer from a snapshot.
    pub(crate) fn load(&mut self, producer: ProducerId, entry: ProducerEntry) {
        if let Some(start) = entry.transaction_start {
            self.ongoing.insert(start, producer);
        }
        self.producers.insert(producer, entry);
    }

    /// Begins to stage an append, which may have several batches.
    pub(crate) fn mark(&mut self) -> Mark {
        self.staged.undo.clear();
        Mark {
            started: self.staged.started.len(),
            completed: self.staged.completed.len(),
        }
    }

    /// Takes back what was staged since the mark: the append was refused.
    pub(crate) fn unstage(&mut self, mark: Mark) {
        let staged = &mut self.staged;
        staged.started.truncate(mark.started);
        staged.completed.truncate(mark.completed);
        for (producer, entry) in staged.undo.drain(..).rev() {
            match entry {
                Some(entry) => staged.entries.insert(producer, entry),
                None => staged.entries.remove(&producer),
            };
        }
    }

    /// Stages a batch of data.
    pub(crate) fn stage_data(
        &mut self,
        batch: &DataBatch,
        rules: Rules,
    ) -> Result<(), AppendError> {
        if rules == Rules::Client && !self.staged.entries.contains_key(&batch.producer) {
            let (producer, sequence) = (batch.producer, batch.first_sequence);
            self.verifications.check_sequence(producer, sequence)?;
        }
        let mut entry = self.entry(batch.producer);
        let had_transaction = entry.transaction_start.is_some();
        entry.take_data(batch, rules)?;
        if entry.transaction_start.is_some() && !had_transaction {
            self.staged
                .started
                .push((batch.first_offset, batch.producer));
        }
        self.stage(batch.producer, entry);
        Ok(())
    }

    /// Stages the end of a transaction.
    pub(crate) fn stage_marker(
        &mut self,
        marker: &Marker,
        rules: Rules,
    ) -> Result<(), AppendError> {
        let mut entry = self.entry(marker.producer);
        if let Some(first_offset) = entry.take_marker(marker, rules)? {
            self.staged.completed.push(CompletedTransaction {
                producer: marker.producer,
                first_offset,
                last_offset: marker.offset,
                aborted: marker.aborts,
            });
        }
        self.stage(marker.producer, entry);
        Ok(())
    }

    /// What was staged is in the log now.
    pub(crate) fn commit(&mut self) {
        for (producer, entry) in self.staged.entries.drain() {
            self.verifications.end(producer);
            self.producers.insert(producer, entry);
        }
        self.ongoing.extend(self.staged.started.drain(..));
        for completed in self.staged.completed.drain(..) {
            self.ongoing.remove(&completed.first_offset);
            self.unreplicated
                .insert(completed.first_offset, completed.last_offset);
        }
    }

    /// What was staged did not come into the log.
    pub(crate) fn drop_staged(&mut self) {
        self.staged.entries.clear();
        self.staged.started.clear();
        self.staged.completed.clear();
    }

    /// The transactions that the write in flight ends.
    pub(crate) fn staged_completions(&self) -> &[CompletedTransaction] {
        &self.staged.completed
    }

    /// The last stable offset right after a transaction ended, for the index of aborted ones:
    /// where the first transaction of another producer begins that is still open.
    pub(crate) fn last_stable_after(&self, ended: &CompletedTransaction) -> Offset {
        let open = self
            .ongoing
            .iter()
            .map(|(first, producer)| (*first, *producer));
        open.chain(self.staged.started.iter().copied())
            .filter(|(first, producer)| {
                let completed = |c: &CompletedTransaction| {
                    c.first_offset == *first && c.last_offset < ended.last_offset
                };
                *producer != ended.producer
                    && *first < ended.last_offset
                    && !self.staged.completed.iter().any(completed)
            })
            .map(|(first, _)| first)
            .min()
            .unwrap_or(ended.last_offset.next())
    }

    /// The batch that these sequence numbers repeat, if it was written or staged lately.
    pub(crate) fn duplicate_of(
        &self,
        producer: ProducerId,
        epoch: ProducerEpoch,
        (first_sequence, last_sequence): (i32, i32),
    ) -> Option<RememberedBatch> {
        let staged = self.staged.entries.get(&producer);
        let entry = staged.or_else(|| self.producers.get(&producer))?;
        entry
            .duplicate_of(epoch, first_sequence, last_sequence)
            .copied()
    }

    /// Whether a producer has a transaction open, staged changes included.
    fn has_open_transaction(&self, producer: ProducerId) -> bool {
        self.entry(producer).transaction_start.is_some()
    }

    /// Begins to verify the transaction of a producer, unless it has written here.
    pub(crate) fn begin_verification(
        &mut self,
        producer: ProducerId,
        epoch: ProducerEpoch,
        sequence: i32,
        now: TimestampMs,
    ) -> Option<VerificationGuard> {
        (!self.has_open_transaction(producer))
            .then(|| self.verifications.begin(producer, epoch, sequence, now))
    }

    /// Whether a producer may write a batch of a transaction: it has written of it, or the
    /// partition is known to be part of it. Staged changes included.
    pub(crate) fn may_be_in_transaction(&self, producer: ProducerId, origin: Origin) -> bool {
        let verified = match origin {
            Origin::Client | Origin::GuardedCoordinator(None) => false,
            Origin::Guarded(guard) | Origin::GuardedCoordinator(Some(guard)) => {
                let is_staged = self.staged.entries.contains_key(&producer);
                !is_staged && self.verifications.stands(producer, guard)
            }
            Origin::VerifiedClient | Origin::Coordinator | Origin::Leader | Origin::Raft => true,
        };
        verified || self.has_open_transaction(producer)
    }

    /// Forgets ended transactions whose markers everybody can read.
    pub(crate) fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.unreplicated.retain(|_, last| *last >= high_watermark);
    }

    /// The first offset that belongs to a transaction that is open, or whose end is at or above
    /// the high watermark.
    pub(crate) fn first_unstable(&self, high_watermark: Offset) -> Option<Offset> {
        let ended = self
            .unreplicated
            .iter()
            .find(|(_, last)| **last >= high_watermark);
        let open = self.ongoing.first_key_value();
        match (
            open.map(|(first, _)| *first),
            ended.map(|(first, _)| *first),
        ) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Forgets producers that wrote nothing for too long and have no transaction open.
    pub(crate) fn expire(&mut self, now: TimestampMs, expiration_ms: i64) {
        self.producers
            .retain(|_, entry| !is_expired(entry, now, expiration_ms));
        self.verifications.expire(now, expiration_ms);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.producers.clear();
        self.ongoing.clear();
        self.unreplicated.clear();
        self.verifications = Verifications::default();
        self.drop_staged();
    }

    /// Every producer in the log.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (ProducerId, &ProducerEntry)> {
        self.producers
            .iter()
            .map(|(producer, entry)| (*producer, entry))
    }

    fn entry(&self, producer: ProducerId) -> ProducerEntry {
        let staged = self.staged.entries.get(&producer);
        let known = staged.or_else(|| self.producers.get(&producer));
        known.copied().unwrap_or(ProducerEntry::UNKNOWN)
    }

    fn stage(&mut self, producer: ProducerId, entry: ProducerEntry) {
        let before = self.staged.entries.insert(producer, entry);
        self.staged.undo.push((producer, before));
    }
}

/// Whether a producer is to be forgotten.
pub(crate) fn is_expired(entry: &ProducerEntry, now: TimestampMs, expiration_ms: i64) -> bool {
    let silent_ms = now.0.saturating_sub(entry.last_timestamp.0);
    entry.transaction_start.is_none() && silent_ms >= expiration_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(producer: i64, sequence: i32, offset: i64, transactional: bool) -> DataBatch {
        DataBatch {
            producer: ProducerId(producer),
            epoch: ProducerEpoch(0),
            first_sequence: sequence,
            last_sequence: sequence,
            first_offset: Offset(offset),
            last_offset: Offset(offset),
            max_timestamp: TimestampMs(offset),
            transactional,
        }
    }

    fn marker(producer: i64, offset: i64) -> Marker {
        Marker {
            producer: ProducerId(producer),
            epoch: ProducerEpoch(0),
            coordinator_epoch: 0,
            offset: Offset(offset),
            timestamp: TimestampMs(offset),
            aborts: true,
        }
    }

    #[test]
    fn a_failed_write_leaves_no_trace() {
        let mut table = ProducerTable::default();
        table
            .stage_data(&data(1, 0, 0, false), Rules::Client)
            .unwrap();
        table.commit();
        table
            .stage_data(&data(1, 1, 1, true), Rules::Client)
            .unwrap();
        table
            .stage_data(&data(2, 9, 2, false), Rules::Client)
            .unwrap();
        let repeated = table.duplicate_of(ProducerId(2), ProducerEpoch(0), (9, 9));
        assert_eq!(
            repeated.map(|b| b.last_offset),
            Some(Offset(2)),
            "seen while staged"
        );
        table.drop_staged();
        assert_eq!(
            table.duplicate_of(ProducerId(2), ProducerEpoch(0), (9, 9)),
            None
        );
        assert_eq!(table.first_unstable(Offset(0)), None);
        table
            .stage_data(&data(1, 1, 1, false), Rules::Client)
            .unwrap();
    }

    #[test]
    fn an_append_is_taken_back_alone() {
        let mut table = ProducerTable::default();
        table
            .stage_data(&data(1, 0, 0, true), Rules::Client)
            .unwrap();
        let mark = table.mark();
        table
            .stage_data(&data(1, 1, 1, true), Rules::Client)
            .unwrap();
        table
            .stage_data(&data(2, 0, 2, true), Rules::Client)
            .unwrap();
        table.unstage(mark);
        table
            .stage_data(&data(1, 1, 1, true), Rules::Client)
            .unwrap();
        table.commit();
        assert_eq!(table.iter().len(), 1);
        assert_eq!(table.first_unstable(Offset(9)), Some(Offset(0)));
        assert_eq!(table.ongoing.len(), 1);
    }

    #[test]
    fn what_is_stable_follows_open_transactions_and_unreplicated_markers() {
        let mut table = ProducerTable::default();
        table
            .stage_data(&data(1, 0, 10, true), Rules::Client)
            .unwrap();
        table
            .stage_data(&data(2, 0, 11, true), Rules::Client)
            .unwrap();
        table.commit();
        assert_eq!(table.first_unstable(Offset(12)), Some(Offset(10)));
        table
            .stage_marker(&marker(1, 12), Rules::Coordinator)
            .unwrap();
        let ended = table.staged_completions()[0];
        assert_eq!(table.last_stable_after(&ended), Offset(11));
        table.commit();
        assert_eq!(
            table.first_unstable(Offset(12)),
            Some(Offset(10)),
            "marker not replicated"
        );
        assert_eq!(table.first_unstable(Offset(13)), Some(Offset(11)));
        table.on_high_watermark(Offset(13));
        table
            .stage_marker(&marker(2, 13), Rules::Coordinator)
            .unwrap();
        let ended = table.staged_completions()[0];
        assert_eq!(table.last_stable_after(&ended), Offset(14));
        table.commit();
        assert_eq!(table.first_unstable(Offset(13)), Some(Offset(11)));
        assert_eq!(table.first_unstable(Offset(14)), None);
    }

    #[test]
    fn silent_producers_are_forgotten_unless_in_a_transaction() {
        let mut table = ProducerTable::default();
        table
            .stage_data(&data(1, 0, 0, false), Rules::Client)
            .unwrap();
        table
            .stage_data(&data(2, 0, 1, true), Rules::Client)
            .unwrap();
        table.commit();
        table.expire(TimestampMs(99), 100);
        assert_eq!(table.iter().len(), 2);
        table.expire(TimestampMs(500), 100);
        assert_eq!(
            table.iter().map(|(p, _)| p).collect::<Vec<_>>(),
            [ProducerId(2)]
        );
    }
}
