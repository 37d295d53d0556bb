//! ListOffsets: the offset of a timestamp, of the log's start or of its end (KIP-79, 207, 734).

use std::rc::Rc;
use std::sync::Arc;

use controller::image::Topic;
use engine::{FoundOffset, OffsetQuery};
use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset, PartitionIndex, TimestampMs};
use protocol::messages::list_offsets::in_frame::{ListOffsetsRequest, ListOffsetsTopic};
use protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use protocol::wire::Encoder;

use super::list_segment_offsets::list_segment_offsets;
use super::names::{Names, Seen};
use super::walk::{Step, Walk, breathe};

use crate::offsets::{OffsetPart, OffsetsQuestion};
use crate::partition::PartitionKey;
use crate::read::Isolation;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::scatter::Scatter;
use crate::shard::Shard;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

type Found = Result<Option<FoundOffset>, ErrorCode>;

/// Answers a ListOffsets request.
pub async fn list_offsets(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(ListOffsetsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let version = request.version();
    let isolation = match body.isolation_level {
        1 => Isolation::ReadCommitted,
        _ => Isolation::ReadUncommitted,
    };
    let image = shard.image();
    let twice = named_twice(&body).await;
    if version == 0 {
        return list_segment_offsets(shard, &request, &body, &twice).await;
    }
    let mut encoder = request.begin_reply();
    let response = ListOffsetsResponse::default();
    response.begin(&mut encoder, version, body.topics.len());
    let walk = Walk::new(&body.topics, |topic| topic.partitions);
    let (mut known, mut place) = (None, 0);
    walk.ask(
        &shard,
        |step, scatter: &mut Scatter<_, _>| match step {
            Step::Topic(topic) => known = image.topic(&topic.name),
            Step::End => {}
            Step::Part(part) => {
                let is_twice = twice.contains(place);
                place += 1;
                match plan(known, &part, version, is_twice) {
                    Err(error) => scatter.answered(Err(error)),
                    Ok(part) => scatter.ask(shard.owner(&part.key), part),
                }
            }
        },
        |parts| OffsetsQuestion { parts, isolation },
        |step| write(step, &mut encoder, version),
    )
    .await;
    response.end_topics(&mut encoder, version);
    request.finish_reply(encoder)
}

fn plan(
    known: Option<&Arc<Topic>>,
    part: &ListOffsetsPartition,
    version: i16,
    is_twice: bool,
) -> Result<OffsetPart, ErrorCode> {
    let (key, query) = target(known, part, version, is_twice)?;
    Ok(OffsetPart {
        key,
        current_leader_epoch: LeaderEpoch(part.current_leader_epoch),
        query,
    })
}

/// The partition and what is asked of it.
pub(super) fn target(
    known: Option<&Arc<Topic>>,
    part: &ListOffsetsPartition,
    version: i16,
    is_twice: bool,
) -> Result<(PartitionKey, OffsetQuery), ErrorCode> {
    if is_twice {
        return Err(ErrorCode::InvalidRequest);
    }
    let query = query_of(version, part.timestamp)?;
    let partition = PartitionIndex(part.partition_index);
    let known = known.filter(|known| known.partition(partition).is_some());
    let topic_id = known.ok_or(ErrorCode::UnknownTopicOrPartition)?.id;
    let key = PartitionKey {
        topic_id,
        partition,
    };
    Ok((key, query))
}

fn write(
    step: Step<ListOffsetsTopic<'_>, (ListOffsetsPartition, Found)>,
    encoder: &mut Encoder,
    version: i16,
) {
    match step {
        Step::Topic(topic) => {
            let response = ListOffsetsTopicResponse {
                name: topic.name,
                ..Default::default()
            };
            response.begin_partitions(encoder, version, topic.partitions.len());
        }
        Step::Part((part, found)) => answer(&part, version, found).write(encoder, version),
        Step::End => ListOffsetsTopicResponse::default().end_partitions(encoder, version),
    }
}

/// The partitions that a request names twice or more, by their places in it: a bit each.
#[derive(Default)]
pub(super) struct Twice(Vec<u64>);

impl Twice {
    pub(super) fn contains(&self, place: usize) -> bool {
        let word = self.0.get(place / 64).copied().unwrap_or(0);
        word >> (place % 64) & 1 != 0
    }

    fn insert(&mut self, place: usize) {
        if self.0.len() <= place / 64 {
            self.0.resize(place / 64 + 1, 0);
        }
        self.0[place / 64] |= 1 << (place % 64);
    }
}

/// Topics may be named twice too: a partition is known by the first place of its topic's name.
async fn named_twice(body: &ListOffsetsRequest<'_>) -> Twice {
    let mut twice = Twice::default();
    let mut topics = body.topics.iter();
    let mut names = Names::new(body.topics.len());
    let count: usize = body.topics.iter().map(|topic| topic.partitions.len()).sum();
    if count < 2 {
        return twice;
    }
    let mut keys: Vec<(u32, i32)> = Vec::with_capacity(count);
    let mut parts = Names::new(count);
    loop {
        let topic_place = topics.bytes_left();
        let Some(topic) = topics.next() else {
            return twice;
        };
        let same = names.add(topic_place, &topic.name, |at| body.topics.at(at).name);
        let topic_place = match same {
            Seen::First => topic_place,
            Seen::Again(first) => first,
        };
        for part in &topic.partitions {
            let (place, key) = (keys.len(), (topic_place, part.partition_index));
            keys.push(key);
            if let Seen::Again(first) = parts.add(place as u32, &key, |at| keys[at as usize]) {
                twice.insert(first as usize);
                twice.insert(place);
            }
            breathe(place).await;
        }
    }
}

/// What a timestamp of the request asks for.
fn query_of(version: i16, timestamp: i64) -> Result<OffsetQuery, ErrorCode> {
    let (since, query) = match timestamp {
        LATEST => (0, OffsetQuery::Latest),
        EARLIEST => (0, OffsetQuery::Earliest),
        0.. => (0, OffsetQuery::At(TimestampMs(timestamp))),
        MAX_TIMESTAMP => (7, OffsetQuery::MaxTimestamp),
        EARLIEST_LOCAL => (8, OffsetQuery::EarliestLocal),
        LATEST_TIERED => (9, OffsetQuery::LatestTiered),
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    match version < since {
        true => Err(ErrorCode::UnsupportedVersion),
        false => Ok(query),
    }
}

fn answer(part: &ListOffsetsPartition, version: i16, found: Found) -> ListOffsetsPartitionResponse {
    let error = found.as_ref().err().copied().unwrap_or(ErrorCode::None);
    let found = found.ok().flatten().unwrap_or(FoundOffset {
        timestamp: TimestampMs::NONE,
        offset: Offset(-1),
        leader_epoch: LeaderEpoch::NONE,
    });
    ListOffsetsPartitionResponse {
        partition_index: part.partition_index,
        error_code: error.code(),
        timestamp: found.timestamp.0,
        offset: found.offset.0,
        leader_epoch: if version < 4 {
            -1
        } else {
            found.leader_epoch.0
        },
        ..Default::default()
    }
}
