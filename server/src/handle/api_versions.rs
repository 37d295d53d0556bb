//! ApiVersions: what this node serves (KIP-35, KIP-511), and the levels of features (KIP-584). The
//! features are those of a node that keeps its metadata itself.

use std::borrow::Cow;
use std::rc::Rc;

use controller::features::SUPPORTED;
use protocol::api::{API_TABLE, ApiKey};
use protocol::error::ErrorCode;
use protocol::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

use crate::handle;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Versions from this one name the client's software, which must be well formed (KIP-511).
const SOFTWARE_SINCE: i16 = 3;

/// Answers an ApiVersions request.
pub async fn api_versions(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(ApiVersionsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    if request.version() >= SOFTWARE_SINCE
        && !(is_software_text(&body.client_software_name)
            && is_software_text(&body.client_software_version))
    {
        let error_code = ErrorCode::InvalidRequest.code();
        let response = ApiVersionsResponse {
            error_code,
            ..Default::default()
        };
        return request.reply(&response, ApiVersionsResponse::encode);
    }
    let image = shard.image();
    let finalized = image.features().map(|(name, level)| FinalizedFeatureKey {
        name: Cow::Borrowed(name),
        max_version_level: level,
        min_version_level: level,
    });
    let response = ApiVersionsResponse {
        api_keys: enabled(),
        supported_features: supported(request.version()),
        finalized_features_epoch: shard.metadata_offset.get().0,
        finalized_features: finalized.collect(),
        ..Default::default()
    };
    request.reply(&response, ApiVersionsResponse::encode)
}

/// Answers an ApiVersions request of an unknown version: in version 0, with the range this node
/// knows, so that the client can ask again.
pub fn unsupported(mut request: Request) -> Outcome {
    request.api_version = 0;
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: enabled()
            .into_iter()
            .filter(|api| api.api_key == ApiKey::ApiVersions.code())
            .collect(),
        ..Default::default()
    };
    request.reply(&response, ApiVersionsResponse::encode)
}

/// Older clients cannot read of a feature that may be off.
fn supported(version: i16) -> Vec<SupportedFeatureKey<'static>> {
    let known = SUPPORTED
        .iter()
        .filter(|(_, min, _)| version >= 4 || *min > 0);
    known
        .map(|(name, min, max)| SupportedFeatureKey {
            name: Cow::Borrowed(name),
            min_version: *min,
            max_version: *max,
        })
        .collect()
}

fn enabled() -> Vec<ApiVersion> {
    let served = API_TABLE
        .iter()
        .filter(|spec| handle::of(spec.key).is_some());
    served
        .map(|spec| ApiVersion {
            api_key: spec.key.code(),
            min_version: spec.version_min,
            max_version: spec.version_max,
        })
        .collect()
}

/// Letters, digits, dashes and dots, beginning and ending with a letter or digit (KIP-511).
fn is_software_text(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes
            .iter()
            .all(|byte| alphanumeric(byte) || matches!(byte, b'-' | b'.'))
}
