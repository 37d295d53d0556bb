//! Produce: a request's batches go to the shards that own their partitions; the reply waits for
//! all of them (KIP-98, KIP-467, KIP-951).

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use engine::append::RecordError;
use protocol::batch::{BatchError, BatchHeader, Compression};
use protocol::error::ErrorCode;
use protocol::ids::PartitionIndex;
use protocol::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};

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
    let outcomes = match acks_of(body.acks) {
        None => refuse_all(&body, ErrorCode::InvalidRequiredAcks),
        Some(_) if is_transactional(&body) => refuse_all(&body, ErrorCode::CoordinatorNotAvailable),
        Some(acks) => append(&shard, &request, &body, acks).await,
    };
    if body.acks == 0 {
        return match outcomes
            .iter()
            .find(|outcome| outcome.error != ErrorCode::None)
        {
            None => Outcome::NoReply,
            Some(failed) => Outcome::Close(format!(
                "a produce request with acks=0 failed with {}",
                failed.error.name()
            )),
        };
    }
    request.reply(&response(&body, outcomes), ProduceResponse::encode)
}

fn acks_of(acks: i16) -> Option<Acks> {
    match acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    }
}

/// Appends every part where it belongs. Outcomes are in the order of the request's partitions.
async fn append(
    shard: &Rc<Shard>,
    request: &Request,
    body: &ProduceRequest<'_>,
    acks: Acks,
) -> Vec<AppendOutcome> {
    let deadline = ring::timer::now() + Duration::from_millis(body.timeout_ms.max(0) as u64);
    let image = shard.image();
    let mut scatter = Scatter::new(shard.count());
    for topic in &body.topic_data {
        let known = image.topic(&topic.name);
        for partition in &topic.partition_data {
            let index = PartitionIndex(partition.index);
            let Some(known) = known.filter(|known| known.partition(index).is_some()) else {
                scatter.answered(AppendOutcome::refused(ErrorCode::UnknownTopicOrPartition));
                continue;
            };
            match usable_records(request.version(), partition) {
                Err(refused) => scatter.answered(refused),
                Ok(records) => {
                    let key = PartitionKey {
                        topic_id: known.id,
                        partition: index,
                    };
                    let batches = request.frame.slice_ref(records);
                    scatter.ask(shard.owner(&key), AppendPart { key, batches });
                }
            }
        }
    }
    scatter
        .gather(shard, |parts| AppendQuestion {
            acks,
            deadline,
            parts,
        })
        .await
}

/// What Kafka's `ProduceRequest.validateRecords` refuses, before the log is asked: no batch, more
/// than one batch, another format than 2, zstd below version 7. Versions below 3 may bring anything;
/// what is not even one message is taken for nothing, and nothing is stored.
fn usable_records<'a>(
    version: i16,
    partition: &'a PartitionProduceData<'_>,
) -> Result<&'a [u8], AppendOutcome> {
    let refuse = |error: ErrorCode, message: &str| {
        let message = Some(message.to_owned());
        Err(AppendOutcome {
            message,
            ..AppendOutcome::refused(error)
        })
    };
    let records = partition
        .records
        .as_ref()
        .and_then(|records| records.bytes());
    let records = records.unwrap_or_default();
    if version < 3 {
        return match holds_a_message(records) {
            true => Ok(records),
            false => Err(AppendOutcome::refused(ErrorCode::None)),
        };
    }
    if records.is_empty() {
        return refuse(
            ErrorCode::InvalidRecord,
            "Produce requests with version 3 or above must have at least one record batch per partition",
        );
    }
    let header = match BatchHeader::parse(records) {
        Ok(header) => header,
        Err(BatchError::OtherMagic(_)) => {
            return refuse(
                ErrorCode::InvalidRecord,
                "Produce requests with version 3 or above are only allowed to contain record batches with magic version 2",
            );
        }
        Err(_) => return Err(AppendOutcome::refused(ErrorCode::CorruptMessage)),
    };
    if version < 7 && header.attributes.compression() == Ok(Compression::Zstd) {
        return refuse(
            ErrorCode::UnsupportedCompressionType,
            "Produce requests with version below 7 are not allowed to use ZStandard compression",
        );
    }
    if header.size() < records.len() {
        return refuse(
            ErrorCode::InvalidRecord,
            "Produce requests with version 3 or above are only allowed to contain exactly one record batch per partition",
        );
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
fn is_transactional(body: &ProduceRequest<'_>) -> bool {
    let parts = body
        .topic_data
        .iter()
        .flat_map(|topic| &topic.partition_data);
    body.transactional_id.is_some()
        || parts
            .filter_map(|part| BatchHeader::parse(part.records.as_ref()?.bytes()?).ok())
            .any(|header| header.attributes.is_transactional())
}

fn refuse_all(body: &ProduceRequest<'_>, error: ErrorCode) -> Vec<AppendOutcome> {
    let parts = body
        .topic_data
        .iter()
        .flat_map(|topic| &topic.partition_data);
    parts.map(|_| AppendOutcome::refused(error)).collect()
}

fn record_errors(errors: Vec<RecordError>) -> Vec<BatchIndexAndErrorMessage<'static>> {
    let errors = errors.into_iter().map(|error| BatchIndexAndErrorMessage {
        batch_index: error.batch_index,
        batch_index_error_message: Some(Cow::Owned(error.message)),
    });
    errors.collect()
}

fn response<'a>(body: &'a ProduceRequest<'_>, outcomes: Vec<AppendOutcome>) -> ProduceResponse<'a> {
    let mut outcomes = outcomes.into_iter();
    let responses = body
        .topic_data
        .iter()
        .map(|topic| TopicProduceResponse {
            name: Cow::Borrowed(&topic.name),
            partition_responses: topic
                .partition_data
                .iter()
                .map(|part| {
                    let outcome = outcomes.next().expect("an outcome a partition");
                    PartitionProduceResponse {
                        index: part.index,
                        error_code: outcome.error.code(),
                        base_offset: outcome.base_offset.0,
                        log_append_time_ms: outcome.log_append_time.0,
                        log_start_offset: outcome.log_start_offset.0,
                        record_errors: record_errors(outcome.record_errors),
                        error_message: outcome.message.map(Cow::Owned),
                        ..Default::default()
                    }
                })
                .collect(),
        })
        .collect();
    ProduceResponse {
        responses,
        ..Default::default()
    }
}
