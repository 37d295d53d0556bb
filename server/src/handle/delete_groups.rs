//! DeleteGroups: groups without members go, with their offsets (KIP-229).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use coordinator::group::request as group;
use protocol::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

use super::walk::STEPS_MAX;
use crate::coordination::groups;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers a DeleteGroups request.
pub async fn delete_groups(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DeleteGroupsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let ids: BTreeSet<&str> = body.groups_names.iter().map(|id| &**id).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let mut results = Vec::with_capacity(ids.len());
    for ids in ids.chunks(STEPS_MAX) {
        let asked = ids.iter().map(ToString::to_string).collect();
        let answers = groups::ask_each(&shard, asked, group::Request::Delete).await;
        results.extend(ids.iter().zip(answers).map(|(id, (_, answer))| {
            let error = match answer {
                Ok(group::Reply::Delete(error)) | Err(error) => error,
                Ok(_) => unreachable!("a deletion is answered as one"),
            };
            DeletableGroupResult {
                group_id: Cow::Borrowed(*id),
                error_code: error.code(),
            }
        }));
        ring::yield_now().await;
    }
    let response = DeleteGroupsResponse {
        results,
        ..Default::default()
    };
    request.reply(&response, DeleteGroupsResponse::encode)
}
