//! DescribeProducers: who writes to a partition, and where its open transaction begins (KIP-664).
//! In a long answer a partition that was named before is not told of again: it may have many producers.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use controller::{Image, Messages, Refusal, topic_name};
use engine::ActiveProducer;
use protocol::error::ErrorCode;
use protocol::ids::{PartitionIndex, Uuid};
use protocol::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};

use super::names::TOLD_AGAIN_BYTES_MAX;

use crate::mail::{Done, Question};
use crate::partition::PartitionKey;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::scatter::Scatter;
use crate::shard::Shard;

type Producers = Result<Vec<ActiveProducer>, Refusal>;

/// The partitions of one shard.
struct ProducersQuestion(Vec<PartitionKey>);

/// Answers a DescribeProducers request.
pub async fn describe_producers(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DescribeProducersRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let image = shard.image();
    let (scatter, mut asked) = plan(&shard, &image, &body);
    let found: Vec<Producers> = scatter.gather(&shard, ProducersQuestion).await;
    let mut found = found.into_iter();
    let mut next = || found.next().expect("an answer a partition");
    let version = request.version();
    let mut encoder = request.begin_reply();
    let response = DescribeProducersResponse::default();
    response.begin(&mut encoder, version, body.topics.len());
    let mut told: HashMap<(Uuid, i32), PartitionResponse<'_>> = HashMap::new();
    for topic in &body.topics {
        let indexes = &topic.partition_indexes;
        let id = image.topic(&topic.name).map(|topic| topic.id);
        let head = TopicResponse {
            name: topic.name.clone(),
            ..Default::default()
        };
        head.begin_partitions(&mut encoder, version, indexes.len());
        let (begins_at, mut count) = (encoder.len(), 0);
        for index in indexes {
            let is_short = encoder.len() < TOLD_AGAIN_BYTES_MAX;
            match id.map(|id| (id, *index)) {
                Some(place) if !asked.remove(&place) => {
                    let Some(again) = told.get(&place).filter(|_| is_short) else {
                        continue;
                    };
                    again.write(&mut encoder, version);
                }
                Some(place) if is_short => {
                    let first = told.entry(place).or_insert(answer(*index, next()));
                    first.write(&mut encoder, version);
                }
                _ => answer(*index, next()).write(&mut encoder, version),
            }
            count += 1;
        }
        encoder.recount(begins_at, indexes.len(), count);
        head.end_partitions(&mut encoder, version);
    }
    response.end_topics(&mut encoder, version);
    request.finish_reply(encoder)
}

/// Asks about each partition, or refuses it, where it is named first. Also gives all that were named
/// of topics that there are.
fn plan(
    shard: &Shard,
    image: &Image,
    body: &DescribeProducersRequest<'_>,
) -> (Scatter<PartitionKey, Producers>, HashSet<(Uuid, i32)>) {
    let mut scatter = Scatter::new(shard.count());
    let mut messages = Messages::default();
    let mut asked = HashSet::new();
    for topic in &body.topics {
        let refused = topic_name::validate(&topic.name)
            .map_err(|reason| Refusal::new(ErrorCode::InvalidTopicException, reason));
        let known = refused.and_then(|()| {
            let unknown = || Refusal::standard(ErrorCode::UnknownTopicOrPartition);
            image.topic(&topic.name).ok_or_else(unknown)
        });
        for index in &topic.partition_indexes {
            let partition = PartitionIndex(*index);
            match &known {
                Ok(known) if !asked.insert((known.id, *index)) => {}
                Err(refused) => scatter.answered(messages.admit(Err(refused.clone()))),
                Ok(known) if known.partition(partition).is_none() => {
                    let unknown = Refusal::silent(ErrorCode::UnknownTopicOrPartition);
                    scatter.answered(Err(unknown));
                }
                Ok(known) => {
                    let key = PartitionKey {
                        topic_id: known.id,
                        partition,
                    };
                    scatter.ask(shard.owner(&key), key);
                }
            }
        }
    }
    (scatter, asked)
}

impl Question for ProducersQuestion {
    type Answer = Vec<Producers>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Vec<Producers>>) {
        let of = |key| {
            let partition = shard.partition(&key).ok_or(ErrorCode::NotLeaderOrFollower);
            let active = partition.and_then(|partition| {
                let log = partition.log()?;
                Ok(log.active_producers().collect())
            });
            active.map_err(Refusal::silent)
        };
        done.put(self.0.into_iter().map(of).collect());
    }
}

fn answer(partition_index: i32, found: Producers) -> PartitionResponse<'static> {
    match found {
        Err(refusal) => PartitionResponse {
            partition_index,
            error_code: refusal.code.code(),
            error_message: refusal.message.map(Cow::Owned),
            ..Default::default()
        },
        Ok(producers) => PartitionResponse {
            partition_index,
            active_producers: producers.into_iter().map(state).collect(),
            ..Default::default()
        },
    }
}

fn state(producer: ActiveProducer) -> ProducerState {
    ProducerState {
        producer_id: producer.id.0,
        producer_epoch: i32::from(producer.epoch.0),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp.0,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.transaction_start.map_or(-1, |offset| offset.0),
    }
}
