//! DescribeTransactions: what the coordinator knows of transactional ids (KIP-664). In a long answer an
//! id that was named before is not told of again: a transaction may be much larger than its id.

use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;

use coordinator::transaction::{Reply, Request as Asked};
use protocol::messages::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TransactionState,
};

use super::names::TOLD_AGAIN_BYTES_MAX;
use super::walk::breathe;
use crate::coordination::transactions;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers a DescribeTransactions request.
pub async fn describe_transactions(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DescribeTransactionsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let ids = &body.transactional_ids;
    let (mut seen, mut told) = (HashSet::new(), 0);
    let version = request.version();
    let mut encoder = request.begin_reply();
    let response = DescribeTransactionsResponse::default();
    response.begin(&mut encoder, version, ids.len());
    let begins_at = encoder.len();
    for (n, id) in ids.iter().enumerate() {
        if seen.insert(&**id) || encoder.len() < TOLD_AGAIN_BYTES_MAX {
            describe(&shard, id).await.write(&mut encoder, version);
            told += 1;
        }
        breathe(n).await;
    }
    encoder.recount(begins_at, ids.len(), told);
    response.end_transaction_states(&mut encoder, version);
    request.finish_reply(encoder)
}

async fn describe(shard: &Rc<Shard>, id: &str) -> TransactionState<'static> {
    match transactions::ask(shard, id, Asked::Describe(id.into())).await {
        Ok(Reply::Described(state)) => state,
        Ok(other) => unreachable!("an id is described, not {other:?}"),
        Err(error) => TransactionState {
            error_code: error.code(),
            transactional_id: Cow::Owned(id.to_owned()),
            ..Default::default()
        },
    }
}
