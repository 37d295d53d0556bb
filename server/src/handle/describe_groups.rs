//! DescribeGroups: the state of groups and their members. In a long answer a group that was named
//! before is not told of again: a group may be much larger than its name.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use coordinator::group::request as group;
use protocol::error::ErrorCode;
use protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup,
};

use super::names::TOLD_AGAIN_BYTES_MAX;
use super::walk::STEPS_MAX;
use crate::authorized_operations;
use crate::coordination::groups;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers a DescribeGroups request.
pub async fn describe_groups(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DescribeGroupsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let (mut seen, mut told) = (HashSet::new(), 0);
    let version = request.version();
    let mut encoder = request.begin_reply();
    let response = DescribeGroupsResponse::default();
    response.begin(&mut encoder, version, body.groups.len());
    let begins_at = encoder.len();
    for named in body.groups.chunks(STEPS_MAX) {
        let ids: BTreeSet<&str> = named.iter().map(|id| &**id).collect();
        let ids = ids.into_iter().map(ToOwned::to_owned).collect();
        let answers = groups::ask_each(&shard, ids, group::Request::Describe).await;
        let mut of_id: HashMap<String, DescribedGroup<'_>> = answers
            .into_iter()
            .map(|(id, answer)| {
                let described = described(&id, answer, body.include_authorized_operations);
                (id, described)
            })
            .collect();
        for id in named {
            let is_again = !seen.insert(&**id);
            if encoder.len() < TOLD_AGAIN_BYTES_MAX {
                of_id[&**id].write(&mut encoder, version);
            } else if is_again {
                continue;
            } else {
                let last = of_id.remove(&**id);
                last.expect("all are asked").write(&mut encoder, version);
            }
            told += 1;
        }
        ring::yield_now().await;
    }
    encoder.recount(begins_at, body.groups.len(), told);
    response.end_groups(&mut encoder, version);
    request.finish_reply(encoder)
}

fn described(
    id: &str,
    answer: Result<group::Reply, ErrorCode>,
    with_operations: bool,
) -> DescribedGroup<'static> {
    let mut described = match answer {
        Ok(group::Reply::Describe(described)) => described,
        Ok(_) => unreachable!("a description is answered as one"),
        Err(error) => DescribedGroup {
            error_code: error.code(),
            group_id: Cow::Owned(id.to_owned()),
            ..Default::default()
        },
    };
    let is_told = described.error_code == ErrorCode::None.code();
    described.authorized_operations = match is_told && with_operations {
        true => authorized_operations::GROUP,
        false => authorized_operations::NOT_ASKED,
    };
    described
}
