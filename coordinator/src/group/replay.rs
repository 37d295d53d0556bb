//! The log read back: records become groups and offsets again.

use std::rc::Rc;

use protocol::batch::control::TransactionResult;
use protocol::ids::{Offset, ProducerId};

use super::Groups;
use super::record::{self, Key};
use crate::machine::{BatchOrigin, ReplayError};

impl Groups {
    /// Takes in one record.
    pub(super) fn replay_record(
        &mut self,
        origin: &BatchOrigin,
        at: Offset,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), ReplayError> {
        match Key::decode(key)? {
            Key::Offset(key) => {
                let committed = value.map(record::decode_offset).transpose()?;
                let (topic, partition) = (&*key.topic, key.partition);
                let id: Rc<str> = (&*key.group).into();
                let offsets = &mut self.groups.entry(id.clone()).or_default().offsets;
                match (origin.producer, committed) {
                    (None, Some(committed)) => offsets.put(topic, partition, at, committed),
                    (None, None) => offsets.remove(topic, partition, at),
                    (Some(producer), committed) => {
                        offsets.replay_in_transaction(producer.id, topic, partition, at, committed);
                        self.transactions.entry(producer.id).or_default().insert(id);
                    }
                }
            }
            Key::Group(_) => {}
        }
        Ok(())
    }

    /// A producer's transaction has ended: its offsets hold, or never did.
    pub(super) fn end_transaction(&mut self, producer: ProducerId, result: TransactionResult) {
        let Some(mut groups) = self.transactions.remove(&producer) else {
            return;
        };
        groups.retain(|id| {
            let group = self.groups.get_mut(id);
            group.is_some_and(|group| !group.offsets.end_transaction(producer, result))
        });
        if !groups.is_empty() {
            self.transactions.insert(producer, groups);
        }
    }
}
