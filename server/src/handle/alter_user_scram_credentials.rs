//! AlterUserScramCredentials: users' SCRAM credentials are set and taken away (KIP-554). They are kept
//! and told; nobody is let in by them yet.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use controller::Messages;
use controller::scram::{Alteration, Results, SaltedPassword, alter, credential};
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
    let alterations = alterations(&body).await;
    let change = Change::new(move |image| alter(image, &alterations));
    let results = match shard.ask(METADATA_SHARD, change).await {
        Ok(results) => results,
        Err(refusal) => {
            let mut messages = Messages::default();
            let mut results: Results = BTreeMap::new();
            for user in users(&body) {
                if !results.contains_key(user) {
                    let refused = messages.admit(Err(refusal.clone()));
                    results.insert(user.to_owned(), refused);
                }
            }
            results
        }
    };
    let results = results
        .into_iter()
        .map(|(user, result)| AlterUserScramCredentialsResult {
            user: Cow::Owned(user),
            error_code: code_of(&result),
            error_message: message_of(result),
        });
    let response = AlterUserScramCredentialsResponse {
        results: results.collect(),
        ..Default::default()
    };
    request.reply(&response, AlterUserScramCredentialsResponse::encode)
}

/// Deletions first.
async fn alterations(body: &AlterUserScramCredentialsRequest<'_>) -> Vec<Alteration> {
    let mut alterations = Vec::with_capacity(body.deletions.len() + body.upsertions.len());
    for deletion in &body.deletions {
        let user = deletion.name.to_string();
        alterations.push(Alteration::Remove(user, deletion.mechanism));
    }
    for (n, upsertion) in body.upsertions.iter().enumerate() {
        let password = SaltedPassword {
            iterations: upsertion.iterations,
            salt: &upsertion.salt,
            salted_password: &upsertion.salted_password,
        };
        let made = credential(&upsertion.name, upsertion.mechanism, &password);
        alterations.push(Alteration::Set(upsertion.name.to_string(), made));
        breathe(HASHING_STEPS * n + HASHING_STEPS - 1).await;
    }
    alterations
}

fn users<'a>(body: &'a AlterUserScramCredentialsRequest<'_>) -> impl Iterator<Item = &'a str> {
    let deletions = body.deletions.iter().map(|deletion| &*deletion.name);
    deletions.chain(body.upsertions.iter().map(|upsertion| &*upsertion.name))
}
