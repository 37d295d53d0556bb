//! Produce: a request's batches go to the shards that own their partitions; the reply waits for
//! all of them (KIP-98, KIP-467, KIP-890, KIP-951).

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use controller::image::Topic;
use controller::topic_name;
use coordinator::machine::Producer;
use engine::append::{Origin, RecordError};
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
use crate::transactional_append::{self, Transaction};

/// Clients of versions from this one know TRANSACTION_ABORTABLE.
const ABORTABLE_SINCE: i16 = 11;

/// Who calls itself so may write to internal topics, as in Kafka.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// Answers a produce request.
pub async fn produce(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(ProduceRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let acks = match acks_of(body.acks) {
        None => Err(ErrorCode::InvalidRequiredAcks),
        Some(acks) => transaction_of(&body, request.version())
            .await
            .map(|transaction| (acks, transaction)),
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
    accepted: Result<(Acks, Option<Transaction>), ErrorCode>,
    write: impl FnMut(Answered<'a>),
) {
    let deadline = ring::timer::now() + Duration::from_millis(body.timeout_ms.max(0) as u64);
    let image = shard.image();
    let mut known = None;
    let walk = Walk::new(&body.topic_data, |topic| topic.partition_data);
    let refused = accepted.as_ref().err().copied();
    let origin = origin_of(shard, &accepted);
    let plan = |step, scatter: &mut Scatter<_, _>| match step {
        Step::Topic(topic) => {
            let topic: TopicProduceData<'a> = topic;
            known = image.topic(&topic.name);
        }
        Step::End => {}
        Step::Part(part) => match refused.map_or_else(|| key_of(request, known, &part), Err) {
            Err(error) => scatter.answered(AppendOutcome::refused(error)),
            Ok(key) => match usable_records(request.version(), &part) {
                Err(refused) => scatter.answered(refused),
                Ok(records) => {
                    let batches = request.frame.slice_ref(records);
                    let part = AppendPart {
                        key,
                        batches,
                        origin,
                    };
                    scatter.ask(shard.owner(&key), part);
                }
            },
        },
    };
    let gather = async |scatter: Scatter<_, _>| {
        let question = |parts| AppendQuestion {
            acks: match &accepted {
                Ok((acks, _)) => *acks,
                Err(_) => unreachable!("nobody is asked if all is refused"),
            },
            deadline,
            parts,
        };
        match &accepted {
            Ok((_, Some(transaction))) => {
                // A request that does not hold all its parts in one portion is served alone.
                let placed = || request.let_next_begin();
                let append =
                    transactional_append::append(shard, transaction, scatter, question, placed);
                Box::pin(append).await
            }
            _ => scatter.gather(shard, question).await,
        }
    };
    walk.ask_by(shard, plan, gather, write).await;
}

/// A transaction's first batch in a partition is verified, unless that is configured away.
fn origin_of(shard: &Shard, accepted: &Result<(Acks, Option<Transaction>), ErrorCode>) -> Origin {
    match accepted {
        Ok((_, Some(_))) if !shard.live().transactions.partition_verification_enable => {
            Origin::VerifiedClient
        }
        _ => Origin::Client,
    }
}

fn key_of(
    request: &Request,
    known: Option<&Arc<Topic>>,
    part: &PartitionProduceData<'_>,
) -> Result<PartitionKey, ErrorCode> {
    let partition = PartitionIndex(part.index);
    let known = known.filter(|known| known.partition(partition).is_some());
    let known = known.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    // A coordinator's memory is what it wrote itself.
    if topic_name::is_internal(&known.name) && request.client_id() != ADMIN_CLIENT_ID {
        return Err(ErrorCode::InvalidTopicException);
    }
    Ok(PartitionKey {
        topic_id: known.id,
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

/// The transaction that a request's transactional batches belong to, if it has any. They must be
/// of one producer, and the request must name the transactional id.
async fn transaction_of(
    body: &ProduceRequest<'_>,
    version: i16,
) -> Result<Option<Transaction>, ErrorCode> {
    let mut writer = None;
    let walk = Walk::new(&body.topic_data, |topic| topic.partition_data);
    for (n, step) in walk.enumerate() {
        if let Step::Part(part) = step
            && let Some(producer) = transactional_producer(&part)
        {
            if body.transactional_id.is_none() {
                return Err(ErrorCode::TransactionalIdAuthorizationFailed);
            }
            if *writer.get_or_insert(producer) != producer {
                return Err(ErrorCode::InvalidProducerIdMapping);
            }
        }
        breathe(n).await;
    }
    let Some(producer) = writer else {
        return Ok(None);
    };
    let id = body.transactional_id.as_deref();
    Ok(Some(Transaction {
        transactional_id: id.unwrap_or_default().into(),
        producer,
        knows_abortable: version >= ABORTABLE_SINCE,
    }))
}

fn transactional_producer(part: &PartitionProduceData<'_>) -> Option<Producer> {
    let records = part.records.as_ref().and_then(|records| records.bytes())?;
    let header = BatchHeader::parse(records).ok()?;
    let producer = Producer {
        id: header.producer_id,
        epoch: header.producer_epoch,
    };
    (header.attributes.is_transactional() && header.has_producer()).then_some(producer)
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
            let details = outcome.details.map_or_else(Default::default, |said| *said);
            let response = PartitionProduceResponse {
                index: part.index,
                error_code: outcome.error.code(),
                base_offset: outcome.base_offset.0,
                log_append_time_ms: outcome.log_append_time.0,
                log_start_offset: outcome.log_start_offset.0,
                record_errors: record_errors(details.record_errors),
                error_message: details.message.map(Cow::Owned),
                ..Default::default()
            };
            response.write(encoder, version);
        }
        Step::End => TopicProduceResponse::default().end_partition_responses(encoder, version),
    }
}
