//! UpdateFeatures: the finalized levels of features (KIP-584, KIP-778).

use std::borrow::Cow;
use std::rc::Rc;

use controller::features::{Update, UpgradeType, update};
use controller::topics::Mode;
use protocol::error::ErrorCode;
use protocol::messages::update_features::{
    UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

use super::refusal::{code_of, message_of};
use crate::metadata_log::Change;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::{METADATA_SHARD, Shard};

/// Answers an UpdateFeatures request.
pub async fn update_features(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(UpdateFeaturesRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let mode = match body.validate_only {
        true => Mode::ValidateOnly,
        false => Mode::Commit,
    };
    let updates = body.feature_updates.iter().map(|wanted| Update {
        feature: wanted.feature.to_string(),
        level: wanted.max_version_level,
        upgrade_type: UpgradeType::from_wire(wanted.upgrade_type),
    });
    let updates: Vec<Update> = updates.collect();
    let me = shard.node.broker_id;
    let change = Change::new(move |image| Ok(update(image, me, &updates, mode)));
    let response = match shard.ask(METADATA_SHARD, change).await {
        Err(refusal) => UpdateFeaturesResponse {
            error_code: refusal.code.code(),
            error_message: refusal.message.map(Cow::Owned),
            ..Default::default()
        },
        Ok(results) => UpdateFeaturesResponse {
            error_code: ErrorCode::None.code(),
            results: results
                .into_iter()
                .map(|(feature, result)| UpdatableFeatureResult {
                    feature: Cow::Owned(feature),
                    error_code: code_of(&result),
                    error_message: message_of(result),
                })
                .collect(),
            ..Default::default()
        },
    };
    request.reply(&response, UpdateFeaturesResponse::encode)
}
