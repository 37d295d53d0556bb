//! UnregisterBroker: a broker that is gone for good is forgotten (KIP-500).

use std::borrow::Cow;
use std::rc::Rc;

use controller::Refusal;
use controller::brokers::unregister;
use protocol::error::ErrorCode;
use protocol::ids::BrokerId;
use protocol::messages::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use crate::metadata_log::Change;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::{METADATA_SHARD, Shard};

/// Answers an UnregisterBroker request. This node itself stays: without it there is no cluster.
pub async fn unregister_broker(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(UnregisterBrokerRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let broker = BrokerId(body.broker_id);
    let result = match broker == shard.node.broker_id {
        true => {
            let text = "The only node of a cluster cannot be unregistered.";
            Err(Refusal::new(ErrorCode::InvalidRequest, text))
        }
        false => {
            let change = Change::new(move |image| unregister(image, broker));
            shard.ask(METADATA_SHARD, change).await
        }
    };
    let refusal = result.err();
    let response = UnregisterBrokerResponse {
        error_code: refusal
            .as_ref()
            .map_or(ErrorCode::None, |refusal| refusal.code)
            .code(),
        error_message: refusal.and_then(|refusal| refusal.message).map(Cow::Owned),
        ..Default::default()
    };
    request.reply(&response, UnregisterBrokerResponse::encode)
}
