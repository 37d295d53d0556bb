//! CreateDelegationToken and its like on a listener that is open to all: tokens stand for somebody who
//! was authenticated, so that nobody gets one here, as in Kafka (KIP-48).

use std::borrow::Cow;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::messages::create_delegation_token::{
    CreateDelegationTokenRequest, CreateDelegationTokenResponse,
};
use protocol::messages::describe_delegation_token::{
    DescribeDelegationTokenRequest, DescribeDelegationTokenResponse,
};
use protocol::messages::expire_delegation_token::{
    ExpireDelegationTokenRequest, ExpireDelegationTokenResponse,
};
use protocol::messages::renew_delegation_token::{
    RenewDelegationTokenRequest, RenewDelegationTokenResponse,
};

use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

const NOT_ALLOWED: i16 = ErrorCode::DelegationTokenRequestNotAllowed.code();
/// Who everybody is without authentication.
const PRINCIPAL_TYPE: Cow<'static, str> = Cow::Borrowed("User");
const PRINCIPAL_NAME: Cow<'static, str> = Cow::Borrowed("ANONYMOUS");
const NEVER_MS: i64 = -1;
/// Versions from this one tell who asked for the token beside who owns it (KIP-373).
const REQUESTER_SINCE: i16 = 3;

/// Answers a CreateDelegationToken request.
pub async fn create_delegation_token(_shard: Rc<Shard>, request: Request) -> Outcome {
    if let Err(outcome) = request.body(CreateDelegationTokenRequest::decode) {
        return outcome;
    }
    let mut response = CreateDelegationTokenResponse {
        error_code: NOT_ALLOWED,
        principal_type: PRINCIPAL_TYPE,
        principal_name: PRINCIPAL_NAME,
        issue_timestamp_ms: NEVER_MS,
        expiry_timestamp_ms: NEVER_MS,
        max_timestamp_ms: NEVER_MS,
        ..Default::default()
    };
    if request.version() >= REQUESTER_SINCE {
        response.token_requester_principal_type = PRINCIPAL_TYPE;
        response.token_requester_principal_name = PRINCIPAL_NAME;
    }
    request.reply(&response, CreateDelegationTokenResponse::encode)
}

/// Answers a RenewDelegationToken request.
pub async fn renew_delegation_token(_shard: Rc<Shard>, request: Request) -> Outcome {
    if let Err(outcome) = request.body(RenewDelegationTokenRequest::decode) {
        return outcome;
    }
    let response = RenewDelegationTokenResponse {
        error_code: NOT_ALLOWED,
        expiry_timestamp_ms: NEVER_MS,
        ..Default::default()
    };
    request.reply(&response, RenewDelegationTokenResponse::encode)
}

/// Answers an ExpireDelegationToken request.
pub async fn expire_delegation_token(_shard: Rc<Shard>, request: Request) -> Outcome {
    if let Err(outcome) = request.body(ExpireDelegationTokenRequest::decode) {
        return outcome;
    }
    let response = ExpireDelegationTokenResponse {
        error_code: NOT_ALLOWED,
        expiry_timestamp_ms: NEVER_MS,
        ..Default::default()
    };
    request.reply(&response, ExpireDelegationTokenResponse::encode)
}

/// Answers a DescribeDelegationToken request.
pub async fn describe_delegation_token(_shard: Rc<Shard>, request: Request) -> Outcome {
    if let Err(outcome) = request.body(DescribeDelegationTokenRequest::decode) {
        return outcome;
    }
    let response = DescribeDelegationTokenResponse {
        error_code: NOT_ALLOWED,
        ..Default::default()
    };
    request.reply(&response, DescribeDelegationTokenResponse::encode)
}
