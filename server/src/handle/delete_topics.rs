//! DeleteTopics: by name or by id (KIP-516, KIP-599).

use std::borrow::Cow;
use std::rc::Rc;

use controller::topics::delete::{Deleted, Doomed, delete};
use protocol::error::ErrorCode;
use protocol::ids::Uuid;
use protocol::messages::delete_topics::in_frame::DeleteTopicsRequest;
use protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsResponse,
};
use protocol::wire::Encoder;

use super::portions::Portions;
use super::walk::breathe;

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
    let mut encoder = request.begin_reply();
    let response = DeleteTopicsResponse::default();
    let count = body.topics.len() + body.topic_names.len();
    response.begin(&mut encoder, request.version(), count);
    let mut reply = Reply {
        shard: &shard,
        request: &request,
        begins_at: encoder.len(),
        encoder,
        answered: 0,
    };
    if request.version() >= BY_ID_SINCE {
        for (n, topic) in body.topics.iter().enumerate() {
            if topic.name.is_some() && !topic.topic_id.is_zero() {
                let reason = "Topic name and topic ID can not both be specified.";
                return Outcome::Close(reason.to_owned());
            }
            breathe(n).await;
        }
        let key = |topic: DeleteTopicState<'_>| (topic.name.map(Cow::into_owned), topic.topic_id);
        let mut portions = Portions::new(&body.topics, key, |_| 1).await;
        while let Some(topics) = portions.next().await {
            let doomed = topics.into_iter().map(|topic| Doomed {
                name: topic.name.map(Cow::into_owned),
                id: topic.topic_id,
            });
            reply.delete(doomed.collect()).await;
        }
    } else {
        let mut portions = Portions::new(&body.topic_names, |name| name, |_| 1).await;
        while let Some(names) = portions.next().await {
            let doomed = names.into_iter().map(|name| Doomed {
                name: Some(name.into_owned()),
                id: Uuid::ZERO,
            });
            reply.delete(doomed.collect()).await;
        }
    }
    let mut encoder = reply.encoder;
    encoder.recount(reply.begins_at, count, reply.answered);
    response.end_responses(&mut encoder, request.version());
    request.finish_reply(encoder)
}

/// The answer, as far as it is written.
struct Reply<'a> {
    shard: &'a Rc<Shard>,
    request: &'a Request,
    encoder: Encoder,
    begins_at: usize,
    answered: usize,
}

impl Reply<'_> {
    /// Deletes a portion of the topics and says what became of them.
    async fn delete(&mut self, doomed: Vec<Doomed>) {
        for mut result in delete_portion(self.shard, self.request.version(), doomed).await {
            if !self.request.has_room_for_texts(&self.encoder) {
                result.error_message = None;
            }
            result.write(&mut self.encoder, self.request.version());
            self.answered += 1;
        }
    }
}

async fn delete_portion(
    shard: &Rc<Shard>,
    version: i16,
    doomed: Vec<Doomed>,
) -> Vec<DeletableTopicResult<'static>> {
    if !shard.config.delete_topic_enable {
        let error = match version {
            ..DISABLED_SINCE => ErrorCode::InvalidRequest,
            _ => ErrorCode::TopicDeletionDisabled,
        };
        return doomed
            .into_iter()
            .map(|topic| result(topic.name, topic.id, error, None))
            .collect();
    }
    let asked: Vec<Doomed> = doomed.clone();
    let change = Change::new(move |image| Ok(delete(image, &asked)));
    match shard.ask(METADATA_SHARD, change).await {
        Ok(deleted) => deleted
            .into_iter()
            .map(|topic| told(topic, version))
            .collect(),
        Err(refusal) => doomed
            .into_iter()
            .map(|topic| result(topic.name, topic.id, refusal.code, refusal.message.clone()))
            .collect(),
    }
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
