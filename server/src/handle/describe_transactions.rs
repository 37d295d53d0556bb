//! DescribeTransactions: what the coordinator knows of transactional ids (KIP-664). Who names an id
//! twice is told of it once: a transaction may be much larger than its id.

use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;

use coordinator::transaction::{Reply, Request as Asked};
use protocol::messages::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TransactionState,
};

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
    let mut seen = HashSet::new();
    let ids = body.transactional_ids.iter().map(|id| &**id);
    let ids: Vec<&str> = ids.filter(|id| seen.insert(*id)).collect();
    let version = request.version();
    let mut encoder = request.begin_reply();
    let response = DescribeTransactionsResponse::default();
    response.begin(&mut encoder, version, ids.len());
    for (n, id) in ids.into_iter().enumerate() {
        describe(&shard, id).await.write(&mut encoder, version);
        breathe(n).await;
    }
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
