//! FindCoordinator: this node has no group or transaction coordinator yet, and says so.

use std::borrow::Cow;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};

use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Versions from this one ask for several keys (KIP-699).
const BATCHED_SINCE: i16 = 4;

/// Answers a FindCoordinator request.
pub async fn find_coordinator(_shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(FindCoordinatorRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let error = ErrorCode::CoordinatorNotAvailable;
    let message = Cow::Borrowed(error.message());
    let response = if request.version() >= BATCHED_SINCE {
        let coordinators = body.coordinator_keys.iter().map(|key| Coordinator {
            key: key.clone(),
            node_id: -1,
            host: Cow::Borrowed(""),
            port: -1,
            error_code: error.code(),
            error_message: Some(message.clone()),
        });
        FindCoordinatorResponse {
            coordinators: coordinators.collect(),
            ..Default::default()
        }
    } else {
        FindCoordinatorResponse {
            error_code: error.code(),
            error_message: Some(message),
            node_id: -1,
            port: -1,
            ..Default::default()
        }
    };
    request.reply(&response, FindCoordinatorResponse::encode)
}
