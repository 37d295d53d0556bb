//! CreatePartitions: more partitions for topics that are there (KIP-195).

use std::borrow::Cow;
use std::rc::Rc;

use controller::topics::Mode;
use controller::topics::grow::{Growth, grow};
use protocol::error::ErrorCode;
use protocol::ids::BrokerId;
use protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};

use crate::entropy::random_u64;
use crate::metadata_log::Change;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::{METADATA_SHARD, Shard};

/// Answers a CreatePartitions request.
pub async fn create_partitions(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(CreatePartitionsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let mode = if body.validate_only {
        Mode::ValidateOnly
    } else {
        Mode::Commit
    };
    let growths: Vec<Growth> = body.topics.iter().map(growth).collect();
    let change = Change::new(move |image| grow(image, &growths, mode, &mut random_u64));
    let results = match shard.ask(METADATA_SHARD, change).await {
        Ok(results) => results,
        Err(refusal) => {
            let topics = body.topics.iter();
            topics
                .map(|topic| (topic.name.to_string(), Err(refusal.clone())))
                .collect()
        }
    };
    let results = results
        .into_iter()
        .map(|(name, result)| {
            let refusal = result.err();
            CreatePartitionsTopicResult {
                name: Cow::Owned(name),
                error_code: refusal
                    .as_ref()
                    .map_or(ErrorCode::None, |refusal| refusal.code)
                    .code(),
                error_message: refusal.and_then(|refusal| refusal.message).map(Cow::Owned),
            }
        })
        .collect();
    let response = CreatePartitionsResponse {
        results,
        ..Default::default()
    };
    request.reply(&response, CreatePartitionsResponse::encode)
}

fn growth(topic: &CreatePartitionsTopic<'_>) -> Growth {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        let brokers = assignments.iter().map(|assignment| {
            assignment
                .broker_ids
                .iter()
                .map(|id| BrokerId(*id))
                .collect::<Vec<_>>()
        });
        brokers.collect::<Vec<_>>()
    });
    Growth {
        name: topic.name.to_string(),
        count: topic.count,
        assignments,
    }
}
