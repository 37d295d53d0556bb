//! The checkpoint files, written from time to time: what recovery need not look at.

use std::rc::Rc;

use engine::log::Log;
use protocol::ids::Offset;

use crate::directories::{Directories, LogCheckpoint};
use crate::mail::{Done, Question};
use crate::shard::{Shard, ShardId};

/// What a log's checkpoints would say now.
pub fn of_log(directories: &Directories, log: &Log, high_watermark: Offset) -> LogCheckpoint {
    let log_start = log.log_start_offset();
    LogCheckpoint {
        partition: log.topic_partition().clone(),
        directory: directories.id_of(log),
        recovery_point: log.recovery_point(),
        log_start: (log_start > log.first_segment_offset()).then_some(log_start),
        high_watermark,
        cleaned_to: log.cleaned_to(),
    }
}

/// Asks a shard for the checkpoints of its logs.
struct CheckpointQuestion;

impl Question for CheckpointQuestion {
    type Answer = Vec<LogCheckpoint>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Vec<LogCheckpoint>>) {
        let partitions = shard.partitions();
        let checkpoints = partitions.iter().filter_map(|partition| {
            let high_watermark = partition.leader().high_watermark();
            let log = partition.log().ok()?;
            Some(of_log(&shard.node.directories, &log, high_watermark))
        });
        let moves = shard.moves.seen().into_iter();
        let of_copies = moves.map(|(_, seen)| seen.checkpoint);
        done.put(checkpoints.chain(of_copies).collect());
    }
}

/// Writes all checkpoints every `replica.high.watermark.checkpoint.interval.ms`, until the node
/// stops.
pub async fn write_forever(shard: Rc<Shard>) {
    let interval = shard.config.replica_high_watermark_checkpoint_interval;
    let mut written = Vec::new();
    loop {
        ring::timer::sleep(interval).await;
        if shard.is_stopping() {
            return;
        }
        let asked: Vec<_> = (0..shard.count())
            .map(|to| shard.ask(ShardId(to), CheckpointQuestion))
            .collect();
        let mut checkpoints = Vec::new();
        for answer in asked {
            checkpoints.extend(answer.await);
        }
        if shard.is_stopping() {
            return;
        }
        if checkpoints == written {
            continue;
        }
        written.clone_from(&checkpoints);
        let directories = shard.node.directories.clone();
        let result = ring::offload_slow(move || directories.write_checkpoints(&checkpoints)).await;
        if let Err(error) = result {
            tracing::error!("writing the checkpoint files failed, trying again later: {error}");
            written.clear();
        }
    }
}
