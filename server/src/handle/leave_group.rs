//! LeaveGroup: members leave a group, or are removed from it (KIP-345).

use std::rc::Rc;

use coordinator::group::request as group;
use protocol::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};

use crate::coordination::groups;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Versions from this one name several members.
const BATCHED_SINCE: i16 = 3;

/// Answers a LeaveGroup request.
pub async fn leave_group(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(LeaveGroupRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let mut asked = Box::new(body.into_owned());
    if request.version() < BATCHED_SINCE {
        asked.members = vec![MemberIdentity {
            member_id: asked.member_id.clone(),
            ..Default::default()
        }];
    }
    let group_id = asked.group_id.to_string();
    let mut response = match groups::ask(&shard, &group_id, group::Request::Leave(asked)).await {
        Ok(group::Reply::Leave(response)) => response,
        Ok(_) => unreachable!("leaving is answered as such"),
        Err(error) => LeaveGroupResponse {
            error_code: error.code(),
            ..Default::default()
        },
    };
    if request.version() < BATCHED_SINCE {
        let members = std::mem::take(&mut response.members);
        if let (0, [only]) = (response.error_code, &*members) {
            response.error_code = only.error_code;
        }
    }
    request.reply(&response, LeaveGroupResponse::encode)
}
