//! DescribeGroups: the state of groups and their members. Who names a group twice is told of it once:
//! a group may be much larger than its name.

use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;

use coordinator::group::request as group;
use protocol::error::ErrorCode;
use protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup,
};

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
    let mut seen = HashSet::new();
    let ids = body.groups.iter().filter(|id| seen.insert(&***id));
    let ids: Vec<&str> = ids.map(|id| &**id).collect();
    let version = request.version();
    let mut encoder = request.begin_reply();
    let response = DescribeGroupsResponse::default();
    response.begin(&mut encoder, version, ids.len());
    for ids in ids.chunks(STEPS_MAX) {
        let ids = ids.iter().map(ToString::to_string).collect();
        for (id, answer) in groups::ask_each(&shard, ids, group::Request::Describe).await {
            let mut described = match answer {
                Ok(group::Reply::Describe(described)) => described,
                Ok(_) => unreachable!("a description is answered as one"),
                Err(error) => DescribedGroup {
                    error_code: error.code(),
                    group_id: Cow::Owned(id),
                    ..Default::default()
                },
            };
            let is_told = described.error_code == ErrorCode::None.code();
            described.authorized_operations = match is_told {
                true if body.include_authorized_operations => authorized_operations::GROUP,
                _ => authorized_operations::NOT_ASKED,
            };
            described.write(&mut encoder, version);
        }
        ring::yield_now().await;
    }
    response.end_groups(&mut encoder, version);
    request.finish_reply(encoder)
}
