//! DescribeTransactions: what the coordinator knows of transactional ids (KIP-664).

use std::borrow::Cow;
use std::rc::Rc;

use coordinator::transaction::{Reply, Request as Asked};
use protocol::messages::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TransactionState,
};

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
    let mut transaction_states = Vec::with_capacity(body.transactional_ids.len());
    for id in &body.transactional_ids {
        transaction_states.push(describe(&shard, id).await);
    }
    let response = DescribeTransactionsResponse {
        transaction_states,
        ..Default::default()
    };
    request.reply(&response, DescribeTransactionsResponse::encode)
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
