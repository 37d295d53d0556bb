//! ConsumerGroupHeartbeat and ConsumerGroupDescribe: the protocol of KIP-848 is not enabled, as in
//! Kafka 3.9 by default; clients that may use either fall back to the classic one.

use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::messages::consumer_group_describe::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
};
use protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};

use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers a ConsumerGroupHeartbeat request.
pub async fn consumer_group_heartbeat(_shard: Rc<Shard>, request: Request) -> Outcome {
    if let Err(outcome) = request.body(ConsumerGroupHeartbeatRequest::decode) {
        return outcome;
    }
    let response = ConsumerGroupHeartbeatResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        ..Default::default()
    };
    request.reply(&response, ConsumerGroupHeartbeatResponse::encode)
}

/// Answers a ConsumerGroupDescribe request.
pub async fn consumer_group_describe(_shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(ConsumerGroupDescribeRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let groups = body.group_ids.into_iter().map(|group_id| DescribedGroup {
        error_code: ErrorCode::UnsupportedVersion.code(),
        group_id,
        ..Default::default()
    });
    let response = ConsumerGroupDescribeResponse {
        groups: groups.collect(),
        ..Default::default()
    };
    request.reply(&response, ConsumerGroupDescribeResponse::encode)
}
