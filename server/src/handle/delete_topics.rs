//! DeleteTopics: by name or by id (KIP-516, KIP-599).

use std::borrow::Cow;
use std::rc::Rc;

use controller::topics::delete::{Deleted, Doomed, delete};
use protocol::error::ErrorCode;
use protocol::ids::Uuid;
use protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};

use crate::metadata_log::Change;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::{METADATA_SHARD, Shard};

/// Versions from this one may name topics by id and carry messages.
const BY_ID_SINCE: i16 = 6;
/// Versions below do not know TOPIC_DELETION_DISABLED.
const DISABLED_SINCE: i16 = 3;
/// Versions from this one carry messages.
const MESSAGES_SINCE: i16 = 5;

/// Answers a DeleteTopics request.
pub async fn delete_topics(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DeleteTopicsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let doomed = doomed(&body, request.version());
    if doomed
        .iter()
        .any(|topic| topic.name.is_some() && !topic.id.is_zero())
    {
        let reason = "Topic name and topic ID can not both be specified.";
        return Outcome::Close(reason.to_owned());
    }
    let responses = if !shard.config.delete_topic_enable {
        let error = match request.version() {
            ..DISABLED_SINCE => ErrorCode::InvalidRequest,
            _ => ErrorCode::TopicDeletionDisabled,
        };
        doomed
            .into_iter()
            .map(|topic| result(topic.name, topic.id, error, None))
            .collect()
    } else {
        let asked: Vec<Doomed> = doomed.clone();
        let change = Change::new(move |image| Ok(delete(image, &asked)));
        match shard.ask(METADATA_SHARD, change).await {
            Ok(deleted) => deleted
                .into_iter()
                .map(|topic| told(topic, request.version()))
                .collect(),
            Err(refusal) => doomed
                .into_iter()
                .map(|topic| result(topic.name, topic.id, refusal.code, refusal.message.clone()))
                .collect(),
        }
    };
    let response = DeleteTopicsResponse {
        responses,
        ..Default::default()
    };
    request.reply(&response, DeleteTopicsResponse::encode)
}

fn doomed(body: &DeleteTopicsRequest<'_>, version: i16) -> Vec<Doomed> {
    if version >= BY_ID_SINCE {
        let topics = body.topics.iter();
        return topics
            .map(|topic| Doomed {
                name: topic.name.as_ref().map(ToString::to_string),
                id: topic.topic_id,
            })
            .collect();
    }
    let names = body.topic_names.iter();
    names
        .map(|name| Doomed {
            name: Some(name.to_string()),
            id: Uuid::ZERO,
        })
        .collect()
}

fn told(topic: Deleted, version: i16) -> DeletableTopicResult<'static> {
    match topic.result {
        Ok(()) => result(topic.name, topic.id, ErrorCode::None, None),
        Err(refusal) => {
            let message = refusal.message.filter(|_| version >= MESSAGES_SINCE);
            result(topic.name, topic.id, refusal.code, message)
        }
    }
}

fn result(
    name: Option<String>,
    topic_id: Uuid,
    error: ErrorCode,
    message: Option<String>,
) -> DeletableTopicResult<'static> {
    DeletableTopicResult {
        name: name.map(Cow::Owned),
        topic_id,
        error_code: error.code(),
        error_message: message.map(Cow::Owned),
    }
}
