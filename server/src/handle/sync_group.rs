//! SyncGroup: answered when the leader has said who gets what, and the log has it.

use std::rc::Rc;

use bytes::Bytes;
use coordinator::group::request as group;
use protocol::error::ErrorCode;
use protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

use crate::coordination::groups;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Members from this version on say which protocol they think the group has (KIP-559).
const PROTOCOL_SINCE: i16 = 5;

/// Answers a SyncGroup request.
pub async fn sync_group(shard: Rc<Shard>, mut request: Request) -> Outcome {
    let body = match request.body(SyncGroupRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let says_protocol = body.protocol_type.is_some() && body.protocol_name.is_some();
    let result = match request.version() >= PROTOCOL_SINCE && !says_protocol {
        true => Err(ErrorCode::InconsistentGroupProtocol),
        false => {
            let asked = Box::new(body.into_owned());
            let group_id = asked.group_id.to_string();
            request.frame = Bytes::new();
            drop(request.place.take());
            groups::ask(&shard, &group_id, group::Request::Sync(asked)).await
        }
    };
    let response = match result {
        Ok(group::Reply::Sync(response)) => response,
        Ok(_) => unreachable!("a sync is answered as one"),
        Err(error) => SyncGroupResponse {
            error_code: match error {
                // The rebalance is forgotten: the member is to join anew, and old clients know no
                // other error that says so.
                ErrorCode::CoordinatorLoadInProgress => ErrorCode::RebalanceInProgress.code(),
                error => error.code(),
            },
            ..Default::default()
        },
    };
    request.reply(&response, SyncGroupResponse::encode)
}
