//! Fetch: reads on the shards that own the partitions, waits for `min.bytes` or `max.wait.ms`,
//! and answers with file slices that the connection sends without copying (KIP-74, 227, 516). Only
//! clients older than batches have their records converted.

mod many;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use engine::LogSlice;
use protocol::error::ErrorCode;
use protocol::ids::{PartitionIndex, Uuid};
use protocol::legacy_record_set::LegacyMagic;
use protocol::messages::fetch::in_frame::FetchRequest;
use protocol::messages::fetch::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, PartitionData,
};
use protocol::wire::Records;
use ring::net::Piece;

use crate::down_conversion::{Wanted, convert};
use crate::fetch_session::{FetchPart, FetchTarget, Naming, SessionClaim};
use crate::partition::PartitionKey;
use crate::read::{FirstBatch, Isolation, Knows, PartRead, ReadPart, ReadQuestion};
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::scatter::Scatter;
use crate::shard::{Shard, ShardId};
use crate::watch::Ticket;

/// Versions from this one name topics by id.
const BY_ID_SINCE: i16 = 13;
/// Versions below need the records in format 0 or 1.
const FORMAT_2_SINCE: i16 = 4;
/// Versions below need the records in format 0.
const FORMAT_1_SINCE: i16 = 2;
/// Versions below do not know Zstandard.
const ZSTD_SINCE: i16 = 10;
/// Versions below do not know KAFKA_STORAGE_ERROR.
const STORAGE_ERROR_SINCE: i16 = 6;

/// Limits of one fetch.
struct Limits {
    isolation: Isolation,
    knows: Knows,
    max_bytes: usize,
    min_bytes: usize,
    first_batch: FirstBatch,
    wait: Duration,
    deadline: Instant,
    /// The broker that fetches, -1 for a consumer.
    replica_id: i32,
}

/// Answers a fetch request.
pub async fn fetch(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(FetchRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let version = request.version();
    let naming = if version >= BY_ID_SINCE {
        Naming::ById
    } else {
        Naming::ByName
    };
    let claim = match version {
        ..7 => SessionClaim {
            id: 0,
            epoch: -1,
            naming,
        },
        _ => SessionClaim {
            id: body.session_id,
            epoch: body.session_epoch,
            naming,
        },
    };
    let Some(named) = many::named_parts(&shard, &body, naming).await else {
        return many::fetch(&shard, &request, &body, claim).await;
    };
    let forgotten = forgotten_targets(&shard, &body, naming);
    let now = ring::timer::now();
    let begun = shard
        .fetch_sessions
        .borrow_mut()
        .begin(claim, named, &forgotten, now);
    let (standing, parts) = match begun {
        Ok(begun) => begun,
        Err(error) => return request.reply(&session_error(error), FetchResponse::encode),
    };
    let limits = limits_of(&shard, &request, &body);
    let mut reads = read_until_enough(&shard, &limits, &parts).await;
    let now = ring::timer::now();
    let ended = shard
        .fetch_sessions
        .borrow_mut()
        .end(standing, &parts, &reads, now);
    let (session_id, told) = match ended {
        Ok(ended) => ended,
        Err(error) => return request.reply(&session_error(error), FetchResponse::encode),
    };
    if version < STORAGE_ERROR_SINCE {
        convert_for_old_client(version, &parts, &mut reads).await;
    }
    let slices = RefCell::new(Vec::new());
    let responses = topic_responses(&parts, &mut reads, &told, naming, &slices);
    let response = FetchResponse {
        session_id,
        responses,
        ..Default::default()
    };
    let mut slices = slices.into_inner();
    request.reply_with_slices(&response, FetchResponse::encode, |token| {
        piece_of(&mut slices, token)
    })
}

fn piece_of(slices: &mut [Option<LogSlice>], token: u64) -> Piece {
    let slice = slices[token as usize]
        .take()
        .expect("each slice is sent once");
    Piece::File {
        file: slice.file,
        position: slice.position,
        len: slice.len,
    }
}

fn session_error(error: ErrorCode) -> FetchResponse<'static> {
    FetchResponse {
        error_code: error.code(),
        ..Default::default()
    }
}

fn forgotten_targets(shard: &Shard, body: &FetchRequest<'_>, naming: Naming) -> Vec<FetchTarget> {
    let mut targets = Vec::new();
    for topic in &body.forgotten_topics_data {
        let (name, topic_id) = shard.topic_of_fetch(&topic.topic, topic.topic_id, naming);
        for partition in &topic.partitions {
            let partition = PartitionIndex(partition);
            targets.push(FetchTarget {
                topic: name.clone(),
                topic_id,
                partition,
            });
        }
    }
    targets
}

fn limits_of(shard: &Shard, request: &Request, body: &FetchRequest<'_>) -> Limits {
    let max_bytes = (body.max_bytes.max(0) as usize).min(shard.config.fetch_max_bytes);
    let wait = Duration::from_millis(body.max_wait_ms.max(0) as u64);
    Limits {
        isolation: match body.isolation_level {
            1 => Isolation::ReadCommitted,
            _ => Isolation::ReadUncommitted,
        },
        knows: Knows {
            batches: request.version() >= FORMAT_2_SINCE,
            zstd: request.version() >= ZSTD_SINCE,
        },
        max_bytes,
        min_bytes: (body.min_bytes.max(0) as usize).min(max_bytes),
        first_batch: match request.version() {
            ..3 => FirstBatch::Limited,
            _ => FirstBatch::Whole,
        },
        wait,
        deadline: ring::timer::now() + wait,
        replica_id: match request.version() {
            ..15 => body.replica_id,
            _ => body.replica_state.replica_id,
        },
    }
}

/// Reads all parts; if that is too little, waits for more bytes or the end of the wait, and reads
/// again. Answers a read a part.
async fn read_until_enough(
    shard: &Rc<Shard>,
    limits: &Limits,
    parts: &[FetchPart],
) -> Vec<PartRead> {
    let fixed: Vec<Option<ErrorCode>> = parts
        .iter()
        .map(|part| refuse(shard, limits.replica_id, part))
        .collect();
    let may_wait = !limits.wait.is_zero()
        && shard.fetch_waits.may_wait()
        && limits.min_bytes > 0
        && !fixed.is_empty()
        && fixed.iter().all(Option::is_none);
    let waiting = shard.fetch_waits.register();
    let ticket = Ticket {
        home: shard.id,
        number: waiting.number,
    };
    let _watching = may_wait.then(|| Watching::new(shard, parts, ticket));
    let mut missing = may_wait.then_some(limits.min_bytes as u64);
    loop {
        let watch = missing.map(|bytes| (ticket, bytes));
        let reads = read_once(shard, parts, &fixed, limits, watch).await;
        let total: usize = reads.iter().map(PartRead::bytes).sum();
        let enough = total >= limits.min_bytes || reads.iter().any(PartRead::is_urgent);
        if missing.is_none() || enough {
            return reads;
        }
        let left = limits
            .deadline
            .saturating_duration_since(ring::timer::now());
        let woken = ring::timer::timeout(left, waiting.woken.wait())
            .await
            .is_ok();
        let goes_on = woken && shard.fetch_waits.may_wait();
        missing = goes_on.then_some(limits.min_bytes as u64);
    }
}

/// The watches of one waiting fetch on all shards; dropped, they are cancelled.
struct Watching {
    shard: Rc<Shard>,
    owners: Vec<ShardId>,
    ticket: Ticket,
}

impl Watching {
    fn new(shard: &Rc<Shard>, parts: &[FetchPart], ticket: Ticket) -> Watching {
        let keys = parts.iter().filter_map(|part| shard.key_of(&part.target));
        let mut owners: Vec<ShardId> = keys.map(|key| shard.owner(&key)).collect();
        owners.sort_unstable();
        owners.dedup();
        Watching {
            shard: shard.clone(),
            owners,
            ticket,
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let ticket = self.ticket;
        for owner in self.owners.drain(..) {
            self.shard
                .post_to(owner, move |there| there.watches.cancel(ticket));
        }
    }
}

/// Why a partition is not read at all.
fn refuse(shard: &Shard, replica_id: i32, part: &FetchPart) -> Option<ErrorCode> {
    let image = shard.image();
    if part.target.topic.is_empty() {
        return Some(ErrorCode::UnknownTopicId);
    }
    let Some(topic) = image.topic(&part.target.topic) else {
        return Some(ErrorCode::UnknownTopicOrPartition);
    };
    if topic.partition(part.target.partition).is_none() {
        return Some(ErrorCode::UnknownTopicOrPartition);
    }
    if !part.target.topic_id.is_zero() && topic.id != part.target.topic_id {
        return Some(ErrorCode::InconsistentTopicId);
    }
    if replica_id >= 0 {
        return Some(ErrorCode::NotLeaderOrFollower); // No other broker has a replica.
    }
    None
}

async fn read_once(
    shard: &Rc<Shard>,
    parts: &[FetchPart],
    fixed: &[Option<ErrorCode>],
    limits: &Limits,
    watch: Option<(Ticket, u64)>,
) -> Vec<PartRead> {
    let mut scatter = Scatter::new(shard.count());
    for (part, refused) in parts.iter().zip(fixed) {
        match (refused, shard.key_of(&part.target)) {
            (Some(error), _) => scatter.answered(PartRead::failed(*error)),
            (None, None) => {
                scatter.answered(PartRead::failed(ErrorCode::UnknownTopicOrPartition));
            }
            (None, Some(key)) => scatter.ask(shard.owner(&key), read_part(key, part)),
        }
    }
    // One of the shards has its share when all have enough together.
    let shards = scatter.shards_asked().max(1) as u64;
    let reads = scatter.gather(shard, |parts| ReadQuestion {
        parts,
        isolation: limits.isolation,
        knows: limits.knows,
        max_bytes: limits.max_bytes,
        first_batch: limits.first_batch,
        watch: watch.map(|(ticket, needed)| (ticket, needed.div_ceil(shards))),
    });
    within(limits, reads.await)
}

fn read_part(key: PartitionKey, part: &FetchPart) -> ReadPart {
    ReadPart {
        key,
        fetch_offset: part.fetch_offset,
        current_leader_epoch: part.current_leader_epoch,
        last_fetched_epoch: part.last_fetched_epoch,
        max_bytes: part.max_bytes.max(0) as usize,
    }
}

/// Cuts what several shards gave together to the fetch's limit, in the fetch's order. The first
/// slice stays whole: it may be one large batch.
fn within(limits: &Limits, mut reads: Vec<PartRead>) -> Vec<PartRead> {
    let mut left = limits.max_bytes;
    let mut first = true;
    for read in &mut reads {
        let bytes = read.bytes();
        if let Some(slice) = &mut read.slice {
            if !first {
                slice.len = slice.len.min(left as u32);
            }
            first = false;
        }
        if read.bytes() == 0 {
            read.slice = None;
        }
        left = left.saturating_sub(bytes);
    }
    reads
}

/// Puts the reads into the formats and the error codes that clients of old versions know.
async fn convert_for_old_client(version: i16, parts: &[FetchPart], reads: &mut [PartRead]) {
    let magic = match version {
        ..FORMAT_1_SINCE => LegacyMagic::V0,
        _ => LegacyMagic::V1,
    };
    for (part, read) in parts.iter().zip(reads) {
        if version < FORMAT_2_SINCE
            && let Some(slice) = read.slice.take()
        {
            let from = part.fetch_offset;
            match convert(slice, Wanted { magic, from }).await {
                Ok(set) => read.converted = Some(set),
                Err(error) => *read = PartRead::failed(error),
            }
        }
        if read.error == ErrorCode::KafkaStorageError {
            read.error = ErrorCode::NotLeaderOrFollower;
        }
    }
}

/// The partitions that the reply names, grouped by topic in the order of `parts`.
fn topic_responses(
    parts: &[FetchPart],
    reads: &mut [PartRead],
    told: &[bool],
    naming: Naming,
    slices: &RefCell<Vec<Option<LogSlice>>>,
) -> Vec<FetchableTopicResponse<'static>> {
    let mut topics: Vec<FetchableTopicResponse<'static>> = Vec::new();
    let mut places: HashMap<(&str, Uuid), usize> = HashMap::new();
    for ((part, read), _) in parts.iter().zip(reads).zip(told).filter(|(_, told)| **told) {
        let target = &part.target;
        let place = *places
            .entry((&*target.topic, target.topic_id))
            .or_insert_with(|| {
                topics.push(FetchableTopicResponse {
                    topic: match naming {
                        Naming::ByName => Cow::Owned(target.topic.to_string()),
                        Naming::ById => Cow::Borrowed(""),
                    },
                    topic_id: target.topic_id,
                    ..Default::default()
                });
                topics.len() - 1
            });
        topics[place]
            .partitions
            .push(partition_data(target.partition, read, slices));
    }
    topics
}

fn partition_data(
    partition: PartitionIndex,
    read: &mut PartRead,
    slices: &RefCell<Vec<Option<LogSlice>>>,
) -> PartitionData<'static> {
    let records = match (read.converted.take(), read.slice.take()) {
        (Some(set), _) => Records::Bytes(Cow::Owned(set)),
        (None, None) => Records::Bytes(Cow::Borrowed(&[])),
        (None, Some(slice)) => {
            let mut slices = slices.borrow_mut();
            let len = slice.len;
            slices.push(Some(slice));
            Records::External {
                token: slices.len() as u64 - 1,
                len,
            }
        }
    };
    PartitionData {
        partition_index: partition.0,
        error_code: read.error.code(),
        high_watermark: read.high_watermark.0,
        last_stable_offset: read.last_stable_offset.0,
        log_start_offset: read.log_start_offset.0,
        diverging_epoch: read.diverging.map_or_else(EpochEndOffset::default, |end| {
            EpochEndOffset {
                epoch: end.leader_epoch.0,
                end_offset: end.end_offset.0,
            }
        }),
        aborted_transactions: aborted_transactions(read),
        records: Some(records),
        ..Default::default()
    }
}

/// What a reader of committed records skips; none at all for others.
fn aborted_transactions(read: &PartRead) -> Option<Vec<AbortedTransaction>> {
    let aborted = read.aborted.as_ref()?;
    let entry = |aborted: &engine::AbortedTransaction| AbortedTransaction {
        producer_id: aborted.producer_id.0,
        first_offset: aborted.first_offset.0,
    };
    Some(aborted.iter().map(entry).collect())
}
