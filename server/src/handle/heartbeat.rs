//! Heartbeat: a member of a group is alive, and learns whether it is to join anew.

use std::rc::Rc;

use coordinator::group::request as group;
use protocol::error::ErrorCode;
use protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use crate::coordination::groups;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers a Heartbeat request.
pub async fn heartbeat(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(HeartbeatRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let asked = Box::new(body.into_owned());
    let group_id = asked.group_id.to_string();
    let error = match groups::ask(&shard, &group_id, group::Request::Heartbeat(asked)).await {
        Ok(group::Reply::Heartbeat(error)) => error,
        Ok(_) => unreachable!("a heartbeat is answered as one"),
        // The group will be there in a moment, with the member's session.
        Err(ErrorCode::CoordinatorLoadInProgress) => ErrorCode::None,
        Err(error) => error,
    };
    let response = HeartbeatResponse {
        error_code: error.code(),
        ..Default::default()
    };
    request.reply(&response, HeartbeatResponse::encode)
}
