//! DescribeAcls, CreateAcls and DeleteAcls of a node without an authorizer: everything is allowed, and
//! who asks for rules is told that there are none, as by Kafka.

use std::borrow::Cow;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::messages::create_acls::{AclCreationResult, CreateAclsRequest, CreateAclsResponse};
use protocol::messages::delete_acls::{
    DeleteAclsFilterResult, DeleteAclsRequest, DeleteAclsResponse,
};
use protocol::messages::describe_acls::{DescribeAclsRequest, DescribeAclsResponse};

use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

const DISABLED: i16 = ErrorCode::SecurityDisabled.code();
/// What Kafka's controller says; its broker says it otherwise.
const NO_AUTHORIZER: Option<Cow<'static, str>> =
    Some(Cow::Borrowed("No Authorizer is configured."));

/// Answers a DescribeAcls request.
pub async fn describe_acls(_shard: Rc<Shard>, request: Request) -> Outcome {
    if let Err(outcome) = request.body(DescribeAclsRequest::decode) {
        return outcome;
    }
    let response = DescribeAclsResponse {
        error_code: DISABLED,
        error_message: Some(Cow::Borrowed("No Authorizer is configured on the broker")),
        ..Default::default()
    };
    request.reply(&response, DescribeAclsResponse::encode)
}

/// Answers a CreateAcls request.
pub async fn create_acls(_shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(CreateAclsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let refused = |_| AclCreationResult {
        error_code: DISABLED,
        error_message: NO_AUTHORIZER,
    };
    let response = CreateAclsResponse {
        results: body.creations.iter().map(refused).collect(),
        ..Default::default()
    };
    request.reply(&response, CreateAclsResponse::encode)
}

/// Answers a DeleteAcls request.
pub async fn delete_acls(_shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DeleteAclsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let refused = |_| DeleteAclsFilterResult {
        error_code: DISABLED,
        error_message: NO_AUTHORIZER,
        matching_acls: Vec::new(),
    };
    let response = DeleteAclsResponse {
        filter_results: body.filters.iter().map(refused).collect(),
        ..Default::default()
    };
    request.reply(&response, DeleteAclsResponse::encode)
}
