//! A fetch that names very many partitions. Those that this node has are few, and are planned, read
//! and remembered as ever; those it does not have are answered straight from the request, and are
//! in no session: a client may name millions of them.
//!
//! Such a fetch does not wait for bytes, since the client is told of errors at once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset, PartitionIndex, Uuid};
use protocol::messages::fetch::in_frame::{FetchRequest, FetchTopic};
use protocol::messages::fetch::{FetchPartition, FetchResponse, FetchableTopicResponse};
use protocol::wire::Encoder;

use super::{
    PartRead, STORAGE_ERROR_SINCE, convert_for_old_client, limits_of, partition_data, piece_of,
    read_once, refuse, session_error,
};
use crate::fetch_session::{FetchPart, FetchTarget, Naming, SessionClaim};
use crate::handle::walk::{STEPS_MAX, Step, Walk, breathe};
use crate::partition::PartitionKey;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

type Topic = (Arc<str>, Uuid);

/// What the request names; None if too much of it is unknown here, or forgotten at once.
pub(super) async fn named_parts(
    shard: &Shard,
    body: &FetchRequest<'_>,
    naming: Naming,
) -> Option<Vec<FetchPart>> {
    let topics = body.forgotten_topics_data.iter();
    let forgotten: usize = topics.map(|topic| topic.partitions.len()).sum();
    if forgotten > STEPS_MAX {
        return None;
    }
    let count: usize = body.topics.iter().map(|topic| topic.partitions.len()).sum();
    let mut parts = Vec::with_capacity(count.min(STEPS_MAX));
    if count <= STEPS_MAX {
        for topic in &body.topics {
            let target = shard.topic_of_fetch(&topic.topic, topic.topic_id, naming);
            parts.extend(topic.partitions.iter().map(|part| named(&target, &part)));
        }
        return Some(parts);
    }
    let mut places = HashMap::new();
    let mut unknown = 0;
    let mut topic = None;
    for (n, step) in walk(body).enumerate() {
        match step {
            Step::Topic(named) => {
                topic = Some(shard.topic_of_fetch(&named.topic, named.topic_id, naming));
            }
            Step::End => {}
            Step::Part(part) => {
                let part = named(topic.as_ref().expect("it has a topic"), &part);
                match known_key(shard, &part) {
                    None => {
                        unknown += 1;
                        parts.push(part);
                    }
                    // Named twice, it is as the last one says.
                    Some(key) => match places.get(&key) {
                        Some(place) => parts[*place] = part,
                        None => {
                            places.insert(key, parts.len());
                            parts.push(part);
                        }
                    },
                }
                if unknown > STEPS_MAX {
                    return None;
                }
            }
        }
        breathe(n).await;
    }
    Some(parts)
}

/// Answers such a fetch, in no session. A session that it goes on with is forgotten: its client
/// begins anew.
pub(super) async fn fetch(
    shard: &Rc<Shard>,
    request: &Request,
    body: &FetchRequest<'_>,
    claim: SessionClaim,
) -> Outcome {
    shard.fetch_sessions.borrow_mut().forget(claim.id);
    if claim.is_incremental() {
        let error = session_error(ErrorCode::FetchSessionIdNotFound);
        return request.reply(&error, FetchResponse::encode);
    }
    let version = request.version();
    let known = known_parts(shard, body, claim.naming).await;
    let (keys, known): (Vec<PartitionKey>, Vec<FetchPart>) = known.into_iter().unzip();
    let limits = limits_of(shard, request, body);
    let fixed: Vec<_> = known
        .iter()
        .map(|part| refuse(shard, limits.replica_id, part))
        .collect();
    let mut reads = read_once(shard, &known, &fixed, &limits, None).await;
    if version < STORAGE_ERROR_SINCE {
        convert_for_old_client(version, &known, &mut reads).await;
    }
    let mut reads: HashMap<PartitionKey, PartRead> = keys.into_iter().zip(reads).collect();
    let slices = RefCell::new(Vec::new());
    let mut encoder = request.begin_reply();
    let response = FetchResponse::default();
    response.begin(&mut encoder, version, body.topics.len());
    let mut topic = None;
    for (n, step) in walk(body).enumerate() {
        match step {
            Step::Topic(named) => {
                let target = shard.topic_of_fetch(&named.topic, named.topic_id, claim.naming);
                begin_topic(&named, version, &mut encoder);
                topic = Some(target);
            }
            Step::End => FetchableTopicResponse::default().end_partitions(&mut encoder, version),
            Step::Part(part) => {
                let part = named(topic.as_ref().expect("it has a topic"), &part);
                let index = part.target.partition;
                let read = known_key(shard, &part).and_then(|key| reads.get_mut(&key));
                let data = match read {
                    Some(read) => partition_data(index, read, &slices),
                    None => {
                        let error = refuse(shard, limits.replica_id, &part)
                            .unwrap_or(ErrorCode::UnknownTopicOrPartition);
                        partition_data(index, &mut PartRead::failed(error), &slices)
                    }
                };
                data.write(&mut encoder, version);
            }
        }
        breathe(n).await;
    }
    response.end_responses(&mut encoder, version);
    let mut slices = slices.into_inner();
    request.finish_reply_with_slices(encoder, |token| piece_of(&mut slices, token))
}

/// The partitions that are here, each once.
async fn known_parts(
    shard: &Shard,
    body: &FetchRequest<'_>,
    naming: Naming,
) -> HashMap<PartitionKey, FetchPart> {
    let mut known = HashMap::new();
    let mut topic = None;
    for (n, step) in walk(body).enumerate() {
        match step {
            Step::Topic(named) => {
                topic = Some(shard.topic_of_fetch(&named.topic, named.topic_id, naming));
            }
            Step::End => {}
            Step::Part(part) => {
                let part = named(topic.as_ref().expect("it has a topic"), &part);
                if let Some(key) = known_key(shard, &part) {
                    known.insert(key, part);
                }
            }
        }
        breathe(n).await;
    }
    known
}

fn walk<'a>(body: &FetchRequest<'a>) -> Walk<'a, FetchTopic<'a>, FetchPartition> {
    Walk::new(&body.topics, |topic| topic.partitions)
}

fn named((name, topic_id): &Topic, part: &FetchPartition) -> FetchPart {
    FetchPart {
        target: FetchTarget {
            topic: name.clone(),
            topic_id: *topic_id,
            partition: PartitionIndex(part.partition),
        },
        fetch_offset: Offset(part.fetch_offset),
        max_bytes: part.partition_max_bytes,
        current_leader_epoch: LeaderEpoch(part.current_leader_epoch),
        last_fetched_epoch: LeaderEpoch(part.last_fetched_epoch),
    }
}

/// The key of a partition that is here.
fn known_key(shard: &Shard, part: &FetchPart) -> Option<PartitionKey> {
    let is_here = refuse(shard, -1, part).is_none();
    is_here.then(|| shard.key_of(&part.target)).flatten()
}

fn begin_topic(topic: &FetchTopic<'_>, version: i16, encoder: &mut Encoder) {
    let response = FetchableTopicResponse {
        topic: Cow::Borrowed(&topic.topic),
        topic_id: topic.topic_id,
        ..Default::default()
    };
    response.begin_partitions(encoder, version, topic.partitions.len());
}
