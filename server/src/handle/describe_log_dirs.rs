//! DescribeLogDirs: the log directories, the room in them, and the replicas with their sizes
//! (KIP-113, KIP-827).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use protocol::error::ErrorCode;
use protocol::ids::{PartitionIndex, Uuid};
use protocol::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

use crate::directories::DirectoryState;
use crate::mail::{Done, Question};
use crate::partition::PartitionKey;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::{Shard, ShardId};

/// Which replicas to tell of; `None` is all.
type Wanted = Option<Arc<HashSet<PartitionKey>>>;

/// Asks a shard for the sizes of its replicas.
struct SizesQuestion {
    wanted: Wanted,
}

/// One replica.
struct Size {
    directory: Uuid,
    topic: Arc<str>,
    partition: PartitionIndex,
    bytes: u64,
    /// How far its end is behind what it follows.
    offset_lag: i64,
    /// It is the copy of a log that is being moved here.
    is_future: bool,
}

impl Question for SizesQuestion {
    type Answer = Vec<Size>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Vec<Size>>) {
        let mut sizes = Vec::new();
        for partition in shard.partitions() {
            let is_wanted = |wanted: &Arc<HashSet<_>>| wanted.contains(&partition.key);
            let Ok(log) = partition.log() else {
                continue;
            };
            if !self.wanted.as_ref().is_none_or(is_wanted) {
                continue;
            }
            let high_watermark = partition.leader().high_watermark();
            sizes.push(Size {
                directory: shard.node.directories.id_of(&log),
                topic: partition.topic.clone(),
                partition: partition.key.partition,
                bytes: log.size_bytes(),
                offset_lag: (high_watermark.0 - log.log_end_offset().0).max(0),
                is_future: false,
            });
        }
        for (partition, copy) in shard.moves.seen() {
            let is_wanted = |wanted: &Arc<HashSet<_>>| wanted.contains(&partition.key);
            if !self.wanted.as_ref().is_none_or(is_wanted) {
                continue;
            }
            let log_end = partition.log().map(|log| log.log_end_offset());
            sizes.push(Size {
                directory: copy.checkpoint.directory,
                topic: partition.topic.clone(),
                partition: partition.key.partition,
                bytes: copy.bytes,
                offset_lag: log_end.map_or(-1, |log_end| log_end - copy.end),
                is_future: true,
            });
        }
        done.put(sizes);
    }
}

/// Answers a DescribeLogDirs request.
pub async fn describe_log_dirs(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DescribeLogDirsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let wanted = wanted(&shard, &body);
    let asked: Vec<_> = (0..shard.count())
        .map(|to| {
            let wanted = wanted.clone();
            shard.ask(ShardId(to), SizesQuestion { wanted })
        })
        .collect();
    let mut by_place: BTreeMap<(Uuid, Arc<str>), Vec<Size>> = BTreeMap::new();
    for answer in asked {
        for size in answer.await {
            let place = (size.directory, size.topic.clone());
            by_place.entry(place).or_default().push(size);
        }
    }
    let (directories, config) = (shard.node.directories.clone(), shard.config.clone());
    let states = ring::offload(move || directories.states(&config.log_dirs)).await;
    let results = states.into_iter().map(|state| told(state, &by_place));
    let response = DescribeLogDirsResponse {
        results: results.collect(),
        ..Default::default()
    };
    request.reply(&response, DescribeLogDirsResponse::encode)
}

fn wanted(shard: &Shard, body: &DescribeLogDirsRequest<'_>) -> Wanted {
    let topics = body.topics.as_ref()?;
    let image = shard.image();
    let mut keys = HashSet::new();
    for asked in topics {
        let Some(topic) = image.topic(&asked.topic) else {
            continue;
        };
        let known = asked.partitions.iter().copied().map(PartitionIndex);
        let known = known.filter(|partition| topic.partition(*partition).is_some());
        keys.extend(known.map(|partition| PartitionKey {
            topic_id: topic.id,
            partition,
        }));
    }
    Some(Arc::new(keys))
}

fn told(
    state: DirectoryState,
    by_place: &BTreeMap<(Uuid, Arc<str>), Vec<Size>>,
) -> DescribeLogDirsResult<'_> {
    let log_dir = Cow::Owned(state.path.display().to_string());
    let Some((id, space)) = state.usable else {
        return DescribeLogDirsResult {
            error_code: ErrorCode::KafkaStorageError.code(),
            log_dir,
            ..Default::default()
        };
    };
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let here = by_place.range((id, Arc::from(""))..);
    let here = here.take_while(|((directory, _), _)| *directory == id);
    let topics = here.map(|((_, topic), sizes)| DescribeLogDirsTopic {
        name: Cow::Borrowed(topic),
        partitions: sizes
            .iter()
            .map(|size| DescribeLogDirsPartition {
                partition_index: size.partition.0,
                partition_size: bytes(size.bytes),
                offset_lag: size.offset_lag,
                is_future_key: size.is_future,
            })
            .collect(),
    });
    DescribeLogDirsResult {
        error_code: ErrorCode::None.code(),
        log_dir,
        topics: topics.collect(),
        total_bytes: bytes(space.total_bytes),
        usable_bytes: bytes(space.usable_bytes),
    }
}
