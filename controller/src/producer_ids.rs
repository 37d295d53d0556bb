//! Blocks of producer ids. A broker takes a block and hands its ids out one by one; what it did
//! not hand out before it stopped is lost, so that no id is ever given out twice.

use std::ops::Range;

use protocol::error::ErrorCode;
use protocol::ids::{BrokerEpoch, BrokerId};

use crate::decision::{Decision, Refusal};
use crate::image::Image;
use crate::record::{ProducerIdsRecord, Record};

/// How many ids a block has.
pub const BLOCK_SIZE: i64 = 1000;

/// The next block, for one broker.
pub fn next_block(
    image: &Image,
    broker: BrokerId,
    epoch: BrokerEpoch,
) -> Result<Decision<Range<i64>>, Refusal> {
    let first = image.next_producer_id().0;
    let Some(next) = first.checked_add(BLOCK_SIZE) else {
        return Err(Refusal::new(
            ErrorCode::UnknownServerError,
            "Exhausted all producerIds as the next block's end producerId \
             has exceeded the int64 type limit",
        ));
    };
    let record = Record::ProducerIds(ProducerIdsRecord {
        broker_id: broker.0,
        broker_epoch: epoch.0,
        next_producer_id: next,
    });
    Ok(Decision {
        records: vec![record],
        outcome: first..next,
    })
}
