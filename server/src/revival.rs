//! Partitions whose log could not be made or opened are tried again while the node runs: the disk
//! was full, descriptors had run out, a directory could not be written to.
//!
//! Each shard does so for its own partitions, a few at a time. Invariant: while a shard makes or
//! gives up logs it holds its [`Turn`], so that two never work on one partition's directory.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use engine::{OpenError, TopicPartition};
use ring::event::Event;

use crate::install;
use crate::partition::{Partition, PartitionKey};
use crate::placement;
use crate::shard::Shard;

/// How often partitions are tried.
const INTERVAL: Duration = Duration::from_secs(1);
/// So many failures end a round; the next one goes on after them.
const FAILURES_MAX: usize = 16;

/// Who may make and give up logs on a shard: one task at a time.
#[derive(Default)]
pub struct Turns {
    taken: Cell<bool>,
    free: Event,
}

/// Gives the turn back when dropped.
#[must_use]
pub struct Turn<'a>(&'a Turns);

impl Turns {
    /// Waits for the turn.
    pub async fn take(&self) -> Turn<'_> {
        while self.taken.replace(true) {
            self.free.wait().await;
        }
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.taken.set(false);
        self.0.free.notify();
    }
}

/// Tries again and again, for as long as the shard lives.
pub async fn revive_forever(shard: Rc<Shard>) {
    let mut begin = 0;
    loop {
        ring::timer::sleep(INTERVAL).await;
        let mut keys = shard.node.offline.keys();
        keys.retain(|key| shard.owner(key) == shard.id && shard.partition(key).is_none());
        if keys.is_empty() {
            continue;
        }
        keys.sort_by_key(|key| (key.topic_id.0, key.partition));
        begin %= keys.len();
        keys.rotate_left(begin);
        let mut failures = 0;
        for key in keys {
            let _turn = shard.turns.take().await;
            if shard.is_stopping() {
                return;
            }
            if let Err(error) = revive(&shard, key).await {
                tracing::debug!("a partition stays offline: {error}");
                failures += 1;
                begin += 1;
            }
            if failures == FAILURES_MAX {
                break;
            }
        }
    }
}

/// Makes or opens the log of one partition, if it still is one of this node's.
async fn revive(shard: &Rc<Shard>, key: PartitionKey) -> Result<(), OpenError> {
    let image = shard.image();
    let Some(topic) = image.topic_by_id(key.topic_id) else {
        return Ok(());
    };
    let Some(state) = topic.partition(key.partition) else {
        return Ok(());
    };
    let settings = shard.node.topic_settings(&image, &topic.name);
    let directories = shard.node.directories.clone();
    let name = TopicPartition::new(&topic.name, key.partition);
    let log_config = Arc::new(settings.log.clone());
    let made = ring::offload(move || directories.try_again(&name, key.topic_id, log_config));
    let mut log = made.await?;
    let node = shard.node.broker_id;
    let place = placement::untold(node, &shard.node.directories, key, state, &log);
    placement::tell(shard, place.into_iter().collect());
    let leader = install::leader(node, state, &mut log);
    shard.add_partition(Partition::new(
        topic.name.clone(),
        key,
        log,
        leader,
        &settings,
    ));
    shard.node.offline.remove(&key);
    tracing::info!("{}-{} is online again", topic.name, key.partition);
    Ok(())
}
