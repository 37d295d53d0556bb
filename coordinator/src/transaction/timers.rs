//! What time brings: transactions that take too long, ids that nobody uses, second attempts.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::ids::TimestampMs;

use super::Settings;
use super::metadata::Pending;
use super::transactional_ids::{Coordinator, Out, Write};

/// How long to wait after a failed append or marker.
const RETRY_BACKOFF_MS: i64 = 100;
/// What a tombstone takes in a batch beside its id, at most, and a batch beside its records.
const OVERHEAD_BYTES_MAX: usize = 64;

/// When something is to be done.
#[derive(Debug, Default)]
pub(super) struct Timers {
    timed_out_check: Option<TimestampMs>,
    expired_check: Option<TimestampMs>,
    /// In order of time: all wait equally long.
    retries: VecDeque<(TimestampMs, Retry)>,
}

#[derive(Debug)]
enum Retry {
    Write(Box<Write>),
    Markers(Arc<str>),
}

impl Timers {
    pub(super) fn start(&mut self, now: TimestampMs, settings: &Settings) {
        self.timed_out_check = Some(now + settings.timed_out_check_interval_ms);
        self.expired_check = Some(now + settings.expired_check_interval_ms);
    }

    pub(super) fn write_later(&mut self, now: TimestampMs, failed: Write) {
        self.later(now, Retry::Write(Box::new(failed)));
    }

    pub(super) fn send_later(&mut self, now: TimestampMs, id: Arc<str>) {
        self.later(now, Retry::Markers(id));
    }

    /// The checks have no deadline of their own while there is nothing to check.
    pub(super) fn next_deadline(&self, checks: bool) -> Option<TimestampMs> {
        let checks_at = [self.timed_out_check, self.expired_check];
        let check = checks_at.into_iter().flatten().filter(|_| checks).min();
        let retry = self.retries.front().map(|(at, _)| *at);
        check.into_iter().chain(retry).min()
    }

    fn later(&mut self, now: TimestampMs, retry: Retry) {
        let at = now + RETRY_BACKOFF_MS;
        // The clock may have been set back.
        let at = self.retries.back().map_or(at, |(last, _)| at.max(*last));
        self.retries.push_back((at, retry));
    }

    fn take_retry(&mut self, now: TimestampMs) -> Option<Retry> {
        let (at, _) = self.retries.front()?;
        if *at > now {
            return None;
        }
        self.retries.pop_front().map(|(_, retry)| retry)
    }
}

impl Coordinator {
    pub(super) fn look_at_the_clock(&mut self, now: TimestampMs, out: &mut Out) {
        while let Some(retry) = self.timers.take_retry(now) {
            match retry {
                Retry::Write(failed) => self.append(*failed, out),
                Retry::Markers(id) => self.send_markers(now, &id, out),
            }
        }
        if self.timers.timed_out_check.is_some_and(|at| at <= now) {
            let next = now + self.settings.timed_out_check_interval_ms;
            self.timers.timed_out_check = Some(next);
            self.abort_all_timed_out(now, out);
        }
        if self.timers.expired_check.is_some_and(|at| at <= now) {
            let next = now + self.settings.expired_check_interval_ms;
            self.timers.expired_check = Some(next);
            self.forget_all_expired(now, out);
        }
    }

    fn abort_all_timed_out(&mut self, now: TimestampMs, out: &mut Out) {
        let late = self.ongoing.iter().filter(|id| {
            let transaction = &self.transactions[*id];
            transaction.pending.is_none() && transaction.standing.is_out_of_time(now)
        });
        let late: Vec<_> = late.cloned().collect();
        for id in &late {
            self.abort_timed_out(now, id, out);
        }
    }

    fn forget_all_expired(&mut self, now: TimestampMs, out: &mut Out) {
        let expiration_ms = self.settings.id_expiration_ms;
        let bytes_max = self.settings.batch_bytes_max;
        let mut batches: Vec<(usize, Vec<Arc<str>>)> = Vec::new();
        for (id, transaction) in &mut self.transactions {
            let expired = transaction.standing.is_expired(now, expiration_ms);
            if transaction.pending.is_some() || !expired {
                continue;
            }
            transaction.pending = Some(Pending::Tombstone);
            let more = id.len() + OVERHEAD_BYTES_MAX;
            let last = batches.last_mut();
            match last.filter(|(bytes, _)| bytes + more <= bytes_max) {
                Some((bytes, ids)) => {
                    *bytes += more;
                    ids.push(id.clone());
                }
                None => batches.push((OVERHEAD_BYTES_MAX + more, vec![id.clone()])),
            }
        }
        for (_, ids) in batches {
            self.append(Write::Tombstones(ids), out);
        }
    }
}
