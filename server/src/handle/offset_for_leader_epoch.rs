//! OffsetForLeaderEpoch: where a leader epoch ends in this log (KIP-101, KIP-320).

use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, PartitionIndex};
use protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderTopicResult,
};

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
    let image = shard.image();
    let mut scatter = Scatter::new(shard.count());
    for topic in &body.topics {
        for part in &topic.partitions {
            let partition = PartitionIndex(part.partition);
            let known = image.topic(&topic.topic);
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
    }
    let mut ends = scatter
        .gather(&shard, |parts| EpochEndsQuestion { parts })
        .await
        .into_iter();
    let topics = body
        .topics
        .iter()
        .map(|topic| OffsetForLeaderTopicResult {
            topic: topic.topic.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|part| {
                    let end = ends.next().expect("an answer a partition");
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
                    answer
                })
                .collect(),
        })
        .collect();
    let response = OffsetForLeaderEpochResponse {
        topics,
        ..Default::default()
    };
    request.reply(&response, OffsetForLeaderEpochResponse::encode)
}
