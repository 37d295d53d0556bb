//! A client that uses a transactional id, perhaps while others use it too: what it may ask next.

use std::collections::BTreeSet;

use coordinator::machine::{Producer, Token};
use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;

use crate::chance::Chance;

/// Whom it asks for what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    Init(Option<Producer>),
    Add(Producer, BTreeSet<usize>),
    Verify(Producer, usize),
    End(Producer, TransactionResult),
    /// The other end for the transaction whose end it was just told of.
    EndOtherwise(Producer, TransactionResult),
}

#[derive(Default)]
pub struct Client {
    pub producer: Option<Producer>,
    /// How many transactions it has begun.
    pub transactions: u64,
    /// The partitions that it knows to be in the transaction.
    pub added: BTreeSet<usize>,
    /// What it asked to be ended so, and has to ask again until it is told.
    pub ending: Option<TransactionResult>,
    /// How the transaction before ended, if it has asked for nothing since.
    pub ended: Option<TransactionResult>,
    pub waits_for: Option<(Token, Ask)>,
}

impl Client {
    /// What it does next, if it does not wait. One that was replaced comes back after a while.
    pub fn next(&mut self, chance: &mut Chance, partitions: usize) -> Option<Ask> {
        let Some(producer) = self.producer else {
            return chance.percent(20).then_some(Ask::Init(None));
        };
        if let Some(result) = self.ending {
            return Some(Ask::End(producer, result));
        }
        if let Some(ended) = self.ended.take()
            && chance.percent(10)
        {
            return Some(Ask::EndOtherwise(producer, other(ended)));
        }
        Some(match chance.below(100) {
            0..=1 => Ask::Init(Some(producer)),
            2 => Ask::Init(None),
            3..=39 => {
                let count = 1 + chance.below(3);
                let added = (0..count).map(|_| chance.below(partitions)).collect();
                Ask::Add(producer, added)
            }
            40..=84 => Ask::Verify(producer, chance.below(partitions)),
            n => {
                let result = match n {
                    85..=93 => TransactionResult::Commit,
                    _ => TransactionResult::Abort,
                };
                self.ending = Some(result);
                Ask::End(producer, result)
            }
        })
    }

    /// It was refused.
    pub fn refused(&mut self, ask: &Ask, error: ErrorCode) {
        match error {
            // Somebody took its place.
            ErrorCode::ProducerFenced | ErrorCode::InvalidProducerIdMapping => {
                *self = Client {
                    transactions: self.transactions,
                    ..Client::default()
                };
            }
            ErrorCode::InvalidTxnState if matches!(ask, Ask::End(..)) => self.begin_another(),
            _ => {}
        }
    }

    /// The transaction is over for it.
    pub fn begin_another(&mut self) {
        self.transactions += 1;
        self.added.clear();
        self.ending = None;
    }
}

/// The end that it was not.
fn other(result: TransactionResult) -> TransactionResult {
    match result {
        TransactionResult::Commit => TransactionResult::Abort,
        TransactionResult::Abort => TransactionResult::Commit,
    }
}
