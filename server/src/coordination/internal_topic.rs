//! Which partition of an internal topic a key belongs to, and the topic itself, which is made when
//! it is first needed.

use std::rc::Rc;

use controller::topics::Mode;
use controller::topics::internal::new_topic;
use protocol::error::ErrorCode;
use protocol::ids::PartitionIndex;

use crate::handle::create_topics;
use crate::partition::PartitionKey;
use crate::shard::Shard;

/// The partition of `topic` that answers for a group or a transactional id. NOT_COORDINATOR while
/// the topic is not there.
pub fn partition_of(shard: &Shard, topic: &str, key: &str) -> Result<PartitionKey, ErrorCode> {
    let image = shard.image();
    let topic = image.topic(topic).ok_or(ErrorCode::NotCoordinator)?;
    let count = topic.partitions.len() as u32;
    Ok(PartitionKey {
        topic_id: topic.id,
        partition: PartitionIndex((hash(key) % count) as i32),
    })
}

/// All partitions of `topic`; none while it is not there.
pub fn partitions(shard: &Shard, topic: &str) -> Vec<PartitionKey> {
    let image = shard.image();
    let topics = image.topic(topic).into_iter();
    let keys = topics.flat_map(|topic| {
        let indexes = topic.partitions.keys().copied();
        indexes.map(|partition| PartitionKey {
            topic_id: topic.id,
            partition,
        })
    });
    keys.collect()
}

/// Makes the topic unless it is there.
pub async fn ensure(shard: &Rc<Shard>, topic: &str) -> Result<(), ErrorCode> {
    if shard.image().topic(topic).is_some() {
        return Ok(());
    }
    let new = new_topic(topic, &shard.config.internal_topics);
    let created = create_topics::create(shard, vec![new], Mode::Commit).await;
    let refusal = match created {
        Err(refusal) => refusal,
        Ok(results) => match results.into_iter().find_map(|(_, result)| result.err()) {
            Some(refusal) => refusal,
            None => return Ok(()),
        },
    };
    if refusal.code == ErrorCode::TopicAlreadyExists {
        return Ok(()); // Somebody else was faster.
    }
    let text = refusal.message.unwrap_or_default();
    tracing::error!("{topic} cannot be made: {}: {text}", refusal.code.name());
    Err(ErrorCode::CoordinatorNotAvailable)
}

/// The absolute value of Java's `String.hashCode`, 0 for the smallest integer.
fn hash(key: &str) -> u32 {
    let unit = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    let hash = key.encode_utf16().fold(0, unit);
    hash.checked_abs().unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hashed_as_kafka_does() {
        // By Java: Utils.abs(key.hashCode()).
        for (key, expected) in [
            ("", 0),
            ("a", 97),
            ("console-consumer-1", 35_782_224),
            ("polygenelubricants", 0), // The smallest integer.
            ("gruppe-\u{e4}\u{1f600}", 1_282_783_819),
        ] {
            assert_eq!(hash(key), expected, "{key}");
        }
    }
}
