//! When a partition is flushed: as `flush.messages` and `flush.ms` say, and after a segment was
//! closed.
//!
//! One task a partition, beside its writes; partitions flush independently of each other.
//! Invariant: while anybody waits in `unflushed`, the task runs.

use std::rc::Rc;
use std::time::Duration;

use engine::append::AppendError;
use engine::{Flush, FlushTo};
use ring::event::first_of;

use super::{Partition, State};
use crate::unflushed::FinishedWrite;

/// How long a flush waits at most for those that the last one answered to append again.
const GATHER_MAX: Duration = Duration::from_millis(2);

/// A flush that could not begin, for want of descriptors or memory, is tried again after this.
const SHORTAGE_REST: Duration = Duration::from_millis(100);

impl Partition {
    /// Flushes in the background for as long as something is due: what `flush.messages` asks for,
    /// and closed segments. Writes go on meanwhile, and one flush covers all that were done when it
    /// began.
    pub(super) fn start_flushing(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if !std::mem::replace(&mut state.flushing, true) {
            ring::spawn(self.clone().flush_all_due());
        }
    }

    async fn flush_all_due(self: Rc<Self>) {
        while let Some(flush) = self.next_flush() {
            let flushed = flush.run().await;
            let flushed = self.state.borrow_mut().log_in_use().finish_flush(flushed);
            let mut answered = 0;
            while let Some(finished) = self.next_flushed(&flushed) {
                answered += finished.done.len();
                self.answer(finished, &flushed);
            }
            if flushed.is_err() && !self.is_offline() {
                ring::timer::sleep(SHORTAGE_REST).await;
            } else {
                self.gather(answered).await;
            }
        }
        // An offline log flushes nothing any more, and nobody waits for it in vain.
        let offline = Err(AppendError::Offline("its log directory failed".to_owned()));
        while let Some(finished) = self.next_flushed(&offline) {
            self.answer(finished, &offline);
        }
        self.state.borrow_mut().flushing = false;
        self.written.notify();
    }

    /// Waits for company before the next flush, since each costs the same however many wait for it.
    async fn gather(&self, answered: usize) {
        {
            let mut state = self.state.borrow_mut();
            let waiting = state.unflushed.appends();
            let enough = enough_to_flush(answered, waiting);
            if waiting >= enough {
                return;
            }
            state.flush_at = Some(enough);
        }
        first_of(ring::timer::sleep(GATHER_MAX), self.gathered.wait()).await;
        self.state.borrow_mut().flush_at = None;
    }

    fn next_flush(&self) -> Option<Flush> {
        let mut state = self.state.borrow_mut();
        let wanted = std::mem::take(&mut state.flush_wanted) || !state.unflushed.is_empty();
        let log = state.log_in_use();
        let to = match wanted {
            true => FlushTo::LogEnd,
            false => log.flush_due()?,
        };
        log.start_flush(to)
    }

    fn next_flushed(&self, flushed: &Result<(), AppendError>) -> Option<FinishedWrite> {
        let mut state = self.state.borrow_mut();
        match flushed {
            Ok(()) => {
                let durable = state.log_in_use().recovery_point();
                state.unflushed.release(durable)
            }
            Err(_) => state.unflushed.give_up(),
        }
    }

    /// `flush.ms`: what was written is flushed this long afterwards at the latest.
    pub(super) fn start_flush_timer(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let log = state.log_in_use();
        let interval_ms = log.config().flush_interval_ms;
        if interval_ms == i64::MAX || log.recovery_point() == log.log_end_offset() {
            return;
        }
        if std::mem::replace(&mut state.flush_timer, true) {
            return;
        }
        let interval = Duration::from_millis(interval_ms.max(0) as u64);
        let this = Rc::downgrade(self);
        ring::spawn(async move {
            ring::timer::sleep(interval).await;
            if let Some(this) = this.upgrade() {
                this.flush_by_time();
            }
        });
    }

    fn flush_by_time(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        state.flush_timer = false;
        if state.log.is_some() {
            state.flush_wanted = true;
            drop(state);
            self.start_flushing();
        }
    }
}

impl State {
    /// Whether the next flush has waited long enough, by now.
    pub(super) fn has_gathered(&mut self) -> bool {
        let waiting = self.unflushed.appends();
        let done = self.flush_at.take_if(|enough| waiting >= *enough);
        done.is_some()
    }
}

/// How many appends the next flush is worth while, after one that answered `answered` of them and
/// found `waiting` others when it ended: half of all, since some of those who were there append
/// elsewhere next, or not at all (what other shares gain is in docs/benchmarks.md, group commit).
/// Where appends come whatever is answered, as many arrive during a flush as it answers, and before
/// long nothing waits.
fn enough_to_flush(answered: usize, waiting: usize) -> usize {
    (answered + waiting) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_that_waits_for_each_answer_never_waits_for_company() {
        assert_eq!(enough_to_flush(1, 0), 0);
        assert_eq!(enough_to_flush(1, 1), 1);
    }

    #[test]
    fn half_of_those_who_were_there_are_waited_for() {
        for (answered, waiting, waits_for) in [(64, 0, 32), (40, 24, 8), (32, 32, 0), (5, 60, 0)] {
            let enough = enough_to_flush(answered, waiting);
            assert_eq!(
                enough.saturating_sub(waiting),
                waits_for,
                "{answered} {waiting}"
            );
        }
    }
}
