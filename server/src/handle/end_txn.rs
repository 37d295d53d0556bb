//! EndTxn: a producer commits or aborts its transaction (KIP-98).

use std::rc::Rc;

use coordinator::machine::Producer;
use coordinator::transaction::Request as Asked;
use protocol::batch::control::TransactionResult;
use protocol::error::ErrorCode;
use protocol::ids::{ProducerEpoch, ProducerId};
use protocol::messages::end_txn::{EndTxnRequest, EndTxnResponse};

use super::init_producer_id::known_to;
use crate::coordination::transactions;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Clients of versions from this one know PRODUCER_FENCED.
const FENCED_SINCE: i16 = 2;

/// Answers an EndTxn request.
pub async fn end_txn(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(EndTxnRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let asked = Asked::EndTransaction {
        transactional_id: body.transactional_id.as_ref().into(),
        producer: Producer {
            id: ProducerId(body.producer_id),
            epoch: ProducerEpoch(body.producer_epoch),
        },
        result: match body.committed {
            true => TransactionResult::Commit,
            false => TransactionResult::Abort,
        },
    };
    let ended = transactions::ask(&shard, &body.transactional_id, asked).await;
    let error = ended.err().unwrap_or(ErrorCode::None);
    let response = EndTxnResponse {
        error_code: known_to(error, request.version(), FENCED_SINCE).code(),
        ..Default::default()
    };
    request.reply(&response, EndTxnResponse::encode)
}
