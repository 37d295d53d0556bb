//! AlterReplicaLogDirs: which of the node's log directories a replica is to be in (KIP-113).
//!
//! The answer comes when the move has begun (see `moving`). A partition that does not exist yet is
//! remembered, and made in that directory later.

use std::path::Path;
use std::rc::Rc;

use engine::TopicPartition;
use protocol::error::ErrorCode;
use protocol::ids::PartitionIndex;
use protocol::messages::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};

use crate::directories::PathStanding;
use crate::moving::{MoveQuestion, Wanted};
use crate::partition::PartitionKey;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::scatter::Scatter;
use crate::shard::Shard;

/// The longest topic name that leaves room for `-<partition>.<32 hex>-future` in a file name.
const FUTURE_NAME_BYTES_MAX: usize = 255;
const FUTURE_SUFFIX_BYTES: usize = ".".len() + 32 + "-future".len();

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
                    (PathStanding::Usable(to), None) => {
                        directories.wish(TopicPartition::new(&topic.name, index), to);
                        Err(ErrorCode::UnknownTopicOrPartition)
                    }
                    (PathStanding::Usable(to), Some(known)) => {
                        let topic_id = known.id;
                        let partition = index;
                        let key = PartitionKey {
                            topic_id,
                            partition,
                        };
                        Ok(Wanted { key, to })
                    }
                };
                match planned {
                    Err(error) => scatter.answered(error),
                    Ok(wanted) => scatter.ask(shard.owner(&wanted.key), wanted),
                }
            }
        }
    }
    let answers = scatter
        .gather(&shard, |wanted| MoveQuestion { wanted })
        .await;
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
