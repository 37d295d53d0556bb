//! A coordinator's records as a batch for its internal topic.

use bytes::Bytes;
use coordinator::machine::Append;
use protocol::batch::{BatchBuilder, BatchOptions, Compression, NewRecord};
use protocol::ids::TimestampMs;

/// The batch. In a producer's transaction it has the sequence number 0, as in Kafka: nobody looks
/// at a coordinator's sequence numbers.
pub fn batch_of(append: &Append, now: TimestampMs, compression: Compression) -> Bytes {
    let mut options = BatchOptions {
        compression,
        ..Default::default()
    };
    if let Some(producer) = append.producer {
        options.producer_id = producer.id;
        options.producer_epoch = producer.epoch;
        options.base_sequence = 0;
        options.transactional = true;
    }
    let mut batch = BatchBuilder::new(options);
    for record in &append.records {
        batch.append(&NewRecord {
            timestamp: now,
            key: Some(&record.key),
            value: record.value.as_deref(),
            ..Default::default()
        });
    }
    Bytes::from(batch.finish())
}
