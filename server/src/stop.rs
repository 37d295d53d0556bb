//! The orderly end: no new connections, requests under way are answered, every log is flushed and
//! closed, checkpoints and the clean-shutdown mark are written.

use std::rc::Rc;
use std::time::Duration;

use controller::bootstrap::{self, Stage};
use engine::log::Log;
use protocol::ids::Offset;

use crate::checkpoints;
use crate::coordination;
use crate::directories::LogCheckpoint;
use crate::mail::{Done, Question};
use crate::shard::{Shard, ShardId};

/// How long requests under way may take to be answered.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often the connections are counted meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Asks a shard to answer what is under way and to close its connections. All shards have done so
/// before the first closes a log: a request may be about another shard's partitions.
struct DrainQuestion;

impl Question for DrainQuestion {
    type Answer = ();

    fn serve(self, shard: &Rc<Shard>, done: Done<()>) {
        let shard = shard.clone();
        ring::spawn(async move {
            drain_shard(&shard).await;
            done.put(());
        });
    }
}

async fn drain_shard(shard: &Rc<Shard>) {
    shard.stop_serving();
    shard.fetch_waits.end();
    coordination::end_all(shard);
    let deadline = ring::timer::now() + ANSWER_WITHIN;
    while !shard.has_no_connections() && ring::timer::now() < deadline {
        ring::timer::sleep(LOOK_INTERVAL).await;
    }
    shard.close_connections();
}

/// Asks a shard to close its logs: answered with their checkpoints, or how many it could not close.
struct StopQuestion;

/// What a shard leaves behind.
struct Left {
    /// Of those that could not be closed, what was true before.
    closed: Vec<LogCheckpoint>,
    failed: usize,
}

impl Question for StopQuestion {
    type Answer = Left;

    fn serve(self, shard: &Rc<Shard>, done: Done<Left>) {
        let shard = shard.clone();
        ring::spawn(async move { done.put(stop_shard(&shard).await) });
    }
}

impl Left {
    async fn close(&mut self, shard: &Rc<Shard>, log: Log, high_watermark: Offset) {
        let directories = &shard.node.directories;
        let mut checkpoint = checkpoints::of_log(directories, &log, high_watermark);
        match ring::offload(move || log.close()).await {
            Ok(closed) => checkpoint.recovery_point = closed.recovery_point,
            Err(error) => {
                tracing::error!("closing {} failed: {error}", checkpoint.partition);
                // In a directory that failed nothing is expected any more, and it is not marked.
                let failed = directories.has_failed(checkpoint.directory);
                self.failed += usize::from(!failed);
            }
        }
        self.closed.push(checkpoint);
    }
}

async fn stop_shard(shard: &Rc<Shard>) -> Left {
    let _turn = shard.turns.take().await;
    let mut left = Left {
        closed: Vec::new(),
        failed: 0,
    };
    for partition in shard.partitions() {
        if let Some(copy) = shard.moves.give_up(&partition.key).await {
            let end = copy.log_end_offset();
            left.close(shard, copy, end).await;
        }
        let high_watermark = partition.leader().high_watermark();
        if let Some(log) = partition.retire().await {
            left.close(shard, log, high_watermark).await;
        }
    }
    left
}

/// Ends the node; runs on the metadata shard. Afterwards every shard's thread may end.
pub async fn stop_node(shard: &Rc<Shard>) {
    let drained: Vec<_> = (0..shard.count())
        .map(|to| shard.ask(ShardId(to), DrainQuestion))
        .collect();
    for answer in drained {
        answer.await;
    }
    let asked: Vec<_> = (0..shard.count())
        .map(|to| shard.ask(ShardId(to), StopQuestion))
        .collect();
    let mut checkpoints = Vec::new();
    let mut failed = 0;
    for answer in asked {
        let left = answer.await;
        checkpoints.extend(left.closed);
        failed += left.failed;
    }
    let metadata = shard
        .metadata
        .as_ref()
        .expect("the metadata shard ends the node");
    let epoch = shard.node.broker_epoch(&shard.image());
    let node = shard.node.broker_id;
    let stopped = bootstrap::advance(node, epoch, Stage::Stopped);
    if let Some(log) = metadata.end(&[stopped]).await {
        let mut checkpoint =
            checkpoints::of_log(&shard.node.directories, &log, log.log_end_offset());
        match ring::offload(move || log.close()).await {
            Ok(closed) => {
                checkpoint.recovery_point = closed.recovery_point;
                checkpoints.push(checkpoint);
            }
            Err(error) => {
                tracing::error!("closing the metadata log failed: {error}");
                failed += 1;
            }
        }
    }
    let directories = shard.node.directories.clone();
    // Behind checkpoints that may still be on their way.
    let marked = ring::offload_slow(move || {
        directories.write_checkpoints(&checkpoints)?;
        if failed == 0 {
            directories.mark_clean(epoch)
        } else {
            Ok(())
        }
    });
    if let Err(error) = marked.await {
        tracing::error!("the stop is not clean, the next start recovers the logs: {error}");
    }
}
