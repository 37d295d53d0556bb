//! OffsetForLeaderEpoch: where a leader epoch ends in this log (KIP-101, KIP-320).

use std::rc::Rc;

use engine::EpochEnd;
use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, PartitionIndex};
use protocol::messages::offset_for_leader_epoch::in_frame::{
    OffsetForLeaderEpochRequest, OffsetForLeaderTopic,
};
use protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};
use protocol::wire::Encoder;

use super::walk::{Step, Walk};

use crate::offsets::{EpochEndsQuestion, EpochPart};
use crate::partition::PartitionKey;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::scatter::Scatter;
use crate::shard::Shard;

/// Answers an OffsetForLeaderEpoch request.
pub async fn offset_for_leader_epoch(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(OffsetForLeaderEpochRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let version = request.version();
    let image = shard.image();
    let mut encoder = request.begin_reply();
    let response = OffsetForLeaderEpochResponse::default();
    response.begin(&mut encoder, version, body.topics.len());
    let mut known = None;
    let walk = Walk::new(&body.topics, |topic| topic.partitions);
    walk.ask(
        &shard,
        |step, scatter: &mut Scatter<_, _>| match step {
            Step::Topic(topic) => known = image.topic(&topic.topic),
            Step::End => {}
            Step::Part(part) => {
                let partition = PartitionIndex(part.partition);
                match known.filter(|known| known.partition(partition).is_some()) {
                    None => scatter.answered(Err(ErrorCode::UnknownTopicOrPartition)),
                    Some(known) => {
                        let key = PartitionKey {
                            topic_id: known.id,
                            partition,
                        };
                        let part = EpochPart {
                            key,
                            current_leader_epoch: LeaderEpoch(part.current_leader_epoch),
                            leader_epoch: LeaderEpoch(part.leader_epoch),
                        };
                        scatter.ask(shard.owner(&key), part);
                    }
                }
            }
        },
        |parts| EpochEndsQuestion { parts },
        |step| write(step, &mut encoder, version),
    )
    .await;
    response.end_topics(&mut encoder, version);
    request.finish_reply(encoder)
}

fn write(
    step: Step<
        OffsetForLeaderTopic<'_>,
        (
            OffsetForLeaderPartition,
            Result<Option<EpochEnd>, ErrorCode>,
        ),
    >,
    encoder: &mut Encoder,
    version: i16,
) {
    match step {
        Step::Topic(topic) => {
            let result = OffsetForLeaderTopicResult {
                topic: topic.topic,
                ..Default::default()
            };
            result.begin_partitions(encoder, version, topic.partitions.len());
        }
        Step::Part((part, end)) => {
            let mut answer = EpochEndOffset {
                partition: part.partition,
                ..Default::default()
            };
            match end {
                Err(error) => answer.error_code = error.code(),
                Ok(None) => {}
                Ok(Some(end)) => {
                    answer.leader_epoch = end.leader_epoch.0;
                    answer.end_offset = end.end_offset.0;
                }
            }
            answer.write(encoder, version);
        }
        Step::End => OffsetForLeaderTopicResult::default().end_partitions(encoder, version),
    }
}
