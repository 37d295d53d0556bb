//! The question "forget the records below this offset" (DeleteRecords) to the shard that owns the
//! partitions.

use std::rc::Rc;

use engine::log::Log;
use protocol::error::ErrorCode;
use protocol::ids::Offset;

use crate::mail::{Done, Question};
use crate::partition::PartitionKey;
use crate::shard::Shard;

/// Stands for the high watermark in a request.
const HIGH_WATERMARK: Offset = Offset(-1);

/// One partition of a DeleteRecords request.
pub struct DeletePart {
    /// Which one.
    pub key: PartitionKey,
    /// The first offset to stay; -1 is the high watermark.
    pub before: Offset,
}

/// A DeleteRecords request's partitions on one shard; answered with their low watermarks.
pub struct DeleteQuestion {
    /// The partitions.
    pub parts: Vec<DeletePart>,
}

impl Question for DeleteQuestion {
    type Answer = Vec<Result<Offset, ErrorCode>>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Self::Answer>) {
        let answers = self.parts.iter().map(|part| {
            let partition = shard
                .partition(&part.key)
                .ok_or(ErrorCode::NotLeaderOrFollower)?;
            let high_watermark = partition.leader().high_watermark();
            partition.with_log(|log| delete_before(log, part.before, high_watermark))?
        });
        done.put(answers.collect());
    }
}

fn delete_before(
    log: &mut Log,
    before: Offset,
    high_watermark: Offset,
) -> Result<Offset, ErrorCode> {
    if log.is_offline() {
        return Err(ErrorCode::KafkaStorageError);
    }
    if !log.config().cleanup.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let before = match before {
        HIGH_WATERMARK => high_watermark,
        offset => offset,
    };
    if before < Offset::ZERO || before > high_watermark {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    log.advance_log_start(before);
    Ok(log.log_start_offset())
}
