//! The offsets of one group: what is committed, what is on its way to the log, and what stands in
//! transactions that are open.
//!
//! What holds is decided by the place in the log: of two values for a partition the one that was
//! appended later, whatever came to be known first; a value in a transaction counts by its own
//! place, not by its marker's. So what is in memory is always what a replay of the log gives.

use std::collections::{BTreeMap, BTreeSet};

use protocol::batch::control::TransactionResult;
use protocol::ids::{LeaderEpoch, Offset, ProducerId, TimestampMs};

use super::per_partition::PerPartition;
use crate::machine::WriteId;

/// A topic and partition.
type OwnedPlace = (String, i32);

/// What a member commits for a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    /// The next record to be consumed.
    pub offset: Offset,
    /// The leader epoch of the last record consumed, -1 if not known (KIP-320).
    pub leader_epoch: LeaderEpoch,
    /// What the member wants to remember; empty for nothing.
    pub metadata: Box<str>,
    /// When it was committed.
    pub commit_timestamp: TimestampMs,
    /// When it expires, if the client said so (OffsetCommit versions 2 to 4).
    pub expire_timestamp: Option<TimestampMs>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct InLog {
    at: Offset,
    value: CommittedOffset,
}

/// At least one of the two is there.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct InTransaction {
    /// What the log has.
    stored: Option<InLog>,
    /// The latest write under way.
    pending: Option<WriteId>,
}

impl InTransaction {
    fn is_nothing(&self) -> bool {
        self.stored.is_none() && self.pending.is_none()
    }
}

/// See the module.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Offsets {
    committed: PerPartition<InLog>,
    /// The latest write under way for each partition.
    pending: PerPartition<WriteId>,
    transactions: BTreeMap<ProducerId, PerPartition<InTransaction>>,
}

impl Offsets {
    /// A commit is on its way to the log.
    pub fn begin(&mut self, topic: &str, partition: i32, write: WriteId) {
        self.pending.insert(topic, partition, write);
    }

    /// A commit that was on its way is in the log at `at`, or is not.
    pub fn finish(
        &mut self,
        topic: &str,
        partition: i32,
        write: WriteId,
        stored: Option<(Offset, CommittedOffset)>,
    ) {
        if self.pending.get(topic, partition) == Some(&write) {
            self.pending.remove(topic, partition);
        }
        if let Some((at, value)) = stored {
            self.put(topic, partition, at, value);
        }
    }

    /// The log has this value at `at`. A batch has one place: of two values in it the later holds.
    pub fn put(&mut self, topic: &str, partition: i32, at: Offset, value: CommittedOffset) {
        let newer = self.committed.get(topic, partition);
        if newer.is_none_or(|known| known.at <= at) {
            self.committed.insert(topic, partition, InLog { at, value });
        }
    }

    /// The log has a tombstone at `at`. What stands before it in open transactions goes too.
    pub fn remove(&mut self, topic: &str, partition: i32, at: Offset) {
        let known = self.committed.get(topic, partition);
        if known.is_some_and(|known| known.at < at) {
            self.committed.remove(topic, partition);
        }
        for offsets in self.transactions.values_mut() {
            let Some(open) = offsets.get_mut(topic, partition) else {
                continue;
            };
            open.stored.take_if(|stored| stored.at < at);
            if open.is_nothing() {
                offsets.remove(topic, partition);
            }
        }
        self.transactions.retain(|_, offsets| !offsets.is_empty());
    }

    /// A commit within a transaction is on its way to the log.
    pub fn begin_in_transaction(
        &mut self,
        producer: ProducerId,
        topic: &str,
        partition: i32,
        write: WriteId,
    ) {
        let change = |open: &mut InTransaction| open.pending = Some(write);
        self.change_in_transaction(producer, topic, partition, change);
    }

    /// A commit within a transaction is in the log, or is not.
    pub fn finish_in_transaction(
        &mut self,
        producer: ProducerId,
        topic: &str,
        partition: i32,
        write: WriteId,
        stored: Option<(Offset, CommittedOffset)>,
    ) {
        let change = |open: &mut InTransaction| {
            if open.pending == Some(write) {
                open.pending = None;
            }
            if let Some((at, value)) = stored {
                open.stored = Some(InLog { at, value });
            }
        };
        self.change_in_transaction(producer, topic, partition, change);
    }

    /// The log has this value at `at`, within a transaction; or a tombstone, which takes the
    /// transaction's value back.
    pub fn replay_in_transaction(
        &mut self,
        producer: ProducerId,
        topic: &str,
        partition: i32,
        at: Offset,
        value: Option<CommittedOffset>,
    ) {
        let stored = value.map(|value| InLog { at, value });
        let change = |open: &mut InTransaction| open.stored = stored;
        self.change_in_transaction(producer, topic, partition, change);
    }

    fn change_in_transaction(
        &mut self,
        producer: ProducerId,
        topic: &str,
        partition: i32,
        change: impl FnOnce(&mut InTransaction),
    ) {
        let offsets = self.transactions.entry(producer).or_default();
        if offsets.get(topic, partition).is_none() {
            offsets.insert(topic, partition, InTransaction::default());
        }
        let open = offsets.get_mut(topic, partition).expect("it is there");
        change(open);
        if open.is_nothing() {
            offsets.remove(topic, partition);
        }
        if offsets.is_empty() {
            self.transactions.remove(&producer);
        }
    }

    /// A producer's transaction has ended. What of it is not in the log yet is part of none that
    /// has ended. Answers whether the producer has nothing here any more.
    pub fn end_transaction(&mut self, producer: ProducerId, result: TransactionResult) -> bool {
        let ended = self.transactions.remove(&producer).unwrap_or_default();
        for (topic, partition, open) in ended.iter() {
            if let (TransactionResult::Commit, Some(stored)) = (result, &open.stored) {
                self.put(topic, partition, stored.at, stored.value.clone());
            }
            if let Some(write) = open.pending {
                self.begin_in_transaction(producer, topic, partition, write);
            }
        }
        !self.has_producer(producer)
    }

    /// Whether a producer has something in an open transaction here.
    pub fn has_producer(&self, producer: ProducerId) -> bool {
        self.transactions.contains_key(&producer)
    }

    /// The producers with something in an open transaction here.
    pub fn producers(&self) -> Vec<ProducerId> {
        self.transactions.keys().copied().collect()
    }

    /// What is committed for a partition.
    pub fn committed(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        let known = self.committed.get(topic, partition);
        known.map(|known| &known.value)
    }

    /// All that is committed, in order, from a topic's partition on.
    pub fn all_from<'a>(
        &'a self,
        topic: &'a str,
        partition: i32,
    ) -> impl Iterator<Item = (&'a str, i32, &'a CommittedOffset)> {
        let all = self.committed.iter_from(topic, partition);
        all.map(|(topic, partition, known)| (topic, partition, &known.value))
    }

    /// All that is committed, in order.
    pub fn all(&self) -> impl Iterator<Item = (&str, i32, &CommittedOffset)> {
        self.all_from("", i32::MIN)
    }

    /// The partitions of a topic that have an offset, or may come to have one by what is under way.
    pub fn of_topic(&self, topic: &str) -> Vec<i32> {
        let mut partitions: Vec<i32> = self.committed.of_topic(topic).collect();
        partitions.extend(self.pending.of_topic(topic));
        for offsets in self.transactions.values() {
            partitions.extend(offsets.of_topic(topic));
        }
        partitions.sort_unstable();
        partitions.dedup();
        partitions
    }

    /// The partitions that have an offset, about so many from a topic's partition on, and with them
    /// those that may come to have one by what is under way; and where there are more.
    pub fn known_from(
        &self,
        topic: &str,
        partition: i32,
        count_max: usize,
    ) -> (Vec<OwnedPlace>, Option<OwnedPlace>) {
        let owned = |(topic, partition): (&str, i32)| (topic.to_owned(), partition);
        let mut committed = self.committed.iter_from(topic, partition);
        let some = committed.by_ref().take(count_max);
        let some: Vec<(&str, i32)> = some.map(|(topic, p, _)| (topic, p)).collect();
        let next = committed.next().map(|(topic, p, _)| (topic, p));
        let pending = self.pending.iter().map(|(topic, p, _)| (topic, p));
        let transactions = self.transactions.values();
        let open = transactions.flat_map(|offsets| offsets.iter().map(|(topic, p, _)| (topic, p)));
        let is_between =
            |at: &(&str, i32)| *at >= (topic, partition) && next.is_none_or(|next| *at < next);
        let under_way = pending.chain(open).filter(is_between);
        let all: BTreeSet<(&str, i32)> = some.into_iter().chain(under_way).collect();
        (all.into_iter().map(owned).collect(), next.map(owned))
    }

    /// Whether a partition has an offset, or may come to have one by what is under way.
    pub fn is_known(&self, topic: &str, partition: i32) -> bool {
        self.committed(topic, partition).is_some() || self.is_unstable(topic, partition)
    }

    /// Whether a commit is on its way to the log, outside of transactions.
    pub fn is_on_its_way(&self, topic: &str, partition: i32) -> bool {
        self.pending.get(topic, partition).is_some()
    }

    /// Whether what is committed may be replaced at any moment by what is under way (KIP-447).
    pub fn is_unstable(&self, topic: &str, partition: i32) -> bool {
        let mut transactions = self.transactions.values();
        self.is_on_its_way(topic, partition)
            || transactions.any(|offsets| offsets.get(topic, partition).is_some())
    }

    /// Whether nothing is committed or under way.
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty() && self.transactions.is_empty()
    }
}
