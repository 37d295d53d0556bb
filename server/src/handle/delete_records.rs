//! DeleteRecords: records below an offset are not there any more (KIP-107).

use std::rc::Rc;

use controller::topic_name;
use protocol::error::ErrorCode;
use protocol::ids::{Offset, PartitionIndex};
use protocol::messages::delete_records::in_frame::{DeleteRecordsRequest, DeleteRecordsTopic};
use protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use protocol::wire::Encoder;

use super::walk::{Step, Walk};

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
    let version = request.version();
    let image = shard.image();
    let mut encoder = request.begin_reply();
    let response = DeleteRecordsResponse::default();
    response.begin(&mut encoder, version, body.topics.len());
    let mut known = None;
    let walk = Walk::new(&body.topics, |topic| topic.partitions);
    walk.ask(
        &shard,
        |step, scatter: &mut Scatter<_, _>| match step {
            Step::Topic(topic) => known = image.topic(&topic.name),
            Step::End => {}
            Step::Part(part) => {
                let partition = PartitionIndex(part.partition_index);
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
        },
        |parts| DeleteQuestion { parts },
        |step| write(step, &mut encoder, version),
    )
    .await;
    response.end_topics(&mut encoder, version);
    request.finish_reply(encoder)
}

fn write(
    step: Step<DeleteRecordsTopic<'_>, (DeleteRecordsPartition, Result<Offset, ErrorCode>)>,
    encoder: &mut Encoder,
    version: i16,
) {
    match step {
        Step::Topic(topic) => {
            let result = DeleteRecordsTopicResult {
                name: topic.name,
                ..Default::default()
            };
            result.begin_partitions(encoder, version, topic.partitions.len());
        }
        Step::Part((part, answer)) => {
            let result = DeleteRecordsPartitionResult {
                partition_index: part.partition_index,
                low_watermark: answer.map_or(NO_LOW_WATERMARK, |offset| offset.0),
                error_code: answer.err().unwrap_or(ErrorCode::None).code(),
            };
            result.write(encoder, version);
        }
        Step::End => DeleteRecordsTopicResult::default().end_partitions(encoder, version),
    }
}
