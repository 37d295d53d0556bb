//! When a partition is flushed: as `flush.messages` and `flush.ms` say, and after a segment was
//! closed.
//!
//! One task a partition, beside its writes; partitions flush independently of each other.
//! Invariant: while anybody waits in `unflushed`, the task runs.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use engine::append::AppendError;
use engine::{Flush, FlushTo};

use super::Partition;
use crate::unflushed::FinishedWrite;

/// A flush that so many appends waited for is followed by a rest: the processor is then what is
/// scarce, and fewer flushes leave more of it (measured in docs/benchmarks.md, group commit).
const CROWD_APPENDS: usize = 64;
/// That rest ends when the clock next shows a multiple of this, so that the crowded partitions of
/// all shards flush at the same time: their syncs share the file system's commits, and requests
/// with several partitions wait once.
const CROWD_TICK: Duration = Duration::from_millis(2);

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
            let mut appends = 0;
            while let Some(finished) = self.next_flushed(&flushed) {
                appends += finished.done.len();
                self.answer(finished, &flushed);
            }
            if flushed.is_err() && !self.is_offline() {
                ring::timer::sleep(SHORTAGE_REST).await;
            } else if appends >= CROWD_APPENDS {
                ring::timer::sleep(until_tick(SystemTime::now())).await;
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

fn until_tick(now: SystemTime) -> Duration {
    let since_epoch = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let past = since_epoch.as_nanos() % CROWD_TICK.as_nanos();
    CROWD_TICK - Duration::from_nanos(past as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rest_ends_at_a_tick_and_none_is_longer_than_one() {
        let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (past_us, rest_us) in [(0, 2000), (1, 1999), (1999, 1), (2000, 2000), (2500, 1500)] {
            let now = second + Duration::from_micros(past_us);
            assert_eq!(until_tick(now), Duration::from_micros(rest_us), "{past_us}");
        }
    }
}
