//! AlterUserScramCredentials: users' SCRAM credentials are set and taken away (KIP-554). They are kept
//! and told; nobody is let in by them yet.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use controller::scram::{Alteration, SaltedPassword, alter, credential};
use controller::topics::{RECORDS_PER_REQUEST_MAX, too_large};
use controller::{Messages, Refusal};
use protocol::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    AlterUserScramCredentialsResult,
};

use super::refusal::{code_of, message_of};
use super::walk::breathe;
use crate::metadata_log::Change;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::{METADATA_SHARD, Shard};

/// So many other steps take as long as the keys of one credential.
const HASHING_STEPS: usize = 64;

/// Answers an AlterUserScramCredentials request.
pub async fn alter_user_scram_credentials(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(AlterUserScramCredentialsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let response = AlterUserScramCredentialsResponse {
        results: match altered(&shard, &body).await {
            Ok(results) => results,
            Err(refusal) => all_refused(&body, &refusal).await,
        },
        ..Default::default()
    };
    request.reply(&response, AlterUserScramCredentialsResponse::encode)
}

type Results<'a> = Vec<AlterUserScramCredentialsResult<'a>>;

async fn altered<'a>(
    shard: &Rc<Shard>,
    body: &'a AlterUserScramCredentialsRequest<'_>,
) -> Result<Results<'a>, Refusal> {
    // As many records would be too many, and their keys are costly.
    if body.upsertions.len() > RECORDS_PER_REQUEST_MAX {
        return Err(too_large());
    }
    let alterations = alterations(body).await;
    let change = Change::new(move |image| alter(image, &alterations));
    let results = shard.ask(METADATA_SHARD, change).await?;
    Ok(results
        .into_iter()
        .map(|(at, result)| AlterUserScramCredentialsResult {
            user: Cow::Borrowed(user(body, at)),
            error_code: code_of(&result),
            error_message: message_of(result),
        })
        .collect())
}

async fn all_refused<'a>(
    body: &'a AlterUserScramCredentialsRequest<'_>,
    refusal: &Refusal,
) -> Results<'a> {
    let mut users = BTreeSet::new();
    for at in 0..body.deletions.len() + body.upsertions.len() {
        users.insert(user(body, at));
        breathe(at).await;
    }
    let mut messages = Messages::default();
    let refused = |user| {
        let result = messages.admit::<()>(Err(refusal.clone()));
        AlterUserScramCredentialsResult {
            user: Cow::Borrowed(user),
            error_code: code_of(&result),
            error_message: message_of(result),
        }
    };
    users.into_iter().map(refused).collect()
}

/// Deletions first.
async fn alterations(body: &AlterUserScramCredentialsRequest<'_>) -> Vec<Alteration> {
    let mut alterations = Vec::with_capacity(body.deletions.len() + body.upsertions.len());
    for (n, deletion) in body.deletions.iter().enumerate() {
        let user = Box::from(&*deletion.name);
        alterations.push(Alteration::Remove(user, deletion.mechanism));
        breathe(n).await;
    }
    for (n, upsertion) in body.upsertions.iter().enumerate() {
        let password = SaltedPassword {
            iterations: upsertion.iterations,
            salt: &upsertion.salt,
            salted_password: &upsertion.salted_password,
        };
        let made = credential(&upsertion.name, upsertion.mechanism, &password);
        alterations.push(Alteration::Set(Box::from(&*upsertion.name), made));
        breathe(HASHING_STEPS * n + HASHING_STEPS - 1).await;
    }
    alterations
}

/// Whom the alteration at this place is about.
fn user<'a>(body: &'a AlterUserScramCredentialsRequest<'_>, at: usize) -> &'a str {
    match at.checked_sub(body.deletions.len()) {
        None => &body.deletions[at].name,
        Some(at) => &body.upsertions[at].name,
    }
}
