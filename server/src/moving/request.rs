//! The question "move these replicas' logs" (AlterReplicaLogDirs) to the shard that owns them.
//!
//! A wish for another directory than that of the move under way takes its place; a wish for the
//! directory in which the log is ends it.

use std::rc::Rc;

use engine::TopicPartition;
use protocol::error::ErrorCode;
use protocol::ids::Uuid;

use crate::mail::{Done, Question};
use crate::partition::{Partition, PartitionKey};
use crate::shard::Shard;

/// One replica and the directory it is to be in.
pub struct Wanted {
    /// Which replica.
    pub key: PartitionKey,
    /// The id of a directory that can be used.
    pub to: Uuid,
}

/// The wishes of one request for one shard, answered with an error code each, in order.
pub struct MoveQuestion {
    /// The wishes.
    pub wanted: Vec<Wanted>,
}

impl Question for MoveQuestion {
    type Answer = Vec<ErrorCode>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Vec<ErrorCode>>) {
        let shard = shard.clone();
        ring::spawn(async move {
            let _turn = shard.turns.take().await;
            let mut answers = Vec::with_capacity(self.wanted.len());
            for wanted in &self.wanted {
                let moved = match shard.is_stopping() {
                    true => Err(ErrorCode::ReplicaNotAvailable),
                    false => be_in(&shard, wanted).await,
                };
                answers.push(moved.err().unwrap_or(ErrorCode::None));
            }
            done.put(answers);
        });
    }
}

async fn be_in(shard: &Rc<Shard>, wanted: &Wanted) -> Result<(), ErrorCode> {
    let Some(partition) = shard.partition(&wanted.key) else {
        return Err(match shard.node.offline.contains(&wanted.key) {
            true => ErrorCode::KafkaStorageError,
            false => ErrorCode::ReplicaNotAvailable,
        });
    };
    drop(partition.log()?);
    if let Some(one) = shard.moves.find(&wanted.key) {
        if one.to == wanted.to && !one.is_over() {
            return Ok(());
        }
        give_up(shard, &partition).await;
    }
    let directories = &shard.node.directories;
    let (is_in, config) = {
        let log = partition.log()?;
        (directories.id_of(&log), log.config().clone())
    };
    if is_in == wanted.to {
        return Ok(());
    }
    if directories.is_one_lost() {
        // There may be another copy in it.
        return Err(ErrorCode::KafkaStorageError);
    }
    let name = TopicPartition::new(&partition.topic, wanted.key.partition);
    let (there, id, to) = (directories.clone(), wanted.key.topic_id, wanted.to);
    // Behind checkpoints that may be on their way.
    let made = ring::offload_slow(move || there.create_future(&name, id, to, config)).await;
    let copy = made.map_err(|error| {
        tracing::error!("a log cannot be moved: {error}");
        ErrorCode::KafkaStorageError
    })?;
    super::begin(shard, &partition, copy, to, None);
    Ok(())
}

/// Ends the move of a partition and deletes its copy.
pub async fn give_up(shard: &Rc<Shard>, partition: &Partition) {
    let Some(copy) = shard.moves.give_up(&partition.key).await else {
        return;
    };
    let directories = &shard.node.directories;
    directories.forget(directories.id_of(&copy));
    match ring::offload(move || copy.delete()).await {
        Ok(removal) => ring::spawn(removal.run()),
        Err(error) => tracing::error!("the copy of a log cannot be deleted: {error}"),
    }
}
