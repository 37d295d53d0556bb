//! DescribeGroups: the state of groups and their members.

use std::borrow::Cow;
use std::rc::Rc;

use coordinator::group::request as group;
use protocol::error::ErrorCode;
use protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup,
};

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
    let ids: Vec<String> = body.groups.iter().map(ToString::to_string).collect();
    let mut groups = Vec::with_capacity(ids.len());
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
        described.authorized_operations = match described.error_code == ErrorCode::None.code() {
            true if body.include_authorized_operations => authorized_operations::GROUP,
            _ => authorized_operations::NOT_ASKED,
        };
        groups.push(described);
    }
    let response = DescribeGroupsResponse {
        groups,
        ..Default::default()
    };
    request.reply(&response, DescribeGroupsResponse::encode)
}
