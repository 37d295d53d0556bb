//! The question "append these batches" to the shard that owns the partitions.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use engine::append::Origin;
use protocol::error::ErrorCode;

use crate::gather::Gather;
use crate::mail::{Done, Question};
use crate::partition::{Acks, AppendOutcome, AppendWait, PartitionKey};
use crate::shard::Shard;

/// One partition's part of a produce request.
pub struct AppendPart {
    /// Where to.
    pub key: PartitionKey,
    /// A record set of format 2, as it came.
    pub batches: Bytes,
    /// What the client may write.
    pub origin: Origin,
}

/// One produce request's parts for one shard; answered with an outcome a part, in order.
pub struct AppendQuestion {
    /// When a part counts as done.
    pub acks: Acks,
    /// When an acks=all wait ends.
    pub deadline: Instant,
    /// The parts.
    pub parts: Vec<AppendPart>,
}

impl Question for AppendQuestion {
    type Answer = Vec<AppendOutcome>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Vec<AppendOutcome>>) {
        let gather = Gather::new(self.parts.len(), |outcomes| done.put(outcomes));
        self.append(shard, &gather);
    }
}

impl AppendQuestion {
    /// Appends each part; its outcome goes into its slot.
    pub fn append(self, shard: &Rc<Shard>, gather: &Rc<Gather<AppendOutcome>>) {
        for (slot, part) in self.parts.into_iter().enumerate() {
            let refused = match shard.partition(&part.key) {
                // Its log could not be opened; or whoever asks had not heard yet that it is gone.
                None if shard.node.offline.contains(&part.key) => {
                    Some(ErrorCode::KafkaStorageError)
                }
                None => Some(ErrorCode::UnknownTopicOrPartition),
                Some(partition) => {
                    let in_sync = match self.acks {
                        Acks::All => partition.require_in_sync(),
                        Acks::None | Acks::Leader => Ok(()),
                    };
                    match in_sync {
                        Err(error) => Some(error),
                        Ok(()) => {
                            let wait = AppendWait {
                                acks: self.acks,
                                deadline: self.deadline,
                                gather: gather.clone(),
                                slot,
                            };
                            partition.append(part.batches, part.origin, wait);
                            None
                        }
                    }
                }
            };
            if let Some(error) = refused {
                gather.put(slot, AppendOutcome::refused(error));
            }
        }
    }
}
