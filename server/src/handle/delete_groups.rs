//! DeleteGroups: groups without members go, with their offsets (KIP-229).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use coordinator::group::request as group;
use protocol::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

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
    let ids: BTreeSet<String> = body.groups_names.iter().map(ToString::to_string).collect();
    let ids = ids.into_iter().collect();
    let answers = groups::ask_each(&shard, ids, group::Request::Delete).await;
    let results = answers.into_iter().map(|(id, answer)| {
        let error = match answer {
            Ok(group::Reply::Delete(error)) | Err(error) => error,
            Ok(_) => unreachable!("a deletion is answered as one"),
        };
        DeletableGroupResult {
            group_id: Cow::Owned(id),
            error_code: error.code(),
        }
    });
    let response = DeleteGroupsResponse {
        results: results.collect(),
        ..Default::default()
    };
    request.reply(&response, DeleteGroupsResponse::encode)
}
