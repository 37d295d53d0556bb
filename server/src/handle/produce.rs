//! Produce: a request's batches go to the shards that own their partitions; the reply waits for
//! all of them (KIP-98, KIP-467, KIP-951).

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use controller::image::Topic;
use engine::append::RecordError;
use protocol::batch::{BatchError, BatchHeader, Compression};
use protocol::error::ErrorCode;
use protocol::ids::PartitionIndex;
use protocol::messages::produce::in_frame::{ProduceRequest, TopicProduceData};
use protocol::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceResponse,
    TopicProduceResponse,
};
use protocol::wire::Encoder;

use super::walk::{Step, Walk, breathe};

use crate::append::{AppendPart, AppendQuestion};
use crate::partition::{Acks, AppendOutcome, PartitionKey};
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::scatter::Scatter;
use crate::shard::Shard;

/// Answers a produce request.
pub async fn produce(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(ProduceRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let acks = match acks_of(body.acks) {
        None => Err(ErrorCode::InvalidRequiredAcks),
        Some(_) if is_transactional(&body).await => Err(ErrorCode::CoordinatorNotAvailable),
        Some(acks) => Ok(acks),
    };
    if body.acks != 0 {
        let version = request.version();
        let mut encoder = request.begin_reply();
        let response = ProduceResponse::default();
        response.begin(&mut encoder, version, body.topic_data.len());
        let write = |step| write(step, &mut encoder, version);
        append(&shard, &request, &body, acks, write).await;
        response.end_responses(&mut encoder, version);
        return request.finish_reply(encoder);
    }
    let mut failed = None;
    append(&shard, &request, &body, acks, |step| {
        if let Step::Part((_, outcome)) = step
            && outcome.error != ErrorCode::None
        {
            failed.get_or_insert(outcome.error);
        }
    })
    .await;
    match failed {
        None => Outcome::NoReply,
        Some(error) => Outcome::Close(format!(
            "a produce request with acks=0 failed with {}",
            error.name()
        )),
    }
}

fn acks_of(acks: i16) -> Option<Acks> {
    match acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    }
}

type Answered<'a> = Step<TopicProduceData<'a>, (PartitionProduceData<'a>, AppendOutcome)>;

/// Appends every part where it belongs, or refuses all. `write` gets the outcomes in the order of
/// the request's partitions.
async fn append<'a>(
    shard: &Rc<Shard>,
    request: &'a Request,
    body: &ProduceRequest<'a>,
    acks: Result<Acks, ErrorCode>,
    write: impl FnMut(Answered<'a>),
) {
    let deadline = ring::timer::now() + Duration::from_millis(body.timeout_ms.max(0) as u64);
    let image = shard.image();
    let mut known = None;
    let walk = Walk::new(&body.topic_data, |topic| topic.partition_data);
    walk.ask(
        shard,
        |step, scatter: &mut Scatter<_, _>| match step {
            Step::Topic(topic) => known = image.topic(&topic.name),
            Step::End => {}
            Step::Part(part) => match acks.and_then(|_| key_of(known, &part)) {
                Err(error) => scatter.answered(AppendOutcome::refused(error)),
                Ok(key) => match usable_records(request.version(), &part) {
                    Err(refused) => scatter.answered(refused),
                    Ok(records) => {
                        let batches = request.frame.slice_ref(records);
                        scatter.ask(shard.owner(&key), AppendPart { key, batches });
                    }
                },
            },
        },
        |parts| AppendQuestion {
            acks: acks.expect("nobody is asked if all is refused"),
            deadline,
            parts,
        },
        write,
    )
    .await;
}

fn key_of(
    known: Option<&Arc<Topic>>,
    part: &PartitionProduceData<'_>,
) -> Result<PartitionKey, ErrorCode> {
    let partition = PartitionIndex(part.index);
    let known = known.filter(|known| known.partition(partition).is_some());
    Ok(PartitionKey {
        topic_id: known.ok_or(ErrorCode::UnknownTopicOrPartition)?.id,
        partition,
    })
}

/// What Kafka's `ProduceRequest.validateRecords` refuses, before the log is asked and without a text:
/// no batch, more than one batch, another format than 2, zstd below version 7. Versions below 3 may
/// bring anything; what is not even one message is taken for nothing, and nothing is stored.
fn usable_records<'a>(
    version: i16,
    partition: &'a PartitionProduceData<'_>,
) -> Result<&'a [u8], AppendOutcome> {
    let refuse = |error: ErrorCode| Err(AppendOutcome::refused(error));
    let records = partition
        .records
        .as_ref()
        .and_then(|records| records.bytes());
    let records = records.unwrap_or_default();
    if version < 3 {
        return match holds_a_message(records) {
            true => Ok(records),
            false => refuse(ErrorCode::None),
        };
    }
    if records.is_empty() {
        return refuse(ErrorCode::InvalidRecord);
    }
    let header = match BatchHeader::parse(records) {
        Ok(header) => header,
        Err(BatchError::OtherMagic(_)) => return refuse(ErrorCode::InvalidRecord),
        Err(_) => return refuse(ErrorCode::CorruptMessage),
    };
    if version < 7 && header.attributes.compression() == Ok(Compression::Zstd) {
        return refuse(ErrorCode::UnsupportedCompressionType);
    }
    if header.size() < records.len() {
        return refuse(ErrorCode::InvalidRecord);
    }
    Ok(records)
}

/// Whether the set begins with a whole message or batch, or with something that is damaged.
fn holds_a_message(records: &[u8]) -> bool {
    let Some(size) = records.get(8..12) else {
        return false;
    };
    let size = i32::from_be_bytes(size.try_into().expect("four bytes"));
    size < 0 || records.len() - 12 >= size as usize
}

/// Transactions need a coordinator, which this node does not have yet: nothing is appended that
/// no coordinator could ever commit.
async fn is_transactional(body: &ProduceRequest<'_>) -> bool {
    if body.transactional_id.is_some() {
        return true;
    }
    let walk = Walk::new(&body.topic_data, |topic| topic.partition_data);
    for (n, step) in walk.enumerate() {
        if let Step::Part(part) = step {
            let records = part.records.as_ref().and_then(|records| records.bytes());
            let header = records.and_then(|records| BatchHeader::parse(records).ok());
            if header.is_some_and(|header| header.attributes.is_transactional()) {
                return true;
            }
        }
        breathe(n).await;
    }
    false
}

fn record_errors(errors: Vec<RecordError>) -> Vec<BatchIndexAndErrorMessage<'static>> {
    let errors = errors.into_iter().map(|error| BatchIndexAndErrorMessage {
        batch_index: error.batch_index,
        batch_index_error_message: Some(Cow::Owned(error.message)),
    });
    errors.collect()
}

fn write(step: Answered<'_>, encoder: &mut Encoder, version: i16) {
    match step {
        Step::Topic(topic) => {
            let response = TopicProduceResponse {
                name: topic.name,
                ..Default::default()
            };
            response.begin_partition_responses(encoder, version, topic.partition_data.len());
        }
        Step::Part((part, outcome)) => {
            let response = PartitionProduceResponse {
                index: part.index,
                error_code: outcome.error.code(),
                base_offset: outcome.base_offset.0,
                log_append_time_ms: outcome.log_append_time.0,
                log_start_offset: outcome.log_start_offset.0,
                record_errors: record_errors(outcome.record_errors),
                error_message: outcome.message.map(Cow::Owned),
                ..Default::default()
            };
            response.write(encoder, version);
        }
        Step::End => TopicProduceResponse::default().end_partition_responses(encoder, version),
    }
}
