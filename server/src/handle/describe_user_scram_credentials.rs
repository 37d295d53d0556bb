//! DescribeUserScramCredentials: which users have a SCRAM credential (KIP-554).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use controller::{Image, Messages, Refusal};
use protocol::error::ErrorCode;
use protocol::messages::describe_user_scram_credentials::{
    CredentialInfo, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
};

use super::refusal::message_of;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers a DescribeUserScramCredentials request.
pub async fn describe_user_scram_credentials(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DescribeUserScramCredentialsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let image = shard.image();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    match body.users.as_deref() {
        None | Some([]) => {
            let users = image.scram_credentials().map(|(user, ..)| (user, 1));
            times.extend(users);
        }
        Some(users) => {
            for user in users {
                *times.entry(&user.name).or_default() += 1;
            }
        }
    }
    let mut messages = Messages::default();
    let results = times.into_iter();
    let response = DescribeUserScramCredentialsResponse {
        results: results
            .map(|(user, times)| told(&image, user, times, &mut messages))
            .collect(),
        ..Default::default()
    };
    request.reply(&response, DescribeUserScramCredentialsResponse::encode)
}

fn told<'a>(
    image: &Image,
    user: &'a str,
    times: usize,
    messages: &mut Messages,
) -> DescribeUserScramCredentialsResult<'a> {
    let found = image.scram_credentials_of(user).into_iter();
    let found: Vec<_> = found
        .map(|(mechanism, iterations)| CredentialInfo {
            mechanism,
            iterations,
        })
        .collect();
    let error = match times {
        1 if !found.is_empty() => None,
        1 => Some((
            ErrorCode::ResourceNotFound,
            "Attempt to describe a user credential that does not exist: ",
        )),
        _ => Some((
            ErrorCode::DuplicateResource,
            "Cannot describe SCRAM credentials for the same user twice in a single request: ",
        )),
    };
    let mut result = DescribeUserScramCredentialsResult {
        user: Cow::Borrowed(user),
        ..Default::default()
    };
    match error {
        None => result.credential_infos = found,
        Some((code, text)) => {
            let refused = messages.admit::<()>(Err(Refusal::new(code, format!("{text}{user}"))));
            result.error_code = code.code();
            result.error_message = message_of(refused);
        }
    }
    result
}
