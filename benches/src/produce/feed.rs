//! What a producer has to send now: how many records for which partitions.
//!
//! Pure: it is told the time. Two kinds: a *flood* always has full batches until its records are
//! used up; a *paced* feed follows the open-loop schedule, gathers what is due, and lets a batch go
//! when it is full or its first record has waited for the linger time. As Java's producer does, a
//! request then takes along what all other partitions of the same leader have ready.

use crate::clock::Nanos;
use crate::schedule::Schedule;

/// What limits a request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records in one partition's batch.
    pub batch_records_max: u32,
    /// Partitions in one request.
    pub portions_max: usize,
    /// Size of all batches of one request; one batch is always allowed.
    pub request_bytes_max: usize,
    /// What a batch with no record takes.
    pub batch_overhead_bytes: usize,
    /// The most that one record takes.
    pub record_bytes_max: usize,
}

/// The partitions that one leader has, in the order in which they are served.
#[derive(Clone, Debug)]
pub struct Lane {
    partitions: Vec<usize>,
    cursor: usize,
}

impl Lane {
    /// A lane that begins with the partition at `first` (counted round).
    pub fn new(partitions: Vec<usize>, first: usize) -> Lane {
        let cursor = first % partitions.len().max(1);
        Lane { partitions, cursor }
    }

    fn advance(&mut self) -> usize {
        let partition = self.partitions[self.cursor];
        self.cursor = (self.cursor + 1) % self.partitions.len();
        partition
    }
}

/// One partition's batch within a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// Index of the partition.
    pub partition: usize,
    /// How many records.
    pub records: u32,
    /// The first record's local index in the schedule.
    pub first_local: u64,
    /// The distance of the next record's local index.
    pub stride: u64,
}

/// How records are spread over partitions in a paced feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Partitioner {
    /// Each record goes to the next partition, as keys would spread them.
    RoundRobin,
    /// All records of a batch's time go to one partition, the next batch's to the next.
    Sticky,
}

/// A producer's supply of records.
pub enum Feed {
    /// As much as the broker takes.
    Flood(Flood),
    /// What the schedule says.
    Paced(Paced),
}

impl Feed {
    /// Puts the portions of the next request on this lane into `out`; nothing if none may go yet.
    pub fn take(&mut self, lane: &mut Lane, now: Nanos, limits: &Limits, out: &mut Vec<Portion>) {
        match self {
            Feed::Flood(flood) => flood.take(lane, limits, out),
            Feed::Paced(paced) => paced.take(lane, now, limits, out),
        }
    }

    /// Whether every record was taken.
    pub fn used_up(&self) -> bool {
        match self {
            Feed::Flood(flood) => flood.left == 0,
            Feed::Paced(paced) => paced.taken == paced.schedule.records(),
        }
    }

    /// When `take` will have something for this lane; none if that is not known yet, because the
    /// feed is used up or another lane's turn comes first.
    pub fn ready_at(&self, lane: &Lane, limits: &Limits) -> Option<Nanos> {
        match self {
            Feed::Flood(flood) => (flood.left > 0).then_some(Nanos(0)),
            Feed::Paced(paced) => paced.ready_at(lane, limits),
        }
    }

    /// No more records from now on.
    pub fn stop(&mut self) {
        if let Feed::Flood(flood) = self {
            flood.left = 0;
        }
    }

    /// When the record ought to have been sent; none in a flood.
    pub fn intended(&self, local: u64) -> Option<Nanos> {
        match self {
            Feed::Flood(_) => None,
            Feed::Paced(paced) => Some(paced.schedule.intended(local)),
        }
    }
}

/// Full batches without end, or up to a number of records.
pub struct Flood {
    left: u64,
}

impl Flood {
    /// A flood of so many records.
    pub fn new(records: u64) -> Flood {
        Flood { left: records }
    }

    fn take(&mut self, lane: &mut Lane, limits: &Limits, out: &mut Vec<Portion>) {
        let mut budget = Budget::new(limits);
        for _ in 0..lane.partitions.len() {
            let records = u64::from(limits.batch_records_max).min(self.left) as u32;
            if records == 0 || !budget.allows(records) {
                return;
            }
            self.left -= u64::from(records);
            let partition = lane.advance();
            out.push(Portion {
                partition,
                records,
                first_local: 0,
                stride: 0,
            });
        }
    }
}

/// An open-loop feed.
///
/// Invariant: `sent[p]` records of partition `p` (round robin), or `sent_in_turn` records in all
/// (sticky), have been taken, always the earliest ones.
pub struct Paced {
    schedule: Schedule,
    partitioner: Partitioner,
    linger: Nanos,
    first_partition: usize,
    sent: Vec<u64>,
    sent_in_turn: u64,
    sticky_partition: usize,
    taken: u64,
}

impl Paced {
    /// A feed over `partitions` partitions whose first record goes to `first_partition`.
    pub fn new(
        schedule: Schedule,
        partitioner: Partitioner,
        linger: Nanos,
        partitions: usize,
        first_partition: usize,
    ) -> Paced {
        let first_partition = first_partition % partitions;
        Paced {
            schedule,
            partitioner,
            linger,
            first_partition,
            sent: vec![0; partitions],
            sent_in_turn: 0,
            sticky_partition: first_partition,
            taken: 0,
        }
    }

    fn take(&mut self, lane: &mut Lane, now: Nanos, limits: &Limits, out: &mut Vec<Portion>) {
        if self.ready_at(lane, limits).is_none_or(|at| at > now) {
            return;
        }
        match self.partitioner {
            Partitioner::RoundRobin => self.take_round_robin(lane, now, limits, out),
            Partitioner::Sticky => self.take_sticky(lane, now, limits, out),
        }
    }

    fn take_round_robin(
        &mut self,
        lane: &mut Lane,
        now: Nanos,
        limits: &Limits,
        out: &mut Vec<Portion>,
    ) {
        let mut budget = Budget::new(limits);
        let due = self.schedule.due(now);
        for _ in 0..lane.partitions.len() {
            let partition = lane.partitions[lane.cursor];
            let waiting = self.count_of(partition, due) - self.sent[partition];
            let records = waiting.min(u64::from(limits.batch_records_max)) as u32;
            if records > 0 && !budget.allows(records) {
                return;
            }
            lane.advance();
            if records > 0 {
                let first_local = self.local_of(partition, self.sent[partition]);
                self.sent[partition] += u64::from(records);
                self.taken += u64::from(records);
                let stride = self.sent.len() as u64;
                out.push(Portion {
                    partition,
                    records,
                    first_local,
                    stride,
                });
            }
        }
    }

    fn take_sticky(
        &mut self,
        lane: &mut Lane,
        now: Nanos,
        limits: &Limits,
        out: &mut Vec<Portion>,
    ) {
        let mut budget = Budget::new(limits);
        let due = self.schedule.due(now);
        while due > self.sent_in_turn
            && lane.partitions.contains(&self.sticky_partition)
            && out
                .iter()
                .all(|portion| portion.partition != self.sticky_partition)
        {
            let waiting = due - self.sent_in_turn;
            let records = waiting.min(u64::from(limits.batch_records_max)) as u32;
            if !budget.allows(records) {
                return;
            }
            let (partition, first_local) = (self.sticky_partition, self.sent_in_turn);
            out.push(Portion {
                partition,
                records,
                first_local,
                stride: 1,
            });
            self.sent_in_turn += u64::from(records);
            self.taken += u64::from(records);
            self.sticky_partition = (self.sticky_partition + 1) % self.sent.len();
        }
    }

    /// A batch may go when its first record has lingered, or when it is full.
    fn ready_at(&self, lane: &Lane, limits: &Limits) -> Option<Nanos> {
        let batch_records_max = u64::from(limits.batch_records_max);
        match self.partitioner {
            Partitioner::RoundRobin => lane
                .partitions
                .iter()
                .filter_map(|&partition| {
                    let local = |count| self.local_of(partition, count);
                    let sent = self.sent[partition];
                    self.batch_ready_at(local(sent), local(sent + batch_records_max - 1))
                })
                .min(),
            Partitioner::Sticky => {
                if !lane.partitions.contains(&self.sticky_partition) {
                    return None;
                }
                let first = self.sent_in_turn;
                self.batch_ready_at(first, first + batch_records_max - 1)
            }
        }
    }

    fn batch_ready_at(&self, first_local: u64, full_local: u64) -> Option<Nanos> {
        if first_local >= self.schedule.records() {
            return None;
        }
        let lingered = self.schedule.intended(first_local).plus(self.linger);
        Some(lingered.min(self.schedule.intended(full_local)))
    }

    /// How many of the local indices below `due` fall on the partition.
    fn count_of(&self, partition: usize, due: u64) -> u64 {
        due.saturating_sub(self.offset_of(partition))
            .div_ceil(self.sent.len() as u64)
    }

    /// The local index of the partition's record number `count`.
    fn local_of(&self, partition: usize, count: u64) -> u64 {
        self.offset_of(partition) + count * self.sent.len() as u64
    }

    fn offset_of(&self, partition: usize) -> u64 {
        let partitions = self.sent.len();
        ((partition + partitions - self.first_partition) % partitions) as u64
    }
}

/// What is left of one request's limits.
struct Budget<'a> {
    limits: &'a Limits,
    portions: usize,
    bytes: usize,
}

impl Budget<'_> {
    fn new(limits: &Limits) -> Budget<'_> {
        Budget {
            limits,
            portions: 0,
            bytes: 0,
        }
    }

    /// Whether a batch of so many records still fits; if so it is counted.
    fn allows(&mut self, records: u32) -> bool {
        let records_bytes = records as usize * self.limits.record_bytes_max;
        let bytes = self.bytes + self.limits.batch_overhead_bytes + records_bytes;
        let fits = self.portions < self.limits.portions_max
            && (self.portions == 0 || bytes <= self.limits.request_bytes_max);
        if fits {
            self.portions += 1;
            self.bytes = bytes;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        batch_records_max: 10,
        portions_max: usize::MAX,
        request_bytes_max: 2_200,
        batch_overhead_bytes: 61,
        record_bytes_max: 100,
    };

    fn take(feed: &mut Feed, lane: &mut Lane, now: u64) -> Vec<Portion> {
        let mut out = Vec::new();
        feed.take(lane, Nanos(now), &LIMITS, &mut out);
        out
    }

    #[test]
    fn a_flood_serves_all_partitions_in_turn_within_the_request_limit() {
        let mut lane = Lane::new(vec![0, 1, 2, 3], 0);
        let mut feed = Feed::Flood(Flood::new(45));
        let taken = |portions: Vec<Portion>| -> Vec<(usize, u32)> {
            portions
                .iter()
                .map(|portion| (portion.partition, portion.records))
                .collect()
        };
        assert_eq!(taken(take(&mut feed, &mut lane, 0)), [(0, 10), (1, 10)]);
        assert_eq!(taken(take(&mut feed, &mut lane, 0)), [(2, 10), (3, 10)]);
        assert_eq!(taken(take(&mut feed, &mut lane, 0)), [(0, 5)]);
        assert_eq!(feed.ready_at(&lane, &LIMITS), None);
    }

    /// At 1,000 records/s and 5 ms of linger over two partitions, whatever the moments at which it
    /// is asked: every record is taken once, in order, not before it is due.
    #[test]
    fn a_paced_feed_takes_each_record_once_and_never_early() {
        for partitioner in [Partitioner::RoundRobin, Partitioner::Sticky] {
            let schedule = Schedule::new(Nanos(0), 1_000, 1_000, 0, 1);
            let linger = Nanos::from_millis(5.0);
            let mut feed = Feed::Paced(Paced::new(schedule, partitioner, linger, 2, 1));
            let mut lane = Lane::new(vec![0, 1], 1);
            let mut seen = vec![false; 1_000];
            let mut now = 0;
            while let Some(ready) = feed.ready_at(&lane, &LIMITS) {
                now = ready.0.max(now + 700_000);
                for portion in take(&mut feed, &mut lane, now) {
                    for at in 0..u64::from(portion.records) {
                        let local = portion.first_local + at * portion.stride;
                        assert!(schedule.intended(local).0 <= now);
                        assert!(!std::mem::replace(&mut seen[local as usize], true));
                    }
                }
            }
            assert!(
                seen.iter().all(|&seen| seen) && feed.used_up(),
                "{partitioner:?}"
            );
        }
    }

    #[test]
    fn a_batch_goes_when_it_has_lingered_or_is_full() {
        let schedule = Schedule::new(Nanos(0), 1_000, 1_000, 0, 1);
        let linger = Nanos::from_millis(5.0);
        let paced = Paced::new(schedule, Partitioner::Sticky, linger, 1, 0);
        let mut feed = Feed::Paced(paced);
        let mut lane = Lane::new(vec![0], 0);
        assert_eq!(take(&mut feed, &mut lane, 4_999_999), []);
        assert_eq!(take(&mut feed, &mut lane, 5_000_000)[0].records, 6);
        assert_eq!(feed.ready_at(&lane, &LIMITS), Some(Nanos(11_000_000)));
        let full = Limits {
            batch_records_max: 3,
            ..LIMITS
        };
        assert_eq!(feed.ready_at(&lane, &full), Some(Nanos(8_000_000)));
    }
}
