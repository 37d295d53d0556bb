//! The questions "which offset has this timestamp" (ListOffsets) and "where does this leader
//! epoch end" (OffsetForLeaderEpoch) to the shard that owns the partitions.

use std::rc::Rc;

use engine::EpochEnd;
use engine::{FoundOffset, OffsetQuery};
use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, TimestampMs};

use crate::kafka_error;
use crate::mail::{Done, Question};
use crate::partition::PartitionKey;
use crate::read::{Isolation, check_leader_epoch};
use crate::shard::Shard;

/// One partition of a ListOffsets request.
pub struct OffsetPart {
    /// Which one.
    pub key: PartitionKey,
    /// The leader epoch the client knows, -1 for none.
    pub current_leader_epoch: LeaderEpoch,
    /// What is asked.
    pub query: OffsetQuery,
}

/// A ListOffsets request's partitions on one shard.
pub struct OffsetsQuestion {
    /// The partitions.
    pub parts: Vec<OffsetPart>,
    /// Which offset is the latest.
    pub isolation: Isolation,
}

impl Question for OffsetsQuestion {
    type Answer = Vec<Result<Option<FoundOffset>, ErrorCode>>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Self::Answer>) {
        let shard = shard.clone();
        ring::spawn(async move {
            let mut answers = Vec::with_capacity(self.parts.len());
            for part in &self.parts {
                answers.push(find(&shard, part, self.isolation).await);
            }
            done.put(answers);
        });
    }
}

async fn find(
    shard: &Shard,
    part: &OffsetPart,
    isolation: Isolation,
) -> Result<Option<FoundOffset>, ErrorCode> {
    let partition = shard
        .partition(&part.key)
        .ok_or(ErrorCode::NotLeaderOrFollower)?;
    check_leader_epoch(&partition, part.current_leader_epoch)?;
    let high_watermark = partition.leader().high_watermark();
    let epoch = partition.leader().epoch();
    let upper_bound = match isolation {
        Isolation::ReadUncommitted => high_watermark,
        Isolation::ReadCommitted => partition.last_stable_offset()?,
    };
    let look_up = match part.query {
        OffsetQuery::Latest => {
            let timestamp = TimestampMs::NONE;
            return Ok(Some(FoundOffset {
                timestamp,
                offset: upper_bound,
                leader_epoch: epoch,
            }));
        }
        query => partition.log()?.offset_for_timestamp(query),
    };
    let found = look_up
        .run()
        .await
        .map_err(|error| kafka_error::of_io(&error))?;
    // A record that consumers may not read yet is not found, but the log's start always is.
    Ok(found.filter(|found| match part.query {
        OffsetQuery::At(_) | OffsetQuery::MaxTimestamp => found.offset < upper_bound,
        _ => true,
    }))
}

/// One partition of an OffsetForLeaderEpoch request.
pub struct EpochPart {
    /// Which one.
    pub key: PartitionKey,
    /// The leader epoch the client knows, -1 for none.
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch whose end is asked for.
    pub leader_epoch: LeaderEpoch,
}

/// An OffsetForLeaderEpoch request's partitions on one shard.
pub struct EpochEndsQuestion {
    /// The partitions.
    pub parts: Vec<EpochPart>,
}

impl Question for EpochEndsQuestion {
    type Answer = Vec<Result<Option<EpochEnd>, ErrorCode>>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Self::Answer>) {
        let answers = self.parts.iter().map(|part| {
            let partition = shard
                .partition(&part.key)
                .ok_or(ErrorCode::NotLeaderOrFollower)?;
            check_leader_epoch(&partition, part.current_leader_epoch)?;
            Ok(partition.log()?.offset_for_leader_epoch(part.leader_epoch))
        });
        done.put(answers.collect());
    }
}
