//! JoinGroup: answered when the group's next generation begins, which may take minutes.

use std::rc::Rc;

use bytes::Bytes;
use coordinator::group::request as group;
use protocol::messages::join_group::{JoinGroupRequest, JoinGroupResponse};

use crate::coordination::groups;
use crate::entropy::random_uuid;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Version 0 has one timeout for both purposes.
const REBALANCE_TIMEOUT_SINCE: i16 = 1;
/// Members from this version on come back with the id they are given (KIP-394).
const KNOWN_ID_SINCE: i16 = 4;
/// Versions from this one may say that there is no protocol.
const NULL_PROTOCOL_SINCE: i16 = 7;
/// Versions from this one know that a leader may have nothing to assign (KIP-814).
const SKIP_ASSIGNMENT_SINCE: i16 = 9;

/// Answers a JoinGroup request.
pub async fn join_group(shard: Rc<Shard>, mut request: Request) -> Outcome {
    let body = match request.body(JoinGroupRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let version = request.version();
    let mut asked = body.into_owned();
    if version < REBALANCE_TIMEOUT_SINCE {
        asked.rebalance_timeout_ms = asked.session_timeout_ms;
    }
    let (group_id, member_id) = (asked.group_id.to_string(), asked.member_id.to_string());
    let join = group::Join {
        client_id: request.client_id(),
        client_host: request.client_host(),
        random_id: random_uuid(),
        requires_known_id: version >= KNOWN_ID_SINCE && asked.group_instance_id.is_none(),
        may_skip_assignment: version >= SKIP_ASSIGNMENT_SINCE,
        request: asked,
    };
    // What is needed of the request is with the group now.
    request.frame = Bytes::new();
    drop(request.place.take());
    let joined = groups::ask(&shard, &group_id, group::Request::Join(Box::new(join))).await;
    let mut response = match joined {
        Ok(group::Reply::Join(response)) => response,
        Ok(_) => unreachable!("a join is answered as one"),
        Err(error) => JoinGroupResponse {
            error_code: error.code(),
            generation_id: -1,
            member_id: member_id.into(),
            ..Default::default()
        },
    };
    if version < NULL_PROTOCOL_SINCE {
        response.protocol_name.get_or_insert_default();
    }
    request.reply(&response, JoinGroupResponse::encode)
}
