//! The open-loop schedule: when each record ought to be sent, whatever the broker does.
//!
//! All producers of a run share one schedule with `rate` records a second: record `g` is due at
//! `start + g / rate`. Producer `k` of `n` owns the records `k, k + n, k + 2n, ..`, which it counts
//! 0, 1, 2, .. (*local* index). Nothing is queued: what is due is computed from the clock, so a
//! broker that stalls makes records late, never fewer (no coordinated omission).

use crate::clock::Nanos;

/// One producer's share of the schedule.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start: Nanos,
    rate_per_second: u64,
    producers: u64,
    producer: u64,
    records: u64,
}

impl Schedule {
    /// Producer `producer` of `producers`, which together send `records_total` records.
    pub fn new(
        start: Nanos,
        rate_per_second: u64,
        records_total: u64,
        producer: u64,
        producers: u64,
    ) -> Schedule {
        assert!(rate_per_second > 0, "an open-loop schedule needs a rate");
        assert!(producer < producers, "producer {producer} of {producers}");
        let records = share_of(records_total, producer, producers);
        Schedule {
            start,
            rate_per_second,
            producers,
            producer,
            records,
        }
    }

    /// How many records this producer sends in all.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// When the record with this local index ought to be sent.
    pub fn intended(&self, local: u64) -> Nanos {
        let global = u128::from(local * self.producers + self.producer);
        Nanos(self.start.0 + (global * 1_000_000_000 / u128::from(self.rate_per_second)) as u64)
    }

    /// How many of this producer's records are due at `now`: all with `intended(i) <= now`.
    pub fn due(&self, now: Nanos) -> u64 {
        if now < self.start {
            return 0;
        }
        let elapsed = u128::from(now.since(self.start).0) + 1;
        let global = (elapsed * u128::from(self.rate_per_second)).div_ceil(1_000_000_000) as u64;
        share_of(global, self.producer, self.producers).min(self.records)
    }
}

/// How many of the numbers 0 .. `total` leave the remainder `producer` when divided by `producers`.
pub fn share_of(total: u64, producer: u64, producers: u64) -> u64 {
    total.saturating_sub(producer).div_ceil(producers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_and_intended_agree_at_every_boundary() {
        for rate in [1, 3, 7_000, 50_000, 999_983] {
            for producer in 0..3 {
                let schedule = Schedule::new(Nanos(1_000), rate, 100_000, producer, 3);
                for local in [0, 1, 2, 10, 999, 33_000] {
                    let at = schedule.intended(local);
                    assert_eq!(schedule.due(at), local + 1, "rate {rate} local {local}");
                    assert_eq!(
                        schedule.due(Nanos(at.0 - 1)),
                        local,
                        "rate {rate} local {local}"
                    );
                }
            }
        }
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        for total in 0..50 {
            let sum: u64 = (0..7).map(|producer| share_of(total, producer, 7)).sum();
            assert_eq!(sum, total);
        }
    }
}
