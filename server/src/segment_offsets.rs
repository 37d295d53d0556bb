//! The question "where do old enough segments begin" (ListOffsets version 0) to the shard that owns
//! the partitions.

use std::rc::Rc;

use engine::OffsetQuery;
use protocol::error::ErrorCode;
use protocol::ids::Offset;

use crate::clock;
use crate::kafka_error;
use crate::mail::{Done, Question};
use crate::partition::PartitionKey;
use crate::shard::Shard;

/// One partition of a ListOffsets request of version 0.
pub struct SegmentsPart {
    /// Which one.
    pub key: PartitionKey,
    /// Which segments.
    pub query: OffsetQuery,
    /// How many at most.
    pub count_max: usize,
}

/// Such a request's partitions on one shard; answered with offsets, newest first.
pub struct SegmentsQuestion {
    /// The partitions.
    pub parts: Vec<SegmentsPart>,
}

impl Question for SegmentsQuestion {
    type Answer = Vec<Result<Vec<Offset>, ErrorCode>>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Self::Answer>) {
        let shard = shard.clone();
        ring::spawn(async move {
            let mut answers = Vec::with_capacity(self.parts.len());
            for part in self.parts {
                answers.push(find(&shard, part).await);
            }
            done.put(answers);
        });
    }
}

async fn find(shard: &Shard, part: SegmentsPart) -> Result<Vec<Offset>, ErrorCode> {
    let partition = shard
        .partition(&part.key)
        .ok_or(ErrorCode::NotLeaderOrFollower)?;
    let segments = partition.log()?.segment_offsets();
    let high_watermark = partition.leader().high_watermark();
    let (query, count_max, now) = (part.query, part.count_max, clock::now_ms());
    let found = ring::offload(move || segments.run_blocking(query, now, count_max)).await;
    let mut found = found.map_err(|error| kafka_error::of_io(&error))?;
    // What consumers may not read yet is at the high watermark for them.
    if found.first().is_some_and(|first| *first > high_watermark) {
        found.retain(|offset| *offset <= high_watermark);
        found.insert(0, high_watermark);
    }
    Ok(found)
}
