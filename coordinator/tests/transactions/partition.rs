//! A partition of a topic as far as transactions go: who may write, what is open, which markers
//! came. The rules are those of a log of Kafka 3.9 (see the engine's producer table).

use std::collections::BTreeMap;

use coordinator::machine::Producer;
use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, ProducerEpoch, ProducerId};

/// Which of a producer's transactions: the client, and its number there.
pub type Tag = (usize, u64);

#[derive(Default)]
pub struct Partition {
    /// Raised when the topic is deleted; None while there is none.
    pub incarnation: u64,
    pub exists: bool,
    known: BTreeMap<ProducerId, Known>,
    pub log: Vec<Entry>,
    next_guard: u64,
}

struct Known {
    epoch: ProducerEpoch,
    coordinator_epoch: LeaderEpoch,
    is_open: bool,
    /// Of a verification under way, or done and not used yet.
    guard: Option<u64>,
}

pub enum Entry {
    Data { producer: Producer, tag: Tag },
    Marker(Producer, TransactionResult),
}

impl Partition {
    pub fn delete(&mut self) {
        self.exists = false;
        self.known.clear();
        self.log.clear();
    }

    pub fn create(&mut self) {
        self.exists = true;
        self.incarnation += 1;
    }

    fn known(&mut self, id: ProducerId) -> &mut Known {
        self.known.entry(id).or_insert(Known {
            epoch: ProducerEpoch::NONE,
            coordinator_epoch: LeaderEpoch::NONE,
            is_open: false,
            guard: None,
        })
    }

    /// What a producer needs to write: nothing if its transaction has written here, or the guard
    /// of a verification that begins now.
    pub fn begin_verification(&mut self, id: ProducerId) -> Option<u64> {
        self.next_guard += 1;
        let guard = self.next_guard;
        let known = self.known(id);
        if known.is_open {
            return None;
        }
        Some(*known.guard.get_or_insert(guard))
    }

    pub fn write(&mut self, producer: Producer, guard: Option<u64>, tag: Tag) -> bool {
        let known = self.known(producer.id);
        let verified = known.is_open || (guard.is_some() && guard == known.guard);
        if !verified || producer.epoch < known.epoch {
            return false;
        }
        known.epoch = producer.epoch;
        known.is_open = true;
        known.guard = None;
        self.log.push(Entry::Data { producer, tag });
        true
    }

    pub fn mark(
        &mut self,
        producer: Producer,
        result: TransactionResult,
        coordinator_epoch: LeaderEpoch,
    ) -> ErrorCode {
        if !self.exists {
            return ErrorCode::UnknownTopicOrPartition;
        }
        let known = self.known(producer.id);
        if producer.epoch < known.epoch {
            return ErrorCode::InvalidProducerEpoch;
        }
        if coordinator_epoch < known.coordinator_epoch {
            return ErrorCode::TransactionCoordinatorFenced;
        }
        known.epoch = producer.epoch;
        known.coordinator_epoch = coordinator_epoch;
        known.is_open = false;
        known.guard = None;
        self.log.push(Entry::Marker(producer, result));
        ErrorCode::None
    }

    /// Guards are not stored.
    pub fn forget_verifications(&mut self) {
        for known in self.known.values_mut() {
            known.guard = None;
        }
    }

    pub fn has_open_transaction_of(&self, id: ProducerId) -> bool {
        self.known.get(&id).is_some_and(|known| known.is_open)
    }

    pub fn has_open_transaction(&self) -> bool {
        self.known.values().any(|known| known.is_open)
    }

    /// How each transaction that wrote here ended.
    pub fn outcomes(&self) -> Vec<(Tag, Option<TransactionResult>)> {
        let mut outcomes = Vec::new();
        for (at, entry) in self.log.iter().enumerate() {
            let Entry::Data { producer, tag } = entry else {
                continue;
            };
            let marker = self.log[at..].iter().find_map(|later| match later {
                Entry::Marker(of, result) if of.id == producer.id => Some(*result),
                _ => None,
            });
            outcomes.push((*tag, marker));
        }
        outcomes
    }
}
