//! ListGroups: what every partition's coordinator has (KIP-518, KIP-848).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use controller::topic_name::CONSUMER_OFFSETS;
use coordinator::group::request::{self as group, ListFilter};
use protocol::error::ErrorCode;
use protocol::messages::list_groups::{ListGroupsRequest, ListGroupsResponse};

use crate::coordination::groups::Groups;
use crate::coordination::{consult_each, internal_topic};
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers a ListGroups request.
pub async fn list_groups(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(ListGroupsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    // In any case, but each once: every group is compared with them.
    let owned = |names: &[Cow<'_, str>]| {
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        let names: BTreeSet<String> = names.collect();
        names.into_iter().collect()
    };
    let filter = ListFilter {
        states: owned(&body.states_filter),
        types: owned(&body.types_filter),
    };
    let partitions = internal_topic::partitions(&shard, CONSUMER_OFFSETS).into_iter();
    let mut parts: Vec<_> = partitions.map(|key| (key, None)).collect();
    let mut response = ListGroupsResponse::default();
    while !parts.is_empty() {
        let keys: Vec<_> = parts.iter().map(|(key, _)| *key).collect();
        let asked = parts.drain(..);
        let asked = asked.map(|(key, after)| (key, group::Request::List(filter.clone(), after)));
        let answers = consult_each::<Groups>(&shard, asked.collect()).await;
        for (key, answer) in keys.into_iter().zip(answers) {
            match answer {
                Ok(group::Reply::List(page)) => {
                    response.groups.extend(page.listed);
                    parts.extend(page.goes_on_after.map(|after| (key, Some(after))));
                }
                Ok(_) => unreachable!("a list is answered as one"),
                // What is there already is told nevertheless, as in Kafka.
                Err(error @ ErrorCode::CoordinatorLoadInProgress) => {
                    response.error_code = error.code();
                }
                Err(_) => {}
            }
        }
        ring::yield_now().await;
    }
    request.reply(&response, ListGroupsResponse::encode)
}
