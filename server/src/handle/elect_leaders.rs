//! ElectLeaders: preferred and unclean elections (KIP-183, KIP-460).

use std::borrow::Cow;
use std::rc::Rc;

use controller::elections::{Asked, Election, elect};
use controller::{Messages, Refusal};
use protocol::error::ErrorCode;
use protocol::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};

use super::refusal::{code_of, message_of};
use crate::metadata_log::Change;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::{METADATA_SHARD, Shard};

/// Answers an ElectLeaders request.
pub async fn elect_leaders(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(ElectLeadersRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let asked: Asked = body.topic_partitions.as_ref().map(|topics| {
        let topics = topics.iter();
        topics
            .map(|topic| (topic.topic.to_string(), topic.partitions.clone()))
            .collect()
    });
    let election = match body.election_type {
        0 => Ok(Election::Preferred),
        1 => Ok(Election::Unclean),
        other => {
            let text = format!("Unknown election type {other}");
            Err(Refusal::new(ErrorCode::InvalidRequest, text))
        }
    };
    let elected = match election {
        Ok(election) => {
            let change = Change::new(move |image| elect(image, election, &asked));
            shard.ask(METADATA_SHARD, change).await
        }
        Err(refusal) => Err(refusal),
    };
    let error_code = code_of(&elected);
    let results = elected.unwrap_or_else(|refusal| {
        let mut messages = Messages::default();
        let topics = body.topic_partitions.iter().flatten();
        let refused = topics.map(|topic| {
            let partitions = topic.partitions.iter();
            let partitions = partitions.map(|index| (*index, messages.admit(Err(refusal.clone()))));
            (topic.topic.to_string(), partitions.collect())
        });
        refused.collect()
    });
    let told = results
        .into_iter()
        .map(|(topic, partitions)| ReplicaElectionResult {
            topic: Cow::Owned(topic),
            partition_result: partitions
                .into_iter()
                .map(|(partition_id, result)| PartitionResult {
                    partition_id,
                    error_code: code_of(&result),
                    error_message: message_of(result),
                })
                .collect(),
        });
    let response = ElectLeadersResponse {
        error_code: if request.version() > 0 { error_code } else { 0 },
        replica_election_results: told.collect(),
        ..Default::default()
    };
    request.reply(&response, ElectLeadersResponse::encode)
}
