//! AlterReplicaLogDirs: which of the node's log directories a replica is to be in (KIP-113).
//!
//! A replica that is in that directory already is where it should be. This version does not move
//! logs: any other wish is refused with KAFKA_STORAGE_ERROR, and the node's log says why.

use std::path::Path;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::ids::{PartitionIndex, Uuid};
use protocol::messages::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};

use crate::directories::PathStanding;
use crate::mail::{Done, Question};
use crate::partition::PartitionKey;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::scatter::Scatter;
use crate::shard::Shard;

/// The longest topic name that leaves room for `-<partition>.<32 hex>-future` in a file name.
const FUTURE_NAME_BYTES_MAX: usize = 255;
const FUTURE_SUFFIX_BYTES: usize = ".".len() + 32 + "-future".len();

/// One replica and the directory it is to be in.
struct Move {
    key: PartitionKey,
    to: Uuid,
}

/// The moves of one request on one shard.
struct MoveQuestion {
    moves: Vec<Move>,
}

impl Question for MoveQuestion {
    type Answer = Vec<ErrorCode>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Vec<ErrorCode>>) {
        let answers = self.moves.iter().map(|wanted| {
            let Some(partition) = shard.partition(&wanted.key) else {
                return match shard.node.offline.contains(&wanted.key) {
                    true => ErrorCode::KafkaStorageError,
                    false => ErrorCode::ReplicaNotAvailable,
                };
            };
            match partition.log() {
                Err(error) => error,
                Ok(log) if shard.node.directories.id_of(&log) == wanted.to => ErrorCode::None,
                Ok(_) => {
                    tracing::warn!(
                        "{}-{} stays where it is: this version does not move logs between \
                         directories",
                        partition.topic,
                        wanted.key.partition
                    );
                    ErrorCode::KafkaStorageError
                }
            }
        });
        done.put(answers.collect());
    }
}

/// Answers an AlterReplicaLogDirs request.
pub async fn alter_replica_log_dirs(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(AlterReplicaLogDirsRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let image = shard.image();
    let mut scatter = Scatter::new(shard.count());
    for dir in &body.dirs {
        let (directories, path) = (&shard.node.directories, Path::new(&*dir.path));
        let standing = directories.standing(&shard.config.log_dirs, path);
        for topic in &dir.topics {
            let known = image.topic(&topic.name);
            for index in topic.partitions.iter().copied().map(PartitionIndex) {
                let name_bytes = format!("{}-{index}", topic.name).len() + FUTURE_SUFFIX_BYTES;
                let known = known.filter(|known| known.partition(index).is_some());
                let planned = match (standing, known) {
                    _ if name_bytes > FUTURE_NAME_BYTES_MAX => {
                        Err(ErrorCode::InvalidTopicException)
                    }
                    (PathStanding::Unknown, _) => Err(ErrorCode::LogDirNotFound),
                    (PathStanding::Failed, _) => Err(ErrorCode::KafkaStorageError),
                    (PathStanding::Usable(_), None) => Err(ErrorCode::ReplicaNotAvailable),
                    (PathStanding::Usable(to), Some(known)) => {
                        let topic_id = known.id;
                        let partition = index;
                        let key = PartitionKey {
                            topic_id,
                            partition,
                        };
                        Ok(Move { key, to })
                    }
                };
                match planned {
                    Err(error) => scatter.answered(error),
                    Ok(wanted) => scatter.ask(shard.owner(&wanted.key), wanted),
                }
            }
        }
    }
    let answers = scatter.gather(&shard, |moves| MoveQuestion { moves }).await;
    let mut answers = answers.into_iter();
    let topics = body.dirs.iter().flat_map(|dir| &dir.topics);
    let results = topics.map(|topic| {
        let partitions = topic.partitions.iter();
        let partitions = partitions.map(|index| AlterReplicaLogDirPartitionResult {
            partition_index: *index,
            error_code: answers.next().expect("an answer a partition").code(),
        });
        AlterReplicaLogDirTopicResult {
            topic_name: topic.name.clone(),
            partitions: partitions.collect(),
        }
    });
    let response = AlterReplicaLogDirsResponse {
        results: results.collect(),
        ..Default::default()
    };
    request.reply(&response, AlterReplicaLogDirsResponse::encode)
}
