//! DeleteRecords: records below an offset are not there any more (KIP-107).

use std::rc::Rc;

use controller::topic_name;
use protocol::error::ErrorCode;
use protocol::ids::{Offset, PartitionIndex};
use protocol::messages::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};

use crate::log_start::{DeletePart, DeleteQuestion};
use crate::partition::PartitionKey;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::scatter::Scatter;
use crate::shard::Shard;

/// The low watermark of a partition whose records were not deleted.
const NO_LOW_WATERMARK: i64 = -1;

/// Answers a DeleteRecords request.
pub async fn delete_records(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DeleteRecordsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let image = shard.image();
    let mut scatter = Scatter::new(shard.count());
    for topic in &body.topics {
        for part in &topic.partitions {
            let partition = PartitionIndex(part.partition_index);
            let known = image.topic(&topic.name);
            match known.filter(|known| known.partition(partition).is_some()) {
                None => scatter.answered(Err(ErrorCode::UnknownTopicOrPartition)),
                Some(known) if topic_name::is_internal(&known.name) => {
                    scatter.answered(Err(ErrorCode::InvalidTopicException));
                }
                Some(known) => {
                    let key = PartitionKey {
                        topic_id: known.id,
                        partition,
                    };
                    let before = Offset(part.offset);
                    scatter.ask(shard.owner(&key), DeletePart { key, before });
                }
            }
        }
    }
    let mut answers = scatter
        .gather(&shard, |parts| DeleteQuestion { parts })
        .await
        .into_iter();
    let topics = body.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|part| {
            let answer = answers.next().expect("an answer a partition");
            DeleteRecordsPartitionResult {
                partition_index: part.partition_index,
                low_watermark: answer.map_or(NO_LOW_WATERMARK, |offset| offset.0),
                error_code: answer.err().unwrap_or(ErrorCode::None).code(),
            }
        });
        DeleteRecordsTopicResult {
            name: topic.name.clone(),
            partitions: partitions.collect(),
        }
    });
    let response = DeleteRecordsResponse {
        topics: topics.collect(),
        ..Default::default()
    };
    request.reply(&response, DeleteRecordsResponse::encode)
}
