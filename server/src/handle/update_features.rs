//! UpdateFeatures: the finalized levels of features (KIP-584, KIP-778).

use std::borrow::Cow;
use std::rc::Rc;

use controller::features::{Update, UpgradeType, update};
use controller::topics::Mode;
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
    let updates = body.feature_updates.into_iter().map(|wanted| Update {
        feature: wanted.feature.to_string(),
        level: wanted.max_version_level,
        upgrade_type: UpgradeType::from_wire(wanted.upgrade_type),
    });
    let updates: Vec<Update> = updates.collect();
    let me = shard.node.broker_id;
    let change = Change::new(move |image| Ok(update(image, me, &updates, mode)));
    let changed = shard.ask(METADATA_SHARD, change).await;
    let response = UpdateFeaturesResponse {
        error_code: code_of(&changed),
        error_message: match &changed {
            Err(refusal) => refusal.message.clone().map(Cow::Owned),
            Ok(_) => None,
        },
        ..Default::default()
    };
    let results = changed.unwrap_or_default();
    let version = request.version();
    let mut encoder = request.begin_reply();
    response.begin(&mut encoder, version, results.len());
    for (feature, result) in results {
        let result = UpdatableFeatureResult {
            feature: Cow::Owned(feature),
            error_code: code_of(&result),
            error_message: message_of(result),
        };
        result.write(&mut encoder, version);
    }
    response.end_results(&mut encoder, version);
    request.finish_reply(encoder)
}
