//! ListTransactions: all transactional ids of this node, or those that pass filters (KIP-664,
//! KIP-994).

use std::rc::Rc;

use controller::topic_name::TRANSACTION_STATE;
use coordinator::transaction::{ListFilter, Reply, Request as Asked};
use protocol::error::ErrorCode;
use protocol::ids::ProducerId;
use protocol::messages::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse, TransactionState,
};

use crate::coordination::{consult_each, transactions::Transactions};
use crate::partition::PartitionKey;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers a ListTransactions request.
pub async fn list_transactions(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(ListTransactionsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let producers = body.producer_id_filters.iter().copied().map(ProducerId);
    let states = body.state_filters.iter().map(AsRef::as_ref);
    let (filter, unknown) = ListFilter::new(producers, states, body.duration_filter);
    let response = match list(&shard, &filter).await {
        Ok(transaction_states) => ListTransactionsResponse {
            unknown_state_filters: unknown.into_iter().map(Into::into).collect(),
            transaction_states,
            ..Default::default()
        },
        Err(error) => ListTransactionsResponse {
            error_code: error.code(),
            ..Default::default()
        },
    };
    request.reply(&response, ListTransactionsResponse::encode)
}

async fn list(
    shard: &Rc<Shard>,
    filter: &ListFilter,
) -> Result<Vec<TransactionState<'static>>, ErrorCode> {
    let image = shard.image();
    let Some(topic) = image.topic(TRANSACTION_STATE) else {
        return Ok(Vec::new());
    };
    let parts = topic.partitions.keys().map(|partition| {
        let key = PartitionKey {
            topic_id: topic.id,
            partition: *partition,
        };
        (key, None)
    });
    let mut parts: Vec<_> = parts.collect();
    let mut states = Vec::new();
    while !parts.is_empty() {
        let keys: Vec<_> = parts.iter().map(|(key, _)| *key).collect();
        let asked = parts.drain(..);
        let asked = asked.map(|(key, after)| (key, Asked::List(filter.clone(), after)));
        let answers = consult_each::<Transactions>(shard, asked.collect()).await;
        for (key, answer) in keys.into_iter().zip(answers) {
            match answer {
                Ok(Reply::Listed(page)) => {
                    states.extend(page.listed);
                    parts.extend(page.goes_on_after.map(|after| (key, Some(after))));
                }
                Err(ErrorCode::CoordinatorLoadInProgress) => {
                    return Err(ErrorCode::CoordinatorLoadInProgress);
                }
                Ok(_) | Err(_) => {} // What is not served here is not listed here.
            }
        }
        ring::yield_now().await;
    }
    Ok(states)
}
