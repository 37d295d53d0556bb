//! CreatePartitions: more partitions for topics that are there (KIP-195).

use std::borrow::Cow;
use std::rc::Rc;

use controller::topics::grow::{Growth, Results, grow};
use controller::topics::{Mode, RECORDS_PER_REQUEST_MAX};
use protocol::ids::BrokerId;
use protocol::messages::create_partitions::in_frame::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use protocol::messages::create_partitions::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};

use super::portions::Portions;
use super::refusal::{code_of, message_of};

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
    let version = request.version();
    let mut encoder = request.begin_reply();
    let response = CreatePartitionsResponse::default();
    response.begin(&mut encoder, version, body.topics.len());
    let (begins_at, mut answered) = (encoder.len(), 0);
    let mut portions = Portions::new(
        &body.topics,
        |topic| topic.name,
        |topic| 1 + topic.assignments.map_or(0, |assignments| assignments.len()),
    )
    .await;
    while let Some(topics) = portions.next().await {
        for (name, result) in grow_portion(&shard, &topics, mode).await {
            let result = CreatePartitionsTopicResult {
                name: Cow::Owned(name),
                error_code: code_of(&result),
                error_message: message_of(result).filter(|_| request.has_room_for_texts(&encoder)),
            };
            result.write(&mut encoder, version);
            answered += 1;
        }
    }
    encoder.recount(begins_at, body.topics.len(), answered);
    response.end_results(&mut encoder, version);
    request.finish_reply(encoder)
}

async fn grow_portion(
    shard: &Rc<Shard>,
    topics: &[CreatePartitionsTopic<'_>],
    mode: Mode,
) -> Results {
    let growths: Vec<Growth> = topics.iter().map(growth).collect();
    let change = Change::new(move |image| grow(image, &growths, mode, &mut random_u64));
    match shard.ask(METADATA_SHARD, change).await {
        Ok(results) => results,
        Err(refusal) => {
            let topics = topics.iter();
            topics
                .map(|topic| (topic.name.to_string(), Err(refusal.clone())))
                .collect()
        }
    }
}

fn growth(topic: &CreatePartitionsTopic<'_>) -> Growth {
    // More than may be made are refused for their number.
    let assignments = topic.assignments.as_ref().map(|assignments| {
        let looked_at = assignments.iter().take(RECORDS_PER_REQUEST_MAX + 1);
        let brokers = looked_at.map(|assignment| {
            let ids = assignment.broker_ids.iter();
            ids.map(BrokerId).collect::<Vec<_>>()
        });
        brokers.collect::<Vec<_>>()
    });
    Growth {
        name: topic.name.to_string(),
        count: topic.count,
        assignments,
    }
}
