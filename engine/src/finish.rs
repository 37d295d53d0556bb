//! The last step of an append: the log takes notice of what was written, and everybody who waits
//! learns what became of their append.

use crate::active_segment::ActiveSegment;
use crate::append::{Append, AppendError, Appended};
use crate::assign::InFlight;
use crate::index_map::IndexMap;
use crate::log::Log;
use crate::roll::Roll;
use crate::sealed_segment::SealedSegment;
use crate::write::{Failure, IndexEntries, Written};
use protocol::ids::TimestampMs;
use ring::file::File;
use std::sync::Arc;

/// What each append's token is told.
pub type Done = (u64, Result<Appended, AppendError>);

impl Log {
    /// Takes back a write that ran. `done` receives the token and the result of each append that
    /// was part of it, in the order in which they were queued. If the write failed, the log is as
    /// before; if its file is in doubt, the log is offline from now on.
    ///
    /// # Panics
    /// If no write was in flight.
    pub fn finish_write(&mut self, written: Written, done: &mut Vec<Done>) {
        let mut plan = self.in_flight.take().expect("a write was in flight");
        assert_eq!(
            plan.first_offset, self.log_end,
            "nothing else moves the log's end"
        );
        let Written {
            epochs_stored,
            rolled,
            outcome,
            entries,
        } = written;
        self.flush.new_names |= epochs_stored;
        if let Some((roll, file)) = rolled {
            self.finish_roll(*roll, file, plan.now);
        }
        if let Some(entries) = entries {
            self.finish_entries(&entries);
        }
        match outcome {
            Ok(()) => self.accept(&mut plan, epochs_stored),
            Err(failure) => self.refuse(&mut plan, &failure, epochs_stored),
        }
        self.assert_order();
        if let Some(reason) = self.health.failure() {
            // The directory failed while the bytes were on their way: they may not be what is there.
            refuse_all(
                &mut plan.outcomes,
                &AppendError::Offline(reason.to_string()),
            );
        }
        done.append(&mut plan.outcomes);
        self.spare = plan;
    }

    /// Appends at once, blocking: at start-up, and for logs that are written rarely.
    ///
    /// # Panics
    /// If a write is in flight.
    pub fn append_now(
        &mut self,
        append: Append,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        let token = append.token;
        self.enqueue(append)?;
        let mut done = Vec::new();
        loop {
            let write = self.start_write(now).expect("no write is in flight");
            self.finish_write(write.run_blocking(), &mut done);
            if let Some(at) = done.iter().position(|(of, _)| *of == token) {
                return done.swap_remove(at).1;
            }
        }
    }

    fn accept(&mut self, plan: &mut InFlight, epochs_stored: bool) {
        for batch in &plan.batches {
            self.segments.active.note(batch);
        }
        self.segments.active.txn_index_bytes += plan.aborted_bytes;
        self.flush.new_names |= plan.aborted_bytes > 0;
        self.producers.commit();
        if let Some(epochs) = plan.epochs.take() {
            self.epochs = epochs;
        }
        self.epochs_dirty &= !epochs_stored;
        self.log_end = plan.next_offset;
    }

    fn refuse(&mut self, plan: &mut InFlight, failure: &Failure, epochs_stored: bool) {
        let active = &mut self.segments.active;
        active.reserve.cut_back(u64::from(active.end.0));
        self.producers.drop_staged();
        // The checkpoint may hold an epoch that has no record yet.
        self.epochs_dirty |= epochs_stored;
        let error = match failure {
            Failure::Undone(why) => {
                tracing::warn!(
                    partition = %self.topic_partition,
                    directory = %self.directory.display(),
                    why,
                    "a write failed and was undone; the next append tries again"
                );
                AppendError::WriteFailed(why.clone())
            }
            Failure::InDoubt(why) => {
                self.go_offline(why);
                AppendError::Offline(why.clone())
            }
        };
        for (_, outcome) in &mut plan.outcomes {
            // A duplicate of what an earlier write stored stays answered.
            let stands = |a: &Appended| a.duplicate && a.first_offset < plan.first_offset;
            if outcome.as_ref().is_ok_and(|appended| !stands(appended)) {
                *outcome = Err(error.clone());
            }
        }
    }

    fn finish_roll(&mut self, roll: Roll, file: File, now: TimestampMs) {
        let config = &self.config;
        let active = ActiveSegment::new(roll.to, file, now, config);
        let old = std::mem::replace(&mut self.segments.active, active);
        let sealed = SealedSegment::new(
            self.directory.clone(),
            old.base_offset,
            roll.old.lengths,
            config.index_interval_bytes,
        );
        let sealed = match roll.place {
            Some(place) => Arc::new(sealed.with_file(old.file, place)),
            None => {
                let sealed = Arc::new(sealed);
                sealed.set_durable();
                sealed
            }
        };
        Arc::make_mut(&mut self.segments.sealed).push(sealed.clone());
        self.flush.unsynced.push(sealed);
        self.flush.new_names = true;
        if roll.snapshot.is_some() {
            self.snapshots.offsets.insert(roll.to);
            self.snapshots.covered = roll.to;
        }
        tracing::info!(partition = %self.topic_partition, base_offset = %roll.to, "new segment");
    }

    fn finish_entries(&mut self, entries: &IndexEntries) {
        let active = &mut self.segments.active;
        debug_assert_eq!(active.base_offset, entries.base_offset);
        active.offset_index.mark_stored(&entries.offsets);
        active.time_index.mark_stored(&entries.times);
        let bytes = active.offset_index.bytes_only_in_file();
        if bytes != active.index_in_file.bytes() {
            active.index_in_file = Arc::new(IndexMap::new(bytes));
        }
    }
}

fn refuse_all(outcomes: &mut [Done], error: &AppendError) {
    for (_, outcome) in outcomes.iter_mut().filter(|(_, outcome)| outcome.is_ok()) {
        *outcome = Err(error.clone());
    }
}
