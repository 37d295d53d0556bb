//! TxnOffsetCommit: offsets that hold when the producer's transaction commits (KIP-98, KIP-447,
//! KIP-890).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use coordinator::group::request::{self as group, CommitInTransaction};
use coordinator::machine::Producer;
use protocol::error::ErrorCode;
use protocol::ids::{PartitionIndex, ProducerEpoch, ProducerId};
use protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
};

use super::offset_commit::batch_bytes_max;
use super::walk::breathe;
use crate::coordination::groups;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;
use crate::transactional_append::Transaction;

/// Clients from this version on can cope with a coordinator that is being loaded.
const LOADING_KNOWN_SINCE: i16 = 2;

/// Clients of versions from this one know TRANSACTION_ABORTABLE.
const ABORTABLE_SINCE: i16 = 4;

/// The answer, by topic: partitions and their codes.
type Codes = BTreeMap<String, Vec<(i32, ErrorCode)>>;

/// Answers a TxnOffsetCommit request.
pub async fn txn_offset_commit(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(TxnOffsetCommitRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let image = shard.image();
    let mut asked = body.into_owned();
    let (mut codes, mut sent) = (Codes::new(), Codes::new());
    let mut step = 0;
    for mut topic in std::mem::take(&mut asked.topics) {
        let known = image.topic(&topic.name);
        let (mut there, mut unknown) = (Vec::new(), Vec::new());
        for partition in std::mem::take(&mut topic.partitions) {
            let index = PartitionIndex(partition.partition_index);
            match known.is_some_and(|known| known.partition(index).is_some()) {
                true => there.push(partition),
                false => unknown.push((index.0, ErrorCode::UnknownTopicOrPartition)),
            }
            breathe(step).await;
            step += 1;
        }
        let name = || topic.name.to_string();
        if !unknown.is_empty() {
            codes.entry(name()).or_default().extend(unknown);
        }
        if !there.is_empty() {
            let indexes = there.iter().map(|partition| partition.partition_index);
            let accepted = indexes.map(|index| (index, ErrorCode::None));
            sent.entry(name()).or_default().extend(accepted);
            topic.partitions = there;
            asked.topics.push(topic);
        }
    }
    if !asked.topics.is_empty() {
        let group_id = asked.group_id.to_string();
        let transaction = Transaction {
            transactional_id: asked.transactional_id.as_ref().into(),
            producer: Producer {
                id: ProducerId(asked.producer_id),
                epoch: ProducerEpoch(asked.producer_epoch),
            },
            knows_abortable: request.version() >= ABORTABLE_SINCE,
        };
        let partitions = asked
            .topics
            .iter()
            .map(|topic| topic.partitions.len())
            .sum();
        let asked = group::Request::TxnCommit(Box::new(CommitInTransaction {
            batch_bytes_max: batch_bytes_max(&shard, partitions),
            request: asked,
        }));
        match groups::ask_in_transaction(&shard, &group_id, asked, &transaction).await {
            Ok(group::Reply::TxnCommit(response)) => {
                for topic in response.topics {
                    let told = topic.partitions.iter().map(|partition| {
                        let code = ErrorCode::from_code(partition.error_code);
                        (
                            partition.partition_index,
                            code.unwrap_or(ErrorCode::UnknownServerError),
                        )
                    });
                    codes
                        .entry(topic.name.into_owned())
                        .or_default()
                        .extend(told);
                }
            }
            Ok(_) => unreachable!("a commit is answered as one"),
            Err(error) => {
                for (topic, partitions) in sent {
                    let told = partitions.into_iter().map(|(index, _)| (index, error));
                    codes.entry(topic).or_default().extend(told);
                }
            }
        }
    }
    reply(&request, codes)
}

fn reply(request: &Request, codes: Codes) -> Outcome {
    let code = |error: ErrorCode| match error {
        ErrorCode::CoordinatorLoadInProgress if request.version() < LOADING_KNOWN_SINCE => {
            ErrorCode::CoordinatorNotAvailable.code()
        }
        error => error.code(),
    };
    let topics = codes
        .into_iter()
        .map(|(name, partitions)| TxnOffsetCommitResponseTopic {
            name: Cow::Owned(name),
            partitions: partitions
                .into_iter()
                .map(|(index, error)| TxnOffsetCommitResponsePartition {
                    partition_index: index,
                    error_code: code(error),
                })
                .collect(),
        });
    let response = TxnOffsetCommitResponse {
        topics: topics.collect(),
        ..Default::default()
    };
    request.reply(&response, TxnOffsetCommitResponse::encode)
}
