//! Which transactions are under way while batches go by in order: records of aborted ones go, and
//! a marker may go once nothing is left of its transaction.
//!
//! Pure. A producer has at most one transaction at a time.

use crate::txn_index::Entry;
use protocol::batch::BatchView;
use protocol::batch::control::ControlType;
use protocol::ids::{Offset, ProducerId};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;

/// The aborted transactions of a whole log, by the segment whose index has them.
#[derive(Debug, Default)]
pub(crate) struct AbortedInLog {
    entries: Vec<(Offset, Entry)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// Aborted ones that have not begun yet, by first offset.
    coming: BTreeMap<Offset, VecDeque<Entry>>,
    aborted: HashMap<ProducerId, Ongoing>,
    committed: HashSet<ProducerId>,
}

#[derive(Debug)]
struct Ongoing {
    entry: Entry,
    /// A batch of it was seen.
    seen: bool,
}

/// What a control batch means for its transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MarkerVerdict {
    /// Nothing of its transaction is left.
    pub(crate) may_go: bool,
    /// It stays in the index of aborted transactions.
    pub(crate) aborted: Option<Entry>,
}

impl AbortedInLog {
    /// Takes a segment's index.
    pub(crate) fn add(&mut self, segment: Offset, entries: impl Iterator<Item = Entry>) {
        self.entries.extend(entries.map(|entry| (segment, entry)));
    }

    /// Those with records in a range that begins in a segment.
    pub(crate) fn within(&self, segment: Offset, from: Offset, below: Offset) -> Vec<Entry> {
        let mut found = Vec::new();
        for (_, entry) in self.entries.iter().filter(|(at, _)| *at >= segment) {
            if entry.last_offset >= from && entry.aborted.first_offset < below {
                found.push(*entry);
            }
            if entry.last_stable_offset >= below {
                break;
            }
        }
        found
    }
}

impl Transactions {
    /// These may begin in what comes.
    pub(crate) fn expect(&mut self, aborted: Vec<Entry>) {
        for entry in aborted {
            let first = entry.aborted.first_offset;
            self.coming.entry(first).or_default().push_back(entry);
        }
    }

    /// A batch of data goes by. Whether it is part of an aborted transaction.
    pub(crate) fn on_data(&mut self, batch: &BatchView<'_>) -> bool {
        self.begin_up_to(batch.header.last_offset());
        if !batch.header.attributes.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&batch.header.producer_id) {
            Some(ongoing) => {
                ongoing.seen = true;
                true
            }
            None => {
                self.committed.insert(batch.header.producer_id);
                false
            }
        }
    }

    /// A control batch goes by.
    pub(crate) fn on_control(&mut self, batch: &BatchView<'_>) -> io::Result<MarkerVerdict> {
        self.begin_up_to(batch.header.last_offset());
        let stays = MarkerVerdict {
            may_go: false,
            aborted: None,
        };
        let goes = MarkerVerdict {
            may_go: true,
            ..stays
        };
        let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let Some(record) = batch.records().map_err(damaged)?.next() else {
            return Ok(goes);
        };
        let record = record.map_err(damaged)?;
        let producer = batch.header.producer_id;
        Ok(match ControlType::from_key(record.key.unwrap_or(&[])) {
            Some(ControlType::Abort) => match self.aborted.remove(&producer) {
                Some(ongoing) if ongoing.seen => MarkerVerdict {
                    aborted: Some(ongoing.entry),
                    ..stays
                },
                _ => goes,
            },
            Some(ControlType::Commit) => match self.committed.remove(&producer) {
                true => stays,
                false => goes,
            },
            _ => stays,
        })
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while let Some(first) = self.coming.first_entry()
            && *first.key() <= offset
        {
            for entry in first.remove() {
                let new = Ongoing { entry, seen: false };
                self.aborted.entry(entry.aborted.producer_id).or_insert(new);
            }
        }
    }
}
