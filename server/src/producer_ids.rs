//! Producer ids for one shard's clients, from blocks that the metadata log gives out (KIP-730).
//!
//! Invariant: no id is given twice, also across restarts: a block that was begun is not reused.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::ids::ProducerId;

use crate::metadata_log::Change;
use crate::shard::{METADATA_SHARD, Shard};

/// What is left of the shard's block.
#[derive(Default)]
pub struct ProducerIds {
    left: RefCell<Range<i64>>,
}

impl ProducerIds {
    /// The next id; asks for a new block if this one is used up.
    pub async fn next(&self, shard: &Rc<Shard>) -> Result<ProducerId, ErrorCode> {
        loop {
            if let Some(id) = self.left.borrow_mut().next() {
                return Ok(ProducerId(id));
            }
            let node = shard.node.clone();
            let change = Change::new(move |image| {
                let epoch = node.broker_epoch(image);
                controller::producer_ids::next_block(image, node.broker_id, epoch)
            });
            let block = shard
                .ask(METADATA_SHARD, change)
                .await
                .map_err(|refusal| refusal.code)?;
            // Two askers may each get a block; the rest of the one that is replaced is not used.
            *self.left.borrow_mut() = block;
        }
    }
}
