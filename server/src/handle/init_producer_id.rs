//! InitProducerId: an id for an idempotent producer, or the id and epoch of a transactional one
//! (KIP-98, KIP-360).

use std::rc::Rc;

use coordinator::machine::Producer;
use coordinator::transaction::{Reply, Request as Asked};
use protocol::error::ErrorCode;
use protocol::ids::{ProducerEpoch, ProducerId};
use protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use crate::coordination::transactions;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Clients of versions from this one know PRODUCER_FENCED.
const FENCED_SINCE: i16 = 4;

/// Answers an InitProducerId request.
pub async fn init_producer_id(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(InitProducerIdRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let response = match initialise(&shard, &body).await {
        Ok(producer) => InitProducerIdResponse {
            producer_id: producer.id.0,
            producer_epoch: producer.epoch.0,
            ..Default::default()
        },
        Err(error) => InitProducerIdResponse {
            error_code: known_to(error, request.version(), FENCED_SINCE).code(),
            producer_id: ProducerId::NONE.0,
            producer_epoch: ProducerEpoch::NONE.0,
            ..Default::default()
        },
    };
    request.reply(&response, InitProducerIdResponse::encode)
}

async fn initialise(
    shard: &Rc<Shard>,
    body: &InitProducerIdRequest<'_>,
) -> Result<Producer, ErrorCode> {
    let given = Producer {
        id: ProducerId(body.producer_id),
        epoch: ProducerEpoch(body.producer_epoch),
    };
    let expected = match (given.id, given.epoch) {
        (ProducerId::NONE, ProducerEpoch::NONE) => None,
        (ProducerId::NONE, _) | (_, ProducerEpoch::NONE) => return Err(ErrorCode::InvalidRequest),
        _ => Some(given),
    };
    let Some(transactional_id) = &body.transactional_id else {
        let id = shard.producer_ids.next(shard).await?;
        let epoch = ProducerEpoch(0);
        return Ok(Producer { id, epoch });
    };
    let asked = Asked::InitProducerId {
        transactional_id: transactional_id.as_ref().into(),
        timeout_ms: body.transaction_timeout_ms,
        expected,
    };
    match transactions::ask(shard, transactional_id, asked).await? {
        Reply::Producer(producer) => Ok(producer),
        other => unreachable!("a producer is initialised, not {other:?}"),
    }
}

/// PRODUCER_FENCED for those who know it, INVALID_PRODUCER_EPOCH for those before.
pub fn known_to(error: ErrorCode, version: i16, fenced_since: i16) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced if version < fenced_since => ErrorCode::InvalidProducerEpoch,
        error => error,
    }
}
