//! What must remain of a history after each pass of a cleaner, said without files, batches or maps
//! of bounded size: it knows only which record was written when, and which were aborted.

use std::collections::{BTreeMap, HashMap};

use crate::dump::{Cleaning, Kept, Pass, records};
use crate::history::{History, Written};

type Records = BTreeMap<i64, Kept>;

/// Whose passes are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleaner {
    /// The engine's.
    Ours,
    /// Kafka's.
    Kafka,
}

/// What is known of a log that is being cleaned.
#[derive(Debug)]
pub struct Model<'a> {
    written: BTreeMap<i64, &'a Written>,
    cleaner: Cleaner,
    log_start: i64,
    log_end: i64,
    delete_retention_ms: i64,
    /// What the last pass left.
    records: Records,
    /// Base offsets of the segments that the last pass left.
    bases: Vec<i64>,
    /// Where the next pass begins.
    next: i64,
    /// Tombstones below the offset have had their horizon since some pass: it is the time.
    horizons: Vec<(i64, i64)>,
}

/// One pass over records.
struct Step<'a> {
    pass: &'a Pass,
    now_ms: i64,
    before: &'a Records,
    after: &'a Records,
    /// Kafka 3.9 takes a transaction that was aborted earlier in a segment for an open one when a
    /// pass begins within it, where a map had been full: what the transaction's producer committed
    /// then is not in the map, and older records of these keys stay.
    forgets_transactions: bool,
}

impl<'a> Model<'a> {
    /// The model of a history that no pass has touched.
    pub fn new(history: &'a History, cleaner: Cleaner, cleaning: &Cleaning) -> Model<'a> {
        let written: BTreeMap<i64, &Written> =
            history.records.iter().map(|r| (r.offset, r)).collect();
        let records = written
            .iter()
            .map(|(offset, record)| (*offset, kept(record)));
        Model {
            records: records.collect(),
            written,
            cleaner,
            log_start: cleaning.log_start,
            log_end: history.log_end,
            delete_retention_ms: cleaning.delete_retention_ms,
            bases: vec![0],
            next: cleaning.log_start,
            horizons: Vec::new(),
        }
    }

    /// Checks what a pass has left against what the one before it had left. Whether it may have
    /// left more than it had to.
    pub fn step(&mut self, pass: &Pass, now_ms: i64) -> bool {
        let resumes = pass.from > self.log_start && !self.bases.contains(&pass.from);
        let forgets_transactions = resumes && self.cleaner == Cleaner::Kafka;
        assert_eq!(
            pass.from, self.next,
            "a pass goes on where the last one ended"
        );
        assert!(pass.next <= pass.uncleanable && pass.uncleanable <= self.log_end);
        let after = records(&pass.lines);
        for (offset, record) in &after {
            assert_eq!(
                self.records.get(offset),
                Some(record),
                "the record at {offset}"
            );
        }
        assert_eq!(
            self.latest_values(&self.records),
            self.latest_values(&after),
            "who reads committed records ends with the same values"
        );
        if pass.next > pass.from {
            self.assert_kept(&Step {
                pass,
                now_ms,
                before: &self.records,
                after: &after,
                forgets_transactions,
            });
            // Segments are cleaned whole: up to the end of the one where the map was full.
            let bases = pass.segments();
            let end = bases.iter().find(|base| **base >= pass.next);
            let horizon_ms = now_ms + self.delete_retention_ms;
            self.horizons
                .push((*end.expect("the active one"), horizon_ms));
        } else {
            assert_eq!(after, self.records, "nothing to clean, nothing changed");
        }
        self.next = pass.next;
        self.bases = pass.segments();
        self.records = after;
        forgets_transactions
    }

    /// What the last pass left, or what was written.
    pub fn records(&self) -> &BTreeMap<i64, Kept> {
        &self.records
    }

    /// The value of each key, as somebody who reads all and skips what was aborted has it.
    fn latest_values<'r>(&self, records: &'r Records) -> BTreeMap<&'r str, &'r str> {
        let mut values = BTreeMap::new();
        let readable = records.range(self.log_start..);
        let counting = readable.filter(|(at, of)| self.counts(**at, of));
        for (_, record) in counting {
            if record.is_tombstone() {
                values.remove(record.key.as_str());
            } else {
                values.insert(record.key.as_str(), record.value.as_str());
            }
        }
        values
    }

    fn counts(&self, offset: i64, record: &Kept) -> bool {
        record.has_key() && !self.written[&offset].aborted
    }

    /// What was cleaned in a pass is as it must be, record by record.
    fn assert_kept(&self, step: &Step<'_>) {
        let latest = self.latest_offsets(step, |_| true);
        // The part that lies beyond where the map was full has some keys in the map as well.
        let latest_ever = {
            let all = step.before.iter().filter(|(at, of)| self.counts(**at, of));
            all.map(|(offset, record)| (record.key.as_str(), *offset))
                .collect::<HashMap<_, _>>()
        };
        let latest_surely = self.latest_offsets(step, |offset| {
            !(step.forgets_transactions && self.written[&offset].transactional)
        });
        let is_full = step.pass.next < step.pass.uncleanable;
        for (offset, record) in step.before {
            if *offset < self.log_start {
                // Nobody reads there.
                continue;
            }
            let is_kept = step.after.contains_key(offset);
            let key = record.key.as_str();
            if *offset >= step.pass.next {
                // Segments are cleaned whole, and what was aborted goes wherever it is.
                let may_go = self.written[offset].aborted;
                assert!(is_kept || may_go, "{offset} is beyond what was cleaned");
            } else if !self.counts(*offset, record) {
                assert!(!is_kept, "{offset} was aborted, or has no key");
            } else if latest[key] != *offset {
                let surely = latest_surely.get(key).is_some_and(|latest| latest > offset);
                assert!(!(is_kept && surely), "{offset} is not the latest of {key}");
            } else if record.is_tombstone() && self.written[offset].old {
                // Goes by when files were changed, which the model knows nothing of.
            } else if !is_full || latest_ever[key] == *offset {
                assert_eq!(
                    is_kept,
                    !record.is_tombstone() || !self.is_over(*offset, step.now_ms),
                    "{offset} is the latest of {key}; {record:?} at {}",
                    step.now_ms
                );
            }
        }
    }

    /// Whether the life of the tombstone at `offset` is over. The first pass that saw it gave it
    /// its horizon, and no later one changed it.
    fn is_over(&self, offset: i64, now_ms: i64) -> bool {
        let horizon = self.horizons.iter().find(|(end, _)| offset < *end);
        horizon.is_some_and(|(_, horizon_ms)| *horizon_ms <= now_ms)
    }

    /// For each key the offset of its last record that was cleaned in a pass and that `is_seen`.
    fn latest_offsets<'r>(
        &self,
        step: &Step<'r>,
        is_seen: impl Fn(i64) -> bool,
    ) -> HashMap<&'r str, i64> {
        let cleaned = step.before.range(..step.pass.next);
        cleaned
            .filter(|(offset, record)| self.counts(**offset, record) && is_seen(**offset))
            .map(|(offset, record)| (record.key.as_str(), *offset))
            .collect()
    }
}

fn kept(record: &Written) -> Kept {
    let text = |bytes: &Option<Vec<u8>>| match bytes {
        Some(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\"{digits}\"")
        }
        None => "null".to_owned(),
    };
    Kept {
        key: text(&record.key),
        value: text(&record.value),
    }
}
