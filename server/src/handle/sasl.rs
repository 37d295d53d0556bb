//! SaslHandshake and SaslAuthenticate on a listener without SASL, which all listeners of this node
//! are: nobody is asked who he is, and who wants to say it is told so, as by Kafka.

use std::borrow::Cow;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::messages::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use protocol::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};

use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers a SaslHandshake request.
pub async fn sasl_handshake(_shard: Rc<Shard>, request: Request) -> Outcome {
    if let Err(outcome) = request.body(SaslHandshakeRequest::decode) {
        return outcome;
    }
    let response = SaslHandshakeResponse {
        error_code: ErrorCode::IllegalSaslState.code(),
        ..Default::default()
    };
    request.reply(&response, SaslHandshakeResponse::encode)
}

/// Answers a SaslAuthenticate request.
pub async fn sasl_authenticate(_shard: Rc<Shard>, request: Request) -> Outcome {
    if let Err(outcome) = request.body(SaslAuthenticateRequest::decode) {
        return outcome;
    }
    let text = "SaslAuthenticate request received after successful authentication";
    let response = SaslAuthenticateResponse {
        error_code: ErrorCode::IllegalSaslState.code(),
        error_message: Some(Cow::Borrowed(text)),
        ..Default::default()
    };
    request.reply(&response, SaslAuthenticateResponse::encode)
}
