//! InitProducerId: an id for an idempotent producer (KIP-98, KIP-360).

use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

const NO_PRODUCER_ID: i64 = -1;
const NO_PRODUCER_EPOCH: i16 = -1;

/// Answers an InitProducerId request.
pub async fn init_producer_id(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(InitProducerIdRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let has_id = body.producer_id != NO_PRODUCER_ID;
    let has_epoch = body.producer_epoch != NO_PRODUCER_EPOCH;
    let given = match &body.transactional_id {
        _ if has_id != has_epoch => Err(ErrorCode::InvalidRequest),
        Some(id) if id.is_empty() => Err(ErrorCode::InvalidRequest),
        // A transactional id needs a transaction coordinator, which this node does not have yet.
        Some(_) => Err(ErrorCode::CoordinatorNotAvailable),
        None => shard.producer_ids.next(&shard).await,
    };
    let response = match given {
        Ok(id) => InitProducerIdResponse {
            producer_id: id.0,
            producer_epoch: 0,
            ..Default::default()
        },
        Err(error) => InitProducerIdResponse {
            error_code: error.code(),
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            ..Default::default()
        },
    };
    request.reply(&response, InitProducerIdResponse::encode)
}
