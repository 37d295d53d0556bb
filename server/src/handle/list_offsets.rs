//! ListOffsets: the offset of a timestamp, of the log's start or of its end (KIP-79, 207, 734).

use std::collections::HashSet;
use std::rc::Rc;

use engine::{FoundOffset, OffsetQuery};
use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset, PartitionIndex, TimestampMs};
use protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

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
    let mut seen = HashSet::new();
    let mut twice = HashSet::new();
    for topic in &body.topics {
        for part in &topic.partitions {
            if !seen.insert((&topic.name, part.partition_index)) {
                twice.insert((&topic.name, part.partition_index));
            }
        }
    }
    let mut scatter = Scatter::new(shard.count());
    for topic in &body.topics {
        let known = image.topic(&topic.name);
        for part in &topic.partitions {
            let partition = PartitionIndex(part.partition_index);
            let known = known.filter(|known| known.partition(partition).is_some());
            let query = match known {
                _ if version > 0 && twice.contains(&(&topic.name, part.partition_index)) => {
                    Err(ErrorCode::InvalidRequest)
                }
                _ => query_of(version, part.timestamp),
            };
            match (query, known) {
                (Err(error), _) => scatter.answered(Err(error)),
                (Ok(_), None) => scatter.answered(Err(ErrorCode::UnknownTopicOrPartition)),
                (Ok(query), Some(known)) => {
                    let key = PartitionKey {
                        topic_id: known.id,
                        partition,
                    };
                    let current_leader_epoch = LeaderEpoch(part.current_leader_epoch);
                    let part = OffsetPart {
                        key,
                        current_leader_epoch,
                        query,
                    };
                    scatter.ask(shard.owner(&key), part);
                }
            }
        }
    }
    let found = scatter
        .gather(&shard, |parts| OffsetsQuestion { parts, isolation })
        .await;
    let mut found = found.into_iter();
    let topics = body
        .topics
        .iter()
        .map(|topic| ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|part| answer(part, version, found.next().expect("an answer a partition")))
                .collect(),
        })
        .collect();
    let response = ListOffsetsResponse {
        topics,
        ..Default::default()
    };
    request.reply(&response, ListOffsetsResponse::encode)
}

/// What a timestamp of the request asks for.
fn query_of(version: i16, timestamp: i64) -> Result<OffsetQuery, ErrorCode> {
    let since = match timestamp {
        LATEST | EARLIEST | 0.. => 0,
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        _ => i16::MAX,
    };
    if version < since {
        return Err(ErrorCode::UnsupportedVersion);
    }
    Ok(match timestamp {
        LATEST => OffsetQuery::Latest,
        EARLIEST => OffsetQuery::Earliest,
        EARLIEST_LOCAL => OffsetQuery::EarliestLocal,
        MAX_TIMESTAMP => OffsetQuery::MaxTimestamp,
        LATEST_TIERED => OffsetQuery::LatestTiered,
        _ => OffsetQuery::At(TimestampMs(timestamp)),
    })
}

fn answer(
    part: &ListOffsetsPartition,
    version: i16,
    found: Result<Option<FoundOffset>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let error = found.as_ref().err().copied().unwrap_or(ErrorCode::None);
    let found = found.ok().flatten().unwrap_or(FoundOffset {
        timestamp: TimestampMs::NONE,
        offset: Offset(-1),
        leader_epoch: LeaderEpoch::NONE,
    });
    let old_style = version == 0 && error == ErrorCode::None && found.offset >= Offset(0);
    ListOffsetsPartitionResponse {
        partition_index: part.partition_index,
        error_code: error.code(),
        old_style_offsets: if old_style {
            vec![found.offset.0]
        } else {
            Vec::new()
        },
        timestamp: if version == 0 { -1 } else { found.timestamp.0 },
        offset: if version == 0 { -1 } else { found.offset.0 },
        leader_epoch: if version < 4 {
            -1
        } else {
            found.leader_epoch.0
        },
    }
}
