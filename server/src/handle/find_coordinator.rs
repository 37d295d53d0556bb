//! FindCoordinator: who coordinates a group or a transactional id (KIP-699).

use std::borrow::Cow;
use std::rc::Rc;

use controller::topic_name::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use protocol::error::ErrorCode;
use protocol::messages::find_coordinator::in_frame::FindCoordinatorRequest;
use protocol::messages::find_coordinator::{Coordinator, FindCoordinatorResponse};

use super::names::{Names, Seen};
use super::walk::{STEPS_MAX, breathe};

use crate::coordination::internal_topic;
use crate::node::BrokerAddress;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Versions from this one ask for several keys.
const BATCHED_SINCE: i16 = 4;
/// Versions from this one may ask for the coordinator of a share group.
const SHARE_SINCE: i16 = 6;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// Answers a FindCoordinator request.
pub async fn find_coordinator(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(FindCoordinatorRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    if request.version() >= BATCHED_SINCE {
        return find_all(&shard, &request, &body).await;
    }
    let found = find(&shard, &request, body.key_type, &body.key).await;
    let error = found
        .as_ref()
        .map_or_else(|error| *error, |_| ErrorCode::None);
    let told = coordinator(body.key, body.key_type, found);
    let message = match error {
        ErrorCode::None => error.name(),
        error => error.message(),
    };
    let response = FindCoordinatorResponse {
        error_code: told.error_code,
        error_message: Some(Cow::Borrowed(message)),
        node_id: told.node_id,
        host: told.host,
        port: told.port,
        ..Default::default()
    };
    request.reply(&response, FindCoordinatorResponse::encode)
}

/// Answers for each key. Of very many keys, those that are the same are answered once.
async fn find_all(
    shard: &Rc<Shard>,
    request: &Request,
    body: &FindCoordinatorRequest<'_>,
) -> Outcome {
    let version = request.version();
    let keys = &body.coordinator_keys;
    let mut encoder = request.begin_reply();
    let response = FindCoordinatorResponse::default();
    response.begin(&mut encoder, version, keys.len());
    let begins_at = encoder.len();
    let mut names = (keys.len() > STEPS_MAX).then(|| Names::new(keys.len()));
    let (mut each, mut told) = (keys.iter(), 0);
    for n in 0..keys.len() {
        let place = each.bytes_left();
        let key = each.next().expect("one of so many");
        let is_new = names
            .as_mut()
            .is_none_or(|names| names.add(place, &key, |at| keys.at(at)) == Seen::First);
        if is_new {
            let found = find(shard, request, body.key_type, &key).await;
            coordinator(key, body.key_type, found).write(&mut encoder, version);
            told += 1;
        }
        breathe(n).await;
    }
    encoder.recount(begins_at, keys.len(), told);
    response.end_coordinators(&mut encoder, version);
    request.finish_reply(encoder)
}

/// One key's answer. An error has a text only if no broker has such coordinators, as in Kafka.
fn coordinator(
    key: Cow<'_, str>,
    key_type: i8,
    found: Result<BrokerAddress, ErrorCode>,
) -> Coordinator<'_> {
    match found {
        Ok(broker) => Coordinator {
            key,
            node_id: broker.id.0,
            host: Cow::Owned(broker.host),
            port: i32::from(broker.port),
            error_code: ErrorCode::None.code(),
            error_message: Some(Cow::Borrowed("")),
        },
        Err(error) => Coordinator {
            key,
            node_id: -1,
            host: Cow::Borrowed(""),
            port: -1,
            error_code: error.code(),
            error_message: Some(Cow::Borrowed(match (GROUP..=SHARE).contains(&key_type) {
                true => "",
                false => error.message(),
            })),
        },
    }
}

/// The broker that leads the key's partition of the internal topic, which is made if it is not
/// there.
async fn find(
    shard: &Rc<Shard>,
    request: &Request,
    key_type: i8,
    key: &str,
) -> Result<BrokerAddress, ErrorCode> {
    let topic = match key_type {
        GROUP => CONSUMER_OFFSETS,
        TRANSACTION => TRANSACTION_STATE,
        SHARE if request.version() >= SHARE_SINCE => {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        _ => return Err(ErrorCode::InvalidRequest),
    };
    internal_topic::ensure(shard, topic).await?;
    let partition = internal_topic::partition_of(shard, topic, key)
        .map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
    let image = shard.image();
    let state = image
        .topic_by_id(partition.topic_id)
        .and_then(|topic| topic.partition(partition.partition));
    let leader = state.and_then(|state| state.leader);
    if shard.node.offline.contains(&partition) {
        return Err(ErrorCode::CoordinatorNotAvailable);
    }
    let mut brokers = shard.node.brokers_for(&image, request.listener).into_iter();
    brokers
        .find(|broker| Some(broker.id) == leader)
        .ok_or(ErrorCode::CoordinatorNotAvailable)
}
