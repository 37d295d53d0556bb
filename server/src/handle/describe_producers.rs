//! DescribeProducers: who writes to a partition, and where its open transaction begins (KIP-664).

use std::borrow::Cow;
use std::rc::Rc;

use controller::topic_name;
use engine::ActiveProducer;
use protocol::error::ErrorCode;
use protocol::ids::PartitionIndex;
use protocol::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};

use crate::mail::{Done, Question};
use crate::partition::PartitionKey;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::scatter::Scatter;
use crate::shard::Shard;

/// An error code, and a text if Kafka gives one.
type Refusal = (ErrorCode, Option<String>);
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
    let mut scatter = Scatter::new(shard.count());
    for topic in &body.topics {
        let refused = topic_name::validate(&topic.name)
            .map_err(|reason| (ErrorCode::InvalidTopicException, Some(reason)));
        let known = refused.and_then(|()| {
            let error = ErrorCode::UnknownTopicOrPartition;
            let message = || Some(error.message().to_owned());
            image.topic(&topic.name).ok_or_else(|| (error, message()))
        });
        for index in &topic.partition_indexes {
            let partition = PartitionIndex(*index);
            match &known {
                Err(refused) => scatter.answered(Err(refused.clone())),
                Ok(known) if known.partition(partition).is_none() => {
                    scatter.answered(Err((ErrorCode::UnknownTopicOrPartition, None)));
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
    let found: Vec<Producers> = scatter.gather(&shard, ProducersQuestion).await;
    let mut found = found.into_iter();
    let topics = body.topics.iter().map(|topic| TopicResponse {
        name: topic.name.clone(),
        partitions: topic
            .partition_indexes
            .iter()
            .map(|index| answer(*index, found.next().expect("an answer a partition")))
            .collect(),
    });
    let response = DescribeProducersResponse {
        topics: topics.collect(),
        ..Default::default()
    };
    request.reply(&response, DescribeProducersResponse::encode)
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
            active.map_err(|error| (error, None))
        };
        done.put(self.0.into_iter().map(of).collect());
    }
}

fn answer(partition_index: i32, found: Producers) -> PartitionResponse<'static> {
    match found {
        Err((error, message)) => PartitionResponse {
            partition_index,
            error_code: error.code(),
            error_message: message.map(Cow::Owned),
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
